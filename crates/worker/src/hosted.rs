//! One shard replica that this worker holds.

use crate::faults::{moving, other_range};
use crate::meta::{Held, ShardMeta};
use crate::recall::Recall;
use parking_lot::{Mutex, RwLock};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};
use vectron_base::clock::Tick;
use vectron_base::filter::FieldIndex;
use vectron_base::ids::{GroupId, ShardId};
use vectron_base::{Code, Fault};
use vectron_consensus::Machine;
use vectron_store::{Outcome, Shard};
use vectron_wire::worker::Target;

/// Writes of a shard that may be held back at a time: those that wait must not be all that a gateway has room for.
const PACED_MOST: usize = 64;

/// How long a search counts as a sign that more follow.
const SEARCHED_LATELY: Duration = Duration::from_secs(5);

/// A shard replica with what serving it needs.
pub struct Hosted {
    /// Identity and configuration, as it was opened.
    pub meta: ShardMeta,
    /// The state.
    pub shard: Arc<Shard>,
    /// Wakes the background loop.
    pub work: Notify,
    /// Wakes who writes checkpoints.
    pub due: Notify,
    /// Wakes who only waits for the end.
    pub ended: Notify,
    /// When a search was last asked for.
    searched: Mutex<Option<Tick>>,
    /// A place for each write that is held back.
    pub paced: Semaphore,
    /// Held by the one proposal under way that only moves log time.
    pub ticking: Semaphore,
    /// The collection is deleted; nothing may be read or written any more.
    sealed: AtomicBool,
    /// Another copy takes this one's place, or the replica leaves: what is seen here says nothing any more.
    retired: AtomicBool,
    /// The last moment at which the shard proved to hold everything acknowledged until then.
    proof: Mutex<Option<Tick>>,
    /// What is known of the recall of its searches.
    pub recall: Recall,
    /// Somebody asks for a proof in the background.
    pub proving: AtomicBool,
    /// The payload indexes that the shard shall have.
    indexes: Mutex<Vec<FieldIndex>>,
    /// What the catalog said of it last.
    assigned: RwLock<Arc<ShardMeta>>,
    /// A range that was held, with its epoch.
    held: Mutex<Held>,
    /// Somebody carries out a duty for it; see `host::patrol`.
    pub busy: AtomicBool,
    /// Where its log cut it last, in this life.
    cut: AtomicU64,
    /// Wakes who waits for the cut.
    pub cut_now: Notify,
    /// Somebody splits it; see `host::split`.
    pub splitting: AtomicBool,
    /// Since when it leads, and in which term.
    led: Mutex<Option<(u64, Tick)>>,
    /// When it last asked for a mark as leader.
    pub marked: Mutex<Option<Tick>>,
}

impl Hosted {
    /// A replica around an open shard.
    pub fn new(meta: ShardMeta, shard: Arc<Shard>) -> Self {
        let sealed = AtomicBool::new(shard.sealed());
        let indexes = Mutex::new(meta.field_indexes.clone());
        let last = shard.range().last;
        // A copy from after a cut that the catalog has not heard of.
        let cut = last < meta.shard.last;
        let held = meta.held.unwrap_or(Held { last, epoch: meta.shard.epoch + u64::from(cut) });
        Self {
            assigned: RwLock::new(Arc::new(meta.clone())),
            meta,
            shard,
            work: Notify::new(),
            due: Notify::new(),
            ended: Notify::new(),
            searched: Mutex::new(None),
            paced: Semaphore::new(PACED_MOST),
            ticking: Semaphore::new(1),
            sealed,
            retired: AtomicBool::new(false),
            proof: Mutex::new(None),
            recall: Recall::default(),
            proving: AtomicBool::new(false),
            indexes,
            held: Mutex::new(held),
            busy: AtomicBool::new(false),
            cut: AtomicU64::new(0),
            cut_now: Notify::new(),
            splitting: AtomicBool::new(false),
            led: Mutex::new(None),
            marked: Mutex::new(None),
        }
    }

    /// The shard's id.
    pub fn id(&self) -> ShardId {
        self.meta.shard.shard
    }

    /// The shard's replicated log.
    pub fn group(&self) -> GroupId {
        self.id().group()
    }

    /// Refuses callers that mean another life of the collection or another range of the shard.
    pub fn fence(&self, target: &Target) -> Result<(), Fault> {
        self.fence_life(target)?;
        if target.epoch != self.epoch() {
            return Err(other_range(self.id()));
        }
        Ok(())
    }

    /// Refuses callers that mean another life of the collection.
    pub fn fence_life(&self, target: &Target) -> Result<(), Fault> {
        if self.sealed() || target.incarnation != self.meta.incarnation {
            return Err(gone());
        }
        if self.retired() { Err(moving(self.id())) } else { Ok(()) }
    }

    /// Epoch of the range that it holds now. The store knows the range, and the catalog which epoch has which: where
    /// they agree it is the catalog's, where the log was cut since it is the next one. A range never grows, so who
    /// asks after a look knows that the look saw no later epoch.
    pub fn epoch(&self) -> u64 {
        let last = self.shard.range().last;
        let mut held = self.held.lock();
        let assigned = self.assigned.read();
        if last == assigned.shard.last && assigned.shard.epoch >= held.epoch {
            *held = Held { last, epoch: assigned.shard.epoch };
        } else if last < held.last {
            *held = Held { last, epoch: held.epoch + 1 };
        }
        held.epoch
    }

    /// Index of the last cut in this life; 0 without one, when every checkpoint is from after it.
    pub fn cut_at(&self) -> u64 {
        self.cut.load(Ordering::SeqCst)
    }

    /// What [`Hosted::epoch`] goes by, for the meta file.
    pub fn held(&self) -> Held {
        self.epoch();
        *self.held.lock()
    }

    /// Whether its copy of the upper part is ready, while it is split.
    pub fn split_ready(&self) -> bool {
        self.shard.forks().iter().any(|fork| fork.ready || fork.cut.is_some())
    }

    /// Whether the collection is deleted.
    pub fn sealed(&self) -> bool {
        self.sealed.load(Ordering::SeqCst)
    }

    /// Stops all reads and writes for good.
    pub fn seal(&self) {
        self.sealed.store(true, Ordering::SeqCst);
        self.wake();
    }

    /// Whether this copy counts no more.
    pub fn retired(&self) -> bool {
        self.retired.load(Ordering::SeqCst)
    }

    /// Before another copy takes its place, or the replica leaves: answers that are being made from it now are not
    /// given any more.
    pub fn retire(&self) {
        self.retired.store(true, Ordering::SeqCst);
        self.wake();
    }

    /// Whether nobody tends it any more.
    pub fn over(&self) -> bool {
        self.sealed() || self.retired()
    }

    /// Wakes who tends it.
    pub fn wake(&self) {
        self.work.notify_waiters();
        self.due.notify_waiters();
        self.ended.notify_waiters();
        self.recall.wake.notify_waiters();
        self.cut_now.notify_waiters();
    }

    /// What the catalog said of it last.
    pub fn assigned(&self) -> Arc<ShardMeta> {
        self.assigned.read().clone()
    }

    /// Notes what the catalog says of it.
    pub fn assign(&self, meta: Arc<ShardMeta>) {
        *self.assigned.write() = meta;
    }

    /// Notes that it leads in `term`; since when it does.
    pub fn leads_since(&self, term: u64, now: Tick) -> Tick {
        let mut led = self.led.lock();
        match *led {
            Some((known, since)) if known == term => since,
            _ => {
                *led = Some((term, now));
                now
            }
        }
    }

    /// Notes that a search was asked for.
    pub fn searched(&self, now: Tick) {
        *self.searched.lock() = Some(now);
    }

    /// Whether anybody searches here these days.
    pub fn searched_lately(&self, now: Tick) -> bool {
        self.searched.lock().is_some_and(|at| now.since(at) < SEARCHED_LATELY)
    }

    /// Notes that everything acknowledged before `at` is applied here.
    pub fn prove(&self, at: Tick) {
        let mut proof = self.proof.lock();
        *proof = Some(proof.map_or(at, |known| known.max(at)));
    }

    /// Notes which payload indexes the shard shall have; whether that is news.
    pub fn want_indexes(&self, wanted: &[FieldIndex]) -> bool {
        let mut indexes = self.indexes.lock();
        let news = *indexes != wanted;
        if news {
            *indexes = wanted.to_vec();
        }
        news
    }

    /// The last proof.
    pub fn proof(&self) -> Option<Tick> {
        *self.proof.lock()
    }
}

/// What a caller hears of a collection that is deleted.
pub fn gone() -> Fault {
    Fault::new(Code::NotFound, "the collection does not exist any more")
}

/// The shard as its group drives it.
pub struct ShardMachine(pub Arc<Hosted>);

impl Machine for ShardMachine {
    fn durable_index(&self) -> u64 {
        self.0.shard.durable_index()
    }
    fn skip(&mut self, index: u64) {
        self.0.shard.advance(index);
    }

    fn apply(&mut self, index: u64, command: &[u8]) -> Vec<u8> {
        let before = self.0.shard.range();
        let reply = self.0.shard.apply(index, command);
        if self.0.shard.range() != before {
            self.0.cut.store(index, Ordering::SeqCst);
            self.0.cut_now.notify_one();
        }
        // Damaged local data is no replicated result: this replica must not go on as if it had applied the
        // entry. Unwinding is how a machine asks to be quarantined; other groups are not touched.
        if let Ok(Outcome::Damaged(what)) = Outcome::decode(&reply) {
            std::panic::resume_unwind(Box::new(what));
        }
        reply
    }
}
