//! Points whose time has come in a shard that nobody writes to: who leads it moves log time.
//!
//! What ends a point is log time, which only the log moves. Every write does; where there are none the leader proposes
//! a command that does nothing else. A strict read that finds something due by its own clock does so too before it
//! looks, so it never shows a point that its reader knows to be over. Weaker reads show it until the leader gets to it.

use crate::host::Host;
use crate::hosted::Hosted;
use std::time::Duration;
use vectron_base::pool::within;
use vectron_store as store;

/// Whether a point of the shard should have ended at least this long ago, by the clock here.
pub fn is_due(host: &Host, hosted: &Hosted, delay_ms: u64) -> bool {
    let due = hosted.shard.next_expiry_ms();
    due.is_some_and(|due| due.saturating_add(delay_ms) <= host.clock().wall_ms())
}

/// Moves log time to the clock here, if this replica leads. One proposal at a time: who waited for another finds
/// nothing due any more.
pub async fn tick(host: &Host, hosted: &Hosted, limit: Duration) {
    let ticking = async {
        let Ok(_alone) = hosted.ticking.acquire().await else { return };
        if !is_due(host, hosted, 0) {
            return;
        }
        let command = store::Command {
            log_time_ms: host.clock().wall_ms(),
            idempotency: None,
            range: None,
            operation: store::Operation::Tick,
        };
        // Where another replica leads, that one sees to it.
        _ = host.consensus().propose_reserved(hosted.group(), command.encode()).await;
    };
    within(host.pool(), limit, ticking).await;
}
