//! A single-threaded executor on a clock that moves only when nothing else can: implements the pool seam.

use futures::future::BoxFuture;
use futures::task::{ArcWake, waker};
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use vectron_base::clock::{Clock, ManualClock, Tick};
use vectron_base::pool::{Lane, Pool};

#[derive(Default)]
struct Tasks {
    next: u64,
    sleeping: BTreeMap<u64, BoxFuture<'static, ()>>,
    runnable: VecDeque<u64>,
    timers: BTreeMap<(Tick, u64), Waker>,
}

/// Tasks of one process; clones share them.
#[derive(Clone)]
pub struct Executor {
    tasks: Arc<Mutex<Tasks>>,
    clock: Arc<ManualClock>,
}

struct Wake {
    tasks: Arc<Mutex<Tasks>>,
    task: u64,
}

impl ArcWake for Wake {
    fn wake_by_ref(wake: &Arc<Self>) {
        let mut tasks = wake.tasks.lock();
        if !tasks.runnable.contains(&wake.task) {
            tasks.runnable.push_back(wake.task);
        }
    }
}

impl Executor {
    pub fn new(clock: Arc<ManualClock>) -> Self {
        Self { tasks: Arc::default(), clock }
    }

    pub fn start(&self, future: BoxFuture<'static, ()>) {
        let mut tasks = self.tasks.lock();
        let task = tasks.next;
        tasks.next += 1;
        tasks.sleeping.insert(task, future);
        tasks.runnable.push_back(task);
    }

    /// Runs one task that can run; whether there was one.
    pub fn step(&self) -> bool {
        let (task, mut future) = {
            let mut tasks = self.tasks.lock();
            let Some(task) = tasks.runnable.pop_front() else { return false };
            let Some(future) = tasks.sleeping.remove(&task) else { return true };
            (task, future)
        };
        let waker = waker(Arc::new(Wake { tasks: self.tasks.clone(), task }));
        if future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            self.tasks.lock().sleeping.insert(task, future);
        }
        true
    }

    pub fn next_timer(&self) -> Option<Tick> {
        self.tasks.lock().timers.first_key_value().map(|((at, _), _)| *at)
    }

    /// Wakes what is due.
    pub fn wake_due(&self) {
        let now = self.clock.now();
        loop {
            let waker = {
                let mut tasks = self.tasks.lock();
                match tasks.timers.first_entry() {
                    Some(entry) if entry.key().0 <= now => entry.remove(),
                    _ => return,
                }
            };
            waker.wake();
        }
    }

    /// Drops every task, as the end of a process does.
    pub fn clear(&self) {
        loop {
            let dropped = {
                let mut tasks = self.tasks.lock();
                tasks.runnable.clear();
                (std::mem::take(&mut tasks.sleeping), std::mem::take(&mut tasks.timers))
            };
            if dropped.0.is_empty() {
                return;
            }
        }
    }
}

struct Sleep {
    tasks: Arc<Mutex<Tasks>>,
    clock: Arc<ManualClock>,
    due: Tick,
    key: Option<(Tick, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.clock.now() >= self.due {
            return Poll::Ready(());
        }
        let tasks = self.tasks.clone();
        let mut tasks = tasks.lock();
        let due = self.due;
        let key = *self.key.get_or_insert_with(|| {
            tasks.next += 1;
            (due, tasks.next)
        });
        tasks.timers.insert(key, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let waker = self.key.and_then(|key| self.tasks.lock().timers.remove(&key));
        drop(waker);
    }
}

impl Pool for Executor {
    fn spawn(&self, _name: &'static str, task: BoxFuture<'static, ()>) {
        self.start(task);
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let due = self.clock.now().plus(duration);
        Box::pin(Sleep { tasks: self.tasks.clone(), clock: self.clock.clone(), due, key: None })
    }

    fn run(&self, _lane: Lane, job: Box<dyn FnOnce() + Send>) {
        self.start(Box::pin(async move { job() }));
    }
}
