//! Ranked text search through the shard, against the formula over the points of the model.

use crate::model::Model;
use crate::support::*;
use proptest::prelude::*;
use vectron_base::disk::sim::SimDisk;
use vectron_base::filter::{FieldIndex, FieldType, Filter, Language, TextAnalysis};
use vectron_store::{
    Metric, Operation, Refusal, SearchResult, Shard, ShardConfig, TextOperator, TextQuery, TextSearch,
    TextStats,
};

fn text_index(field: &str) -> FieldIndex {
    FieldIndex { field: field.into(), kind: FieldType::Text(TextAnalysis::PLAIN) }
}

fn shape() -> ShardConfig {
    let mut shape = config(2, Metric::Cosine);
    shape.knobs.field_step_rows = 3;
    shape
}

const WORDS: [&str; 8] = ["the", "of", "library", "lib", "search", "fast", "größe", "rare"];

fn words() -> impl Strategy<Value = String> {
    // Low words are common.
    let word = (0usize..8, 0usize..8).prop_map(|(a, b)| WORDS[a.min(b)]);
    prop::collection::vec(word, 0..8).prop_map(|words| words.join(" "))
}

fn payload() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => words().prop_map(|text| format!(r#"{{"d":{{"t":"{text}"}},"n":{}}}"#, text.len() % 3)),
        1 => (words(), words()).prop_map(|(a, b)| format!(r#"{{"d":{{"t":["{a}",7,"{b}"]}},"n":0}}"#)),
        1 => Just(r#"{"d":{"t":null}}"#.to_string()),
        1 => Just("{}".to_string()),
    ]
}

#[derive(Clone, Debug)]
enum Step {
    Upsert(Vec<(u8, u64, String)>),
    Delete(u8),
    Checkpoint,
    Restart,
    Search(Box<TextSearch>),
}

fn search() -> impl Strategy<Value = TextSearch> {
    let filter_text =
        prop::option::of(prop::sample::select(vec![r#"{"n":0}"#, r#"{"d.t":{"$match":"lib"}}"#]));
    let query = prop::collection::vec(prop::sample::select(WORDS.to_vec()), 1..4);
    (query, any::<bool>(), 1usize..20, filter_text, prop::option::of(0.0f32..3.0)).prop_map(
        |(words, and, top_k, filter_text, score_threshold)| {
            let mut query = TextQuery::new("d.t", &words.join(" "));
            query.operator = if and { TextOperator::And } else { TextOperator::Or };
            let filter = filter_text.map(filter);
            TextSearch { filter, score_threshold, ..TextSearch::new(query, top_k) }
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => prop::collection::vec((0u8..40, 0u64..8, payload()), 1..10).prop_map(Step::Upsert),
        3 => (0u8..40).prop_map(Step::Delete),
        1 => Just(Step::Checkpoint),
        1 => Just(Step::Restart),
        10 => search().prop_map(|search| Step::Search(Box::new(search))),
    ]
}

/// The words of the field, as the plain analysis and the payloads above make them.
fn words_of(payload: &str) -> Vec<String> {
    let value: serde_json::Value = serde_json::from_str(payload).unwrap();
    let texts: Vec<&str> = match &value["d"]["t"] {
        serde_json::Value::String(text) => vec![text],
        serde_json::Value::Array(list) => list.iter().filter_map(|value| value.as_str()).collect(),
        _ => vec![],
    };
    texts.iter().flat_map(|text| text.split_whitespace()).map(str::to_string).collect()
}

/// Scores by id, best first.
fn truth(model: &Model, search: &TextSearch) -> Vec<(String, f64)> {
    let documents: Vec<(String, Vec<String>)> = model
        .points
        .iter()
        .map(|(id, p)| (id.clone(), words_of(&p.payload)))
        .filter(|(_, w)| !w.is_empty())
        .collect();
    let count = documents.len() as f64;
    let average = documents.iter().map(|(_, words)| words.len()).sum::<usize>() as f64 / count;
    let wanted: Vec<&str> = search.query.text.split(' ').collect();
    let mut found = Vec::new();
    for (id, words) in &documents {
        let (mut sum, mut all) = (0.0, true);
        for word in &wanted {
            let frequency = words.iter().filter(|w| w == word).count() as f64;
            let having = documents.iter().filter(|(_, words)| words.iter().any(|w| w == word)).count() as f64;
            let idf = (1.0 + (count - having + 0.5) / (having + 0.5)).ln();
            sum += idf * frequency * 2.2 / (frequency + 1.2 * (0.25 + 0.75 * words.len() as f64 / average));
            all &= frequency > 0.0;
        }
        if sum > 0.0 && (all || search.query.operator == TextOperator::Or) {
            found.push((id.clone(), sum));
        }
    }
    let passing = model.matching(search.filter.as_ref());
    found.retain(|(id, _)| passing.iter().any(|(passing, _)| *passing == id));
    found.sort_by(|(x, a), (y, b)| b.total_cmp(a).then_with(|| x.cmp(y)));
    found
}

fn assert_found(found: &SearchResult, model: &Model, search: &TextSearch) {
    let mut truth = truth(model, search);
    if let Some(least) = search.score_threshold {
        truth.retain(|(_, score)| *score as f32 >= least);
    }
    assert_eq!(found.hits.len(), truth.len().min(search.top_k), "{search:?}");
    for (hit, (_, at_rank)) in found.hits.iter().zip(&truth) {
        let (_, own) = truth.iter().find(|(id, _)| *id == hit.id).unwrap();
        assert!(
            (f64::from(hit.score) - own).abs() < 1e-4 && (own - at_rank).abs() < 1e-4,
            "{search:?} {hit:?}"
        );
        assert_eq!(hit.version, model.points[&hit.id].version);
    }
    for pair in found.hits.windows(2) {
        assert!(pair[0].score > pair[1].score || pair[0].score == pair[1].score && pair[0].id < pair[1].id);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_search_sees_exactly_what_was_applied(steps in prop::collection::vec(step(), 1..50)) {
        let disk = SimDisk::new(1);
        let mut shard = open(&disk, &shape());
        shard.set_field_indexes(&[text_index("d.t")]);
        let (mut model, mut log) = (Model::new(Metric::Cosine, WINDOW_BYTES), vec![]);
        for step in steps {
            let command = match step {
                Step::Upsert(points) => {
                    let mut batch: Vec<vectron_store::UpsertPoint> = vec![];
                    for (id, seed, payload) in points {
                        let id = format!("{id:02}");
                        batch.retain(|p| p.id != id);
                        batch.push(point(&id, &vector(seed, 2), &payload));
                    }
                    command(Operation::Upsert(batch))
                }
                Step::Delete(id) => delete(&[&format!("{id:02}")]),
                Step::Checkpoint => {
                    shard.checkpoint().unwrap();
                    continue;
                }
                Step::Restart => {
                    shard = open(&disk, &shape());
                    shard.set_field_indexes(&[text_index("d.t")]);
                    for command in log.iter().skip(shard.applied_index() as usize) {
                        apply(&shard, command);
                    }
                    index_all(&shard);
                    continue;
                }
                Step::Search(search) => {
                    assert_found(&shard.text_search(&search).unwrap(), &model, &search);
                    continue;
                }
            };
            log.push(command.clone());
            prop_assert_eq!(apply(&shard, &command), model.apply(log.len() as u64, &command));
        }
    }

    /// However points are spread over shards, the answer is the same to the bit.
    #[test]
    fn scores_do_not_depend_on_the_shard(
        payloads in prop::collection::vec(payload(), 1..60),
        shards in 2usize..5,
        mut search in search(),
    ) {
        search.score_threshold = None;
        let make = |part: &dyn Fn(usize) -> bool| {
            let shard = open(&SimDisk::new(1), &shape());
            shard.set_field_indexes(&[text_index("d.t")]);
            let points = payloads.iter().enumerate().filter(|(at, _)| part(*at));
            let points = points.map(|(at, payload)| point(&format!("{at:03}"), &vector(at as u64, 2), payload));
            apply(&shard, &upsert(points.collect()));
            shard
        };
        let whole: Vec<(String, u32)> = hits(&make(&|_| true).text_search(&search).unwrap());
        let parts: Vec<Shard> = (0..shards).map(|n| make(&|at| at % shards == n)).collect();
        let mut stats = TextStats::default();
        parts.iter().for_each(|shard| stats.add(&shard.text_stats(&search.query).unwrap().value));
        search.stats = Some(stats);
        let mut merged: Vec<(String, u32)> =
            parts.iter().flat_map(|shard| hits(&shard.text_search(&search).unwrap())).collect();
        merged.sort_by(|(x, a), (y, b)| f32::from_bits(*b).total_cmp(&f32::from_bits(*a)).then_with(|| x.cmp(y)));
        merged.truncate(search.top_k);
        prop_assert_eq!(merged, whole);
    }
}

fn hits(result: &SearchResult) -> Vec<(String, u32)> {
    result.hits.iter().map(|hit| (hit.id.clone(), hit.score.to_bits())).collect()
}

#[test]
fn a_search_without_a_ready_index_is_refused() {
    let shard = open(&SimDisk::new(1), &shape());
    apply(
        &shard,
        &upsert((0..9).map(|i| point(&format!("{i}"), &vector(i, 2), r#"{"t":"word"}"#)).collect()),
    );
    let search = TextSearch::new(TextQuery::new("t", "word"), 3);
    let refused = |search: &TextSearch| match shard.text_search(search).unwrap_err() {
        Refusal::Invalid { field, .. } => field,
        Refusal::Building { .. } => "building",
        other => panic!("{other}"),
    };
    assert_eq!(refused(&search), "using");
    shard.set_field_indexes(&[FieldIndex { field: "t".into(), kind: FieldType::Keyword }]);
    assert_eq!(refused(&search), "using");
    shard.set_field_indexes(&[text_index("t")]);
    assert_eq!(refused(&search), "building");
    assert!(shard.text_stats(&search.query).is_err());
    index_all(&shard);
    let found = shard.text_search(&search).unwrap();
    assert_eq!((found.hits.len(), found.explain.plan, found.applied_index), (3, "text_or", 1));
    let mut wrong = search.clone();
    wrong.query.text = "?".into();
    assert_eq!(refused(&wrong), "text");
    wrong = search.clone();
    wrong.query.bm25.b = 1.5;
    assert_eq!(refused(&wrong), "b");
    wrong = search;
    wrong.score_threshold = Some(f32::NAN);
    assert_eq!(refused(&wrong), "score_threshold");
}

#[test]
fn stems_phrases_and_prefixes_find_what_they_mean() {
    let shard = open(&SimDisk::new(1), &shape());
    let kind = FieldType::Text(TextAnalysis::new(Some(Language::English), None).unwrap());
    shard.set_field_indexes(&[FieldIndex { field: "t".into(), kind }]);
    let texts =
        ["shared libraries", "libraries are shared", "a library shares", "shared", "librarian, shared"];
    let points = texts.iter().enumerate();
    let point =
        |(at, text): (usize, &&str)| point(&at.to_string(), &vector(1, 2), &format!(r#"{{"t":"{text}"}}"#));
    apply(&shard, &upsert(points.map(point).collect()));
    let found = |text: &str| {
        let mut ids = hits(&shard.text_search(&TextSearch::new(TextQuery::new("t", text), 9)).unwrap());
        ids.sort();
        ids.into_iter().map(|(id, _)| id).collect::<Vec<_>>()
    };
    assert_eq!(found("library"), ["0", "1", "2"]);
    assert_eq!(found("\"shared library\""), ["0"]);
    assert_eq!(found("librari*"), ["0", "1", "2", "4"]);
    assert_eq!(found("sharing"), ["0", "1", "2", "3", "4"]);
    assert_eq!(found("nothing"), Vec::<String>::new());
    // $match means whole words, whatever the index makes of them.
    let matching = |text: &str| shard.count(Some(&filter(text))).unwrap().value;
    assert_eq!(matching(r#"{"t":{"$match":"library"}}"#), 1);
    assert_eq!(matching(r#"{"t":{"$match":"SHARED libraries"}}"#), 2);
    assert_eq!(matching(r#"{"t":{"$prefix":"a library sh"}}"#), 1);
    let mut narrowed = TextSearch::new(TextQuery::new("t", "shared"), 9);
    narrowed.filter = Some(filter(r#"{"t":{"$match":"library"}}"#));
    let trace = shard.text_search(&narrowed).unwrap().explain;
    assert_eq!((trace.filter_plan, trace.filter_matched, trace.filter_checked), ("indexed", Some(1), 3));
    assert!(matches!(narrowed.filter, Some(Filter::Field { .. })));
}
