//! Facets, samples and points by a field, against what is plain to see in every payload.

use crate::field_indexes::{filter, indexes, payload};
use crate::support::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use vectron_base::disk::sim::SimDisk;
use vectron_base::filter::{FieldIndex, FieldType, FieldValue, Filter};
use vectron_store::filter::naive;
use vectron_store::{FieldOrder, Include, Metric, Shard};

const ID_ONLY: Include = Include { payload: false, vector: false };

fn world(payloads: &[String], wanted: &[FieldIndex]) -> (SimDisk, Shard) {
    let disk = SimDisk::new(1);
    let mut shape = config(2, Metric::Cosine);
    shape.knobs.keyword_bytes_max = 8;
    let shard = open(&disk, &shape);
    let points = payloads.iter().enumerate();
    let points = points.map(|(i, text)| point(&format!("{i:02}"), &vector(i as u64, 2), text)).collect();
    apply(&shard, &upsert(points));
    shard.set_field_indexes(wanted);
    index_all(&shard);
    apply(&shard, &delete(&["03"]));
    (disk, shard)
}

/// Points that are there and pass, by id.
fn passing<'a>(payloads: &'a [String], filter: &Filter) -> BTreeMap<String, &'a str> {
    let named = payloads.iter().enumerate().map(|(i, text)| (format!("{i:02}"), text.as_str()));
    named.filter(|(id, text)| id != "03" && naive::matches(filter, text)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn facets_orders_and_samples_are_what_every_payload_says(
        payloads in prop::collection::vec(payload(), 1..40),
        wanted in indexes(),
        condition in prop_oneof![2 => Just(Filter::All), 3 => filter()],
        field in prop::sample::select(vec!["a", "b", "c", "a.b", "c.a"]),
        limit in 1usize..12,
        seed in any::<u64>(),
    ) {
        let (_disk, shard) = world(&payloads, &wanted);
        let there = passing(&payloads, &condition);
        let filter = Some(&condition);

        let mut counts: BTreeMap<FieldValue, u64> = BTreeMap::new();
        for text in there.values() {
            naive::values(field, text).into_iter().for_each(|value| *counts.entry(value).or_default() += 1);
        }
        let mut counts: Vec<(FieldValue, u64)> = counts.into_iter().collect();
        counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let facet = shard.facet(filter, field, limit).unwrap().value;
        prop_assert_eq!(facet.more, counts.len() > limit);
        counts.truncate(limit);
        prop_assert_eq!(&facet.values, &counts);

        for descending in [false, true] {
            let order = FieldOrder { field: field.into(), descending };
            let mut all: Vec<(Option<FieldValue>, String)> = Vec::new();
            for (id, text) in &there {
                let mut values = naive::values(field, text);
                let value = if descending { values.pop_last() } else { values.pop_first() };
                all.push((value, id.clone()));
            }
            all.sort_by(|(a, x), (b, y)| match (a, b) {
                (Some(a), Some(b)) if a != b => if descending { b.cmp(a) } else { a.cmp(b) },
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                _ => x.cmp(y),
            });
            let (mut seen, mut after) = (Vec::new(), None);
            loop {
                let page = shard.scroll_by(filter, &order, after.as_ref(), limit, ID_ONLY).unwrap().value;
                let places = page.points.into_iter().map(|found| (found.value, found.point.id));
                seen.extend(places);
                after = seen.last().cloned();
                if !page.more {
                    break;
                }
            }
            prop_assert_eq!(seen, all);
        }

        let sample = shard.sample(filter, seed, limit, ID_ONLY).unwrap().value;
        let ids: BTreeSet<&String> = sample.iter().map(|sampled| &sampled.point.id).collect();
        prop_assert_eq!(ids.len(), limit.min(there.len()));
        prop_assert!(ids.iter().all(|id| there.contains_key(*id)));
        prop_assert!(sample.is_sorted_by_key(|sampled| sampled.rank));
        let more = shard.sample(filter, seed, limit + 5, ID_ONLY).unwrap().value;
        prop_assert_eq!(&more[..sample.len()], &sample[..]);
    }
}

#[test]
fn every_point_is_as_likely_in_a_sample_as_any_other() {
    let payloads: Vec<String> = (0..20).map(|_| "{}".to_string()).collect();
    let (_disk, shard) = world(&payloads, &[]);
    let mut drawn: BTreeMap<String, u32> = BTreeMap::new();
    for seed in 0..3_800 {
        for sampled in shard.sample(None, seed, 5, ID_ONLY).unwrap().value {
            *drawn.entry(sampled.point.id).or_default() += 1;
        }
    }
    // 1,000 expected for each of 19; the seeds are fixed, so that this does not vary.
    assert_eq!(drawn.len(), 19);
    assert!(drawn.values().all(|times| (880..1_120).contains(times)), "{drawn:?}");
}

#[test]
fn a_keyword_index_counts_without_payloads() {
    let payloads: Vec<String> = (0..40).map(|i| format!(r#"{{"a":["k{}","x"],"n":{i}}}"#, i % 3)).collect();
    let keyword = FieldIndex { field: "a".into(), kind: FieldType::Keyword };
    let (_disk, shard) = world(&payloads, &[keyword]);
    let facet = shard.facet(None, "a", 3).unwrap().value;
    assert!(facet.indexed && facet.more);
    let shown: Vec<(String, u64)> = facet.values.iter().map(|(v, n)| (v.to_json(), *n)).collect();
    let expected = [(r#""x""#, 39), (r#""k0""#, 13), (r#""k1""#, 13)];
    assert_eq!(shown, expected.map(|(v, n)| (v.to_string(), n)));
    assert!(!shard.facet(None, "n", 3).unwrap().value.indexed);
}
