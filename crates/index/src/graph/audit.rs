//! Reachability: walking everything the entry leads to, and giving the rest a way in.

use super::Visited;
use super::prune::{LinkList, ranked, select};
use crate::index::VectorIndex;
use crate::params::{Reachability, Row};
use crate::rows::State;
use crate::search::{Scratch, SearchStats};

/// A walk over all links of all layers that can be interrupted.
#[derive(Default)]
pub(super) struct Walker {
    pub seen: Visited,
    stack: Vec<Row>,
}

/// One new link to a row that nothing led to.
#[derive(Debug)]
pub(super) struct Relink {
    host: (Row, u64),
    orphan: (Row, u64),
    /// Links for an orphan that has none itself.
    links: Option<LinkList>,
}

/// Rows considered as hosts of a new link.
const HOSTS: usize = 48;

impl Walker {
    fn begin(&mut self, end: usize) {
        self.seen.begin(end);
        self.stack.clear();
    }

    fn start_from(&mut self, row: Row) {
        if self.seen.insert(row) {
            self.stack.push(row);
        }
    }
}

impl VectorIndex {
    /// Counts the live rows of the graph and those a search can get to: a walk over all links.
    pub fn reachable(&self) -> Reachability {
        let mut walker = Walker::default();
        self.begin_walk(&mut walker);
        self.continue_walk(&mut walker, usize::MAX);
        let in_graph = |row: &Row| self.rows.state(*row) != State::Tail;
        let reached = self.rows.live.iter().filter(in_graph).filter(|row| {
            walker.seen.contains(self.graph.head_of(*row).unwrap_or(*row))
        });
        Reachability { graph_rows: self.rows.live_in_graph(), reachable: reached.count() }
    }

    pub(super) fn begin_walk(&self, walker: &mut Walker) {
        walker.begin(self.rows.end());
        if let Some(entry) = self.graph.entry {
            walker.start_from(entry);
        }
    }

    /// Expands up to `budget` vertices; true when nothing is left.
    pub(super) fn continue_walk(&self, walker: &mut Walker, budget: usize) -> bool {
        for _ in 0..budget {
            let Some(row) = walker.stack.pop() else { return true };
            for layer in 0..=self.graph.level(row) {
                for next in self.graph.links(row, layer) {
                    if !self.is_condemned(*next) {
                        walker.start_from(*next);
                    }
                }
            }
        }
        walker.stack.is_empty()
    }

    /// Plans one link for each island that a finished walk did not reach, up to `most`.
    pub(super) fn plan_relinks(
        &self,
        walker: &mut Walker,
        most: usize,
        scratch: &mut Scratch,
    ) -> Vec<Relink> {
        let end = self.rows.end();
        let mut relinks = Vec::new();
        let mut from = 0;
        while relinks.len() < most {
            let lost = |row: Row| self.rows.state(row).is_live_vertex() && !self.is_fresh(row);
            let Some(orphan) = walker.seen.next_unmarked(from, end, lost) else { break };
            from = orphan as usize + 1;
            relinks.extend(self.plan_relink(orphan, scratch));
            // Whatever the orphan leads to is found again through it.
            walker.start_from(orphan);
            self.continue_walk(walker, usize::MAX);
        }
        relinks
    }

    fn plan_relink(&self, orphan: Row, scratch: &mut Scratch) -> Option<Relink> {
        let probe = self.space.probe_row(orphan);
        let mut stats = SearchStats::default();
        let (_, near) = self.descend(&probe, 0, &mut stats)?;
        let host = |row: Row| row != orphan && !self.is_condemned(row);
        self.seed_walk(&probe, &[near], HOSTS, scratch, &mut stats, host);
        self.walk_layer(&probe, 0, u64::MAX, scratch, &mut stats, host);
        let spare = |row: &Row| self.graph.in_degree(*row) > 1;
        let roomy = |row: &Row| {
            let list = self.graph.links(*row, 0);
            list.len() < self.graph.degree || list.iter().any(|row| spare(row))
        };
        let hosts: Vec<Row> = scratch.pool.found().map(|(_, row)| row).collect();
        let host = hosts.iter().find(|row| roomy(row)).or(hosts.first()).copied()?;
        let bare = self.graph.links(orphan, 0).is_empty();
        let links = bare.then(|| {
            select(&self.space, &ranked(&self.space, orphan, &hosts), self.graph.degree)
        });
        let tagged = |row: Row| (row, self.rows.tag(row));
        Some(Relink { host: tagged(host), orphan: tagged(orphan), links })
    }

    pub(super) fn commit_relink(&mut self, relink: Relink) -> bool {
        let Relink { host, orphan, links } = relink;
        let holds = |(row, tag): (Row, u64)| {
            self.rows.state(row).is_vertex() && self.rows.tag(row) == tag && !self.is_condemned(row)
        };
        if !holds(host) || !holds(orphan) {
            return false;
        }
        if let Some(mut links) = links
            && self.graph.links(orphan.0, 0).is_empty()
        {
            links.retain(|row| self.rows.state(row).is_vertex());
            self.write_links(orphan.0, 0, &links);
        }
        let list = self.admitted(host.0, 0, orphan.0);
        self.write_back_link(host.0, 0, list, orphan.0, true);
        true
    }
}
