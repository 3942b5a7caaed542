//! The window of remembered writes: which key stood for which body, and what the first answer was.
//!
//! A key is remembered for [`WINDOW_MS`] of log time, whatever happens. What bounds the memory is that a window
//! that has reached its limit in bytes takes no new key. Bytes are counted the same way on every replica, so
//! that all of them refuse the same writes.

use crate::outcome::Outcome;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use xxhash_rust::xxh3::Xxh3;

/// How long a key is remembered, by log time.
pub const WINDOW_MS: u64 = 24 * 60 * 60 * 1000;
/// What a remembered write counts besides twice its key, once its encoded outcome, and eight bytes per item if the
/// items had different outcomes.
pub const REMEMBERED_BYTES: u64 = 160;

/// A remembered write.
#[derive(Debug)]
pub(crate) struct Remembered {
    pub key: Box<str>,
    pub body_hash: u64,
    pub log_time_ms: u64,
    /// The encoded first answer.
    pub outcome: Box<[u8]>,
    /// Hashes of the items' ids, if the items' outcomes differ: a retry may come with some of the items only, when
    /// the shard was split in between. Empty if they are all the same.
    pub items: Box<[u64]>,
}

impl Remembered {
    fn hash(&self) -> u128 {
        let mut hash = Xxh3::new();
        hash.update(&(self.key.len() as u64).to_le_bytes());
        hash.update(self.key.as_bytes());
        hash.update(&self.body_hash.to_le_bytes());
        hash.update(&self.log_time_ms.to_le_bytes());
        hash.update(&self.outcome);
        // The outcome says how many there are.
        self.items.iter().for_each(|item| hash.update(&item.to_le_bytes()));
        hash.digest128()
    }

    /// The key is held by the queue's entry and by the map.
    fn bytes(&self) -> u64 {
        REMEMBERED_BYTES + 2 * self.key.len() as u64 + self.outcome.len() as u64 + 8 * self.items.len() as u64
    }

    fn expired(&self, log_time_ms: u64) -> bool {
        self.log_time_ms.saturating_add(WINDOW_MS) <= log_time_ms
    }
}

/// Remembered writes, oldest first; log time never decreases along them.
#[derive(Clone, Default)]
pub(crate) struct Window {
    by_age: VecDeque<Arc<Remembered>>,
    by_key: BTreeMap<Box<str>, Arc<Remembered>>,
    /// Sum of the hashes of all entries.
    sum: u128,
    /// Sum of what the entries count.
    bytes: u64,
}

impl Window {
    /// Forgets what is older than the window at this log time.
    pub fn expire(&mut self, log_time_ms: u64) {
        while self.by_age.front().is_some_and(|oldest| oldest.expired(log_time_ms)) {
            if let Some(gone) = self.by_age.pop_front() {
                self.by_key.remove(&gone.key);
                self.sum = self.sum.wrapping_sub(gone.hash());
                self.bytes = self.bytes.saturating_sub(gone.bytes());
            }
        }
    }

    /// What is remembered of a key at this log time.
    pub fn get(&self, key: &str, log_time_ms: u64) -> Option<&Remembered> {
        self.by_key.get(key).map(Arc::as_ref).filter(|entry| !entry.expired(log_time_ms))
    }

    /// Whether no further key is taken at this log time. The last one taken may exceed the limit by its own size.
    pub fn full(&self, log_time_ms: u64, limit: u64) -> bool {
        let expired = self.by_age.iter().take_while(|entry| entry.expired(log_time_ms));
        self.bytes >= limit && self.bytes - expired.map(|entry| entry.bytes()).sum::<u64>() >= limit
    }

    /// Remembers a write whose key is not known.
    pub fn insert(&mut self, entry: Remembered) {
        self.insert_shared(Arc::new(entry));
    }

    fn insert_shared(&mut self, entry: Arc<Remembered>) {
        self.sum = self.sum.wrapping_add(entry.hash());
        self.bytes += entry.bytes();
        self.by_key.insert(entry.key.clone(), entry.clone());
        self.by_age.push_back(entry);
    }

    /// The window of a child that is split off. What a delete by filter removed is counted by the parent alone when
    /// a retry asks both.
    pub fn inherited(&self) -> Window {
        let inherited = |entry: &Arc<Remembered>| match Outcome::decode(&entry.outcome) {
            Ok(Outcome::Written { version, items, deleted: 1.., replayed }) if items.is_empty() => {
                let outcome = Outcome::Written { version, items, deleted: 0, replayed }.encode().into();
                let (key, items) = (entry.key.clone(), entry.items.clone());
                Arc::new(Remembered { key, items, outcome, ..**entry })
            }
            // What a change by filter changed, and did not, likewise.
            Ok(Outcome::Edited { version, replayed, .. }) => {
                let (refused, refused_more) = (Vec::new(), 0);
                let outcome = Outcome::Edited { version, updated: 0, refused, refused_more, replayed };
                let (key, items) = (entry.key.clone(), entry.items.clone());
                Arc::new(Remembered { key, items, outcome: outcome.encode().into(), ..**entry })
            }
            _ => entry.clone(),
        };
        self.by_age.iter().map(inherited).collect()
    }

    pub fn entries(&self) -> impl Iterator<Item = &Arc<Remembered>> {
        self.by_age.iter()
    }

    pub fn sum(&self) -> u128 {
        self.sum
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl FromIterator<Arc<Remembered>> for Window {
    fn from_iter<I: IntoIterator<Item = Arc<Remembered>>>(entries: I) -> Self {
        let mut window = Window::default();
        entries.into_iter().for_each(|entry| window.insert_shared(entry));
        window
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remembered(key: &str, log_time_ms: u64) -> Remembered {
        Remembered {
            key: key.into(),
            body_hash: 1,
            log_time_ms,
            outcome: Box::new([7]),
            items: Box::default(),
        }
    }

    #[test]
    fn keys_expire_by_log_time_and_never_by_number() {
        const ONE: u64 = REMEMBERED_BYTES + 2 * 2 + 1;
        let mut window = Window::default();
        for i in 0..10u64 {
            window.insert(remembered(&format!("k{i}"), i));
        }
        assert_eq!(window.bytes(), 10 * ONE);
        assert!(window.full(0, 10 * ONE) && !window.full(0, 10 * ONE + 1));
        // Before anything is removed the answers are those of the later time already.
        assert!(!window.full(WINDOW_MS + 2, 10 * ONE) && window.full(WINDOW_MS + 2, 7 * ONE));
        assert!(window.get("k2", WINDOW_MS + 2).is_none() && window.get("k2", WINDOW_MS + 1).is_some());
        window.expire(WINDOW_MS + 2);
        assert!(window.get("k2", 0).is_none() && window.get("k3", 0).is_some());
        assert_eq!(window.bytes(), 7 * ONE);
        window.expire(u64::MAX);
        assert_eq!((window.sum(), window.bytes(), window.by_key.len()), (0, 0, 0));
    }
}
