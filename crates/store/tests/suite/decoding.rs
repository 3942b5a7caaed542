//! Bytes from anywhere: decoded or refused, never a panic, never memory for counts that cannot be.

use crate::support::*;
use proptest::prelude::*;
use vectron_base::disk::sim::SimDisk;
use vectron_store::{
    Batch, BatchItem, Command, DeleteItem, Expiry, HashRange, ItemOutcome, ItemWrite, Metric, Operation,
    Outcome, PayloadChange, PayloadEdit, PointVectors, Refused, UpsertPoint,
};

fn commands() -> impl Strategy<Value = Command> {
    let float = prop_oneof![any::<f32>().prop_filter("comparable", |v| !v.is_nan()), Just(-0.0f32)];
    let unnamed = prop::collection::vec(float, 0..6).prop_map(PointVectors::from);
    let fields = (any::<u64>(), 0usize..5).prop_map(|(seed, n)| vectors(seed % 1000, n, true));
    let upsert = ("[a-zé🦀]{0,8}", prop_oneof![unnamed, fields], ".{0,12}", any::<Option<u64>>())
        .prop_map(|(id, vector, payload, if_version)| UpsertPoint { id, vector, payload, if_version });
    let delete = (".{0,8}", any::<Option<u64>>()).prop_map(|(id, if_version)| DeleteItem { id, if_version });
    let (upsert, delete) = (upsert.boxed(), delete.boxed());
    let change = prop_oneof![
        ".{0,9}".prop_map(PayloadChange::Merge),
        ".{0,9}".prop_map(PayloadChange::Replace),
        prop::collection::vec(".{0,5}", 0..3).prop_map(PayloadChange::Unset),
    ];
    let edit =
        (change, any::<u64>()).prop_map(|(change, bytes_max)| PayloadEdit { change, bytes_max }).boxed();
    let expiry = prop_oneof![
        Just(Expiry::Never),
        any::<u64>().prop_map(Expiry::AfterMs),
        any::<u64>().prop_map(Expiry::AtMs),
    ];
    let write = prop_oneof![
        (upsert.clone(), expiry).prop_map(|(point, expiry)| ItemWrite::Upsert(point, expiry)),
        delete.clone().prop_map(ItemWrite::Delete),
        (".{0,8}", any::<Option<u64>>(), any::<u32>())
            .prop_map(|(id, if_version, edit)| ItemWrite::Payload { id, if_version, edit }),
    ];
    let item = (any::<Option<u32>>(), write).prop_map(|(if_filter, write)| BatchItem { if_filter, write });
    let texts = prop::collection::vec(".{0,9}", 0..3);
    let batch = (prop::collection::vec(edit.clone(), 0..3), texts, prop::collection::vec(item, 0..5))
        .prop_map(|(edits, filters, items)| Batch { edits, filters, items });
    let operation = prop_oneof![
        batch.prop_map(Operation::Batch),
        (".{0,30}", edit).prop_map(|(filter, edit)| Operation::EditByFilter(filter, edit)),
        Just(Operation::Tick),
        prop::collection::vec(upsert, 0..5).prop_map(Operation::Upsert),
        prop::collection::vec(delete, 0..5).prop_map(Operation::Delete),
        ".{0,30}".prop_map(Operation::DeleteByFilter),
        Just(Operation::Seal),
        Just(Operation::Mark),
        any::<(u64, u64)>().prop_map(|(first, child)| Operation::Split { first, child }),
    ];
    let key = prop::option::of((".{0,9}", any::<u64>()));
    let range = prop::option::of(any::<(u64, u64)>().prop_map(|(first, last)| HashRange { first, last }));
    (any::<u64>(), key, range, operation).prop_map(|(log_time_ms, key, range, operation)| Command {
        log_time_ms,
        range,
        idempotency: key.map(|(key, body_hash)| vectron_store::Idempotency { key, body_hash }),
        operation,
    })
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    let item = prop_oneof![
        3 => Just(ItemOutcome::Applied),
        1 => Just(ItemOutcome::Missing),
        1 => any::<u64>().prop_map(|current| ItemOutcome::VersionMismatch { current }),
        1 => any::<u64>().prop_map(|current| ItemOutcome::FilterMismatch { current }),
        1 => any::<u64>().prop_map(|bytes| ItemOutcome::PayloadTooLarge { bytes }),
    ]
    .boxed();
    let refused = (".{0,8}", item.clone()).prop_map(|(id, item)| Refused { id, item });
    let edited = (any::<(u64, u64, u64, bool)>(), prop::collection::vec(refused, 0..3)).prop_map(
        |((version, updated, refused_more, replayed), refused)| Outcome::Edited {
            version,
            updated,
            refused,
            refused_more,
            replayed,
        },
    );
    prop_oneof![
        (any::<u64>(), prop::collection::vec(item, 0..9), any::<u64>(), any::<bool>()).prop_map(
            |(version, items, deleted, replayed)| Outcome::Written { version, items, deleted, replayed }
        ),
        edited,
        Just(Outcome::KeyReused),
        Just(Outcome::Sealed),
        Just(Outcome::WindowFull),
        Just(Outcome::OutOfRange),
        ".{0,9}".prop_map(Outcome::Malformed),
        ".{0,9}".prop_map(Outcome::Damaged),
    ]
}

/// Changes the bytes: a byte, the length, or both.
fn broken(mut bytes: Vec<u8>, at: usize, with: u8, cut: usize) -> Vec<u8> {
    let len = bytes.len();
    bytes[at % len] ^= with;
    bytes.truncate(len - cut % len);
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn commands_and_outcomes_come_back(command in commands(), outcome in outcomes()) {
        prop_assert_eq!(Command::decode(&command.encode()).unwrap(), command);
        prop_assert_eq!(Outcome::decode(&outcome.encode()).unwrap(), outcome);
    }

    #[test]
    fn broken_bytes_do_no_harm(
        command in commands(), outcome in outcomes(), noise in prop::collection::vec(any::<u8>(), 0..64),
        at in any::<usize>(), with in any::<u8>(), cut in 0usize..4,
    ) {
        let command = broken(command.encode(), at, with, cut);
        let _ = Command::decode(&command);
        let _ = Outcome::decode(&broken(outcome.encode(), at, with, cut));
        let _ = (Command::decode(&noise), Outcome::decode(&noise));
        let shard = open(&SimDisk::new(1), &config(3, Metric::Cosine));
        for bytes in [&command, &noise] {
            let digest = shard.digest().value;
            let index = shard.applied_index() + 1;
            let outcome = Outcome::decode(&shard.apply(index, bytes)).unwrap();
            prop_assert_eq!(shard.applied_index(), index);
            if matches!(outcome, Outcome::Malformed(_)) {
                prop_assert_eq!(shard.digest().value, digest);
            }
        }
    }
}
