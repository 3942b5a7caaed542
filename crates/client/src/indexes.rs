//! Calls about payload indexes.

use crate::answers::{IndexCreated, PayloadIndex};
use crate::connection::{Client, Repeat};
use crate::convert;
use crate::error::Error;
use vectron_wire::proto::public as pb;

impl Client {
    /// Adds a payload index: `kind` is keyword, integer, float, bool, datetime, geo or text. It is built in the background;
    /// [`Client::list_indexes`] says how far it is. It is never sent twice when the first outcome is unknown:
    /// somebody may have deleted it in between.
    pub async fn create_index(
        &self,
        collection: &str,
        field: &str,
        kind: &str,
    ) -> Result<IndexCreated, Error> {
        let message = pb::CreateIndexRequest {
            collection: collection.into(),
            field: field.into(),
            r#type: kind.into(),
            ..Default::default()
        };
        self.send_index(message).await
    }

    /// Adds a text index whose words become stems of a language, such as english; `none` leaves them as they are.
    /// As [`Client::create_index`].
    pub async fn create_text_index(
        &self,
        collection: &str,
        field: &str,
        language: &str,
    ) -> Result<IndexCreated, Error> {
        let message = pb::CreateIndexRequest {
            collection: collection.into(),
            field: field.into(),
            r#type: "text".into(),
            language: Some(language.into()),
            stemming: None,
        };
        self.send_index(message).await
    }

    async fn send_index(&self, message: pb::CreateIndexRequest) -> Result<IndexCreated, Error> {
        let answer = self
            .call(message, None, Repeat::IfNotApplied, |mut stub, request| async move {
                stub.create_index(request).await
            })
            .await?;
        Ok(IndexCreated { field: answer.field, kind: answer.r#type, created: answer.created })
    }

    /// The payload indexes of a collection, by field.
    pub async fn list_indexes(&self, collection: &str) -> Result<Vec<PayloadIndex>, Error> {
        let message = pb::ListIndexesRequest { collection: collection.into() };
        let answer = self
            .call(message, None, Repeat::Safely, |mut stub, request| async move {
                stub.list_indexes(request).await
            })
            .await?;
        Ok(answer.indexes.into_iter().map(convert::index).collect())
    }

    /// Takes a payload index away. It is never sent twice when the first outcome is unknown: somebody may have
    /// added it again.
    pub async fn delete_index(&self, collection: &str, field: &str) -> Result<bool, Error> {
        let message = pb::DeleteIndexRequest { collection: collection.into(), field: field.into() };
        let answer = self
            .call(message, None, Repeat::IfNotApplied, |mut stub, request| async move {
                stub.delete_index(request).await
            })
            .await?;
        Ok(answer.deleted)
    }
}
