//! Payload indexes: adding, listing, removing, and refusing filters without one where the server wants that.

use super::status::indexes_of;
use crate::admit::Deadline;
use crate::api;
use crate::gateway::Gateway;
use crate::metrics::Call;
use crate::translate::{check_collection_name, check_field, check_indexed, field_index, shown_analysis};
use vectron_base::filter::Filter;
use vectron_base::{Fault, Outcome};
use vectron_wire::placement::Collection;

impl Gateway {
    /// Adds a payload index, or finds the same one there. It is built in the background.
    pub async fn create_index(
        &self,
        request: api::CreateIndexRequest,
    ) -> Result<api::CreateIndexResponse, Fault> {
        self.measured(Call::CreateIndex, async {
            check_collection_name("collection", &request.collection)?;
            let index = field_index(&request)?;
            let deadline = self.deadline(None)?;
            let work = self.parts.placement.create_index(&request.collection, index.clone());
            let created = deadline.bound(Outcome::Unknown, work).await?;
            // So that the next call here finds it at once; if this fails, the view follows by itself.
            let _ = self.refreshed(&deadline).await;
            let kind = index.kind.as_str().into();
            let (language, stemming) = shown_analysis(index.kind);
            Ok(api::CreateIndexResponse { field: index.field, kind, language, stemming, created })
        })
        .await
    }

    /// The payload indexes of a collection, and how far they are.
    pub async fn list_indexes(&self, name: &str) -> Result<api::ListIndexesResponse, Fault> {
        self.measured(Call::ListIndexes, async {
            let (collection, shards) = self.asked_for_status(Call::ListIndexes, name).await?;
            Ok(api::ListIndexesResponse { indexes: indexes_of(&collection, &shards) })
        })
        .await
    }

    /// Takes a payload index away.
    pub async fn delete_index(&self, name: &str, field: &str) -> Result<api::DeleteIndexResponse, Fault> {
        self.measured(Call::DeleteIndex, async {
            check_collection_name("collection", name)?;
            check_field(field)?;
            let deadline = self.deadline(None)?;
            let work = self.parts.placement.delete_index(name, field);
            deadline.bound(Outcome::Unknown, work).await?;
            let _ = self.refreshed(&deadline).await;
            Ok(api::DeleteIndexResponse { deleted: true })
        })
        .await
    }

    /// Refuses a filter on fields without an index, where the server wants that. What this gateway does not know
    /// of an index that was just added elsewhere it asks the catalog.
    pub(super) async fn require_indexes(
        &self,
        filter: Option<&Filter>,
        collection: &Collection,
        deadline: &Deadline,
    ) -> Result<(), Fault> {
        let Err(refused) = check_indexed(filter, collection, self.knobs()) else {
            return Ok(());
        };
        let view = self.refreshed(deadline).await?;
        match view.get(&collection.spec.name) {
            Some(now) => check_indexed(filter, now, self.knobs()),
            None => Err(refused),
        }
    }
}
