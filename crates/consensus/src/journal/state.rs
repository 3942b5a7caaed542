//! What a group must remember besides its entries, as one small record that is always written whole.

use crate::Members;
use crate::core::Vote;
use vectron_base::ids::ReplicaId;

/// A group's vote, members and log start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    /// Whose log this is.
    pub(crate) replica: ReplicaId,
    pub(crate) vote: Vote,
    /// Index and term of the last entry that a checkpoint covers: the log starts after it.
    pub(crate) start: (u64, u64),
    /// The members as of the log's start: changes after it are in the log, and counted from there.
    pub(crate) members: Members,
}

impl State {
    /// Appends the encoding.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let Vote { term, vote, commit } = self.vote;
        for number in [self.replica.0, term, vote, commit, self.start.0, self.start.1] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        let m = &self.members;
        for list in [&m.voters, &m.learners, &m.voters_outgoing, &m.learners_next] {
            out.extend_from_slice(&(list.len() as u32).to_le_bytes());
            for id in list {
                out.extend_from_slice(&id.0.to_le_bytes());
            }
        }
        out.push(u8::from(m.auto_leave));
    }

    /// The state that `bytes` encode, if they do.
    pub(crate) fn decode(mut bytes: &[u8]) -> Option<Self> {
        let from = &mut bytes;
        let replica = ReplicaId(number(from)?);
        let vote = Vote { term: number(from)?, vote: number(from)?, commit: number(from)? };
        let start = (number(from)?, number(from)?);
        let members = Members {
            voters: list(from)?,
            learners: list(from)?,
            voters_outgoing: list(from)?,
            learners_next: list(from)?,
            auto_leave: match take::<1>(from)? {
                [0] => false,
                [1] => true,
                _ => return None,
            },
        };
        bytes.is_empty().then_some(Self { replica, vote, start, members })
    }
}

fn take<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = from.split_first_chunk::<N>()?;
    *from = rest;
    Some(*taken)
}

fn number(from: &mut &[u8]) -> Option<u64> {
    take(from).map(u64::from_le_bytes)
}

fn list(from: &mut &[u8]) -> Option<Vec<ReplicaId>> {
    let count = u32::from_le_bytes(take(from)?);
    (0..count).map(|_| number(from).map(ReplicaId)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_state_survives_its_encoding() {
        let state = State {
            replica: ReplicaId(4),
            vote: Vote { term: 3, vote: 4, commit: 17 },
            start: (9, 2),
            members: Members {
                voters: vec![ReplicaId(4), ReplicaId(5)],
                learners: vec![ReplicaId(6)],
                auto_leave: true,
                ..Members::default()
            },
        };
        let mut bytes = Vec::new();
        state.encode(&mut bytes);
        assert_eq!(State::decode(&bytes), Some(state));
        assert_eq!(State::decode(&bytes[..bytes.len() - 1]), None);
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = State::decode(&bytes);
        }
    }
}
