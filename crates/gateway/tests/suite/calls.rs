//! What the calls answer when all goes well.

use crate::cluster::Client;
use serde_json::json;

#[tokio::test]
async fn collections_are_created_described_and_deleted() {
    let client = Client::new();
    let body = r#"{"name":"docs","dimension":2,"distance":"cosine","shards":3}"#;
    let created = client.post("/v1/collections", body).await;
    assert_eq!(created.status, 201);
    assert_eq!(created.json()["created"], true);
    assert_eq!(created.json()["collection"]["read_policy"], json!({"level": "linearizable"}));
    let again = client.post("/v1/collections", body).await.ok();
    assert_eq!(again["created"], false);
    let other = body.replace("cosine", "dot");
    client.post("/v1/collections", other).await.problem(409, "already_exists");
    assert_eq!(client.fetch("/v1/collections").await.ok()["collections"][0]["name"], "docs");
    let described = client.fetch("/v1/collections/docs").await.ok();
    assert_eq!((&described["shards"], &described["dimension"]), (&json!(3), &json!(2)));
    let status = client.fetch("/v1/collections/docs/status").await.ok();
    assert_eq!((&status["points"], &status["bytes"]), (&json!(0), &json!(30)));
    assert_eq!(status["shards"][0]["ready"], true);
    assert_eq!(status["shards"][0]["leader"], 1);
    assert_eq!(client.call("DELETE", "/v1/collections/docs", "").await.ok()["deleted"], true);
    client.fetch("/v1/collections/docs").await.problem(404, "not_found");
    client.call("DELETE", "/v1/collections/docs", "").await.problem(404, "not_found");
    client.upsert("[]").await.problem(404, "not_found");
}

#[tokio::test]
async fn points_are_written_read_and_deleted() {
    let client = Client::new().with_docs("dot", 4).await;
    let points = r#"[{"id":"a","vector":[0.1,2],"payload":{ "n" : 9007199254740993, "s": "x  y" }},
        {"id":7,"vector_b64":"AACAPwAAAEA="},{"id":"../x","vector":[1,1]},{"id":"a/b","vector":[1,1]},
        {"id":"🦀","vector":[1,1]},{"id":"search","vector":[1,1]},{"id":-3,"vector":[1,1]}]"#;
    let written = client.upsert(points).await.ok();
    assert_eq!(written["upserted"], 7);
    assert_eq!(written["failed"], json!([]));
    let a = client.fetch("/v1/collections/docs/points/a?include_vector=true").await;
    assert!(
        a.text.contains(r#""payload":{"n":9007199254740993,"s":"x  y"},"vector":[0.1,2.0]"#),
        "{}",
        a.text
    );
    assert_eq!(a.ok()["meta"]["shards"], json!({"total": 1, "answered": 1, "failed": []}));
    let seven =
        client.fetch("/v1/collections/docs/points/7?include_vector=true&include_payload=false").await.ok();
    assert_eq!(seven["point"]["vector"], json!([1.0, 2.0]));
    assert_eq!(seven["point"].get("payload"), None);
    for path in ["..%2Fx", "a%2Fb", "%F0%9F%A6%80", "search", "-3"] {
        client.fetch(&format!("/v1/collections/docs/points/{path}")).await.ok();
    }
    let missing = client.fetch("/v1/collections/docs/points/none").await.problem(404, "not_found");
    assert_eq!(missing["detail"], "point 'none' does not exist in collection 'docs'");
    let several =
        client.post("/v1/collections/docs/points/get", r#"{"ids":["z","🦀",7,"a","y"]}"#).await.ok();
    let ids: Vec<_> = several["points"].as_array().expect("list").iter().map(|p| p["id"].clone()).collect();
    assert_eq!((json!(ids), &several["missing"]), (json!(["🦀", "7", "a"]), &json!(["z", "y"])));
    let gone = client.call("DELETE", "/v1/collections/docs/points/search", "").await.ok();
    assert_eq!(gone["deleted"], 1);
    let gone = client.call("DELETE", "/v1/collections/docs/points/search", "").await.ok();
    assert_eq!(gone["deleted"], 0);
    let gone = client.post("/v1/collections/docs/points/delete", r#"{"ids":["a",7,"nobody"]}"#).await.ok();
    assert_eq!(gone["deleted"], 2);
    assert_eq!(client.cluster.points(), 4);
}

#[tokio::test]
async fn counts_pages_and_deletes_follow_the_filter() {
    let client = Client::new().with_docs("dot", 3).await;
    let points: Vec<_> = (0..25)
        .map(|i| json!({"id": format!("p{i:02}"), "vector": [i, 1], "payload": {"even": if i % 2 == 0 {"yes"} else {"no"}}}))
        .collect();
    client.upsert(&json!(points).to_string()).await.ok();
    let count = |body: &'static str| {
        let client = &client;
        async move { client.post("/v1/collections/docs/points/count", body).await.ok() }
    };
    let all = count("{}").await;
    assert_eq!((&all["count"], &all["meta"]["degraded"]), (&json!(25), &json!([])));
    let even = count(r#"{"filter":{"even":"yes"}}"#).await;
    assert_eq!((&even["count"], &even["meta"]["degraded"]), (&json!(13), &json!(["filter_without_index"])));
    let mut seen = Vec::new();
    let mut cursor = json!(null);
    loop {
        let body = json!({"limit": 4, "cursor": cursor, "filter": {"even": "yes"}, "include_payload": false});
        let page = client.post("/v1/collections/docs/points/scroll", body.to_string()).await.ok();
        let points = page["points"].as_array().expect("list").clone();
        assert!(points.len() <= 4 && points.iter().all(|p| p.get("payload").is_none()));
        seen.extend(points.iter().map(|p| p["id"].as_str().expect("id").to_string()));
        cursor = page["next_cursor"].clone();
        if cursor.is_null() {
            break;
        }
    }
    let expected: Vec<String> = (0..25).step_by(2).map(|i| format!("p{i:02}")).collect();
    assert_eq!(seen, expected);
    let gone = client.post("/v1/collections/docs/points/delete", r#"{"filter":{"even":"yes"}}"#).await.ok();
    assert_eq!((&gone["deleted"], client.cluster.points()), (&json!(13), 12));
}

#[tokio::test]
async fn cursors_belong_to_one_scroll() {
    let client = Client::new().with_docs("dot", 2).await;
    client
        .upsert(r#"[{"id":"a","vector":[1,1]},{"id":"b","vector":[1,1]},{"id":"c","vector":[1,1]}]"#)
        .await
        .ok();
    let scroll = |body: serde_json::Value| {
        let client = &client;
        async move { client.post("/v1/collections/docs/points/scroll", body.to_string()).await }
    };
    let cursor = scroll(json!({"limit": 1})).await.ok()["next_cursor"].clone();
    for body in [
        json!({"cursor": "garbage"}),
        json!({"cursor": format!("{}x", cursor.as_str().expect("cursor"))}),
        json!({"cursor": cursor, "filter": {"a": "b"}}),
    ] {
        let problem = scroll(body).await.problem(400, "invalid_argument");
        assert_eq!(problem["errors"][0]["field"], "cursor");
    }
    client.call("DELETE", "/v1/collections/docs", "").await.ok();
    let client = client.with_docs("dot", 2).await;
    let body = json!({"cursor": cursor}).to_string();
    let problem =
        client.post("/v1/collections/docs/points/scroll", body).await.problem(400, "invalid_argument");
    assert!(problem["detail"].as_str().expect("text").contains("an earlier one of this name"));
}

#[tokio::test]
async fn l13_results_are_ordered_and_stable_over_shards() {
    let client = Client::new().with_docs("dot", 4).await;
    let points: Vec<_> = (0..40).map(|i| json!({"id": format!("p{i:02}"), "vector": [i / 4, 0]})).collect();
    client.upsert(&json!(points).to_string()).await.ok();
    let top = |k: usize| {
        let client = &client;
        async move {
            let answer = client.search(&json!({"vector": [1, 0], "top_k": k}).to_string()).await.ok();
            assert_eq!(answer["meta"]["shards"], json!({"total": 4, "answered": 4, "failed": []}));
            let results = answer["results"].as_array().expect("list").clone();
            results.iter().map(|r| (r["id"].clone(), r["score"].clone())).collect::<Vec<_>>()
        }
    };
    let ten = top(10).await;
    let expected = ["p36", "p37", "p38", "p39", "p32", "p33", "p34", "p35", "p28", "p29"];
    assert_eq!(ten.iter().map(|r| r.0.as_str().expect("id")).collect::<Vec<_>>(), expected);
    assert_eq!(top(5).await, ten[..5]);
    assert_eq!(top(40).await.len(), 40);
    assert_eq!(top(10).await, ten);
}

#[tokio::test]
async fn searches_pass_on_what_was_asked_and_explain_themselves() {
    let client = Client::new().with_docs("cosine", 2).await;
    client.upsert(r#"[{"id":"a","vector":[1,0],"payload":{"s":"x"}},{"id":"b","vector":[0,1]}]"#).await.ok();
    let answer = client.search(r#"{"vector":[1,0],"explain":true,"include_vector":true}"#).await.ok();
    assert_eq!(
        answer["results"][0],
        json!({"id":"a","score":1.0,"version":1,"payload":{"s":"x"},"vector":[1.0,0.0]})
    );
    assert_eq!(answer["search_id"].as_str().expect("id").len(), 32);
    let stages = answer["explain"]["stages"].as_array().expect("stages").clone();
    let sum: u64 = stages.iter().map(|s| s["us"].as_u64().expect("number")).sum();
    let took = answer["meta"]["took_ms"].as_f64().expect("number");
    assert!((sum as f64 / 1_000.0 - took).abs() <= took * 0.05 + 1e-9, "{sum} us, {took} ms");
    assert_eq!(answer["explain"]["shards"][0]["stages"], json!([{"name": "search", "us": 7}]));
    assert_eq!(client.search(r#"{"vector":[1,0]}"#).await.ok()["explain"], json!(null));
    let body = r#"{"vector":[1,0],"top_k":3,"score_threshold":0.5,"filter":{"s":"x"},"timeout_ms":700,
        "params":{"recall_target":0.9,"ef":64,"exact":true}}"#;
    let answer = client.search(body).await.ok();
    assert_eq!(answer["results"].as_array().map(Vec::len), Some(1));
    assert_eq!(answer["meta"]["degraded"], json!(["filter_without_index"]));
    let plan = client.cluster.searches.lock().last().cloned().expect("asked");
    assert_eq!((plan.top_k, plan.ef, plan.exact), (3, Some(64), true));
    assert_eq!((plan.recall_target, plan.score_threshold), (0.9, Some(0.5)));
    assert!((1..=700).contains(&plan.timeout_ms), "{}", plan.timeout_ms);
}

#[tokio::test]
async fn version_conditions_are_decided_per_item() {
    let client = Client::new().with_docs("dot", 1).await;
    let written = client
        .upsert(r#"[{"id":"a","vector":[1,1],"if_version":0},{"id":"b","vector":[1,1],"if_version":9}]"#);
    let written = written.await.ok();
    assert_eq!(written["upserted"], 1);
    let failed = &written["failed"][0];
    assert_eq!(
        (&failed["id"], &failed["code"], &failed["current_version"]),
        (&json!("b"), &json!("version_mismatch"), &json!(0))
    );
    // A request of one point ends as its point does.
    let again = client.upsert(r#"[{"id":"a","vector":[1,1],"if_version":0}]"#).await;
    let problem = again.problem(412, "version_mismatch");
    assert_eq!((&problem["current_version"], &problem["outcome"]), (&json!(1), &json!("not_applied")));
    assert_eq!(problem["errors"][0]["field"], "points[0].if_version");
    assert_eq!(problem["detail"], "points[0] 'a': if_version did not hold: the point has version 1");
}

#[tokio::test]
async fn retries_with_a_key_apply_once() {
    let client = Client::new().with_docs("dot", 3).await;
    let body = |x: u32| {
        json!({"points": (0..9).map(|i| json!({"id": i, "vector": [x, 1]})).collect::<Vec<_>>(), "idempotency_key": "k1"}).to_string()
    };
    let first = client.post("/v1/collections/docs/points", body(1)).await.ok();
    let again = client.post("/v1/collections/docs/points", body(1)).await.ok();
    assert_eq!((&first["replayed"], &again["replayed"]), (&json!(false), &json!(true)));
    assert_eq!(first["session"], again["session"]);
    client.post("/v1/collections/docs/points", body(2)).await.problem(422, "idempotency_key_reused");
}

#[tokio::test]
async fn a_reused_key_is_refused_before_any_shard_applies() {
    let client = Client::new().with_docs("dot", 4).await;
    let write = |ids: Vec<u32>| {
        let points: Vec<_> = ids.iter().map(|id| json!({"id": id, "vector": [1, 1]})).collect();
        let body = json!({"points": points, "idempotency_key": "k1"}).to_string();
        client.post("/v1/collections/docs/points", body)
    };
    let first = write(vec![0]).await.ok();
    assert_eq!((&first["upserted"], &first["replayed"]), (&json!(1), &json!(false)));
    // Other ids, so that shards are asked that never saw the key.
    for ids in [(1..40).collect(), vec![7], vec![0, 9], Vec::new()] {
        let problem = write(ids).await.problem(422, "idempotency_key_reused");
        assert_eq!(problem["outcome"], "not_applied");
        assert_eq!(client.cluster.points(), 1);
    }
    let delete = json!({"ids": (0..40).collect::<Vec<_>>(), "idempotency_key": "k1"}).to_string();
    let path = "/v1/collections/docs/points/delete";
    client.post(path, delete).await.problem(422, "idempotency_key_reused");
    assert_eq!(client.cluster.points(), 1);
    let again = write(vec![0]).await.ok();
    assert_eq!((&again["upserted"], &again["replayed"]), (&json!(1), &json!(true)));
    let delete = json!({"ids": (0..40).collect::<Vec<_>>(), "idempotency_key": "k2"}).to_string();
    assert_eq!(client.post(path, delete.clone()).await.ok()["deleted"], 1);
    let again = client.post(path, delete).await.ok();
    assert_eq!((&again["deleted"], &again["replayed"]), (&json!(1), &json!(true)));
}

#[tokio::test]
async fn a_key_of_one_shard_costs_no_more_than_the_write() {
    let client = Client::new().with_docs("dot", 1).await;
    let body = json!({"points": [{"id": 1, "vector": [1, 1]}], "idempotency_key": "k"}).to_string();
    client.post("/v1/collections/docs/points", body).await.ok();
    assert_eq!(client.cluster.written(), 1);
}

#[tokio::test]
async fn answers_are_bounded() {
    let knobs = vectron_gateway::GatewayKnobs { max_answer_bytes: 65_536, ..Default::default() };
    let client = Client::with(knobs, None).with_docs("dot", 3).await;
    let text = "x".repeat(10_000);
    let points: Vec<_> = (0..20)
        .map(|i| json!({"id": format!("p{i:02}"), "vector": [1, 1], "payload": {"t": text}}))
        .collect();
    client.upsert(&json!(points).to_string()).await.ok();
    let (mut seen, mut cursor, mut pages) = (0, json!(null), 0);
    loop {
        let body = json!({"limit": 100, "cursor": cursor}).to_string();
        let page = client.post("/v1/collections/docs/points/scroll", body).await;
        assert!(page.text.len() < 70_000, "{}", page.text.len());
        let page = page.ok();
        for point in page["points"].as_array().expect("list") {
            assert_eq!(point["id"], format!("p{seen:02}"));
            seen += 1;
        }
        (cursor, pages) = (page["next_cursor"].clone(), pages + 1);
        if cursor.is_null() {
            break;
        }
    }
    assert_eq!((seen, pages), (20, 4));
    let search = |body: &'static str| client.search(body);
    let problem = search(r#"{"vector":[1,1],"top_k":20}"#).await.problem(413, "too_large");
    assert!(problem["detail"].as_str().is_some_and(|d| d.contains("smaller top_k")), "{problem}");
    search(r#"{"vector":[1,1],"top_k":20,"include_payload":false}"#).await.ok();
    search(r#"{"vector":[1,1],"top_k":3}"#).await.ok();
    let ids: Vec<_> = (0..20).map(|i| format!("p{i:02}")).collect();
    let body = json!({"ids": ids}).to_string();
    let problem = client.post("/v1/collections/docs/points/get", body).await.problem(413, "too_large");
    assert!(problem["detail"].as_str().is_some_and(|d| d.contains("fewer ids")), "{problem}");
}

#[tokio::test]
async fn consistency_is_passed_on_and_stated() {
    use std::sync::atomic::Ordering::SeqCst;
    use vectron_wire::worker::ReadLevel;
    let client = Client::new().with_docs("dot", 1).await;
    let session = client.upsert(r#"[{"id":"a","vector":[1,1]}]"#).await.ok()["session"].clone();
    client.cluster.staleness_ms.store(40, SeqCst);
    for (asked, level, name) in [
        (json!(null), ReadLevel::Linearizable, "linearizable"),
        (json!("eventual"), ReadLevel::Eventual, "eventual"),
        (json!({"level": "bounded", "max_staleness_ms": 500}), ReadLevel::Bounded(500), "bounded"),
        (json!({"level": "session", "token": session}), ReadLevel::Session(1), "session"),
    ] {
        let body = json!({"consistency": asked}).to_string();
        let answer = client.post("/v1/collections/docs/points/count", body).await.ok();
        assert_eq!(client.cluster.levels.lock().last(), Some(&level));
        assert_eq!(answer["meta"]["consistency"], json!({"level": name, "staleness_ms": 40}));
        assert_eq!(answer["meta"]["session"], session);
    }
    let token = session.as_str().expect("token");
    client.fetch(&format!("/v1/collections/docs/points/a?consistency=session&token={token}")).await.ok();
    assert_eq!(client.cluster.levels.lock().last(), Some(&ReadLevel::Session(1)));
    let relaxed = r#"{"name":"loose","dimension":2,"distance":"dot","read_policy":{"level":"bounded","max_staleness_ms":9}}"#;
    assert_eq!(client.post("/v1/collections", relaxed).await.status, 201);
    client.post("/v1/collections/loose/points/count", "{}").await.ok();
    assert_eq!(client.cluster.levels.lock().last(), Some(&ReadLevel::Bounded(9)));
    let foreign = json!({"consistency": {"level": "session", "token": session}}).to_string();
    let problem =
        client.post("/v1/collections/loose/points/count", foreign).await.problem(400, "invalid_argument");
    assert_eq!(problem["errors"][0]["field"], "consistency.token");
}

#[tokio::test]
async fn operators_change_the_cluster() {
    use vectron_base::ids::{ReplicaId, ShardId, WorkerId};
    use vectron_wire::cluster::ClusterChange as Change;
    let client = Client::new();
    let address = "pd:1".to_string();
    let shard = ShardId(3);
    let posts = [
        ("workers/7/drain", "{}", Change::Drain(WorkerId(7))),
        ("workers/7/undrain", "{}", Change::Undrain(WorkerId(7))),
        ("shards/3/split", "{}", Change::Split(shard)),
        ("shards/3/transfer", r#"{"to":8}"#, Change::Transfer { shard, to: WorkerId(8) }),
        ("shards/3/learners", r#"{"worker":8}"#, Change::AddLearner { shard, to: WorkerId(8) }),
        (
            "shards/3/move",
            r#"{"from":7,"to":8,"dry_run":true}"#,
            Change::Move { shard, from: WorkerId(7), to: WorkerId(8), dry_run: true },
        ),
        ("rebalance", r#"{"dry_run":true}"#, Change::Rebalance { dry_run: true }),
        ("moves/pause", "{}", Change::Pause),
        ("moves/resume", "{}", Change::Resume),
        ("members", r#"{"member":4,"address":"pd:1"}"#, Change::AddMember { replica: ReplicaId(4), address }),
    ];
    for (path, body, change) in posts {
        let answer = client.post(&format!("/v1/admin/{path}"), body).await.ok();
        assert_eq!(answer["planned"][0]["bytes"], 7, "{path}");
        assert_eq!(client.cluster.changes.lock().pop(), Some(change), "{path}");
    }
    let deletes = [
        ("workers/7", Change::Remove(WorkerId(7))),
        ("shards/3/learners/8", Change::RemoveLearner { shard, from: WorkerId(8) }),
        ("moves/5", Change::Cancel(5)),
        ("members/4", Change::RemoveMember(ReplicaId(4))),
    ];
    for (path, change) in deletes {
        client.call("DELETE", &format!("/v1/admin/{path}"), "").await.ok();
        assert_eq!(client.cluster.changes.lock().pop(), Some(change), "{path}");
    }
    client.post("/v1/admin/workers/x/drain", "{}").await.problem(400, "invalid_argument");
    client.post("/v1/admin/shards/3/move", r#"{"from":7}"#).await.problem(400, "invalid_argument");
    client.post("/v1/admin/rebalance", r#"{"dryrun":true}"#).await.problem(400, "invalid_argument");
    assert_eq!(client.cluster.changes.lock().len(), 0);
}

#[tokio::test]
async fn operators_see_what_is_there() {
    let client = Client::new().with_docs("dot", 2).await;
    client.fetch("/v1/collections").await.ok();
    for path in ["/healthz", "/readyz", "/v1/system/health", "/v1/admin/stats", "/v1/admin/knobs"] {
        client.fetch(path).await.ok();
    }
    assert_eq!(client.fetch("/v1/admin/collections").await.ok()["collections"][0]["name"], "docs");
    assert_eq!(client.fetch("/v1/admin/shards").await.ok()["shards"].as_array().map(Vec::len), Some(2));
    for path in ["/v1/admin/workers", "/v1/admin/moves", "/v1/admin/members"] {
        client.fetch(path).await.ok();
    }
    let metrics = client.fetch("/metrics").await;
    assert!(
        metrics.text.contains("vectron_gateway_requests_total{call=\"create_collection\",code=\"ok\"} 1")
    );
    assert!(metrics.headers["content-type"].to_str().expect("text").starts_with("text/plain; version=0.0.4"));
    assert_eq!(client.fetch("/").await.headers["location"], "/docs/");
    let docs = client.fetch("/docs/").await;
    assert!(docs.status == 200 && docs.text.contains("swagger"), "{}", docs.text);
}
