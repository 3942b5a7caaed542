//! How searches come to what they return.

use crate::cluster::Client;
use serde_json::{Value, json};
use vectron_gateway::GatewayKnobs;
use vectron_wire::proto::public as pb;

const POINTS: &str = "/v1/collections/docs/points";

async fn why(client: &Client, id: &str, body: &str) -> Value {
    client.post(&format!("{POINTS}/{id}/why-not"), body).await.ok()
}

#[tokio::test]
async fn every_verdict_over_several_shards() {
    let client = Client::new().with_docs("dot", 3).await;
    let points: Vec<Value> =
        (0..20).map(|i| json!({"id": format!("p{i:02}"), "vector": [i, 0], "payload": {"f": "y"}})).collect();
    client.upsert(&json!(points).to_string()).await.ok();
    client.upsert(r#"[{"id":"missed/1","vector":[17.5,0]},{"id":"search","vector":[-1,0]}]"#).await.ok();
    let body = r#"{"vector":[1,0],"top_k":4}"#;

    let best = why(&client, "p19", body).await;
    assert_eq!(
        (&best["verdict"], &best["rank"], &best["position"]),
        (&json!("present"), &json!(1), &json!(1))
    );
    assert_eq!(best["score"], 19.0);
    assert_eq!(best["meta"]["shards"], json!({"total": 3, "answered": 3, "failed": []}));
    // Fifth of all, though the first of its shard for all that is known.
    let fifth = why(&client, "p16", body).await;
    assert_eq!((&fifth["verdict"], &fifth["rank"]), (&json!("outranked"), &json!(5)));
    assert!(fifth.get("position").is_none() && fifth.get("ef_needed").is_none(), "{fifth}");
    let missed = why(&client, "missed%2F1", body).await;
    assert_eq!((&missed["verdict"], &missed["rank"]), (&json!("approximate_miss"), &json!(3)));
    assert_eq!((&missed["ef"], &missed["ef_needed"]), (&json!(64), &json!(96)), "{missed}");
    assert_eq!(missed["id"], "missed/1");
    // An id that is spelled like a verb.
    assert_eq!(why(&client, "search", body).await["rank"], 22);
    let low = why(&client, "p03", r#"{"vector":[1,0],"top_k":4,"score_threshold":3.5}"#).await;
    assert_eq!((&low["verdict"], &low["score"]), (&json!("below_threshold"), &json!(3.0)));
    assert_eq!(why(&client, "nobody", body).await["verdict"], "absent");
    let filtered = why(&client, "p03", r#"{"vector":[1,0],"filter":{"f":"z"}}"#).await;
    assert_eq!(filtered["verdict"], "filtered");
    assert_eq!(
        filtered["filtered_by"],
        json!([{"clause": {"f": {"$eq": "z"}}, "values": [{"field": "f", "value": "x"}, {"field": "g"}]}])
    );
    // Only its own shard was asked.
    assert_eq!(filtered["meta"]["shards"]["total"], 1);

    let refused = client.post(&format!("{POINTS}/p03/why-not"), r#"{"vector":[1]}"#).await;
    refused.problem(400, "invalid_argument");
    let refused = client.post(&format!("{POINTS}/p03/why-not"), r#"{"vector":[1,0],"why":1}"#).await;
    assert_eq!(refused.problem(400, "invalid_argument")["errors"][0]["field"], "why");
    client.post("/v1/collections/more/points/a/why-not", body).await.problem(404, "not_found");
    let long = "x".repeat(513);
    client.post(&format!("{POINTS}/{long}/why-not"), body).await.problem(400, "invalid_argument");
}

#[tokio::test]
async fn why_not_over_grpc() {
    let (client, mut grpc, _) = crate::grpc::served(GatewayKnobs::default()).await;
    client
        .upsert(r#"[{"id":"a","vector":[1,0]},{"id":"missed","vector":[1,0.1],"payload":{"f":"y"}}]"#)
        .await
        .ok();
    let search = |filter: Option<&str>| pb::SearchRequest {
        collection: "docs".into(),
        vector: Some(pb::Vector { values: vec![1.0, 0.0] }),
        filter: filter.map(Into::into),
        ..Default::default()
    };
    let ask = |search| pb::WhyNotRequest { id: "missed".into(), search: Some(search) };
    let missed = grpc.why_not(ask(search(None))).await.expect("answered").into_inner();
    assert_eq!(
        (missed.verdict.as_str(), missed.rank, missed.ef_needed),
        ("approximate_miss", Some(2), Some(96))
    );
    assert!(missed.meta.is_some());
    let filtered = grpc.why_not(ask(search(Some(r#"{"f":"z"}"#)))).await.expect("answered").into_inner();
    assert_eq!(filtered.verdict, "filtered");
    assert_eq!(filtered.filtered_by[0].clause, r#"{"f":{"$eq":"z"}}"#);
    let none = pb::WhyNotRequest { id: "a".into(), search: None };
    assert_eq!(grpc.why_not(none).await.expect_err("no collection").code(), tonic::Code::InvalidArgument);
}

#[tokio::test]
async fn a_recall_target_that_is_missed_shows_in_the_answer_and_is_not_kept() {
    let knobs = GatewayKnobs { result_cache_bytes: 1 << 20, ..GatewayKnobs::default() };
    let client = Client::with(knobs, None).with_docs("dot", 2).await;
    client.upsert(r#"[{"id":"a","vector":[1,0]}]"#).await.ok();
    let body = r#"{"vector":[1,0],"filter":{"f":"x"},"params":{"recall_target":0.97}}"#;
    let missed = client.search(body).await.ok();
    assert_eq!(missed["meta"]["degraded"], json!(["filter_without_index", "recall_below_target"]));
    let body = r#"{"vector":[1,0],"params":{"recall_target":0.97}}"#;
    for _ in 0..2 {
        assert_eq!(client.search(body).await.ok()["meta"]["degraded"], json!(["recall_below_target"]));
    }
    assert!(client.cluster.log.lock().iter().all(|(call, _)| *call != "unchanged"));
    assert_eq!(client.search(r#"{"vector":[1,0]}"#).await.ok()["meta"]["degraded"], json!([]));
}

#[tokio::test]
async fn the_recall_of_live_searches_is_that_of_all_shards_by_what_they_measured() {
    let client = Client::new().with_docs("dot", 2).await;
    let status = client.fetch("/v1/collections/docs/status").await.ok();
    let shards = client.cluster.shard_ids();
    let samples: u64 = shards.iter().map(|shard| shard + 1).sum();
    let found: f64 =
        shards.iter().map(|shard| (shard + 1) as f64 * if shard % 2 == 0 { 1.0 } else { 0.5 }).sum();
    let recall = found / samples as f64;
    assert_eq!(
        status["recall"],
        json!([{"selectivity": "all", "target": 0.5, "samples": samples, "recall": recall, "missed": false}])
    );
    assert_eq!(status["shards"][0]["recall"][0]["samples"], shards[0] + 1);
}

#[tokio::test]
async fn an_effort_is_proposed_by_queries_or_by_points() {
    let client = Client::new().with_docs("dot", 2).await;
    let path = "/v1/collections/docs/tune";
    let known = client.post(path, "{}").await.ok();
    let most = client.cluster.shard_ids().into_iter().max().expect("shards") + 70;
    assert_eq!((&known["source"], &known["ef"]), (&json!("points"), &json!(most)));
    client
        .upsert(r#"[{"id":"a","vector":[1,0]},{"id":"b","vector":[1,0]},{"id":"c","vector":[1,0]}]"#)
        .await
        .ok();
    for (target, ef, recall) in [(0.9, 64, 0.9), (0.91, 128, 1.0), (0.5, 32, 0.8)] {
        let tuned = client.post(path, json!({"recall_target": target}).to_string()).await.ok();
        assert_eq!(
            (&tuned["ef"], &tuned["recall"], &tuned["queries"]),
            (&json!(ef), &json!(recall), &json!(3))
        );
        assert_eq!((&tuned["source"], &tuned["rungs"][1]["ef"]), (&json!("queries"), &json!(64)));
    }
    let refused = client.post(path, r#"{"recall_target":1}"#).await.problem(400, "invalid_argument");
    assert_eq!(refused["errors"][0]["field"], "recall_target");
}
