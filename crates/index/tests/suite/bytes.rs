//! Encoded graphs: what comes back, and what damage does.

use crate::support::*;
use proptest::prelude::*;
use std::sync::LazyLock;
use vectron_index::*;

static BUILT: LazyLock<(Subject, Vec<Vec<f32>>)> = LazyLock::new(|| built(600, 4, Metric::Euclidean, 9));

fn pending(vectors: &[Vec<f32>], tag: impl Fn(usize) -> u64) -> Subject {
    let mut index = Subject::new(params(4, Metric::Euclidean));
    for (row, vector) in vectors.iter().enumerate() {
        index.put(row as Row, tag(row), vector);
    }
    index
}

#[test]
fn a_decoded_graph_is_the_encoded_one() {
    let (index, vectors) = &*BUILT;
    let bytes = index.encode_graph();
    let mut again = pending(vectors, |_| 1);
    assert_eq!(again.decode_graph(&bytes), Ok(600));
    assert_eq!((again.pending(), again.reachable()), (0, index.reachable()));
    assert_eq!(again.encode_graph(), bytes);
    for vector in vectors.iter().take(50) {
        assert_eq!(find(&again, vector, 5, 20), find(index, vector, 5, 20));
    }
}

#[test]
fn only_rows_with_the_same_occupant_are_adopted_and_the_rest_stays_reachable() {
    let (index, vectors) = &*BUILT;
    let mut again = pending(vectors, |row| if row % 3 == 0 { 2 } else { 1 });
    assert_eq!(again.decode_graph(&index.encode_graph()), Ok(400));
    assert_eq!(again.pending(), 200);
    assert_eq!(again.reachable(), Reachability { graph_rows: 400, reachable: 400 });
    drain(&mut again);
    assert_eq!(again.reachable(), Reachability { graph_rows: 600, reachable: 600 });
    assert!(recall(&again, &vectors[..100], 5, 60) > 0.99);
}

#[test]
fn chains_survive() {
    every_kind(|| {
        let mut index = Subject::new(params(2, Metric::Dot));
        for row in 0..300 {
            index.put(row, 1, &[(row % 20) as f32, 1.0]);
        }
        drain(&mut index);
        let bytes = index.encode_graph();
        let mut again = Subject::new(params(2, Metric::Dot));
        for row in 0..300 {
            again.put(row, 1, &[(row % 20) as f32, 1.0]);
        }
        assert_eq!(again.decode_graph(&bytes), Ok(300));
        assert_eq!(again.reachable(), Reachability { graph_rows: 300, reachable: 300 });
    });
}

#[test]
fn every_single_flipped_bit_is_noticed() {
    let (index, vectors) = &*BUILT;
    let mut bytes = index.encode_graph();
    let mut again = pending(vectors, |_| 1);
    for at in (0..bytes.len()).step_by(7).chain(0..60) {
        bytes[at] ^= 1 << (at % 8);
        let damage = again.decode_graph(&bytes).expect_err("damaged");
        assert!(!damage.section.is_empty() && !damage.to_string().is_empty());
        assert_eq!(again.pending(), 600, "nothing is adopted in part");
        bytes[at] ^= 1 << (at % 8);
    }
    for length in (0..bytes.len()).step_by(97) {
        assert!(again.decode_graph(&bytes[..length]).is_err());
    }
    bytes.push(0);
    assert_eq!(again.decode_graph(&bytes).map_err(|damage| damage.section), Err("end"));
}

#[test]
fn damage_names_its_section() {
    let (index, vectors) = &*BUILT;
    let bytes = index.encode_graph();
    let mut again = pending(vectors, |_| 1);
    let mut damaged = |at: usize| {
        let mut bytes = bytes.clone();
        bytes[at] ^= 4;
        again.decode_graph(&bytes).expect_err("damaged").section
    };
    let rows = 20 + 16 + 21 + 16;
    assert_eq!(
        [damaged(3), damaged(20 + 16), damaged(rows), damaged(bytes.len() - 1)],
        ["header", "params", "rows", "chains"]
    );
    let mut other = Subject::new(params(5, Metric::Euclidean));
    assert_eq!(other.decode_graph(&bytes).map_err(|damage| damage.section), Err("params"));
}

/// Recomputes the checksums as far as the sections can be told apart, so that their contents
/// alone are judged.
fn forge(bytes: &mut [u8]) {
    let mut at = 20;
    while at + 16 <= bytes.len() {
        let length: [u8; 8] = bytes[at + 4..at + 12].try_into().expect("eight bytes");
        let end = u64::from_le_bytes(length).saturating_add(at as u64 + 16);
        if end > bytes.len() as u64 {
            return;
        }
        let end = end as usize;
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&bytes[at..at + 12]);
        hasher.update(&bytes[at + 16..end]);
        let crc = hasher.finalize().to_le_bytes();
        bytes[at + 12..at + 16].copy_from_slice(&crc);
        at = end;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn random_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut index = pending(&BUILT.1, |_| 1);
        prop_assert!(index.decode_graph(&bytes).is_err());
    }

    #[test]
    fn forged_contents_never_panic_and_leave_a_working_index(
        flips in proptest::collection::vec((0usize..1 << 30, any::<u8>()), 1..40),
    ) {
        let (index, vectors) = &*BUILT;
        let mut bytes = index.encode_graph();
        for (at, value) in flips {
            // Header and parameters stay as they are: what follows them is under test.
            let at = 20 + 16 + 21 + 16 + at % (bytes.len() - 73);
            bytes[at] = value;
        }
        forge(&mut bytes);
        let mut again = pending(vectors, |_| 1);
        let _ = again.decode_graph(&bytes);
        prop_assert_eq!(again.live(), 600);
        let reach = again.reachable();
        prop_assert_eq!(reach.reachable, reach.graph_rows);
        prop_assert_eq!(find(&again, &vectors[0], 5, 10).hits.len(), 5);
        again.remove(7);
        drain(&mut again);
        prop_assert_eq!(again.reachable().reachable, 599);
    }
}
