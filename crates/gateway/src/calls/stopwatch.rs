//! Where a call's time went.

use crate::api::Stage;
use std::sync::Arc;
use vectron_base::clock::{Clock, Tick};

/// Names the time since the lap before; the laps sum to the whole.
pub(crate) struct Stopwatch {
    clock: Arc<dyn Clock>,
    start: Tick,
    told_us: u64,
    pub(crate) stages: Vec<Stage>,
}

impl Stopwatch {
    pub(crate) fn start(clock: &Arc<dyn Clock>) -> Self {
        Self { clock: clock.clone(), start: clock.now(), told_us: 0, stages: Vec::with_capacity(8) }
    }

    /// The time since the lap before was spent on this.
    pub(crate) fn lap(&mut self, name: &'static str) {
        let total = self.total_us();
        self.stages.push(Stage { name: name.into(), us: total - self.told_us });
        self.told_us = total;
    }

    fn total_us(&self) -> u64 {
        u64::try_from(self.clock.now().since(self.start).as_micros()).unwrap_or(u64::MAX).max(self.told_us)
    }

    /// Everything that was told, in milliseconds.
    pub(crate) fn told_ms(&self) -> f64 {
        self.told_us as f64 / 1_000.0
    }

    /// Everything until now, in milliseconds.
    pub(crate) fn total_ms(&self) -> f64 {
        self.total_us() as f64 / 1_000.0
    }
}
