//! Which ids a shard takes: those whose hash is in its range.

/// A range of the 64-bit space of id hashes, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashRange {
    /// First hash.
    pub first: u64,
    /// Last hash.
    pub last: u64,
}

impl HashRange {
    /// Every id.
    pub const ALL: HashRange = HashRange { first: 0, last: u64::MAX };

    /// Whether the hash is in it.
    pub fn contains(&self, hash: u64) -> bool {
        (self.first..=self.last).contains(&hash)
    }

    /// Whether all of the other range is in it.
    pub fn covers(&self, other: &HashRange) -> bool {
        self.first <= other.first && other.last <= self.last
    }

    /// Whether it can be cut before `first` so that both parts have something.
    pub(crate) fn splits_at(&self, first: u64) -> bool {
        self.first < first && first <= self.last
    }
}
