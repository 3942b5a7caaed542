//! Ranked text search.

use super::worker_answer::read;
use super::worker_request::{read_level, target};
use super::{choice, required, within};
use crate::proto::worker as pb;
use crate::worker::{ShardRead, ShardTextStats, TextOperator, TextQuery, TextStats};
use std::sync::Arc;
use vectron_base::Fault;
use vectron_base::filter::{Language, TextAnalysis};

/// A query and what its scores rest on.
pub(super) fn query_message(query: &TextQuery, stats: Option<&TextStats>) -> pb::TextQuery {
    let operator = match query.operator {
        TextOperator::Or => pb::TextOperator::Or,
        TextOperator::And => pb::TextOperator::And,
    };
    pb::TextQuery {
        field: query.field.clone(),
        text: query.text.clone(),
        operator: operator.into(),
        k1: Some(query.k1),
        b: Some(query.b),
        stats: stats.cloned().map(Into::into),
    }
}

pub(super) fn query(message: pb::TextQuery) -> Result<(TextQuery, Option<TextStats>), Fault> {
    let operator = choice("operator", message.operator, |operator| match operator {
        pb::TextOperator::Unspecified => None,
        pb::TextOperator::Or => Some(TextOperator::Or),
        pb::TextOperator::And => Some(TextOperator::And),
    })?;
    let query = TextQuery {
        field: message.field,
        text: message.text,
        operator,
        k1: required("k1", message.k1)?,
        b: required("b", message.b)?,
    };
    Ok((query, message.stats.map(Into::into)))
}

impl From<TextStats> for pb::TextStats {
    fn from(stats: TextStats) -> Self {
        let term = |(term, points)| pb::TermPoints { term, points };
        let terms = stats.terms.into_iter().map(term).collect();
        Self { points: stats.points, words: stats.words, terms }
    }
}

impl From<pb::TextStats> for TextStats {
    fn from(message: pb::TextStats) -> Self {
        let terms = message.terms.into_iter().map(|term| (term.term, term.points)).collect();
        Self { points: message.points, words: message.words, terms }
    }
}

impl From<ShardTextStats> for pb::TextStatsRequest {
    fn from(request: ShardTextStats) -> Self {
        Self {
            target: Some(request.target.into()),
            read: Some(request.read.into()),
            query: Some(query_message(&request.query, None)),
            timeout_ms: request.timeout_ms,
        }
    }
}

impl TryFrom<pb::TextStatsRequest> for ShardTextStats {
    type Error = Fault;

    fn try_from(message: pb::TextStatsRequest) -> Result<Self, Fault> {
        let (query, _) = query(required("query", message.query)?).map_err(|fault| within("query", fault))?;
        Ok(Self {
            target: target(message.target)?,
            read: read_level(message.read)?,
            query: Arc::new(query),
            timeout_ms: message.timeout_ms,
        })
    }
}

impl From<ShardRead<TextStats>> for pb::TextStatsResponse {
    fn from(read: ShardRead<TextStats>) -> Self {
        Self { delivered: Some(read.delivered.into()), stats: Some(read.value.into()) }
    }
}

impl TryFrom<pb::TextStatsResponse> for ShardRead<TextStats> {
    type Error = Fault;

    fn try_from(message: pb::TextStatsResponse) -> Result<Self, Fault> {
        read(required("stats", message.stats)?.into(), message.delivered)
    }
}

/// The analysis of a text index, by the names that both contracts send.
pub(super) fn analysis(analysis: Option<(String, bool)>) -> Result<TextAnalysis, Fault> {
    let (language, stemming) = required("text", analysis)?;
    let unknown = || Fault::invalid("text.language", "is no language that is known here");
    let language = Language::parse(&language).ok_or_else(unknown)?;
    let none = || Fault::invalid("text.stemming", "needs a language");
    TextAnalysis::new(Some(language), Some(stemming)).ok_or_else(none)
}
