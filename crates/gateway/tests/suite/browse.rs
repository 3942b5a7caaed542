//! Facets, samples, matrices, points by a field, estimates and batches of searches, over both protocols.

use crate::cluster::Client;
use crate::grpc::{assert_refused, served};
use serde_json::{Value, json};
use tonic::Code;
use vectron_gateway::GatewayKnobs;
use vectron_wire::proto::public as pb;

const POINTS: &str = "/v1/collections/docs/points";

/// 24 points over three shards, with a few values each.
async fn filled() -> Client {
    let client = Client::new().with_docs("cosine", 3).await;
    let points: Vec<Value> = (0..24)
        .map(|i| {
            let size = if i % 5 == 0 { json!(null) } else { json!(i * 7 % 10) };
            let payload = json!({"k": ["all", format!("k{}", i % 4)], "even": if i % 2 == 0 {"yes"} else {"no"}, "size": size});
            json!({"id": format!("p{i:02}"), "vector": [i + 1, 24 - i], "payload": payload})
        })
        .collect();
    client.upsert(&json!(points).to_string()).await.ok();
    client
}

impl Client {
    async fn look(&self, verb: &str, body: Value) -> Value {
        self.post(&format!("{POINTS}/{verb}"), body.to_string()).await.ok()
    }

    async fn refusal(&self, verb: &str, body: Value) -> (String, String) {
        let reply = self.post(&format!("{POINTS}/{verb}"), body.to_string()).await;
        let problem = reply.json();
        let field = problem["errors"][0]["field"].as_str().unwrap_or_default().to_string();
        (field, problem["detail"].as_str().unwrap_or_default().to_string())
    }
}

#[tokio::test]
async fn facets_are_summed_over_shards() {
    let client = filled().await;
    let facet = client.look("facet", json!({"field": "k", "limit": 3})).await;
    let expected =
        json!([{"value": "all", "count": 24}, {"value": "k0", "count": 6}, {"value": "k1", "count": 6}]);
    assert_eq!((&facet["values"], &facet["more"]), (&expected, &json!(true)));
    assert_eq!(facet["meta"]["shards"]["answered"], 3);
    assert_eq!(facet["meta"]["degraded"], json!(["facet_without_index"]));
    let facet = client.look("facet", json!({"field": "k", "filter": {"even": "no"}})).await;
    let expected =
        json!([{"value": "all", "count": 12}, {"value": "k1", "count": 6}, {"value": "k3", "count": 6}]);
    assert_eq!((&facet["values"], &facet["more"]), (&expected, &json!(false)));
    assert_eq!(facet["meta"]["degraded"], json!(["filter_without_index", "facet_without_index"]));
    let facet = client.look("facet", json!({"field": "nothing"})).await;
    assert_eq!((&facet["values"], &facet["more"]), (&json!([]), &json!(false)));
    let at = json!({"field": "k", "consistency": {"level": "bounded", "max_staleness_ms": 9_000}});
    assert_eq!(client.look("facet", at).await["meta"]["consistency"]["level"], "bounded");
    for (body, field, words) in [
        (json!({"field": "a..b"}), "field", "empty"),
        (json!({"feild": "a"}), "feild", "did you mean 'field'?"),
        (json!({"field": "k", "limit": 0}), "limit", "from 1 to 65536"),
        (json!({"field": "k", "filter": {"a": {"$gtt": 1}}}), "filter.a.$gtt", "$gt"),
    ] {
        let (at, detail) = client.refusal("facet", body).await;
        assert!(at == field && detail.contains(words), "{at}: {detail}");
    }
}

#[tokio::test]
async fn a_facet_with_too_many_values_is_refused_and_never_wrong() {
    let knobs = GatewayKnobs { max_facet_values: 2, ..GatewayKnobs::default() };
    let client = Client::with(knobs, None).with_docs("dot", 2).await;
    let points: Vec<Value> =
        (0..20).map(|i| json!({"id": i, "vector": [1, 1], "payload": {"n": i}})).collect();
    client.upsert(&json!(points).to_string()).await.ok();
    let reply = client.post(&format!("{POINTS}/facet"), r#"{"field":"n","limit":2}"#).await;
    let problem = reply.problem(413, "too_large");
    assert_eq!(problem["errors"][0]["field"], "field");
    assert!(
        problem["detail"].as_str().is_some_and(|text| text.contains("gateway.max_facet_values")),
        "{problem}"
    );
}

#[tokio::test]
async fn points_come_in_the_order_of_a_field() {
    let client = filled().await;
    for direction in ["asc", "desc"] {
        let mut expected: Vec<(Option<i64>, String)> =
            (0..24).map(|i| ((i % 5 != 0).then_some(i * 7 % 10), format!("p{i:02}"))).collect();
        expected.sort_by(|(a, x), (b, y)| match (a, b) {
            (Some(a), Some(b)) if direction == "asc" => a.cmp(b).then(x.cmp(y)),
            (Some(a), Some(b)) => b.cmp(a).then(x.cmp(y)),
            (a, b) => b.is_some().cmp(&a.is_some()).then(x.cmp(y)),
        });
        for limit in [1, 5, 7, 24, 100] {
            let (mut seen, mut cursor) = (Vec::new(), Value::Null);
            loop {
                let order = json!({"field": "size", "direction": direction});
                let page =
                    client.look("scroll", json!({"order_by": order, "limit": limit, "cursor": cursor})).await;
                let points = page["points"].as_array().expect("points");
                assert!(points.len() <= limit);
                seen.extend(
                    points
                        .iter()
                        .map(|p| (p["payload"]["size"].as_i64(), p["id"].as_str().expect("id").into())),
                );
                cursor = page["next_cursor"].clone();
                if cursor.is_null() {
                    break;
                }
            }
            assert_eq!(seen, expected, "{direction} {limit}");
        }
    }
    let first = client.look("scroll", json!({"order_by": {"field": "size"}, "limit": 3})).await;
    for other in [
        json!({"cursor": first["next_cursor"]}),
        json!({"cursor": first["next_cursor"], "order_by": {"field": "size", "direction": "desc"}}),
        json!({"cursor": first["next_cursor"], "order_by": {"field": "k"}}),
    ] {
        assert_eq!(client.refusal("scroll", other).await.0, "cursor");
    }
    let up = json!({"order_by": {"field": "size", "direction": "up"}});
    assert_eq!(client.refusal("scroll", up).await.0, "order_by.direction");
}

#[tokio::test]
async fn samples_are_repeated_by_their_seed_and_compared_with_each_other() {
    let client = filled().await;
    let sample = client.look("sample", json!({"limit": 6, "seed": 7, "include_payload": false})).await;
    let ids = |answer: &Value| {
        let points = answer["points"].as_array().expect("points").clone();
        points.iter().map(|p| p["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!((ids(&sample).len(), &sample["seed"]), (6, &json!(7)));
    assert_eq!(ids(&client.look("sample", json!({"limit": 6, "seed": 7})).await), ids(&sample));
    assert_ne!(ids(&client.look("sample", json!({"limit": 6, "seed": 8})).await), ids(&sample));
    let free = client.look("sample", json!({"limit": 100})).await;
    assert_eq!(ids(&free).len(), 24);
    assert!(free["seed"].as_u64().is_some_and(|seed| seed < 1 << 53));
    let matrix = client.look("matrix", json!({"limit": 6, "seed": 7})).await;
    assert_eq!(matrix["ids"], json!(ids(&sample)));
    let scores: Vec<Vec<f64>> = serde_json::from_value(matrix["scores"].clone()).expect("numbers");
    for (i, row) in scores.iter().enumerate() {
        assert_eq!(row.len(), 6);
        assert!((row[i] - 1.0).abs() < 1e-6);
        assert!(row.iter().enumerate().all(|(j, score)| *score == scores[j][i]));
    }
    // Points of one id are as far apart as a search says.
    let vector = client.look("get", json!({"ids": [matrix["ids"][0]], "include_vector": true})).await;
    let found = client.look("search", json!({"vector": vector["points"][0]["vector"], "top_k": 24})).await;
    let hits = found["results"].as_array().expect("results");
    let hit = hits.iter().find(|hit| hit["id"] == matrix["ids"][1]).expect("found");
    assert!((hit["score"].as_f64().expect("score") - scores[0][1]).abs() < 1e-6);
    assert_eq!(client.refusal("matrix", json!({"limit": 257})).await.0, "limit");
    assert_eq!(client.refusal("sample", json!({"limit": 0})).await.0, "limit");
}

#[tokio::test]
async fn counts_may_be_estimates() {
    let client = filled().await;
    let exact = client.look("count", json!({"exact": true})).await;
    assert_eq!((&exact["count"], exact.get("estimate")), (&json!(24), None));
    let about = client.look("count", json!({"exact": false, "filter": {"even": "yes"}})).await;
    assert_eq!((&about["count"], &about["estimate"]), (&json!(12), &json!({"low": 9, "high": 18})));
    assert_eq!(about["meta"]["degraded"], json!(["filter_without_index"]));
}

#[tokio::test]
async fn a_batch_answers_each_search_as_if_it_were_alone() {
    let client = filled().await;
    let searches =
        json!([{"vector": [1, 0], "top_k": 3}, {"vector": [0, 1], "filter": {"even": "no"}, "top_k": 2}]);
    let batch = client.look("search/batch", json!({"searches": searches})).await;
    assert_eq!(batch["answers"].as_array().map(Vec::len), Some(2));
    for (search, answer) in
        searches.as_array().expect("list").iter().zip(batch["answers"].as_array().expect("list"))
    {
        let alone = client.look("search", search.clone()).await;
        assert_eq!(
            (&answer["results"], &answer["meta"]["degraded"]),
            (&alone["results"], &alone["meta"]["degraded"])
        );
    }
    assert_eq!(client.look("search/batch", json!({"searches": []})).await, json!({"answers": []}));
    let bad = json!({"searches": [{"vector": [1, 0]}, {"vector": [1, 0], "top_k": 0}]});
    assert_eq!(client.refusal("search/batch", bad).await.0, "searches[1].top_k");
    let bad = json!({"searches": [{"vector": [1, 0]}, {"vector": [1]}]});
    let (field, detail) = client.refusal("search/batch", bad).await;
    assert!(
        field == "searches[1].vector" && detail.starts_with("searches[1]: the query:"),
        "{field}: {detail}"
    );
    let bad = json!({"searches": [{"vektor": [1, 0]}]});
    assert_eq!(client.refusal("search/batch", bad).await.0, "searches[0].vektor");
    let many = json!({"searches": vec![json!({"vector": [1, 0]}); 101]});
    assert_eq!(client.refusal("search/batch", many).await.0, "searches");
    let none = client.post("/v1/collections/none/points/search/batch", r#"{"searches":[]}"#).await;
    none.problem(404, "not_found");
}

#[tokio::test]
async fn everything_is_the_same_over_grpc() {
    let (client, mut grpc, _) = served(GatewayKnobs::default()).await;
    let points = r#"[{"id":"a","vector":[1,0],"payload":{"s":"x","n":2}},{"id":"b","vector":[0,1],"payload":{"s":"y","n":1}},
        {"id":"c","vector":[1,1],"payload":{"s":"x"}}]"#;
    client.upsert(points).await.ok();
    let collection = || "docs".to_string();
    let facet = pb::FacetRequest { collection: collection(), field: "s".into(), ..Default::default() };
    let facet = grpc.facet(facet).await.expect("facet").into_inner();
    let shown: Vec<_> = facet.values.iter().map(|v| (v.value.as_str(), v.count)).collect();
    assert_eq!(shown, [(r#""x""#, 2), (r#""y""#, 1)]);
    let sample =
        pb::SampleRequest { collection: collection(), limit: Some(2), seed: Some(3), ..Default::default() };
    let sample = grpc.sample(sample).await.expect("sample").into_inner();
    assert_eq!((sample.points.len(), sample.seed), (2, 3));
    let matrix =
        pb::MatrixRequest { collection: collection(), limit: Some(2), seed: Some(3), ..Default::default() };
    let matrix = grpc.matrix(matrix).await.expect("matrix").into_inner();
    assert_eq!((matrix.ids.len(), matrix.scores[1].scores.len()), (2, 2));
    assert_eq!(matrix.ids, sample.points.iter().map(|p| p.id.clone()).collect::<Vec<_>>());
    let order_by = Some(pb::OrderBy { field: "n".into(), direction: Some("desc".into()) });
    let scroll =
        pb::ScrollRequest { collection: collection(), order_by, limit: Some(2), ..Default::default() };
    let page = grpc.scroll(scroll).await.expect("page").into_inner();
    assert_eq!(page.points.iter().map(|p| p.id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert!(page.next_cursor.is_some());
    let count = pb::CountRequest { collection: collection(), exact: Some(false), ..Default::default() };
    let count = grpc.count(count).await.expect("count").into_inner();
    assert_eq!((count.count, count.estimate.map(|e| e.high)), (3, Some(7)));
    let search =
        pb::SearchRequest { vector: Some(pb::Vector { values: vec![1.0, 0.0] }), ..Default::default() };
    let batch =
        pb::SearchBatchRequest { collection: collection(), searches: vec![search; 2], timeout_ms: None };
    let batch = grpc.search_batch(batch).await.expect("batch").into_inner();
    assert_eq!((batch.answers.len(), batch.answers[1].results[0].id.as_str()), (2, "a"));
    let facet = pb::FacetRequest { collection: collection(), ..Default::default() };
    let status = grpc.facet(facet).await.expect_err("no field");
    assert_refused(&status, Code::InvalidArgument, "invalid_argument", "field", "");
}
