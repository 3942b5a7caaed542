//! What clients note while shards may split: the history is made of it when it is known which shard came from which.

use crate::history::{Count, Ended, Final, History, Owners, Positions, Read, Search, Write};
use serde_json::Value;
use std::collections::BTreeMap;
use vectron_base::clock::Tick;

/// Operations as they were answered.
#[derive(Default)]
pub struct Notes {
    /// Sendings with the positions of their tokens; those that were applied say no index yet.
    pub writes: Vec<(Write, Option<Positions>)>,
    /// Reads with all positions of their tokens.
    pub reads: Vec<Read>,
    /// Searches.
    pub searches: Vec<Search>,
    /// Counts.
    pub counts: Vec<Count>,
    /// Operations by kind and outcome.
    pub figures: BTreeMap<(&'static str, &'static str), u64>,
}

impl Notes {
    /// One more of this kind and outcome.
    pub fn count(&mut self, kind: &'static str, outcome: &'static str) {
        *self.figures.entry((kind, outcome)).or_default() += 1;
    }

    /// The least index at which each shard was seen.
    fn begins(&self) -> BTreeMap<u64, u64> {
        let written = self.writes.iter().filter_map(|(_, token)| token.as_ref());
        let read = self.reads.iter().map(|read| &read.delivered.positions);
        let searched = self.searches.iter().map(|search| &search.delivered.positions);
        let counted = self.counts.iter().map(|count| &count.delivered.positions);
        let mut begins: BTreeMap<u64, u64> = BTreeMap::new();
        for (shard, index) in written.chain(read).chain(searched).chain(counted).flat_map(|of| &of.0) {
            let least = begins.entry(*shard).or_insert(*index);
            *least = (*least).min(*index);
        }
        begins
    }

    /// The history, for the shards as they are at the end.
    pub fn history(self, owners: Owners, finals: Vec<Final>) -> History {
        let mut history = History::new(usize::MAX);
        history.owners = Owners { begins: self.begins(), ..owners };
        for (mut write, token) in self.writes {
            if let Ended::Applied(_) = write.ended {
                write.ended = Ended::Applied(token.and_then(|token| history.position(write.id, &token)));
            }
            history.writes.push(write);
        }
        for mut read in self.reads {
            // A token goes on with what the one before had seen of other shards, which the answer says nothing of.
            let place = history.owners.place(history.owners.owner(read.id), &read.delivered.positions);
            read.delivered.positions = Positions(place.into_iter().collect());
            history.reads.push(read);
        }
        history.searches = self.searches;
        history.counts = self.counts;
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
}
