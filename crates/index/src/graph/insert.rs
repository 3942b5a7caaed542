//! Insertion (HNSW Alg. 1) in two halves: a plan, which searches and prunes and needs only a
//! shared borrow, and a commit, which writes the lists that are still as the plan saw them.

use super::Graph;
use super::prune::{LinkList, admit, select};
use super::walk::UNBOUNDED;
use crate::index::VectorIndex;
use crate::params::Row;
use crate::quantize::CodeProbe;
use crate::request::{Probes, Scratch, SearchStats};
use crate::rows::State;
use crate::space::{Probe, pack};
use std::collections::BTreeMap;

/// What one insertion is going to write. Valid for the index that made it, at any later time:
/// what has changed since is noticed at commit.
#[derive(Debug)]
pub struct InsertPlan {
    row: Row,
    tag: u64,
    wide: bool,
    level: u8,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// The graph was empty.
    First,
    /// A vertex exists that cannot be told apart from the row.
    Twin { head: Row, tag: u64 },
    /// Links per layer, the base layer last.
    Linked(Vec<LayerPlan>),
}

#[derive(Debug)]
struct LayerPlan {
    layer: u8,
    links: LinkList,
    tags: Vec<u64>,
    back: Vec<BackLink>,
}

/// A neighbour's list with the new row in it.
#[derive(Debug)]
struct BackLink {
    before: Vec<Row>,
    after: LinkList,
}

/// Nearest candidates compared with the new row for being the same.
const TWIN_CANDIDATES: usize = 8;
/// Nearest candidates of a layer from which the search of the next lower one starts.
const SEEDS: usize = 16;

impl InsertPlan {
    /// The row this plan inserts.
    pub fn row(&self) -> Row {
        self.row
    }
}

impl VectorIndex {
    /// Plans the insertion of a pending row; `None` if it is not pending (any more). This is
    /// the expensive half: it searches the graph for `ef_construction` candidates, chooses the
    /// row's links and prepares those of its neighbours.
    pub fn plan_insert(&self, row: Row, scratch: &mut Scratch) -> Option<InsertPlan> {
        if self.rows.state(row) != State::Tail {
            return None;
        }
        let tag = self.rows.tag(row);
        let level = Graph::draw_level(self.params.seed, row, tag);
        let mut probes = std::mem::take(&mut scratch.probes);
        let kind = self.plan_kind(row, level, scratch, &mut probes);
        scratch.probes = probes;
        Some(InsertPlan { row, tag, wide: self.space.wide(), level, kind })
    }

    fn plan_kind(&self, row: Row, level: u8, scratch: &mut Scratch, probes: &mut Probes) -> Kind {
        let Probes { code, other, .. } = probes;
        let probe = self.space.probe_row(row, code);
        let mut stats = SearchStats::default();
        let Some(entry) = self.graph.entry else { return Kind::First };
        let top = level.min(self.graph.level(entry));
        let Some((_, near)) = self.descend(&probe, top, &mut stats) else { return Kind::First };
        let mut seeds = vec![near];
        let mut layers = Vec::with_capacity(top as usize + 1);
        for layer in (0..=top).rev() {
            let live = |row: Row| self.rows.state(row).is_live_vertex();
            let limit = self.params.ef_construction;
            self.seed_walk::<true>(&probe, &seeds, limit, scratch, &mut stats, live);
            self.walk_layer::<true>(&probe, layer, UNBOUNDED, scratch, &mut stats, live);
            let mut found: Vec<(f32, Row)> = scratch.pool.found().collect();
            for (_, head) in found.iter().take(TWIN_CANDIDATES) {
                if self.space.same(*head, row) {
                    return Kind::Twin { head: *head, tag: self.rows.tag(*head) };
                }
            }
            if found.len() < self.graph.degree_at(layer) / 2 {
                // Too few live rows around: deleted ones carry the way until they are swept.
                found = scratch.pool.all().collect();
            }
            seeds = scratch.pool.all().take(SEEDS).map(|(_, row)| row).collect();
            layers.push(self.plan_layer(&probe, row, layer, found, scratch, other));
        }
        Kind::Linked(layers)
    }

    /// Chooses the links of one layer and prepares the neighbours' lists.
    ///
    /// Where the new row takes over from a diverse link of a neighbour, it inherits that link as
    /// a candidate: the neighbour counts on the way through the new row, so there must be one.
    /// Clumps larger than the pool would lose their ties otherwise, since all that a search
    /// for one of theirs finds is the clump.
    fn plan_layer(
        &self,
        probe: &Probe<'_>,
        row: Row,
        layer: u8,
        mut found: Vec<(f32, Row)>,
        scratch: &Scratch,
        code: &mut CodeProbe,
    ) -> LayerPlan {
        let degree = self.graph.degree_at(layer);
        let key_of = |other: Row| {
            if scratch.visited.contains(other) {
                scratch.memo[other as usize]
            } else {
                self.space.key(probe, other)
            }
        };
        let mut back: BTreeMap<Row, BackLink> = BTreeMap::new();
        let mut inherited = Vec::new();
        let mut prepare = |links: &LinkList, inherited: &mut Vec<Row>, code: &mut CodeProbe| {
            for target in &links.rows {
                back.entry(*target).or_insert_with(|| {
                    let before = self.links_of(*target, layer);
                    let newcomer = (key_of(*target), row);
                    let (after, demoted) = admit(&self.space, *target, &before, newcomer, key_of, code);
                    inherited.extend(demoted);
                    BackLink { before: before.rows, after }
                });
            }
        };
        let mut links = select(&self.space, &found, degree, code);
        prepare(&links, &mut inherited, code);
        inherited.retain(|row| self.rows.state(*row).is_live_vertex());
        if !inherited.is_empty() {
            found.extend(inherited.iter().map(|row| (key_of(*row), *row)));
            found.sort_unstable_by_key(|(key, row)| pack(*key, *row));
            found.dedup_by_key(|(_, row)| *row);
            links = select(&self.space, &found, degree, code);
            prepare(&links, &mut Vec::new(), code);
        }
        let tags = links.rows.iter().map(|other| self.rows.tag(*other)).collect();
        let back = links.rows.iter().filter_map(|target| back.remove(target)).collect();
        LayerPlan { layer, links, tags, back }
    }

    /// Length of a list's diverse part; lists above the base do not record theirs and count as
    /// diverse throughout.
    pub(crate) fn diverse_at(&self, row: Row, layer: u8, list: &[Row]) -> usize {
        if layer == 0 { self.graph.diverse(row) } else { list.len() }
    }

    /// Carries a plan out. If the row is no longer pending under the same tag nothing happens;
    /// if too little is left of what the plan assumed the row stays pending, to be planned anew.
    pub fn commit_insert(&mut self, plan: InsertPlan) {
        let InsertPlan { row, tag, wide, level, kind } = plan;
        let pending = self.rows.state(row) == State::Tail && self.rows.tag(row) == tag;
        if !pending || wide != self.space.wide() {
            return;
        }
        match kind {
            Kind::First if self.graph.entry.is_none() => self.make_vertex(row, level),
            Kind::First => return,
            Kind::Twin { head, tag } => {
                if !self.rows.state(head).is_live_vertex() || self.rows.tag(head) != tag {
                    return;
                }
                self.make_twin(row, head);
            }
            Kind::Linked(layers) => {
                let Some(base) = layers.last() else { return };
                let valid = base.links.rows.iter().zip(&base.tags);
                let valid = valid.filter(|(row, tag)| self.is_same_vertex(**row, **tag, 0)).count();
                if valid == 0 || valid * 2 < base.links.rows.len() {
                    return;
                }
                self.make_vertex(row, level);
                for layer in layers {
                    self.commit_layer(row, layer);
                }
            }
        }
        self.inserted += 1;
    }

    fn is_same_vertex(&self, row: Row, tag: u64, layer: u8) -> bool {
        self.rows.state(row).is_vertex() && self.rows.tag(row) == tag && self.graph.level(row) >= layer
    }

    fn commit_layer(&mut self, row: Row, plan: LayerPlan) {
        let LayerPlan { layer, mut links, tags, back } = plan;
        let targets: Vec<(Row, u64)> = links.rows.iter().copied().zip(tags).collect();
        links.retain(|row| {
            targets.iter().any(|(target, tag)| *target == row && self.is_same_vertex(row, *tag, layer))
        });
        self.write_links(row, layer, &links);
        for ((target, tag), back) in targets.iter().zip(back) {
            if !self.is_same_vertex(*target, *tag, layer) {
                continue;
            }
            let after = if self.graph.links(*target, layer) == back.before {
                back.after
            } else {
                self.admitted(*target, layer, row)
            };
            self.write_back_link(*target, layer, after, row, false);
        }
        if layer == 0
            && self.graph.in_degree(row) == 0
            && let Some(nearest) = links.rows.first().copied()
        {
            let after = self.admitted(nearest, 0, row);
            self.write_back_link(nearest, 0, after, row, true);
        }
    }

    /// One link list as it is.
    pub(crate) fn links_of(&self, row: Row, layer: u8) -> LinkList {
        let list = self.graph.links(row, layer);
        LinkList { rows: list.to_vec(), diverse: self.diverse_at(row, layer, list) }
    }

    /// The list of `target` with `newcomer` in it, computed afresh.
    pub(super) fn admitted(&self, target: Row, layer: u8, newcomer: Row) -> LinkList {
        let list = self.links_of(target, layer);
        let (mut code, mut other) = (CodeProbe::default(), CodeProbe::default());
        let probe = self.space.probe_row(newcomer, &mut code);
        let key_of = |other: Row| self.space.key(&probe, other);
        admit(&self.space, target, &list, (key_of(target), newcomer), key_of, &mut other).0
    }

    /// Writes a list that is one too long at most. What goes is the last link whose target
    /// keeps another way in; with `force` the newcomer itself is not a choice.
    pub(super) fn write_back_link(
        &mut self,
        target: Row,
        layer: u8,
        mut list: LinkList,
        newcomer: Row,
        force: bool,
    ) {
        if list.rows.len() > self.graph.degree_at(layer) {
            let last = list.rows.len() - 1;
            let spare = |row: Row| {
                if row == newcomer { !force } else { layer > 0 || self.graph.in_degree(row) > 1 }
            };
            let victim = list.rows.iter().rposition(|row| spare(*row));
            let other = || list.rows.iter().rposition(|row| *row != newcomer);
            let victim = victim.or_else(|| if force { other() } else { None });
            list.remove(victim.unwrap_or(last));
        }
        self.write_links(target, layer, &list);
    }
}
