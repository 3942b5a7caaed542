//! Calls about collections.

use crate::answers::{Collection, CollectionStatus, Created};
use crate::connection::{Client, Repeat};
use crate::consistency::Consistency;
use crate::convert;
use crate::error::Error;
use vectron_wire::proto::public as pb;

/// Settings of a new collection.
#[derive(Clone, Debug)]
pub struct CreateCollection {
    message: pb::CreateCollectionRequest,
}

impl CreateCollection {
    /// A collection with the server's defaults: one shard, one copy, linearizable reads, quantization as the
    /// server chooses, full vectors in memory.
    pub fn new(name: impl Into<String>, dimension: u32, distance: impl Into<String>) -> Self {
        let message = pb::CreateCollectionRequest {
            name: name.into(),
            dimension,
            distance: distance.into(),
            ..Default::default()
        };
        Self { message }
    }

    /// A collection whose vector fields all have names.
    pub fn with_fields(name: impl Into<String>) -> Self {
        Self::new(name, 0, "")
    }

    /// A vector field with a name, one vector per point.
    pub fn field(mut self, name: impl Into<String>, dimension: u32, distance: impl Into<String>) -> Self {
        let field = pb::VectorField { dimension, distance: distance.into(), ..Default::default() };
        self.message.vectors.insert(name.into(), field);
        self
    }

    /// A sparse vector field.
    pub fn sparse_field(mut self, name: impl Into<String>) -> Self {
        self.message.sparse_vectors.insert(name.into(), pb::SparseField {});
        self
    }

    /// A field with several vectors per point.
    pub fn multi_field(
        mut self,
        name: impl Into<String>,
        dimension: u32,
        distance: impl Into<String>,
    ) -> Self {
        let field = pb::MultiField { dimension, distance: distance.into() };
        self.message.multi_vectors.insert(name.into(), field);
        self
    }

    /// Number of shards.
    pub fn shards(mut self, shards: u32) -> Self {
        self.message.shards = Some(shards);
        self
    }

    /// Voters per shard: 1, 3 or 5.
    pub fn replication_factor(mut self, voters: u32) -> Self {
        self.message.replication_factor = Some(voters);
        self
    }

    /// Default consistency of reads.
    pub fn read_policy(mut self, level: Consistency) -> Self {
        self.message.read_policy = Some(level.into());
        self
    }

    /// Points that name no time of their own end this long after they are written.
    pub fn ttl_ms(mut self, ms: u64) -> Self {
        self.message.ttl_ms = Some(ms);
        self
    }

    /// How vectors are coded for the search: auto, none, 8bit or 4bit.
    pub fn quantization(mut self, codes: impl Into<String>) -> Self {
        self.message.quantization = Some(codes.into());
        self
    }

    /// Where full vectors are kept: ram or mmap.
    pub fn storage(mut self, place: impl Into<String>) -> Self {
        self.message.storage = Some(place.into());
        self
    }

    /// Most links per point of the graph, 8 to 128.
    pub fn degree(mut self, links: u32) -> Self {
        self.index().degree = Some(links);
        self
    }

    /// Candidates kept while a point is linked, 32 to 1,024 and at least the degree.
    pub fn ef_construction(mut self, candidates: u32) -> Self {
        self.index().ef_construction = Some(candidates);
        self
    }

    fn index(&mut self) -> &mut pb::IndexSettings {
        self.message.index.get_or_insert_default()
    }
}

impl Client {
    /// Creates a collection. The same one again is fine and says `created: false`. It is never sent twice
    /// when the first outcome is unknown: somebody may have deleted the collection in between.
    pub async fn create_collection(&self, settings: CreateCollection) -> Result<Created, Error> {
        let answer = self
            .call(settings.message, None, Repeat::IfNotApplied, |mut stub, request| async move {
                stub.create_collection(request).await
            })
            .await?;
        convert::created(answer)
    }

    /// Every collection.
    pub async fn list_collections(&self) -> Result<Vec<Collection>, Error> {
        let message = pb::ListCollectionsRequest {};
        let answer = self
            .call(message, None, Repeat::Safely, |mut stub, request| async move {
                stub.list_collections(request).await
            })
            .await?;
        Ok(answer.collections.into_iter().map(convert::collection).collect())
    }

    /// One collection's settings.
    pub async fn collection(&self, name: &str) -> Result<Collection, Error> {
        let message = pb::GetCollectionRequest { collection: name.into() };
        let answer = self
            .call(message, None, Repeat::Safely, |mut stub, request| async move {
                stub.get_collection(request).await
            })
            .await?;
        Ok(convert::collection(answer))
    }

    /// Deletes a collection. It is never sent twice when the first outcome is unknown: somebody may have
    /// created the name again.
    pub async fn delete_collection(&self, name: &str) -> Result<bool, Error> {
        let message = pb::DeleteCollectionRequest { collection: name.into() };
        let answer = self
            .call(message, None, Repeat::IfNotApplied, |mut stub, request| async move {
                stub.delete_collection(request).await
            })
            .await?;
        Ok(answer.deleted)
    }

    /// What a collection holds and who serves it.
    pub async fn status(&self, name: &str) -> Result<CollectionStatus, Error> {
        let message = pb::GetCollectionStatusRequest { collection: name.into() };
        let answer = self
            .call(message, None, Repeat::Safely, |mut stub, request| async move {
                stub.get_collection_status(request).await
            })
            .await?;
        Ok(convert::status(answer))
    }
}
