//! The production shell of the pool seam: an async runtime for tasks, fixed threads for lanes.

use futures::future::BoxFuture;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;
use vectron_base::pool::{Lane, Pool};

/// The runtime of a process: few threads, for they only move requests; computing happens in lanes.
pub fn build() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().thread_name("vectron-io").enable_all().build()
}

/// Number of processor cores.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Tasks on the runtime, jobs on lanes.
pub struct RuntimePool {
    runtime: tokio::runtime::Handle,
    read: LaneThreads,
    background: LaneThreads,
    commit: LaneThreads,
}

impl RuntimePool {
    /// A pool on the current runtime with this many threads per lane.
    pub fn start(read_threads: usize, background_threads: usize) -> std::io::Result<Self> {
        Ok(Self {
            runtime: tokio::runtime::Handle::current(),
            read: LaneThreads::start("vectron-read", read_threads, 0)?,
            background: LaneThreads::start("vectron-bg", background_threads, BACKGROUND_NICE)?,
            commit: LaneThreads::start("vectron-commit", 1, 0)?,
        })
    }
}

/// How much background threads yield to those that serve requests.
const BACKGROUND_NICE: i32 = 10;

impl Pool for RuntimePool {
    fn spawn(&self, _name: &'static str, task: BoxFuture<'static, ()>) {
        self.runtime.spawn(task);
    }

    #[allow(clippy::disallowed_methods, reason = "this is the seam")]
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let _entered = self.runtime.enter();
        Box::pin(tokio::time::sleep(duration))
    }

    fn run(&self, lane: Lane, job: Box<dyn FnOnce() + Send>) {
        match lane {
            Lane::Read => self.read.push(job),
            Lane::Background => self.background.push(job),
            Lane::Commit => self.commit.push(job),
        }
    }
}

type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    closed: bool,
}

/// Threads that take jobs from one queue. The queue's length is bounded by the admission of requests and by
/// one background step per shard.
struct LaneThreads {
    shared: Arc<(Mutex<Queue>, Condvar)>,
}

impl LaneThreads {
    fn start(name: &str, threads: usize, nice: i32) -> std::io::Result<Self> {
        let shared = Arc::new((Mutex::new(Queue::default()), Condvar::new()));
        for number in 0..threads.max(1) {
            let shared = shared.clone();
            std::thread::Builder::new().name(format!("{name}-{number}")).spawn(move || {
                if nice != 0 {
                    // On Linux this is the thread's own niceness. Without the right it stays as it was.
                    let _ = rustix::process::nice(nice);
                }
                work(&shared);
            })?;
        }
        Ok(Self { shared })
    }

    fn push(&self, job: Job) {
        let (queue, ready) = &*self.shared;
        queue.lock().unwrap_or_else(PoisonError::into_inner).jobs.push_back(job);
        ready.notify_one();
    }
}

impl Drop for LaneThreads {
    fn drop(&mut self) {
        let (queue, ready) = &*self.shared;
        queue.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        ready.notify_all();
    }
}

fn work(shared: &(Mutex<Queue>, Condvar)) {
    let (queue, ready) = shared;
    loop {
        let mut locked = queue.lock().unwrap_or_else(PoisonError::into_inner);
        let job = loop {
            if let Some(job) = locked.jobs.pop_front() {
                break job;
            }
            if locked.closed {
                return;
            }
            locked = ready.wait(locked).unwrap_or_else(PoisonError::into_inner);
        };
        drop(locked);
        // A job that panics drops its sender: whoever waits learns that there is no result, and the thread
        // goes on with the next job.
        let _ = catch_unwind(AssertUnwindSafe(job));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vectron_base::pool::compute;

    #[test]
    fn a_panicking_job_harms_only_itself() {
        let runtime = build().unwrap();
        let _entered = runtime.enter();
        let pool: Arc<dyn Pool> = Arc::new(RuntimePool::start(1, 1).unwrap());
        let lost: Option<u32> = runtime.block_on(compute(&pool, Lane::Read, || panic!("as planned")));
        assert_eq!(lost, None);
        assert_eq!(runtime.block_on(compute(&pool, Lane::Read, || 7)), Some(7));
    }
}
