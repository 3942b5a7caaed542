//! A worker that is almost the production one.

use async_trait::async_trait;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use vectron_base::ids::ShardId;
use vectron_base::{Fault, Outcome};
use vectron_wire::placement::Members;
use vectron_wire::worker::{
    Delivered, Examined, Hit, ItemOutcome, PointRecord, ReadLevel, ShardBrowse, ShardBrowsed, ShardCount,
    ShardCounted, ShardExamine, ShardGet, ShardHits, ShardPage, ShardRead, ShardScroll, ShardSearch,
    ShardStatus, ShardTextStats, ShardTune, ShardTuned, ShardWrite, ShardWritten, SnapshotFile,
    SnapshotOffer, SnapshotPart, SnapshotRequest, Target, TextStats, Worker, WriteOperation,
};
use vectron_worker::Host;

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lie {
    /// Linearizable reads are answered out of what the replica has.
    StaleRead,
    /// Who led once answers linearizable reads without asking anybody.
    EternalLease,
    /// Points that were read once are answered from a cache, at every level.
    CachedRead,
    /// The index in a session's token is not waited for.
    ForgottenSession,
    /// The bound on staleness is not kept.
    IgnoredBound,
    /// Writes are answered as soon as they are proposed.
    EarlyAcknowledgement,
    /// Idempotency keys are lost on the way to the log.
    LostKey,
    /// `if_version` is lost on the way to the log.
    LostCondition,
    /// A shard that fails a search has no hits.
    EmptyOnFailure,
    /// Hits of earlier searches stay hits.
    ReturningHits,
    /// The filter is lost on the way to the shard.
    LostFilter,
    /// Writes whose outcome is unknown are called not applied.
    DeniedDoubt,
    /// Counts are remembered.
    RememberedCount,
    /// Half of the hits that were asked for are enough for a shard.
    FewerHits,
    /// The score of a point is remembered over its changes.
    RememberedScore,
    /// The version that is told is one too low.
    WrongVersion,
    /// Calls that mean another range are answered from the range that is here.
    NoFence,
    /// Offered copies come without the members of the group: whoever takes one is alone in it.
    NoMembership,
    /// Offered copies are older than they say: what was deleted meanwhile is back, and what was written is gone.
    OldCopy,
}

/// A copy that was offered, as it was.
#[derive(Clone)]
struct Copied {
    index: u64,
    files: Vec<(SnapshotFile, Vec<u8>)>,
}

/// Where the manifest of a copy says what it covers.
const COVERED: std::ops::Range<usize> = 25..33;

/// The worker.
pub(super) struct Crooked {
    host: Arc<Host>,
    lie: Lie,
    points: Mutex<BTreeMap<String, Option<PointRecord>>>,
    hits: Mutex<BTreeMap<String, Hit>>,
    counts: Mutex<BTreeMap<u64, ShardCounted>>,
    led: Mutex<BTreeSet<ShardId>>,
    /// The first copy of each shard,
    first: Mutex<BTreeMap<ShardId, Copied>>,
    /// and the old ones that are offered as new, by number.
    aged: Mutex<BTreeMap<u64, Copied>>,
}

impl Crooked {
    pub(super) fn new(host: Arc<Host>, lie: Lie) -> Self {
        let (points, hits, counts, led, first, aged) = Default::default();
        Self { host, lie, points, hits, counts, led, first, aged }
    }

    /// The call as it is let in: of whatever range is here, when ranges are not fenced.
    fn unfenced(&self, target: Target) -> Target {
        let here = self.host.serving().into_iter().find(|hosted| hosted.id() == target.shard);
        match here {
            Some(hosted) if self.lie == Lie::NoFence => Target { epoch: hosted.epoch(), ..target },
            _ => target,
        }
    }

    /// The level that is kept in place of the one that was asked for; `None` when it is that one.
    async fn weaker(&self, asked: ReadLevel, target: Target) -> Option<ReadLevel> {
        let weaker = match (self.lie, asked) {
            (Lie::StaleRead, ReadLevel::Linearizable)
            | (Lie::ForgottenSession, ReadLevel::Session(_))
            | (Lie::IgnoredBound, ReadLevel::Bounded(_)) => true,
            (Lie::EternalLease, ReadLevel::Linearizable) => {
                let leads = self.host.status(target).await.is_ok_and(|status| status.leads);
                let mut led = self.led.lock();
                if leads {
                    led.insert(target.shard);
                }
                led.contains(&target.shard)
            }
            _ => false,
        };
        weaker.then_some(ReadLevel::Eventual)
    }
}

/// An answer that claims to be what was asked for.
fn claimed<T>(asked: ReadLevel, weaker: Option<ReadLevel>, read: ShardRead<T>) -> ShardRead<T> {
    match (asked, weaker) {
        (ReadLevel::Linearizable | ReadLevel::Bounded(_), Some(_)) => {
            ShardRead { delivered: Delivered { staleness_ms: 0, ..read.delivered }, ..read }
        }
        _ => read,
    }
}

#[async_trait]
impl Worker for Crooked {
    async fn write(&self, mut request: ShardWrite) -> Result<ShardWritten, Fault> {
        request.target = self.unfenced(request.target);
        match (self.lie, &mut request.operation) {
            (Lie::LostKey, _) => request.idempotency = None,
            (Lie::LostCondition, WriteOperation::Upsert(points)) => {
                points.iter_mut().for_each(|point| point.if_version = None);
            }
            _ => {}
        }
        if self.lie == Lie::EarlyAcknowledgement {
            let (target, items) = (request.target, items(&request.operation));
            let before = self.host.status(target).await.map_or(0, |status| status.applied_index);
            request.timeout_ms = 1;
            return match self.host.write(request).await {
                Err(fault) if fault.outcome == Outcome::Unknown => {
                    let deleted = items.len() as u64;
                    Ok(ShardWritten { version: before + 1, items, deleted, ..ShardWritten::default() })
                }
                answer => answer,
            };
        }
        let answer = self.host.write(request).await;
        match self.lie {
            Lie::DeniedDoubt => answer.map_err(|fault| fault.with_outcome(Outcome::NotApplied)),
            Lie::WrongVersion => {
                answer.map(|written| ShardWritten { version: written.version - 1, ..written })
            }
            _ => answer,
        }
    }

    async fn get(&self, mut request: ShardGet) -> Result<ShardRead<Vec<Option<PointRecord>>>, Fault> {
        let (asked, weaker) = (request.read, self.weaker(request.read, request.target).await);
        request.read = weaker.unwrap_or(asked);
        request.target = self.unfenced(request.target);
        let ids = request.ids.clone();
        let mut read = claimed(asked, weaker, self.host.get(request).await?);
        if self.lie == Lie::CachedRead {
            let mut cache = self.points.lock();
            let cached = ids.into_iter().zip(read.value);
            read.value = cached.map(|(id, point)| cache.entry(id).or_insert(point).clone()).collect();
        }
        Ok(read)
    }

    async fn search(&self, mut request: ShardSearch) -> Result<ShardRead<ShardHits>, Fault> {
        let (asked, weaker) = (request.read, self.weaker(request.read, request.target).await);
        request.read = weaker.unwrap_or(asked);
        request.target = self.unfenced(request.target);
        let (top_k, target) = (request.top_k, request.target);
        match self.lie {
            Lie::LostFilter => request.filter = None,
            Lie::FewerHits => request.top_k = top_k.div_ceil(2),
            _ => {}
        }
        let mut retry = request.clone();
        let mut read = match self.host.search(request).await {
            Err(_) if self.lie == Lie::EmptyOnFailure => {
                retry.read = ReadLevel::Eventual;
                let read = self.host.search(retry).await?;
                let value = ShardHits { hits: Vec::new(), ..read.value };
                let applied_index = self.host.status(target).await.map_or(0, |status| status.applied_index);
                ShardRead { value, delivered: Delivered { applied_index, staleness_ms: 0 } }
            }
            answer => claimed(asked, weaker, answer?),
        };
        self.remember(&mut read.value.hits, top_k);
        Ok(read)
    }

    async fn scroll(&self, request: ShardScroll) -> Result<ShardRead<ShardPage>, Fault> {
        self.host.scroll(request).await
    }

    async fn count(&self, mut request: ShardCount) -> Result<ShardRead<ShardCounted>, Fault> {
        request.target = self.unfenced(request.target);
        let (shard, all) = (request.target.shard.0, request.filter.is_none());
        let mut read = self.host.count(request).await?;
        if self.lie == Lie::RememberedCount && all {
            read.value = self.counts.lock().entry(shard).or_insert(read.value).clone();
        }
        Ok(read)
    }

    async fn text_stats(&self, request: ShardTextStats) -> Result<ShardRead<TextStats>, Fault> {
        self.host.text_stats(request).await
    }

    async fn examine(&self, request: ShardExamine) -> Result<ShardRead<Examined>, Fault> {
        self.host.examine(request).await
    }

    async fn tune(&self, request: ShardTune) -> Result<ShardRead<ShardTuned>, Fault> {
        self.host.tune(request).await
    }

    async fn browse(&self, mut request: ShardBrowse) -> Result<ShardRead<ShardBrowsed>, Fault> {
        request.target = self.unfenced(request.target);
        self.host.browse(request).await
    }

    async fn status(&self, target: Target) -> Result<ShardStatus, Fault> {
        self.host.status(target).await
    }

    async fn snapshot(&self, request: SnapshotRequest) -> Result<SnapshotOffer, Fault> {
        let (replica, target) = (request.replica, request.target);
        let mut offer = self.host.snapshot(request).await?;
        if self.lie == Lie::NoMembership {
            offer.members = Members { voters: vec![replica], ..Members::default() };
        }
        if self.lie == Lie::OldCopy {
            self.age(target, &mut offer).await?;
        }
        Ok(offer)
    }

    async fn snapshot_part(&self, request: SnapshotPart) -> Result<Vec<u8>, Fault> {
        let aged = self.aged.lock().get(&request.token).cloned();
        if let Some((_, bytes)) =
            aged.iter().flat_map(|aged| &aged.files).find(|(f, _)| f.name == request.file)
        {
            let rest = bytes.get(request.offset as usize..).unwrap_or_default();
            return Ok(rest[..rest.len().min(request.limit as usize)].to_vec());
        }
        self.host.snapshot_part(request).await
    }
}

impl Crooked {
    /// Puts the first copy of the shard in the place of this one, and says that it is this one.
    async fn age(&self, target: Target, offer: &mut SnapshotOffer) -> Result<(), Fault> {
        let first = self.first.lock().get(&target.shard).cloned();
        let Some(mut old) = first else {
            let mut files = Vec::new();
            for file in &offer.files {
                let mut bytes = Vec::new();
                while (bytes.len() as u64) < file.bytes {
                    let part = SnapshotPart {
                        target,
                        token: offer.token,
                        file: file.name.clone(),
                        offset: bytes.len() as u64,
                        limit: 1 << 20,
                        timeout_ms: 1_000,
                    };
                    bytes.extend(self.host.snapshot_part(part).await?);
                }
                files.push((file.clone(), bytes));
            }
            self.first.lock().insert(target.shard, Copied { index: offer.index, files });
            return Ok(());
        };
        if old.index >= offer.index {
            return Ok(());
        }
        for (file, bytes) in old.files.iter_mut().filter(|(file, _)| file.name == "manifest") {
            bytes[COVERED].copy_from_slice(&offer.index.to_le_bytes());
            let end = bytes.len() - 4;
            let crc = crc32fast::hash(&bytes[..end]).to_le_bytes();
            bytes[end..].copy_from_slice(&crc);
            file.crc = crc32fast::hash(bytes);
        }
        offer.files = old.files.iter().map(|(file, _)| file.clone()).collect();
        self.aged.lock().insert(offer.token, old);
        Ok(())
    }

    fn remember(&self, hits: &mut Vec<Hit>, top_k: usize) {
        let mut known = self.hits.lock();
        match self.lie {
            Lie::ReturningHits => {
                // One hit of an earlier search, which may be deleted since.
                let earlier = known.values().find(|old| hits.iter().all(|hit| hit.point.id != old.point.id));
                hits.extend(earlier.cloned());
                hits.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.point.id.cmp(&b.point.id)));
                hits.truncate(top_k);
            }
            Lie::RememberedScore => {
                for hit in hits.iter_mut() {
                    if let Some(old) =
                        known.get(&hit.point.id).filter(|old| old.point.version < hit.point.version)
                    {
                        hit.score = old.score;
                    }
                }
                hits.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.point.id.cmp(&b.point.id)));
            }
            _ => return,
        }
        known.extend(hits.iter().map(|hit| (hit.point.id.clone(), hit.clone())));
    }
}

fn items(operation: &WriteOperation) -> Vec<ItemOutcome> {
    let count = match operation {
        WriteOperation::Upsert(points) => points.len(),
        WriteOperation::DeleteIds(ids) => ids.len(),
        WriteOperation::Batch(batch) => batch.items.len(),
        WriteOperation::DeleteFilter(_) | WriteOperation::EditFilter(..) => 0,
    };
    vec![ItemOutcome::Applied; count]
}
