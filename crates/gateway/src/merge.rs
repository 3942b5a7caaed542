//! Answers of shards into one answer: hits by score, pages by id.

use crate::weight::of_record;
use std::cmp::Ordering;
use std::collections::HashMap;
use vectron_wire::worker::{Hit, PointRecord, ShardPage};

/// The `top_k` best hits of all shards: score descending, then id. When an id comes from two shards, as it
/// may while a range moves, its highest version counts, never its score.
pub fn best_hits(shards: Vec<Vec<Hit>>, top_k: usize) -> Vec<Hit> {
    let several = shards.iter().filter(|hits| !hits.is_empty()).count() > 1;
    let mut hits: Vec<Hit> = shards.into_iter().flatten().collect();
    if several {
        keep_newest(&mut hits);
    }
    hits.sort_by(best_first);
    hits.truncate(top_k);
    hits
}

fn keep_newest(hits: &mut Vec<Hit>) {
    let mut newest: HashMap<&str, (u64, usize)> = HashMap::with_capacity(hits.len());
    for (at, hit) in hits.iter().enumerate() {
        let slot = newest.entry(&hit.point.id).or_insert((hit.point.version, at));
        if hit.point.version > slot.0 {
            *slot = (hit.point.version, at);
        }
    }
    if newest.len() == hits.len() {
        return;
    }
    let mut keep = vec![false; hits.len()];
    for (_, at) in newest.into_values() {
        keep[at] = true;
    }
    let mut keep = keep.into_iter();
    hits.retain(|_| keep.next().unwrap_or(true));
}

fn best_first(a: &Hit, b: &Hit) -> Ordering {
    // Scores are finite; should one not be, total order keeps the answer stable. Adding zero makes -0 equal 0.
    (b.score + 0.0).total_cmp(&(a.score + 0.0)).then_with(|| a.point.id.cmp(&b.point.id))
}

/// A page in id order and whether more points follow. `None` when a shard says that it has more but gave
/// nothing, so that no page can be made.
pub fn next_page(pages: Vec<ShardPage>, limit: usize) -> Option<(Vec<PointRecord>, bool)> {
    let mut more = false;
    // Beyond the last id of a shard that has more, ids of that shard may be missing.
    let mut sure_until: Option<String> = None;
    for page in pages.iter().filter(|page| page.more) {
        more = true;
        let last = &page.points.last()?.id;
        if sure_until.as_ref().is_none_or(|until| last < until) {
            sure_until = Some(last.clone());
        }
    }
    let mut points: Vec<PointRecord> = pages.into_iter().flat_map(|page| page.points).collect();
    points.sort_by(|a, b| a.id.cmp(&b.id).then(b.version.cmp(&a.version)));
    points.dedup_by(|later, first| later.id == first.id);
    if let Some(until) = sure_until {
        let sure = points.partition_point(|point| point.id <= until);
        points.truncate(sure);
    }
    more |= points.len() > limit;
    points.truncate(limit);
    Some((points, more))
}

/// Cuts a page where it would weigh more than `limit`, though never before its second point. Whether it did.
pub fn cut_page(points: &mut Vec<PointRecord>, limit: u64) -> bool {
    let mut total = 0;
    let fits = points.iter().take_while(|point| {
        total += of_record(point);
        total <= limit
    });
    let fits = fits.count().max(1);
    let cut = fits < points.len();
    points.truncate(fits);
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(id: &str, version: u64) -> PointRecord {
        PointRecord { id: id.into(), version, vector: None, payload: None }
    }

    fn hit(id: &str, score: f32, version: u64) -> Hit {
        Hit { point: point(id, version), score }
    }

    fn ids(hits: &[Hit]) -> Vec<&str> {
        hits.iter().map(|h| h.point.id.as_str()).collect()
    }

    #[test]
    fn l13_ties_break_by_id_and_a_shorter_answer_is_a_prefix() {
        let shards = || {
            vec![
                vec![hit("d", 0.9, 1), hit("b", 0.5, 1), hit("z", 0.0, 1)],
                vec![hit("c", 0.9, 1), hit("a", 0.5, 1), hit("y", -0.0, 1)],
            ]
        };
        let ten = best_hits(shards(), 10);
        assert_eq!(ids(&ten), ["c", "d", "a", "b", "y", "z"]);
        for k in 0..6 {
            assert_eq!(best_hits(shards(), k), ten[..k]);
        }
        let mut reversed = shards();
        reversed.reverse();
        assert_eq!(best_hits(reversed, 10), ten);
    }

    #[test]
    fn l14_the_higher_version_wins_whatever_its_score() {
        let merged = best_hits(vec![vec![hit("a", 0.9, 3), hit("b", 0.8, 1)], vec![hit("a", 0.1, 4)]], 10);
        assert_eq!(ids(&merged), ["b", "a"]);
        assert_eq!((merged[1].point.version, merged[1].score), (4, 0.1));
    }

    #[test]
    fn pages_merge_in_id_order_without_gaps() {
        let page = |ids: &[&str], more| ShardPage {
            points: ids.iter().map(|i| point(i, 1)).collect(),
            more,
            unindexed: Vec::new(),
        };
        let (points, more) =
            next_page(vec![page(&["a", "d", "e"], true), page(&["b", "f", "g"], false)], 3).expect("a page");
        assert_eq!(points.iter().map(|p| p.id.as_str()).collect::<Vec<_>>(), ["a", "b", "d"]);
        assert!(more);
        // A shard that gave less than asked for, but has more, bounds what is sure.
        let (points, more) =
            next_page(vec![page(&["a"], true), page(&["b", "c"], false)], 3).expect("a page");
        assert_eq!(points.len(), 1);
        assert!(more);
        let (points, more) = next_page(vec![page(&["a"], false), page(&["b"], false)], 2).expect("a page");
        assert_eq!((points.len(), more), (2, false));
        assert_eq!(next_page(vec![page(&[], true)], 2), None);
    }
}
