//! What must hold at every step: each invariant in its own file, with its name and its source.

mod healing;
mod majority;
mod one_digest;
mod one_leader;
mod one_membership;
mod steady;

pub use healing::{Healing, NAME as HEALING};

use crate::check::Violation;
use crate::executor::NodeId;
use vectron_base::ids::ShardId;
use vectron_consensus::GroupStatus;

/// What one replica is after a turn of its logs.
pub struct ReplicaState<'a> {
    /// Where,
    pub node: NodeId,
    /// and in which life of the node.
    pub life: u64,
    /// Of which shard.
    pub shard: ShardId,
    /// Its log.
    pub status: &'a GroupStatus,
    /// The index of the state,
    pub applied: u64,
    /// and its digest.
    pub digest: u128,
}

/// The invariants, and what they saw.
#[derive(Default)]
pub struct Invariants {
    leaders: one_leader::Leaders,
    digests: one_digest::Digests,
    steady: steady::Steady,
    majorities: majority::Majorities,
    memberships: one_membership::Memberships,
    violations: Vec<Violation>,
}

/// One is enough to fail, a few help to understand.
const KEPT: usize = 10;

impl Invariants {
    /// Looks at a replica.
    pub fn see(&mut self, state: &ReplicaState<'_>) {
        let found = [
            (one_leader::NAME, self.leaders.see(state)),
            (one_digest::NAME, self.digests.see(state)),
            (steady::NAME, self.steady.see(state)),
            (majority::NAME, self.majorities.see(state)),
            (one_membership::NAME, self.memberships.see(state)),
        ];
        for (property, what) in found {
            if let Some(what) = what {
                self.report(property, what);
            }
        }
    }

    /// Notes that something does not hold.
    pub fn report(&mut self, property: &'static str, what: String) {
        if self.violations.len() < KEPT {
            self.violations.push(Violation { property, what });
        }
    }

    /// What did not hold.
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// States whose digest was compared with another replica's.
    pub fn compared(&self) -> u64 {
        self.digests.compared()
    }
}
