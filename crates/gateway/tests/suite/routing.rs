//! Shards in trouble: stale routes, partial answers, unknown outcomes.

use crate::cluster::{Client, Trouble, fault};
use serde_json::json;
use std::time::Duration;
use vectron_base::{Code, Outcome};
use vectron_wire::worker::PointRecord;

async fn four_shards() -> (Client, Vec<u64>) {
    let client = Client::new().with_docs("dot", 4).await;
    let points: Vec<_> = (0..40).map(|i| json!({"id": i, "vector": [i, 1]})).collect();
    client.upsert(&json!(points).to_string()).await.ok();
    let shards = client.cluster.shard_ids();
    (client, shards)
}

#[tokio::test]
async fn l01_every_search_asks_every_shard_and_says_so() {
    let (client, shards) = four_shards().await;
    client.cluster.log.lock().clear();
    let answer = client.search(r#"{"vector":[1,0],"top_k":40}"#).await.ok();
    assert_eq!(answer["meta"]["shards"], json!({"total": 4, "answered": 4, "failed": []}));
    assert_eq!(answer["results"].as_array().map(Vec::len), Some(40));
    let mut asked: Vec<u64> = client.cluster.log.lock().iter().map(|(_, shard)| *shard).collect();
    asked.sort_unstable();
    assert_eq!(asked, shards);
}

#[tokio::test]
async fn l09_a_failed_shard_fails_the_call_or_is_listed() {
    let (client, shards) = four_shards().await;
    let gone = Trouble::Fails(fault(Code::Unavailable, Outcome::NotApplied), 1_000);
    client.cluster.trouble(shards[2], Some(gone));
    let problem = client.search(r#"{"vector":[1,0]}"#).await.problem(503, "unavailable");
    assert_eq!(problem["detail"], format!("shard {}: as told", shards[2]));
    assert_eq!(problem["retryable"], true);
    let answer = client.search(r#"{"vector":[1,0],"top_k":40,"allow_partial":true}"#).await.ok();
    assert_eq!(answer["meta"]["partial"], true);
    assert_eq!(answer["meta"]["shards"]["answered"], 3);
    let failed = &answer["meta"]["shards"]["failed"][0];
    assert_eq!((&failed["shard"], &failed["code"]), (&json!(shards[2]), &json!("unavailable")));
    for shard in &shards {
        let trouble = Trouble::Fails(fault(Code::Unavailable, Outcome::NotApplied), 1_000);
        client.cluster.trouble(*shard, Some(trouble));
    }
    client.search(r#"{"vector":[1,0],"allow_partial":true}"#).await.problem(503, "unavailable");
}

#[tokio::test]
async fn slow_shards_meet_the_deadline() {
    let (client, shards) = four_shards().await;
    client.cluster.trouble(shards[0], Some(Trouble::Slow(Duration::from_secs(60))));
    let problem =
        client.search(r#"{"vector":[1,0],"timeout_ms":50}"#).await.problem(504, "deadline_exceeded");
    assert_eq!(problem["outcome"], "not_applied");
    let answer = client.search(r#"{"vector":[1,0],"timeout_ms":50,"allow_partial":true}"#).await.ok();
    assert_eq!(answer["meta"]["shards"]["failed"][0]["code"], "deadline_exceeded");
    let body = json!({"points": (0..40).map(|i| json!({"id": i, "vector": [1, 1]})).collect::<Vec<_>>(), "timeout_ms": 50});
    let written = client.post("/v1/collections/docs/points", body.to_string()).await.ok();
    let failed = written["failed"].as_array().expect("list");
    assert!(!failed.is_empty() && written["upserted"].as_u64() == Some(40 - failed.len() as u64));
    assert!(failed.iter().all(|f| f["code"] == "deadline_exceeded"));
    assert!(failed[0]["detail"].as_str().is_some_and(|d| d.contains("outcome is unknown")));
    for shard in &shards {
        client.cluster.trouble(*shard, Some(Trouble::Slow(Duration::from_secs(60))));
    }
    let written = client.post("/v1/collections/docs/points", body.to_string()).await;
    assert_eq!(written.problem(504, "deadline_exceeded")["outcome"], "unknown");
}

#[tokio::test]
async fn status_shows_a_shard_that_does_not_answer() {
    let knobs = vectron_gateway::GatewayKnobs { status_timeout_ms: 50, ..Default::default() };
    let client = Client::with(knobs, None).with_docs("dot", 2).await;
    let shards = client.cluster.shard_ids();
    client.cluster.trouble(shards[1], Some(Trouble::Slow(Duration::from_secs(60))));
    let status = client.fetch("/v1/collections/docs/status").await.ok();
    assert_eq!((&status["shards"][0]["ready"], &status["shards"][1]["ready"]), (&json!(true), &json!(false)));
    assert_eq!(status["shards"][1]["leader"], json!(null));
    assert_eq!(status["shards"][1]["replicas"][0]["worker"], 1);
}

#[tokio::test]
async fn a_moved_shard_is_followed_once() {
    let (client, shards) = four_shards().await;
    client.cluster.bump(shards[1]);
    client.search(r#"{"vector":[1,0]}"#).await.ok();
    client.cluster.bump(shards[1]);
    let points: Vec<_> = (0..40).map(|i| json!({"id": i, "vector": [i, 2]})).collect();
    assert_eq!(client.upsert(&json!(points).to_string()).await.ok()["upserted"], 40);
}

/// Lesson 28: a change of routes must not be an outage, and a range that moved must not be missed.
#[tokio::test]
async fn l28_a_split_is_followed_by_reads_and_writes() {
    let (client, shards) = four_shards().await;
    let search = r#"{"vector":[1,0],"top_k":100}"#;
    client.cluster.split(shards[1]);
    let answer = client.search(search).await.ok();
    assert_eq!(answer["results"].as_array().map(Vec::len), Some(40));
    assert_eq!(answer["meta"]["shards"]["total"], 5);
    client.cluster.split(shards[2]);
    let points: Vec<_> = (0..60).map(|i| json!({"id": i, "vector": [i, 2]})).collect();
    let answer = client.upsert(&json!(points).to_string()).await.ok();
    assert_eq!((&answer["upserted"], &answer["failed"]), (&json!(60), &json!([])));
    client.cluster.split(shards[3]);
    assert_eq!(client.post("/v1/collections/docs/points/count", "{}").await.ok()["count"], 60);
    client.cluster.split(shards[0]);
    let body = json!({"ids": (0..60).collect::<Vec<_>>()}).to_string();
    assert_eq!(client.post("/v1/collections/docs/points/delete", body).await.ok()["deleted"], 60);
    assert_eq!(client.cluster.points(), 0);
}

#[tokio::test]
async fn a_slow_read_is_sent_to_a_second_replica_when_its_level_allows() {
    let knobs =
        vectron_gateway::GatewayKnobs { hedge_after_ms: 20, hedge_percent: 100, ..Default::default() };
    let client = Client::with(knobs, None);
    let body = r#"{"name":"docs","dimension":2,"distance":"dot","replication_factor":3}"#;
    assert_eq!(client.post("/v1/collections", body).await.status, 201);
    client.upsert(r#"[{"id":"a","vector":[1,1]}]"#).await.ok();
    let shard = client.cluster.shard_ids()[0];
    let asked = || client.cluster.log.lock().iter().filter(|(name, _)| *name == "search").count();
    client.cluster.trouble(shard, Some(Trouble::SlowOnce(Duration::from_secs(60))));
    let answer = client.search(r#"{"vector":[1,0],"consistency":"eventual","timeout_ms":5000}"#).await.ok();
    assert_eq!((answer["results"].as_array().map(Vec::len), asked()), (Some(1), 2));
    client.cluster.trouble(shard, Some(Trouble::SlowOnce(Duration::from_secs(60))));
    client.search(r#"{"vector":[1,0],"timeout_ms":200}"#).await.problem(504, "deadline_exceeded");
    assert_eq!(asked(), 3, "a strict read is asked once");
}

#[tokio::test]
async fn writes_are_not_repeated_without_a_key() {
    let client = Client::new().with_docs("dot", 1).await;
    let shard = client.cluster.shard_ids()[0];
    let once = |outcome| Some(Trouble::Fails(fault(Code::Unavailable, outcome), 1));
    let attempts = || client.cluster.log.lock().iter().filter(|(name, _)| *name == "write").count();
    client.cluster.trouble(shard, once(Outcome::NotApplied));
    let problem = client.upsert(r#"[{"id":"a","vector":[1,1]}]"#).await.problem(503, "unavailable");
    assert_eq!((&problem["outcome"], attempts()), (&json!("not_applied"), 1));
    // A stale route is no repetition: the worker refused the epoch before it looked at the write.
    client.cluster.bump(shard);
    client.upsert(r#"[{"id":"a","vector":[1,1]}]"#).await.ok();
    assert_eq!(attempts(), 3);
    client.cluster.trouble(shard, once(Outcome::Unknown));
    let problem = client.upsert(r#"[{"id":"a","vector":[1,1]}]"#).await.problem(503, "unavailable");
    assert_eq!((&problem["outcome"], attempts()), (&json!("unknown"), 4));
    client.cluster.trouble(shard, once(Outcome::Unknown));
    let keyed = r#"{"points":[{"id":"a","vector":[1,1]}],"idempotency_key":"k"}"#;
    client.post("/v1/collections/docs/points", keyed).await.ok();
    assert_eq!(attempts(), 6);
}

#[tokio::test]
async fn a_partly_failed_delete_is_not_called_done() {
    let (client, shards) = four_shards().await;
    let full = Trouble::Fails(fault(Code::Overloaded, Outcome::NotApplied), 1_000);
    client.cluster.trouble(shards[0], Some(full));
    let body = json!({"ids": (0..40).collect::<Vec<_>>()}).to_string();
    let problem = client.post("/v1/collections/docs/points/delete", body).await.problem(503, "overloaded");
    assert_eq!(problem["outcome"], "unknown");
    assert!(problem["detail"].as_str().is_some_and(|d| d.starts_with("3 of 4 shards deleted")));
}

#[tokio::test]
async fn another_replica_is_asked_when_one_is_lost() {
    let client = Client::new();
    let body = r#"{"name":"docs","dimension":2,"distance":"dot","replication_factor":3}"#;
    assert_eq!(client.post("/v1/collections", body).await.status, 201);
    client.cluster.lost_workers.lock().extend([1, 2]);
    client.upsert(r#"[{"id":"a","vector":[1,1]}]"#).await.ok();
    client.search(r#"{"vector":[1,0]}"#).await.ok();
    client.cluster.lost_workers.lock().insert(3);
    let body = r#"{"points":[{"id":"a","vector":[1,1]}],"timeout_ms":300}"#;
    let problem = client.post("/v1/collections/docs/points", body).await.problem(503, "unavailable");
    assert_eq!(problem["outcome"], "not_applied");
}

#[tokio::test]
async fn a_name_created_again_elsewhere_shows_nothing_old() {
    use vectron_wire::placement::{
        CollectionSpec, Distance, IndexSettings, Placement, Quantization, ReadPolicy, Storage,
    };
    let client = Client::new().with_docs("dot", 2).await;
    client.upsert(r#"[{"id":"a","vector":[1,1]}]"#).await.ok();
    // Behind this gateway's back: its view still has the old life.
    client.cluster.delete_collection("docs", 1_000).await.expect("deleted");
    let spec = CollectionSpec {
        name: "docs".into(),
        dimension: 3,
        distance: Distance::Dot,
        shards: 1,
        replication_factor: 1,
        read_policy: ReadPolicy::Linearizable,
        quantization: Quantization::Auto,
        storage: Storage::Ram,
        index: IndexSettings::default(),
        vector_fields: Vec::new(),
        ttl_ms: None,
    };
    client.cluster.create_collection(spec, 1_000).await.expect("created");
    assert_eq!(client.post("/v1/collections/docs/points/count", "{}").await.ok()["count"], 0);
    client.fetch("/v1/collections/docs/points/a").await.problem(404, "not_found");
    client.search(r#"{"vector":[1,1,1]}"#).await.ok();
    client.cluster.delete_collection("docs", 1_000).await.expect("deleted");
    client.fetch("/v1/collections/docs/points/a").await.problem(404, "not_found");
    let problem = client.upsert(r#"[{"id":"a","vector":[1,1,1]}]"#).await.problem(404, "not_found");
    assert_eq!(problem["detail"], "collection 'docs' does not exist");
}

#[tokio::test]
async fn l14_an_id_in_two_shards_counts_once_by_its_version() {
    let (client, shards) = four_shards().await;
    for (shard, version, x) in [(shards[0], 900, 1.0), (shards[3], 901, 0.5)] {
        let vector = Some(vec![x, 0.0].into());
        client
            .cluster
            .plant(shard, PointRecord { id: "twin".into(), version, vector, payload: Some("{}".into()) });
    }
    let answer = client.search(r#"{"vector":[1,0],"top_k":1000}"#).await.ok();
    let results = answer["results"].as_array().expect("list");
    let twins: Vec<_> = results.iter().filter(|r| r["id"] == "twin").collect();
    assert_eq!(twins.len(), 1);
    assert_eq!((&twins[0]["version"], &twins[0]["score"]), (&json!(901), &json!(0.5)));
}

#[tokio::test]
async fn a_streamed_search_improves_until_every_shard_answered() {
    let (client, shards) = four_shards().await;
    let path = "/v1/collections/docs/points/search/stream";
    let events = |text: &str| -> Vec<(String, serde_json::Value)> {
        let blocks = text.split("\n\n").filter(|block| !block.is_empty());
        let part = |block: &str, name: &str| {
            let line = block.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
            line.trim_start().to_string()
        };
        blocks.map(|b| (part(b, "event:"), part(b, "data:").parse().expect("json"))).collect()
    };
    let body = r#"{"vector":[1,0],"top_k":40}"#;
    let reply = client.post(path, body).await;
    assert_eq!(reply.headers["content-type"], "text/event-stream");
    let told = events(&reply.text);
    assert_eq!(told.iter().filter(|(name, _)| name == "last").count(), 1);
    let (_, last) = told.last().expect("events");
    assert_eq!((&last["complete"], &last["meta"]["partial"]), (&json!(true), &json!(false)));
    let whole = client.search(body).await.ok();
    assert_eq!(last["results"], whole["results"]);
    // Each answer holds the results of the one before, or better ones.
    let best = |event: &serde_json::Value| event["results"].as_array().expect("list").len();
    assert!(told.windows(2).all(|w| best(&w[0].1) <= best(&w[1].1)));

    client.cluster.trouble(shards[1], Some(Trouble::Slow(Duration::from_secs(60))));
    let told = events(&client.post(path, r#"{"vector":[1,0],"top_k":40,"timeout_ms":100}"#).await.text);
    let (name, last) = told.last().expect("events");
    assert_eq!(
        (name.as_str(), &last["complete"], &last["meta"]["partial"]),
        ("last", &json!(false), &json!(true))
    );
    assert_eq!(last["meta"]["shards"]["failed"][0]["shard"], shards[1]);

    client.cluster.trouble(shards[1], None);
    client.post(path, r#"{"vector":[1,0,0]}"#).await.problem(400, "invalid_argument");
}
