//! What a caller is told when there is no answer.

use crate::stage::{
    METHODS, ROOMY, Stage, WAYS, Way, a_get, a_write, changes, channel_to, fault_of, frame_worker, runtime,
};
use std::net::TcpListener;
use std::time::{Duration, Instant};
use vectron_base::{Code, Outcome};
use vectron_wire::grpc::placement::PlacementConnection;
use vectron_wire::grpc::worker::WorkerConnection;
use vectron_wire::worker::Worker;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_connection_lost_during_a_change_leaves_its_outcome_unknown() {
    for (way, method) in WAYS.into_iter().flat_map(|way| METHODS.map(|method| (way, method))) {
        let stage = Stage::new(way);
        let (worker, placement) = (stage.worker.clone(), stage.placement.clone());
        let fault = stage.cut_off(async move { fault_of(method, &*worker, &placement).await });
        let outcome = if changes(method) { Outcome::Unknown } else { Outcome::NotApplied };
        assert_eq!((fault.code, fault.outcome), (Code::Unavailable, outcome), "{method}: {fault}");
    }
}

#[test]
fn what_was_never_sent_was_not_applied() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let stage = Stage::new(Way::Grpc);
    for method in METHODS {
        let fault = stage.wait(async {
            let channel = channel_to(nobody);
            let worker = WorkerConnection::new(channel.clone(), ROOMY, SECOND);
            let placement = PlacementConnection::new(channel, ROOMY, SECOND, SECOND);
            fault_of(method, &worker, &placement).await
        });
        assert_eq!((fault.code, fault.outcome), (Code::Unavailable, Outcome::NotApplied), "{method}");
    }
    let callers = runtime();
    let framed = frame_worker(&callers, nobody, ROOMY, None, stage.worker.clone());
    for method in ["write", "get", "search", "scroll", "count"] {
        let fault = callers.block_on(fault_of(method, &framed, &stage.placement));
        assert_eq!((fault.code, fault.outcome), (Code::Unavailable, Outcome::NotApplied), "{method}");
    }
}

#[test]
fn a_silent_worker_is_given_up_a_little_after_the_deadline() {
    for way in WAYS {
        let stage = Stage::new(way);
        stage.script.fall_silent();
        let begun = Instant::now();
        let fault = stage.wait(stage.worker.write(a_write(1, 100))).unwrap_err();
        assert_eq!((fault.code, fault.outcome), (Code::DeadlineExceeded, Outcome::Unknown), "{fault}");
        assert!(begun.elapsed() > Duration::from_millis(100));
        let fault = stage.wait(stage.worker.get(a_get(100))).unwrap_err();
        assert_eq!((fault.code, fault.outcome), (Code::DeadlineExceeded, Outcome::NotApplied), "{fault}");
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
}

#[test]
fn calls_without_a_timeout_of_their_own_have_the_connections() {
    let stage = Stage::new(Way::Grpc);
    stage.script.fall_silent();
    let channel = stage.channel.clone();
    let worker = WorkerConnection::new(channel.clone(), ROOMY, Duration::from_millis(50));
    let watcher = PlacementConnection::new(channel.clone(), ROOMY, 100 * SECOND, Duration::from_millis(50));
    let others = PlacementConnection::new(channel, ROOMY, Duration::from_millis(50), 100 * SECOND);
    for (method, placement) in
        [("status", &others), ("watch", &watcher), ("register", &others), ("report", &others)]
    {
        let fault = stage.wait(fault_of(method, &worker, placement));
        assert_eq!(fault.code, Code::DeadlineExceeded, "{method}: {fault}");
    }
}

#[test]
fn an_answer_that_cannot_be_read_leaves_a_change_unknown() {
    use tonic::transport::Server;
    let stage = Stage::new(Way::Grpc);
    let fault = stage.wait(async {
        let incoming = tonic::transport::server::TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = incoming.local_addr().unwrap();
        tokio::spawn(Server::builder().add_service(foreign::service()).serve_with_incoming(incoming));
        let worker = WorkerConnection::new(channel_to(address), ROOMY, SECOND);
        worker.write(a_write(1, 5_000)).await.unwrap_err()
    });
    assert_eq!((fault.code, fault.outcome), (Code::Internal, Outcome::Unknown), "{fault}");
    assert!(fault.detail.contains("items[0].kind"), "{fault}");
}

/// A worker of another make, whose answers have kinds that we do not know.
mod foreign {
    use tonic::{Request, Response, Status};
    use vectron_wire::proto::worker::worker_service_server::{WorkerService, WorkerServiceServer};
    use vectron_wire::proto::worker::*;

    pub struct Foreign;

    pub fn service() -> WorkerServiceServer<Foreign> {
        WorkerServiceServer::new(Foreign)
    }

    #[async_trait::async_trait]
    impl WorkerService for Foreign {
        async fn write(&self, _: Request<WriteRequest>) -> Result<Response<WriteResponse>, Status> {
            let item = ItemOutcome { kind: 99, ..Default::default() };
            Ok(Response::new(WriteResponse { items: vec![item], ..Default::default() }))
        }
        async fn get(&self, _: Request<GetRequest>) -> Result<Response<GetResponse>, Status> {
            Err(Status::unimplemented("get"))
        }
        async fn search(&self, _: Request<SearchRequest>) -> Result<Response<SearchResponse>, Status> {
            Err(Status::unimplemented("search"))
        }
        async fn scroll(&self, _: Request<ScrollRequest>) -> Result<Response<ScrollResponse>, Status> {
            Err(Status::unimplemented("scroll"))
        }
        async fn count(&self, _: Request<CountRequest>) -> Result<Response<CountResponse>, Status> {
            Err(Status::unimplemented("count"))
        }
        async fn text_stats(
            &self,
            _: Request<TextStatsRequest>,
        ) -> Result<Response<TextStatsResponse>, Status> {
            Err(Status::unimplemented("text_stats"))
        }

        async fn examine(&self, _: Request<ExamineRequest>) -> Result<Response<ExamineResponse>, Status> {
            Err(Status::unimplemented("examine"))
        }
        async fn tune(&self, _: Request<TuneRequest>) -> Result<Response<TuneResponse>, Status> {
            Err(Status::unimplemented("tune"))
        }

        async fn browse(&self, _: Request<BrowseRequest>) -> Result<Response<BrowseResponse>, Status> {
            Err(Status::unimplemented("browse"))
        }
        async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
            Err(Status::unimplemented("status"))
        }
        async fn snapshot(&self, _: Request<SnapshotRequest>) -> Result<Response<SnapshotResponse>, Status> {
            Err(Status::unimplemented("snapshot"))
        }
        async fn snapshot_part(
            &self,
            _: Request<SnapshotPartRequest>,
        ) -> Result<Response<SnapshotPartResponse>, Status> {
            Err(Status::unimplemented("snapshot_part"))
        }
    }
}
