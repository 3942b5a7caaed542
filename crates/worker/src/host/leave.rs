//! Going down: others take the lead first, then everything is saved.

use super::Host;
use crate::hosted::Hosted;
use crate::member;
use crate::tend;
use futures::future::join_all;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use vectron_base::pool::within;
use vectron_consensus::Role;

/// How long one transfer may take, and the pause after one that failed.
const ONE_TRY: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(20);

impl Host {
    /// Stops background work, hands over the groups that are led here, and writes a last checkpoint of each shard, so
    /// that the next start is short.
    pub async fn stop(self: &Arc<Self>) {
        self.stopping.store(true, Ordering::SeqCst);
        self.report_now.notify_waiters();
        self.offers.clear();
        let serving = self.serving();
        let limit = Duration::from_millis(self.parts.knobs.leave_ms);
        let leaving = join_all(serving.iter().map(|hosted| self.hand_over(hosted)));
        within(&self.parts.pool, limit, leaving).await;
        for hosted in serving {
            hosted.wake();
            tend::checkpoint(self, &hosted).await;
        }
    }

    /// Asks another replica to lead, if this one does, and waits until one does.
    async fn hand_over(&self, hosted: &Arc<Hosted>) {
        let group = hosted.group();
        loop {
            let Some(status) = self.parts.consensus.status(group) else { return };
            let successor = member::successor(hosted.meta.replica, &hosted.assigned().shard, &status);
            let Some(successor) = successor.filter(|_| status.role == Role::Leader) else { return };
            // Refused while a change of members is under way, and in vain if that one is away: it is tried again.
            let handing = self.parts.consensus.transfer_leader(group, successor);
            if within(&self.parts.pool, ONE_TRY, handing).await.is_none_or(|handed| handed.is_err()) {
                self.parts.pool.sleep(PAUSE).await;
            }
        }
    }
}
