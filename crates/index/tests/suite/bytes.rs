//! Encoded graphs: what comes back, from one moment or several, and what damage does.

use crate::support::*;
use proptest::prelude::*;
use std::sync::LazyLock;
use vectron_index::*;

const CHUNK_ROWS: usize = 64;

static BUILT: LazyLock<(Subject, Vec<Vec<f32>>)> = LazyLock::new(|| {
    let (_, vectors) = built(600, 4, Metric::Euclidean, 9);
    let mut index = pending(&vectors, |_| 1);
    drain(&mut index);
    (index, vectors)
});

fn in_chunks(dimension: usize, metric: Metric) -> Subject {
    Subject::new(Params { chunk_rows: CHUNK_ROWS, ..params(dimension, metric) })
}

fn pending(vectors: &[Vec<f32>], tag: impl Fn(usize) -> u64) -> Subject {
    let mut index = in_chunks(4, Metric::Euclidean);
    for (row, vector) in vectors.iter().enumerate() {
        index.put(row as Row, tag(row), vector);
    }
    index
}

fn all_reachable(index: &VectorIndex, rows: usize) {
    assert_eq!(index.reachable(), Reachability { graph_rows: rows, reachable: rows });
}

#[test]
fn a_decoded_graph_is_the_encoded_one() {
    let (index, vectors) = &*BUILT;
    let chunks = encode(index);
    assert_eq!(chunks.len(), 600usize.div_ceil(CHUNK_ROWS));
    let mut again = pending(vectors, |_| 1);
    let decoded = decode(&mut again, &chunks);
    assert_eq!(decoded.adopted, 600);
    for (chunk, fate) in decoded.chunks.iter().enumerate() {
        assert_eq!(*fate, ChunkFate::Intact(again.graph_chunk_changes(chunk)));
    }
    assert_eq!((again.pending(), again.reachable()), (0, index.reachable()));
    assert_eq!(encode(&again), chunks);
    for vector in vectors.iter().take(50) {
        assert_eq!(find(&again, vector, 5, 20), find(index, vector, 5, 20));
    }
}

#[test]
fn chunks_come_in_any_order_and_size() {
    let (index, vectors) = &*BUILT;
    let mut chunks = encode(index);
    chunks.reverse();
    let mut again = Subject::new(params(4, Metric::Euclidean));
    vectors.iter().enumerate().for_each(|(row, vector)| _ = again.put(row as Row, 1, vector));
    let decoded = decode(&mut again, &chunks);
    // They are not the chunks that this index makes, so they do not count as saved.
    assert!(decoded.chunks.iter().all(|fate| *fate == ChunkFate::Altered));
    assert_eq!(decoded.adopted, 600);
    let whole = encode(&again);
    let mut third = pending(vectors, |_| 1);
    assert_eq!((whole.len(), decode(&mut third, &whole).adopted), (1, 600));
    chunks.reverse();
    assert_eq!(encode(&third), chunks);
}

#[test]
fn only_rows_with_the_same_occupant_are_adopted_and_the_rest_stays_reachable() {
    let (index, vectors) = &*BUILT;
    let mut again = pending(vectors, |row| if row % 3 == 0 { 2 } else { 1 });
    let decoded = decode(&mut again, &encode(index));
    assert_eq!(decoded.adopted, 400);
    assert!(decoded.chunks.iter().all(|fate| *fate == ChunkFate::Altered));
    assert_eq!(again.pending(), 200);
    all_reachable(&again, 400);
    drain(&mut again);
    all_reachable(&again, 600);
    assert!(recall(&again, &vectors[..100], 5, 60) > 0.99);
}

#[test]
fn a_change_dirties_the_chunks_it_touches_and_no_others() {
    let (_, vectors) = &*BUILT;
    let mut index = Subject::new(Params { chunk_rows: 4, ..params(4, Metric::Euclidean) });
    vectors.iter().enumerate().for_each(|(row, vector)| _ = index.put(row as Row, 1, vector));
    drain(&mut index);
    let changes = |index: &VectorIndex| -> Vec<u64> {
        (0..index.graph_chunks()).map(|chunk| index.graph_chunk_changes(chunk)).collect()
    };
    let (before, chunks) = (changes(&index), encode(&index));
    // Neither a deletion nor what waits in the tail changes a link.
    index.remove(3);
    index.put(600, 1, &[9.0; 4]);
    assert_eq!((changes(&index), encode(&index)), (before.clone(), chunks.clone()));
    drain(&mut index);
    let (after, now) = (changes(&index), encode(&index));
    let unchanged = (0..before.len()).filter(|chunk| before[*chunk] == after[*chunk]);
    assert!(unchanged.clone().count() > 0, "{before:?} {after:?}");
    unchanged.for_each(|chunk| assert_eq!(chunks[chunk], now[chunk]));
}

#[test]
fn chains_survive() {
    let chained = || {
        let mut index = in_chunks(2, Metric::Dot);
        (0..300).for_each(|row| assert!(index.put(row, 1, &[(row % 20) as f32, 1.0])));
        index
    };
    let mut index = chained();
    drain(&mut index);
    let mut chunks = encode(&index);
    let mut again = chained();
    assert_eq!(decode(&mut again, &chunks).adopted, 300);
    all_reachable(&again, 300);
    // Without the chunk of their heads, the twins wait.
    chunks.remove(0);
    let mut again = chained();
    let adopted = decode(&mut again, &chunks).adopted;
    assert_eq!(again.pending(), 300 - adopted);
    drain(&mut again);
    all_reachable(&again, 300);
}

#[test]
fn a_lost_chunk_costs_its_rows_and_no_recall_once_they_are_back() {
    let (index, vectors) = &*BUILT;
    let chunks = encode(index);
    for lost in 0..chunks.len() {
        let mut rest = chunks.clone();
        let (first, _) = rest.remove(lost);
        let rows = CHUNK_ROWS.min(600 - first as usize);
        let mut again = pending(vectors, |_| 1);
        let adopted = decode(&mut again, &rest).adopted;
        all_reachable(&again, adopted);
        assert!((600 - rows - 3..=600 - rows).contains(&adopted), "{adopted} without {rows}");
        assert!(recall(&again, &vectors[..100], 5, 60) > 0.99);
        drain(&mut again);
        all_reachable(&again, 600);
        assert!(recall(&again, &vectors[..100], 5, 60) > 0.99);
    }
    let mut none = pending(vectors, |_| 1);
    assert_eq!((decode(&mut none, &[]).adopted, none.pending()), (0, 600));
}

#[test]
fn every_single_flipped_bit_is_noticed_and_costs_one_chunk() {
    let (index, vectors) = &*BUILT;
    let mut chunks = encode(index);
    let mut again = pending(vectors, |_| 1);
    let intact = |fate: &ChunkFate| !matches!(fate, ChunkFate::Damaged(_));
    for at in (0..chunks[2].1.len()).step_by(97).chain(0..70) {
        chunks[2].1[at] ^= 1 << (at % 8);
        let fates = decode(&mut again, &chunks).chunks;
        let ChunkFate::Damaged(damage) = fates[2] else { panic!("byte {at}") };
        assert!(!damage.section.is_empty() && !damage.to_string().is_empty());
        assert_eq!(fates.iter().filter(|fate| intact(fate)).count(), chunks.len() - 1);
        assert!(again.pending() >= CHUNK_ROWS && again.pending() < CHUNK_ROWS * 2);
        chunks[2].1[at] ^= 1 << (at % 8);
    }
    let part = |bytes: &[u8]| pending(vectors, |_| 1).decode_graph(&[(128, bytes)]).chunks[0];
    for length in (0..chunks[2].1.len()).step_by(97) {
        assert!(!intact(&part(&chunks[2].1[..length])), "{length}");
    }
    let mut longer = chunks[2].1.clone();
    longer.push(0);
    assert!(!intact(&part(&longer)));
    assert!(intact(&part(&chunks[2].1)));
}

#[test]
fn damage_names_its_section() {
    let (index, vectors) = &*BUILT;
    let chunks = encode(index);
    let section = |chunks: &[(Row, Vec<u8>)], at: usize| match decode(&mut pending(vectors, |_| 1), chunks)
        .chunks[at]
    {
        ChunkFate::Damaged(damage) => damage.section,
        fate => panic!("{fate:?}"),
    };
    let mut moved = chunks.clone();
    moved[1].0 += 64;
    assert_eq!(section(&moved, 1), "rows");
    let mut twice = chunks.clone();
    twice.push(chunks[0].clone());
    assert_eq!(section(&twice, chunks.len()), "rows");
    let mut flipped = chunks.clone();
    flipped[3].1[200] ^= 1;
    assert_eq!(section(&flipped, 3), "header");
    let mut other = in_chunks(5, Metric::Euclidean);
    let ChunkFate::Damaged(damage) = decode(&mut other, &chunks).chunks[0] else { panic!() };
    assert_eq!(damage.section, "params");
}

/// Recomputes the checksum, so that the contents alone are judged.
fn forge(bytes: &mut [u8]) {
    if bytes.len() >= 16 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&bytes[..12]);
        hasher.update(&bytes[16..]);
        let crc = hasher.finalize().to_le_bytes();
        bytes[12..16].copy_from_slice(&crc);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn random_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut index = pending(&BUILT.1, |_| 1);
        prop_assert!(matches!(index.decode_graph(&[(0, &bytes)]).chunks[0], ChunkFate::Damaged(_)));
        prop_assert!(index.decode_whole_graph(&bytes).is_err());
        prop_assert_eq!(index.pending(), 600);
    }

    #[test]
    fn forged_contents_never_panic_and_leave_a_working_index(
        flips in proptest::collection::vec((0usize..10, 0usize..1 << 30, any::<u8>()), 1..60),
        cut in proptest::option::of(0usize..1 << 30),
    ) {
        let (index, vectors) = &*BUILT;
        let mut chunks = encode(index);
        for (chunk, at, value) in flips {
            let bytes = &mut chunks[chunk].1;
            // Magic, version and parameters stay as they are: what follows them is under test.
            let at = 37 + at % (bytes.len() - 37);
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            let bytes = &mut chunks[cut % 10].1;
            bytes.truncate(cut % bytes.len());
        }
        chunks.iter_mut().for_each(|(_, bytes)| forge(bytes));
        let mut again = pending(vectors, |_| 1);
        let adopted = decode(&mut again, &chunks).adopted;
        prop_assert_eq!(again.live(), 600);
        all_reachable(&again, adopted);
        prop_assert_eq!(find(&again, &vectors[0], 5, 10).hits.len(), 5);
        again.remove(7);
        drain(&mut again);
        prop_assert_eq!(again.reachable().reachable, 599);
    }
}
