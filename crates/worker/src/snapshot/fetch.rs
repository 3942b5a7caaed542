//! Fetching a copy: who leads is asked for one, and it is taken in part by part. What is broken off goes on where it
//! ended, also with another offer, whose files may be partly the same.

use crate::host::{Host, OpenFailure};
use crate::meta::{Origin, ShardMeta, data_directory};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use vectron_base::ids::{ReplicaId, WorkerId};
use vectron_base::pool::{Lane, compute, within};
use vectron_base::{Code, Fault};
use vectron_store as store;
use vectron_wire::worker::{SnapshotOffer, SnapshotPart, SnapshotRequest, Target, Worker};

/// How long the leader may take to make a checkpoint.
const OFFER_PATIENCE_MS: u64 = 60_000;
/// How long one part may take.
const PART_PATIENCE_MS: u64 = 10_000;
/// How often one part is asked for.
const PART_TRIES: usize = 5;
/// Pause between two of these.
const PART_PAUSE: Duration = Duration::from_millis(200);
/// Files that may come wrong before the copy is given up for now.
const MISMATCHES_MAX: usize = 3;

/// Fetches a copy of the shard into the data directory of this generation. On return it is whole and durable, and the
/// meta says where the log goes on; the meta is not written. The bytes so far are counted in `fetched`.
pub(crate) async fn fetch(
    host: &Arc<Host>,
    wanted: &Arc<ShardMeta>,
    generation: u64,
    fetched: &AtomicU64,
) -> Result<ShardMeta, OpenFailure> {
    let _place = host.fetching.acquire().await.map_err(OpenFailure::waits)?;
    let (source, offer) = ask(host, wanted).await?;
    let import = begin(host, wanted, generation, &offer).await?;
    let mut transfer = Transfer { host, wanted, source, offer, import: Some(import), mismatches: 0, fetched };
    transfer.run().await?;
    let SnapshotOffer { index, term, members, .. } = transfer.offer;
    let origin = Origin { index, term, voters: members.voters, learners: members.learners };
    Ok(ShardMeta { generation, origin: Some(origin), ..(**wanted).clone() })
}

fn silent() -> Fault {
    Fault::new(Code::DeadlineExceeded, "the other worker does not answer")
}

fn target(wanted: &ShardMeta) -> Target {
    Target { shard: wanted.shard.shard, incarnation: wanted.incarnation, epoch: wanted.shard.epoch }
}

/// Finds the leader among the workers that have replicas, and its offer.
async fn ask(host: &Host, wanted: &ShardMeta) -> Result<(Arc<dyn Worker>, SnapshotOffer), OpenFailure> {
    let mut last = "no other worker has a replica".to_string();
    let others = wanted.shard.replicas.iter().map(|r| r.worker).filter(|worker| *worker != host.worker());
    let mut open: Vec<WorkerId> = others.collect();
    // Whoever is named as the leader is asked next; nobody twice.
    open.reverse();
    let mut asked = Vec::new();
    while let Some(worker) = open.pop() {
        if asked.contains(&worker) {
            continue;
        }
        asked.push(worker);
        let Some(source) = host.workers().worker(worker) else { continue };
        let request = SnapshotRequest {
            target: target(wanted),
            replica: wanted.replica,
            timeout_ms: OFFER_PATIENCE_MS,
        };
        let asking = within(host.pool(), Duration::from_millis(OFFER_PATIENCE_MS), source.snapshot(request));
        match asking.await.unwrap_or_else(|| Err(silent())) {
            Ok(offer) => match problem(wanted.replica, &offer) {
                None => return Ok((source, offer)),
                Some(why) => last = why.into(),
            },
            Err(fault) => {
                let at = |(_, address): &&(WorkerId, String)| Some(address) == fault.leader.as_ref();
                open.extend(wanted.workers.iter().find(at).map(|(worker, _)| *worker));
                last = fault.to_string();
            }
        }
    }
    Err(OpenFailure::waits(format!("no copy can be had: {last}")))
}

fn problem(replica: ReplicaId, offer: &SnapshotOffer) -> Option<&'static str> {
    let members = &offer.members;
    if !members.outgoing.is_empty() {
        return Some("the offered copy is of a change of members");
    }
    let named = members.voters.contains(&replica) || members.learners.contains(&replica);
    (!named).then_some("the offered copy does not name this replica")
}

async fn begin(
    host: &Host,
    wanted: &ShardMeta,
    generation: u64,
    offer: &SnapshotOffer,
) -> Result<store::Import, OpenFailure> {
    let directory = data_directory(wanted.shard.shard, generation);
    let files: Vec<store::ExportedFile> = offer
        .files
        .iter()
        .map(|f| store::ExportedFile { name: f.name.clone(), bytes: f.bytes, crc: f.crc })
        .collect();
    let disk = host.disk().clone();
    let begun = compute(host.pool(), Lane::Background, move || {
        match store::Import::begin(disk.clone(), &directory, &files) {
            // Left behind by an attempt that ended after its last step.
            Err(store::ImportError::Occupied(_)) => {
                disk.remove_dir(&directory)?;
                store::Import::begin(disk, &directory, &files)
            }
            other => other,
        }
    });
    begun.await.ok_or_else(stopping)?.map_err(OpenFailure::passing)
}

fn stopping() -> OpenFailure {
    OpenFailure::waits("the worker is stopping")
}

struct Transfer<'a> {
    host: &'a Arc<Host>,
    wanted: &'a ShardMeta,
    source: Arc<dyn Worker>,
    offer: SnapshotOffer,
    /// Away while a lane works on it.
    import: Option<store::Import>,
    mismatches: usize,
    fetched: &'a AtomicU64,
}

impl Transfer<'_> {
    async fn run(&mut self) -> Result<(), OpenFailure> {
        while let Some((file, offset, left)) = self.next() {
            self.check_wanted()?;
            let knobs = self.host.knobs();
            let limit = left.min(knobs.snapshot_part_bytes);
            let (clock, pool) = (self.host.clock(), self.host.pool());
            self.host.throttle.wait(clock, pool, limit, knobs.snapshot_bytes_per_s).await;
            let bytes = self.part(&file, offset, limit).await?;
            self.host.metrics().fetched.inc_by(bytes.len() as u64);
            self.fetched.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            self.put(file, offset, bytes).await?;
        }
        let covered = self.work(store::Import::finish).await?.map_err(OpenFailure::passing)?;
        if covered != self.offer.index {
            let why = format!("the copy covers {covered}, and {} was offered", self.offer.index);
            return Err(OpenFailure::passing(why));
        }
        Ok(())
    }

    /// File, place and number of the bytes to come next.
    fn next(&self) -> Option<(String, u64, u64)> {
        let (file, offset) = self.import.as_ref()?.next()?;
        Some((file.name.clone(), offset, file.bytes.saturating_sub(offset)))
    }

    /// Stops when the catalog has changed its mind.
    fn check_wanted(&self) -> Result<(), OpenFailure> {
        let shard = self.wanted.shard.shard;
        let wanted = self.host.wanted(shard).is_some_and(|meta| meta.replica == self.wanted.replica);
        if self.host.stopping() {
            return Err(stopping());
        }
        if wanted { Ok(()) } else { Err(OpenFailure::waits("the replica is not wanted any more")) }
    }

    async fn part(&mut self, file: &str, offset: u64, limit: u64) -> Result<Vec<u8>, OpenFailure> {
        let mut last = Fault::new(Code::Unavailable, "nothing came");
        for _ in 0..PART_TRIES {
            let request = SnapshotPart {
                target: target(self.wanted),
                token: self.offer.token,
                file: file.into(),
                offset,
                limit,
                timeout_ms: PART_PATIENCE_MS,
            };
            let asking = self.source.snapshot_part(request);
            let part = within(self.host.pool(), Duration::from_millis(PART_PATIENCE_MS), asking).await;
            match part.unwrap_or_else(|| Err(silent())) {
                Ok(bytes) if bytes.is_empty() || bytes.len() as u64 > limit => {
                    last = Fault::internal("a part has another length than was asked for");
                }
                Ok(bytes) => return Ok(bytes),
                // The offer has lapsed: the next attempt begins with another.
                Err(fault) if fault.code == Code::NotFound => return Err(OpenFailure::waits(fault)),
                Err(fault) => last = fault,
            }
            self.host.pool().sleep(PART_PAUSE).await;
        }
        Err(OpenFailure::waits(format!("the copy was broken off: {last}")))
    }

    async fn put(&mut self, file: String, offset: u64, bytes: Vec<u8>) -> Result<(), OpenFailure> {
        match self.work(move |import| import.put(&file, offset, &bytes)).await? {
            Ok(_) => Ok(()),
            Err(store::ImportError::Mismatch(_)) if self.mismatches < MISMATCHES_MAX => {
                self.mismatches += 1;
                Ok(())
            }
            Err(error) => Err(OpenFailure::passing(error)),
        }
    }

    /// Works on the import in the background lane.
    async fn work<T: Send + 'static>(
        &mut self,
        job: impl FnOnce(&mut store::Import) -> T + Send + 'static,
    ) -> Result<T, OpenFailure> {
        let mut import = self.import.take().ok_or_else(stopping)?;
        let worked = compute(self.host.pool(), Lane::Background, move || {
            let result = job(&mut import);
            (import, result)
        });
        let (import, result) = worked.await.ok_or_else(stopping)?;
        self.import = Some(import);
        Ok(result)
    }
}
