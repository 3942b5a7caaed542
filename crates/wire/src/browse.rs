//! Reads that go over a shard's points without a query: values of a field, points at random or by a field, and
//! how many pass a filter, about.

use crate::worker::{Include, PointRecord, ReadLevel, Target};
use std::sync::Arc;
use vectron_base::filter::{FieldValue, Filter};

/// One such read of one shard.
#[derive(Clone, Debug)]
pub struct ShardBrowse {
    /// Where.
    pub target: Target,
    /// How fresh.
    pub read: ReadLevel,
    /// Only points that pass.
    pub filter: Option<Arc<Filter>>,
    /// What is wanted of them.
    pub what: Browse,
    /// How long the caller waits.
    pub timeout_ms: u64,
}

/// What is wanted of the points that pass.
#[derive(Clone, Debug, PartialEq)]
pub enum Browse {
    /// The values of a field with the number of points that have each, most first, equal numbers by value.
    Facet {
        /// Dotted path.
        field: String,
        /// How many values at most.
        limit: usize,
    },
    /// Points by chance: those with the lowest ranks, where a point's rank is a hash of its state and the seed.
    Sample {
        /// Another seed gives other points.
        seed: u64,
        /// How many at most.
        limit: usize,
        /// What of them.
        include: Include,
    },
    /// Points by their value of a field, then by id; those without a value last, by id.
    Ordered {
        /// What they are ordered by.
        order: FieldOrder,
        /// Only points after this place.
        after: Option<OrderPlace>,
        /// How many at most.
        limit: usize,
        /// What of them.
        include: Include,
    },
    /// How many there are, by what payload indexes say at once.
    Estimate,
}

/// An order of points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldOrder {
    /// Dotted path. Of several values the one that comes first counts.
    pub field: String,
    /// Largest first.
    pub descending: bool,
}

impl FieldOrder {
    /// Which of two places comes first.
    pub fn compare(&self, a: &OrderPlace, b: &OrderPlace) -> std::cmp::Ordering {
        let by_value = match (&a.value, &b.value) {
            (Some(a), Some(b)) if self.descending => b.cmp(a),
            (Some(a), Some(b)) => a.cmp(b),
            (a, b) => b.is_some().cmp(&a.is_some()),
        };
        by_value.then_with(|| a.id.cmp(&b.id))
    }
}

/// Where a point stands in an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderPlace {
    /// Its value, if it has one.
    pub value: Option<FieldValue>,
    /// Its id.
    pub id: String,
}

/// A value and how many points have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FacetValue {
    /// The value.
    pub value: FieldValue,
    /// Points.
    pub count: u64,
}

/// A point that was chosen by chance.
#[derive(Clone, Debug, PartialEq)]
pub struct SampledPoint {
    /// Lower comes first.
    pub rank: u64,
    /// The point.
    pub point: PointRecord,
}

/// A point with the value that it was ordered by.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderedPoint {
    /// Its value, if it has one.
    pub value: Option<FieldValue>,
    /// The point.
    pub point: PointRecord,
}

/// What such a read found.
#[derive(Clone, Debug, PartialEq)]
pub struct ShardBrowsed {
    /// The answer, of the kind that was asked for.
    pub found: Browsed,
    /// Fields of the filter without a ready index.
    pub unindexed: Vec<String>,
}

/// The answers to [`Browse`].
#[derive(Clone, Debug, PartialEq)]
pub enum Browsed {
    /// The values of a field.
    Facet {
        /// Most points first.
        values: Vec<FacetValue>,
        /// Whether there are others.
        more: bool,
        /// Whether a payload index gave them.
        indexed: bool,
    },
    /// By rank.
    Sample(Vec<SampledPoint>),
    /// In the order asked for.
    Ordered {
        /// The points.
        points: Vec<OrderedPoint>,
        /// Whether the shard has more after them.
        more: bool,
    },
    /// How many points pass.
    Estimate {
        /// No fewer.
        low: u64,
        /// No more.
        high: u64,
        /// The best guess.
        expected: u64,
    },
}
