//! What the client sends again and under which key, against a server that answers as scripted.

#![allow(clippy::disallowed_methods, reason = "a server of the test's own")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};
use vectron_client::{
    Client, ClientOptions, Code, CreateCollection, DeleteRequest, Fault, Outcome, PointInput, RetryPolicy,
};
use vectron_wire::fault_table;
use vectron_wire::proto::public as pb;
use vectron_wire::proto::public::vectron_service_server::{VectronService, VectronServiceServer};

type Answer<T> = Result<Response<T>, Status>;

/// What came in, and what to answer: each fault once, then success.
#[derive(Default)]
struct Server {
    faults: Mutex<VecDeque<Fault>>,
    /// Upserts that answer this code for their last point, before they succeed.
    partly: Mutex<VecDeque<Code>>,
    calls: Mutex<Vec<(&'static str, Option<String>, usize)>>,
}

impl Server {
    fn called(&self, call: &'static str, key: Option<String>, points: usize) -> Result<(), Status> {
        self.calls.lock().unwrap().push((call, key, points));
        match self.faults.lock().unwrap().pop_front() {
            Some(fault) => Err(fault_table::to_status(&fault, None)),
            None => Ok(()),
        }
    }
}

struct Handle(Arc<Server>);

macro_rules! unused {
    ($($method:ident($request:ident) -> $answer:ident;)*) => {
        $(fn $method<'s, 'a>(
            &'s self,
            _: Request<pb::$request>,
        ) -> std::pin::Pin<Box<dyn Future<Output = Answer<pb::$answer>> + Send + 'a>>
        where
            's: 'a,
            Self: 'a,
        {
            Box::pin(async { Err(Status::unimplemented("not in this test")) })
        })*
    };
}

#[tonic::async_trait]
impl VectronService for Handle {
    async fn create_collection(
        &self,
        _: Request<pb::CreateCollectionRequest>,
    ) -> Answer<pb::CreateCollectionResponse> {
        self.0.called("create", None, 0)?;
        let collection = Some(pb::Collection::default());
        Ok(Response::new(pb::CreateCollectionResponse { collection, created: true }))
    }

    async fn delete_collection(
        &self,
        _: Request<pb::DeleteCollectionRequest>,
    ) -> Answer<pb::DeleteCollectionResponse> {
        self.0.called("drop", None, 0)?;
        Ok(Response::new(pb::DeleteCollectionResponse { deleted: true }))
    }

    async fn upsert(&self, request: Request<pb::UpsertRequest>) -> Answer<pb::UpsertResponse> {
        let request = request.into_inner();
        let points = request.points.len();
        self.0.called("upsert", request.idempotency_key, points)?;
        let mut answer = pb::UpsertResponse { upserted: points as u64, ..Default::default() };
        if let Some(code) = self.0.partly.lock().unwrap().pop_front() {
            let id = request.points[points - 1].id.clone();
            let (code, detail) = (code.as_str().into(), "the graph is behind".into());
            answer.upserted -= 1;
            answer.failed = vec![pb::ItemFailure { id, code, detail, current_version: None }];
        }
        Ok(Response::new(answer))
    }

    async fn delete(&self, request: Request<pb::DeleteRequest>) -> Answer<pb::DeleteResponse> {
        self.0.called("delete", request.into_inner().idempotency_key, 0)?;
        Ok(Response::new(pb::DeleteResponse { deleted: 1, ..Default::default() }))
    }

    type SearchStreamStream = tokio_stream::Empty<Result<pb::SearchEvent, Status>>;

    async fn search_stream(&self, _: Request<pb::SearchRequest>) -> Answer<Self::SearchStreamStream> {
        Err(Status::unimplemented("not in this test"))
    }

    type UpsertStreamStream = tokio_stream::Empty<Result<pb::UpsertStreamAnswer, Status>>;

    async fn upsert_stream(
        &self,
        _: Request<tonic::Streaming<pb::UpsertRequest>>,
    ) -> Answer<Self::UpsertStreamStream> {
        Err(Status::unimplemented("not in this test"))
    }

    unused! {
        payload(PayloadRequest) -> PayloadResponse;
        facet(FacetRequest) -> FacetResponse;
        sample(SampleRequest) -> SampleResponse;
        matrix(MatrixRequest) -> MatrixResponse;
        search_batch(SearchBatchRequest) -> SearchBatchResponse;
        query(QueryRequest) -> QueryResponse;
        batch(BatchRequest) -> BatchResponse;
        why_not(WhyNotRequest) -> WhyNotResponse;
        tune(TuneRequest) -> TuneResponse;
        list_collections(ListCollectionsRequest) -> ListCollectionsResponse;
        get_collection(GetCollectionRequest) -> Collection;
        get_collection_status(GetCollectionStatusRequest) -> CollectionStatus;
        create_index(CreateIndexRequest) -> CreateIndexResponse;
        list_indexes(ListIndexesRequest) -> ListIndexesResponse;
        delete_index(DeleteIndexRequest) -> DeleteIndexResponse;
        get(GetRequest) -> GetResponse;
        batch_get(BatchGetRequest) -> BatchGetResponse;
        search(SearchRequest) -> SearchResponse;
        scroll(ScrollRequest) -> ScrollResponse;
        count(CountRequest) -> CountResponse;
        facet(FacetRequest) -> FacetResponse;
        sample(SampleRequest) -> SampleResponse;
        matrix(MatrixRequest) -> MatrixResponse;
        search_batch(SearchBatchRequest) -> SearchBatchResponse;
        query(QueryRequest) -> QueryResponse;
    }
}

async fn started(faults: &[Fault], partly: &[Code]) -> (Arc<Server>, Client) {
    let server = Arc::new(Server::default());
    server.faults.lock().unwrap().extend(faults.iter().cloned());
    server.partly.lock().unwrap().extend(partly);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let service = VectronServiceServer::new(Handle(server.clone()));
    tokio::spawn(
        tonic::transport::Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpListenerStream::new(listener)),
    );
    let retry = RetryPolicy { first_pause: Duration::from_millis(1), ..RetryPolicy::default() };
    let options = ClientOptions { retry, ..ClientOptions::default() };
    (server, Client::connect_with(&url, None, options).await.unwrap())
}

fn in_doubt() -> Fault {
    Fault::new(Code::DeadlineExceeded, "too late").with_outcome(Outcome::Unknown)
}

fn points() -> Vec<PointInput> {
    vec![PointInput::new("a", vec![1.0]), PointInput::new("b", vec![1.0])]
}

#[tokio::test]
async fn a_batch_that_only_some_shards_took_goes_out_again_whole_and_under_its_key() {
    let (server, client) = started(&[], &[Code::Overloaded, Code::Unavailable]).await;
    let paused = Arc::new(Mutex::new(Vec::new()));
    let heard = paused.clone();
    let client = client.with_retry_watch(Arc::new(move |error, _| heard.lock().unwrap().push(error.code())));
    let answer = client.upsert("docs", points()).await.unwrap();
    assert_eq!((answer.upserted, answer.failed.len()), (2, 0));
    let calls = server.calls.lock().unwrap().clone();
    assert_eq!(calls.len(), 3);
    assert!(calls[0].1.is_some() && calls[0].2 == 2);
    assert!(calls.iter().all(|call| *call == calls[0]), "{calls:?}");
    assert_eq!(*paused.lock().unwrap(), [Code::Overloaded, Code::Unavailable]);
}

#[tokio::test]
async fn a_final_refusal_of_a_point_is_not_tried_again() {
    let (server, client) = started(&[], &[Code::VersionMismatch]).await;
    let answer = client.upsert("docs", points()).await.unwrap();
    assert_eq!((answer.upserted, answer.failed[0].id.as_str()), (1, "b"));
    assert!(answer.unfinished().is_none());
    assert_eq!(server.calls.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn when_patience_ends_the_answer_says_which_points_are_open() {
    let (server, client) = started(&[], &[Code::Overloaded; 9]).await;
    let answer = client.upsert("docs", points()).await.unwrap();
    assert_eq!(answer.upserted, 1);
    let error = answer.unfinished().unwrap();
    assert_eq!((error.code(), error.outcome()), (Code::Overloaded, Outcome::Unknown));
    assert_eq!(server.calls.lock().unwrap().len(), 5);
}

#[tokio::test]
async fn keyed_writes_in_doubt_are_repeated_under_one_key_and_others_never() {
    let (server, client) = started(&[in_doubt(), in_doubt()], &[]).await;
    client.upsert("docs", points()).await.unwrap();
    server.faults.lock().unwrap().push_back(in_doubt());
    client.delete(DeleteRequest::ids("docs", vec!["a".into()])).await.unwrap();
    {
        let calls = server.calls.lock().unwrap();
        let keys = |call| -> Vec<&str> {
            calls.iter().filter(|c| c.0 == call).map(|c| c.1.as_deref().unwrap()).collect()
        };
        for (call, times) in [("upsert", 3), ("delete", 2)] {
            let keys = keys(call);
            assert_eq!(keys.len(), times, "{call}");
            assert!(keys.iter().all(|key| *key == keys[0] && key.len() == 32), "{keys:?}");
        }
        assert_ne!(keys("upsert")[0], keys("delete")[0]);
    }
    for call in ["create", "drop"] {
        server.faults.lock().unwrap().push_back(in_doubt());
        let error = if call == "create" {
            client.create_collection(CreateCollection::new("docs", 1, "dot")).await.err().unwrap()
        } else {
            client.delete_collection("docs").await.unwrap_err()
        };
        assert_eq!((error.code(), error.outcome()), (Code::DeadlineExceeded, Outcome::Unknown));
        assert_eq!(server.calls.lock().unwrap().iter().filter(|c| c.0 == call).count(), 1, "{call}");
    }
    // What certainly had no effect may be sent again without a key.
    server.faults.lock().unwrap().push_back(Fault::new(Code::Unavailable, "no leader"));
    client.create_collection(CreateCollection::new("docs", 1, "dot")).await.unwrap();
}
