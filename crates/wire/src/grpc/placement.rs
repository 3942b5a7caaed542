//! The placement driver's contract over gRPC.

use super::MessageLimits;
use super::call::Peer;
use super::method::Method;
use super::serve::serve;
use crate::placement::{
    CatalogSnapshot, CatalogView, ClusterChange, ClusterView, Collection, CollectionSpec, Placement,
    PlannedMove, Registration, WorkerReport,
};
use crate::proto::placement as pb;
use crate::proto::placement::placement_service_server::{PlacementService, PlacementServiceServer};
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};
use vectron_base::Fault;
use vectron_base::filter::FieldIndex;

const CREATE: Method<pb::CreateCollectionRequest, pb::CreateCollectionResponse> =
    Method::changing("/vectron.placementdriver.v1.PlacementService/CreateCollection");
const DELETE: Method<pb::DeleteCollectionRequest, pb::DeleteCollectionResponse> =
    Method::changing("/vectron.placementdriver.v1.PlacementService/DeleteCollection");
const CREATE_INDEX: Method<pb::CreateIndexRequest, pb::CreateIndexResponse> =
    Method::changing("/vectron.placementdriver.v1.PlacementService/CreateIndex");
const DELETE_INDEX: Method<pb::DeleteIndexRequest, pb::DeleteIndexResponse> =
    Method::changing("/vectron.placementdriver.v1.PlacementService/DeleteIndex");
const WATCH: Method<pb::WatchRequest, pb::Catalog> =
    Method::reading("/vectron.placementdriver.v1.PlacementService/Watch");
const REGISTER: Method<pb::RegisterRequest, pb::RegisterResponse> =
    Method::changing("/vectron.placementdriver.v1.PlacementService/Register");
const REPORT: Method<pb::ReportRequest, pb::ReportResponse> =
    Method::changing("/vectron.placementdriver.v1.PlacementService/Report");
const CLUSTER: Method<pb::ClusterRequest, pb::ClusterResponse> =
    Method::reading("/vectron.placementdriver.v1.PlacementService/Cluster");
const CHANGE: Method<pb::ChangeRequest, pb::ChangeResponse> =
    Method::changing("/vectron.placementdriver.v1.PlacementService/Change");
const CATALOG_SNAPSHOT: Method<pb::CatalogSnapshotRequest, pb::CatalogSnapshotResponse> =
    Method::reading("/vectron.placementdriver.v1.PlacementService/CatalogSnapshot");

/// Passes calls that come over gRPC to a placement driver.
pub struct PlacementServer {
    placement: Arc<dyn Placement>,
    send_limit: usize,
}

impl PlacementServer {
    /// The tonic service of `placement`.
    pub fn new(
        placement: Arc<dyn Placement>,
        limits: MessageLimits,
    ) -> PlacementServiceServer<PlacementServer> {
        PlacementServiceServer::new(Self { placement, send_limit: limits.send })
            .max_decoding_message_size(limits.receive)
    }
}

#[async_trait]
impl PlacementService for PlacementServer {
    async fn create_collection(
        &self,
        message: Request<pb::CreateCollectionRequest>,
    ) -> Result<Response<pb::CreateCollectionResponse>, Status> {
        let act = |(spec, timeout_ms)| self.placement.create_collection(spec, timeout_ms);
        serve(CREATE, self.send_limit, message, act).await
    }

    async fn delete_collection(
        &self,
        message: Request<pb::DeleteCollectionRequest>,
    ) -> Result<Response<pb::DeleteCollectionResponse>, Status> {
        let act = async |(name, timeout_ms): (String, u64)| {
            self.placement.delete_collection(&name, timeout_ms).await
        };
        serve(DELETE, self.send_limit, message, act).await
    }

    async fn create_index(
        &self,
        message: Request<pb::CreateIndexRequest>,
    ) -> Result<Response<pb::CreateIndexResponse>, Status> {
        let act = async |(collection, index): (String, FieldIndex)| {
            self.placement.create_index(&collection, index).await
        };
        serve(CREATE_INDEX, self.send_limit, message, act).await
    }

    async fn delete_index(
        &self,
        message: Request<pb::DeleteIndexRequest>,
    ) -> Result<Response<pb::DeleteIndexResponse>, Status> {
        let act = async |(collection, field): (String, String)| {
            self.placement.delete_index(&collection, &field).await
        };
        serve(DELETE_INDEX, self.send_limit, message, act).await
    }

    async fn watch(&self, message: Request<pb::WatchRequest>) -> Result<Response<pb::Catalog>, Status> {
        serve(WATCH, self.send_limit, message, |known_epoch| self.placement.watch(known_epoch)).await
    }

    async fn register(
        &self,
        message: Request<pb::RegisterRequest>,
    ) -> Result<Response<pb::RegisterResponse>, Status> {
        serve(REGISTER, self.send_limit, message, |registration| self.placement.register(registration)).await
    }

    async fn report(
        &self,
        message: Request<pb::ReportRequest>,
    ) -> Result<Response<pb::ReportResponse>, Status> {
        serve(REPORT, self.send_limit, message, |report| self.placement.report(report)).await
    }

    async fn cluster(
        &self,
        message: Request<pb::ClusterRequest>,
    ) -> Result<Response<pb::ClusterResponse>, Status> {
        serve(CLUSTER, self.send_limit, message, |()| self.placement.cluster()).await
    }

    async fn change(
        &self,
        message: Request<pb::ChangeRequest>,
    ) -> Result<Response<pb::ChangeResponse>, Status> {
        serve(CHANGE, self.send_limit, message, |change| self.placement.change(change)).await
    }

    async fn catalog_snapshot(
        &self,
        message: Request<pb::CatalogSnapshotRequest>,
    ) -> Result<Response<pb::CatalogSnapshotResponse>, Status> {
        serve(CATALOG_SNAPSHOT, self.send_limit, message, |()| self.placement.catalog_snapshot()).await
    }
}

/// A placement driver in another process.
#[derive(Clone, Debug)]
pub struct PlacementConnection {
    peer: Peer,
    timeout: Duration,
    watch_timeout: Duration,
}

impl PlacementConnection {
    /// The placement driver at the other end of `channel`. `timeout` is for calls that name none;
    /// `watch_timeout` for watches and longer than the driver lets one wait for a change.
    pub fn new(channel: Channel, limits: MessageLimits, timeout: Duration, watch_timeout: Duration) -> Self {
        Self { peer: Peer { channel, limits, name: "placement driver" }, timeout, watch_timeout }
    }
}

#[async_trait]
impl Placement for PlacementConnection {
    async fn create_collection(
        &self,
        spec: CollectionSpec,
        timeout_ms: u64,
    ) -> Result<(Collection, bool), Fault> {
        self.peer.call(CREATE, (spec, timeout_ms), Duration::from_millis(timeout_ms)).await
    }

    async fn delete_collection(&self, name: &str, timeout_ms: u64) -> Result<(), Fault> {
        self.peer.call(DELETE, (name.to_string(), timeout_ms), Duration::from_millis(timeout_ms)).await
    }

    async fn create_index(&self, collection: &str, index: FieldIndex) -> Result<bool, Fault> {
        self.peer.call(CREATE_INDEX, (collection.to_string(), index), self.timeout).await
    }

    async fn delete_index(&self, collection: &str, field: &str) -> Result<(), Fault> {
        self.peer.call(DELETE_INDEX, (collection.to_string(), field.to_string()), self.timeout).await
    }

    async fn watch(&self, known_epoch: u64) -> Result<Arc<CatalogView>, Fault> {
        self.peer.call(WATCH, known_epoch, self.watch_timeout).await
    }

    async fn register(&self, registration: Registration) -> Result<(), Fault> {
        self.peer.call(REGISTER, registration, self.timeout).await
    }

    async fn report(&self, report: WorkerReport) -> Result<(), Fault> {
        self.peer.call(REPORT, report, self.timeout).await
    }

    async fn cluster(&self) -> Result<ClusterView, Fault> {
        self.peer.call(CLUSTER, (), self.timeout).await
    }

    async fn change(&self, change: ClusterChange) -> Result<Vec<PlannedMove>, Fault> {
        self.peer.call(CHANGE, change, self.timeout).await
    }

    async fn catalog_snapshot(&self) -> Result<CatalogSnapshot, Fault> {
        self.peer.call(CATALOG_SNAPSHOT, (), self.timeout).await
    }
}
