//! Offering copies: a checkpoint that is kept under a number for as long as somebody reads it.

use crate::faults::not_leader;
use crate::host::Host;
use crate::hosted::Hosted;
use crate::tend;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use vectron_base::clock::Tick;
use vectron_base::ids::{GroupId, ReplicaId, ShardId};
use vectron_base::pool::{Lane, compute};
use vectron_base::{Code, Fault};
use vectron_consensus::{Role, Start};
use vectron_store as store;
use vectron_wire::placement::Members;
use vectron_wire::worker::{SnapshotFile, SnapshotOffer, SnapshotPart, SnapshotRequest};

struct Kept {
    shard: ShardId,
    replica: ReplicaId,
    start: Start,
    export: Arc<store::Export>,
    used: Tick,
}

/// The copies that are offered.
#[derive(Default)]
pub(crate) struct Offers {
    kept: Mutex<BTreeMap<u64, Kept>>,
}

impl Offers {
    /// Forgets those that nobody used for so long; how many are left.
    pub fn tidy(&self, now: Tick, idle: Duration) -> usize {
        let mut kept = self.kept.lock();
        kept.retain(|_, offer| now.since(offer.used) < idle);
        kept.len()
    }

    /// Forgets those of one shard.
    pub fn withdraw(&self, shard: ShardId) {
        self.kept.lock().retain(|_, offer| offer.shard != shard);
    }

    /// Forgets all.
    pub fn clear(&self) {
        self.kept.lock().clear();
    }

    fn keep(&self, token: u64, offer: Kept) -> SnapshotOffer {
        let shown = shown(token, &offer);
        self.kept.lock().insert(token, offer);
        shown
    }

    /// The offer that a replica has already.
    fn of(&self, shard: ShardId, replica: ReplicaId) -> Option<(u64, Start)> {
        let kept = self.kept.lock();
        let (token, offer) = kept.iter().find(|(_, o)| o.shard == shard && o.replica == replica)?;
        Some((*token, offer.start.clone()))
    }

    /// An offer once more, or not at all any more.
    fn again(&self, token: u64, now: Tick, valid: bool) -> Option<SnapshotOffer> {
        let mut kept = self.kept.lock();
        if !valid {
            kept.remove(&token);
        }
        let offer = kept.get_mut(&token)?;
        offer.used = now;
        Some(shown(token, offer))
    }

    fn open(&self, token: u64, shard: ShardId, now: Tick) -> Option<(Arc<store::Export>, u64)> {
        let mut kept = self.kept.lock();
        let offer = kept.get_mut(&token).filter(|offer| offer.shard == shard)?;
        offer.used = now;
        Some((offer.export.clone(), offer.start.index))
    }
}

fn shown(token: u64, offer: &Kept) -> SnapshotOffer {
    let members = &offer.start.members;
    let files = offer.export.files().iter();
    SnapshotOffer {
        token,
        index: offer.start.index,
        term: offer.start.term,
        members: Members {
            voters: members.voters.clone(),
            learners: members.learners.clone(),
            outgoing: members.voters_outgoing.clone(),
        },
        files: files.map(|f| SnapshotFile { name: f.name.clone(), bytes: f.bytes, crc: f.crc }).collect(),
    }
}

/// Offers a copy to a member of the group. Who leads does; where nobody does, anybody, for it may be the replica that
/// asks without which nobody can be elected.
///
/// No barrier comes first: what a checkpoint covers is committed, whoever leads by now, and with one voter away a new
/// leader can commit nothing before the voter that asks has its copy. One who leads no more and does not know it offers
/// a copy that is older than it could be, and the log, or another copy, does the rest.
pub(crate) async fn offer(
    host: &Host,
    hosted: &Arc<Hosted>,
    request: SnapshotRequest,
) -> Result<SnapshotOffer, Fault> {
    let (group, shard) = (hosted.group(), hosted.id());
    let refuse = |detail: String| Fault::new(Code::Unavailable, detail).retry_after(200);
    let status =
        host.consensus().status(group).ok_or_else(|| refuse(format!("shard {shard} is not open")))?;
    if status.role != Role::Leader && status.leader.is_some() {
        return Err(not_leader(host, hosted, status.leader));
    }
    if !status.members.contains(request.replica) {
        return Err(refuse(format!("replica {} is no member of shard {shard} yet", request.replica)));
    }
    let (now, idle) = (host.clock().now(), Duration::from_millis(host.knobs().snapshot_idle_ms));
    let kept = host.offers.tidy(now, idle);
    if let Some((token, start)) = host.offers.of(shard, request.replica) {
        // Of use as long as the log here continues it.
        let valid = host.consensus().point(group, start.index).await == Some(start);
        if let Some(offer) = host.offers.again(token, now, valid) {
            host.consensus().hold(group, offer.index, idle);
            return Ok(offer);
        }
    }
    if kept as u64 >= host.knobs().snapshot_offers_max {
        return Err(Fault::new(Code::Overloaded, "other copies are being fetched here").retry_after(1000));
    }
    let (start, export) = checkpoint_for(host, hosted, request.replica).await?;
    host.consensus().hold(group, start.index, idle);
    let kept = Kept { shard, replica: request.replica, start, export, used: host.clock().now() };
    Ok(host.offers.keep(host.random().next_u64(), kept))
}

/// A checkpoint whose members name the replica: the last one, or a new one.
async fn checkpoint_for(
    host: &Host,
    hosted: &Arc<Hosted>,
    replica: ReplicaId,
) -> Result<(Start, Arc<store::Export>), Fault> {
    const TRIES: usize = 3;
    let (group, shard) = (hosted.group(), hosted.id());
    // A copy from before the last cut would not know which range it has.
    let cut = hosted.cut_at();
    let named = async |index: u64| {
        let point = host.consensus().point(group, index).await?;
        // While two sets of voters decide together there is no one answer to who is a member; that passes.
        (index >= cut && point.members.contains(replica) && !point.members.joint()).then_some(point)
    };
    for _ in 0..TRIES {
        if named(hosted.shard.durable_index()).await.is_none() {
            tend::checkpoint(host, hosted).await;
        }
        let source = hosted.shard.clone();
        let exported = compute(host.pool(), Lane::Background, move || source.export()).await;
        match exported.ok_or_else(|| Fault::new(Code::Unavailable, "the worker is stopping"))? {
            Ok(export) => {
                if let Some(start) = named(export.applied_index()).await {
                    return Ok((start, Arc::new(export)));
                }
            }
            Err(store::ExportError::NoCheckpoint) => {}
            Err(store::ExportError::Busy) => {
                let detail = format!("other copies of shard {shard} are being fetched");
                return Err(Fault::new(Code::Overloaded, detail).retry_after(1000));
            }
            Err(error) => {
                return Err(Fault::new(
                    Code::Unavailable,
                    format!("shard {shard} cannot be copied: {error}"),
                ));
            }
        }
    }
    let detail = format!("the members of shard {shard} are changing");
    Err(Fault::new(Code::Unavailable, detail).retry_after(200))
}

/// A part of an offered file.
pub(crate) async fn part(host: &Host, request: SnapshotPart) -> Result<Vec<u8>, Fault> {
    let lapsed = || Fault::new(Code::NotFound, "the offered copy is not kept any more; ask for another");
    let shard = request.target.shard;
    let opened = host.offers.open(request.token, shard, host.clock().now());
    let (export, index) = opened.ok_or_else(lapsed)?;
    hold(host, shard.group(), index);
    let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
    let read = move || export.read(&request.file, request.offset, limit);
    let read = compute(host.pool(), Lane::Background, read).await;
    read.ok_or_else(|| Fault::new(Code::Unavailable, "the worker is stopping"))?.map_err(
        |error| match error {
            store::ExportError::UnknownFile(_) => Fault::invalid("file", "is none of the copy"),
            other => Fault::new(Code::Unavailable, other.to_string()),
        },
    )
}

/// Keeps the log that continues the copy while it is being fetched.
fn hold(host: &Host, group: GroupId, index: u64) {
    host.consensus().hold(group, index, Duration::from_millis(host.knobs().snapshot_idle_ms));
}
