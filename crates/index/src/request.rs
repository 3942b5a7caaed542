//! What is asked of a search and what it answers.

use crate::flat::Best;
use crate::graph::{Pool, Visited};
use crate::params::{Hit, Row};
use crate::quantize::CodeProbe;
use crate::rowset::RowSet;

/// What to find.
#[derive(Clone, Copy, Debug)]
pub struct SearchRequest<'a> {
    /// Hits wanted.
    pub k: usize,
    /// Pool size of a traversal: more is slower and finds more. At least `k` is used. What is
    /// looked at depends on `ef` and not on `k`, so with one `ef` that is at least twice `k` the
    /// best five are the first five of the best ten.
    pub ef: usize,
    /// Scan the full vectors of everything and return the true best.
    pub exact: bool,
    /// Rows that may be returned; all live rows if `None`. Rows that are not live do no harm.
    pub allowed: Option<&'a RowSet>,
}

/// How a query was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// All (allowed) live rows were scanned.
    Flat,
    /// The graph was traversed; under a filter that most rows pass, matches were collected.
    Graph,
    /// The graph was traversed from match to match in two-hop steps.
    GraphFiltered,
    /// The rows the filter matches were scanned.
    ScanAllowed,
    /// A traversal spent its budget or found too little, and the matching rows were scanned.
    ScanAfterBudget,
}

impl Plan {
    /// Stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Plan::Flat => "flat",
            Plan::Graph => "graph",
            Plan::GraphFiltered => "graph_filtered",
            Plan::ScanAllowed => "scan_allowed",
            Plan::ScanAfterBudget => "scan_after_budget",
        }
    }
}

/// What a search cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SearchStats {
    /// Rows that the filter matches and that are live: what the plan was chosen by.
    pub matching: u64,
    /// Distances computed, by codes where there are any.
    pub distances: u64,
    /// Vertices whose links were followed.
    pub hops: u64,
    /// Rows of the tail scanned.
    pub tail_scanned: u64,
    /// Rows looked at, measured or not.
    pub visited: u64,
    /// Those of the rows looked at by a two-hop traversal that matched: with `visited` the pass
    /// rate it saw.
    pub passed: u64,
    /// Rows whose rank was bounded from their code.
    pub bounded: u64,
    /// Rows whose full vector was compared, scans of full vectors left aside.
    pub rescored: u64,
    /// Rows left out because their full vector could not be read.
    pub unreadable: u64,
    /// Bytes of codes, vectors and links that all this takes to read. Computed, not measured.
    pub bytes: u64,
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchOutcome {
    /// Best first; equal scores by row. Scores are finite, and those of full vectors.
    pub hits: Vec<Hit>,
    /// Further rows that score what the last hit does, by row: all of them if the search was
    /// exact, else those that it came across.
    pub ties: Vec<Hit>,
    /// Rows that score what the last hit does may have been missed: nothing that was come across is
    /// worse.
    pub ties_cut: bool,
    /// How they were found.
    pub plan: Plan,
    /// What it cost.
    pub stats: SearchStats,
}

/// Buffers of searches and plans, reused from one to the next. One per thread; fits any index.
#[derive(Default)]
pub struct Scratch {
    pub(crate) visited: Visited,
    pub(crate) pool: Pool,
    /// Rows about to be measured.
    pub(crate) fresh: Vec<Row>,
    /// Rows passed through without being measured.
    pub(crate) bridges: Vec<Row>,
    /// Key of each visited row.
    pub(crate) memo: Vec<f32>,
    pub(crate) probes: Probes,
    pub(crate) answer: Answer,
    /// A row that traversals do not see.
    pub(crate) hidden: Option<Row>,
}

/// What probes are made in: taken out of a scratch while it is in use.
#[derive(Default)]
pub(crate) struct Probes {
    pub prepared: Vec<f32>,
    pub code: CodeProbe,
    /// Of the rows that a row's neighbours are compared with.
    pub other: CodeProbe,
}

/// What an answer is made in.
#[derive(Default)]
pub(crate) struct Answer {
    pub best: Best,
    /// Rows that may be among the best, with the key they were found by.
    pub candidates: Vec<(f32, Row)>,
    /// Least ranks of candidates, packed.
    pub bounds: Vec<u64>,
    /// The lowest keys of a scan.
    pub lowest: Best,
    /// A vector read from the caller.
    pub read: Vec<f32>,
}

impl Scratch {
    /// Empty buffers; they grow with use.
    pub fn new() -> Self {
        Self::default()
    }
}
