//! Tasks, threads and sleeping, as a seam: a runtime in production, a seeded executor in simulation.

use futures::channel::oneshot;
use futures::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;

/// Where every room starts concurrent work. Rooms never spawn by any other way.
pub trait Pool: Send + Sync {
    /// Runs a future to its end in the background.
    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>);
    /// Completes after `duration`.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
    /// Runs a job that computes or blocks, off the threads that serve requests. Jobs are queued when all
    /// of the lane's threads are busy.
    fn run(&self, lane: Lane, job: Box<dyn FnOnce() + Send>);
}

/// Which threads a blocking job may use, so that background work never starves requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Searches, scans and other reads that a caller waits for.
    Read,
    /// Graph building, checkpoints, compaction. Gets what the others leave of the processor.
    Background,
    /// Short changes at the end of background work that readers wait for while they last: at the priority of
    /// requests, and never queued behind anything long.
    Commit,
}

/// Runs `job` in `lane` and gives its result; `None` when the job panicked or the pool is shutting down.
pub async fn compute<T: Send + 'static>(
    pool: &Arc<dyn Pool>,
    lane: Lane,
    job: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (done, result) = oneshot::channel();
    pool.run(
        lane,
        Box::new(move || {
            // Who waited may have given up at its deadline: work that nobody waits for is not begun, or a lane
            // under pressure would compute nothing else.
            if !done.is_canceled() {
                let _ = done.send(job());
            }
        }),
    );
    result.await.ok()
}

/// Waits for `work`, at most `limit`. `None` when the limit came first.
pub async fn within<T>(
    pool: &Arc<dyn Pool>,
    limit: Duration,
    work: impl Future<Output = T> + Send,
) -> Option<T> {
    use futures::future::{Either, select};
    match select(Box::pin(work), pool.sleep(limit)).await {
        Either::Left((value, _)) => Some(value),
        Either::Right(_) => None,
    }
}
