//! Messages that say how searches come to what they return. Nothing is checked here.

use super::convert::meta;
use crate::api::{self, JsonText};
use vectron_wire::proto::public as pb;

pub fn why_not(a: api::WhyNotResponse) -> pb::WhyNotResponse {
    let value =
        |v: api::FieldValue| pb::FieldValue { field: v.field, value: v.value.map(JsonText::into_string) };
    let clause = |c: api::FailedClause| pb::FailedClause {
        clause: c.clause.into_string(),
        values: c.values.into_iter().map(value).collect(),
    };
    pb::WhyNotResponse {
        id: a.id,
        verdict: a.verdict,
        detail: a.detail,
        version: a.version,
        score: a.score,
        rank: a.rank,
        position: a.position,
        ef: a.ef,
        ef_needed: a.ef_needed,
        removed_at_ms: a.removed_at_ms,
        filtered_by: a.filtered_by.into_iter().map(clause).collect(),
        meta: a.meta.and_then(meta),
    }
}
