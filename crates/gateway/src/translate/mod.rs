//! From the public shape to the domain's: defaults, limits and every check that can fail before anything is
//! proposed or asked. Each refusal names the field, what was expected and what was got.

mod alias;
mod batch;
mod collection;
mod fields;
mod formula;
mod ids;
mod index;
mod payload;
mod query;
mod read;
mod search;
mod text;
mod vector;
mod write;

pub use alias::alias_actions;
pub use batch::{batch_plan, needs_batch, payload_plan, upsert_batch};
pub use collection::{collection_spec, describe, policy_consistency};
pub use ids::{check_collection_name, check_ids, check_point_id};
pub use index::{check_field, check_indexed, field_index, shown_analysis, text_indexes};
pub use payload::compact_object;
pub use query::{Leg, QueryPlan, both, led, legs, query_plan, under};
pub use read::{ReadPlan, cursor_or_start, include, page_limit, parse_filter};
pub use search::{Question, SearchPlan, search_plan, thoroughness};
pub use text::text_index;
pub use vector::{
    Wanted, checked_dense, checked_query, checked_vectors, dense_field, dense_of, leading_field, multi_shown,
    shown_vectors, sparse_shown,
};
pub use write::{ShardPart, body_hash, delete_plan, idempotency_key, regrouped, upsert_parts};

use crate::knobs::GatewayKnobs;
use vectron_base::{Code, Fault, FieldError};

/// The number in a field, between 1 and `cap`.
pub(crate) fn between_one_and(field: &str, value: u64, cap: u64) -> Result<u64, Fault> {
    if (1..=cap).contains(&value) {
        return Ok(value);
    }
    Err(Fault::invalid(field, format!("must be from 1 to {cap}, got {value}")))
}

/// The time a call may take, in milliseconds.
pub fn timeout_ms(asked: Option<u64>, knobs: &GatewayKnobs) -> Result<u64, Fault> {
    match asked {
        Some(ms) => between_one_and("timeout_ms", ms, knobs.max_timeout_ms),
        None => Ok(knobs.default_timeout_ms.min(knobs.max_timeout_ms)),
    }
}

/// Refuses more items than a batch may have.
pub(crate) fn check_batch(field: &str, count: usize, knobs: &GatewayKnobs) -> Result<(), Fault> {
    let limit = knobs.max_batch;
    if count as u64 <= limit {
        return Ok(());
    }
    let reason = format!("has {count} items, the limit is {limit}; send several smaller batches");
    Err(Fault::on_field(Code::TooLarge, field, reason))
}

/// A fault about a member of one item of a batch: the detail leads with position and id, the field is a path.
pub(crate) fn on_item(code: Code, at: &ItemAt<'_>, member: &str, reason: String) -> Fault {
    let mut fault = Fault::new(code, format!("{}[{}] {}: {reason}", at.list, at.index, shown(at.id)));
    let path = format!("{}[{}]{member}", at.list, at.index);
    fault.errors.push(FieldError { field: path, reason });
    fault
}

/// Which item of a batch.
pub(crate) struct ItemAt<'a> {
    pub list: &'static str,
    pub index: usize,
    pub id: &'a str,
}

/// An id as it is shown in a sentence: quoted, and cut when it is long.
pub(crate) fn shown(id: &str) -> String {
    const MOST: usize = 64;
    if id.chars().count() <= MOST {
        return format!("'{}'", id.escape_debug());
    }
    let start: String = id.chars().take(MOST).collect();
    format!("'{}…'", start.escape_debug())
}
