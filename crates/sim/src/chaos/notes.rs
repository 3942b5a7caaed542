//! What clients note while shards may split: the history is made of it when it is known which shard came from which.

use crate::history::{Ended, Final, History, Owners, Write};
use serde_json::Value;
use std::collections::BTreeMap;
use vectron_base::clock::Tick;

/// Operations as they were answered.
pub struct Notes {
    /// Of which states answers told is resolved at the end.
    pub history: History,
    /// Operations by kind and outcome.
    pub figures: BTreeMap<(&'static str, &'static str), u64>,
}

impl Default for Notes {
    fn default() -> Self {
        Self { history: History::new(usize::MAX), figures: BTreeMap::new() }
    }
}

impl Notes {
    /// One more of this kind and outcome.
    pub fn count(&mut self, kind: &'static str, outcome: &'static str) {
        *self.figures.entry((kind, outcome)).or_default() += 1;
    }

    /// The history, for the shards as they are at the end.
    pub fn history(self, owners: Owners, finals: Vec<Final>) -> History {
        let mut history = self.history;
        let begins = history.begins();
        history.resolve(Owners { begins, ..owners });
        history.finals = finals;
        history
    }
}

/// Which shard came from which, out of the lists of shards in the order in which they were seen.
#[derive(Clone, Debug, Default)]
pub struct Lineage {
    ranges: BTreeMap<u64, (u64, u64)>,
    parents: BTreeMap<u64, u64>,
}

fn hash(value: &Value) -> Option<u64> {
    u64::from_str_radix(value.as_str()?, 16).ok()
}

impl Lineage {
    /// A list of shards as `/v1/admin/shards` answers it.
    pub fn see(&mut self, answer: &Value) {
        let mut ranges = BTreeMap::new();
        for shard in answer["shards"].as_array().into_iter().flatten() {
            let (Some(id), Some(first), Some(last)) =
                (shard["shard"].as_u64(), hash(&shard["first"]), hash(&shard["last"]))
            else {
                continue;
            };
            if let Some(child) = shard["splits_off"].as_u64() {
                self.parents.insert(child, id);
            }
            let within = |(_, range): &(&u64, &(u64, u64))| range.0 <= first && last <= range.1;
            if !self.ranges.contains_key(&id)
                && let Some((parent, _)) = self.ranges.iter().find(within)
            {
                self.parents.entry(id).or_insert(*parent);
            }
            ranges.insert(id, (first, last));
        }
        // A gateway behind the others may answer with shards of before; ranges only shrink.
        let older = self
            .ranges
            .iter()
            .any(|(id, range)| ranges.get(id).is_none_or(|now| range.1 - range.0 < now.1 - now.0));
        if !ranges.is_empty() && !older {
            self.ranges = ranges;
        }
    }

    /// How many shards there are.
    pub fn shards(&self) -> usize {
        self.ranges.len()
    }

    /// Who owns what.
    pub fn owners(&self) -> Owners {
        let mut shards: Vec<(u64, u64)> = self.ranges.iter().map(|(id, range)| (range.1, *id)).collect();
        shards.sort_unstable();
        Owners { shards, parents: self.parents.clone(), ..Owners::default() }
    }
}

/// Milliseconds from `moment` to the first write of a shard that began after it and was acknowledged.
pub fn outage_ms(history: &History, shard: u64, moment: Tick) -> Option<u64> {
    let of_shard = |write: &&Write| {
        write.span.invoked > moment
            && matches!(write.ended, Ended::Applied(_))
            && history.owners.owner(write.id) == shard
    };
    let first = history.writes.iter().filter(of_shard).map(|write| write.span.returned).min()?;
    u64::try_from(first.since(moment).as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Count, Delivered, Level, Positions, Span};
    use serde_json::json;

    #[test]
    fn a_split_is_known_by_its_range_and_an_old_answer_changes_nothing() {
        let whole = json!({"shards": [{"shard": 1, "first": "0", "last": "ffff"}]});
        let halves = json!({"shards": [{"shard": 1, "first": "0", "last": "7fff"},
            {"shard": 2, "first": "8000", "last": "ffff"}]});
        let mut lineage = Lineage::default();
        [&whole, &halves, &whole].into_iter().for_each(|answer| lineage.see(answer));
        let owners = lineage.owners();
        assert_eq!(owners.shards, vec![(0x7fff, 1), (0xffff, 2)]);
        assert_eq!(owners.position(2, &Positions(vec![(1, 9)])), Some(9));
        // Past the cut the parent's index is its own.
        let owners = Owners { begins: [(2, 7)].into(), ..owners };
        assert_eq!(owners.place(2, &Positions(vec![(1, 9)])), Some((1, 7)));
        assert_eq!(owners.place(2, &Positions(vec![(1, 9), (2, 8)])), Some((2, 8)));
    }

    #[test]
    fn a_shard_begins_where_it_was_seen_strictly() {
        let seen = |level, index| Count {
            span: Span { invoked: Tick(1), returned: Tick(2) },
            level,
            color: None,
            count: 0,
            delivered: Delivered { positions: Positions(vec![(2, index)]), staleness_ms: 0 },
        };
        let mut notes = Notes::default();
        let early = seen(Level::Eventual, 72);
        notes.history.counts = vec![early, seen(Level::Linearizable, 85), seen(Level::Linearizable, 84)];
        assert_eq!(notes.history(Owners::default(), Vec::new()).owners.begins, BTreeMap::from([(2, 84)]));
    }
}
