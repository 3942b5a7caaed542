//! Reachability: walking everything the entry leads to, and giving the rest a way in.

use super::Visited;
use super::prune::{LinkList, ranked, select};
use super::walk::UNBOUNDED;
use crate::hash::seeded;
use crate::index::VectorIndex;
use crate::params::{NONE, Reachability, Row};
use crate::quantize::CodeProbe;
use crate::request::{Scratch, SearchStats};
use crate::rows::State;
use roaring::RoaringBitmap;

/// A walk over all links of all layers that can be interrupted. It remembers its tree: a link
/// that is not part of it can be dropped without cutting anything off.
#[derive(Default)]
pub(in crate::graph) struct Walker {
    pub seen: Visited,
    stack: Vec<Row>,
    /// From where each seen row was first reached; `NONE` for where the walk started.
    parent: Vec<Row>,
    /// Rows that were given a new link already.
    hosts: RoaringBitmap,
}

/// One new link to a row that nothing led to.
#[derive(Debug)]
pub(super) struct Relink {
    host: (Row, u64),
    orphan: (Row, u64),
    /// The link that makes room, if the host's list is full.
    victim: Option<Row>,
    /// Links for an orphan that has none itself.
    links: Option<LinkList>,
}

/// Rows considered as hosts of a new link.
const HOSTS: usize = 48;
/// Rows drawn from the whole graph where none of those can be one.
const STRANGERS: u64 = 64;

impl Walker {
    fn begin(&mut self, end: usize) {
        self.seen.begin(end);
        self.stack.clear();
        self.parent.clear();
        self.parent.resize(end, NONE);
        self.hosts.clear();
    }

    fn reach(&mut self, row: Row, from: Row) {
        // Rows that came after the walk began are not its concern.
        if let Some(parent) = self.parent.get_mut(row as usize)
            && self.seen.insert(row)
        {
            *parent = from;
            self.stack.push(row);
        }
    }

    /// Whether dropping the link may cut its target off.
    fn leans_on(&self, target: Row, from: Row) -> bool {
        self.parent.get(target as usize).is_none_or(|parent| *parent == from)
    }
}

impl VectorIndex {
    /// Counts the live rows of the graph and those a search can get to: a walk over all links.
    pub fn reachable(&self) -> Reachability {
        let mut walker = Walker::default();
        self.begin_walk(&mut walker);
        self.continue_walk(&mut walker, usize::MAX);
        let in_graph = |row: &Row| self.rows.state(*row) != State::Tail;
        let reached = self
            .rows
            .live
            .iter()
            .filter(in_graph)
            .filter(|row| walker.seen.contains(self.graph.head_of(*row).unwrap_or(*row)));
        Reachability { graph_rows: self.rows.live_in_graph(), reachable: reached.count() }
    }

    pub(super) fn begin_walk(&self, walker: &mut Walker) {
        walker.begin(self.rows.end());
        if let Some(entry) = self.graph.entry {
            walker.reach(entry, NONE);
        }
    }

    /// Expands up to `budget` vertices; true when nothing is left.
    pub(super) fn continue_walk(&self, walker: &mut Walker, budget: usize) -> bool {
        for _ in 0..budget {
            let Some(row) = walker.stack.pop() else { return true };
            for layer in 0..=self.graph.level(row) {
                for next in self.graph.links(row, layer) {
                    if !self.is_condemned(*next) {
                        walker.reach(*next, row);
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
            let relink = self.plan_relink(orphan, walker, scratch);
            let host = relink.as_ref().map_or(NONE, |relink| relink.host.0);
            relinks.extend(relink);
            // Whatever the orphan leads to is found again through it.
            walker.reach(orphan, host);
            self.continue_walk(walker, usize::MAX);
        }
        relinks
    }

    fn plan_relink(&self, orphan: Row, walker: &mut Walker, scratch: &mut Scratch) -> Option<Relink> {
        let mut code = CodeProbe::default();
        let probe = self.space.probe_row(orphan, &mut code);
        let mut stats = SearchStats::default();
        let (_, near) = self.descend(&probe, 0, &mut stats)?;
        let host = |row: Row| walker.seen.contains(row) && !self.is_condemned(row);
        self.seed_walk::<false>(&probe, &[near], HOSTS, scratch, &mut stats, host);
        self.walk_layer::<false>(&probe, 0, UNBOUNDED, scratch, &mut stats, host);
        let hosts: Vec<Row> = scratch.pool.found().map(|(_, row)| row).collect();
        let fresh = hosts.iter().copied().filter(|row| !walker.hosts.contains(*row));
        let near = fresh.filter_map(|row| Some((row, self.room(row, walker)?))).next();
        let (host, victim) = near.or_else(|| self.any_host(orphan, walker))?;
        walker.hosts.insert(host);
        let bare = self.graph.links(orphan, 0).is_empty();
        let links = bare.then(|| {
            let candidates = ranked(&self.space, orphan, &hosts, &mut code);
            select(&self.space, &candidates, self.graph.degree, &mut code)
        });
        let tagged = |row: Row| (row, self.rows.tag(row));
        Some(Relink { host: tagged(host), orphan: tagged(orphan), victim, links })
    }

    /// A host from anywhere, where those nearby are used up: many orphans lie in one place, or
    /// codes tell nothing apart.
    fn any_host(&self, orphan: Row, walker: &Walker) -> Option<(Row, Option<Row>)> {
        let end = self.rows.end() as u64;
        let drawn = (0..STRANGERS).map(|draw| (seeded(self.params.seed, orphan, draw) % end.max(1)) as Row);
        let host = |row: &Row| {
            let fits = walker.seen.contains(*row) && !walker.hosts.contains(*row);
            fits && self.rows.state(*row).is_vertex() && !self.is_condemned(*row)
        };
        drawn.filter(host).filter_map(|row| Some((row, self.room(row, walker)?))).next()
    }

    /// How a base list can take one more link: as it is (`Some(None)`), or by dropping the last
    /// link nothing leans on.
    fn room(&self, row: Row, walker: &Walker) -> Option<Option<Row>> {
        let list = self.graph.links(row, 0);
        if list.len() < self.graph.degree {
            return Some(None);
        }
        list.iter().rfind(|target| !walker.leans_on(**target, row)).map(|target| Some(*target))
    }

    pub(super) fn commit_relink(&mut self, relink: Relink) -> bool {
        let Relink { host, orphan, victim, links } = relink;
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
        let mut list = self.links_of(host.0, 0);
        if list.rows.contains(&orphan.0) {
            return false;
        }
        if let Some(at) = list.rows.iter().position(|row| Some(*row) == victim) {
            list.remove(at);
        } else if list.rows.len() >= self.graph.degree {
            // Changed since it was planned; the next audit sees to it.
            return false;
        }
        list.rows.push(orphan.0);
        self.write_links(host.0, 0, &list);
        true
    }
}
