//! The data of a run as plain files that every contestant reads, and its truth by brute force.

use crate::data::{Chance, Data, load_from};
use std::io::Write;
use std::path::Path;

type Failure = Box<dyn std::error::Error>;

/// Neighbours kept per query.
const DEPTH: usize = 100;
/// Standard deviation of the noise on each number of a made row, whose length is 1 before: at 384 numbers the
/// made row has a cosine of about 0.96 to the real one.
const NOISE: f32 = 0.015;
/// Rows compared with all queries before the next ones: they stay in the second-level cache.
const BLOCK: usize = 256;

/// Writes the first `count` rows of the data set in `source`, of unit length. Where it has fewer, the rest are real
/// rows with noise. `count` 0 means as many as there are. Prints how many were made.
pub fn prepare(source: &Path, count: usize, directory: &Path) -> Result<(), Failure> {
    if !source.join("vectors.f16.npy").exists() {
        return Err(format!("no data set in {}", source.display()).into());
    }
    let mut data = load_from(source, if count == 0 { usize::MAX } else { count });
    let dimension = data.dimension;
    data.rows.chunks_exact_mut(dimension).for_each(normalise);
    data.queries.chunks_exact_mut(dimension).for_each(normalise);
    let real = data.len();
    let mut chance = Chance(11);
    for _ in real..count {
        let from = chance.below(real);
        let mut made: Vec<f32> = data.row(from).iter().map(|x| x + NOISE * chance.normal()).collect();
        normalise(&mut made);
        data.rows.extend(made);
    }
    std::fs::create_dir_all(directory)?;
    write(&directory.join("rows.f32"), data.rows.iter().map(|x| x.to_le_bytes()))?;
    write(&directory.join("queries.f32"), data.queries.iter().map(|x| x.to_le_bytes()))?;
    let truth = truth(&data);
    write(&directory.join("truth.u32"), truth.iter().flatten().map(|(_, row)| row.to_le_bytes()))?;
    write(&directory.join("truth.f32"), truth.iter().flatten().map(|(score, _)| score.to_le_bytes()))?;
    // Last, so that a directory with a shape is a whole one.
    let shape = format!("{} {} {dimension} {}\n", data.len(), data.query_count(), data.len() - real);
    std::fs::write(directory.join("shape"), shape)?;
    Ok(())
}

/// The exact best rows of each query, best first, equal scores by row.
fn truth(data: &Data) -> Vec<Vec<(f32, u32)>> {
    let depth = DEPTH.min(data.len());
    let mut best: Vec<Vec<(f32, u32)>> = vec![Vec::with_capacity(depth + 1); data.query_count()];
    for first in (0..data.len()).step_by(BLOCK) {
        for (query, best) in best.iter_mut().enumerate() {
            for row in first..(first + BLOCK).min(data.len()) {
                let score = dot(data.query(query), data.row(row));
                if best.len() < depth || best.last().is_some_and(|worst| score > worst.0) {
                    let place = best.partition_point(|other| other.0 >= score);
                    best.insert(place, (score, row as u32));
                    best.truncate(depth);
                }
            }
        }
    }
    best
}

/// Inner product in sixteen sums, which the compiler turns into vector instructions.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 16];
    let (a, b) = (a.as_chunks::<16>(), b.as_chunks::<16>());
    for (a, b) in a.0.iter().zip(b.0) {
        for lane in 0..16 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f32>() + a.1.iter().zip(b.1).map(|(a, b)| a * b).sum::<f32>()
}

fn normalise(vector: &mut [f32]) {
    let length = dot(vector, vector).sqrt();
    vector.iter_mut().for_each(|x| *x /= length);
}

fn write(path: &Path, words: impl Iterator<Item = [u8; 4]>) -> Result<(), Failure> {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    for word in words {
        file.write_all(&word)?;
    }
    Ok(file.flush()?)
}

/// A file of little-endian f32.
pub fn read_floats(path: &Path) -> Result<Vec<f32>, Failure> {
    let bytes = std::fs::read(path)?;
    Ok(bytes.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect())
}
