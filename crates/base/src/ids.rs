//! Typed identifiers. Each says what it numbers; none can be mistaken for another.

use crate::random::mix64;
use serde::{Deserialize, Serialize};
use std::fmt;
use xxhash_rust::xxh3::xxh3_64;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub u64);
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// One life of a collection name. A name created again gets a new incarnation, which fences every
    /// internal call of the old one.
    Incarnation
}
number! {
    /// A shard, unique in the cluster and never reused.
    ShardId
}
number! {
    /// A replicated log on the shared journal. The placement driver's catalog is group 1; a shard's group
    /// is derived from its [`ShardId`].
    GroupId
}
number! {
    /// One replica of one shard. Never reused, so that a replica that was removed cannot come back.
    ReplicaId
}
number! {
    /// A worker process, by the identity in its data directory.
    WorkerId
}

impl GroupId {
    /// The placement driver's catalog.
    pub const CATALOG: GroupId = GroupId(1);
}

impl ShardId {
    /// The log that replicates this shard. Shard ids start at 1; group 1 is the catalog.
    pub fn group(self) -> GroupId {
        GroupId(self.0 + 1)
    }
}

/// Longest point id, in bytes of UTF-8.
pub const POINT_ID_MAX_BYTES: usize = 512;
/// Longest collection name, in bytes.
pub const COLLECTION_NAME_MAX_BYTES: usize = 128;

/// Why a point id is not one; `None` when it is. Any UTF-8 of 1 to 512 bytes without NUL will do.
pub fn point_id_problem(id: &str) -> Option<String> {
    if id.is_empty() {
        return Some("must not be empty; give 1 to 512 bytes of UTF-8".into());
    }
    if id.len() > POINT_ID_MAX_BYTES {
        return Some(format!(
            "has {} bytes, the limit is {POINT_ID_MAX_BYTES}; shorten it or use a hash of it",
            id.len()
        ));
    }
    id.contains('\0').then(|| "contains a NUL character; remove it".into())
}

/// The place of a point id in the 64-bit space that shards split into ranges: xxh3 finalised once more, so that short
/// and sequential ids spread over the high bits that ranges cut by. Which shard has an id hangs on it: it never
/// changes.
pub fn hash_of_id(id: &str) -> u64 {
    mix64(xxh3_64(id.as_bytes()))
}

/// Why a collection name is not one; `None` when it matches `[A-Za-z0-9][A-Za-z0-9_.-]{0,127}`.
pub fn collection_name_problem(name: &str) -> Option<String> {
    const RULE: &str = "start with a letter or digit, then up to 127 letters, digits, '_', '.' or '-'";
    if name.is_empty() {
        return Some(format!("must not be empty; {RULE}"));
    }
    if name.len() > COLLECTION_NAME_MAX_BYTES {
        return Some(format!("has {} bytes, the limit is {COLLECTION_NAME_MAX_BYTES}", name.len()));
    }
    let first = name.as_bytes()[0].is_ascii_alphanumeric();
    let rest = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    (!first || !rest).then(|| format!("is not a valid name; {RULE}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn point_ids() {
        for good in ["1", "../x", "🦀", &"a".repeat(512), "a b"] {
            assert_eq!(point_id_problem(good), None, "{good}");
        }
        for bad in ["", "a\0b", &"a".repeat(513)] {
            assert!(point_id_problem(bad).is_some());
        }
    }

    #[test]
    fn hashes_of_ids_never_change() {
        let hashes = ["a", "doc-1", "größe"].map(hash_of_id);
        assert_eq!(
            hashes,
            [13_243_246_108_872_770_736, 1_523_456_655_375_023_836, 12_254_624_804_213_601_095]
        );
    }

    #[test]
    fn collection_names() {
        for good in ["a", "0", "docs.v2_x-y", &"n".repeat(128)] {
            assert_eq!(collection_name_problem(good), None, "{good}");
        }
        for bad in ["", ".", "..", "a/b", "ä", "-a", "_a", &"n".repeat(129), &"n".repeat(1 << 20)] {
            assert!(collection_name_problem(bad).is_some());
        }
    }
}
