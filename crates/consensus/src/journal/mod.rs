//! The journal: one sequence of segments for all groups of a process.
//!
//! A batch is one frame, one append and one sync. After a sync, the next frame states how far the segment is
//! synced; when the driver falls idle, an empty frame does. A new segment begins with everything that groups
//! must remember besides entries, so that older segments can go as soon as checkpoints cover their entries.
//! An append or sync error stops the journal for good. Want of space does not, as the partial frame is cut off
//! and the same batch can be written again; nor does a segment that could not be begun, say for want of file
//! descriptors, as nothing was built on it yet and the next write begins another.

mod fold;
mod format;
mod reclaim;
mod recover;
mod roll;
mod scan;
mod state;

pub(crate) use fold::Folded;
pub(crate) use format::Kind;
pub(crate) use state::State;

use crate::batch::{Batch, Record};
use crate::error::OpenError;
use crate::event::ConsensusEvent;
use crate::metrics::ConsensusMetrics;
use format::{SegmentName, write_frame};
use recover::{Recovered, Segment, recover};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use vectron_base::clock::Clock;
use vectron_base::disk::{Disk, DiskError, DiskFailure, DiskFile};
use vectron_base::ids::{GroupId, ReplicaId};
use vectron_base::random::Random;

/// The journal's directory.
const DIR: &str = "journal";
/// A write buffer larger than this is given back after use.
const BUFFER_KEPT_BYTES: usize = 8 << 20;

/// Why a batch is not durable.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum WriteError {
    /// No space, or no new segment could be begun; nothing of it counts and it may be written again.
    Full,
    /// The journal takes nothing from now on.
    Failed,
}

/// What the journal knows of a group.
pub(crate) enum Known {
    /// Nothing: the group is new here.
    Nothing,
    /// It must not be served.
    Damaged(String),
    /// Its records.
    Log(Box<Folded>),
}

/// Where the journal lives and how large its files are.
pub(crate) struct JournalConfig {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) metrics: ConsensusMetrics,
    pub(crate) segment_bytes: u64,
    pub(crate) limit_bytes: u64,
}

struct Active {
    file: Box<dyn DiskFile>,
    len: u64,
    /// Bytes known to be synced.
    synced: u64,
    /// Sequence of the first frame after them.
    next: u64,
    /// Whether a frame in the file says so.
    marked: bool,
}

/// The journal of a process.
pub(crate) struct Journal {
    config: JournalConfig,
    /// All segments, oldest first; the last is the active one while there is one.
    segments: VecDeque<Segment>,
    active: Option<Active>,
    /// Synced end of the last segment while none is active.
    end: u64,
    sequence: u64,
    /// The durable state of every group that is not removed.
    states: BTreeMap<GroupId, State>,
    /// The highest replica of each group that was removed for good.
    tombstones: BTreeMap<GroupId, ReplicaId>,
    quarantined: BTreeMap<GroupId, String>,
    unreadable: Option<String>,
    damage: Vec<String>,
    dropped: Option<String>,
    /// Logs that were read at the opening and not asked for yet.
    recovered: BTreeMap<GroupId, Folded>,
    buffer: Vec<u8>,
    failed: Option<String>,
    /// A segment that could not be begun; its file may be there.
    aborted: Option<SegmentName>,
    /// What the last write that must wait ran into.
    obstacle: String,
}

impl Journal {
    /// Opens and recovers the journal.
    pub(crate) fn open(config: JournalConfig) -> Result<Self, OpenError> {
        config.disk.create_dir(DIR)?;
        let mut recovered = recover(&*config.disk, DIR, None)?;
        if let Some(what) = &recovered.dropped {
            config.metrics.events.note(&ConsensusEvent::TailDropped { what: what.clone() });
        }
        let (tail, dropped) = (std::mem::take(&mut recovered.tail), recovered.dropped.take());
        let mut journal = Self::from_recovered(config, recovered);
        if !tail.is_empty() {
            journal = journal.rewrite(&tail)?;
        }
        journal.dropped = dropped;
        for what in &journal.damage {
            journal.config.metrics.events.note(&ConsensusEvent::DamageFound { what: what.clone() });
        }
        Ok(journal)
    }

    /// Writes a tail that is whole but perhaps not synced into a segment of its own, before anything is built
    /// on it. The old bytes are not synced again: after a sync that failed before the restart, another one
    /// would falsely succeed.
    fn rewrite(mut self, tail: &Batch) -> Result<Self, OpenError> {
        if let Err(error) = self.roll(tail) {
            let failure = if error == WriteError::Full { DiskFailure::Full } else { DiskFailure::Failed };
            return Err(OpenError::Disk(DiskError { operation: "append", path: DIR.into(), failure }));
        }
        let (active, sequence) = (self.active.take(), self.sequence);
        let end = active.as_ref().map(|active| active.synced);
        let again = recover(&*self.config.disk, DIR, end)?;
        let journal = Self::from_recovered(self.config, again);
        Ok(Self { active, sequence, ..journal })
    }

    fn from_recovered(config: JournalConfig, recovered: Recovered) -> Self {
        let Recovered { segments, fold, damage, unreadable, next_sequence, end, .. } = recovered;
        let mut quarantined = BTreeMap::new();
        for (group, folded) in &fold.groups {
            let problem = folded.problem(unreadable.as_deref());
            quarantined.extend(problem.map(|problem| (*group, problem)));
        }
        let states = fold.groups.iter().filter_map(|(group, f)| Some((*group, f.state.clone()?))).collect();
        Self {
            config,
            segments: segments.into(),
            active: None,
            end,
            sequence: next_sequence,
            states,
            tombstones: fold.tombstones,
            quarantined,
            unreadable,
            damage,
            dropped: None,
            recovered: fold.groups,
            buffer: Vec::new(),
            failed: None,
            aborted: None,
            obstacle: String::new(),
        }
    }

    /// The highest replica of a group that was removed for good.
    pub(crate) fn tombstone(&self, group: GroupId) -> Option<ReplicaId> {
        self.tombstones.get(&group).copied()
    }

    /// The replica whose log is here, or [`ReplicaId`]`(u64::MAX)` if there are records that do not say.
    pub(crate) fn replica(&self, group: GroupId) -> Option<ReplicaId> {
        let damaged = || self.quarantined.contains_key(&group).then_some(ReplicaId(u64::MAX));
        self.states.get(&group).map(|state| state.replica).or_else(damaged)
    }

    /// What is known of a group. Its log is read again from the files if it was given out before.
    pub(crate) fn load(&mut self, group: GroupId) -> Result<Known, OpenError> {
        if let Some(reason) = self.quarantined.get(&group) {
            return Ok(Known::Damaged(reason.clone()));
        }
        if let Some(folded) = self.recovered.remove(&group) {
            return Ok(Known::Log(Box::new(folded)));
        }
        if !self.states.contains_key(&group) {
            // A frame that cannot be read may have been this group's: it must not start over.
            let lost = self.unreadable.as_ref().map(|what| {
                Known::Damaged(format!("part of the journal cannot be read, perhaps of this group: {what}"))
            });
            return Ok(lost.unwrap_or(Known::Nothing));
        }
        let end = self.active.as_ref().map_or(self.end, |active| active.synced);
        let mut again = recover(&*self.config.disk, DIR, Some(end))?;
        let Some(folded) = again.fold.groups.remove(&group) else {
            return Ok(self.quarantine(group, "its records have gone from the journal".into()));
        };
        match folded.problem(again.unreadable.as_deref()) {
            Some(problem) => Ok(self.quarantine(group, problem)),
            None => Ok(Known::Log(Box::new(folded))),
        }
    }

    fn quarantine(&mut self, group: GroupId, reason: String) -> Known {
        self.quarantined.insert(group, reason.clone());
        Known::Damaged(reason)
    }

    /// Makes a batch durable: one append, one sync.
    pub(crate) fn write(&mut self, batch: &Batch) -> Result<(), WriteError> {
        if self.failed.is_some() {
            return Err(WriteError::Failed);
        }
        if self.active.as_ref().is_none_or(|active| active.len >= self.config.segment_bytes) {
            self.roll(&Batch::default())?;
        }
        self.append(batch)?;
        self.sync()?;
        for record in batch.records() {
            match record {
                Record::Head { .. } => {}
                Record::State(group, state) => {
                    self.states.insert(*group, state.clone());
                }
                Record::Reset(group, state) => {
                    self.forget(*group);
                    self.states.insert(*group, state.clone());
                }
                Record::Tombstone(group, replica) => {
                    if self.states.get(group).is_none_or(|state| state.replica <= *replica) {
                        self.forget(*group);
                        self.states.remove(group);
                        self.quarantined.remove(group);
                    }
                    let highest = self.tombstones.entry(*group).or_insert(*replica);
                    *highest = (*replica).max(*highest);
                }
                Record::Entry(group, entry) => {
                    if let Some(segment) = self.segments.back_mut() {
                        segment.hold(*group, entry.index());
                    }
                }
            }
        }
        Ok(())
    }

    /// The entries of a group so far count no more.
    fn forget(&mut self, group: GroupId) {
        self.recovered.remove(&group);
        for segment in &mut self.segments {
            segment.holds.remove(&group);
        }
    }

    /// Notes in the file how far it is synced, so that later damage there is told from an unsynced tail.
    pub(crate) fn mark(&mut self) -> Result<(), WriteError> {
        if self.failed.is_some() || self.active.as_ref().is_none_or(|active| active.marked) {
            return Ok(());
        }
        self.append(&Batch::default())
    }

    fn append(&mut self, batch: &Batch) -> Result<(), WriteError> {
        let (Some(active), Some(segment)) = (&mut self.active, self.segments.back_mut()) else {
            return Err(self.fail("no segment is open".into()));
        };
        self.buffer.clear();
        write_frame(&mut self.buffer, batch, segment.name, active.len, self.sequence, active.synced);
        let appended = active.file.append(&self.buffer);
        let written = self.buffer.len() as u64;
        if self.buffer.capacity() > BUFFER_KEPT_BYTES {
            self.buffer = Vec::new();
        }
        match appended {
            Ok(()) => {
                active.len += written;
                active.marked = true;
                segment.bytes = active.len;
                self.sequence += 1;
                Ok(())
            }
            Err(error) if error.failure == DiskFailure::Full => {
                self.obstacle = error.to_string();
                self.cut()
            }
            Err(error) => Err(self.fail(error.to_string())),
        }
    }

    /// Takes a partial frame off the file again.
    fn cut(&mut self) -> Result<(), WriteError> {
        let (Some(active), Some(segment)) = (&mut self.active, self.segments.back()) else {
            return Err(WriteError::Full);
        };
        match self.config.disk.open_at(&format!("{DIR}/{}", segment.name.file()), active.len) {
            Ok(file) => {
                active.file = file;
                Err(WriteError::Full)
            }
            Err(error) => Err(self.fail(error.to_string())),
        }
    }

    fn sync(&mut self) -> Result<(), WriteError> {
        let Some(active) = &mut self.active else { return Ok(()) };
        let began = self.config.clock.now();
        let synced = active.file.sync();
        self.config.metrics.fsyncs.inc();
        self.config.metrics.fsync_seconds.observe(self.config.clock.now().since(began).as_secs_f64());
        match synced {
            Ok(()) => {
                active.synced = active.len;
                active.next = self.sequence;
                active.marked = false;
                Ok(())
            }
            Err(error) => Err(self.fail(error.to_string())),
        }
    }

    fn fail(&mut self, reason: String) -> WriteError {
        self.config.metrics.events.note(&ConsensusEvent::JournalFailed { reason: reason.clone() });
        self.failed.get_or_insert(reason);
        WriteError::Failed
    }

    /// Bytes in all segments.
    pub(crate) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// Number of segments.
    pub(crate) fn segments(&self) -> usize {
        self.segments.len()
    }

    /// Why the journal takes nothing more, if so.
    pub(crate) fn failed(&self) -> Option<&str> {
        self.failed.as_deref()
    }

    /// What the last write that must wait ran into.
    pub(crate) fn obstacle(&self) -> &str {
        &self.obstacle
    }

    /// Damage found when the journal was opened.
    pub(crate) fn damage(&self) -> &[String] {
        &self.damage
    }

    /// The unsynced end that was cut off when the journal was opened.
    pub(crate) fn dropped(&self) -> Option<&str> {
        self.dropped.as_deref()
    }

    /// Groups that must not be served, with the reason.
    pub(crate) fn quarantined(&self) -> &BTreeMap<GroupId, String> {
        &self.quarantined
    }
}

#[cfg(test)]
mod tests;
