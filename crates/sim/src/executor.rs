//! A single-threaded executor whose every choice comes from a seed, for any number of nodes.
//!
//! One virtual time and one heap of events. Every task, timer and event belongs to a node, so that a crash can
//! drop one node's and a pause can hold them back. Tasks and lane jobs are picked at random among those that can
//! run; when none can, virtual time jumps to the next event. Implements the pool seam: [`Executor::on`] gives the
//! pool of one node, whose sleeps go by that node's own clock.

use crate::clock::NodeClock;
use futures::future::BoxFuture;
use futures::task::{ArcWake, waker};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use vectron_base::clock::{Clock, ManualClock, Tick};
use vectron_base::pool::{Lane, Pool};
use vectron_base::random::{Random, SeededRandom, mix64};

/// A simulated machine. [`WORLD`] is none: what belongs to it is never crashed or paused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeId(pub u32);

/// Where the clients, the nemesis and the observers run.
pub const WORLD: NodeId = NodeId(0);

struct Task {
    node: NodeId,
    /// Absent while it is being polled.
    future: Option<BoxFuture<'static, ()>>,
    queued: bool,
}

enum Event {
    Wake(Waker),
    Run(Box<dyn FnOnce() + Send>),
}

#[derive(Default)]
struct Tasks {
    next: u64,
    tasks: BTreeMap<u64, Task>,
    /// Tasks that can run. A set, so that the order in which they were woken does not matter: some wakers' order is
    /// not decided by the seed.
    runnable: BTreeSet<u64>,
    events: BTreeMap<(Tick, u64), (NodeId, Event)>,
    next_event: u64,
    paused: BTreeSet<NodeId>,
    /// What a pause held back, in order.
    held: Vec<(NodeId, Held)>,
}

enum Held {
    Task(u64),
    Run(Box<dyn FnOnce() + Send>),
}

/// The executor as one node sees it; all share the same tasks.
#[derive(Clone)]
pub struct Executor {
    tasks: Arc<Mutex<Tasks>>,
    time: Arc<ManualClock>,
    random: Arc<SeededRandom>,
    trace: Arc<Mutex<u64>>,
    node: NodeId,
    clock: Option<Arc<NodeClock>>,
}

struct Wake {
    tasks: Arc<Mutex<Tasks>>,
    task: u64,
}

impl ArcWake for Wake {
    fn wake_by_ref(wake: &Arc<Self>) {
        wake.tasks.lock().queue(wake.task);
    }
}

impl Tasks {
    fn queue(&mut self, number: u64) {
        let Some(task) = self.tasks.get_mut(&number) else { return };
        if !std::mem::replace(&mut task.queued, true) {
            if self.paused.contains(&task.node) {
                self.held.push((task.node, Held::Task(number)));
            } else {
                self.runnable.insert(number);
            }
        }
    }
}

impl Executor {
    /// An executor without tasks, whose virtual time is `time`.
    pub fn new(time: Arc<ManualClock>, seed: u64) -> Self {
        Self {
            tasks: Arc::default(),
            time,
            random: Arc::new(SeededRandom::new(seed)),
            trace: Arc::new(Mutex::new(seed)),
            node: WORLD,
            clock: None,
        }
    }

    /// The same executor for one node, whose sleeps go by `clock`.
    pub fn on(&self, node: NodeId, clock: Option<Arc<NodeClock>>) -> Self {
        Self { node, clock, ..self.clone() }
    }

    /// Virtual time.
    pub fn now(&self) -> Tick {
        self.time.now()
    }

    /// Folds something that happened into the trace.
    pub fn note(&self, what: u64) {
        let mut trace = self.trace.lock();
        *trace = mix64(*trace ^ what).wrapping_add(what);
    }

    /// Hash of everything that happened so far.
    pub fn trace(&self) -> u64 {
        *self.trace.lock()
    }

    /// Adds a task of this node.
    pub fn spawn_task(&self, future: BoxFuture<'static, ()>) {
        let mut tasks = self.tasks.lock();
        let number = tasks.next;
        tasks.next += 1;
        tasks.tasks.insert(number, Task { node: self.node, future: Some(future), queued: false });
        tasks.queue(number);
    }

    /// Does `act` for this node at `at` in virtual time.
    pub fn at(&self, at: Tick, act: impl FnOnce() + Send + 'static) {
        let mut tasks = self.tasks.lock();
        tasks.next_event += 1;
        let key = (at, tasks.next_event);
        tasks.events.insert(key, (self.node, Event::Run(Box::new(act))));
    }

    /// Does `act` for this node after `delay` of virtual time.
    pub fn after(&self, delay: Duration, act: impl FnOnce() + Send + 'static) {
        self.at(self.time.now().plus(delay), act);
    }

    /// Runs one task that can run, chosen at random; whose it was.
    pub fn step_task(&self) -> Option<NodeId> {
        let (number, node, mut future) = loop {
            let mut tasks = self.tasks.lock();
            let count = tasks.runnable.len() as u64;
            if count == 0 {
                return None;
            }
            let chosen = self.random.below(count) as usize;
            let number = tasks.runnable.iter().nth(chosen).copied()?;
            tasks.runnable.remove(&number);
            // A wake-up of a task that has ended.
            let Some(task) = tasks.tasks.get_mut(&number) else { continue };
            task.queued = false;
            let Some(future) = task.future.take() else { continue };
            break (number, task.node, future);
        };
        self.note(number ^ self.time.now().0);
        let waker = waker(Arc::new(Wake { tasks: self.tasks.clone(), task: number }));
        let pending = future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending();
        let mut tasks = self.tasks.lock();
        let dropped = match tasks.tasks.get_mut(&number) {
            Some(task) if pending => task.future.replace(future),
            Some(_) => tasks.tasks.remove(&number).and_then(|task| task.future).or(Some(future)),
            // Its node crashed while it ran.
            None => Some(future),
        };
        drop(tasks);
        drop(dropped);
        Some(node)
    }

    /// Runs one task that can run; whether there was one.
    pub fn step(&self) -> bool {
        self.step_task().is_some()
    }

    /// When the next event is due.
    pub fn next_timer(&self) -> Option<Tick> {
        self.tasks.lock().events.first_key_value().map(|((at, _), _)| *at)
    }

    /// Lets time pass until `to` and does what is due; whose events they were.
    pub fn advance_to(&self, to: Tick) -> Vec<NodeId> {
        self.time.advance(to.since(self.time.now()));
        let now = self.time.now();
        let mut nodes = Vec::new();
        loop {
            let (node, event) = {
                let mut tasks = self.tasks.lock();
                match tasks.events.first_entry() {
                    Some(entry) if entry.key().0 <= now => entry.remove(),
                    _ => return nodes,
                }
            };
            match event {
                // A paused node's task is held back when it is queued.
                Event::Wake(waker) => waker.wake(),
                Event::Run(act) => {
                    let mut tasks = self.tasks.lock();
                    if tasks.paused.contains(&node) {
                        tasks.held.push((node, Held::Run(act)));
                        continue;
                    }
                    drop(tasks);
                    self.note(u64::from(node.0) << 40 ^ now.0);
                    act();
                }
            }
            nodes.push(node);
        }
    }

    /// Holds back everything of a node, as SIGSTOP does: time passes, and it does nothing.
    pub fn pause(&self, node: NodeId) {
        let mut tasks = self.tasks.lock();
        tasks.paused.insert(node);
        let (of_node, others): (BTreeSet<u64>, BTreeSet<u64>) = std::mem::take(&mut tasks.runnable)
            .into_iter()
            .partition(|number| tasks.tasks.get(number).is_some_and(|task| task.node == node));
        tasks.runnable = others;
        tasks.held.extend(of_node.into_iter().map(|number| (node, Held::Task(number))));
    }

    /// Lets a paused node go on.
    pub fn resume(&self, node: NodeId) {
        let mut tasks = self.tasks.lock();
        tasks.paused.remove(&node);
        for (of, held) in std::mem::take(&mut tasks.held) {
            match held {
                held if of != node => tasks.held.push((of, held)),
                Held::Task(number) => drop(tasks.runnable.insert(number)),
                Held::Run(act) => {
                    tasks.next_event += 1;
                    let key = (self.time.now(), tasks.next_event);
                    tasks.events.insert(key, (node, Event::Run(act)));
                }
            }
        }
    }

    /// Whether a node is paused.
    pub fn is_paused(&self, node: NodeId) -> bool {
        self.tasks.lock().paused.contains(&node)
    }

    /// Drops every task and event of one node, as a crash does.
    pub fn crash(&self, node: NodeId) {
        // Dropping a task may wake others: the lock must not be held meanwhile.
        let dropped = {
            let mut tasks = self.tasks.lock();
            tasks.paused.remove(&node);
            let (dead, live) =
                std::mem::take(&mut tasks.tasks).into_iter().partition(|(_, t)| t.node == node);
            tasks.tasks = live;
            let (late, other) =
                std::mem::take(&mut tasks.events).into_iter().partition(|(_, (of, _))| *of == node);
            tasks.events = other;
            let (held, kept) = std::mem::take(&mut tasks.held).into_iter().partition(|(of, _)| *of == node);
            tasks.held = kept;
            let dead: BTreeMap<u64, Task> = dead;
            let late: BTreeMap<(Tick, u64), (NodeId, Event)> = late;
            let held: Vec<(NodeId, Held)> = held;
            (dead, late, held)
        };
        drop(dropped);
    }

    /// Drops every task and event.
    pub fn clear(&self) {
        let dropped = {
            let mut tasks = self.tasks.lock();
            tasks.runnable.clear();
            tasks.held.clear();
            (std::mem::take(&mut tasks.tasks), std::mem::take(&mut tasks.events))
        };
        drop(dropped);
    }
}

struct Sleep {
    tasks: Arc<Mutex<Tasks>>,
    time: Arc<ManualClock>,
    node: NodeId,
    due: Tick,
    key: Option<(Tick, u64)>,
}

impl Future for Sleep {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.time.now() >= self.due {
            return Poll::Ready(());
        }
        let tasks = self.tasks.clone();
        let mut tasks = tasks.lock();
        let (due, node) = (self.due, self.node);
        let key = *self.key.get_or_insert_with(|| {
            tasks.next_event += 1;
            (due, tasks.next_event)
        });
        let before = tasks.events.insert(key, (node, Event::Wake(context.waker().clone())));
        drop(tasks);
        drop(before);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            let event = self.tasks.lock().events.remove(&key);
            drop(event);
        }
    }
}

impl Pool for Executor {
    fn spawn(&self, _name: &'static str, task: BoxFuture<'static, ()>) {
        self.spawn_task(task);
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let lasts = self.clock.as_ref().map_or(duration, |clock| clock.virtual_duration(duration));
        let due = self.time.now().plus(lasts);
        let (tasks, time) = (self.tasks.clone(), self.time.clone());
        Box::pin(Sleep { tasks, time, node: self.node, due, key: None })
    }

    fn run(&self, _lane: Lane, job: Box<dyn FnOnce() + Send>) {
        self.spawn_task(Box::pin(async move { job() }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    fn turn(executor: &Executor, until: Tick) {
        loop {
            if executor.step() {
                continue;
            }
            match executor.next_timer() {
                Some(at) if at <= until => drop(executor.advance_to(at)),
                _ => break,
            }
        }
    }

    fn run(seed: u64) -> (u64, u64) {
        let executor = Executor::new(Arc::new(ManualClock::starting_at(0)), seed);
        let order = Arc::new(AtomicU64::new(0));
        for number in 0..10u64 {
            let (pool, order) = (executor.clone(), order.clone());
            executor.spawn_task(Box::pin(async move {
                pool.sleep(Duration::from_millis(number % 3)).await;
                order.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |o| Some(o * 10 + number)).ok();
            }));
        }
        turn(&executor, Tick(u64::MAX));
        (order.load(Ordering::SeqCst), executor.trace())
    }

    #[test]
    fn equal_seeds_are_equal_runs_and_others_are_not() {
        assert_eq!(run(1), run(1));
        assert!((2..20).any(|seed| run(seed).0 != run(1).0));
    }

    /// Two nodes that count every second.
    fn counting() -> (Executor, [Arc<AtomicU64>; 2]) {
        let executor = Executor::new(Arc::new(ManualClock::starting_at(0)), 1);
        let counts = [Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0))];
        for (number, count) in (1..).zip(&counts) {
            let (pool, count) = (executor.on(NodeId(number), None), count.clone());
            pool.clone().spawn_task(Box::pin(async move {
                loop {
                    pool.sleep(Duration::from_secs(1)).await;
                    count.fetch_add(1, Ordering::SeqCst);
                }
            }));
        }
        (executor, counts)
    }

    #[test]
    fn a_crash_drops_the_tasks_of_one_node() {
        let (executor, counts) = counting();
        turn(&executor, Tick(2_500_000_000));
        executor.crash(NodeId(1));
        turn(&executor, Tick(5_500_000_000));
        assert_eq!(counts.map(|count| count.load(Ordering::SeqCst)), [2, 5]);
    }

    #[test]
    fn a_paused_node_does_nothing_and_goes_on_where_it_was() {
        let (executor, counts) = counting();
        executor.pause(NodeId(1));
        let fired = Arc::new(AtomicU64::new(0));
        let (noted, clock) = (fired.clone(), executor.clone());
        executor.on(NodeId(1), None).at(Tick(5), move || noted.store(clock.now().0, Ordering::SeqCst));
        turn(&executor, Tick(3_500_000_000));
        assert_eq!(counts[0].load(Ordering::SeqCst), 0);
        assert_eq!(fired.load(Ordering::SeqCst), 0);
        executor.resume(NodeId(1));
        turn(&executor, Tick(6_000_000_000));
        assert!(fired.load(Ordering::SeqCst) > 5);
        assert!((2..=3).contains(&counts[0].load(Ordering::SeqCst)));
        assert_eq!(counts[1].load(Ordering::SeqCst), 6);
    }
}
