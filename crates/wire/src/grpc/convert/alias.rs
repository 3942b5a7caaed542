//! Other names of collections.

use super::{each, required};
use crate::alias::{Alias, AliasAction};
use crate::proto::placement as pb;
use crate::proto::placement::alias_action::Action;
use vectron_base::Fault;

impl From<Alias> for pb::Alias {
    fn from(Alias { alias, collection }: Alias) -> Self {
        Self { alias, collection }
    }
}

impl From<pb::Alias> for Alias {
    fn from(pb::Alias { alias, collection }: pb::Alias) -> Self {
        Self { alias, collection }
    }
}

impl From<AliasAction> for pb::AliasAction {
    fn from(action: AliasAction) -> Self {
        let action = match action {
            AliasAction::Set(alias) => Action::Set(alias.into()),
            AliasAction::Delete { alias } => Action::Delete(alias),
        };
        Self { action: Some(action) }
    }
}

impl TryFrom<pb::AliasAction> for AliasAction {
    type Error = Fault;

    fn try_from(message: pb::AliasAction) -> Result<Self, Fault> {
        Ok(match required("action", message.action)? {
            Action::Set(alias) => AliasAction::Set(alias.into()),
            Action::Delete(alias) => AliasAction::Delete { alias },
        })
    }
}

impl From<Vec<AliasAction>> for pb::AliasActions {
    fn from(actions: Vec<AliasAction>) -> Self {
        Self { actions: actions.into_iter().map(Into::into).collect() }
    }
}

impl TryFrom<pb::AliasActions> for Vec<AliasAction> {
    type Error = Fault;

    fn try_from(message: pb::AliasActions) -> Result<Self, Fault> {
        each("actions", message.actions)
    }
}
