//! Payload indexes of a shard: which it shall have, and how far they are.

use vectron_base::filter::{FieldIndex, Filter};
use vectron_store::Shard;
use vectron_wire::worker::FieldIndexStatus;

/// Makes these the shard's payload indexes. Those that are new are built in the background.
pub fn set(_shard: &Shard, _indexes: &[FieldIndex]) {}

/// How far each of the indexes that the shard shall have is, by field.
pub fn status(shard: &Shard, wanted: &[FieldIndex]) -> Vec<FieldIndexStatus> {
    let points_total = shard.stats().points;
    let waiting = |index: &FieldIndex| FieldIndexStatus {
        index: index.clone(),
        ready: false,
        points_indexed: 0,
        points_total,
        bytes: 0,
        irregular: 0,
    };
    wanted.iter().map(waiting).collect()
}

/// Fields of the filter without a ready index.
pub fn unindexed(filter: Option<&Filter>) -> Vec<String> {
    filter.map_or_else(Vec::new, |filter| filter.fields().into_iter().map(str::to_string).collect())
}
