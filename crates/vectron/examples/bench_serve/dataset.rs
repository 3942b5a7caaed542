//! The data set: vectors, payloads, queries, filters, and their exact truths; and answers held to them.

use crate::Failure;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Scores this near count as equal: what different orders of summation differ by.
const SAME_SCORE: f64 = 2e-6;
/// Slack of the recall by score.
const EPSILON: f64 = 1e-3;
/// Results asked for.
pub const K: usize = 10;

/// The exact best rows of each query and their scores, best first.
pub struct Truth {
    pub rows: Vec<Vec<u64>>,
    pub scores: Vec<Vec<f64>>,
}

/// A filter as the public contract writes it.
pub struct Filter {
    pub name: String,
    pub json: Value,
    pub matching: u64,
}

pub struct Dataset {
    pub directory: PathBuf,
    pub dimension: usize,
    pub vectors: Vec<f32>,
    pub payloads: Vec<String>,
    pub queries: Vec<Vec<f32>>,
    pub filters: Vec<Filter>,
    truths: BTreeMap<String, Truth>,
}

/// How good the answers were.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quality {
    pub recall: f64,
    pub recall_by_id: f64,
    pub recall_by_score: f64,
    pub recall_p5: f64,
    pub short: f64,
}

impl Quality {
    /// As a result's row has it.
    pub fn into_row(self, row: &mut Value) {
        let round = |value: f64| (value * 1e5).round() / 1e5;
        row["recall"] = round(self.recall).into();
        row["recall_by_id"] = round(self.recall_by_id).into();
        row["recall_by_score"] = round(self.recall_by_score).into();
        row["recall_p5"] = round(self.recall_p5).into();
        row["short"] = round(self.short).into();
    }
}

impl Dataset {
    /// Reads the directory.
    pub fn load(directory: &Path) -> Result<Self, Failure> {
        let (dimension, vectors) = numbers(&std::fs::read(directory.join("vectors.f16.npy"))?)?;
        let (_, queries) = numbers(&std::fs::read(directory.join("queries.f32.npy"))?)?;
        let packed = std::fs::File::open(directory.join("payload.jsonl.gz"))?;
        let mut text = String::new();
        flate2::read::MultiGzDecoder::new(packed).read_to_string(&mut text)?;
        let arrays = arrays(&std::fs::read(directory.join("truth.npz"))?)?;
        let width = |values: &[f64]| values.len() / (queries.len() / dimension).max(1);
        let cut = |values: &[f64]| -> Vec<Vec<f64>> {
            values.chunks_exact(width(values).max(1)).map(<[f64]>::to_vec).collect()
        };
        let mut truths = BTreeMap::new();
        for (name, rows) in arrays.iter().filter(|(name, _)| !name.ends_with("_scores")) {
            let scores = arrays.get(&format!("{name}_scores")).ok_or("a truth without scores")?;
            let rows = cut(rows).into_iter().map(|rows| rows.into_iter().map(|row| row as u64).collect());
            truths.insert(name.clone(), Truth { rows: rows.collect(), scores: cut(scores) });
        }
        Ok(Self {
            directory: directory.to_path_buf(),
            dimension,
            vectors: vectors.into_iter().map(|number| number as f32).collect(),
            payloads: text.lines().map(str::to_string).collect(),
            queries: queries
                .chunks_exact(dimension)
                .map(|query| query.iter().map(|number| *number as f32).collect())
                .collect(),
            filters: filters(&std::fs::read_to_string(directory.join("filters.json"))?)?,
            truths,
        })
    }

    pub fn rows(&self) -> usize {
        self.vectors.len() / self.dimension
    }

    pub fn vector(&self, row: usize) -> &[f32] {
        &self.vectors[row * self.dimension..(row + 1) * self.dimension]
    }

    /// The truth of a filter by name; `all` without one.
    pub fn truth(&self, name: &str) -> Result<&Truth, Failure> {
        self.truths.get(name).ok_or_else(|| format!("no truth is called {name}").into())
    }

    /// Judges the answers to the first queries against a truth, of which only rows that `live` passes count.
    pub fn judge(&self, answers: &[Vec<u64>], truth: &Truth, live: impl Fn(u64) -> bool) -> Quality {
        let (mut quality, mut shares) = (Quality::default(), Vec::new());
        for (at, answer) in answers.iter().enumerate() {
            let best = truth.rows[at].iter().zip(&truth.scores[at]).filter(|(row, _)| live(**row)).take(K);
            let (ids, scores): (Vec<u64>, Vec<f64>) = best.map(|(row, score)| (*row, *score)).unzip();
            let wanted = ids.len().max(1);
            let worst = scores.last().copied().unwrap_or(f64::INFINITY);
            let mut rows = answer.clone();
            rows.retain(|row| *row < self.rows() as u64 && live(*row));
            rows.sort_unstable();
            rows.dedup();
            let scored: Vec<f64> = rows.iter().map(|row| self.score(&self.queries[at], *row)).collect();
            let share = |count: usize| count.min(wanted) as f64 / wanted as f64;
            let above = |least: f64| share(scored.iter().filter(|score| **score >= least).count());
            shares.push(above(worst - SAME_SCORE));
            quality.recall_by_score += above(worst - EPSILON);
            quality.recall_by_id += share(rows.iter().filter(|row| ids.contains(row)).count());
            quality.short += f64::from(u8::from(answer.len() < ids.len()));
        }
        let count = shares.len().max(1) as f64;
        quality.recall = shares.iter().sum::<f64>() / count;
        quality.recall_by_id /= count;
        quality.recall_by_score /= count;
        quality.short /= count;
        shares.sort_by(f64::total_cmp);
        quality.recall_p5 = shares.get(shares.len() / 20).copied().unwrap_or(0.0);
        quality
    }

    /// How many of a query's true ten were found; of rows with equal scores any will do.
    pub fn found(&self, query: usize, rows: &[u64], truth: &Truth) -> usize {
        let worst = truth.scores[query].get(K - 1).copied().unwrap_or(f64::INFINITY) - SAME_SCORE;
        let known = rows.iter().filter(|row| **row < self.rows() as u64);
        known.filter(|row| self.score(&self.queries[query], **row) >= worst).count()
    }

    fn score(&self, query: &[f32], row: u64) -> f64 {
        let vector = self.vector(row as usize);
        let dot =
            |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
        dot(query, vector) / (dot(query, query) * dot(vector, vector)).sqrt()
    }
}

fn filters(text: &str) -> Result<Vec<Filter>, Failure> {
    let described: Map<String, Value> = serde_json::from_str(text)?;
    let filter = |(name, d): (String, Value)| {
        let json = match d.get("section_in") {
            Some(sections) => json!({"section": {"$in": sections}}),
            None => {
                let bounds = [("size_gte", "$gte"), ("size_lt", "$lt")];
                let range = bounds.iter().filter_map(|(theirs, ours)| Some((*ours, d.get(theirs)?.clone())));
                json!({"installed_size": range.map(|(ours, value)| (ours.to_string(), value)).collect::<Map<_, _>>()})
            }
        };
        Filter { name, json, matching: d["count"].as_u64().unwrap_or(0) }
    };
    let mut filters: Vec<Filter> = described.into_iter().map(filter).collect();
    filters.sort_by_key(|filter| std::cmp::Reverse(filter.matching));
    Ok(filters)
}

/// Columns and values of a two-dimensional .npy array.
fn numbers(bytes: &[u8]) -> Result<(usize, Vec<f64>), Failure> {
    let length = u16::from_le_bytes([bytes[8], bytes[9]]) as usize;
    let header = std::str::from_utf8(&bytes[10..10 + length])?;
    let shape = header.split("'shape': (").nth(1).and_then(|rest| rest.split(')').next());
    let columns = shape.and_then(|shape| shape.split(',').nth(1)).ok_or("an array without columns")?;
    let body = &bytes[10 + length..];
    let kind = header.split("'descr': '").nth(1).and_then(|rest| rest.split('\'').next()).unwrap_or_default();
    let values = match kind {
        "<f2" => body.as_chunks::<2>().0.iter().map(|b| half::f16::from_le_bytes(*b).to_f64()).collect(),
        "<f4" => body.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b).into()).collect(),
        "<u4" | "<i4" => body.as_chunks::<4>().0.iter().map(|b| i32::from_le_bytes(*b).into()).collect(),
        "<i8" | "<u8" => body.as_chunks::<8>().0.iter().map(|b| i64::from_le_bytes(*b) as f64).collect(),
        _ => return Err(format!("an array of {kind}").into()),
    };
    Ok((columns.trim().parse()?, values))
}

/// The arrays of an .npz file (a zip archive) by name.
fn arrays(bytes: &[u8]) -> Result<BTreeMap<String, Vec<f64>>, Failure> {
    let two = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]) as usize;
    let four = |at: usize| two(at) | two(at + 2) << 16;
    let end = (0..bytes.len() - 21).rev().find(|at| bytes[*at..].starts_with(b"PK\x05\x06"));
    let end = end.ok_or("not an archive")?;
    let (entries, mut at) = (two(end + 10), four(end + 16));
    let mut arrays = BTreeMap::new();
    for _ in 0..entries {
        let (method, size, local, name) = (two(at + 10), four(at + 20), four(at + 42), two(at + 28));
        let title = String::from_utf8_lossy(&bytes[at + 46..at + 46 + name]).replace(".npy", "");
        at += 46 + name + two(at + 30) + two(at + 32);
        let start = local + 30 + two(local + 26) + two(local + 28);
        let packed = &bytes[start..start + size];
        let mut array = Vec::new();
        match method {
            0 => array.extend_from_slice(packed),
            _ => {
                flate2::read::DeflateDecoder::new(packed).read_to_end(&mut array)?;
            }
        }
        arrays.insert(title, numbers(&array)?.1);
    }
    Ok(arrays)
}
