//! A pool in virtual time, on one thread: tasks run in the order in which they were woken, and time moves only when
//! none can run. Equal runs are equal to the last step.

use futures::future::BoxFuture;
use futures::task::{ArcWake, waker};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use vectron_base::clock::{Clock, ManualClock, Tick};
use vectron_base::pool::{Lane, Pool};

#[derive(Default)]
struct Tasks {
    next: u64,
    all: BTreeMap<u64, BoxFuture<'static, ()>>,
    runnable: BTreeSet<u64>,
    timers: BTreeMap<(Tick, u64), Waker>,
    next_timer: u64,
}

/// The pool and its clock.
#[derive(Clone)]
pub struct VirtualPool {
    tasks: Arc<Mutex<Tasks>>,
    pub clock: Arc<ManualClock>,
}

struct Wake(Arc<Mutex<Tasks>>, u64);

impl ArcWake for Wake {
    fn wake_by_ref(wake: &Arc<Self>) {
        wake.0.lock().unwrap().runnable.insert(wake.1);
    }
}

impl VirtualPool {
    pub fn new() -> Self {
        Self { tasks: Arc::default(), clock: Arc::new(ManualClock::starting_at(0)) }
    }

    /// Runs tasks until none can go on.
    pub fn settle(&self) {
        loop {
            let (task, mut future) = {
                let mut tasks = self.tasks.lock().unwrap();
                let Some(task) = tasks.runnable.pop_first() else { return };
                let Some(future) = tasks.all.remove(&task) else { continue };
                (task, future)
            };
            let waker = waker(Arc::new(Wake(self.tasks.clone(), task)));
            if future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
                self.tasks.lock().unwrap().all.insert(task, future);
            }
        }
    }

    /// Lets so much time pass, and everything in it happen.
    pub fn pass(&self, time: Duration) {
        let end = self.clock.now().plus(time);
        self.settle();
        while let Some(due) = self.next_timer().filter(|due| *due <= end) {
            self.wake_at(due);
        }
        self.wake_at(end);
    }

    /// Runs a future to its end in virtual time.
    pub fn wait<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> T {
        let result = Arc::new(Mutex::new(None));
        let slot = result.clone();
        self.spawn("wait", Box::pin(async move { *slot.lock().unwrap() = Some(future.await) }));
        loop {
            self.settle();
            if let Some(value) = result.lock().unwrap().take() {
                return value;
            }
            let due = self.next_timer().expect("nothing goes on any more");
            self.wake_at(due);
        }
    }

    /// Tasks that have not ended.
    pub fn tasks(&self) -> usize {
        self.tasks.lock().unwrap().all.len()
    }

    fn next_timer(&self) -> Option<Tick> {
        self.tasks.lock().unwrap().timers.first_key_value().map(|((due, _), _)| *due)
    }

    fn wake_at(&self, to: Tick) {
        self.clock.advance(to.since(self.clock.now()));
        let due: Vec<Waker> = {
            let mut tasks = self.tasks.lock().unwrap();
            let later = tasks.timers.split_off(&(to.plus(Duration::from_nanos(1)), 0));
            std::mem::replace(&mut tasks.timers, later).into_values().collect()
        };
        due.into_iter().for_each(Waker::wake);
        self.settle();
    }
}

impl Pool for VirtualPool {
    fn spawn(&self, _: &'static str, task: BoxFuture<'static, ()>) {
        let mut tasks = self.tasks.lock().unwrap();
        tasks.next += 1;
        let number = tasks.next;
        tasks.all.insert(number, task);
        tasks.runnable.insert(number);
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let (tasks, clock) = (self.tasks.clone(), self.clock.clone());
        let due = clock.now().plus(duration);
        Box::pin(futures::future::poll_fn(move |context| {
            if clock.now() >= due {
                return Poll::Ready(());
            }
            let mut tasks = tasks.lock().unwrap();
            tasks.next_timer += 1;
            let key = (due, tasks.next_timer);
            tasks.timers.insert(key, context.waker().clone());
            Poll::Pending
        }))
    }

    fn run(&self, _: Lane, job: Box<dyn FnOnce() + Send>) {
        self.spawn("job", Box::pin(async move { job() }));
    }
}

/// The pool of the test's own runtime, for real sockets.
pub struct TokioPool(pub tokio::runtime::Handle);

impl Pool for TokioPool {
    fn spawn(&self, _: &'static str, task: BoxFuture<'static, ()>) {
        self.0.spawn(task);
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let _inside = self.0.enter();
        Box::pin(tokio::time::sleep(duration))
    }
    fn run(&self, _: Lane, job: Box<dyn FnOnce() + Send>) {
        self.0.spawn_blocking(job);
    }
}
