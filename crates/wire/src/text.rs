//! Ranked text search: what is asked, and what scores rest on.

use crate::worker::{ReadLevel, Target};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Whether a point must have one of the words or all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TextOperator {
    /// One is enough.
    #[default]
    Or,
    /// All of them.
    And,
}

/// Words to look for in a field that has a text index.
#[derive(Clone, Debug, PartialEq)]
pub struct TextQuery {
    /// Dotted path of the field.
    pub field: String,
    /// Words; `"in quotes"` next to each other; `word*` for words that start so.
    pub text: String,
    /// One or all.
    pub operator: TextOperator,
    /// How fast another occurrence of a word counts less, 0 to 100.
    pub k1: f32,
    /// How much a text's length counts against it, 0 to 1.
    pub b: f32,
}

/// What scores of a query rest on: of one shard, or the sum of several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextStats {
    /// Points with a word in the field.
    pub points: u64,
    /// Words of all of them.
    pub words: u64,
    /// Points with each word of the query, as the shards' indexes make words; a prefix ends with `*`.
    pub terms: BTreeMap<String, u64>,
}

impl TextStats {
    /// Adds another shard's.
    pub fn add(&mut self, other: &TextStats) {
        self.points = self.points.saturating_add(other.points);
        self.words = self.words.saturating_add(other.words);
        for (term, points) in &other.terms {
            let sum = self.terms.entry(term.clone()).or_default();
            *sum = sum.saturating_add(*points);
        }
    }
}

/// A question for what scores of a query rest on in one shard.
#[derive(Clone, Debug)]
pub struct ShardTextStats {
    /// Where.
    pub target: Target,
    /// How fresh.
    pub read: ReadLevel,
    /// The query that is to be scored.
    pub query: Arc<TextQuery>,
    /// How long the caller waits.
    pub timeout_ms: u64,
}
