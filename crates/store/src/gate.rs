//! The lock around the state, made so that a short look never waits for a long one.
//!
//! A lock that is fair to writers lets nobody in once a writer waits; so while one reader takes its time, a writer
//! and with it every other reader waits. Here long looks pass a gate of their own first. A writer waits at that gate
//! until the long looks have ended, and only then at the state, where it finds short looks only. Short looks know
//! nothing of the gate: they wait for changes under way, and for nobody who waits.
//!
//! The order is gate, then state, for everybody.

use crate::state::State;
use crate::stats::pending;
use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, Ordering};

/// The state behind its lock.
pub(crate) struct Gate {
    long: RwLock<()>,
    state: RwLock<State>,
    /// Points that waited for the graph after the last change.
    pending: AtomicU64,
}

/// A look that may take long, or be made by a thread that gets few of the processor's turns.
pub(crate) struct LongLook<'a> {
    // Dropped in this order.
    state: RwLockReadGuard<'a, State>,
    _gate: RwLockReadGuard<'a, ()>,
}

/// A change.
pub(crate) struct Change<'a> {
    // Dropped in this order.
    state: RwLockWriteGuard<'a, State>,
    _gate: RwLockWriteGuard<'a, ()>,
    pending: &'a AtomicU64,
}

impl Gate {
    pub fn new(state: State) -> Self {
        let pending = AtomicU64::new(pending(&state));
        Self { long: RwLock::new(()), state: RwLock::new(state), pending }
    }

    /// A look that is over soon: those who change the state wait for it, and others who look wait for them.
    pub fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read()
    }

    /// Makes the short looks of this thread long ones for as long as it lives.
    pub fn long(&self) -> RwLockReadGuard<'_, ()> {
        self.long.read()
    }

    /// A look that may take its time.
    pub fn read_long(&self) -> LongLook<'_> {
        let gate = self.long.read();
        LongLook { state: self.state.read(), _gate: gate }
    }

    /// The state for changing, when nobody looks.
    pub fn write(&self) -> Change<'_> {
        let gate = self.long.write();
        Change { state: self.state.write(), _gate: gate, pending: &self.pending }
    }

    /// Points that wait for the graph, without waiting for anybody.
    pub fn pending(&self) -> u64 {
        self.pending.load(Ordering::Relaxed)
    }
}

impl Deref for LongLook<'_> {
    type Target = State;
    fn deref(&self) -> &State {
        &self.state
    }
}

impl Deref for Change<'_> {
    type Target = State;
    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for Change<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        self.pending.store(pending(&self.state), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ShardConfig;
    use vectron_index::Metric;

    #[test]
    fn a_short_look_passes_a_writer_that_waits_for_a_long_one() {
        let gate = Gate::new(State::new(&ShardConfig::new(2, Metric::Dot)));
        let long = gate.read_long();
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| gate.write().applied_index = 7);
            // Until the writer stands at the gate, where nobody new gets in for a long look.
            while gate.long.try_read().is_some() {
                std::thread::yield_now();
            }
            // On a lock that is fair to writers this would wait for ever.
            assert_eq!(gate.read().applied_index, 0);
            assert!(!writer.is_finished());
            drop(long);
            writer.join().unwrap();
        });
        assert_eq!(gate.read().applied_index, 7);
    }
}
