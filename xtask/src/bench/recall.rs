//! Answers held to the truth.

use super::Failure;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Scores this near count as equal: what different orders of summation differ by.
const SAME_SCORE: f64 = 2e-6;
/// Slack of the recall by score.
const EPSILON: f64 = 1e-3;

/// The prepared data of a run.
pub struct Truth {
    rows: File,
    /// Number of rows.
    pub row_count: usize,
    /// Rows that were made from real ones.
    pub made: usize,
    /// Numbers per vector.
    pub dimension: usize,
    /// Held-out queries.
    pub queries: Vec<Vec<f32>>,
    ids: Vec<Vec<u64>>,
    scores: Vec<Vec<f32>>,
}

/// How good the answers to all queries were, for the best ten.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Quality {
    /// Mean share found. A row counts if it scores as high as the true tenth: of rows with equal scores any will do.
    pub recall: f64,
    /// Mean share found, counting only the rows that the truth names.
    pub recall_by_id: f64,
    /// Mean share found, counting rows that score at most 0.001 less than the true tenth.
    pub recall_by_score: f64,
    /// Share found for the query at the fifth percentile.
    pub recall_p5: f64,
    /// Share of queries that got fewer answers than asked for.
    pub short: f64,
}

fn words(path: &Path) -> Result<Vec<[u8; 4]>, Failure> {
    Ok(std::fs::read(path)?.as_chunks::<4>().0.to_vec())
}

impl Truth {
    /// Opens a prepared directory.
    pub fn open(directory: &Path) -> Result<Self, Failure> {
        let shape = std::fs::read_to_string(directory.join("shape"))?;
        let shape: Vec<usize> = shape.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        let [row_count, query_count, dimension, made] = shape[..] else {
            return Err("a strange shape".into());
        };
        let queries: Vec<f32> =
            words(&directory.join("queries.f32"))?.into_iter().map(f32::from_le_bytes).collect();
        let ids: Vec<u64> = words(&directory.join("truth.u32"))?
            .into_iter()
            .map(|w| u64::from(u32::from_le_bytes(w)))
            .collect();
        let scores: Vec<f32> =
            words(&directory.join("truth.f32"))?.into_iter().map(f32::from_le_bytes).collect();
        let depth = ids.len() / query_count;
        Ok(Self {
            rows: File::open(directory.join("rows.f32"))?,
            row_count,
            made,
            dimension,
            queries: queries.chunks_exact(dimension).map(<[f32]>::to_vec).collect(),
            ids: ids.chunks_exact(depth).map(<[u64]>::to_vec).collect(),
            scores: scores.chunks_exact(depth).map(<[f32]>::to_vec).collect(),
        })
    }

    fn score(&self, query: &[f32], row: u64) -> Result<f64, Failure> {
        let mut bytes = vec![0u8; self.dimension * 4];
        let place = row * bytes.len() as u64;
        self.rows.read_exact_at(&mut bytes, place)?;
        let row = bytes.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four));
        Ok(row.zip(query).map(|(a, b)| f64::from(a) * f64::from(*b)).sum())
    }

    /// Judges answers, one list of rows per query; anything that is not a row counts as missing.
    pub fn judge(&self, answers: &[Vec<u64>], k: usize) -> Result<Quality, Failure> {
        let mut quality = Quality::default();
        let mut shares = Vec::with_capacity(answers.len());
        for ((query, answer), (ids, scores)) in
            self.queries.iter().zip(answers).zip(self.ids.iter().zip(&self.scores))
        {
            let wanted = k.min(ids.len()).max(1);
            let worst = f64::from(scores[wanted - 1]);
            let mut rows: Vec<u64> =
                answer.iter().copied().filter(|row| *row < self.row_count as u64).take(k).collect();
            rows.sort_unstable();
            rows.dedup();
            let (mut equal, mut same, mut near) = (0, 0, 0);
            for row in &rows {
                let score = self.score(query, *row)?;
                equal += usize::from(score >= worst - SAME_SCORE);
                near += usize::from(score >= worst - EPSILON);
                same += usize::from(ids[..wanted].contains(row));
            }
            let share = |count: usize| count as f64 / wanted as f64;
            shares.push(share(equal));
            quality.recall += share(equal);
            quality.recall_by_id += share(same);
            quality.recall_by_score += share(near);
            quality.short += f64::from(u8::from(rows.len() < wanted));
        }
        let count = shares.len().max(1) as f64;
        shares.sort_by(f64::total_cmp);
        quality.recall /= count;
        quality.recall_by_id /= count;
        quality.recall_by_score /= count;
        quality.short /= count;
        quality.recall_p5 = shares.get(shares.len() / 20).copied().unwrap_or(0.0);
        Ok(quality)
    }
}
