//! Arbitrary questions about one point and about efforts, and answers.

use crate::given::{read, read_level, search, target, timeout};
use proptest::collection::vec;
use proptest::prelude::*;
use vectron_wire::worker::*;

pub fn request() -> impl Strategy<Value = ShardExamine> {
    let subject = prop_oneof![
        any::<String>().prop_map(Subject::Id),
        any::<(String, f32)>().prop_map(|(id, score)| Subject::Elsewhere { id, score }),
    ];
    (search(), subject).prop_map(|(search, subject)| ShardExamine { search, subject })
}

pub fn answer() -> impl Strategy<Value = ShardRead<Examined>> {
    let cause = prop_oneof![Just(RemovalCause::Deleted), Just(RemovalCause::Expired)];
    let clause = (any::<String>(), vec(any::<(String, Option<String>)>(), 0..3))
        .prop_map(|(clause, values)| FailedClause { clause, values });
    let scored = any::<(u64, f32, u64, Option<u64>, u32, Option<u32>)>();
    read(prop_oneof![
        Just(Examined::Absent),
        (cause, any::<u64>(), any::<u64>()).prop_map(|(cause, version, log_time_ms)| Examined::Removed {
            cause,
            version,
            log_time_ms
        }),
        (any::<u64>(), vec(clause, 0..3))
            .prop_map(|(version, failed)| Examined::Filtered { version, failed }),
        scored.prop_map(|(version, score, ahead, position, ef, ef_needed)| {
            Examined::Scored(Scored { version, score, ahead, position, ef, ef_needed })
        }),
        any::<(u64, u64)>().prop_map(|(ahead, returned)| Examined::Ahead { ahead, returned }),
    ])
}

pub fn tune() -> impl Strategy<Value = ShardTune> {
    (target(), read_level(), any::<f32>(), timeout()).prop_map(|(target, read, recall_target, timeout_ms)| {
        ShardTune { target, read, recall_target, timeout_ms }
    })
}

pub fn tuned() -> impl Strategy<Value = ShardRead<ShardTuned>> {
    let rung = any::<(u32, u64, u64)>().prop_map(|(ef, found, distances)| TuneRung { ef, found, distances });
    let tuned = (any::<(u64, u64, Option<u32>)>(), vec(rung, 0..4));
    read(tuned.prop_map(|((queries, wanted, calibrated_ef), rungs)| ShardTuned {
        queries,
        wanted,
        rungs,
        calibrated_ef,
    }))
}
