//! Vectors to test with: the real embeddings where they are at hand, else a generated stand-in
//! of the same nature (clustered, with near-duplicates).

use half::f16;
use std::path::{Path, PathBuf};

/// Rows and held-out queries, one after another.
pub struct Data {
    pub dimension: usize,
    pub rows: Vec<f32>,
    pub queries: Vec<f32>,
}

impl Data {
    pub fn row(&self, at: usize) -> &[f32] {
        &self.rows[at * self.dimension..(at + 1) * self.dimension]
    }

    pub fn query(&self, at: usize) -> &[f32] {
        &self.queries[at * self.dimension..(at + 1) * self.dimension]
    }

    pub fn len(&self) -> usize {
        self.rows.len() / self.dimension
    }

    pub fn query_count(&self) -> usize {
        self.queries.len() / self.dimension
    }
}

pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/debian")
}

/// Up to `most` rows of the real data set, or of the stand-in.
pub fn load(most: usize) -> Data {
    load_from(&directory(), most)
}

/// The same from another directory.
pub fn load_from(directory: &Path, most: usize) -> Data {
    let rows = read_npy(&directory.join("vectors.f16.npy"), most);
    let queries = read_npy(&directory.join("queries.f32.npy"), usize::MAX);
    match (rows, queries) {
        (Some((dimension, rows)), Some((_, queries))) => Data { dimension, rows, queries },
        _ => {
            eprintln!("no data set in {}: using generated vectors", directory.display());
            generated(most.min(20_000))
        }
    }
}

/// Columns and values of a two-dimensional little-endian float16 or float32 array.
#[allow(clippy::disallowed_methods)] // A test's data set lies on the real disk.
fn read_npy(path: &Path, most: usize) -> Option<(usize, Vec<f32>)> {
    let bytes = std::fs::read(path).ok()?;
    let length = u16::from_le_bytes([*bytes.get(8)?, *bytes.get(9)?]) as usize;
    let header = std::str::from_utf8(bytes.get(10..10 + length)?).ok()?;
    let shape = header.split("'shape': (").nth(1)?.split(')').next()?;
    let columns: usize = shape.split(',').nth(1)?.trim().parse().ok()?;
    let body = &bytes[10 + length..];
    let values: Vec<f32> = if header.contains("<f2") {
        let body = &body[..body.len().min(most.saturating_mul(columns * 2))];
        body.as_chunks::<2>().0.iter().map(|pair| f16::from_le_bytes(*pair).to_f32()).collect()
    } else {
        let body = &body[..body.len().min(most.saturating_mul(columns * 4))];
        body.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect()
    };
    Some((columns, values))
}

/// A deterministic stream of numbers for tests.
pub struct Chance(pub u64);

impl Chance {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// Uniform in 0..1.
    pub fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 24) as f32
    }

    /// About normal, mean 0 and variance 1.
    pub fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.unit()).sum::<f32>() - 6.0
    }
}

/// Clusters of clusters in a space of low intrinsic dimension, a part of them near-duplicates.
pub fn generated(count: usize) -> Data {
    const DIMENSION: usize = 64;
    const INTRINSIC: usize = 16;
    let mut chance = Chance(7);
    let basis: Vec<f32> = (0..DIMENSION * INTRINSIC).map(|_| chance.normal()).collect();
    let centres: Vec<f32> = (0..200 * INTRINSIC).map(|_| chance.normal()).collect();
    let mut point = |spread: f32| -> Vec<f32> {
        let centre = chance.below(200) * INTRINSIC;
        let inner: Vec<f32> =
            (0..INTRINSIC).map(|at| centres[centre + at] + spread * chance.normal()).collect();
        let mix = |row: usize| (0..INTRINSIC).map(|at| basis[row * INTRINSIC + at] * inner[at]).sum::<f32>();
        (0..DIMENSION).map(|row| mix(row) + 0.05 * chance.normal()).collect()
    };
    let mut rows = Vec::with_capacity(count * DIMENSION);
    for at in 0..count {
        rows.extend(point(if at % 4 == 0 { 0.02 } else { 0.6 }));
    }
    let queries = (0..1000).flat_map(|_| point(0.7)).collect();
    Data { dimension: DIMENSION, rows, queries }
}
