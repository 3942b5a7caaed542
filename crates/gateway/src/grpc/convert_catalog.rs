//! Aliases between protobuf and the public shape.

use crate::api;
use vectron_base::Fault;
use vectron_wire::proto::public as pb;
use vectron_wire::proto::public::alias_action::Action;

pub fn change_aliases(r: pb::ChangeAliasesRequest) -> Result<api::ChangeAliasesRequest, Fault> {
    let action = |(at, message): (usize, pb::AliasAction)| match message.action {
        Some(Action::Set(pb::Alias { alias, collection })) => {
            Ok(api::AliasAction::Set(api::SetAlias { alias, collection }))
        }
        Some(Action::Delete(pb::DeleteAlias { alias })) => {
            Ok(api::AliasAction::Delete(api::DeleteAlias { alias }))
        }
        None => Err(Fault::invalid(format!("actions[{at}]"), "names neither set nor delete")),
    };
    let actions = r.actions.into_iter().enumerate().map(action).collect::<Result<_, Fault>>()?;
    Ok(api::ChangeAliasesRequest { actions })
}

pub fn aliases(a: api::AliasesResponse) -> pb::AliasesResponse {
    let alias = |a: api::Alias| pb::Alias { alias: a.alias, collection: a.collection };
    pb::AliasesResponse { aliases: a.aliases.into_iter().map(alias).collect() }
}
