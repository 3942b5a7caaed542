//! Queries of several legs, batches of searches, and looking over a collection.

use crate::answers::{Point, ReadMeta, SearchAnswer};
use crate::connection::{Client, Repeat};
use crate::consistency::Consistency;
use crate::convert;
use crate::error::Error;
use crate::search::SearchRequest;
use serde::Serialize;
use vectron_wire::proto::public as pb;

/// A point's id or a vector, as an example.
#[derive(Clone, Debug, PartialEq)]
pub enum Example {
    /// The vector of this point, which will not be among the results.
    Id(String),
    /// This vector.
    Vector(Vec<f32>),
}

fn examples(examples: Vec<Example>) -> Vec<pb::Example> {
    use pb::example::Example as Kind;
    let message = |example| match example {
        Example::Id(id) => Kind::Id(id),
        Example::Vector(values) => Kind::Vector(pb::Vector { values }),
    };
    examples.into_iter().map(|example| pb::Example { example: Some(message(example)) }).collect()
}

/// One list of candidates of a query.
#[derive(Clone, Debug)]
pub struct Leg {
    message: pb::QueryLeg,
}

impl Leg {
    /// The points nearest to a vector.
    pub fn vector(values: Vec<f32>) -> Self {
        Self { message: pb::QueryLeg { vector: Some(pb::Vector { values }), ..Default::default() } }
    }

    /// The best points for some words of a field with a text index.
    pub fn text(using: impl Into<String>, words: impl Into<String>) -> Self {
        let (text, using) = (Some(words.into()), Some(using.into()));
        Self { message: pb::QueryLeg { text, using, ..Default::default() } }
    }

    /// Points like some examples and unlike others.
    pub fn recommend(positive: Vec<Example>, negative: Vec<Example>) -> Self {
        let recommend =
            pb::Recommend { positive: examples(positive), negative: examples(negative), strategy: None };
        Self { message: pb::QueryLeg { recommend: Some(recommend), ..Default::default() } }
    }

    /// Only points that match, besides the query's own filter.
    pub fn filter(mut self, json: impl ToString) -> Self {
        self.message.filter = Some(json.to_string());
        self
    }

    /// How many candidates (default 100).
    pub fn limit(mut self, candidates: u32) -> Self {
        self.message.limit = Some(candidates);
        self
    }

    /// Only candidates with at least this score.
    pub fn score_threshold(mut self, score: f32) -> Self {
        self.message.score_threshold = Some(score);
        self
    }
}

/// Several legs that become one ranking; with the server's defaults: RRF, ten results with payload.
#[derive(Clone, Debug)]
pub struct QueryRequest {
    message: pb::QueryRequest,
}

impl QueryRequest {
    /// A query of these legs.
    pub fn new(collection: impl Into<String>, legs: Vec<Leg>) -> Self {
        let (collection, prefetch) = (collection.into(), legs.into_iter().map(|leg| leg.message).collect());
        Self { message: pb::QueryRequest { collection, prefetch, ..Default::default() } }
    }

    /// Reciprocal rank fusion with this `k`, and one weight for each leg (none: 1 each).
    pub fn rrf(mut self, k: f64, weights: Vec<f64>) -> Self {
        self.message.fusion = Some(pb::Fusion { method: "rrf".into(), k: Some(k), weights, normalize: None });
        self
    }

    /// The weighted sum of scores, brought to one scale (`minmax`) or as they are (`none`).
    pub fn weighted(mut self, weights: Vec<f64>, normalize: &str) -> Self {
        let normalize = Some(normalize.to_string());
        self.message.fusion = Some(pb::Fusion { method: "weighted".into(), k: None, weights, normalize });
        self
    }

    /// What the score becomes, as JSON text or a `serde_json::Value`.
    pub fn formula(mut self, json: impl ToString) -> Self {
        self.message.formula = Some(json.to_string());
        self
    }

    /// Only points that match, in every leg.
    pub fn filter(mut self, json: impl ToString) -> Self {
        self.message.filter = Some(json.to_string());
        self
    }

    /// How many results.
    pub fn top_k(mut self, results: u32) -> Self {
        self.message.top_k = Some(results);
        self
    }

    /// Only results whose final score is at least this.
    pub fn score_threshold(mut self, score: f64) -> Self {
        self.message.score_threshold = Some(score);
        self
    }

    /// Results unlike each other: 0 for relevance only, 1 for difference only.
    pub fn mmr(mut self, diversity: f64) -> Self {
        self.message.mmr = Some(pb::Mmr { diversity: Some(diversity), candidates: None });
        self
    }

    /// Groups by a field's values in place of results.
    pub fn group_by(mut self, field: impl Into<String>, groups: u32, group_size: u32) -> Self {
        let (groups, group_size) = (Some(groups), Some(group_size));
        self.message.group_by = Some(pb::GroupBy { field: field.into(), groups, group_size });
        self
    }

    /// Whether results carry payloads (default true).
    pub fn include_payload(mut self, include: bool) -> Self {
        self.message.include_payload = Some(include);
        self
    }

    /// Whether results carry vectors (default false).
    pub fn include_vector(mut self, include: bool) -> Self {
        self.message.include_vector = Some(include);
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
}

/// Where a result stood in a leg.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LegRank {
    /// From 0, in the order of the request.
    pub leg: u32,
    /// From 1.
    pub rank: u32,
    /// In that leg.
    pub score: f32,
}

/// A result of a query.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct QueryResult {
    /// The point, with what was asked for of it.
    pub point: Point,
    /// Fused, and by the formula if there is one.
    pub score: f64,
    /// The legs that found it.
    pub legs: Vec<LegRank>,
}

/// Results that share a value.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct QueryGroup {
    /// JSON text of a string, a number or a boolean.
    pub value: String,
    /// Best first.
    pub results: Vec<QueryResult>,
}

/// The answer to a query.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct QueryAnswer {
    /// Names this query.
    pub search_id: String,
    /// Best first; none of a query by groups.
    pub results: Vec<QueryResult>,
    /// Of a query by groups.
    pub groups: Vec<QueryGroup>,
    /// What stands behind it.
    pub meta: ReadMeta,
}

/// The values of a field, most points first.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FacetAnswer {
    /// Each value's JSON text and how many points have it.
    pub values: Vec<(String, u64)>,
    /// Whether the points have other values.
    pub more: bool,
    /// What stands behind it.
    pub meta: ReadMeta,
}

/// Points by chance.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SampleAnswer {
    /// The points.
    pub points: Vec<Point>,
    /// What to ask with for the same points.
    pub seed: u64,
    /// What stands behind it.
    pub meta: ReadMeta,
}

/// How alike the points of a sample are.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MatrixAnswer {
    /// The points.
    pub ids: Vec<String>,
    /// Of each point to each point, in the order of the ids.
    pub scores: Vec<Vec<f32>>,
    /// What to ask with for the same points.
    pub seed: u64,
    /// What stands behind it.
    pub meta: ReadMeta,
}

macro_rules! looks {
    ($name:ident) => {
        impl $name {
            /// Only points that match.
            pub fn filter(mut self, json: impl ToString) -> Self {
                self.message.filter = Some(json.to_string());
                self
            }

            /// How many at most (default 10).
            pub fn limit(mut self, most: u32) -> Self {
                self.message.limit = Some(most);
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
        }
    };
}

/// A field whose values are counted.
#[derive(Clone, Debug)]
pub struct FacetRequest {
    message: pb::FacetRequest,
}

impl FacetRequest {
    /// The values of a field.
    pub fn new(collection: impl Into<String>, field: impl Into<String>) -> Self {
        let (collection, field) = (collection.into(), field.into());
        Self { message: pb::FacetRequest { collection, field, ..Default::default() } }
    }
}
looks!(FacetRequest);

/// Points by chance.
#[derive(Clone, Debug)]
pub struct SampleRequest {
    message: pb::SampleRequest,
}

impl SampleRequest {
    /// Of all points.
    pub fn new(collection: impl Into<String>) -> Self {
        Self { message: pb::SampleRequest { collection: collection.into(), ..Default::default() } }
    }

    /// The same seed gives the same points as long as they do not change.
    pub fn seed(mut self, seed: u64) -> Self {
        self.message.seed = Some(seed);
        self
    }
}
looks!(SampleRequest);

/// A sample whose points are compared with each other.
#[derive(Clone, Debug)]
pub struct MatrixRequest {
    message: pb::MatrixRequest,
}

impl MatrixRequest {
    /// Of all points.
    pub fn new(collection: impl Into<String>) -> Self {
        Self { message: pb::MatrixRequest { collection: collection.into(), ..Default::default() } }
    }

    /// The same seed gives the same points as long as they do not change.
    pub fn seed(mut self, seed: u64) -> Self {
        self.message.seed = Some(seed);
        self
    }
}
looks!(MatrixRequest);

fn result(message: pb::QueryResult) -> Result<QueryResult, Error> {
    let rank = |l: pb::LegRank| LegRank { leg: l.leg, rank: l.rank, score: l.score };
    let pb::QueryResult { id, score, version, payload, vector, vectors, legs } = message;
    let point = convert::point(pb::Point { id, vector, vectors, payload, version })?;
    Ok(QueryResult { point, score, legs: legs.into_iter().map(rank).collect() })
}

fn results(list: Vec<pb::QueryResult>) -> Result<Vec<QueryResult>, Error> {
    list.into_iter().map(result).collect()
}

impl Client {
    /// One ranking out of several legs.
    pub async fn query(&self, query: QueryRequest) -> Result<QueryAnswer, Error> {
        let timeout = query.message.timeout_ms;
        let answer = self
            .call(query.message, timeout, Repeat::Safely, |mut stub, request| async move {
                stub.query(request).await
            })
            .await?;
        let group =
            |group: pb::QueryGroup| Ok(QueryGroup { value: group.value, results: results(group.results)? });
        Ok(QueryAnswer {
            search_id: answer.search_id,
            results: results(answer.results)?,
            groups: answer.groups.into_iter().map(group).collect::<Result<_, Error>>()?,
            meta: convert::meta(answer.meta),
        })
    }

    /// Several searches of one collection at once; their own collections are not looked at.
    pub async fn search_batch(
        &self,
        collection: impl Into<String>,
        searches: Vec<SearchRequest>,
    ) -> Result<Vec<SearchAnswer>, Error> {
        let searches = searches.into_iter().map(SearchRequest::into_message).collect();
        let message = pb::SearchBatchRequest { collection: collection.into(), searches, timeout_ms: None };
        let answer = self
            .call(message, None, Repeat::Safely, |mut stub, request| async move {
                stub.search_batch(request).await
            })
            .await?;
        answer.answers.into_iter().map(convert::search).collect()
    }

    /// The values of a field with exact counts.
    pub async fn facet(&self, facet: FacetRequest) -> Result<FacetAnswer, Error> {
        let timeout = facet.message.timeout_ms;
        let answer = self
            .call(facet.message, timeout, Repeat::Safely, |mut stub, request| async move {
                stub.facet(request).await
            })
            .await?;
        let values = answer.values.into_iter().map(|of| (of.value, of.count)).collect();
        Ok(FacetAnswer { values, more: answer.more, meta: convert::meta(answer.meta) })
    }

    /// Points by chance.
    pub async fn sample(&self, sample: SampleRequest) -> Result<SampleAnswer, Error> {
        let timeout = sample.message.timeout_ms;
        let answer = self
            .call(sample.message, timeout, Repeat::Safely, |mut stub, request| async move {
                stub.sample(request).await
            })
            .await?;
        let points = convert::points(answer.points)?;
        Ok(SampleAnswer { points, seed: answer.seed, meta: convert::meta(answer.meta) })
    }

    /// How alike the points of a sample are.
    pub async fn matrix(&self, matrix: MatrixRequest) -> Result<MatrixAnswer, Error> {
        let timeout = matrix.message.timeout_ms;
        let answer = self
            .call(matrix.message, timeout, Repeat::Safely, |mut stub, request| async move {
                stub.matrix(request).await
            })
            .await?;
        Ok(MatrixAnswer {
            ids: answer.ids,
            scores: answer.scores.into_iter().map(|row| row.scores).collect(),
            seed: answer.seed,
            meta: convert::meta(answer.meta),
        })
    }
}
