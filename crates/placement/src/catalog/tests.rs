//! What single commands do.

use super::*;
use vectron_wire::placement::{Distance, IndexSettings, Locality, Quantization, ReadPolicy, Storage};

pub(crate) fn registration(worker: u64) -> Registration {
    Registration {
        worker: WorkerId(worker),
        address: format!("worker-{worker}"),
        locality: Locality::default(),
        cores: 4,
        memory_bytes: 1 << 34,
        disk_bytes: 1 << 40,
    }
}

pub(crate) fn with_worker() -> Catalog {
    let mut catalog = Catalog::default();
    catalog.apply(Command::RegisterWorker { registration: registration(1) });
    catalog
}

pub(crate) fn spec(name: &str, shards: u32) -> CollectionSpec {
    CollectionSpec {
        name: name.into(),
        dimension: 4,
        distance: Distance::Cosine,
        shards,
        replication_factor: 1,
        read_policy: ReadPolicy::Linearizable,
        quantization: Quantization::Auto,
        storage: Storage::Ram,
        index: IndexSettings::default(),
        vector_fields: Vec::new(),
        ttl_ms: None,
    }
}

pub(crate) fn create(name: &str, shards: u32) -> Command {
    let placements = vec![vec![WorkerId(1)]; shards as usize];
    Command::CreateCollection { spec: spec(name, shards), created_at_ms: 5, placements, collections_max: 3 }
}

#[test]
fn creating_twice_is_fine_and_another_configuration_is_a_conflict() {
    let mut catalog = with_worker();
    let first = catalog.apply(create("a", 2));
    assert_eq!(first, Reply::Collection { incarnation: Incarnation(1), created: true });
    let again = catalog.apply(create("a", 2));
    assert_eq!(again, Reply::Collection { incarnation: Incarnation(1), created: false });
    assert_eq!(catalog.apply(create("a", 3)), Reply::Conflict { differs: vec!["shards".into()] });
}

#[test]
fn how_the_index_is_made_is_part_of_the_configuration() {
    let mut catalog = with_worker();
    catalog.apply(create("a", 1));
    for name in ["quantization", "storage", "index"] {
        let mut other = spec("a", 1);
        match name {
            "quantization" => other.quantization = Quantization::EightBit,
            "storage" => other.storage = Storage::Mmap,
            _ => other.index.degree = 16,
        }
        let mut again = create("a", 1);
        if let Command::CreateCollection { spec, .. } = &mut again {
            *spec = other;
        }
        assert_eq!(catalog.apply(again), Reply::Conflict { differs: vec![name.into()] });
    }
}

/// Catalogs, log entries and shard files from before a setting existed have its default.
#[test]
fn what_was_written_before_a_setting_existed_has_its_default() {
    let mut catalog = with_worker();
    // The graph had another default then, and that is what was built.
    let mut create = create("a", 1);
    if let Command::CreateCollection { spec, .. } = &mut create {
        spec.index = IndexSettings { degree: 32, ef_construction: 128 };
    }
    catalog.apply(create.clone());
    let old = |mut json: serde_json::Value| {
        strip(&mut json, &["quantization", "storage", "index", "field_indexes"]);
        json.to_string()
    };
    let text = old(serde_json::to_value(&catalog).unwrap());
    assert!(!text.contains("quantization") && !text.contains("field_indexes"), "{text}");
    assert_eq!(serde_json::from_str::<Catalog>(&text).unwrap(), catalog);
    let text = old(serde_json::to_value(create.clone()).unwrap());
    assert_eq!(serde_json::from_str::<Command>(&text).unwrap(), create);
}

/// Takes members away wherever they are.
fn strip(json: &mut serde_json::Value, names: &[&str]) {
    match json {
        serde_json::Value::Object(members) => {
            members.retain(|name, _| !names.contains(&name.as_str()));
            members.values_mut().for_each(|value| strip(value, names));
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(|item| strip(item, names)),
        _ => {}
    }
}

#[test]
fn a_deleted_name_is_free_at_once_and_comes_back_as_another_life() {
    let mut catalog = with_worker();
    catalog.apply(create("a", 1));
    catalog.apply(Command::DeleteCollection { name: "a".into() });
    assert_eq!(catalog.apply(Command::DeleteCollection { name: "a".into() }), Reply::NotFound);
    let again = catalog.apply(create("a", 1));
    assert_eq!(again, Reply::Collection { incarnation: Incarnation(2), created: true });
    let view = catalog.view();
    assert_eq!(view.collections.len(), 2, "the old life is seen until it is forgotten");
    assert_ne!(view.collections[0].shards[0].shard, view.collections[1].shards[0].shard);
    catalog.apply(Command::ForgetCollection { incarnation: Incarnation(1) });
    assert_eq!(catalog.view().collections.len(), 1);
}

#[test]
fn the_number_of_collections_is_bounded() {
    let mut catalog = with_worker();
    for name in ["a", "b", "c"] {
        catalog.apply(create(name, 1));
    }
    assert_eq!(catalog.apply(create("d", 1)), Reply::Full);
}

#[test]
fn the_epoch_moves_only_with_changes() {
    let mut catalog = with_worker();
    catalog.apply(create("a", 1));
    let epoch = catalog.epoch();
    catalog.apply(create("a", 1));
    catalog.apply(Command::DeleteCollection { name: "nothing".into() });
    assert_eq!(catalog.epoch(), epoch);
}
