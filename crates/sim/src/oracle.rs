//! What must be there: for each id what was acknowledged last, and what may have happened since.
//!
//! Every id is written by one client, which waits for each answer. So an id has at most one write in doubt, and
//! after a crash it must hold either what was acknowledged or what was in doubt.

use std::collections::BTreeMap;
use vectron_wire::routing::hash_of_id;

/// Content of a point.
#[derive(Clone, Debug, PartialEq)]
pub struct Content {
    /// Its vector: small whole numbers, so that squared distances are exact.
    pub vector: Vec<f32>,
    /// Its JSON text.
    pub payload: String,
}

/// One id's truth.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Truth {
    /// As of the last acknowledged write; `None` when the point must not be there.
    pub acknowledged: Option<Content>,
    /// Version of the last acknowledged write of the point.
    pub version: u64,
    /// A write whose outcome is not known.
    pub in_doubt: Option<Doubt>,
}

/// A write that may have happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Doubt {
    /// The request that it belongs to: what of it went to one shard happened wholly or not at all.
    pub request: u64,
    /// What it would leave.
    pub content: Option<Content>,
}

/// All ids of one collection.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Oracle {
    truths: BTreeMap<String, Truth>,
}

impl Oracle {
    /// A write is on its way.
    pub fn begin(&mut self, request: u64, id: &str, content: Option<Content>) {
        self.truths.entry(id.to_string()).or_default().in_doubt = Some(Doubt { request, content });
    }

    /// The write was acknowledged.
    pub fn acknowledge(&mut self, id: &str) {
        let truth = self.truths.entry(id.to_string()).or_default();
        if let Some(doubt) = truth.in_doubt.take() {
            truth.acknowledged = doubt.content;
        }
    }

    /// Whether an id has a write in doubt.
    pub fn doubtful(&self, id: &str) -> bool {
        self.truths.get(id).is_some_and(|t| t.in_doubt.is_some())
    }

    /// Whether any id with this prefix has a write in doubt.
    pub fn any_doubtful(&self, prefix: &str) -> bool {
        self.truths.iter().any(|(id, t)| id.starts_with(prefix) && t.in_doubt.is_some())
    }

    /// The write did not happen and never will.
    pub fn refuse(&mut self, id: &str) {
        self.truths.entry(id.to_string()).or_default().in_doubt = None;
    }

    /// The ids that were ever written.
    pub fn ids(&self) -> Vec<String> {
        self.truths.keys().cloned().collect()
    }

    /// What is known of an id.
    pub fn truth(&self, id: &str) -> Truth {
        self.truths.get(id).cloned().unwrap_or_default()
    }

    /// What an id must hold, when nothing is in doubt.
    pub fn expected(&self, id: &str) -> Option<&Content> {
        self.truths.get(id).and_then(|t| t.acknowledged.as_ref())
    }

    /// Points that must be there, in id order.
    pub fn present(&self) -> impl Iterator<Item = (&String, &Content)> {
        self.truths.iter().filter_map(|(id, t)| t.acknowledged.as_ref().map(|c| (id, c)))
    }

    /// Settles an id on what was found after a crash; if it had a write in doubt, which request that was and
    /// whether it happened.
    ///
    /// # Panics
    /// When what was found is neither what was acknowledged nor what was in doubt, or is an older version.
    pub fn settle(&mut self, id: &str, found: Option<(Content, u64)>) -> Option<(u64, bool)> {
        let truth = self.truths.entry(id.to_string()).or_default();
        let content = found.as_ref().map(|(content, _)| content.clone());
        let doubt = truth.in_doubt.take();
        let happened = doubt.as_ref().is_some_and(|doubt| doubt.content == content);
        assert!(
            happened || content == truth.acknowledged,
            "{id}: found {content:?}, acknowledged {:?}, in doubt {doubt:?}",
            truth.acknowledged,
        );
        if let Some((_, version)) = found {
            assert!(version >= truth.version, "{id}: version {version} after {}", truth.version);
            assert!(!happened || version > truth.version, "{id}: a new write under version {version} again");
            truth.version = version;
        }
        // A delete of what was not there leaves no sign of whether it happened.
        let telling = doubt.as_ref().is_some_and(|doubt| doubt.content != truth.acknowledged);
        truth.acknowledged = content;
        doubt.filter(|_| telling).map(|doubt| (doubt.request, happened))
    }

    /// Ids of the `k` nearest acknowledged points to `query` by Euclidean distance, ties by id.
    pub fn nearest(&self, query: &[f32], k: usize, keep: impl Fn(&Content) -> bool) -> Vec<String> {
        let mut all: Vec<(f32, &String)> = self
            .present()
            .filter(|(_, c)| keep(c))
            .map(|(id, c)| (squared_distance(query, &c.vector), id))
            .collect();
        all.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(b.1)));
        all.into_iter().take(k).map(|(_, id)| id.clone()).collect()
    }
}

fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum()
}

/// Which of `shards` equal ranges owns an id.
pub fn shard_of(id: &str, shards: u32) -> usize {
    let ranges = vectron_wire::routing::equal_ranges(shards);
    ranges.partition_point(|(_, last)| *last < hash_of_id(id))
}
