//! Who takes part in a group, and how that may change.

use std::collections::BTreeSet;
use vectron_base::ids::ReplicaId;

/// Who takes part in a group. Lists are sorted.
///
/// While two sets of voters decide together (joint consensus: Ongaro, "Consensus: Bridging Theory and Practice",
/// section 4.3), `voters` is the new set and `voters_outgoing` the old one; otherwise the latter is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// Replicas that vote and count for a majority.
    pub voters: Vec<ReplicaId>,
    /// Replicas that receive the log and neither vote nor count.
    pub learners: Vec<ReplicaId>,
    /// The voters of before, while both sets decide.
    pub voters_outgoing: Vec<ReplicaId>,
    /// Outgoing voters that will be learners.
    pub learners_next: Vec<ReplicaId>,
    /// Whether the leader ends the joint phase by itself.
    pub auto_leave: bool,
}

impl Members {
    /// Voters only.
    pub fn of_voters(voters: impl IntoIterator<Item = ReplicaId>) -> Self {
        let voters: BTreeSet<ReplicaId> = voters.into_iter().collect();
        Self { voters: voters.into_iter().collect(), ..Self::default() }
    }

    /// Everybody who receives the log.
    pub fn all(&self) -> BTreeSet<ReplicaId> {
        let lists = [&self.voters, &self.learners, &self.voters_outgoing, &self.learners_next];
        lists.into_iter().flatten().copied().collect()
    }

    /// Whether `replica` receives the log.
    pub fn contains(&self, replica: ReplicaId) -> bool {
        self.learners.contains(&replica) || self.votes(replica)
    }

    /// Whether `replica` counts for a majority now.
    pub fn votes(&self, replica: ReplicaId) -> bool {
        self.voters.contains(&replica) || self.voters_outgoing.contains(&replica)
    }

    /// Whether two sets of voters decide together.
    pub fn joint(&self) -> bool {
        !self.voters_outgoing.is_empty()
    }

    /// Why `changes` cannot be made to these members, which are not joint.
    pub(crate) fn objection(&self, changes: &[MemberChange]) -> Option<&'static str> {
        let ids: BTreeSet<ReplicaId> = changes.iter().map(MemberChange::replica).collect();
        if ids.contains(&ReplicaId(0)) {
            return Some("replica ids start at 1");
        }
        if ids.len() != changes.len() {
            return Some("a replica is named twice");
        }
        if changes.iter().all(|change| self.has(change)) {
            return Some("the members are so already");
        }
        self.voters_after(changes).is_empty().then_some("no voter would be left")
    }

    /// The voters once `changes` are made.
    pub(crate) fn voters_after(&self, changes: &[MemberChange]) -> BTreeSet<ReplicaId> {
        let mut voters: BTreeSet<ReplicaId> = self.voters.iter().copied().collect();
        for change in changes {
            match change {
                MemberChange::AddVoter(replica) => voters.insert(*replica),
                MemberChange::AddLearner(replica) | MemberChange::Remove(replica) => voters.remove(replica),
            };
        }
        voters
    }

    fn has(&self, change: &MemberChange) -> bool {
        match change {
            MemberChange::AddLearner(replica) => self.learners.contains(replica),
            MemberChange::AddVoter(replica) => self.voters.contains(replica),
            MemberChange::Remove(replica) => !self.contains(*replica),
        }
    }
}

/// One change of a group's members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberChange {
    /// Adds a replica that does not vote, or takes a voter's vote away.
    AddLearner(ReplicaId),
    /// Adds a voter, or gives a learner its vote.
    AddVoter(ReplicaId),
    /// Takes a replica out.
    Remove(ReplicaId),
}

/// Bytes of one change in an entry.
const CHANGE_BYTES: usize = 9;

impl MemberChange {
    /// The replica that is changed.
    pub fn replica(&self) -> ReplicaId {
        match self {
            Self::AddLearner(replica) | Self::AddVoter(replica) | Self::Remove(replica) => *replica,
        }
    }

    /// The content of the entry that makes these changes. None at all end a joint phase.
    pub(crate) fn encode(changes: &[Self]) -> Vec<u8> {
        let mut out = Vec::with_capacity(changes.len() * CHANGE_BYTES);
        for change in changes {
            out.push(match change {
                Self::AddLearner(_) => 1,
                Self::AddVoter(_) => 2,
                Self::Remove(_) => 3,
            });
            out.extend_from_slice(&change.replica().0.to_le_bytes());
        }
        out
    }

    /// The changes that `bytes` encode, if they do.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Vec<Self>> {
        let (changes, rest) = bytes.as_chunks::<CHANGE_BYTES>();
        let change = |[kind, id @ ..]: &[u8; CHANGE_BYTES]| {
            let replica = ReplicaId(u64::from_le_bytes(*id));
            match kind {
                1 => Some(Self::AddLearner(replica)),
                2 => Some(Self::AddVoter(replica)),
                3 => Some(Self::Remove(replica)),
                _ => None,
            }
        };
        rest.is_empty().then(|| changes.iter().map(change).collect()).flatten()
    }
}

/// A point of a log that a checkpoint covers: what a replica needs to go on from there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// The last entry that the checkpoint covers.
    pub index: u64,
    /// That entry's term.
    pub term: u64,
    /// The members as of that entry.
    pub members: Members,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const R: [ReplicaId; 5] = [ReplicaId(1), ReplicaId(2), ReplicaId(3), ReplicaId(4), ReplicaId(5)];

    #[test]
    fn changes_survive_their_encoding() {
        let changes =
            [MemberChange::AddLearner(R[3]), MemberChange::Remove(R[0]), MemberChange::AddVoter(R[1])];
        let bytes = MemberChange::encode(&changes);
        assert_eq!(MemberChange::decode(&bytes), Some(changes.to_vec()));
        assert_eq!(MemberChange::decode(&bytes[1..]), None);
        assert_eq!(MemberChange::decode(&[]), Some(Vec::new()));
    }

    #[test]
    fn what_would_leave_no_voter_or_change_nothing_is_refused() {
        let members = Members { learners: vec![R[2]], ..Members::of_voters([R[0], R[1]]) };
        let objection = |changes: &[MemberChange]| members.objection(changes).is_some();
        assert!(objection(&[MemberChange::Remove(R[0]), MemberChange::AddLearner(R[1])]));
        assert!(objection(&[]) && objection(&[MemberChange::AddVoter(R[0]), MemberChange::Remove(R[4])]));
        assert!(objection(&[MemberChange::Remove(R[0]), MemberChange::AddVoter(R[0])]));
        assert!(objection(&[MemberChange::AddVoter(ReplicaId(0))]));
        assert!(!objection(&[MemberChange::Remove(R[0])]));
        assert!(!objection(&[
            MemberChange::Remove(R[0]),
            MemberChange::Remove(R[1]),
            MemberChange::AddVoter(R[2])
        ]));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = MemberChange::decode(&bytes);
        }
    }
}
