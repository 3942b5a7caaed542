//! Which links a vertex keeps: the relative-neighbourhood rule of HNSW Alg. 4 (a candidate is
//! *occluded* if a link already chosen is nearer to it than the vertex is), then **filled to the
//! full degree with the nearest rejected**. Without the fill, near-duplicate text prunes itself
//! into islands: the rule alone leaves a few links per vertex, all inside its clump. Rejected rows
//! that are *redundant*, at less than half the distance to a chosen link, fill last: else thirty
//! copies of a hub would take every place in everyone's list.

use crate::params::Row;
use crate::quantize::CodeProbe;
use crate::space::{Space, pack};

/// A link list in its two parts: `rows[..diverse]` chosen by the rule, the rest fill.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LinkList {
    pub rows: Vec<Row>,
    pub diverse: usize,
}

impl LinkList {
    /// Takes one place out.
    pub fn remove(&mut self, at: usize) {
        self.rows.remove(at);
        self.diverse -= usize::from(at < self.diverse);
    }

    /// Drops every row that `keep` refuses.
    pub fn retain(&mut self, keep: impl Fn(Row) -> bool) {
        for at in (0..self.rows.len()).rev() {
            if !keep(self.rows[at]) {
                self.remove(at);
            }
        }
    }
}

/// Chooses up to `degree` links from candidates given with their keys to the vertex, nearest
/// first and each once.
pub(crate) fn select(
    space: &Space,
    candidates: &[(f32, Row)],
    degree: usize,
    code: &mut CodeProbe,
) -> LinkList {
    let mut rows: Vec<Row> = Vec::with_capacity(degree);
    let mut occluded: Vec<Row> = Vec::with_capacity(degree);
    let mut redundant: Vec<Row> = Vec::new();
    for (key, row) in candidates {
        if rows.len() == degree {
            break;
        }
        let probe = space.probe_row(*row, code);
        let keys = rows.iter().map(|chosen| space.key(&probe, *chosen));
        match keys.into_iter().find(|near| near < key) {
            None => rows.push(*row),
            Some(near) if space.is_half(near, *key) => redundant.push(*row),
            Some(_) => occluded.push(*row),
        }
    }
    let diverse = rows.len();
    rows.extend(occluded.into_iter().chain(redundant).take(degree - diverse));
    LinkList { rows, diverse }
}

/// Ranks rows by their distance to a vertex, each once and without the vertex itself.
pub(crate) fn ranked(space: &Space, vertex: Row, rows: &[Row], code: &mut CodeProbe) -> Vec<(f32, Row)> {
    let probe = space.probe_row(vertex, code);
    let mut ranked = Vec::with_capacity(rows.len());
    space.keys(&probe, rows, |row, key| ranked.push((key, row)));
    ranked.retain(|(_, row)| *row != vertex);
    ranked.sort_unstable_by_key(|(key, row)| pack(*key, *row));
    ranked.dedup_by_key(|(_, row)| *row);
    ranked
}

/// `list` of vertex `target` with one more row in its place, which may make it one too long; and
/// the links the newcomer demotes from the diverse part, which it should know in turn.
///
/// The rule is applied to what the newcomer changes (is it occluded, and whom does it occlude)
/// instead of to the whole list again: 2 × degree distances instead of degree² / 2. `key_of`
/// gives the newcomer's keys, many of which an insertion has already computed.
pub(crate) fn admit(
    space: &Space,
    target: Row,
    list: &LinkList,
    (key, newcomer): (f32, Row),
    key_of: impl Fn(Row) -> f32,
    code: &mut CodeProbe,
) -> (LinkList, Vec<Row>) {
    if list.rows.contains(&newcomer) {
        return (list.clone(), Vec::new());
    }
    let probe = space.probe_row(target, code);
    let mut keyed: Vec<(f32, Row)> = Vec::with_capacity(list.rows.len() + 1);
    space.keys(&probe, &list.rows, |row, key| keyed.push((key, row)));
    let (chosen, fill) = keyed.split_at(list.diverse);
    let (mut chosen, mut fill) = (chosen.to_vec(), fill.to_vec());
    let place = |list: &mut Vec<(f32, Row)>, item: (f32, Row)| {
        let at = list.partition_point(|other| pack(other.0, other.1) < pack(item.0, item.1));
        list.insert(at, item);
    };
    let mut nearer = chosen.iter().filter(|(near, _)| *near < key).map(|(_, row)| key_of(*row));
    let mut demoted = Vec::new();
    match nearer.find(|near| *near < key) {
        Some(near) if space.is_half(near, key) => fill.push((key, newcomer)),
        Some(_) => place(&mut fill, (key, newcomer)),
        None => {
            let occludes = |(far, row): &(f32, Row)| *far > key && key_of(*row) < *far;
            let (out, kept): (Vec<_>, Vec<_>) = chosen.into_iter().partition(occludes);
            chosen = kept;
            place(&mut chosen, (key, newcomer));
            demoted.extend(out.iter().map(|(_, row)| *row));
            out.into_iter().for_each(|item| place(&mut fill, item));
        }
    }
    let diverse = chosen.len();
    chosen.append(&mut fill);
    (LinkList { rows: chosen.into_iter().map(|(_, row)| row).collect(), diverse }, demoted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::{Metric, Params};

    fn line(places: &[f32]) -> Space {
        let mut space = Space::new(&Params::new(1, Metric::Euclidean));
        for (row, place) in places.iter().enumerate() {
            space.store(row as Row, &[*place]);
        }
        space
    }

    #[test]
    fn the_nearest_of_each_direction_is_diverse_and_the_rest_fills() {
        let space = line(&[0.0, 1.0, 2.0, 3.0, -1.5, -4.0]);
        let candidates = ranked(&space, 0, &[5, 4, 3, 2, 1, 1, 0], &mut CodeProbe::default());
        let list = select(&space, &candidates, 4, &mut CodeProbe::default());
        assert_eq!(list, LinkList { rows: vec![1, 4, 2, 3], diverse: 2 });
        assert_eq!(select(&space, &candidates, 8, &mut CodeProbe::default()).rows.len(), 5);
    }

    #[test]
    fn copies_of_a_chosen_link_fill_last() {
        let space = line(&[0.0, 4.0, 4.1, 4.2, 9.0]);
        let candidates = ranked(&space, 0, &[1, 2, 3, 4], &mut CodeProbe::default());
        assert_eq!(
            select(&space, &candidates, 4, &mut CodeProbe::default()),
            LinkList { rows: vec![1, 4, 2, 3], diverse: 1 }
        );
    }

    #[test]
    fn a_newcomer_takes_the_place_the_whole_rule_would_give_it() {
        let space = line(&[0.0, 2.0, 4.5, -4.0, 1.0, 5.0]);
        let mut code = CodeProbe::default();
        let chosen = |rows: &[Row]| {
            let mut code = CodeProbe::default();
            let candidates = ranked(&space, 0, rows, &mut code);
            select(&space, &candidates, 4, &mut code)
        };
        let before = chosen(&[1, 2, 3]);
        for newcomer in [4, 5] {
            let (mut one, mut other) = (CodeProbe::default(), CodeProbe::default());
            let from = space.probe_row(newcomer, &mut one);
            let key = space.key(&space.probe_row(0, &mut other), newcomer);
            let key_of = |row| space.key(&from, row);
            let (after, _) = admit(&space, 0, &before, (key, newcomer), key_of, &mut code);
            assert_eq!(after, chosen(&[1, 2, 3, newcomer]));
        }
    }
}
