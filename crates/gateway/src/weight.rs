//! How much an answer weighs before it is encoded: about the bytes of its JSON text. The same for both
//! protocols, so that pages end at the same point.

use crate::api;
use vectron_base::{Code, Fault};
use vectron_wire::worker::PointRecord;

/// Names, quotes, version and score of one point.
const AROUND: usize = 96;
/// A 32-bit float in decimal, with its comma.
const NUMBER: usize = 12;

fn weigh(id: &str, payload: usize, numbers: usize) -> u64 {
    (AROUND + id.len() + payload + numbers * NUMBER) as u64
}

fn numbers(vectors: &api::VectorValue) -> usize {
    let of = |value: &api::FieldVector| match value {
        api::FieldVector::Dense(vector) => vector.len(),
        api::FieldVector::Sparse(vector) => vector.indices.len() * 2,
        api::FieldVector::Multi(vectors) => vectors.iter().map(Vec::len).sum(),
    };
    match vectors {
        api::VectorValue::Unnamed(vector) => vector.len(),
        api::VectorValue::Named(fields) => fields.iter().map(|(_, value)| of(value)).sum(),
    }
}

/// Of one point as a shard gave it.
pub fn of_record(point: &PointRecord) -> u64 {
    let payload = point.payload.as_ref().map_or(0, String::len);
    weigh(&point.id, payload, point.vector.as_ref().map_or(0, |vectors| vectors.bytes() / 4))
}

fn of_point(point: &api::Point) -> u64 {
    let payload = point.payload.as_ref().map_or(0, |payload| payload.as_str().len());
    weigh(&point.id, payload, point.vector.as_ref().map_or(0, numbers))
}

/// Of one result of a query.
pub fn of_result(result: &api::QueryResult) -> u64 {
    let payload = result.payload.as_ref().map_or(0, |payload| payload.as_str().len());
    weigh(&result.id, payload, result.vector.as_ref().map_or(0, numbers))
}

/// Refuses an answer over the limit; `fewer` says what to ask less of.
pub fn fitting<'a>(
    points: impl Iterator<Item = &'a PointRecord>,
    limit: u64,
    fewer: &str,
) -> Result<(), Fault> {
    fitting_weight(points.map(of_record).sum(), limit, fewer)
}

/// The same, of an answer that was weighed already.
pub fn fitting_weight(total: u64, limit: u64, fewer: &str) -> Result<(), Fault> {
    if total <= limit {
        return Ok(());
    }
    let detail = format!(
        "the answer would have about {total} bytes, the limit is {limit}; {fewer}, or leave out payloads and \
         vectors with include_payload and include_vector"
    );
    Err(Fault::new(Code::TooLarge, detail))
}

/// The answer of a read.
pub trait Weighed {
    /// About how many bytes it has.
    fn weight(&self) -> u64;
}

impl Weighed for api::GetResponse {
    fn weight(&self) -> u64 {
        of_point(&self.point)
    }
}

impl Weighed for api::BatchGetResponse {
    fn weight(&self) -> u64 {
        let missing: usize = self.missing.iter().map(|id| id.len() + 3).sum();
        self.points.iter().map(of_point).sum::<u64>() + missing as u64
    }
}

impl Weighed for api::ScrollResponse {
    fn weight(&self) -> u64 {
        self.points.iter().map(of_point).sum()
    }
}

impl Weighed for api::SampleResponse {
    fn weight(&self) -> u64 {
        self.points.iter().map(of_point).sum()
    }
}

impl Weighed for api::SearchBatchResponse {
    fn weight(&self) -> u64 {
        self.answers.iter().map(Weighed::weight).sum()
    }
}

impl Weighed for api::QueryResponse {
    fn weight(&self) -> u64 {
        let groups = self.groups.iter().flatten().flat_map(|group| &group.results);
        let of = |result: &api::QueryResult| of_result(result) + (3 * result.legs.len() * NUMBER) as u64;
        self.results.iter().chain(groups).map(of).sum()
    }
}

impl Weighed for api::SearchResponse {
    fn weight(&self) -> u64 {
        let of = |hit: &api::ScoredPoint| {
            let payload = hit.payload.as_ref().map_or(0, |payload| payload.as_str().len());
            weigh(&hit.id, payload, hit.vector.as_ref().map_or(0, numbers))
        };
        self.results.iter().map(of).sum()
    }
}
