//! Deleting for good: one pass over the link arena takes every link to a deleted vertex out, then
//! the rows are free (consolidation as in FreshDiskANN: Singh et al. 2021, Alg. 4).
//!
//! A sweep condemns the vertices that are dead when it begins and goes through three phases,
//! each in steps of a plan (shared borrow) and a commit (exclusive borrow): *repair* gives each
//! in-neighbour p of condemned vertices new links from N(p) ∪ N(condemned); *audit* walks the graph
//! and relinks what cannot be reached; *free* hands the rows back. Insertions and deletions may go
//! on between steps: any list written with a condemned row in it is noted and repaired too.

use super::audit::{Relink, Walker};
use super::prune::{LinkList, ranked, select};
use super::walk::UNBOUNDED;
use crate::index::VectorIndex;
use crate::params::{Metric, Row};
use crate::request::{Scratch, SearchStats};
use crate::rows::State;
use crate::rowset::RowSet;
use roaring::RoaringBitmap;

/// Tombstones beyond this share of the graph (one in …) call for a sweep.
const SHARE: usize = 20;
/// Tombstones that call for a sweep in a graph of any size.
const MANY: u64 = 10_000;
/// Rounds of audit and relinking before a sweep ends regardless.
const AUDITS: u32 = 8;
/// Candidates gathered through condemned vertices for one list.
const GATHERED: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Repair,
    Audit,
    Free,
}

/// A sweep under way.
pub(crate) struct Sweep {
    /// Which sweep of this index: a step planned in an earlier one says nothing about this one.
    number: u64,
    condemned: RowSet,
    phase: Phase,
    /// Rows below this are repaired.
    at: usize,
    /// Lists written with a condemned row in them since.
    dirty: RoaringBitmap,
    /// Vertices made since the audit began, which its walk may have missed.
    fresh: RoaringBitmap,
    /// Number of the audit, so that a walk of an earlier one is not continued.
    audit: u32,
    /// Rows inserted, by the index's count, before the audit began: what came after them it may have missed.
    audited: usize,
}

/// The caller's place in a sweep: holds the audit's walk between steps. Start with the default;
/// one per sweep loop.
#[derive(Default)]
pub struct SweepCursor {
    walker: Walker,
    /// Sweep and audit that the walk belongs to.
    audit: Option<(u64, u32)>,
}

/// One step of a sweep, to be committed. Dropping it loses nothing but the work.
#[derive(Debug)]
pub struct SweepPlan {
    /// The sweep it belongs to; none if there was none.
    sweep: Option<u64>,
    step: Step,
}

#[derive(Debug)]
enum Step {
    Begin,
    Repair {
        from: usize,
        to: usize,
        lists: Vec<Repair>,
    },
    /// The audit's walk went on.
    Walk,
    Relink {
        audit: u32,
        relinks: Vec<Relink>,
    },
    /// The audit found everything.
    Sound {
        audit: u32,
    },
    Free {
        most: usize,
    },
}

#[derive(Debug)]
struct Repair {
    row: Row,
    layer: u8,
    before: Vec<Row>,
    after: LinkList,
}

/// What a committed step did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweepProgress {
    /// The sweep is over.
    pub done: bool,
    /// Link lists repaired by this step.
    pub repaired: usize,
    /// Unreachable rows given a link by this step.
    pub relinked: usize,
    /// Rows freed by this step.
    pub freed: usize,
}

impl VectorIndex {
    /// Whether a sweep is under way or due: tombstones beyond 5 % of the graph or 10,000, or the
    /// graph has grown so much since reachability was last audited (a tenth; a hundredth once
    /// nothing is pending).
    pub fn wants_sweep(&self) -> bool {
        let dead = self.rows.dead.len();
        let grown = self.inserted * if self.rows.tail.is_empty() { 100 } else { 10 };
        self.sweep.is_some()
            || dead >= MANY
            || dead as usize * SHARE > self.graph.vertices
            || (self.inserted > 0 && grown >= self.graph.vertices)
    }

    pub(super) fn is_condemned(&self, row: Row) -> bool {
        self.sweep.as_ref().is_some_and(|sweep| sweep.condemned.contains(row))
    }

    pub(super) fn is_fresh(&self, row: Row) -> bool {
        self.sweep.as_ref().is_some_and(|sweep| sweep.fresh.contains(row))
    }

    /// The only way link lists are written: keeps a sweep aware of what it must repair.
    pub(crate) fn write_links(&mut self, row: Row, layer: u8, list: &LinkList) {
        let mut list = list.clone();
        if let Some(sweep) = &mut self.sweep {
            if sweep.phase == Phase::Free {
                list.retain(|row| !sweep.condemned.contains(row));
            } else if list.rows.iter().any(|row| sweep.condemned.contains(*row)) {
                sweep.dirty.insert(row);
            }
        }
        self.graph.set_links(row, layer, &list.rows, list.diverse);
    }

    pub(crate) fn make_vertex(&mut self, row: Row, level: u8) {
        self.graph.add_vertex(row, level);
        self.rows.set(row, State::Vertex);
        if self.params.metric == Metric::Dot {
            self.graph.lengths.insert(row, self.space.length(row));
        }
        if let Some(sweep) = &mut self.sweep {
            sweep.fresh.insert(row);
        }
    }

    /// Plans the next step of the sweep under way, or the first of a new one. `budget_rows`
    /// bounds the link lists scanned, walked or freed by the step.
    pub fn plan_sweep(
        &self,
        scratch: &mut Scratch,
        cursor: &mut SweepCursor,
        budget_rows: usize,
    ) -> SweepPlan {
        let budget = budget_rows.max(1);
        let Some(sweep) = &self.sweep else { return SweepPlan { sweep: None, step: Step::Begin } };
        let step = match sweep.phase {
            Phase::Repair => self.plan_repair(sweep, scratch, budget),
            Phase::Audit => self.plan_audit(sweep, scratch, cursor, budget),
            Phase::Free => Step::Free { most: budget },
        };
        SweepPlan { sweep: Some(sweep.number), step }
    }

    fn plan_repair(&self, sweep: &Sweep, scratch: &mut Scratch, budget: usize) -> Step {
        let (from, end) = (sweep.at, self.rows.end());
        let to = from.saturating_add(budget).min(end).max(from);
        let mut lists = Vec::new();
        let dirty = if from >= end { budget } else { 0 };
        for row in (from as Row..to as Row).chain(sweep.dirty.iter().take(dirty)) {
            if !self.rows.state(row).is_vertex() || sweep.condemned.contains(row) {
                continue;
            }
            for layer in 0..=self.graph.level(row) {
                let before = self.graph.links(row, layer);
                if before.iter().any(|link| sweep.condemned.contains(*link)) {
                    let after = self.repaired(sweep, row, layer, scratch);
                    lists.push(Repair { row, layer, before: before.to_vec(), after });
                }
            }
        }
        Step::Repair { from, to, lists }
    }

    /// New links for a vertex from what it and its condemned neighbours link to; through more
    /// condemned ones, and finally from a search, where that is too little.
    fn repaired(&self, sweep: &Sweep, row: Row, layer: u8, scratch: &mut Scratch) -> LinkList {
        let degree = self.graph.degree_at(layer);
        let mut kept: Vec<Row> = Vec::with_capacity(GATHERED);
        scratch.visited.begin(self.rows.end());
        scratch.visited.insert(row);
        scratch.bridges.clear();
        scratch.bridges.push(row);
        let mut at = 0;
        while let Some(through) = scratch.bridges.get(at).copied() {
            // The direct condemned neighbours always; beyond them only while there is need.
            if kept.len() >= GATHERED || (at > degree && kept.len() >= degree) {
                break;
            }
            at += 1;
            for link in self.graph.links(through, layer) {
                if scratch.visited.insert(*link) {
                    let condemned = sweep.condemned.contains(*link);
                    let list = if condemned { &mut scratch.bridges } else { &mut kept };
                    list.push(*link);
                }
            }
        }
        let mut code = std::mem::take(&mut scratch.probes.code);
        if kept.len() < degree / 2 {
            let probe = self.space.probe_row(row, &mut code);
            let mut stats = SearchStats::default();
            let wanted = |other: Row| {
                other != row && self.graph.level(other) >= layer && self.rows.state(other).is_live_vertex()
            };
            if let Some((_, near)) = self.descend(&probe, layer, &mut stats) {
                let limit = self.params.ef_construction;
                self.seed_walk::<false>(&probe, &[near], limit, scratch, &mut stats, wanted);
                self.walk_layer::<false>(&probe, layer, UNBOUNDED, scratch, &mut stats, wanted);
                kept.extend(scratch.pool.found().map(|(_, row)| row));
            }
        }
        let candidates = ranked(&self.space, row, &kept, &mut code);
        let links = select(&self.space, &candidates, degree, &mut code);
        scratch.probes.code = code;
        links
    }

    fn plan_audit(
        &self,
        sweep: &Sweep,
        scratch: &mut Scratch,
        cursor: &mut SweepCursor,
        budget: usize,
    ) -> Step {
        if cursor.audit != Some((sweep.number, sweep.audit)) {
            cursor.audit = Some((sweep.number, sweep.audit));
            self.begin_walk(&mut cursor.walker);
        }
        if !self.continue_walk(&mut cursor.walker, budget) {
            return Step::Walk;
        }
        cursor.audit = None;
        let relinks = if sweep.audit < AUDITS {
            self.plan_relinks(&mut cursor.walker, budget, scratch)
        } else {
            Vec::new()
        };
        if relinks.is_empty() {
            Step::Sound { audit: sweep.audit }
        } else {
            Step::Relink { audit: sweep.audit, relinks }
        }
    }

    /// Carries one step out. A step that no longer fits the state of the sweep does nothing; the
    /// next plan starts from where the sweep really is.
    pub fn commit_sweep(&mut self, plan: SweepPlan) -> SweepProgress {
        let mut progress = SweepProgress::default();
        let Some(mut sweep) = self.sweep.take_if(|sweep| plan.sweep == Some(sweep.number)) else {
            if self.sweep.is_none() && matches!(plan.step, Step::Begin) {
                self.sweeps += 1;
                self.sweep = Some(self.begin_sweep());
            }
            return progress;
        };
        match plan.step {
            Step::Repair { from, to, lists } if sweep.phase == Phase::Repair && sweep.at == from => {
                progress.repaired = lists.len();
                sweep.at = to;
                self.sweep = Some(sweep);
                self.commit_repairs(lists);
                return progress;
            }
            Step::Relink { audit, relinks } if sweep.is_audit(audit) => {
                sweep.next_audit(self.inserted);
                self.sweep = Some(sweep);
                for relink in relinks {
                    progress.relinked += usize::from(self.commit_relink(relink));
                }
                return progress;
            }
            Step::Sound { audit } if sweep.is_audit(audit) => {
                let clean = sweep.dirty.is_empty();
                sweep.phase = if clean { Phase::Free } else { Phase::Repair };
            }
            Step::Free { most } if sweep.phase == Phase::Free => {
                let rows: Vec<Row> = sweep.condemned.iter().take(most).collect();
                progress.freed = rows.len();
                for row in rows {
                    sweep.condemned.remove(row);
                    self.graph.drop_vertex(row);
                    self.space.release(row);
                    self.rows.set(row, State::Free);
                }
                progress.done = sweep.condemned.is_empty();
            }
            _ => {}
        }
        if progress.done {
            self.inserted = self.inserted.saturating_sub(sweep.audited);
        } else {
            self.sweep = Some(sweep);
        }
        progress
    }

    fn begin_sweep(&self) -> Sweep {
        let condemned = self.rows.dead.clone();
        Sweep {
            number: self.sweeps,
            phase: if condemned.is_empty() { Phase::Audit } else { Phase::Repair },
            condemned,
            at: 0,
            dirty: RoaringBitmap::new(),
            fresh: RoaringBitmap::new(),
            audit: 0,
            audited: self.inserted,
        }
    }

    fn commit_repairs(&mut self, lists: Vec<Repair>) {
        for Repair { row, layer, before, mut after } in lists {
            if self.rows.state(row).is_vertex() && self.graph.links(row, layer) == before {
                after.retain(|row| self.rows.state(row).is_vertex());
                self.write_links(row, layer, &after);
            }
        }
        let Some(mut sweep) = self.sweep.take() else { return };
        // A list stays noted until it is clean on every layer.
        let still = sweep.dirty.iter().filter(|row| {
            self.rows.state(*row).is_vertex()
                && !sweep.condemned.contains(*row)
                && (0..=self.graph.level(*row)).any(|layer| {
                    self.graph.links(*row, layer).iter().any(|link| sweep.condemned.contains(*link))
                })
        });
        sweep.dirty = still.collect();
        let end = self.rows.end();
        if sweep.at >= end && sweep.dirty.is_empty() {
            if self.graph.entry.is_some_and(|entry| sweep.condemned.contains(entry)) {
                let admits = |row: Row| self.rows.state(row).is_vertex() && !sweep.condemned.contains(row);
                self.graph.elect_entry(end, admits);
            }
            sweep.phase = Phase::Audit;
            sweep.next_audit(self.inserted);
        }
        self.sweep = Some(sweep);
    }
}

impl Sweep {
    fn is_audit(&self, audit: u32) -> bool {
        self.phase == Phase::Audit && self.audit == audit
    }

    fn next_audit(&mut self, inserted: usize) {
        self.audit += 1;
        self.audited = inserted;
        self.fresh.clear();
    }
}
