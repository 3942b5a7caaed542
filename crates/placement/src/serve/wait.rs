//! Waiting until the workers have followed the catalog.

use super::Service;
use crate::observe::Reports;
use futures::future::select;
use std::time::Duration;
use vectron_base::clock::Tick;
use vectron_base::ids::Incarnation;
use vectron_base::pool::within;
use vectron_base::{Code, Fault, Outcome};
use vectron_wire::placement::{Collection, Shard};

/// How often waiting looks again without news: silence is no news.
const LOOK: Duration = Duration::from_millis(500);

/// Silence after which a worker does not hold up a deletion that is in the shard's log, as a part of what makes it
/// dead.
const FRESH_PART: u32 = 10;

impl Service {
    pub(super) fn find(&self, incarnation: Incarnation) -> Option<Collection> {
        self.parts.catalog.read(|catalog| catalog.collection(incarnation).cloned())
    }

    /// Waits until every shard of the collection can commit, or the collection is forgotten.
    pub(super) async fn until_serving(&self, incarnation: Incarnation, timeout_ms: u64) -> Result<(), Fault> {
        self.until(incarnation, timeout_ms, true, |reports, shard, _| reports.serves(shard)).await
    }

    /// Waits until nothing of the collection is served any more.
    pub(super) async fn until_sealed(&self, incarnation: Incarnation, timeout_ms: u64) -> Result<(), Fault> {
        let dead_after = self.dead_after();
        let sealed = move |reports: &Reports, shard: &Shard, now| {
            reports.sealed(shard, now, dead_after / FRESH_PART, dead_after)
        };
        self.until(incarnation, timeout_ms, false, sealed).await
    }

    async fn until(
        &self,
        incarnation: Incarnation,
        timeout_ms: u64,
        heed_failures: bool,
        done: impl Fn(&Reports, &Shard, Tick) -> bool + Send + Sync,
    ) -> Result<(), Fault> {
        let mut changes = self.observed.changes();
        let mut terms = self.term.subscribe();
        let term = *terms.borrow_and_update();
        let lost = || self.not_leader(None).with_outcome(Outcome::Unknown);
        let waiting = async {
            while let Some(collection) = self.find(incarnation) {
                if *terms.borrow_and_update() != term || term == 0 {
                    return Err(lost());
                }
                let now = self.parts.clock.now();
                changes.borrow_and_update();
                if self.observed.all(&collection, |reports, shard| done(reports, shard, now)) {
                    return Ok(());
                }
                let broken = collection.shards.iter().find(|s| self.observed.read(|r| r.broken(s)));
                if let Some(shard) = broken.filter(|_| heed_failures) {
                    let shard = shard.shard;
                    let detail = format!("shard {shard} is set aside by its worker; see its log and status");
                    return Err(Fault::new(Code::Unavailable, detail).with_outcome(Outcome::Unknown));
                }
                select(Box::pin(changes.changed()), self.parts.pool.sleep(LOOK)).await;
            }
            Ok(())
        };
        let late = || {
            let detail = "the catalog has the change, but not every shard has followed yet; repeat the call to wait on";
            Err(Fault::new(Code::DeadlineExceeded, detail).with_outcome(Outcome::Unknown))
        };
        within(&self.parts.pool, Duration::from_millis(timeout_ms), waiting).await.unwrap_or_else(late)
    }
}
