//! Searches by text, over both protocols.

use crate::cluster::{Client, Trouble, fault};
use crate::grpc::{assert_refused, served};
use serde_json::json;
use tonic::Code;
use vectron_base::Outcome;
use vectron_base::filter::{FieldIndex, FieldType, TextAnalysis};
use vectron_gateway::GatewayKnobs;
use vectron_wire::placement::Placement;
use vectron_wire::proto::public as pb;
use vectron_wire::worker::{ShardQuery, TextOperator};

const INDEXES: &str = "/v1/collections/docs/indexes";

async fn filled(client: &Client) {
    let points = r#"[{"id":"a","vector":[1,0],"payload":{"d":"fast library"}},
                     {"id":"b","vector":[0,1],"payload":{"d":"slow library"}},
                     {"id":"c","vector":[1,1],"payload":{"d":"other"}}]"#;
    client.upsert(points).await.ok();
}

#[tokio::test]
async fn every_shard_scores_by_the_figures_of_all() {
    let client = Client::new().with_docs("dot", 3).await;
    filled(&client).await;
    let index = r#"{"field":"d","type":"text","language":"english"}"#;
    let made = client.post(INDEXES, index).await;
    assert_eq!(made.status, 201);
    let shown =
        json!({"field": "d", "type": "text", "language": "english", "stemming": true, "created": true});
    assert_eq!(made.json(), shown);
    let found = client.search(r#"{"text":"library","params":{"operator":"and","k1":2,"b":0.5}}"#).await.ok();
    let hits: Vec<_> = found["results"].as_array().expect("a list").iter().map(|hit| &hit["id"]).collect();
    assert_eq!(hits, [&json!("a"), &json!("b")]);
    assert_eq!(found["results"][0]["score"], 3.0, "points of all shards");
    assert_eq!(found["meta"]["degraded"], json!([]));
    let searches = client.cluster.searches.lock();
    assert_eq!(searches.len(), 3);
    for search in searches.iter() {
        let ShardQuery::Text { query, stats: Some(stats) } = &search.query else { panic!("{search:?}") };
        assert_eq!(
            (query.field.as_str(), query.operator, query.k1, query.b),
            ("d", TextOperator::And, 2.0, 0.5)
        );
        assert_eq!((stats.points, stats.words, stats.terms["library"]), (3, 6, 3));
    }
}

#[tokio::test]
async fn one_shard_is_asked_once() {
    let client = Client::new().with_docs("dot", 1).await;
    filled(&client).await;
    client.post(INDEXES, r#"{"field":"d","type":"text"}"#).await;
    client.cluster.log.lock().clear();
    client.search(r#"{"text":"library","using":"d"}"#).await.ok();
    let log = client.cluster.log.lock();
    assert_eq!(log.len(), 1, "{log:?}");
}

#[tokio::test]
async fn an_index_that_was_added_elsewhere_is_looked_up() {
    let client = Client::new().with_docs("dot", 2).await;
    filled(&client).await;
    let kind = FieldType::Text(TextAnalysis::PLAIN);
    client.cluster.create_index("docs", FieldIndex { field: "d".into(), kind }).await.expect("added");
    client.search(r#"{"text":"library"}"#).await.ok();
}

#[tokio::test]
async fn text_fields_of_a_new_collection_are_text_indexes() {
    let client = Client::new();
    let body = r#"{"name":"docs","dimension":2,"distance":"dot","text_fields":{"d":{"language":"german"},"e.f":{}}}"#;
    assert_eq!(client.post("/v1/collections", body).await.status, 201);
    assert_eq!(client.post("/v1/collections", body).await.status, 200, "the same again is fine");
    let listed = client.fetch(INDEXES).await.ok();
    let of = |at: usize, name: &str| listed["indexes"][at][name].clone();
    assert_eq!(
        (of(0, "field"), of(0, "language"), of(0, "stemming")),
        (json!("d"), json!("german"), json!(true))
    );
    assert_eq!(
        (of(1, "field"), of(1, "language"), of(1, "stemming")),
        (json!("e.f"), json!("none"), json!(false))
    );
    let other = body.replace("german", "french");
    client.post("/v1/collections", other).await.problem(409, "already_exists");
}

#[tokio::test]
async fn a_text_that_makes_no_sense_is_refused_by_name() {
    let (client, mut grpc, _) = served(GatewayKnobs::default()).await;
    let refused = async |body: &str| {
        let problem = client.search(body).await.problem(400, "invalid_argument");
        problem["errors"][0]["field"].as_str().map(str::to_string)
    };
    assert_eq!(refused(r#"{"text":"a"}"#).await.as_deref(), Some("text"), "no index at all");
    assert_eq!(refused(r#"{"text":"a","using":"d"}"#).await.as_deref(), Some("using"));
    client.post(INDEXES, r#"{"field":"d","type":"text"}"#).await;
    client.post(INDEXES, r#"{"field":"e","type":"text"}"#).await;
    let long = format!(r#"{{"text":"{}","using":"d"}}"#, "a".repeat(4_097));
    for (body, field) in [
        (r#"{"text":"a"}"#, "using"),
        (r#"{"text":"a","using":"f"}"#, "using"),
        (r#"{"text":"a","using":"d","vector":[1,1]}"#, "text"),
        (r#"{"text":"a","using":"d","params":{"operator":"not"}}"#, "params.operator"),
        (r#"{"text":"a","using":"d","params":{"k1":-1}}"#, "params.k1"),
        (r#"{"text":"a","using":"d","params":{"b":1.5}}"#, "params.b"),
        (r#"{"text":"a","using":"d","params":{"ef":9}}"#, "params.ef"),
        (r#"{"vector":[1,1],"params":{"b":0.5}}"#, "params.b"),
        (&long, "text"),
    ] {
        assert_eq!(refused(body).await.as_deref(), Some(field), "{body}");
    }
    let search = |using: &str| pb::SearchRequest {
        collection: "docs".into(),
        text: Some("a".into()),
        using: Some(using.into()),
        ..Default::default()
    };
    let status = grpc.search(search("f")).await.expect_err("no such field");
    assert_refused(&status, Code::InvalidArgument, "invalid_argument", "using", "d, e");
    grpc.search(search("e")).await.expect("found");
}

#[tokio::test]
async fn figures_of_some_shards_only_are_told() {
    let client = Client::new().with_docs("dot", 2).await;
    filled(&client).await;
    client.post(INDEXES, r#"{"field":"d","type":"text"}"#).await;
    let status = client.fetch("/v1/collections/docs/status").await.ok();
    let shard = status["shards"][0]["id"].as_u64().expect("an id");
    let fails =
        |times| Some(Trouble::Fails(fault(vectron_base::Code::Unavailable, Outcome::NotApplied), times));
    // Both questions for figures fail, the search does not.
    client.cluster.trouble(shard, fails(2));
    let found = client.search(r#"{"text":"library","allow_partial":true}"#).await.ok();
    assert_eq!(found["meta"]["degraded"], json!(["text_stats_partial"]), "{found}");
    assert_eq!(found["meta"]["partial"], false);
    client.cluster.trouble(shard, fails(1_000));
    client.search(r#"{"text":"library"}"#).await.problem(503, "unavailable");
}
