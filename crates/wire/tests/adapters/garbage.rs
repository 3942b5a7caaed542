//! Bytes that nobody meant: every method answers them with a refusal of its own or takes them for a request.

use crate::stage::{Stage, Way};
use crate::{given, given_cluster, given_examine, given_placement, given_snapshot};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use prost::Message;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Request, Status};
use vectron_base::{Code, Fault};
use vectron_wire::fault_table::from_status;
use vectron_wire::placement::PlannedMove;
use vectron_wire::proto::{placement as driver, worker as pb};
use vectron_wire::worker::*;

/// Noise, or a message with some bytes changed and perhaps its end cut off.
fn bytes_like<T: std::fmt::Debug, M: Message + From<T>>(
    given: impl Strategy<Value = T>,
) -> impl Strategy<Value = Vec<u8>> {
    let changes = vec(any::<(Index, u8)>(), 0..4);
    let damaged = (given, changes, any::<Option<Index>>()).prop_map(|(value, changes, end)| {
        let mut bytes = M::from(value).encode_to_vec();
        for (at, byte) in changes {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
        }
        let end = end.map_or(bytes.len(), |end| end.index(bytes.len() + 1));
        bytes.truncate(end);
        bytes
    });
    prop_oneof![1 => vec(any::<u8>(), 0..200), 3 => damaged]
}

/// Sends bytes as they are and takes none of the answer in.
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = ();
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }
    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, bytes: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        prost::bytes::BufMut::put_slice(buffer, &bytes);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = ();
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<()>, Status> {
        prost::bytes::Buf::advance(buffer, prost::bytes::Buf::remaining(buffer));
        Ok(Some(()))
    }
}

/// Whatever arrives, the server answers it itself: it refuses it, or it asks the trait, which answers
/// `internal` since it was told nothing. A panic would break the connection and leave no details.
fn withstands<T: std::fmt::Debug, M: Message + From<T>>(
    stage: &Stage,
    method: &'static str,
    given: impl Strategy<Value = T>,
) {
    given::runner(200)
        .run(&bytes_like::<T, M>(given), |bytes| {
            let status = stage.wait(async {
                let mut grpc = Grpc::new(stage.channel.clone());
                grpc.ready().await.unwrap();
                grpc.unary(Request::new(bytes), PathAndQuery::from_static(method), Raw).await.unwrap_err()
            });
            let fault = from_status(&status);
            prop_assert!(!status.details().is_empty(), "{}: {}", method, status);
            let asked = stage.script.asked().is_some();
            let expected = if asked { Code::Internal } else { Code::InvalidArgument };
            prop_assert_eq!(fault.code, expected, "{}: {}", method, fault);
            Ok(())
        })
        .unwrap();
}

#[test]
fn no_bytes_break_a_server() {
    let stage = &Stage::new(Way::Grpc);
    withstands::<_, pb::WriteRequest>(stage, "/vectron.worker.v1.WorkerService/Write", given::write());
    withstands::<_, pb::GetRequest>(stage, "/vectron.worker.v1.WorkerService/Get", given::get());
    withstands::<_, pb::SearchRequest>(stage, "/vectron.worker.v1.WorkerService/Search", given::search());
    withstands::<_, pb::ScrollRequest>(stage, "/vectron.worker.v1.WorkerService/Scroll", given::scroll());
    withstands::<_, pb::BrowseRequest>(stage, "/vectron.worker.v1.WorkerService/Browse", given::browse());
    withstands::<_, pb::CountRequest>(stage, "/vectron.worker.v1.WorkerService/Count", given::count());
    let path = "/vectron.worker.v1.WorkerService/TextStats";
    withstands::<_, pb::TextStatsRequest>(stage, path, given::text_question());
    withstands::<_, pb::ExamineRequest>(
        stage,
        "/vectron.worker.v1.WorkerService/Examine",
        given_examine::request(),
    );
    withstands::<_, pb::TuneRequest>(stage, "/vectron.worker.v1.WorkerService/Tune", given_examine::tune());
    withstands::<_, pb::StatusRequest>(stage, "/vectron.worker.v1.WorkerService/Status", given::target());
    withstands::<_, driver::CreateCollectionRequest>(
        stage,
        "/vectron.placementdriver.v1.PlacementService/CreateCollection",
        (given_placement::spec(), any::<u64>()),
    );
    withstands::<_, driver::DeleteCollectionRequest>(
        stage,
        "/vectron.placementdriver.v1.PlacementService/DeleteCollection",
        any::<(String, u64)>(),
    );
    withstands::<_, driver::WatchRequest>(
        stage,
        "/vectron.placementdriver.v1.PlacementService/Watch",
        any::<u64>(),
    );
    withstands::<_, driver::RegisterRequest>(
        stage,
        "/vectron.placementdriver.v1.PlacementService/Register",
        given_placement::registration(),
    );
    withstands::<_, driver::ReportRequest>(
        stage,
        "/vectron.placementdriver.v1.PlacementService/Report",
        given_placement::report(),
    );
    withstands::<_, driver::ChangeRequest>(
        stage,
        "/vectron.placementdriver.v1.PlacementService/Change",
        given_cluster::change(),
    );
    withstands::<_, pb::SnapshotRequest>(
        stage,
        "/vectron.worker.v1.WorkerService/Snapshot",
        given_snapshot::request(),
    );
    withstands::<_, pb::SnapshotPartRequest>(
        stage,
        "/vectron.worker.v1.WorkerService/SnapshotPart",
        given_snapshot::part_request(),
    );
}

/// Reads answers from bytes as a connection does.
fn reads<T, M>(given: impl Strategy<Value = T>)
where
    T: std::fmt::Debug + TryFrom<M, Error = Fault>,
    M: Message + Default + From<T>,
{
    given::runner(1000)
        .run(&bytes_like::<T, M>(given), |bytes| {
            if let Some(Err(fault)) = M::decode(&bytes[..]).ok().map(T::try_from) {
                prop_assert_eq!((fault.code, fault.errors.len()), (Code::InvalidArgument, 1));
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn no_bytes_break_a_caller() {
    reads::<ShardWritten, pb::WriteResponse>(given::written());
    reads::<ShardRead<Vec<Option<PointRecord>>>, pb::GetResponse>(given::got());
    reads::<ShardRead<ShardHits>, pb::SearchResponse>(given::found());
    reads::<ShardRead<ShardPage>, pb::ScrollResponse>(given::page());
    reads::<ShardRead<ShardBrowsed>, pb::BrowseResponse>(given::browsed());
    reads::<ShardRead<ShardCounted>, pb::CountResponse>(given::counted());
    reads::<ShardRead<TextStats>, pb::TextStatsResponse>(given::text_counted());
    reads::<ShardRead<Examined>, pb::ExamineResponse>(given_examine::answer());
    reads::<ShardRead<ShardTuned>, pb::TuneResponse>(given_examine::tuned());
    reads::<ShardStatus, pb::StatusResponse>(given::status());
    reads::<_, driver::CreateCollectionResponse>((given_placement::collection(), any::<bool>()));
    reads::<_, driver::Catalog>(given_placement::view());
    reads::<_, driver::ClusterResponse>(given_cluster::view());
    reads::<Vec<PlannedMove>, driver::ChangeResponse>(vec(given_cluster::planned(), 0..4));
    reads::<_, driver::CatalogSnapshotResponse>(given_snapshot::catalog());
    reads::<SnapshotOffer, pb::SnapshotResponse>(given_snapshot::offer());
}
