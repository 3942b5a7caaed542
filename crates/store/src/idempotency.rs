//! The window of remembered writes: which key stood for which body, and what the first answer was.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use xxhash_rust::xxh3::Xxh3;

/// How long a key is remembered, by log time.
pub const WINDOW_MS: u64 = 24 * 60 * 60 * 1000;

/// A remembered write.
#[derive(Debug)]
pub(crate) struct Remembered {
    pub key: Box<str>,
    pub body_hash: u64,
    pub log_time_ms: u64,
    /// The encoded first answer.
    pub outcome: Box<[u8]>,
}

impl Remembered {
    fn hash(&self) -> u128 {
        let mut hash = Xxh3::new();
        hash.update(&(self.key.len() as u64).to_le_bytes());
        hash.update(self.key.as_bytes());
        hash.update(&self.body_hash.to_le_bytes());
        hash.update(&self.log_time_ms.to_le_bytes());
        hash.update(&self.outcome);
        hash.digest128()
    }
}

/// Remembered writes, oldest first; log time never decreases along them.
#[derive(Default)]
pub(crate) struct Window {
    by_age: VecDeque<Arc<Remembered>>,
    by_key: BTreeMap<Box<str>, Arc<Remembered>>,
    /// Sum of the hashes of all entries.
    sum: u128,
}

impl Window {
    /// Forgets what is older than the window at this log time, and the oldest beyond `most`.
    pub fn expire(&mut self, log_time_ms: u64, most: usize) {
        while let Some(oldest) = self.by_age.front() {
            let old = oldest.log_time_ms.saturating_add(WINDOW_MS) <= log_time_ms;
            if !old && self.by_age.len() <= most {
                break;
            }
            if let Some(gone) = self.by_age.pop_front() {
                self.by_key.remove(&gone.key);
                self.sum = self.sum.wrapping_sub(gone.hash());
            }
        }
    }

    pub fn get(&self, key: &str) -> Option<&Remembered> {
        self.by_key.get(key).map(Arc::as_ref)
    }

    /// Remembers a write whose key is not known.
    pub fn insert(&mut self, entry: Remembered) {
        self.insert_shared(Arc::new(entry));
    }

    fn insert_shared(&mut self, entry: Arc<Remembered>) {
        self.sum = self.sum.wrapping_add(entry.hash());
        self.by_key.insert(entry.key.clone(), entry.clone());
        self.by_age.push_back(entry);
    }

    pub fn entries(&self) -> impl Iterator<Item = &Arc<Remembered>> {
        self.by_age.iter()
    }

    pub fn sum(&self) -> u128 {
        self.sum
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
        Remembered { key: key.into(), body_hash: 1, log_time_ms, outcome: Box::new([7]) }
    }

    #[test]
    fn keys_expire_by_log_time_and_by_count() {
        let mut window = Window::default();
        for i in 0..10u64 {
            window.insert(remembered(&format!("k{i}"), i));
        }
        window.expire(WINDOW_MS + 2, 100);
        assert!(window.get("k2").is_none() && window.get("k3").is_some());
        window.expire(WINDOW_MS + 2, 2);
        assert_eq!(window.entries().map(|e| &*e.key).collect::<Vec<_>>(), ["k8", "k9"]);
        window.expire(u64::MAX, 2);
        assert_eq!((window.sum(), window.by_key.len()), (0, 0));
    }
}
