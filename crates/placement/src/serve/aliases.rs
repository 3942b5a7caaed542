//! Changing aliases.

use super::Service;
use super::faults::unexpected;
use crate::catalog::{AliasRefusal, Command, Reply};
use vectron_base::{Code, Fault};
use vectron_wire::placement::{Alias, AliasAction, PlannedMove};

impl Service {
    pub(super) async fn change_aliases(&self, actions: Vec<AliasAction>) -> Result<Vec<PlannedMove>, Fault> {
        let aliases_max = self.parts.knobs.aliases_max;
        let command = Command::ChangeAliases { actions: actions.clone(), aliases_max };
        match self.propose(&command).await? {
            Reply::Done => Ok(Vec::new()),
            Reply::AliasRefused { action, why } => {
                let refused = actions.get(action as usize).ok_or_else(unexpected)?;
                Err(refusal(action, refused, why, aliases_max))
            }
            _ => Err(unexpected()),
        }
    }
}

/// Why an action cannot be, in words.
fn refusal(at: u64, action: &AliasAction, why: AliasRefusal, aliases_max: u64) -> Fault {
    let alias = action.alias();
    let (code, member, reason) = match (why, action) {
        (AliasRefusal::NoCollection, AliasAction::Set(Alias { collection, .. })) => {
            (Code::NotFound, "set.collection", format!("there is no collection '{collection}'"))
        }
        (AliasRefusal::NoCollection | AliasRefusal::NoAlias, _) => {
            (Code::NotFound, "delete.alias", format!("there is no alias '{alias}'"))
        }
        (AliasRefusal::NameTaken, _) => {
            let reason = format!("'{alias}' is the name of a collection; delete it first or choose another");
            (Code::AlreadyExists, "set.alias", reason)
        }
        (AliasRefusal::Full, _) => {
            let reason = format!(
                "there would be more than {aliases_max} aliases; delete one or raise placement.aliases_max"
            );
            (Code::TooLarge, "set.alias", reason)
        }
    };
    Fault::on_field(code, format!("actions[{at}].{member}"), reason)
}
