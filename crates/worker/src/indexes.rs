//! Payload indexes of a shard: which it shall have, and how far they are.

use vectron_base::filter::FieldIndex;
use vectron_store as store;
use vectron_wire::worker::FieldIndexStatus;

/// Makes these the shard's payload indexes. Those that are new are built by its background steps.
pub fn set(shard: &store::Shard, indexes: &[FieldIndex]) {
    shard.set_field_indexes(indexes);
}

/// How far each of the shard's indexes is, by field.
pub fn status(shard: &store::Shard) -> Vec<FieldIndexStatus> {
    let shown = |status: store::FieldIndexStatus| FieldIndexStatus {
        index: status.index,
        ready: status.ready,
        points_indexed: status.points_indexed,
        points_total: status.points_total,
        bytes: status.bytes,
        irregular: status.irregular,
    };
    let mut all: Vec<FieldIndexStatus> = shard.field_indexes().into_iter().map(shown).collect();
    all.sort_by(|a, b| a.index.cmp(&b.index));
    all
}
