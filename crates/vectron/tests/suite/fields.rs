//! Several vector fields per point, on a real node: written, searched and shown by REST and gRPC alike, over shards and
//! a restart.

use crate::process::{Server, ids};
use serde_json::{Value, json};
use vectron_base::Code;
use vectron_wire::fault_table::from_status;
use vectron_wire::proto::public as proto;
use vectron_wire::proto::public::field_vector::Value as Field;
use vectron_wire::proto::public::vectron_service_client::VectronServiceClient;

fn collection() -> Value {
    json!({"name": "docs", "shards": 3,
           "vectors": {"title": {"dimension": 2, "distance": "dot"},
                       "body": {"dimension": 3, "distance": "euclidean", "quantization": "none"}},
           "sparse_vectors": {"terms": {}},
           "multi_vectors": {"tokens": {"dimension": 2, "distance": "dot"}}})
}

/// Every third point lacks the title, every fifth the terms.
fn point(n: u64) -> Value {
    let mut vector = json!({"body": [n, 1, 0], "tokens": [[n, 0], [0, 2 * n]]});
    if !n.is_multiple_of(3) {
        vector["title"] = json!([n, 1]);
    }
    if !n.is_multiple_of(5) {
        vector["terms"] = json!({"indices": [n, 1000], "values": [2.5, n]});
    }
    json!({"id": format!("p{n}"), "vector": vector, "payload": {"even": n.is_multiple_of(2)}})
}

fn hold(server: &Server) {
    let found = |body: Value| ids(&server.search("docs", &body));
    assert_eq!(found(json!({"vector": [1, 0], "using": "title", "top_k": 3})), ["p29", "p28", "p26"]);
    assert_eq!(found(json!({"vector": [12, 1, 0], "using": "body", "top_k": 1})), ["p12"]);
    let sparse = |indices: Value, values: Value| json!({"indices": indices, "values": values});
    let terms = |vector: Value, filter: Value| {
        found(json!({"vector": vector, "using": "terms", "top_k": 3, "filter": filter}))
    };
    assert_eq!(terms(sparse(json!([1000]), json!([1])), json!({})), ["p29", "p28", "p27"]);
    assert_eq!(terms(sparse(json!([1000]), json!([1])), json!({"even": true})), ["p28", "p26", "p24"]);
    assert_eq!(terms(sparse(json!([7, 4]), json!([1, 2])), json!({})), ["p4", "p7"]);
    assert_eq!(terms(sparse(json!([77]), json!([1])), json!({})), [""; 0]);
    assert_eq!(found(json!({"vector": [[1, 0], [0, 1]], "using": "tokens", "top_k": 2})), ["p30", "p29"]);
    let (_, got) = server.get("/v1/collections/docs/points/p7?include_vector=true");
    assert_eq!(
        got["point"]["vector"],
        json!({"body": [7.0, 1.0, 0.0], "title": [7.0, 1.0], "tokens": [[7.0, 0.0], [0.0, 14.0]],
               "terms": {"indices": [7, 1000], "values": [2.5, 7.0]}})
    );
}

#[test]
fn points_have_several_vectors_and_each_is_searched() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let (status, made) = server.post("/v1/collections", &collection());
    assert_eq!(status, 201, "{made}");
    assert_eq!(server.post("/v1/collections", &collection()).0, 200);
    let mut other = collection();
    other["vectors"]["title"]["dimension"] = json!(3);
    let (status, answer) = server.post("/v1/collections", &other);
    assert!(status == 409 && answer["detail"].as_str().unwrap().contains("vectors"), "{answer}");
    let (_, shown) = server.get("/v1/collections/docs");
    assert_eq!((&shown["dimension"], &shown["vectors"]["body"]["quantization"]), (&json!(0), &json!("none")));
    assert_eq!(
        (&shown["sparse_vectors"], &shown["multi_vectors"]["tokens"]["distance"]),
        (&json!({"terms": {}}), &json!("dot"))
    );
    server.upsert("docs", (1..=30).map(point).collect());
    hold(&server);
    assert_eq!(server.terminate(), Some(0));
    let server = Server::start(dir.path());
    hold(&server);
    assert_eq!(server.count("docs"), 30);
    for (body, field, words) in [
        (json!({"vector": [1, 0]}), "using", "unnamed"),
        (json!({"vector": [1, 0], "using": "titel"}), "using", "'title'"),
        (json!({"vector": [1, 0, 0], "using": "title"}), "vector", "expects 2"),
        (json!({"vector": [1, 0], "using": "terms"}), "vector", "indices and values"),
        (json!({"vector": {"indices": [1], "values": [0]}, "using": "terms"}), "vector", "zero"),
        (json!({"vector": [[1, 0], [1]], "using": "tokens"}), "vector[1]", "has 1 number"),
    ] {
        let (status, answer) = server.post("/v1/collections/docs/points/search", &body);
        assert_eq!((status, &answer["errors"][0]["field"]), (400, &json!(field)), "{answer}");
        assert!(answer["detail"].as_str().unwrap().contains(words), "{answer}");
    }
    for (vector, field) in [
        (json!({"titel": [1, 0]}), "points[0].vector.titel"),
        (json!({"title": [1]}), "points[0].vector.title"),
        (json!([1, 0]), "points[0].vector"),
        (json!({"terms": {"indices": [1, 1], "values": [1, 2]}}), "points[0].vector.terms"),
    ] {
        let body = json!({"points": [{"id": "x", "vector": vector}]});
        let (status, answer) = server.post("/v1/collections/docs/points", &body);
        assert_eq!((status, &answer["errors"][0]["field"]), (400, &json!(field)), "{answer}");
    }
    over_grpc(&server);
}

fn over_grpc(server: &Server) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let mut client = VectronServiceClient::connect(server.url.clone()).await.unwrap();
        let dense = |values: &[f32]| Some(proto::Vector { values: values.to_vec() });
        let field = |value| proto::FieldVector { value: Some(value) };
        let sparse = proto::SparseVector { indices: vec![5000], values: vec![9.0] };
        let packed = [100.0f32, 1.0].map(f32::to_le_bytes).concat();
        let vectors =
            [("terms", field(Field::Sparse(sparse.clone()))), ("title", field(Field::DenseF32(packed)))];
        let vectors = vectors.map(|(name, value)| (name.to_string(), value)).into();
        let point = proto::PointInput { id: "new".into(), vectors, ..Default::default() };
        let upsert =
            proto::UpsertRequest { collection: "docs".into(), points: vec![point], ..Default::default() };
        assert_eq!(client.upsert(upsert).await.unwrap().into_inner().upserted, 1);
        let asked = |using: &str| proto::SearchRequest {
            collection: "docs".into(),
            using: Some(using.into()),
            top_k: Some(1),
            include_vector: Some(true),
            ..Default::default()
        };
        for search in [
            proto::SearchRequest { vector: dense(&[1.0, 0.0]), ..asked("title") },
            proto::SearchRequest { sparse: Some(sparse.clone()), ..asked("terms") },
        ] {
            let hit = client.search(search).await.unwrap().into_inner().results.remove(0);
            assert_eq!((hit.id.as_str(), hit.vectors.len(), hit.vector), ("new", 2, None));
            assert_eq!(hit.vectors["terms"], field(Field::Sparse(sparse.clone())));
        }
        let vectors = [[1.0, 0.0], [0.0, 1.0]].map(|v| dense(&v).unwrap()).to_vec();
        let multi = proto::SearchRequest { multi: Some(proto::MultiVector { vectors }), ..asked("tokens") };
        assert_eq!(client.search(multi).await.unwrap().into_inner().results[0].id, "p30");
        let bad = proto::SearchRequest { vector: dense(&[1.0]), ..asked("title") };
        let fault = from_status(&client.search(bad).await.expect_err("too short"));
        assert_eq!((fault.code, fault.errors[0].field.as_str()), (Code::InvalidArgument, "vector"));
    });
}
