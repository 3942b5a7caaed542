use super::*;
use proptest::prelude::*;

fn sample(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed;
    (0..len)
        .map(|_| {
            state = crate::hash::mix(state);
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        })
        .collect()
}

fn bytes(seed: u64, len: usize) -> Vec<u8> {
    (0..len as u64).map(|at| crate::hash::mix(seed ^ at << 20) as u8).collect()
}

/// Random codes and a random query, or at chosen seeds only their extremes.
fn coded(seed: u64, len: usize) -> (Vec<u8>, Vec<i8>) {
    let (mut codes, mut query) = (bytes(seed, len), bytes(!seed, len));
    match seed % 4 {
        0 => codes.fill(255),
        1 => codes.iter_mut().for_each(|code| *code = if *code < 128 { 0 } else { 255 }),
        _ => {}
    }
    match seed % 5 {
        0 => query.fill(127),
        1 => query.fill(-127i8 as u8),
        2 => query.fill(-128i8 as u8),
        3 => query.iter_mut().for_each(|value| *value = if *value < 128 { 127 } else { 129 }),
        _ => {}
    }
    (codes, query.into_iter().map(|value| value as i8).collect())
}

fn packed(codes: &[u8], shift: u32) -> Vec<u8> {
    let mut place = vec![0; nibbles::bytes(codes.len())];
    nibbles::pack(codes, shift, &mut place);
    place
}

fn check(a: &[f32], b: &[f32]) {
    // The rounding of a sum grows with the sum of magnitudes, not with the sum.
    let size: f64 = a.iter().zip(b).map(|(x, y)| f64::from((x * y).abs())).sum();
    let spread = reference::squared(a, b);
    let halves: Vec<u16> = a.iter().map(|value| ::half::f16::from_f32(*value).to_bits()).collect();
    let widened: Vec<f32> = halves.iter().map(|bits| half::widen(*bits)).collect();
    let (dot_half, spread_half) = (reference::dot(&widened, b), reference::squared(&widened, b));
    for table in available() {
        let close = |what: &str, found: f32, wanted: f64, size: f64| {
            let gap = (f64::from(found) - wanted).abs();
            assert!(gap <= 1e-5 * size + 1e-6, "{} {what} at {}: {gap}", table.name, a.len());
        };
        close("dot", (table.dot)(a, b), reference::dot(a, b), size);
        close("squared", (table.squared)(a, b), spread, spread);
        close("dot_half", (table.dot_half)(&halves, b), dot_half, size);
        close("squared_half", (table.squared_half)(&halves, b), spread_half, spread_half);
    }
}

fn check_codes(codes: &[u8], query: &[i8]) {
    let (high, low) = (packed(codes, 4), packed(codes, 0));
    let nibbles = |shift: u32| codes.iter().map(|code| code >> shift & 15).collect::<Vec<u8>>();
    let whole = reference::dot_codes(codes, query);
    let (upper, lower) = (reference::dot_codes(&nibbles(4), query), reference::dot_codes(&nibbles(0), query));
    // Four different rows, so that a mix-up of lanes shows.
    let turned: Vec<Vec<u8>> =
        (0..4u8).map(|by| codes.iter().map(|code| code.wrapping_add(by * 37)).collect()).collect();
    let turned_whole: Vec<i64> = turned.iter().map(|codes| reference::dot_codes(codes, query)).collect();
    let turned_high: Vec<Vec<u8>> = turned.iter().map(|codes| packed(codes, 4)).collect();
    let turned_low: Vec<Vec<u8>> = turned.iter().map(|codes| packed(codes, 0)).collect();
    for table in available() {
        let (name, len) = (table.name, codes.len());
        let is = |what: &str, found: i32, wanted: i64| {
            assert_eq!(i64::from(found), wanted, "{name} {what} at {len}");
        };
        is("bytes", (table.dot_bytes)(codes, query), whole);
        is("high nibbles", (table.dot_nibbles)(&high, query), upper);
        is("low nibbles", (table.dot_nibbles)(&low, query), lower);
        is("split", (table.dot_split)(&high, &low, query), whole);
        let bytes = (table.dot_bytes_four)(&rows(&turned), query);
        let split = (table.dot_split_four)(&rows(&turned_high), &rows(&turned_low), query);
        let upper = (table.dot_nibbles_four)(&rows(&turned_high), query);
        let lower = (table.dot_nibbles_four)(&rows(&turned_low), query);
        for at in 0..4 {
            is("bytes of four", bytes[at], turned_whole[at]);
            is("split of four", split[at], turned_whole[at]);
            is("nibbles of four", 16 * upper[at] + lower[at], turned_whole[at]);
        }
    }
}

fn rows(rows: &[Vec<u8>]) -> [&[u8]; 4] {
    std::array::from_fn(|at| &rows[at][..])
}

fn check_float(codes: &[u8], query: &[f32]) {
    let (high, low) = (packed(codes, 4), packed(codes, 0));
    let centred: Vec<f32> = codes.iter().map(|code| f32::from(*code) - f32::from(BYTE_CENTRE)).collect();
    let wanted = reference::dot(&centred, query);
    let size: f64 = centred.iter().zip(query).map(|(x, y)| f64::from((x * y).abs())).sum();
    for table in available() {
        for found in [(table.dot_bytes_float)(codes, query), (table.dot_split_float)(&high, &low, query)] {
            let gap = (f64::from(found) - wanted).abs();
            assert!(gap <= 1e-5 * size + 1e-6, "{} float at {}: {gap}", table.name, codes.len());
        }
    }
}

#[test]
fn every_length_agrees_with_the_reference() {
    let a = sample(1, 4096 + 8);
    let b = sample(2, 4096 + 8);
    for len in 0..=4096 {
        let (x, y) = (len % 7, len % 5);
        check(&a[x..x + len], &b[y..y + len]);
    }
}

#[test]
fn codes_of_every_length_are_exact() {
    for len in 0..=4096 {
        let (codes, query) = coded(len as u64, len);
        check_codes(&codes, &query);
        check_float(&codes, &sample(len as u64, len));
    }
}

#[test]
fn the_longest_codes_do_not_overflow() {
    for len in [16_384, MOST_COMPONENTS - 1, MOST_COMPONENTS] {
        for (code, value) in [(255, 127), (255, -128), (255, -127), (0, 127), (0x0F, -127)] {
            check_codes(&vec![code; len], &vec![value; len]);
        }
    }
}

#[test]
fn a_row_too_short_counts_as_zeros() {
    let query = [1i8; 300];
    let short = [255u8; 20];
    let whole = [255u8; 300];
    for table in available() {
        assert_eq!((table.dot_nibbles)(&short, &query), 0);
        assert_eq!((table.dot_split)(&short, &whole, &query), 0);
        assert_eq!((table.dot_split_float)(&whole, &short, &[1.0; 300]), 0.0);
        let four = (table.dot_nibbles_four)(&[&whole, &short, &[], &whole], &query);
        assert_eq!((four[0], four[1], four[2]), (300 * 15, 0, 0), "{}", table.name);
        assert_eq!((table.dot_bytes_four)(&[&whole, &[], &whole, &whole], &query)[..2], [300 * 255, 0]);
        let split = (table.dot_split_four)(&[&whole, &short, &[], &whole], &[&whole; 4], &query);
        assert_eq!(split, [300 * 255, 0, 0, 300 * 255], "{}", table.name);
    }
}

proptest! {
    #[test]
    fn any_offset_agrees_with_the_reference(
        seed in any::<u64>(), len in 0usize..300, left in 0usize..17, right in 0usize..17,
    ) {
        let a = sample(seed, len + left);
        let b = sample(seed ^ 0x5555, len + right);
        check(&a[left..], &b[right..]);
    }

    #[test]
    fn codes_at_any_offset_are_exact(
        seed in any::<u64>(), len in 0usize..600, left in 0usize..67, right in 0usize..67,
    ) {
        let (codes, query) = coded(seed, len + left.max(right));
        check_codes(&codes[left..left + len], &query[right..right + len]);
        check_float(&codes[left..left + len], &sample(seed, len));
    }
}

#[test]
fn the_chosen_kernels_are_the_first_available() {
    assert_eq!(instruction_set(), available()[0].name);
}
