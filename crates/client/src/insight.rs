//! How searches come to what they return.

use crate::answers::ReadMeta;
use crate::connection::{Client, Repeat};
use crate::convert;
use crate::error::Error;
use crate::search::SearchRequest;
use serde::Serialize;
use serde_json::value::RawValue;
use vectron_base::Code;
use vectron_wire::proto::public as pb;

/// Why a search returns a point, or does not.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs, reason = "the names are the public contract's; see proto/apigateway.proto")]
pub struct WhyNotAnswer {
    pub id: String,
    pub verdict: String,
    pub detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rank: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ef: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ef_needed: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removed_at_ms: Option<u64>,
    pub filtered_by: Vec<FailedClause>,
    pub meta: ReadMeta,
}

/// A clause of a filter that a point fails.
#[derive(Clone, Debug, Serialize)]
pub struct FailedClause {
    /// As a filter of its own.
    pub clause: Box<RawValue>,
    /// What the point has in the fields that it asks for.
    pub values: Vec<FieldValue>,
}

/// What a point has in a field.
#[derive(Clone, Debug, Serialize)]
pub struct FieldValue {
    /// Dotted path.
    pub field: String,
    /// The value, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Box<RawValue>>,
}

fn json(text: String) -> Result<Box<RawValue>, Error> {
    RawValue::from_string(text)
        .map_err(|error| Error::local(Code::Internal, format!("the server's answer is not JSON: {error}")))
}

fn value(v: pb::FieldValue) -> Result<FieldValue, Error> {
    Ok(FieldValue { field: v.field, value: v.value.map(json).transpose()? })
}

fn clause(c: pb::FailedClause) -> Result<FailedClause, Error> {
    let values = c.values.into_iter().map(value).collect::<Result<_, _>>()?;
    Ok(FailedClause { clause: json(c.clause)?, values })
}

impl Client {
    /// Why a search returns the point of an id, or does not. Costs as much as an exact search.
    pub async fn why_not(&self, id: impl Into<String>, search: SearchRequest) -> Result<WhyNotAnswer, Error> {
        let search = search.into_message();
        let timeout = search.timeout_ms;
        let message = pb::WhyNotRequest { id: id.into(), search: Some(search) };
        let answer =
            self.call(message, timeout, Repeat::Safely, |mut stub, request| async move {
                stub.why_not(request).await
            })
            .await?;
        Ok(WhyNotAnswer {
            id: answer.id,
            verdict: answer.verdict,
            detail: answer.detail,
            version: answer.version,
            score: answer.score,
            rank: answer.rank,
            position: answer.position,
            ef: answer.ef,
            ef_needed: answer.ef_needed,
            removed_at_ms: answer.removed_at_ms,
            filtered_by: answer.filtered_by.into_iter().map(clause).collect::<Result<_, _>>()?,
            meta: convert::meta(answer.meta),
        })
    }
}

/// An effort by a collection's own queries.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs, reason = "the names are the public contract's; see proto/apigateway.proto")]
pub struct TuneAnswer {
    pub recall_target: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ef: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recall: Option<f64>,
    pub source: String,
    pub queries: u64,
    pub rungs: Vec<TuneRung>,
    pub meta: ReadMeta,
}

/// What one effort found.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the names are the public contract's; see proto/apigateway.proto")]
pub struct TuneRung {
    pub ef: u32,
    pub recall: f64,
    pub distances_mean: f64,
}

impl Client {
    /// Proposes an effort that reaches a recall on the collection's queries of late. Changes nothing.
    pub async fn tune(
        &self,
        collection: impl Into<String>,
        recall_target: Option<f32>,
    ) -> Result<TuneAnswer, Error> {
        let message = pb::TuneRequest { collection: collection.into(), recall_target, timeout_ms: None };
        let answer = self
            .call(message, None, Repeat::Safely, |mut stub, request| async move { stub.tune(request).await })
            .await?;
        let rung =
            |r: pb::TuneRung| TuneRung { ef: r.ef, recall: r.recall, distances_mean: r.distances_mean };
        Ok(TuneAnswer {
            recall_target: answer.recall_target,
            ef: answer.ef,
            recall: answer.recall,
            source: answer.source,
            queries: answer.queries,
            rungs: answer.rungs.into_iter().map(rung).collect(),
            meta: convert::meta(answer.meta),
        })
    }
}
