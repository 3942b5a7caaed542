//! Calls about aliases: other names of collections.

use crate::connection::{Client, Repeat};
use crate::error::Error;
use serde::Serialize;
use vectron_wire::proto::public as pb;
use vectron_wire::proto::public::alias_action::Action;

/// Another name of a collection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Alias {
    /// The other name.
    pub alias: String,
    /// The collection's own name.
    pub collection: String,
}

/// One change of the aliases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AliasAction {
    /// The alias means this collection from now on, whatever it meant before.
    Set {
        /// The other name.
        alias: String,
        /// The collection, by its own name or another alias.
        collection: String,
    },
    /// The alias is gone.
    Delete {
        /// Which.
        alias: String,
    },
}

impl AliasAction {
    /// The alias shall mean this collection.
    pub fn set(alias: impl Into<String>, collection: impl Into<String>) -> Self {
        AliasAction::Set { alias: alias.into(), collection: collection.into() }
    }

    /// The alias shall go.
    pub fn delete(alias: impl Into<String>) -> Self {
        AliasAction::Delete { alias: alias.into() }
    }
}

impl From<AliasAction> for pb::AliasAction {
    fn from(action: AliasAction) -> Self {
        let action = match action {
            AliasAction::Set { alias, collection } => Action::Set(pb::Alias { alias, collection }),
            AliasAction::Delete { alias } => Action::Delete(pb::DeleteAlias { alias }),
        };
        Self { action: Some(action) }
    }
}

fn shown(answer: pb::AliasesResponse) -> Vec<Alias> {
    let alias = |pb::Alias { alias, collection }: pb::Alias| Alias { alias, collection };
    answer.aliases.into_iter().map(alias).collect()
}

impl Client {
    /// Changes aliases in one step, all actions in order or none, and gives every alias there is then. It is never
    /// sent twice when the first outcome is unknown: somebody may have moved them meanwhile.
    pub async fn change_aliases(
        &self,
        actions: impl IntoIterator<Item = AliasAction>,
    ) -> Result<Vec<Alias>, Error> {
        let actions = actions.into_iter().map(Into::into).collect();
        let message = pb::ChangeAliasesRequest { actions };
        let answer = self
            .call(message, None, Repeat::IfNotApplied, |mut stub, request| async move {
                stub.change_aliases(request).await
            })
            .await?;
        Ok(shown(answer))
    }

    /// Every alias, in order.
    pub async fn list_aliases(&self) -> Result<Vec<Alias>, Error> {
        let message = pb::ListAliasesRequest {};
        let answer = self
            .call(message, None, Repeat::Safely, |mut stub, request| async move {
                stub.list_aliases(request).await
            })
            .await?;
        Ok(shown(answer))
    }
}
