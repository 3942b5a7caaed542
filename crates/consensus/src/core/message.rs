//! A message between two replicas of a group, with an encoding of our own: the Raft library's decoder never
//! sees bytes from outside.

use super::entry::{Entry, EntryKind, kind_of};
use raft::eraftpb::{self, MessageType};
use vectron_base::ids::{GroupId, ReplicaId};

/// A message between two replicas of a group. It is carried to whoever hosts the replica [`Message::to`].
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    group: GroupId,
    /// The life of the sending process, drawn at random: what shares it shares a beat.
    pub(crate) process: u64,
    /// From a leader: what all members have of the log, so that nobody needs to keep it for them.
    pub(crate) everywhere: u64,
    body: Body,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Body {
    Raft(eraftpb::Message),
    Beat { from: u64, to: u64, pulses: Vec<Pulse> },
    Echo { from: u64, to: u64 },
}

/// A group at rest, as its leader's process tells that of a member with each beat. A beat is sent as a message
/// of the first group in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pulse {
    pub(crate) group: GroupId,
    pub(crate) from: ReplicaId,
    pub(crate) to: ReplicaId,
    pub(crate) term: u64,
    /// End of the log, which all members have and all of which is committed.
    pub(crate) index: u64,
}

/// Version of the encoding, its first byte.
const VERSION: u8 = 2;

/// The kinds that may travel, by their number in the encoding.
const KINDS: [MessageType; 13] = [
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
    // Without data: it tells a replica that it needs a snapshot.
    MessageType::MsgSnapshot,
];
const BEAT: u8 = 100;
const ECHO: u8 = 101;

impl Message {
    /// What the library wants sent. Of its snapshots only the position travels, in the message's own fields.
    pub(super) fn new(group: GroupId, mut inner: eraftpb::Message) -> Self {
        if inner.get_msg_type() == MessageType::MsgSnapshot {
            let meta = inner.take_snapshot().take_metadata();
            (inner.index, inner.log_term) = (meta.index, meta.term);
        }
        Self { group, process: 0, everywhere: 0, body: Body::Raft(inner) }
    }

    /// Tells a member's process which groups rest; `None` without any.
    pub(crate) fn beat(pulses: Vec<Pulse>) -> Option<Self> {
        let &Pulse { group, from, to, .. } = pulses.first()?;
        let body = Body::Beat { from: from.0, to: to.0, pulses };
        Some(Self { group, process: 0, everywhere: 0, body })
    }

    /// Answers a beat, in the name of one of the replicas that it was for.
    pub(crate) fn echo(pulse: &Pulse) -> Self {
        let body = Body::Echo { from: pulse.to.0, to: pulse.from.0 };
        Self { group: pulse.group, process: 0, everywhere: 0, body }
    }

    /// The groups of a beat.
    pub(crate) fn pulses(&self) -> Option<&[Pulse]> {
        if let Body::Beat { pulses, .. } = &self.body { Some(pulses) } else { None }
    }

    /// Whether it answers a beat.
    pub(crate) fn is_echo(&self) -> bool {
        matches!(self.body, Body::Echo { .. })
    }

    /// Whether it comes from a leader, as such.
    pub(crate) fn leads(&self) -> bool {
        let kinds = [MessageType::MsgHeartbeat, MessageType::MsgAppend];
        matches!(&self.body, Body::Raft(inner) if kinds.contains(&inner.get_msg_type()))
    }

    pub(super) fn into_inner(self) -> Option<eraftpb::Message> {
        if let Body::Raft(inner) = self.body { Some(inner) } else { None }
    }

    /// The group that it belongs to.
    pub fn group(&self) -> GroupId {
        self.group
    }

    /// The replica that sent it.
    pub fn from(&self) -> ReplicaId {
        ReplicaId(match &self.body {
            Body::Raft(inner) => inner.from,
            Body::Beat { from, .. } | Body::Echo { from, .. } => *from,
        })
    }

    /// The replica that it is for.
    pub fn to(&self) -> ReplicaId {
        ReplicaId(match &self.body {
            Body::Raft(inner) => inner.to,
            Body::Beat { to, .. } | Body::Echo { to, .. } => *to,
        })
    }

    /// The bytes that travel; empty for a kind that must not.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(160);
        let kind = match &self.body {
            Body::Raft(m) => {
                let Some(kind) = KINDS.iter().position(|kind| *kind == m.get_msg_type()) else {
                    return Vec::new();
                };
                kind as u8
            }
            Body::Beat { .. } => BEAT,
            Body::Echo { .. } => ECHO,
        };
        out.extend_from_slice(&[VERSION, kind]);
        put_numbers(&mut out, &[self.group.0, self.process, self.everywhere, self.from().0, self.to().0]);
        match &self.body {
            Body::Raft(m) => put_raft(&mut out, m),
            Body::Beat { pulses, .. } => {
                out.extend_from_slice(&(pulses.len() as u32).to_le_bytes());
                for pulse in pulses {
                    let Pulse { group, from, to, term, index } = pulse;
                    put_numbers(&mut out, &[group.0, from.0, to.0, *term, *index]);
                }
            }
            Body::Echo { .. } => {}
        }
        out
    }

    /// The message that `bytes` encode, if they do.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let [VERSION, kind] = *reader.take(2)? else { return None };
        let (group, process) = (GroupId(reader.number()?), reader.number()?);
        let (everywhere, from, to) = (reader.number()?, reader.number()?, reader.number()?);
        let body = match kind {
            BEAT => {
                let count = reader.length()?;
                let pulses = (0..count).map(|_| pulse(&mut reader)).collect::<Option<_>>()?;
                Body::Beat { from, to, pulses }
            }
            ECHO => Body::Echo { from, to },
            kind => {
                let mut m = eraftpb::Message { from, to, ..eraftpb::Message::default() };
                m.set_msg_type(*KINDS.get(usize::from(kind))?);
                take_raft(&mut reader, &mut m)?;
                Body::Raft(m)
            }
        };
        reader.0.is_empty().then_some(Self { group, process, everywhere, body })
    }
}

fn put_raft(out: &mut Vec<u8>, m: &eraftpb::Message) {
    let size: usize = m.entries.iter().map(|e| e.data.len() + 21).sum();
    out.reserve(m.context.len() + size);
    out.push(u8::from(m.reject));
    let positions = [m.term, m.log_term, m.index, m.commit, m.commit_term];
    put_numbers(out, &positions);
    put_numbers(out, &[m.request_snapshot, m.reject_hint, m.priority as u64]);
    put_bytes(out, &m.context);
    out.extend_from_slice(&(m.entries.len() as u32).to_le_bytes());
    for entry in &m.entries {
        put_numbers(out, &[entry.index, entry.term]);
        out.push(match kind_of(entry) {
            EntryKind::Command => 0,
            EntryKind::Noop => 1,
            EntryKind::Members => 2,
        });
        put_bytes(out, &entry.data);
    }
}

fn take_raft(from: &mut Reader<'_>, m: &mut eraftpb::Message) -> Option<()> {
    m.reject = flag(from.take(1)?)?;
    (m.term, m.log_term, m.index) = (from.number()?, from.number()?, from.number()?);
    (m.commit, m.commit_term) = (from.number()?, from.number()?);
    (m.request_snapshot, m.reject_hint) = (from.number()?, from.number()?);
    m.priority = from.number()? as i64;
    m.context = from.bytes()?.to_vec().into();
    let count = from.length()?;
    let mut entries = Vec::new();
    for _ in 0..count {
        let (index, term) = (from.number()?, from.number()?);
        let kind = match from.take(1)? {
            [0] => EntryKind::Command,
            [1] => EntryKind::Noop,
            [2] => EntryKind::Members,
            _ => return None,
        };
        let data = from.bytes()?;
        if kind == EntryKind::Noop && !data.is_empty() {
            return None;
        }
        entries.push(Entry::new(index, term, kind, data.to_vec()).0);
    }
    m.set_entries(entries.into());
    Some(())
}

fn pulse(from: &mut Reader<'_>) -> Option<Pulse> {
    Some(Pulse {
        group: GroupId(from.number()?),
        from: ReplicaId(from.number()?),
        to: ReplicaId(from.number()?),
        term: from.number()?,
        index: from.number()?,
    })
}

fn put_numbers(out: &mut Vec<u8>, numbers: &[u64]) {
    numbers.iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
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
            Entry::new(6, 9, EntryKind::Members, vec![1; 9]),
            Entry::new(7, 9, EntryKind::Members, Vec::new()),
        ];
        inner.set_entries(entries.into_iter().map(|e| e.0).collect::<Vec<_>>().into());
        let message = Message { process: 3, everywhere: 2, ..Message::new(GroupId(7), inner) };
        assert_eq!((message.from(), message.to()), (ReplicaId(1), ReplicaId(2)));
        assert_eq!(Message::decode(&message.encode()), Some(message));
        let pulse = Pulse { group: GroupId(7), from: ReplicaId(4), to: ReplicaId(5), term: 2, index: 9 };
        let beat = Message::beat(vec![pulse, Pulse { group: GroupId(8), ..pulse }]).unwrap();
        let echo = Message::echo(&pulse);
        assert_eq!((beat.group(), beat.to(), echo.to()), (GroupId(7), ReplicaId(5), ReplicaId(4)));
        assert_eq!(Message::decode(&beat.encode()), Some(beat.clone()));
        assert_eq!(Message::decode(&echo.encode()), Some(echo));
    }

    #[test]
    fn of_a_snapshot_only_the_position_travels() {
        let mut inner = eraftpb::Message { from: 1, to: 2, term: 9, ..Default::default() };
        inner.set_msg_type(MessageType::MsgSnapshot);
        inner.mut_snapshot().mut_metadata().index = 40;
        inner.mut_snapshot().mut_metadata().term = 8;
        let travelled = Message::decode(&Message::new(GroupId(7), inner).encode()).unwrap();
        let inner = travelled.into_inner().unwrap();
        assert_eq!((inner.index, inner.log_term, inner.has_snapshot()), (40, 8, false));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Message::decode(&bytes);
            for kind in [0, BEAT, ECHO] {
                if bytes.len() > 42 {
                    bytes[..2].copy_from_slice(&[VERSION, kind]);
                    bytes[42] = 0;
                    let _ = Message::decode(&bytes);
                }
            }
        }
    }
}
