//! A message between two replicas of a group, with an encoding of our own: the Raft library's decoder never
//! sees bytes from outside.

use super::entry::{Entry, EntryKind};
use raft::eraftpb::{self, MessageType};
use vectron_base::ids::{GroupId, ReplicaId};

/// A message between two replicas of a group.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    group: GroupId,
    inner: eraftpb::Message,
}

/// Version of the encoding, its first byte.
const VERSION: u8 = 1;

/// The kinds that may travel, by their number in the encoding.
const KINDS: [MessageType; 12] = [
    MessageType::MsgAppend,
    MessageType::MsgAppendResponse,
    MessageType::MsgRequestVote,
    MessageType::MsgRequestVoteResponse,
    MessageType::MsgRequestPreVote,
    MessageType::MsgRequestPreVoteResponse,
    MessageType::MsgHeartbeat,
    MessageType::MsgHeartbeatResponse,
    MessageType::MsgTimeoutNow,
    MessageType::MsgReadIndex,
    MessageType::MsgReadIndexResp,
    MessageType::MsgTransferLeader,
];

impl Message {
    pub(super) fn new(group: GroupId, inner: eraftpb::Message) -> Self {
        Self { group, inner }
    }

    pub(super) fn into_inner(self) -> eraftpb::Message {
        self.inner
    }

    /// The group that it belongs to.
    pub fn group(&self) -> GroupId {
        self.group
    }

    /// The replica that sent it.
    pub fn from(&self) -> ReplicaId {
        ReplicaId(self.inner.from)
    }

    /// The replica that it is for.
    pub fn to(&self) -> ReplicaId {
        ReplicaId(self.inner.to)
    }

    /// The bytes that travel; empty for a kind that must not.
    pub fn encode(&self) -> Vec<u8> {
        let m = &self.inner;
        let Some(kind) = KINDS.iter().position(|kind| *kind == m.get_msg_type()) else { return Vec::new() };
        let size: usize = m.entries.iter().map(|e| e.data.len() + 21).sum();
        let mut out = Vec::with_capacity(128 + m.context.len() + size);
        out.extend_from_slice(&[VERSION, kind as u8, u8::from(m.reject)]);
        let numbers = [
            self.group.0,
            m.from,
            m.to,
            m.term,
            m.log_term,
            m.index,
            m.commit,
            m.commit_term,
            m.request_snapshot,
            m.reject_hint,
            m.priority as u64,
        ];
        for number in numbers {
            out.extend_from_slice(&number.to_le_bytes());
        }
        put_bytes(&mut out, &m.context);
        out.extend_from_slice(&(m.entries.len() as u32).to_le_bytes());
        for entry in &m.entries {
            out.extend_from_slice(&entry.index.to_le_bytes());
            out.extend_from_slice(&entry.term.to_le_bytes());
            let noop = entry.data.is_empty() && entry.context.is_empty();
            out.push(u8::from(noop));
            put_bytes(&mut out, &entry.data);
        }
        out
    }

    /// The message that `bytes` encode, if they do.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Reader(bytes);
        if from.take(1)? != [VERSION] {
            return None;
        }
        let mut m = eraftpb::Message::default();
        m.set_msg_type(*KINDS.get(usize::from(*from.take(1)?.first()?))?);
        m.reject = flag(from.take(1)?)?;
        let group = GroupId(from.number()?);
        m.from = from.number()?;
        m.to = from.number()?;
        m.term = from.number()?;
        m.log_term = from.number()?;
        m.index = from.number()?;
        m.commit = from.number()?;
        m.commit_term = from.number()?;
        m.request_snapshot = from.number()?;
        m.reject_hint = from.number()?;
        m.priority = from.number()? as i64;
        m.context = from.bytes()?.to_vec().into();
        let count = from.length()?;
        let mut entries = Vec::new();
        for _ in 0..count {
            let (index, term) = (from.number()?, from.number()?);
            let kind = if flag(from.take(1)?)? { EntryKind::Noop } else { EntryKind::Command };
            let data = from.bytes()?;
            if kind == EntryKind::Noop && !data.is_empty() {
                return None;
            }
            entries.push(Entry::new(index, term, kind, data.to_vec()).0);
        }
        m.set_entries(entries.into());
        from.0.is_empty().then_some(Self { group, inner: m })
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

fn flag(byte: &[u8]) -> Option<bool> {
    match byte {
        [0] => Some(false),
        [1] => Some(true),
        _ => None,
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn length(&mut self) -> Option<usize> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?) as usize)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let count = self.length()?;
        self.take(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_message_survives_its_encoding() {
        let mut inner = eraftpb::Message { from: 1, to: 2, term: 9, commit: 4, ..Default::default() };
        inner.set_msg_type(MessageType::MsgAppend);
        inner.context = vec![5; 3].into();
        let entries = [
            Entry::new(3, 9, EntryKind::Noop, Vec::new()),
            Entry::new(4, 9, EntryKind::Command, vec![1; 40]),
            Entry::new(5, 9, EntryKind::Command, Vec::new()),
        ];
        inner.set_entries(entries.into_iter().map(|e| e.0).collect::<Vec<_>>().into());
        let message = Message::new(GroupId(7), inner);
        assert_eq!(Message::decode(&message.encode()), Some(message));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Message::decode(&bytes);
            if bytes.len() > 2 {
                bytes[..3].copy_from_slice(&[VERSION, 0, 0]);
                let _ = Message::decode(&bytes);
            }
        }
    }
}
