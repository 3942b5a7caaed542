//! How failures of consensus and store look at the worker's edge.

use crate::host::Host;
use crate::hosted::Hosted;
use vectron_base::ids::{ReplicaId, ShardId};
use vectron_base::{Code, Fault, Outcome};
use vectron_consensus::ProposeError;

/// When a caller with an older map should look again, in milliseconds.
pub const MAP_CHANGES_MS: u64 = 20;

/// The fault of a failed proposal or barrier.
pub fn of_propose(host: &Host, hosted: &Hosted, error: &ProposeError) -> Fault {
    let shard = hosted.id();
    if let ProposeError::NotLeader { leader } = error {
        return not_leader(host, hosted, *leader);
    }
    let (code, detail) = match error {
        ProposeError::Overloaded => {
            (Code::Overloaded, format!("shard {shard} has no room for more writes now; slow down and retry"))
        }
        ProposeError::TooLarge { limit } => {
            (Code::TooLarge, format!("the batch is larger than the limit of {limit} bytes; split it"))
        }
        ProposeError::DiskFull => {
            (Code::DiskFull, "the worker's disk is full; free space and retry".to_string())
        }
        ProposeError::Unknown => {
            (Code::Unavailable, format!("shard {shard} stopped before the outcome was known"))
        }
        _ => (Code::Unavailable, format!("shard {shard} cannot commit now")),
    };
    let fault = Fault::new(code, detail).with_outcome(error.outcome());
    if code == Code::Overloaded { fault.retry_after(100) } else { fault }
}

/// Another replica leads, or none does. Nothing was done and nothing will be; who leads is named if it is known.
pub fn not_leader(host: &Host, hosted: &Hosted, leader: Option<ReplicaId>) -> Fault {
    let shard = hosted.id();
    let Some(leader) = leader.filter(|leader| *leader != hosted.meta.replica) else {
        return Fault::new(Code::Unavailable, format!("shard {shard} has no leader now")).retry_after(100);
    };
    let fault = Fault::new(Code::Unavailable, format!("shard {shard} is led by replica {leader}"));
    match host.peers().address_of(hosted.group(), leader) {
        Some(address) => fault.led_from(address),
        None => fault,
    }
}

/// The caller's time is up.
pub fn late(shard: ShardId, outcome: Outcome) -> Fault {
    Fault::new(Code::DeadlineExceeded, format!("shard {shard} did not answer within the deadline"))
        .with_outcome(outcome)
}

/// The caller's map is older, or newer, than the range that this replica holds.
pub fn other_range(shard: ShardId) -> Fault {
    Fault::new(Code::Unavailable, format!("shard {shard} has another range than the caller's map says"))
        .retry_after(MAP_CHANGES_MS)
}

/// The replica is being replaced or removed here.
pub fn moving(shard: ShardId) -> Fault {
    Fault::new(Code::Unavailable, format!("this replica of shard {shard} is being replaced")).retry_after(100)
}
