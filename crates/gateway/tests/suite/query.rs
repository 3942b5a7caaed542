//! Queries: fusion, recommendations, formulas, diversity and groups.

use crate::cluster::{Client, TestPool, Trouble, fault};
use crate::grpc::{assert_refused, served};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use vectron_base::pool::Pool;
use vectron_base::{Code, Outcome};
use vectron_gateway::GatewayKnobs;
use vectron_wire::proto::public as pb;
use vectron_wire::worker::PointRecord;

const QUERY: &str = "/v1/collections/docs/points/query";

/// 30 points around a half circle, over three shards.
async fn filled() -> Client {
    let client = Client::new().with_docs("dot", 3).await;
    let points: Vec<Value> = (0..30)
        .map(|i| {
            let angle = f64::from(i) / 10.0;
            let payload =
                json!({"n": i, "kind": if i % 2 == 0 { "even" } else { "odd" }, "tags": [i % 3, "all"]});
            json!({"id": format!("p{i:02}"), "vector": [angle.cos(), angle.sin()], "payload": payload})
        })
        .collect();
    client.upsert(&json!(points).to_string()).await.ok();
    client
}

async fn query(client: &Client, body: Value) -> Value {
    client.post(QUERY, body.to_string()).await.ok()
}

fn ids(results: &Value) -> Vec<String> {
    let results = results.as_array().expect("results");
    results.iter().map(|r| r["id"].as_str().expect("id").to_string()).collect()
}

async fn leg(client: &Client, vector: [f64; 2], limit: u32) -> Vec<(String, f64)> {
    let found = client.search(&json!({"vector": vector, "top_k": limit}).to_string()).await.ok();
    let results = found["results"].as_array().expect("results").clone();
    results
        .iter()
        .map(|r| (r["id"].as_str().expect("id").into(), r["score"].as_f64().expect("score")))
        .collect()
}

#[tokio::test]
async fn legs_are_fused_by_rank_whatever_the_answer_is_cut_to() {
    let client = filled().await;
    let legs = [([1.0, 0.0], 12), ([0.0, 1.0], 15), ([-1.0, 0.2], 7)];
    let weights = [1.0, 0.5, 2.0];
    let mut expected: BTreeMap<String, f64> = BTreeMap::new();
    for ((vector, limit), weight) in legs.iter().zip(weights) {
        for (at, (id, _)) in leg(&client, *vector, *limit).await.into_iter().enumerate() {
            *expected.entry(id).or_default() += weight / (10.0 + at as f64 + 1.0);
        }
    }
    let mut expected: Vec<(String, f64)> = expected.into_iter().collect();
    expected.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let prefetch: Vec<Value> = legs.iter().map(|(v, limit)| json!({"vector": v, "limit": limit})).collect();
    let fusion = json!({"method": "rrf", "k": 10, "weights": weights});
    for top_k in [1, 3, 10, 30] {
        let answer = query(&client, json!({"prefetch": prefetch, "fusion": fusion, "top_k": top_k})).await;
        let results = answer["results"].as_array().expect("results");
        assert_eq!(results.len(), expected.len().min(top_k));
        for (result, (id, score)) in results.iter().zip(&expected) {
            assert_eq!(result["id"], json!(id));
            assert!((result["score"].as_f64().expect("score") - score).abs() < 1e-12);
            let number: u64 = id[1..].parse().expect("number");
            assert_eq!(result["payload"]["n"], json!(number));
            assert!(result.get("vector").is_none());
        }
        let cut = if top_k > expected.len() { json!(["prefetch_limit"]) } else { json!([]) };
        assert_eq!(answer["meta"]["degraded"], cut);
        assert_eq!(answer["meta"]["shards"], json!({"total": 3, "answered": 3, "failed": []}));
        assert_eq!(answer["search_id"].as_str().map(str::len), Some(32));
    }
    // Hits carry nothing; only what is shown is read.
    let last = client.cluster.searches.lock().last().cloned().expect("asked");
    assert!(!last.include.payload && !last.include.vector);
}

#[tokio::test]
async fn scores_may_be_weighted_and_one_leg_is_itself() {
    let client = filled().await;
    let first = leg(&client, [1.0, 0.0], 20).await;
    let alone = query(&client, json!({"prefetch": [{"vector": [1, 0], "limit": 20}], "top_k": 20})).await;
    for (result, (id, score)) in alone["results"].as_array().expect("results").iter().zip(&first) {
        assert_eq!(result["id"], json!(id));
        assert!((result["score"].as_f64().expect("score") - score).abs() < 1e-6);
    }
    let second = leg(&client, [0.0, 1.0], 20).await;
    let scaled = |list: &[(String, f64)]| {
        let (most, least) = (list[0].1, list[list.len() - 1].1);
        list.iter().map(|(id, s)| (id.clone(), (s - least) / (most - least))).collect::<BTreeMap<_, _>>()
    };
    let (a, b) = (scaled(&first), scaled(&second));
    let body = json!({"prefetch": [{"vector": [1, 0], "limit": 20}, {"vector": [0, 1], "limit": 20}],
        "fusion": {"method": "weighted", "weights": [0.7, 0.3]}, "top_k": 30, "include_payload": false});
    let answer = query(&client, body).await;
    for result in answer["results"].as_array().expect("results") {
        let id = result["id"].as_str().expect("id");
        let expected = 0.7 * a.get(id).unwrap_or(&0.0) + 0.3 * b.get(id).unwrap_or(&0.0);
        assert!((result["score"].as_f64().expect("score") - expected).abs() < 1e-6, "{id}");
        assert_eq!(
            result["legs"].as_array().map(Vec::len),
            Some(usize::from(a.contains_key(id)) + usize::from(b.contains_key(id)))
        );
    }
}

#[tokio::test]
async fn filters_hold_for_all_legs_and_for_their_own() {
    let client = filled().await;
    let body =
        json!({"prefetch": [{"vector": [1, 0]}, {"vector": [0, 1]}], "filter": {"kind": "odd"}, "top_k": 30});
    let answer = query(&client, body).await;
    assert_eq!(ids(&answer["results"]).len(), 15);
    assert_eq!(answer["meta"]["degraded"], json!(["filter_without_index"]));
    let body = json!({"prefetch": [{"vector": [1, 0], "filter": {"kind": "even"}, "limit": 2}, {"vector": [1, 0], "limit": 2}],
        "top_k": 4});
    assert_eq!(ids(&query(&client, body).await["results"]), ["p00", "p01", "p02"]);
}

#[tokio::test]
async fn a_recommendation_leaves_its_examples_out() {
    let client = filled().await;
    let body = json!({"recommend": {"positive": ["p10", "p12"]}, "top_k": 5});
    let around = ids(&query(&client, body).await["results"]);
    assert_eq!(around[0], "p11");
    assert!(
        !around.contains(&"p10".into()) && !around.contains(&"p12".into()) && around.len() == 5,
        "{around:?}"
    );
    // Twice the positive mean less the negative one, which shifts away from the negative example.
    let led =
        query(&client, json!({"recommend": {"positive": ["p10"], "negative": ["p15"]}, "top_k": 3})).await;
    let (p, n) = ((1.0f64.cos(), 1.0f64.sin()), (1.5f64.cos(), 1.5f64.sin()));
    let vector = [2.0 * p.0 - n.0, 2.0 * p.1 - n.1];
    let expected: Vec<String> = leg(&client, vector, 10).await.into_iter().map(|(id, _)| id).collect();
    let expected: Vec<String> =
        expected.into_iter().filter(|id| id != "p10" && id != "p15").take(3).collect();
    assert_eq!(ids(&led["results"]), expected);
    // All others, however few the limit lets through.
    let many = json!({"prefetch": [{"recommend": {"positive": ["p10", [1, 0]]}, "limit": 4}], "top_k": 4});
    assert_eq!(ids(&query(&client, many).await["results"]).len(), 4);
    let missing = client.post(QUERY, json!({"recommend": {"positive": ["p10", "nobody"]}}).to_string()).await;
    let problem = missing.problem(404, "not_found");
    assert_eq!(problem["errors"][0]["field"], "recommend.positive[1]");
}

#[tokio::test]
async fn a_formula_scores_anew() {
    let client = filled().await;
    let formula = json!({"sum": [{"mult": ["$score", 0]}, {"field": "n"},
        {"if": {"filter": {"kind": "odd"}, "then": 100, "else": 0}}]});
    let body = json!({"prefetch": [{"vector": [1, 0], "limit": 10}], "formula": formula, "top_k": 4});
    let answer = query(&client, body).await;
    assert_eq!(ids(&answer["results"]), ["p09", "p07", "p05", "p03"]);
    assert_eq!(answer["results"][0]["score"], 109.0);
    assert_eq!(answer["results"][0]["payload"]["n"], 9);
    let body = json!({"prefetch": [{"vector": [1, 0], "limit": 10}], "formula": {"field": "n"}, "score_threshold": 8,
        "include_payload": false, "top_k": 10});
    let answer = query(&client, body).await;
    assert_eq!(ids(&answer["results"]), ["p09", "p08"]);
    assert!(answer["results"][0].get("payload").is_none());
}

#[tokio::test]
async fn diverse_results_are_spread_and_groups_are_by_value() {
    let client = filled().await;
    let mmr = |diversity: f64, top_k: u64| json!({"prefetch": [{"vector": [1, 0.2]}], "mmr": {"diversity": diversity}, "top_k": top_k});
    let plain = query(&client, json!({"prefetch": [{"vector": [1, 0.2]}], "top_k": 5})).await;
    assert_eq!(ids(&query(&client, mmr(0.0, 5)).await["results"]), ids(&plain["results"]));
    let spread = ids(&query(&client, mmr(0.7, 5)).await["results"]);
    assert_eq!(spread[0], ids(&plain["results"])[0]);
    assert_eq!(spread[1], "p29");
    assert_eq!(ids(&query(&client, mmr(0.7, 2)).await["results"]), spread[..2]);
    let body = json!({"prefetch": [{"vector": [1, 0]}], "group_by": {"field": "tags", "groups": 3, "group_size": 2}});
    let grouped = query(&client, body).await;
    let shown: Vec<(Value, Vec<String>)> = grouped["groups"]
        .as_array()
        .expect("groups")
        .iter()
        .map(|group| (group["value"].clone(), ids(&group["results"])))
        .collect();
    let group = |value: Value, ids: [&str; 2]| (value, ids.map(String::from).to_vec());
    assert_eq!(
        shown,
        [
            group(json!(0), ["p00", "p03"]),
            group(json!("all"), ["p00", "p01"]),
            group(json!(1), ["p01", "p04"])
        ]
    );
    assert_eq!(grouped["results"], json!([]));
    assert_eq!(grouped["groups"][0]["results"][0]["payload"]["n"], 0);
}

#[tokio::test]
async fn a_shard_that_fails_fails_the_query_or_is_listed() {
    let client = filled().await;
    let body = |partial: bool| json!({"prefetch": [{"vector": [1, 0]}, {"vector": [0, 1]}], "allow_partial": partial, "top_k": 30});
    let shard = client.cluster.shard_ids()[1];
    let trouble = || Some(Trouble::Fails(fault(Code::Unavailable, Outcome::NotApplied), 100));
    client.cluster.trouble(shard, trouble());
    client.post(QUERY, body(false).to_string()).await.problem(503, "unavailable");
    client.cluster.trouble(shard, trouble());
    let answer = query(&client, body(true)).await;
    assert_eq!(
        (&answer["meta"]["partial"], &answer["meta"]["shards"]["answered"]),
        (&json!(true), &json!(2))
    );
    assert_eq!(answer["meta"]["shards"]["failed"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn what_is_shown_is_of_the_version_that_was_ranked() {
    let client = Client::new().with_docs("dot", 1).await;
    client.upsert(r#"[{"id":"a","vector":[1,0],"payload":{"n":1}},{"id":"b","vector":[0.5,0]}]"#).await.ok();
    let shard = client.cluster.shard_ids()[0];
    client.cluster.trouble(shard, Some(Trouble::Slow(Duration::from_millis(300))));
    client.cluster.log.lock().clear();
    // Changes the first result after it was ranked, and before its payload is read.
    let change = async {
        while !client.cluster.log.lock().iter().any(|(call, _)| *call == "get") {
            TestPool.sleep(Duration::from_millis(1)).await;
        }
        let (id, payload) = ("a".to_string(), Some(r#"{"n":2}"#.to_string()));
        let vector = Some(vec![0.1, 0.0].into());
        client.cluster.plant(shard, PointRecord { id, version: 99, vector, payload });
    };
    let (answer, ()) = tokio::join!(query(&client, json!({"prefetch": [{"vector": [1, 0]}]})), change);
    let shown = answer["results"].as_array().expect("results");
    let shown: Vec<_> =
        shown.iter().map(|r| (r["id"].clone(), r["version"].clone(), r["payload"].clone())).collect();
    assert_eq!(shown, [(json!("b"), json!(1), json!({})), (json!("a"), json!(99), json!({"n": 2}))]);
    let last = client.cluster.searches.lock().last().cloned().expect("asked");
    assert!(last.include.payload);
}

#[tokio::test]
async fn bad_queries_are_refused_by_name() {
    let client = filled().await;
    let leg = json!({"vector": [1, 0]});
    let with = |member: &str, value: Value| {
        let mut body = json!({"prefetch": [leg, leg]});
        body[member] = value;
        body
    };
    for (body, field, words) in [
        (json!({}), "prefetch", "at least one leg"),
        (json!({"prefetch": vec![leg.clone(); 17]}), "prefetch", "the limit is 16"),
        (json!({"prefetch": [leg, {"vector": [1]}]}), "prefetch[1].vector", "has 1 number"),
        (json!({"prefetch": [{"vector": [1, 0], "limit": 0}]}), "prefetch[0].limit", "from 1 to 10000"),
        (json!({"prefetch": [{"vector": [1, 0], "params": {"ef": 0}}]}), "prefetch[0].params.ef", "from 1"),
        (
            json!({"prefetch": [{"vector": [1, 0], "filter": {"a": {"$gtt": 1}}}]}),
            "prefetch[0].filter.a.$gtt",
            "$gt",
        ),
        (json!({"prefetch": [{"vektor": [1, 0]}]}), "prefetch[0].vektor", "did you mean 'vector'?"),
        (
            json!({"prefetch": [{"vector": [1, 0], "recommend": {"positive": ["p01"]}}]}),
            "prefetch[0].recommend",
            "together",
        ),
        (json!({"recommend": {"positive": []}}), "recommend.positive", "at least one"),
        (json!({"recommend": {"positive": [[1]]}}), "recommend.positive[0].vector", "has 1 number"),
        (json!({"recommend": {"positive": [""]}}), "recommend.positive[0]", "empty"),
        (
            json!({"recommend": {"positive": ["p01"], "strategy": "best"}}),
            "recommend.strategy",
            "average_vector",
        ),
        (with("fusion", json!({"method": "rff"})), "fusion.method", "rrf or weighted"),
        (with("fusion", json!({"method": "rrf", "k": -1})), "fusion.k", "0 or more"),
        (with("fusion", json!({"method": "rrf", "normalize": "none"})), "fusion.normalize", "weighted only"),
        (with("fusion", json!({"method": "weighted", "weights": [1]})), "fusion.weights", "2 legs"),
        (with("fusion", json!({"method": "weighted", "weights": [1, -1]})), "fusion.weights[1]", "0 or more"),
        (
            with("fusion", json!({"method": "weighted", "normalize": "l2"})),
            "fusion.normalize",
            "minmax or none",
        ),
        (with("formula", json!({"summ": []})), "formula.summ", "did you mean 'sum'?"),
        (with("top_k", json!(0)), "top_k", "from 1 to 10000"),
        (with("mmr", json!({"diversity": 2})), "mmr.diversity", "from 0 to 1"),
        (with("mmr", json!({"candidates": 0})), "mmr.candidates", "from 1"),
        (with("group_by", json!({"field": ""})), "group_by.field", ""),
        (with("group_by", json!({"field": "a", "groups": 0})), "group_by.groups", "from 1"),
        (with("topk", json!(1)), "topk", "did you mean 'top_k'?"),
    ] {
        let problem = client.post(QUERY, body.to_string()).await.json();
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(words)), "{problem}");
    }
}

#[tokio::test]
async fn queries_over_grpc_are_those_of_rest() {
    let (client, mut grpc, _) = served(GatewayKnobs::default()).await;
    let points = r#"[{"id":"a","vector":[1,0],"payload":{"s":"x"}},{"id":"b","vector":[0,1],"payload":{"s":"y"}},
        {"id":"c","vector":[1,1],"payload":{"s":"x"}}]"#;
    client.upsert(points).await.ok();
    let vector = |values: [f32; 2]| Some(pb::Vector { values: values.to_vec() });
    let leg = |values| pb::QueryLeg { vector: vector(values), ..Default::default() };
    let like = |id: &str| pb::Example { example: Some(pb::example::Example::Id(id.into())) };
    let request = pb::QueryRequest {
        collection: "docs".into(),
        prefetch: vec![leg([1.0, 0.0])],
        recommend: Some(pb::Recommend { positive: vec![like("b")], ..Default::default() }),
        ..Default::default()
    };
    let answer = grpc.query(request.clone()).await.expect("answer").into_inner();
    let rest = json!({"prefetch": [{"vector": [1, 0]}], "recommend": {"positive": ["b"]}});
    let rest = query(&client, rest).await;
    let shown: Vec<(String, f64)> = answer.results.iter().map(|r| (r.id.clone(), r.score)).collect();
    let expected = rest["results"].as_array().expect("results").iter();
    let expected: Vec<(String, f64)> = expected
        .map(|r| (r["id"].as_str().expect("id").into(), r["score"].as_f64().expect("score")))
        .collect();
    assert_eq!(shown, expected);
    assert_eq!(answer.results[0].legs.len(), 2);
    assert_eq!(answer.results[0].payload.as_deref(), Some(r#"{"s":"x"}"#));
    let group_by = Some(pb::GroupBy { field: "s".into(), ..Default::default() });
    let grouped =
        grpc.query(pb::QueryRequest { group_by, ..request.clone() }).await.expect("groups").into_inner();
    assert_eq!(grouped.groups.iter().map(|g| g.value.as_str()).collect::<Vec<_>>(), [r#""x""#, r#""y""#]);
    let bad = pb::QueryRequest { formula: Some("{".into()), ..request };
    let status = grpc.query(bad).await.expect_err("bad");
    assert_refused(&status, tonic::Code::InvalidArgument, "invalid_argument", "formula", "JSON");
}
