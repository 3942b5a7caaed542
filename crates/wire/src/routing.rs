//! Which shard owns a point id: the id's hash, in a 64-bit space that shards split into ranges.

pub use vectron_base::ids::hash_of_id;

/// Splits hash space into `shards` ranges of equal width, each `(first, last)` inclusive, in order.
pub fn equal_ranges(shards: u32) -> Vec<(u64, u64)> {
    let shards = u128::from(shards.max(1));
    let edge = |i: u128| (i << 64) / shards;
    (0..shards).map(|i| (edge(i) as u64, (edge(i + 1) - 1) as u64)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use vectron_base::random::mix64;

    #[test]
    fn ranges_cover_the_space_without_gap_or_overlap() {
        for shards in [1, 2, 3, 7, 16, 1000] {
            let ranges = equal_ranges(shards);
            assert_eq!(ranges.len(), shards as usize);
            assert_eq!((ranges[0].0, ranges[ranges.len() - 1].1), (0, u64::MAX));
            assert!(ranges.windows(2).all(|w| w[0].1.wrapping_add(1) == w[1].0));
        }
    }

    /// Lesson 10: high bits of a weak hash left 9 of 16 shards empty for short ids.
    #[test]
    fn l10_realistic_id_families_spread_over_shards() {
        type Family = fn(u64) -> String;
        let families: [(&str, Family); 4] = [
            ("doc_", |i| format!("doc_{i}")),
            ("integers", |i| i.to_string()),
            ("urls", |i| format!("https://example.org/articles/{}/{}.html", i % 7, i)),
            ("uuids", |i| format!("{:016x}-{:04x}-4000-8000-{:012x}", mix64(i), i % 65536, i)),
        ];
        for (family, id) in families {
            for shards in [2u32, 16, 64] {
                let ranges = equal_ranges(shards);
                let mut counts = vec![0u64; shards as usize];
                for i in 0..16_000 {
                    let hash = hash_of_id(&id(i));
                    counts[ranges.partition_point(|r| r.1 < hash)] += 1;
                }
                let mean = 16_000 / u64::from(shards);
                assert!(
                    counts.iter().all(|&n| n > mean / 2 && n < mean * 2),
                    "{family} over {shards}: {counts:?}"
                );
            }
        }
    }
}
