//! Results that are kept or shared, budgets of slow shards, and sessions that know more than a gateway does.

use crate::cluster::{Client, Trouble, gateway};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use vectron_base::random::{Random, SeededRandom};
use vectron_gateway::GatewayKnobs;

/// Another gateway before the cluster of a client.
fn beside(client: &Client, knobs: GatewayKnobs) -> Client {
    let gateway = gateway(&client.cluster, knobs, None);
    Client { cluster: client.cluster.clone(), router: vectron_gateway::router(gateway.clone()), gateway }
}

fn keeping(bytes: u64) -> GatewayKnobs {
    GatewayKnobs { result_cache_bytes: bytes, ..GatewayKnobs::default() }
}

/// Calls that reached a shard since the last time, by name.
fn asked(client: &Client) -> Vec<&'static str> {
    std::mem::take(&mut *client.cluster.log.lock()).into_iter().map(|(name, _)| name).collect()
}

async fn metric(client: &Client, name: &str) -> u64 {
    let text = client.fetch("/metrics").await.text;
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0");
    line.trim().parse().expect("a number")
}

#[tokio::test]
async fn a_kept_result_is_given_again_until_something_is_applied() {
    let client = Client::with(keeping(1 << 20), None).with_docs("dot", 1).await;
    client.upsert(r#"[{"id":"a","vector":[1,1]},{"id":"b","vector":[2,1]}]"#).await.ok();
    let body = r#"{"vector":[1,0],"top_k":2}"#;
    asked(&client);
    let first = client.search(body).await.ok();
    assert_eq!(asked(&client), ["search"]);
    for level in ["linearizable", "eventual"] {
        let body = json!({"vector": [1, 0], "top_k": 2, "consistency": {"level": level}}).to_string();
        let again = client.search(&body).await.ok();
        assert_eq!(asked(&client), ["unchanged"], "the worker is asked at every level");
        assert_eq!(
            (&again["results"], &again["meta"]["session"]),
            (&first["results"], &first["meta"]["session"])
        );
        assert_eq!(again["meta"]["consistency"]["level"], level);
    }
    client.upsert(r#"[{"id":"c","vector":[9,1]}]"#).await.ok();
    asked(&client);
    assert_eq!(client.search(body).await.ok()["results"][0]["id"], "c");
    assert_eq!(asked(&client), ["search"]);
    client.search(body).await.ok();
    assert_eq!(asked(&client), ["unchanged"]);
    let lookups = |result| format!("vectron_gateway_result_cache_lookups_total{{result=\"{result}\"}}");
    for (result, count) in [("miss", 1), ("hit", 3), ("stale", 1)] {
        assert_eq!(metric(&client, &lookups(result)).await, count, "{result}");
    }
    // Who wants to know how it was searched is searched for.
    client.search(r#"{"vector":[1,0],"top_k":2,"explain":true}"#).await.ok();
    assert_eq!(asked(&client), ["search"]);
    // A collection that is deleted has no results.
    client.call("DELETE", "/v1/collections/docs", "").await;
    client.search(body).await.problem(404, "not_found");
}

#[tokio::test]
async fn a_result_that_says_that_an_index_is_missing_is_not_kept() {
    let client = Client::with(keeping(1 << 20), None).with_docs("dot", 1).await;
    client.upsert(r#"[{"id":"a","vector":[1,1],"payload":{"lang":"de"}}]"#).await.ok();
    let body = r#"{"vector":[1,0],"filter":{"lang":"de"}}"#;
    let degraded = |answer: &Value| answer["meta"]["degraded"].clone();
    assert_eq!(degraded(&client.search(body).await.ok()), json!(["filter_without_index"]));
    let index = r#"{"field":"lang","type":"keyword"}"#;
    client.post("/v1/collections/docs/indexes", index).await;
    asked(&client);
    assert_eq!(degraded(&client.search(body).await.ok()), json!([]));
    assert_eq!(asked(&client), ["search"]);
    assert_eq!(degraded(&client.search(body).await.ok()), json!([]));
    assert_eq!(asked(&client), ["unchanged"]);
}

/// Against a gateway that keeps nothing: any questions, any writes between them, room for all results or for few.
#[tokio::test]
async fn kept_results_are_those_of_a_search() {
    for (seed, bytes) in [(1, 1 << 20), (2, 4_000), (3, 1)] {
        let client = Client::with(keeping(bytes), None).with_docs("dot", 3).await;
        let plain = beside(&client, GatewayKnobs::default());
        let random = SeededRandom::new(seed);
        let mut names = BTreeSet::new();
        for step in 0..400 {
            if random.below(6) == 0 {
                let (id, x, lang) =
                    (random.below(30), random.below(9), ["de", "fr"][random.below(2) as usize]);
                let point = json!([{"id": id, "vector": [x, 1], "payload": {"lang": lang}}]);
                client.upsert(&point.to_string()).await.ok();
            }
            let mut question = json!({"vector": [random.below(2), 1], "top_k": 1 + random.below(3)});
            let more = [
                ("filter", json!({"lang": "de"})),
                ("score_threshold", json!(3)),
                ("params", json!({"exact": true})),
                ("params", json!({"ef": 7})),
                ("params", json!({"recall_target": 0.5})),
                ("include_vector", json!(true)),
                ("include_payload", json!(false)),
                ("consistency", json!({"level": "eventual"})),
            ];
            if let Some((name, value)) = more.get(random.below(12) as usize) {
                question[*name] = value.clone();
            }
            let body = question.to_string();
            let answer = client.search(&body).await.ok();
            names.extend(asked(&client));
            let truth = plain.search(&body).await.ok();
            asked(&client);
            assert_eq!(answer["results"], truth["results"], "seed {seed}, step {step}: {body}");
            assert_eq!(
                answer["meta"]["session"], truth["meta"]["session"],
                "seed {seed}, step {step}: {body}"
            );
        }
        assert_eq!(names.contains("unchanged"), bytes > 1, "seed {seed}: {names:?}");
        let kept = metric(&client, "vectron_gateway_result_cache_bytes").await;
        assert!(kept <= bytes, "{kept} of {bytes}");
    }
}

/// A result on its way when a write is acknowledged is not for those who ask after that.
#[allow(clippy::disallowed_methods, reason = "callers beside each other")]
#[tokio::test]
async fn equal_searches_at_once_share_one_that_begins_after_they_came() {
    let knobs = GatewayKnobs { coalesce_ms: 60_000, ..GatewayKnobs::default() };
    let client = Arc::new(Client::with(knobs, None).with_docs("dot", 1).await);
    client.upsert(r#"[{"id":"a","vector":[1,1]}]"#).await.ok();
    asked(&client);
    let search = || {
        let client = client.clone();
        #[allow(clippy::disallowed_methods, reason = "two callers at the same time, in a test")]
        tokio::spawn(async move { client.search(r#"{"vector":[1,0]}"#).await.ok() })
    };
    let ids = |answer: &Value| answer["results"].as_array().expect("list").len();
    *client.cluster.late.lock() = Some(Duration::from_millis(500));
    let first = search();
    while client.cluster.searches.lock().is_empty() {
        tokio::task::yield_now().await;
    }
    client.upsert(r#"[{"id":"b","vector":[2,1]}]"#).await.ok();
    let later: Vec<_> = (0..20).map(|_| search()).collect();
    assert_eq!(ids(&first.await.expect("done")), 1);
    let mut search_ids = BTreeSet::new();
    for one in later {
        let answer = one.await.expect("done");
        assert_eq!(ids(&answer), 2, "a write acknowledged before the search began");
        search_ids.insert(answer["search_id"].to_string());
    }
    assert_eq!(search_ids.len(), 20, "a search has its own id");
    assert_eq!(asked(&client), ["search", "write", "search"]);
    assert_eq!(metric(&client, "vectron_gateway_coalesced_total").await, 19);
}

/// A shard that is late costs its part of the answer and not the answer.
#[tokio::test]
async fn a_slow_shard_leaves_time_for_the_answer_without_it() {
    let client = Client::new().with_docs("dot", 4).await;
    let points: Vec<_> = (0..40).map(|i| json!({"id": i, "vector": [i, 1]})).collect();
    client.upsert(&json!(points).to_string()).await.ok();
    let slow = client.cluster.shard_ids()[1];
    client.cluster.trouble(slow, Some(Trouble::Slow(Duration::from_secs(60))));
    let budgets = || -> Vec<u64> {
        std::mem::take(&mut *client.cluster.searches.lock()).iter().map(|search| search.timeout_ms).collect()
    };
    let answer = client.search(r#"{"vector":[1,0],"allow_partial":true,"timeout_ms":1000}"#).await.ok();
    let failed = &answer["meta"]["shards"]["failed"];
    assert_eq!((&failed[0]["shard"], &failed[0]["code"]), (&json!(slow), &json!("deadline_exceeded")));
    assert!(budgets().into_iter().all(|ms| ms <= 800));
    // Who needs all of them gives them all of the time.
    client.cluster.trouble(slow, None);
    client.search(r#"{"vector":[1,0],"timeout_ms":100000}"#).await.ok();
    assert!(budgets().into_iter().all(|ms| ms > 90_000));
}

#[tokio::test]
async fn a_session_that_knows_a_newer_map_is_held_to_its_shards() {
    let client = Client::new().with_docs("dot", 1).await;
    let parent = client.cluster.shard_ids()[0];
    // This gateway's map is from before the split.
    client.search(r#"{"vector":[1,0]}"#).await.ok();
    let child = client.cluster.split(parent);
    let other = beside(&client, GatewayKnobs::default());
    let points: Vec<_> = (0..40).map(|i| json!({"id": i, "vector": [i, 1]})).collect();
    let session = other.upsert(&json!(points).to_string()).await.ok()["session"].clone();
    let body = json!({"vector": [1, 0], "top_k": 40, "consistency": {"level": "session", "token": session}});
    let body = body.to_string();
    client.cluster.log.lock().clear();
    // Without the catalog nobody can tell which shard has what the session saw.
    client.cluster.lost_catalog.store(true, Ordering::SeqCst);
    let problem = client.search(&body).await.problem(503, "staleness_unmet");
    assert!(problem["detail"].as_str().is_some_and(|d| d.contains(&format!("shard {child}"))), "{problem}");
    assert_eq!(asked(&client), Vec::<&str>::new(), "no shard of the old map is asked");
    client.cluster.lost_catalog.store(false, Ordering::SeqCst);
    let answer = client.search(&body).await.ok();
    assert_eq!(answer["results"].as_array().map(Vec::len), Some(40));
    let mut shards: Vec<u64> = client.cluster.log.lock().iter().map(|(_, shard)| *shard).collect();
    shards.sort_unstable();
    assert_eq!(shards, [parent, child], "each once, and never at an old epoch");
}
