//! Changing and listing aliases.

use crate::api;
use crate::gateway::Gateway;
use crate::metrics::Call;
use crate::translate::alias_actions;
use vectron_base::{Fault, Outcome};
use vectron_wire::placement::ClusterChange;

impl Gateway {
    /// Changes aliases in one step; answers with all there are then.
    pub async fn change_aliases(
        &self,
        request: api::ChangeAliasesRequest,
    ) -> Result<api::AliasesResponse, Fault> {
        self.measured(Call::ChangeAliases, async {
            let actions = alias_actions(request, self.knobs())?;
            let deadline = self.deadline(None)?;
            let work = self.parts.placement.change(ClusterChange::Aliases(actions));
            deadline.bound(Outcome::Unknown, work).await?;
            // So that the next call here uses them. Without this the answer would be what was known before.
            let view =
                self.refreshed(&deadline).await.map_err(|fault| fault.with_outcome(Outcome::Applied))?;
            Ok(shown(&view))
        })
        .await
    }

    /// Every alias.
    pub async fn list_aliases(&self) -> Result<api::AliasesResponse, Fault> {
        self.measured(Call::ListAliases, async { Ok(shown(&*self.latest_view().await?)) }).await
    }
}

fn shown(view: &crate::route::View) -> api::AliasesResponse {
    let alias = |(alias, own): (&str, &str)| api::Alias { alias: alias.into(), collection: own.into() };
    api::AliasesResponse { aliases: view.aliases().map(alias).collect() }
}
