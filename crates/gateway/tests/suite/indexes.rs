//! Payload indexes and the settings of a collection's index, over both protocols.

use crate::cluster::Client;
use crate::grpc::{assert_refused, served};
use serde_json::json;
use tonic::Code;
use vectron_base::filter::{FieldIndex, FieldType};
use vectron_gateway::GatewayKnobs;
use vectron_wire::placement::Placement;
use vectron_wire::proto::public as pb;

const CREATE: &str = "/v1/collections";
const INDEXES: &str = "/v1/collections/docs/indexes";
const COUNT: &str = "/v1/collections/docs/points/count";
const SEARCH: &str = "/v1/collections/docs/points/search";
const SCROLL: &str = "/v1/collections/docs/points/scroll";
const DELETE: &str = "/v1/collections/docs/points/delete";

#[tokio::test]
async fn settings_are_shown_as_they_were_asked_for_and_as_they_default() {
    let client = Client::new().with_docs("dot", 1).await;
    let shown = client.fetch("/v1/collections/docs").await.ok();
    assert_eq!((&shown["quantization"], &shown["storage"]), (&json!("auto"), &json!("ram")));
    assert_eq!(shown["index"], json!({"degree": 32, "ef_construction": 200}));
    let tuned = json!({"name": "tuned", "dimension": 2, "distance": "dot", "quantization": "4bit",
                       "storage": "mmap", "index": {"degree": 48}});
    let made = client.post(CREATE, tuned.to_string()).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let shown = &made.json()["collection"];
    assert_eq!((&shown["quantization"], &shown["storage"]), (&json!("4bit"), &json!("mmap")));
    assert_eq!(shown["index"], json!({"degree": 48, "ef_construction": 200}));
    assert_eq!(client.post(CREATE, tuned.to_string()).await.status, 200);
    for (field, value) in
        [("quantization", json!("8bit")), ("storage", json!("ram")), ("index", json!({"degree": 47}))]
    {
        let mut other = tuned.clone();
        other[field] = value;
        client.post(CREATE, other.to_string()).await.problem(409, "already_exists");
    }
}

#[tokio::test]
async fn settings_over_grpc_are_those_of_rest() {
    let (_, mut grpc, _) = served(GatewayKnobs::default()).await;
    let plain = pb::CreateCollectionRequest {
        name: "tuned".into(),
        dimension: 2,
        distance: "dot".into(),
        ..Default::default()
    };
    let tuned = pb::CreateCollectionRequest {
        quantization: Some("none".into()),
        storage: Some("mmap".into()),
        index: Some(pb::IndexSettings { degree: None, ef_construction: Some(256) }),
        ..plain.clone()
    };
    let made =
        grpc.create_collection(tuned.clone()).await.expect("made").into_inner().collection.expect("it");
    assert_eq!((made.quantization.as_str(), made.storage.as_str()), ("none", "mmap"));
    assert_eq!(made.index, Some(pb::IndexSettings { degree: Some(32), ef_construction: Some(256) }));
    assert!(!grpc.create_collection(tuned).await.expect("there").into_inner().created);
    let other = grpc.create_collection(plain.clone()).await.expect_err("other settings");
    assert_eq!(other.code(), Code::AlreadyExists);
    let index = |degree, ef_construction| Some(pb::IndexSettings { degree, ef_construction });
    for (request, field, words) in [
        (
            pb::CreateCollectionRequest { quantization: Some("int8".into()), ..plain.clone() },
            "quantization",
            "auto, none, 8bit or 4bit",
        ),
        (pb::CreateCollectionRequest { storage: Some("".into()), ..plain.clone() }, "storage", "ram or mmap"),
        (
            pb::CreateCollectionRequest { index: index(Some(7), None), ..plain.clone() },
            "index.degree",
            "from 8 to 128",
        ),
        (
            pb::CreateCollectionRequest { index: index(None, Some(2_000)), ..plain.clone() },
            "index.ef_construction",
            "from 32 to 1024",
        ),
    ] {
        let status = grpc.create_collection(request).await.expect_err(field);
        assert_refused(&status, Code::InvalidArgument, "invalid_argument", field, words);
    }
}

#[tokio::test]
async fn an_index_is_added_listed_and_taken_away() {
    let client = Client::new().with_docs("dot", 2).await;
    client
        .upsert(r#"[{"id":"a","vector":[1,1]},{"id":"b","vector":[1,1]},{"id":"c","vector":[1,1]}]"#)
        .await
        .ok();
    assert_eq!(client.fetch(INDEXES).await.ok(), json!({"indexes": []}));
    let body = r#"{"field":"a.b/c","type":"integer"}"#;
    let made = client.post(INDEXES, body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(made.json(), json!({"field": "a.b/c", "type": "integer", "created": true}));
    assert_eq!(client.post(INDEXES, body).await.ok()["created"], false);
    client.post(INDEXES, r#"{"field":"a.b/c","type":"float"}"#).await.problem(409, "already_exists");
    let listed = json!({"indexes": [{"field": "a.b/c", "type": "integer", "ready": true, "points_indexed": 3,
                                     "points_total": 3, "bytes": 10, "points_irregular": 2}]});
    assert_eq!(client.fetch(INDEXES).await.ok(), listed, "the sum over both shards");
    let status = client.fetch("/v1/collections/docs/status").await.ok();
    assert_eq!(status["indexes"], listed["indexes"]);
    assert_eq!(status["shards"][0]["indexes"][0]["bytes"], 5);
    let path = format!("{INDEXES}/a.b%2Fc");
    assert_eq!(client.call("DELETE", &path, "").await.ok(), json!({"deleted": true}));
    client.call("DELETE", &path, "").await.problem(404, "not_found");
    client.fetch("/v1/collections/nope/indexes").await.problem(404, "not_found");
    client.post("/v1/collections/nope/indexes", body).await.problem(404, "not_found");
}

#[tokio::test]
async fn indexes_over_grpc_are_those_of_rest() {
    let (_, mut grpc, _) = served(GatewayKnobs::default()).await;
    let create = |field: &str, kind: &str| pb::CreateIndexRequest {
        collection: "docs".into(),
        field: field.into(),
        r#type: kind.into(),
        ..Default::default()
    };
    let made = grpc.create_index(create("n", "float")).await.expect("made").into_inner();
    assert_eq!((made.field.as_str(), made.r#type.as_str(), made.created), ("n", "float", true));
    assert!(!grpc.create_index(create("n", "float")).await.expect("there").into_inner().created);
    let other = grpc.create_index(create("n", "bool")).await.expect_err("another type");
    assert_eq!(other.code(), Code::AlreadyExists);
    let list = pb::ListIndexesRequest { collection: "docs".into() };
    let listed = grpc.list_indexes(list).await.expect("listed").into_inner().indexes;
    assert_eq!((listed[0].field.as_str(), listed[0].ready, listed[0].bytes), ("n", true, 10));
    let delete = || pb::DeleteIndexRequest { collection: "docs".into(), field: "n".into() };
    assert!(grpc.delete_index(delete()).await.expect("deleted").into_inner().deleted);
    assert_eq!(grpc.delete_index(delete()).await.expect_err("gone").code(), Code::NotFound);
    for (request, field, words) in [
        (create("", "bool"), "field", "empty"),
        (
            pb::CreateIndexRequest { language: Some("english".into()), ..create("a", "geo") },
            "language",
            "for the type text only, not for geo",
        ),
        (create("a", "string"), "type", "got 'string'"),
    ] {
        let status = grpc.create_index(request).await.expect_err(field);
        assert_refused(&status, Code::InvalidArgument, "invalid_argument", field, words);
    }
}

#[tokio::test]
async fn only_a_filter_without_an_index_is_called_degraded() {
    let client = Client::new().with_docs("dot", 2).await;
    let filters = [
        (COUNT, r#"{"filter":{"s":"x"}}"#),
        (SCROLL, r#"{"filter":{"s":"x"}}"#),
        (SEARCH, r#"{"vector":[1,1],"filter":{"s":"x"}}"#),
    ];
    for (path, body) in filters {
        let meta = &client.post(path, body).await.ok()["meta"];
        assert_eq!(meta["degraded"], json!(["filter_without_index"]), "{path}");
    }
    client.post(INDEXES, r#"{"field":"s","type":"keyword"}"#).await;
    for (path, body) in filters {
        assert_eq!(client.post(path, body).await.ok()["meta"]["degraded"], json!([]), "{path}");
    }
}

#[tokio::test]
async fn a_server_may_refuse_filters_without_an_index() {
    let knobs = GatewayKnobs { filter_without_index: "refuse".into(), ..GatewayKnobs::default() };
    let client = Client::with(knobs, None).with_docs("dot", 2).await;
    let filters = [
        (COUNT, r#"{"filter":{"s":"x"}}"#),
        (SCROLL, r#"{"filter":{"s":"x"}}"#),
        (SEARCH, r#"{"vector":[1,1],"filter":{"s":"x"}}"#),
        (DELETE, r#"{"filter":{"s":"x"}}"#),
    ];
    for (path, body) in filters {
        let problem = client.post(path, body).await.problem(400, "invalid_argument");
        assert_eq!(problem["errors"][0]["field"], "filter.s", "{path}");
        assert!(
            problem["detail"].as_str().is_some_and(|d| d.contains("gateway.filter_without_index")
                && d.contains("POST /v1/collections/docs/indexes")),
            "{problem}"
        );
    }
    assert!(client.cluster.log.lock().is_empty(), "a shard was asked");
    client.post(COUNT, r#"{"filter":{}}"#).await.ok();
    // Added behind this gateway's back: it asks the catalog before it refuses.
    let index = FieldIndex { field: "s".into(), kind: FieldType::Keyword };
    client.cluster.create_index("docs", index).await.expect("added");
    for (path, body) in filters {
        client.post(path, body).await.ok();
    }
}

#[tokio::test]
async fn an_explanation_has_what_the_shard_measured_and_nothing_else() {
    let (client, mut grpc, _) = served(GatewayKnobs::default()).await;
    let body = r#"{"vector":[1,1],"filter":{"s":"x"},"explain":true}"#;
    let shard = client.post(SEARCH, body).await.ok()["explain"]["shards"][0].clone();
    assert_eq!((&shard["quantization"], &shard["bytes_read"]), (&json!("8bit"), &json!(640)));
    assert_eq!((shard.get("precise"), &shard["rescored"]), (None, &json!(3)));
    let filter = json!({"plan": "bitmap", "estimated": 9, "matched": 7, "unindexed": ["s"]});
    assert_eq!(shard["filter"], filter);
    let plain = client.post(SEARCH, r#"{"vector":[1,1],"explain":true}"#).await.ok();
    assert_eq!(plain["explain"]["shards"][0].get("filter"), None);
    let search = pb::SearchRequest {
        collection: "docs".into(),
        vector: Some(pb::Vector { values: vec![1.0, 0.0] }),
        filter: Some(r#"{"s":"x"}"#.into()),
        explain: Some(true),
        ..Default::default()
    };
    let shard =
        grpc.search(search).await.expect("found").into_inner().explain.expect("explain").shards.remove(0);
    assert_eq!(
        (shard.quantization.as_deref(), shard.bytes_read, shard.precise),
        (Some("8bit"), Some(640), None)
    );
    let filter = shard.filter.expect("filter");
    assert_eq!((filter.plan.as_str(), filter.estimated, filter.checked), ("bitmap", Some(9), None));
    assert_eq!(filter.unindexed, ["s"]);
}

#[tokio::test]
async fn a_status_says_where_the_memory_goes() {
    let (client, mut grpc, _) = served(GatewayKnobs::default()).await;
    let empty = client.fetch("/v1/collections/docs/status").await.ok();
    assert_eq!(empty.get("bytes_per_point"), None, "nothing per nothing");
    client
        .upsert(r#"[{"id":"a","vector":[1,1]},{"id":"b","vector":[1,1]},{"id":"c","vector":[1,1]}]"#)
        .await
        .ok();
    let status = client.fetch("/v1/collections/docs/status").await.ok();
    assert_eq!(status["bytes_per_point"], 20.0);
    assert_eq!(
        status["memory"],
        json!({"codes": 2, "vectors": 4, "links": 6, "payload_indexes": 8, "other": 10})
    );
    let shard = &status["shards"][0];
    assert_eq!(shard["memory"]["links"], 3);
    assert_eq!(shard["quantization"], json!({"kind": "8bit", "error_mean": 0.25}));
    assert_eq!(
        shard["calibration"],
        json!({"measured_at_points": 9, "ef_90": 40, "ef_95": 60, "ef_99": 120})
    );
    let asked = pb::GetCollectionStatusRequest { collection: "docs".into() };
    let told = grpc.get_collection_status(asked).await.expect("status").into_inner();
    assert_eq!((told.bytes_per_point, told.memory.map(|m| m.other)), (Some(20.0), Some(10)));
    let shard = &told.shards[0];
    assert_eq!(
        shard.quantization.as_ref().map(|q| (q.error_mean, q.error_fine_mean)),
        Some((Some(0.25), None))
    );
    assert_eq!(shard.calibration.map(|c| c.ef_95), Some(60));
}
