//! The sample that ships inside the program: packages, canned questions, and their vectors.

use super::exit::{Failure, Outcome};
use crate::formats::object::Payloads;
use crate::formats::source::Source;
use crate::formats::{Problem, Row, Rows, npy};
use serde::Deserialize;

const VECTORS: &[u8] = include_bytes!("../../sample/vectors.f16.npy");
const PAYLOAD: &[u8] = include_bytes!("../../sample/payload.jsonl.gz");
const QUERY_VECTORS: &[u8] = include_bytes!("../../sample/queries.f32.npy");
const QUERY_TEXTS: &[u8] = include_bytes!("../../sample/queries.jsonl.gz");

/// Collection that the demo makes.
pub const COLLECTION: &str = "packages";
/// Numbers per vector.
pub const DIMENSION: u32 = 384;

/// A canned question.
#[derive(Clone, Debug)]
pub struct Question {
    /// What is asked.
    pub text: String,
    /// Its vector.
    pub vector: Vec<f32>,
}

#[derive(Deserialize)]
struct QuestionText {
    text: String,
}

fn broken(problem: Problem) -> Failure {
    Failure::error(format!("the built-in sample is damaged: {problem}"))
}

/// The sample's rows; ids are package names.
pub fn rows() -> Outcome<npy::Array> {
    let payloads = Payloads::new(Source::of_bytes(PAYLOAD).map_err(broken)?, Some("name".into()));
    npy::Array::new(Source::of_bytes(VECTORS).map_err(broken)?, Some(payloads)).map_err(broken)
}

/// The next row of the sample.
pub fn next(rows: &mut npy::Array) -> Outcome<Option<Row>> {
    rows.next_row().transpose().map_err(broken)
}

/// The canned questions.
pub fn questions() -> Outcome<Vec<Question>> {
    let mut texts = Source::of_bytes(QUERY_TEXTS).map_err(broken)?;
    let mut array =
        npy::Array::new(Source::of_bytes(QUERY_VECTORS).map_err(broken)?, None).map_err(broken)?;
    let (mut questions, mut line) = (Vec::new(), Vec::new());
    while let Some(vector) = array.next_vector() {
        texts.line(&mut line).map_err(broken)?;
        let text: QuestionText = serde_json::from_slice(&line)
            .map_err(|error| Failure::error(format!("the built-in sample is damaged: {error}")))?;
        questions.push(Question { text: text.text, vector: vector.map_err(broken)? });
    }
    Ok(questions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_whole_and_its_answers_are_good() {
        let mut array = rows().unwrap();
        let mut all = Vec::new();
        while let Some(row) = next(&mut array).unwrap() {
            assert_eq!(row.point.vector.len(), DIMENSION as usize);
            all.push(row.point);
        }
        assert_eq!(all.len(), 4800);
        let bytes = VECTORS.len() + PAYLOAD.len() + QUERY_VECTORS.len() + QUERY_TEXTS.len();
        assert!(bytes <= 3_900_000, "{bytes}");
        let questions = questions().unwrap();
        assert_eq!(questions.len(), 24);
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
        for question in &questions {
            let best = all.iter().map(|p| dot(&p.vector, &question.vector)).fold(f32::MIN, f32::max);
            assert!(best > 0.5, "{}: {best}", question.text);
        }
    }
}
