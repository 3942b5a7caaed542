//! Payload indexes in the catalog: which fields of a collection have one. Workers build them.

use super::{Catalog, Reply};
use vectron_base::filter::FieldIndex;

impl Catalog {
    pub(super) fn create_index(&mut self, collection: &str, index: FieldIndex, max: u64) -> Reply {
        let Some(collection) = self.named_mut(collection) else {
            return Reply::NotFound;
        };
        if let Some(there) = collection.field_index(&index.field) {
            return if there.kind == index.kind {
                Reply::Index { created: false }
            } else {
                Reply::IndexConflict { have: there.kind }
            };
        }
        if collection.field_indexes.len() as u64 >= max {
            return Reply::Full;
        }
        collection.field_indexes.push(index);
        collection.field_indexes.sort();
        self.epoch += 1;
        Reply::Index { created: true }
    }

    pub(super) fn delete_index(&mut self, collection: &str, field: &str) -> Reply {
        let Some(collection) = self.named_mut(collection) else {
            return Reply::NotFound;
        };
        let Some(at) = collection.field_indexes.iter().position(|index| index.field == field) else {
            return Reply::NoIndex;
        };
        collection.field_indexes.remove(at);
        self.epoch += 1;
        Reply::Done
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{create, with_worker};
    use super::super::{Command, Incarnation};
    use super::*;
    use vectron_base::filter::FieldType;

    fn add(catalog: &mut Catalog, field: &str, kind: FieldType) -> Reply {
        let index = FieldIndex { field: field.into(), kind };
        catalog.apply(Command::CreateIndex { collection: "a".into(), index, indexes_max: 2 })
    }

    fn remove(catalog: &mut Catalog, field: &str) -> Reply {
        catalog.apply(Command::DeleteIndex { collection: "a".into(), field: field.into() })
    }

    #[test]
    fn a_field_has_one_index_of_one_type_and_a_collection_a_bounded_number() {
        let mut catalog = with_worker();
        assert_eq!(add(&mut catalog, "n", FieldType::Integer), Reply::NotFound);
        catalog.apply(create("a", 2));
        let epoch = catalog.epoch();
        assert_eq!(add(&mut catalog, "n", FieldType::Integer), Reply::Index { created: true });
        assert_eq!(catalog.epoch(), epoch + 1, "gateways and workers hear of it");
        assert_eq!(add(&mut catalog, "n", FieldType::Integer), Reply::Index { created: false });
        assert_eq!(
            add(&mut catalog, "n", FieldType::Float),
            Reply::IndexConflict { have: FieldType::Integer }
        );
        assert_eq!(add(&mut catalog, "a.b", FieldType::Keyword), Reply::Index { created: true });
        assert_eq!(add(&mut catalog, "c", FieldType::Keyword), Reply::Full);
        let fields = |catalog: &Catalog| -> Vec<String> {
            catalog.live("a").unwrap().field_indexes.iter().map(|index| index.field.clone()).collect()
        };
        assert_eq!(fields(&catalog), ["a.b", "n"]);
        assert_eq!(remove(&mut catalog, "c"), Reply::NoIndex);
        assert_eq!(remove(&mut catalog, "n"), Reply::Done);
        assert_eq!(fields(&catalog), ["a.b"]);
        assert_eq!(catalog.epoch(), epoch + 3);
    }

    /// A catalog with indexes is what it was after its checkpoint; an older one has none.
    #[test]
    fn indexes_are_in_the_snapshot_and_end_with_the_collection() {
        let mut catalog = with_worker();
        catalog.apply(create("a", 1));
        add(&mut catalog, "n", FieldType::Datetime);
        let text = serde_json::to_string(&catalog).unwrap();
        assert!(text.contains(r#"{"field":"n","type":"datetime"}"#), "{text}");
        assert_eq!(serde_json::from_str::<Catalog>(&text).unwrap(), catalog);
        catalog.apply(Command::DeleteCollection { name: "a".into() });
        assert_eq!(add(&mut catalog, "n", FieldType::Datetime), Reply::NotFound);
        let again = catalog.apply(create("a", 1));
        assert_eq!(again, Reply::Collection { incarnation: Incarnation(2), created: true });
        assert_eq!(catalog.live("a").unwrap().field_indexes, []);
    }
}
