//! Traversals: greedy descent through the upper layers and best-first search of one layer
//! (HNSW Alg. 2), with a two-hop form for filters (ACORN-1: Patel et al. 2024, "ACORN: Performant
//! and Predicate-Agnostic Search Over Vector Embeddings and Structured Data", §5).

use crate::distance::prefetch;
use crate::index::VectorIndex;
use crate::params::{NONE, Row};
use crate::request::{Scratch, SearchStats};
use crate::space::Probe;

/// Rows a filtered traversal looks at before it judges the share of them that matches, and
const WATCHED: u64 = 256;
/// how many times less than expected is too little.
const UNLIKELY: f64 = 8.0;

/// No budget and no filter.
pub(crate) const UNBOUNDED: (u64, f64) = (u64::MAX, 0.0);

impl VectorIndex {
    /// The nearest row found by walking greedily from the entry down to just above `floor`.
    pub(crate) fn descend(
        &self,
        probe: &Probe<'_>,
        floor: u8,
        stats: &mut SearchStats,
    ) -> Option<(f32, Row)> {
        let entry = self.graph.entry?;
        let mut best = (self.space.key(probe, entry), entry);
        stats.distances += 1;
        for layer in (floor + 1..=self.graph.level(entry)).rev() {
            loop {
                let from = best;
                let links = self.graph.links(best.1, layer);
                stats.hops += 1;
                stats.distances += links.len() as u64;
                self.space.keys(probe, links, |row, key| {
                    if key < best.0 {
                        best = (key, row);
                    }
                });
                if best.1 == from.1 {
                    break;
                }
            }
        }
        Some(best)
    }

    /// Starts a traversal of the base layer or one above it: an empty pool for `limit` matching
    /// rows, with `seeds` in it. With `MEMO` the key of each visited row goes to `scratch.memo`.
    pub(crate) fn seed_walk<const MEMO: bool>(
        &self,
        probe: &Probe<'_>,
        seeds: &[Row],
        limit: usize,
        scratch: &mut Scratch,
        stats: &mut SearchStats,
        matches: impl Fn(Row) -> bool,
    ) {
        let end = self.rows.end();
        scratch.visited.begin(end);
        scratch.pool.begin(limit);
        if let Some(hidden) = scratch.hidden {
            scratch.visited.insert(hidden);
        }
        if MEMO && scratch.memo.len() < end {
            scratch.memo.resize(end, 0.0);
        }
        for row in seeds {
            if scratch.visited.insert(*row) {
                let key = self.space.key(probe, *row);
                stats.distances += 1;
                if MEMO {
                    scratch.memo[*row as usize] = key;
                }
                scratch.pool.offer(key, *row, &matches);
            }
        }
    }

    /// Best-first search of one layer until no candidate is left to expand (true) or more than
    /// `budget` distances are spent (false), or early on if of the nearest found much fewer match than the
    /// `share` that does of all: then what matches is elsewhere. Each expansion goes over the links twice: what is
    /// new is gathered, then it is measured in batches, each asked for while the one before is measured.
    pub(crate) fn walk_layer<const MEMO: bool>(
        &self,
        probe: &Probe<'_>,
        layer: u8,
        (budget, share): (u64, f64),
        scratch: &mut Scratch,
        stats: &mut SearchStats,
        matches: impl Fn(Row) -> bool,
    ) -> bool {
        let Scratch { visited, pool, fresh, memo, .. } = scratch;
        let mut watched = share > 0.0;
        while let Some(vertex) = pool.expand() {
            if stats.distances > budget {
                return false;
            }
            if watched && stats.distances >= WATCHED {
                watched = false;
                if (pool.matching() as f64) * UNLIKELY < share * pool.len() as f64 {
                    return false;
                }
            }
            stats.hops += 1;
            fresh.clear();
            fresh.extend(self.graph.links(vertex, layer).iter().filter(|row| visited.insert(**row)));
            if layer == 0
                && let Some(next) = pool.peek()
            {
                prefetch(self.graph.base_list(next));
            }
            stats.distances += fresh.len() as u64;
            stats.visited += fresh.len() as u64;
            self.space.keys(probe, fresh, |row, key| {
                if MEMO {
                    memo[row as usize] = key;
                }
                pool.offer(key, row, &matches);
            });
        }
        true
    }

    /// Like [`Self::walk_layer`] on the base layer, but only rows that match are measured: a
    /// neighbour that does not match is stepped over to its own neighbours. Also given up when much fewer of
    /// the rows looked at match than do of all, which `budget` is the number of: then what matches is elsewhere.
    pub(crate) fn walk_two_hop(
        &self,
        probe: &Probe<'_>,
        budget: u64,
        scratch: &mut Scratch,
        stats: &mut SearchStats,
        matches: impl Fn(Row) -> bool,
    ) -> bool {
        let Scratch { visited, pool, fresh, bridges, .. } = scratch;
        let share = budget as f64 / (self.rows.live.len().max(1) as f64 * UNLIKELY);
        let mut watched = true;
        while let Some(vertex) = pool.expand() {
            if stats.distances > budget {
                return false;
            }
            stats.hops += 1;
            fresh.clear();
            bridges.clear();
            for row in self.graph.links(vertex, 0) {
                if visited.insert(*row) {
                    stats.visited += 1;
                    if matches(*row) {
                        fresh.push(*row);
                    } else {
                        prefetch(self.graph.base_list(*row));
                        bridges.push(*row);
                    }
                }
            }
            for bridge in bridges.iter() {
                stats.hops += 1;
                for row in self.graph.base_list(*bridge) {
                    if *row == NONE {
                        break;
                    }
                    if visited.insert(*row) {
                        stats.visited += 1;
                        if matches(*row) {
                            fresh.push(*row);
                        }
                    }
                }
            }
            stats.distances += fresh.len() as u64;
            stats.passed += fresh.len() as u64;
            if watched && stats.visited >= WATCHED {
                watched = false;
                if (stats.passed as f64) < share * stats.visited as f64 {
                    return false;
                }
            }
            self.space.keys(probe, fresh, |row, key| pool.offer(key, row, |_| true));
        }
        true
    }
}
