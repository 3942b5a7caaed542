//! Ranked text search, from the contract's types to the store's and back.

use crate::hosted::Hosted;
use vectron_base::{Code, Fault};
use vectron_store as store;
use vectron_wire::worker::{TextOperator, TextQuery, TextStats};

/// When a caller should look again whether an index is there, in milliseconds.
const BUILDING_MS: u64 = 200;

/// A query.
pub fn query(query: &TextQuery) -> store::TextQuery {
    let operator = match query.operator {
        TextOperator::Or => store::TextOperator::Or,
        TextOperator::And => store::TextOperator::And,
    };
    let bm25 = store::Bm25 { k1: query.k1, b: query.b };
    store::TextQuery { field: query.field.clone(), text: query.text.clone(), operator, bm25 }
}

/// What scores rest on.
pub fn stats(stats: &TextStats) -> store::TextStats {
    store::TextStats { points: stats.points, words: stats.words, terms: stats.terms.clone() }
}

/// The same, out of the store.
pub fn shown_stats(stats: store::TextStats) -> TextStats {
    TextStats { points: stats.points, words: stats.words, terms: stats.terms }
}

/// A query that no shard can make sense of.
pub fn invalid(field: &str, reason: &str) -> Fault {
    let field = if field == "text" { field.to_string() } else { format!("params.{field}") };
    Fault::invalid(field, reason)
}

/// The index is not ready yet; another replica's may be.
pub fn building(hosted: &Hosted, refusal: &store::Refusal) -> Fault {
    Fault::new(Code::Unavailable, format!("shard {}: {refusal}", hosted.id())).retry_after(BUILDING_MS)
}
