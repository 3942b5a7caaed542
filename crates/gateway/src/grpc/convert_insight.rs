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

pub fn tune(r: pb::TuneRequest) -> api::TuneRequest {
    api::TuneRequest { collection: r.collection, recall_target: r.recall_target, timeout_ms: r.timeout_ms }
}

pub fn tuned(a: api::TuneResponse) -> pb::TuneResponse {
    let rung =
        |r: api::TuneRung| pb::TuneRung { ef: r.ef, recall: r.recall, distances_mean: r.distances_mean };
    pb::TuneResponse {
        recall_target: a.recall_target,
        ef: a.ef,
        recall: a.recall,
        source: a.source,
        queries: a.queries,
        rungs: a.rungs.into_iter().map(rung).collect(),
        meta: meta(a.meta),
    }
}
