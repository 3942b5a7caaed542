//! Writes of several kinds in one call: upserts with an expiry, conditions, changes of payloads.

use crate::worker::{ItemOutcome, UpsertPoint};
use vectron_base::filter::Filter;

/// Items that a shard decides one after the other and shows together, all with one version. An id may come more than
/// once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WriteBatch {
    /// Changes that items name by position.
    pub edits: Vec<PayloadEdit>,
    /// Conditions that items name by position.
    pub filters: Vec<Filter>,
    /// What to do.
    pub items: Vec<BatchItem>,
}

/// One write.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchItem {
    /// Position of the filter that the payload there must pass; where there is no point none holds.
    pub if_filter: Option<u32>,
    /// What to do.
    pub write: ItemWrite,
}

/// What an item does.
#[derive(Clone, Debug, PartialEq)]
pub enum ItemWrite {
    /// Insert or replace.
    Upsert(UpsertPoint, Expiry),
    /// Delete.
    Delete {
        /// Whose.
        id: String,
        /// Only this version.
        if_version: Option<u64>,
    },
    /// Change the payload of a point that is there; its vectors and its expiry stay.
    Payload {
        /// Whose.
        id: String,
        /// Only this version.
        if_version: Option<u64>,
        /// Position of the change.
        edit: u32,
    },
}

impl BatchItem {
    /// Whose.
    pub fn id(&self) -> &str {
        match &self.write {
            ItemWrite::Upsert(point, _) => &point.id,
            ItemWrite::Delete { id, .. } | ItemWrite::Payload { id, .. } => id,
        }
    }
}

/// When a point ends by itself, by log time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expiry {
    /// It does not.
    #[default]
    Never,
    /// So many milliseconds after it is written.
    AfterMs(u64),
    /// At this time, in milliseconds since the Unix epoch.
    AtMs(u64),
}

/// A change to a payload as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayloadEdit {
    /// What to change.
    pub change: PayloadChange,
    /// A result of more bytes is refused, unless it is no longer than what was there.
    pub bytes_max: u64,
}

/// What is done to a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PayloadChange {
    /// A JSON merge patch, RFC 7396.
    Merge(String),
    /// Another object in its place.
    Replace(String),
    /// Removes what dotted paths lead to.
    Unset(Vec<String>),
}

/// What a change by filter did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edited {
    /// Points changed.
    pub updated: u64,
    /// The first of those that were refused.
    pub refused: Vec<RefusedPoint>,
    /// How many more were.
    pub refused_more: u64,
}

/// A point that a change by filter did not change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedPoint {
    /// Whose.
    pub id: String,
    /// Why.
    pub outcome: ItemOutcome,
}
