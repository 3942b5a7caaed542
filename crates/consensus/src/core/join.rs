//! Entries for one follower that the library sends one proposal at a time, as one message: it is carried, stepped and
//! answered once. The library's own way to do so knows no bound, and what is too long for a link would never arrive.

use super::MESSAGE_BYTES;
use raft::eraftpb::{Message, MessageType};
use std::collections::BTreeMap;

/// What an entry weighs beyond its bytes.
const ENTRY_OVERHEAD: u64 = 12;

/// These messages in their order, appends to the same follower joined where one begins at the other's end, up to
/// [`MESSAGE_BYTES`].
pub(super) fn joined(messages: impl IntoIterator<Item = Message>) -> Vec<Message> {
    let mut out: Vec<Message> = Vec::new();
    // The last append to each follower: its place in `out` and its bytes.
    let mut last: BTreeMap<u64, (usize, u64)> = BTreeMap::new();
    for mut message in messages {
        if message.get_msg_type() != MessageType::MsgAppend {
            // Nothing to this follower is moved to before it.
            last.remove(&message.to);
            out.push(message);
            continue;
        }
        let bytes = bytes(&message);
        match last.get_mut(&message.to) {
            Some((at, sum)) if *sum + bytes <= MESSAGE_BYTES && follows(out.get(*at), &message) => {
                if let Some(before) = out.get_mut(*at) {
                    before.commit = before.commit.max(message.commit);
                    before.mut_entries().extend(message.take_entries());
                    *sum += bytes;
                }
            }
            _ => {
                last.insert(message.to, (out.len(), bytes));
                out.push(message);
            }
        }
    }
    out
}

fn bytes(message: &Message) -> u64 {
    message.entries.iter().map(|entry| entry.data.len() as u64 + ENTRY_OVERHEAD).sum()
}

/// Whether the entries of one append go on where those of another end.
fn follows(before: Option<&Message>, message: &Message) -> bool {
    before.is_some_and(|before| {
        let end = before.entries.last().map_or((before.index, before.log_term), |e| (e.index, e.term));
        before.term == message.term && end == (message.index, message.log_term)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::entry::{Entry, EntryKind};
    use proptest::prelude::*;

    fn append(to: u64, from: u64, sizes: &[usize], commit: u64) -> Message {
        let mut message = Message { to, term: 2, index: from - 1, log_term: 2, commit, ..Message::default() };
        message.set_msg_type(MessageType::MsgAppend);
        let entries = (from..)
            .zip(sizes)
            .map(|(index, size)| Entry::new(index, 2, EntryKind::Command, vec![index as u8; *size]).0);
        message.set_entries(entries.collect::<Vec<_>>().into());
        message
    }

    fn heartbeat(to: u64) -> Message {
        let mut message = Message { to, term: 2, ..Message::default() };
        message.set_msg_type(MessageType::MsgHeartbeat);
        message
    }

    #[test]
    fn appends_of_a_turn_are_joined_for_each_follower() {
        let messages =
            [append(1, 5, &[3], 4), append(2, 5, &[3], 4), append(1, 6, &[9, 9], 5), append(2, 6, &[], 5)];
        assert_eq!(joined(messages), [append(1, 5, &[3, 9, 9], 5), append(2, 5, &[3], 5)]);
    }

    #[test]
    fn what_does_not_go_on_there_stays_apart() {
        let gap = [append(1, 5, &[3], 4), append(1, 7, &[3], 4)];
        assert_eq!(joined(gap.clone()), gap);
        let again = [append(1, 5, &[3, 3], 4), append(1, 6, &[3], 4)];
        assert_eq!(joined(again.clone()), again);
        let mut later = append(1, 6, &[3], 4);
        later.term = 3;
        let terms = [append(1, 5, &[3], 4), later];
        assert_eq!(joined(terms.clone()), terms);
        let between = [append(1, 5, &[3], 4), heartbeat(1), append(1, 6, &[3], 4)];
        assert_eq!(joined(between.clone()), between);
        let half = MESSAGE_BYTES as usize / 2;
        let large = [append(1, 5, &[half], 4), append(1, 6, &[half], 4)];
        assert_eq!(joined(large.clone()), large);
    }

    proptest! {
        #[test]
        fn a_follower_gets_the_same_entries_in_the_same_order(
            turns in proptest::collection::vec((1u64..3, proptest::collection::vec(0usize..400_000, 0..4), any::<bool>()), 0..12)
        ) {
            let mut next = [1u64; 3];
            let mut messages = Vec::new();
            for (to, sizes, beat) in turns {
                messages.push(append(to, next[to as usize], &sizes, 0));
                next[to as usize] += sizes.len() as u64;
                messages.extend(beat.then(|| heartbeat(to)));
            }
            let out = joined(messages.clone());
            for to in 1..3 {
                let entries = |messages: &[Message]| -> Vec<u64> {
                    let own = messages.iter().filter(|m| m.to == to);
                    own.flat_map(|m| m.entries.iter().map(|e| e.index).collect::<Vec<_>>()).collect()
                };
                prop_assert_eq!(entries(&out), entries(&messages));
            }
            for message in &out {
                let single = message.entries.len() <= 1 || messages.contains(message);
                prop_assert!(single || bytes(message) <= MESSAGE_BYTES);
                let indexes = message.entries.iter().map(|e| e.index);
                prop_assert!(indexes.eq((message.index + 1..).take(message.entries.len())));
            }
        }
    }
}
