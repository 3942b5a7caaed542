//! How one point stands in a search.

use crate::host::Host;
use crate::hosted::Hosted;
use crate::read::{admit, in_lane, query_of, refused};
use std::sync::Arc;
use vectron_base::Fault;
use vectron_store as store;
use vectron_wire::worker::{Examined, FailedClause, RemovalCause, Scored, ShardExamine, ShardRead, Subject};

/// How a point stands, or what comes before it.
pub async fn examine(
    host: &Host,
    hosted: &Arc<Hosted>,
    request: ShardExamine,
) -> Result<ShardRead<Examined>, Fault> {
    let ShardExamine { search, subject } = request;
    let timeout_ms = search.timeout_ms;
    let admitted = admit(host, hosted, search.read, timeout_ms).await?;
    let query = query_of(search)?;
    let look = move |shard: &store::Shard| match &subject {
        Subject::Id(id) => {
            let read = shard.why_not(&query, id)?;
            Ok((standing(read.value), read.applied_index))
        }
        Subject::Elsewhere { id, score } => {
            let read = shard.ahead_of(&query, *score, id)?;
            let store::Ahead { ahead, returned } = read.value;
            Ok((Examined::Ahead { ahead, returned }, read.applied_index))
        }
    };
    let (value, applied_index) =
        in_lane(host, hosted, timeout_ms, look).await?.map_err(|refusal| refused(hosted, &refusal))?;
    Ok(ShardRead { value, delivered: admitted.delivered(host, applied_index) })
}

fn standing(standing: store::Standing) -> Examined {
    let size = |ef: usize| u32::try_from(ef).unwrap_or(u32::MAX);
    match standing {
        store::Standing::Absent => Examined::Absent,
        store::Standing::Removed(store::Removal { version, log_time_ms, cause }) => {
            let cause = match cause {
                store::RemovalCause::Deleted => RemovalCause::Deleted,
                store::RemovalCause::Expired => RemovalCause::Expired,
            };
            Examined::Removed { cause, version, log_time_ms }
        }
        store::Standing::Filtered { version, failed } => {
            let clause = |failed: store::filter::FailedClause| FailedClause {
                clause: failed.clause,
                values: failed.values,
            };
            Examined::Filtered { version, failed: failed.into_iter().map(clause).collect() }
        }
        store::Standing::Scored(scored) => Examined::Scored(Scored {
            version: scored.version,
            score: scored.score,
            ahead: scored.ahead,
            position: scored.position,
            ef: size(scored.ef),
            ef_needed: scored.ef_needed.map(size),
        }),
    }
}
