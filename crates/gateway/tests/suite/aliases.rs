//! Other names of collections, over both protocols.

use crate::cluster::Client;
use crate::grpc::{assert_refused, served};
use serde_json::json;
use tonic::Code;
use vectron_gateway::GatewayKnobs;
use vectron_wire::cluster::ClusterChange;
use vectron_wire::placement::{Alias, AliasAction, Placement};
use vectron_wire::proto::public as pb;
use vectron_wire::proto::public::alias_action::Action;

const ALIASES: &str = "/v1/aliases";

async fn point_to(client: &Client, alias: &str, collection: &str) {
    let body = json!({"actions": [{"set": {"alias": alias, "collection": collection}}]});
    let answer = client.post(ALIASES, body.to_string()).await.ok();
    assert_eq!(answer, json!({"aliases": [{"alias": alias, "collection": collection}]}));
}

#[tokio::test]
async fn every_call_takes_an_alias_and_answers_by_the_real_name() {
    let client = Client::new().with_docs("dot", 2).await;
    assert_eq!(client.fetch(ALIASES).await.ok(), json!({"aliases": []}));
    client.fetch("/v1/collections/now").await.problem(404, "not_found");
    point_to(&client, "now", "docs").await;
    assert_eq!(client.fetch("/v1/collections/now").await.ok()["name"], "docs");
    let points = "/v1/collections/now/points";
    let body = json!({"points": [{"id": "a", "vector": [1, 0]}, {"id": "b", "vector": [0, 1]}]});
    assert_eq!(client.post(points, body.to_string()).await.ok()["upserted"], 2);
    assert_eq!(client.fetch(&format!("{points}/a")).await.ok()["point"]["id"], "a");
    let found = client.post(&format!("{points}/search"), r#"{"vector": [1, 0]}"#).await.ok();
    assert_eq!(found["results"][0]["id"], "a");
    for (verb, body) in [("scroll", "{}"), ("count", "{}"), ("get", r#"{"ids": ["a"]}"#)] {
        client.post(&format!("{points}/{verb}"), body).await.ok();
    }
    assert_eq!(client.fetch("/v1/collections/now/status").await.ok()["name"], "docs");
    assert_eq!(client.fetch("/v1/collections/now/indexes").await.ok(), json!({"indexes": []}));
    assert_eq!(client.post(&format!("{points}/delete"), r#"{"ids": ["a"]}"#).await.ok()["deleted"], 1);
    assert_eq!(client.post("/v1/collections/docs/points/count", "{}").await.ok()["count"], 1);
    let dropped = client.post(ALIASES, r#"{"actions": [{"delete": {"alias": "now"}}]}"#).await.ok();
    assert_eq!(dropped, json!({"aliases": []}));
    client.fetch("/v1/collections/now").await.problem(404, "not_found");
}

/// A gateway whose view is behind: the alias moved and what it meant is gone.
#[tokio::test]
async fn a_view_that_is_behind_finds_what_the_alias_means_now() {
    let client = Client::new().with_docs("dot", 1).await;
    let next = json!({"name": "next", "dimension": 2, "distance": "dot"});
    client.post("/v1/collections", next.to_string()).await;
    let body = json!({"points": [{"id": "a", "vector": [1, 0]}]});
    client.post("/v1/collections/next/points", body.to_string()).await.ok();
    point_to(&client, "now", "docs").await;
    // Behind this gateway's back.
    let moved = AliasAction::Set(Alias { alias: "now".into(), collection: "next".into() });
    client.cluster.change(ClusterChange::Aliases(vec![moved])).await.expect("moved");
    client.cluster.delete_collection("docs", 0).await.expect("gone");
    let found = client.post("/v1/collections/now/points/search", r#"{"vector": [1, 0]}"#).await.ok();
    assert_eq!(found["results"][0]["id"], "a");
    client.cluster.delete_collection("next", 0).await.expect("gone");
    let made = client.post("/v1/collections", next.to_string()).await;
    assert_eq!(made.status, 201, "{}", made.text);
}

#[tokio::test]
async fn a_write_by_an_alias_that_moved_is_to_be_sent_again() {
    let client = Client::new().with_docs("dot", 1).await;
    let next = json!({"name": "next", "dimension": 2, "distance": "dot"});
    client.post("/v1/collections", next.to_string()).await;
    point_to(&client, "now", "docs").await;
    let moved = AliasAction::Set(Alias { alias: "now".into(), collection: "next".into() });
    client.cluster.change(ClusterChange::Aliases(vec![moved])).await.expect("moved");
    client.cluster.delete_collection("docs", 0).await.expect("gone");
    let body = json!({"points": [{"id": "a", "vector": [1, 0]}]}).to_string();
    let problem = client.post("/v1/collections/now/points", body.clone()).await.problem(503, "unavailable");
    assert_eq!(problem["outcome"], "not_applied", "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("an alias of another"), "{problem}");
    client.post("/v1/collections/now/points", body).await.ok();
    assert_eq!(client.post("/v1/collections/next/points/count", "{}").await.ok()["count"], 1);
}

#[tokio::test]
async fn what_an_action_must_be_is_checked_and_named() {
    let (client, mut grpc, _) = served(GatewayKnobs { max_batch: 2, ..GatewayKnobs::default() }).await;
    let one = json!({"delete": {"alias": "x"}});
    let refused = [
        (json!([]), 400, "invalid_argument", "actions"),
        (json!([one, one, one]), 413, "too_large", "actions"),
        (
            json!([{"set": {"alias": "a b", "collection": "c"}}]),
            400,
            "invalid_argument",
            "actions[0].set.alias",
        ),
        (
            json!([one, {"set": {"alias": "a", "collection": ""}}]),
            400,
            "invalid_argument",
            "actions[1].set.collection",
        ),
        (json!([{"delete": {"alias": "/"}}]), 400, "invalid_argument", "actions[0].delete.alias"),
    ];
    for (actions, status, code, field) in refused {
        let body = json!({"actions": actions}).to_string();
        let problem = client.post(ALIASES, body).await.problem(status, code);
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
    }
    for body in [
        r#"{"actions": [{"drop": {"alias": "x"}}]}"#,
        r#"{"actions": [{"delete": {"alias": "x", "all": true}}]}"#,
        r#"{"actions": [{}]}"#,
        r#"{"actions": [{"delete": {"alias": "x"}, "set": {"alias": "x", "collection": "y"}}]}"#,
        r#"{"action": []}"#,
    ] {
        client.post(ALIASES, body).await.problem(400, "invalid_argument");
    }
    let empty = pb::ChangeAliasesRequest { actions: vec![pb::AliasAction { action: None }] };
    let status = grpc.change_aliases(empty).await.expect_err("nothing");
    assert_refused(&status, Code::InvalidArgument, "invalid_argument", "actions[0]", "neither");
}

#[tokio::test]
async fn aliases_over_grpc_are_those_of_rest() {
    let (client, mut grpc, _) = served(GatewayKnobs::default()).await;
    let alias = pb::Alias { alias: "now".into(), collection: "docs".into() };
    let set = pb::AliasAction { action: Some(Action::Set(alias.clone())) };
    let made = grpc.change_aliases(pb::ChangeAliasesRequest { actions: vec![set] }).await.expect("set");
    assert_eq!(made.into_inner().aliases, std::slice::from_ref(&alias));
    let asked = pb::GetCollectionRequest { collection: "now".into() };
    assert_eq!(grpc.get_collection(asked).await.expect("found").into_inner().name, "docs");
    let rest = client.fetch(ALIASES).await.ok();
    assert_eq!(rest, json!({"aliases": [{"alias": "now", "collection": "docs"}]}));
    let delete = pb::AliasAction { action: Some(Action::Delete(pb::DeleteAlias { alias: "now".into() })) };
    grpc.change_aliases(pb::ChangeAliasesRequest { actions: vec![delete] }).await.expect("gone");
    assert_eq!(grpc.list_aliases(pb::ListAliasesRequest {}).await.expect("listed").into_inner().aliases, []);
}
