//! The public calls as the scenarios make them, through the production gateway.

use crate::oracle::Content;
use std::collections::BTreeMap;
use std::sync::Arc;
use vectron_base::Fault;
use vectron_gateway::{Gateway, api};

/// Numbers per vector in every scenario.
pub const DIMENSION: usize = 4;

/// One collection through the gateway.
#[derive(Clone)]
pub struct Client {
    /// The edge.
    pub gateway: Arc<Gateway>,
    /// The collection's name.
    pub collection: String,
}

/// What a read of points found: content and version by id.
pub type Found = BTreeMap<String, (Content, u64)>;

impl Client {
    /// Creates the collection; fine when it is there.
    pub async fn create(&self, shards: u64) -> Result<bool, Fault> {
        let request = api::CreateCollectionRequest {
            name: self.collection.clone(),
            dimension: DIMENSION as u64,
            distance: "euclidean".into(),
            vectors: None,
            sparse_vectors: None,
            multi_vectors: None,
            shards: Some(shards),
            replication_factor: None,
            read_policy: None,
            quantization: None,
            storage: None,
            text_fields: None,
            index: None,
            ttl_ms: None,
        };
        Ok(self.gateway.create_collection(request).await?.created)
    }

    /// Deletes the collection.
    pub async fn drop_collection(&self) -> Result<(), Fault> {
        self.gateway.delete_collection(&self.collection).await.map(|_| ())
    }

    /// Writes points.
    pub async fn upsert(
        &self,
        points: &[(String, Content)],
        key: Option<String>,
    ) -> Result<api::UpsertResponse, Fault> {
        let points = points.iter().map(|(id, content)| api::PointInput {
            id: api::PointId(id.clone()),
            vector: Some(content.vector.clone().into()),
            vector_b64: None,
            payload: Some(api::JsonText::unparsed(content.payload.clone())),
            if_version: None,
            if_filter: None,
            ttl_ms: None,
            expires_at_ms: None,
        });
        let request = api::UpsertRequest {
            collection: self.collection.clone(),
            points: points.collect(),
            idempotency_key: key,
            timeout_ms: None,
        };
        self.gateway.upsert(request).await
    }

    /// Deletes by ids or by filter; how many were there.
    pub async fn delete(&self, ids: Option<Vec<String>>, filter: Option<String>) -> Result<u64, Fault> {
        let request = api::DeleteRequest {
            points: None,
            collection: self.collection.clone(),
            ids: ids.map(|ids| ids.into_iter().map(api::PointId).collect()),
            filter: filter.map(api::JsonText::unparsed),
            idempotency_key: None,
            timeout_ms: None,
        };
        Ok(self.gateway.delete(request).await?.deleted)
    }

    /// Reads points by id at a level.
    pub async fn get(&self, ids: &[String], level: &str) -> Result<Found, Fault> {
        let request = api::BatchGetRequest {
            collection: self.collection.clone(),
            ids: ids.iter().cloned().map(api::PointId).collect(),
            include_payload: None,
            include_vector: Some(true),
            consistency: Some(api::Consistency::named(level)),
            timeout_ms: None,
        };
        Ok(self.gateway.batch_get(request).await?.points.into_iter().map(found).collect())
    }

    /// Ids of the nearest points, best first.
    pub async fn search(
        &self,
        query: &[f32],
        k: u64,
        filter: Option<String>,
        exact: bool,
    ) -> Result<Vec<String>, Fault> {
        let request = api::SearchRequest {
            collection: self.collection.clone(),
            vector: Some(query.to_vec().into()),
            vector_b64: None,
            text: None,
            using: None,
            top_k: Some(k),
            filter: filter.map(api::JsonText::unparsed),
            include_payload: None,
            include_vector: None,
            score_threshold: None,
            consistency: None,
            timeout_ms: None,
            allow_partial: None,
            params: Some(api::SearchParams { exact: Some(exact), ..api::SearchParams::default() }),
            explain: None,
        };
        Ok(self.gateway.search(request).await?.results.into_iter().map(|hit| hit.id).collect())
    }

    /// How many points pass.
    pub async fn count(&self, filter: Option<String>) -> Result<u64, Fault> {
        let request = api::CountRequest {
            exact: None,
            collection: self.collection.clone(),
            filter: filter.map(api::JsonText::unparsed),
            consistency: None,
            timeout_ms: None,
        };
        Ok(self.gateway.count(request).await?.count)
    }

    /// Every id, paged by three, in the order of the pages.
    pub async fn scroll(&self) -> Result<Vec<String>, Fault> {
        let mut ids = Vec::new();
        let mut cursor = None;
        loop {
            let request = api::ScrollRequest {
                order_by: None,
                collection: self.collection.clone(),
                filter: None,
                limit: Some(3),
                cursor,
                include_payload: None,
                include_vector: None,
                consistency: None,
                timeout_ms: None,
            };
            let page = self.gateway.scroll(request).await?;
            ids.extend(page.points.into_iter().map(|p| p.id));
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(ids);
            }
        }
    }
}

fn found(point: api::Point) -> (String, (Content, u64)) {
    let content = Content {
        vector: point.vector.and_then(|v| v.unnamed().map(<[f32]>::to_vec)).unwrap_or_default(),
        payload: point.payload.map(api::JsonText::into_string).unwrap_or_default(),
    };
    (point.id, (content, point.version))
}
