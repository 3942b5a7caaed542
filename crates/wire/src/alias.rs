//! Other names of collections.

use serde::{Deserialize, Serialize};

/// Another name of a collection. Aliases and collections share one namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alias {
    /// The other name.
    pub alias: String,
    /// The collection's own name.
    pub collection: String,
}

/// One change of the aliases. Several are made in one step: all of them, in order, or none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AliasAction {
    /// The alias means this collection from now on, whatever it meant before. Where the collection is named by an
    /// alias, the collection that this one means.
    Set(Alias),
    /// The alias is gone.
    Delete {
        /// Which.
        alias: String,
    },
}

impl AliasAction {
    /// The alias that it is about.
    pub fn alias(&self) -> &str {
        match self {
            AliasAction::Set(Alias { alias, .. }) | AliasAction::Delete { alias } => alias,
        }
    }
}
