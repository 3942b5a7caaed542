//! Creating, listing, describing and deleting collections.

use crate::api;
use crate::gateway::Gateway;
use crate::metrics::Call;
use crate::translate::{check_collection_name, collection_spec, describe, text_indexes};
use vectron_base::{Fault, Outcome};

impl Gateway {
    /// Creates a collection, or finds the same one there.
    pub async fn create_collection(
        &self,
        request: api::CreateCollectionRequest,
    ) -> Result<api::CreateCollectionResponse, Fault> {
        self.measured(Call::CreateCollection, self.creation(request)).await
    }

    async fn creation(
        &self,
        request: api::CreateCollectionRequest,
    ) -> Result<api::CreateCollectionResponse, Fault> {
        let indexes = text_indexes(&request.text_fields.clone().unwrap_or_default())?;
        let spec = collection_spec(request, self.knobs())?;
        let deadline = self.deadline_in(self.knobs().collection_timeout_ms);
        let work = self.parts.placement.create_collection(spec, deadline.left_ms());
        let (collection, created) = deadline.bound(Outcome::Unknown, work).await?;
        // Nothing is in it yet, so that the indexes are ready at once. Who is told of a failure here asks again.
        for index in indexes {
            let work = self.parts.placement.create_index(&collection.spec.name, index);
            deadline.bound(Outcome::Unknown, work).await?;
        }
        // So that the next call here finds it at once; if this fails, the next call asks again.
        let _ = self.refreshed(&deadline).await;
        Ok(api::CreateCollectionResponse { collection: describe(&collection), created })
    }

    /// Every collection, by name.
    pub async fn list_collections(&self) -> Result<api::ListCollectionsResponse, Fault> {
        self.measured(Call::ListCollections, async {
            let view = self.latest_view().await?;
            Ok(api::ListCollectionsResponse { collections: view.all().map(|c| describe(c)).collect() })
        })
        .await
    }

    /// One collection.
    pub async fn get_collection(&self, name: &str) -> Result<api::Collection, Fault> {
        self.measured(Call::GetCollection, async {
            check_collection_name("collection", name)?;
            let view = self.latest_view().await?;
            view.get(name).map(|found| describe(found)).ok_or_else(|| Fault::no_collection(name))
        })
        .await
    }

    /// Deletes a collection; answers when no read of it succeeds any more.
    pub async fn delete_collection(&self, name: &str) -> Result<api::DeleteCollectionResponse, Fault> {
        self.measured(Call::DeleteCollection, async {
            check_collection_name("collection", name)?;
            let deadline = self.deadline_in(self.knobs().collection_timeout_ms);
            let work = self.parts.placement.delete_collection(name, deadline.left_ms());
            deadline.bound(Outcome::Unknown, work).await?;
            let _ = self.refreshed(&deadline).await;
            Ok(api::DeleteCollectionResponse { deleted: true })
        })
        .await
    }

    /// The catalog now; as last seen while the placement driver cannot be asked.
    async fn latest_view(&self) -> Result<std::sync::Arc<crate::route::View>, Fault> {
        let deadline = self.deadline(None)?;
        match self.refreshed(&deadline).await {
            Err(_) if self.catalog.seen() => Ok(self.catalog.view()),
            refreshed => refreshed,
        }
    }
}
