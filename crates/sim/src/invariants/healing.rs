//! After everything is healed every shard accepts writes within 30 virtual seconds.
//!
//! Source: the cluster's design, "Simulation and proof"; elections end once messages arrive in time (Ongaro and
//! Ousterhout 2014, section 5.6).

use std::collections::BTreeSet;
use std::time::Duration;
use vectron_base::clock::Tick;
use vectron_base::ids::ShardId;

/// How long it may take.
pub const WITHIN: Duration = Duration::from_secs(30);
/// The invariant's name.
pub const NAME: &str = "writes are accepted after healing";

/// Shards that have not accepted a write since everything was healed.
pub struct Healing {
    since: Tick,
    waiting: BTreeSet<ShardId>,
    accepted: BTreeSet<ShardId>,
    listed: bool,
}

impl Healing {
    /// Everything is healed now. These are shards; which others split off meanwhile the catalog tells.
    pub fn new(now: Tick, shards: impl IntoIterator<Item = ShardId>) -> Self {
        Self { since: now, waiting: shards.into_iter().collect(), accepted: BTreeSet::new(), listed: false }
    }

    /// These are all shards, says the catalog.
    pub fn list(&mut self, shards: impl IntoIterator<Item = ShardId>) {
        self.listed = true;
        self.waiting.extend(shards.into_iter().filter(|shard| !self.accepted.contains(shard)));
    }

    /// A shard accepted a write.
    pub fn accepted(&mut self, shard: ShardId) {
        self.waiting.remove(&shard);
        self.accepted.insert(shard);
    }

    /// Shards that have not.
    pub fn waiting(&self) -> impl Iterator<Item = ShardId> {
        self.waiting.iter().copied()
    }

    /// Whether all shards are known and have.
    pub fn done(&self) -> bool {
        self.listed && self.waiting.is_empty()
    }

    /// What does not hold, if the time is over.
    pub fn check(&self, now: Tick) -> Option<String> {
        let late = now.since(self.since) > WITHIN && !self.done();
        late.then(|| {
            format!(
                "no writes, or no catalog, {:?} after healing: shards {:?}",
                now.since(self.since),
                self.waiting
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_that_never_accepts() {
        let mut healing = Healing::new(Tick(7), [ShardId(1), ShardId(2)]);
        let late = Tick(7).plus(Duration::from_secs(31));
        assert_eq!(healing.check(Tick(8)), None);
        healing.accepted(ShardId(2));
        assert!(healing.check(late).is_some_and(|what| what.contains("ShardId(1)")));
        healing.accepted(ShardId(1));
        assert!(healing.check(late).is_some() && !healing.done());
        healing.list([ShardId(1), ShardId(2)]);
        assert!(healing.check(late).is_none() && healing.done());
        // One that split off, of which the list of the beginning knew nothing.
        healing.list([ShardId(1), ShardId(3)]);
        assert!(healing.check(late).is_some_and(|what| what.contains("{ShardId(3)}")));
    }
}
