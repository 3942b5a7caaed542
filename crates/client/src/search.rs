//! Searching.

use crate::answers::SearchAnswer;
use crate::connection::{Client, Repeat};
use crate::consistency::Consistency;
use crate::convert;
use crate::error::Error;
use crate::vectors;
use vectron_wire::proto::public as pb;

/// A search with the server's defaults: ten results with payload, without vectors, at the collection's
/// read policy.
#[derive(Clone, Debug)]
pub struct SearchRequest {
    message: pb::SearchRequest,
}

impl SearchRequest {
    /// A search for the nearest neighbours of `vector`.
    pub fn new(collection: impl Into<String>, vector: Vec<f32>) -> Self {
        let message = pb::SearchRequest {
            collection: collection.into(),
            vector: Some(pb::Vector { values: vector }),
            ..Default::default()
        };
        Self { message }
    }

    /// A search for the largest inner products in a sparse field.
    pub fn sparse(
        collection: impl Into<String>,
        field: impl Into<String>,
        indices: &[u32],
        values: &[f32],
    ) -> Self {
        let mut request = Self::new(collection, Vec::new()).using(field);
        (request.message.vector, request.message.sparse) = (None, Some(vectors::sparse(indices, values)));
        request
    }

    /// A search for the largest sums of best matches in a field with several vectors per point.
    pub fn multi(collection: impl Into<String>, field: impl Into<String>, query: &[Vec<f32>]) -> Self {
        let mut request = Self::new(collection, Vec::new()).using(field);
        (request.message.vector, request.message.multi) = (None, Some(vectors::multi(query)));
        request
    }

    /// The vector field to search. Default: the unnamed one, or the only one.
    pub fn using(mut self, field: impl Into<String>) -> Self {
        self.message.using = Some(field.into());
        self
    }

    /// A search for the points with the words of `text` in a field with a text index, ranked by BM25.
    pub fn text(collection: impl Into<String>, using: impl Into<String>, text: impl Into<String>) -> Self {
        let message = pb::SearchRequest {
            collection: collection.into(),
            text: Some(text.into()),
            using: Some(using.into()),
            ..Default::default()
        };
        Self { message }
    }

    /// Of a text: whether points must have all of its words.
    pub fn all_words(mut self, all: bool) -> Self {
        self.params().operator = Some(if all { "and" } else { "or" }.into());
        self
    }

    /// How many results.
    pub fn top_k(mut self, results: u32) -> Self {
        self.message.top_k = Some(results);
        self
    }

    /// Only points that match: a filter of the contract, as JSON text or a `serde_json::Value`.
    pub fn filter(mut self, json: impl ToString) -> Self {
        self.message.filter = Some(json.to_string());
        self
    }

    /// Whether results carry payloads.
    pub fn include_payload(mut self, include: bool) -> Self {
        self.message.include_payload = Some(include);
        self
    }

    /// Whether results carry vectors.
    pub fn include_vector(mut self, include: bool) -> Self {
        self.message.include_vector = Some(include);
        self
    }

    /// Only results with at least this score.
    pub fn score_threshold(mut self, score: f32) -> Self {
        self.message.score_threshold = Some(score);
        self
    }

    /// How fresh.
    pub fn consistency(mut self, level: Consistency) -> Self {
        self.message.consistency = Some(level.into());
        self
    }

    /// The server's deadline.
    pub fn timeout_ms(mut self, ms: u64) -> Self {
        self.message.timeout_ms = Some(ms);
        self
    }

    /// Accept an answer that lacks shards; it says so.
    pub fn allow_partial(mut self, allow: bool) -> Self {
        self.message.allow_partial = Some(allow);
        self
    }

    /// Share of the true neighbours to find.
    pub fn recall_target(mut self, share: f32) -> Self {
        self.params().recall_target = Some(share);
        self
    }

    /// Candidates to keep, in place of a recall target.
    pub fn ef(mut self, candidates: u32) -> Self {
        self.params().ef = Some(candidates);
        self
    }

    /// Scan everything: the true nearest.
    pub fn exact(mut self, exact: bool) -> Self {
        self.params().exact = Some(exact);
        self
    }

    /// Whether the answer says how it was found.
    pub fn explain(mut self, explain: bool) -> Self {
        self.message.explain = Some(explain);
        self
    }

    pub(crate) fn into_message(self) -> pb::SearchRequest {
        self.message
    }

    fn params(&mut self) -> &mut pb::SearchParams {
        self.message.params.get_or_insert_with(Default::default)
    }
}

impl Client {
    /// Nearest neighbours.
    pub async fn search(&self, search: SearchRequest) -> Result<SearchAnswer, Error> {
        let timeout = search.message.timeout_ms;
        let answer = self
            .call(search.message, timeout, Repeat::Safely, |mut stub, request| async move {
                stub.search(request).await
            })
            .await?;
        convert::search(answer)
    }
}
