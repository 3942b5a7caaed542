//! Changes of aliases.

use super::{check_batch, check_collection_name};
use crate::api;
use crate::knobs::GatewayKnobs;
use vectron_base::Fault;
use vectron_wire::placement::{Alias, AliasAction};

/// The actions that are asked for. At least one and no more than a batch may have.
pub fn alias_actions(
    request: api::ChangeAliasesRequest,
    knobs: &GatewayKnobs,
) -> Result<Vec<AliasAction>, Fault> {
    if request.actions.is_empty() {
        return Err(Fault::invalid("actions", "is empty; name at least one set or delete"));
    }
    check_batch("actions", request.actions.len(), knobs)?;
    let translated = |(at, action)| match action {
        api::AliasAction::Set(api::SetAlias { alias, collection }) => {
            check_collection_name(&format!("actions[{at}].set.alias"), &alias)?;
            check_collection_name(&format!("actions[{at}].set.collection"), &collection)?;
            Ok(AliasAction::Set(Alias { alias, collection }))
        }
        api::AliasAction::Delete(api::DeleteAlias { alias }) => {
            check_collection_name(&format!("actions[{at}].delete.alias"), &alias)?;
            Ok(AliasAction::Delete { alias })
        }
    };
    request.actions.into_iter().enumerate().map(translated).collect()
}
