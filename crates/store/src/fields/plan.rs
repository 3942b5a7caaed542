//! A filter worked out with indexes: an estimate first, then the rows.
//!
//! Every part of a filter gives two sets: rows that surely match, and rows that may (a field without an index, a
//! value that the index does not take). Both pass through AND, OR and NOT, so whatever an index knows narrows
//! down what is left to be looked at, wherever in the filter it stands. Only the rows that still may match at
//! the top are looked at.

use super::Fields;
use super::field::{Answer, Field, Rows};
use super::sets::Set;
use std::collections::{BTreeMap, BTreeSet};
use vectron_base::filter::{Bound, Filter, Order, Test};
use vectron_index::RowSet;

/// How many points a filter matches, before looking.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FilterEstimate {
    /// No fewer than these match.
    pub low: u64,
    /// No more than these match.
    pub high: u64,
    /// The best guess, as if the filter's parts had nothing to do with each other. A part without an index
    /// counts as half.
    pub expected: u64,
}

/// How a filter was, or is to be, worked out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FilterTrace {
    /// `none`, `indexed`, `partly` or `unindexed`.
    pub plan: &'static str,
    pub estimated: Option<u64>,
    /// Fields of tests that no index answered, sorted.
    pub unindexed: Vec<String>,
    /// Payloads looked at.
    pub checked: u64,
}

impl FilterTrace {
    /// No filter.
    pub fn none() -> Self {
        Self { plan: "none", ..Self::default() }
    }
}

/// A filter taken apart, on one state of the indexes.
pub(crate) struct Plan<'a> {
    node: Node<'a>,
    live: &'a RowSet,
    /// Tests that indexes answer.
    served: usize,
    /// Fields of the others.
    unserved: BTreeSet<&'a str>,
}

enum Node<'a> {
    And(Vec<Node<'a>>),
    Or(Vec<Node<'a>>),
    Not(Box<Node<'a>>),
    Leaf(Answer<'a>),
}

/// An index with single values, and what they must compare as.
type Range<'a> = (&'a Field, Vec<(Order, &'a Bound)>);

/// Rows that match and rows that may. No row is in both.
struct Sets<'a> {
    sure: Set<'a>,
    open: Set<'a>,
}

/// Shares of all points.
#[derive(Clone, Copy)]
struct Share {
    low: f64,
    high: f64,
    expected: f64,
}

impl<'a> Plan<'a> {
    pub fn new(fields: &'a Fields, filter: &'a Filter) -> Plan<'a> {
        let node = Node::And(Vec::new());
        let mut plan = Plan { node, live: &fields.live, served: 0, unserved: BTreeSet::new() };
        plan.node = plan.take_apart(fields, filter);
        plan
    }

    pub fn trace(&self) -> FilterTrace {
        let plan = match (self.served, self.unserved.len()) {
            (0, 0) => "none",
            (_, 0) => "indexed",
            (0, _) => "unindexed",
            _ => "partly",
        };
        FilterTrace {
            plan,
            estimated: Some(self.estimate().expected),
            unindexed: self.unserved.iter().map(|field| field.to_string()).collect(),
            checked: 0,
        }
    }

    pub fn estimate(&self) -> FilterEstimate {
        let live = self.live.len() as f64;
        let share = self.node.share(live.max(1.0));
        let of = |share: f64| (share * live).round() as u64;
        FilterEstimate { low: of(share.low), high: of(share.high), expected: of(share.expected) }
    }

    /// Rows that match, and rows that have to be looked at.
    pub fn answer(&self) -> (RowSet, RowSet) {
        let Sets { sure, open } = self.node.sets(self.live);
        (sure.into_rows(self.live), open.into_rows(self.live))
    }

    fn take_apart(&mut self, fields: &'a Fields, filter: &'a Filter) -> Node<'a> {
        match filter {
            Filter::All => Node::Leaf(Answer { rows: Rows::All, sure: true, irregular: None, served: true }),
            Filter::And(parts) => self.conjunction(fields, parts),
            Filter::Or(parts) => Node::Or(parts.iter().map(|part| self.take_apart(fields, part)).collect()),
            Filter::Not(inner) => Node::Not(Box::new(self.take_apart(fields, inner))),
            Filter::Field { path, test } => {
                let node = match fields.ready(path) {
                    Some(field) => self.leaf(path, field.answer(test)),
                    None => self.unindexed(path),
                };
                match test {
                    Test::NotEqual(_) | Test::NotIn(_) | Test::Exists(false) => Node::Not(Box::new(node)),
                    _ => node,
                }
            }
        }
    }

    fn leaf(&mut self, path: &'a str, answer: Answer<'a>) -> Node<'a> {
        if answer.served {
            self.served += 1;
        } else {
            self.unserved.insert(path);
        }
        Node::Leaf(answer)
    }

    fn unindexed(&mut self, path: &'a str) -> Node<'a> {
        self.leaf(path, Answer { rows: Rows::All, sure: false, irregular: None, served: false })
    }

    /// Comparisons of one field with single values become one range.
    fn conjunction(&mut self, fields: &'a Fields, parts: &'a [Filter]) -> Node<'a> {
        let mut ranges: BTreeMap<&str, Range<'_>> = BTreeMap::new();
        let mut nodes = Vec::with_capacity(parts.len());
        for part in parts {
            if let Filter::Field { path, test: Test::Ordered(order, bound) } = part
                && let Some(field) = fields.ready(path).filter(|field| field.has_single_values())
            {
                ranges.entry(path).or_insert_with(|| (field, Vec::new())).1.push((*order, bound));
            } else {
                nodes.push(self.take_apart(fields, part));
            }
        }
        for (path, (field, tests)) in ranges {
            nodes.push(self.leaf(path, field.ordered(&tests)));
        }
        Node::And(nodes)
    }
}

impl<'a> Node<'a> {
    fn share(&self, live: f64) -> Share {
        match self {
            Node::Leaf(answer) => {
                let (low, high) = answer.rows.count(live);
                let irregular = answer.irregular.map_or(0, RowSet::len) as f64;
                let expected = if answer.sure { high } else { high / 2.0 } + irregular / 2.0;
                let low = if answer.sure { low } else { 0.0 };
                let share = |rows: f64| (rows / live).min(1.0);
                Share { low: share(low), high: share(high + irregular), expected: share(expected) }
            }
            Node::And(parts) => {
                let all = Share { low: 1.0, high: 1.0, expected: 1.0 };
                parts.iter().map(|part| part.share(live)).fold(all, |a, b| Share {
                    low: (a.low + b.low - 1.0).max(0.0),
                    high: a.high.min(b.high),
                    expected: a.expected * b.expected,
                })
            }
            Node::Or(parts) => {
                let none = Share { low: 0.0, high: 0.0, expected: 0.0 };
                parts.iter().map(|part| part.share(live)).fold(none, |a, b| Share {
                    low: a.low.max(b.low),
                    high: (a.high + b.high).min(1.0),
                    expected: a.expected + b.expected - a.expected * b.expected,
                })
            }
            Node::Not(inner) => {
                let Share { low, high, expected } = inner.share(live);
                Share { low: 1.0 - high, high: 1.0 - low, expected: 1.0 - expected }
            }
        }
    }

    fn sets(&self, live: &RowSet) -> Sets<'a> {
        match self {
            Node::Leaf(answer) => {
                let irregular = answer.irregular.map_or(Set::None, Set::borrowed);
                let rows = answer.rows.set();
                if answer.sure {
                    Sets { sure: rows, open: irregular }
                } else {
                    Sets { sure: Set::None, open: rows.or(irregular) }
                }
            }
            Node::And(parts) => {
                let mut found = Sets { sure: Set::All, open: Set::None };
                for part in parts {
                    found = found.and(part.sets(live), live);
                    if found.sure.is_none() && found.open.is_none() {
                        break;
                    }
                }
                found
            }
            Node::Or(parts) => {
                let mut found = Sets { sure: Set::None, open: Set::None };
                for part in parts {
                    let Sets { sure, open } = part.sets(live);
                    let sure = found.sure.or(sure);
                    found = Sets { open: found.open.or(open).without(&sure, live), sure };
                }
                found
            }
            Node::Not(inner) => {
                let Sets { sure, open } = inner.sets(live);
                Sets { sure: Set::All.without(&sure.or(open.clone()), live), open }
            }
        }
    }
}

impl<'a> Sets<'a> {
    fn and(self, other: Sets<'a>, live: &RowSet) -> Sets<'a> {
        if self.open.is_none() && other.open.is_none() {
            return Sets { sure: self.sure.and(other.sure), open: Set::None };
        }
        let possible = self.sure.clone().or(self.open).and(other.sure.clone().or(other.open));
        let sure = self.sure.and(other.sure);
        Sets { open: possible.without(&sure, live), sure }
    }
}

impl<'a> Rows<'a> {
    /// No fewer and no more rows than these; points there are `live` many.
    fn count(&self, live: f64) -> (f64, f64) {
        let (low, high) = match self {
            Rows::All => (live, live),
            Rows::None => (0.0, 0.0),
            Rows::Set(rows) => (rows.len() as f64, rows.len() as f64),
            Rows::Made(rows) => (rows.len() as f64, rows.len() as f64),
            Rows::Postings { postings, disjoint } => {
                let sum: u64 = postings.iter().map(|posting| posting.len()).sum();
                let most = postings.iter().map(|posting| posting.len()).max().unwrap_or(0);
                (if *disjoint { sum } else { most } as f64, sum as f64)
            }
            Rows::Span(spans, span) => {
                let (low, high) = spans.count(span);
                (low as f64, high as f64)
            }
            Rows::Any(parts) => parts.iter().map(|part| part.count(live)).fold((0.0, 0.0), |a, b| {
                let (low, high): (f64, f64) = (a.0, a.1);
                (low.max(b.0), high + b.1)
            }),
        };
        (low.min(live), high.min(live))
    }

    fn set(&self) -> Set<'a> {
        match self {
            Rows::All => Set::All,
            Rows::None => Set::None,
            Rows::Set(rows) => Set::borrowed(rows),
            Rows::Made(rows) => Set::owned(rows.clone()),
            Rows::Postings { postings, .. } => match postings.as_slice() {
                [posting] => posting.set(),
                postings => {
                    let mut found = RowSet::new();
                    postings.iter().for_each(|posting| posting.add_to(&mut found));
                    Set::owned(found)
                }
            },
            Rows::Span(spans, span) => Set::owned(spans.collect(span)),
            Rows::Any(parts) => parts.iter().fold(Set::None, |found, part| found.or(part.set())),
        }
    }
}
