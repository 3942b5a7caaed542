//! Other names of collections. A name is a collection's or an alias, never both; an alias means a live collection.

use super::{AliasRefusal, Catalog, Reply};
use std::collections::BTreeMap;
use vectron_wire::placement::{Alias, AliasAction, Collection};

impl Catalog {
    /// Carries the actions out in order: each sees what the ones before it did. All of them, or none.
    pub(super) fn change_aliases(&mut self, actions: &[AliasAction], max: u64) -> Reply {
        let mut aliases = self.aliases.clone();
        for (at, action) in actions.iter().enumerate() {
            if let Err(why) = self.act(&mut aliases, action) {
                return Reply::AliasRefused { action: at as u64, why };
            }
        }
        // Only what there is more of can be too much: after the limit was lowered aliases can still move.
        if aliases.len() as u64 > max && aliases.len() > self.aliases.len() {
            return Reply::AliasRefused { action: actions.len() as u64 - 1, why: AliasRefusal::Full };
        }
        if aliases != self.aliases {
            self.aliases = aliases;
            self.epoch += 1;
        }
        Reply::Done
    }

    fn act(&self, aliases: &mut BTreeMap<String, String>, action: &AliasAction) -> Result<(), AliasRefusal> {
        match action {
            AliasAction::Set(Alias { alias, collection }) => {
                let own = aliases.get(collection).unwrap_or(collection).clone();
                if self.live(&own).is_none() {
                    return Err(AliasRefusal::NoCollection);
                }
                if self.live(alias).is_some() {
                    return Err(AliasRefusal::NameTaken);
                }
                aliases.insert(alias.clone(), own);
            }
            AliasAction::Delete { alias } => {
                aliases.remove(alias).ok_or(AliasRefusal::NoAlias)?;
            }
        }
        Ok(())
    }

    /// Every alias, in order.
    pub fn aliases(&self) -> Vec<Alias> {
        let shown = |(alias, collection): (&String, &String)| Alias {
            alias: alias.clone(),
            collection: collection.clone(),
        };
        self.aliases.iter().map(shown).collect()
    }

    /// The live collection of a name or an alias.
    pub(super) fn named_mut(&mut self, name: &str) -> Option<&mut Collection> {
        match self.aliases.get(name).cloned() {
            Some(own) => self.live_mut(&own),
            None => self.live_mut(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{create, with_worker};
    use super::super::{Command, Incarnation};
    use super::*;
    use vectron_base::filter::{FieldIndex, FieldType};

    fn set(alias: &str, collection: &str) -> AliasAction {
        AliasAction::Set(Alias { alias: alias.into(), collection: collection.into() })
    }

    fn drop(alias: &str) -> AliasAction {
        AliasAction::Delete { alias: alias.into() }
    }

    fn change(catalog: &mut Catalog, actions: &[AliasAction]) -> Reply {
        catalog.apply(Command::ChangeAliases { actions: actions.to_vec(), aliases_max: 2 })
    }

    fn shown(catalog: &Catalog) -> Vec<(String, String)> {
        catalog.view().aliases.into_iter().map(|a| (a.alias, a.collection)).collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(a, c)| (a.to_string(), c.to_string())).collect()
    }

    fn two() -> Catalog {
        let mut catalog = with_worker();
        catalog.apply(create("a", 1));
        catalog.apply(create("b", 1));
        catalog
    }

    #[test]
    fn several_actions_are_one_step_or_none() {
        let mut catalog = two();
        let epoch = catalog.epoch();
        assert_eq!(change(&mut catalog, &[set("now", "a"), set("then", "now")]), Reply::Done);
        assert_eq!(
            shown(&catalog),
            pairs(&[("now", "a"), ("then", "a")]),
            "an alias of an alias is followed"
        );
        assert_eq!(catalog.epoch(), epoch + 1);
        // Where the alias points is changed, and the second action sees it.
        assert_eq!(change(&mut catalog, &[set("now", "b"), drop("then"), set("then", "now")]), Reply::Done);
        assert_eq!(shown(&catalog), pairs(&[("now", "b"), ("then", "b")]));
        let before = catalog.clone();
        for (actions, action, why) in [
            (vec![drop("then"), set("x", "nothing")], 1, AliasRefusal::NoCollection),
            (vec![set("now", "a"), drop("x")], 1, AliasRefusal::NoAlias),
            (vec![set("a", "b")], 0, AliasRefusal::NameTaken),
            (vec![drop("now"), set("now", "a"), set("x", "a")], 2, AliasRefusal::Full),
        ] {
            assert_eq!(change(&mut catalog, &actions), Reply::AliasRefused { action, why }, "{actions:?}");
            assert_eq!(catalog, before);
        }
        assert_eq!(change(&mut catalog, &[set("now", "b")]), Reply::Done);
        assert_eq!(change(&mut catalog, &[]), Reply::Done);
        assert_eq!(catalog, before, "what is so already is no change");
    }

    #[test]
    fn collections_and_aliases_share_their_names() {
        let mut catalog = two();
        change(&mut catalog, &[set("now", "a")]);
        let alias = Reply::IsAlias { collection: "a".into() };
        assert_eq!(catalog.apply(create("now", 1)), alias);
        assert_eq!(catalog.apply(Command::DeleteCollection { name: "now".into() }), alias);
        let index = FieldIndex { field: "n".into(), kind: FieldType::Integer };
        catalog.apply(Command::CreateIndex { collection: "now".into(), index, indexes_max: 2 });
        assert_eq!(catalog.live("a").unwrap().field_indexes.len(), 1);
        change(&mut catalog, &[drop("now")]);
        assert_eq!(
            catalog.apply(create("now", 1)),
            Reply::Collection { incarnation: Incarnation(3), created: true }
        );
    }

    #[test]
    fn a_collection_takes_its_aliases_along() {
        let mut catalog = two();
        change(&mut catalog, &[set("x", "a"), set("y", "b")]);
        catalog.apply(Command::DeleteCollection { name: "a".into() });
        assert_eq!(shown(&catalog), pairs(&[("y", "b")]));
        catalog.apply(create("a", 1));
        assert_eq!(shown(&catalog), pairs(&[("y", "b")]), "another life of the name is not meant");
        let text = serde_json::to_string(&catalog).unwrap();
        assert_eq!(serde_json::from_str::<Catalog>(&text).unwrap(), catalog);
        change(&mut catalog, &[drop("y")]);
        let text = serde_json::to_string(&catalog).unwrap();
        assert!(!text.contains("aliases"), "as a catalog was written before there were any: {text}");
        assert_eq!(serde_json::from_str::<Catalog>(&text).unwrap(), catalog);
    }
}
