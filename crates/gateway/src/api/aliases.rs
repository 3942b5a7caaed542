//! Other names of collections.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Changes of aliases, made in one step: all of them, in order, or none.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"actions": [{"set": {"alias": "docs", "collection": "docs-2"}}, {"delete": {"alias": "old"}}]}))]
pub struct ChangeAliasesRequest {
    /// What to do, in order.
    pub actions: Vec<AliasAction>,
}

/// One change: one of `set` and `delete`.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum AliasAction {
    /// The alias means this collection from now on, whatever it meant before.
    Set(SetAlias),
    /// The alias is gone.
    Delete(DeleteAlias),
}

/// What an alias shall mean.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetAlias {
    /// Spelled as a collection's name, and none of a collection.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$")]
    pub alias: String,
    /// The collection; named by another alias, the one that this means now.
    pub collection: String,
}

/// Which alias shall go.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteAlias {
    /// The alias.
    pub alias: String,
}

/// Another name of a collection.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Alias {
    /// The other name.
    pub alias: String,
    /// The collection's own name.
    pub collection: String,
}

/// Every alias, in order.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AliasesResponse {
    /// The aliases.
    pub aliases: Vec<Alias>,
}
