//! The driver: turns commands into batches, batches into durable entries, and those into answers.
//!
//! A turn has fixed steps. Commands and ticks are stepped into the groups; what the cores want persisted is
//! gathered into one batch; the batch is appended and synced; then committed entries are applied and callers
//! answered. When the disk has no space the batch waits and is written again at the next turn; meanwhile
//! nothing new is accepted, reads go on, and no caller is told anything that is not so. When the journal has
//! failed, the groups are not touched any more, and nothing about them leaves this process.

mod admission;
mod hosting;
mod settle;
mod ticking;

use crate::batch::Batch;
use crate::core::Message;
use crate::error::OpenError;
use crate::event::ConsensusEvent;
use crate::group::Group;
use crate::handle::{Board, Command, GroupReply, GroupStatus, Handle, JournalStatus, Limits};
use crate::journal::{Journal, JournalConfig, WriteError};
use crate::knobs::ConsensusKnobs;
use crate::metrics::ConsensusMetrics;
use hosting::Opening;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, channel};
use vectron_base::clock::{Clock, Tick};
use vectron_base::disk::Disk;
use vectron_base::ids::GroupId;
use vectron_base::random::Random;

/// Where messages for other replicas go. Losing some is allowed.
pub trait Outbox: Send {
    /// Sends one message, without waiting.
    fn send(&mut self, message: Message);
}

/// An outbox for groups with one voter: they have nobody to write to.
struct Nowhere;

impl Outbox for Nowhere {
    fn send(&mut self, _: Message) {}
}

/// What a turn did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Whether anything was done; if so, another turn may find more.
    pub worked: bool,
    /// When the next turn is due even if nothing arrives.
    pub next_tick: Tick,
    /// Whether the driver was stopped: no further turn does anything.
    pub stopped: bool,
}

enum Hosted {
    Live(Box<Group>),
    Quarantined(String),
}

/// Hosts groups over one journal.
pub struct Driver {
    clock: Arc<dyn Clock>,
    disk: Arc<dyn Disk>,
    knobs: ConsensusKnobs,
    metrics: ConsensusMetrics,
    journal: Journal,
    commands: Receiver<Command>,
    /// Taken from the channel while waiting for work.
    early: Option<Command>,
    board: Arc<Board>,
    outbox: Box<dyn Outbox>,
    outgoing: Vec<Message>,
    hosted: BTreeMap<GroupId, Hosted>,
    opening: Vec<Opening>,
    removing: Vec<(GroupId, GroupReply)>,
    /// Groups that this turn must look at.
    dirty: BTreeSet<GroupId>,
    batch: Batch,
    next_tick: Tick,
    /// Ticks that have passed.
    ticks: u64,
    /// Groups that count ticks; the other live ones rest.
    awake: BTreeSet<GroupId>,
    /// Processes that are told of groups at rest, and when they last answered, in ticks.
    told: BTreeMap<u64, u64>,
    /// This life of this process, as others know it.
    process: u64,
    /// The group that was applied last, so that the others get their turn.
    applied_last: GroupId,
    /// The batch waits for space.
    stalled: bool,
    /// Space that proposals may still take in this turn, with and without the reserve; asked for once.
    room: Option<(u64, u64)>,
    seed: u64,
    /// Groups that were opened so far.
    openings: u64,
    stopped: bool,
}

impl Driver {
    /// Opens the journal in the directory `journal` of `disk` and recovers it.
    pub fn open(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        knobs: ConsensusKnobs,
        metrics: ConsensusMetrics,
    ) -> Result<(Driver, Handle), OpenError> {
        let (seed, process) = (random.next_u64(), random.next_u64());
        let journal = Journal::open(JournalConfig {
            disk: disk.clone(),
            clock: clock.clone(),
            random,
            metrics: metrics.clone(),
            segment_bytes: knobs.journal_segment_bytes,
            limit_bytes: knobs.journal_limit_bytes,
        })?;
        let (sender, commands) = channel();
        let board = Arc::new(Board::default());
        let limits = Limits {
            proposals: knobs.queue_max_proposals,
            bytes: knobs.queue_max_bytes,
            entry: knobs.entry_max_bytes,
        };
        let barriers = metrics.barriers.clone();
        let handle = Handle { commands: sender, board: board.clone(), limits, barriers };
        let next_tick = clock.now().plus(knobs.tick());
        let mut driver = Self {
            clock,
            disk,
            knobs,
            metrics,
            journal,
            commands,
            early: None,
            board,
            outbox: Box::new(Nowhere),
            outgoing: Vec::new(),
            hosted: BTreeMap::new(),
            opening: Vec::new(),
            removing: Vec::new(),
            dirty: BTreeSet::new(),
            batch: Batch::default(),
            next_tick,
            ticks: 0,
            awake: BTreeSet::new(),
            told: BTreeMap::new(),
            process,
            applied_last: GroupId(0),
            stalled: false,
            room: None,
            seed,
            openings: 0,
            stopped: false,
        };
        driver.publish_journal();
        Ok((driver, handle))
    }

    /// Sends messages for other replicas to `outbox`.
    pub fn with_outbox(mut self, outbox: Box<dyn Outbox>) -> Self {
        self.outbox = outbox;
        self
    }

    /// Handles everything that is waiting: one append and one sync for all of it, then apply, then answers.
    pub fn turn(&mut self) -> Turn {
        if self.stopped {
            return Turn { worked: false, next_tick: self.next_tick, stopped: true };
        }
        self.room = None;
        let (mut worked, stopping) = self.take_commands();
        self.tick();
        if self.journal.failed().is_none() {
            self.gather();
            // A leader's messages need not wait for its own sync; all others were held back.
            self.send();
            worked |= self.write();
        }
        worked |= self.open_waiting();
        if worked {
            self.journal.drop_covered();
        } else if self.journal.mark() == Err(WriteError::Failed) {
            // Idle was the time to note how far the journal is synced.
            self.fail();
            worked = true;
        }
        self.send();
        if worked {
            self.publish_journal();
        }
        if stopping {
            self.shut_down();
        }
        Turn { worked, next_tick: self.next_tick, stopped: self.stopped }
    }

    /// The production loop: waits for work, turns, until [`Handle::stop`] or until no handle is left.
    pub fn run(mut self) {
        loop {
            let turn = self.turn();
            if turn.stopped {
                return;
            }
            if turn.worked {
                continue;
            }
            match self.commands.recv_timeout(turn.next_tick.since(self.clock.now())) {
                Ok(command) => self.early = Some(command),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    self.shut_down();
                    return;
                }
            }
        }
    }

    /// Takes in what is queued now; whether there was anything, and whether it ended with a stop.
    fn take_commands(&mut self) -> (bool, bool) {
        let mut worked = false;
        let failed = self.journal.failed().is_some();
        loop {
            let command = match self.early.take() {
                Some(command) => command,
                None => match self.commands.try_recv() {
                    Ok(command) => command,
                    Err(TryRecvError::Empty | TryRecvError::Disconnected) => return (worked, false),
                },
            };
            worked = true;
            match command {
                Command::Stop => return (true, true),
                Command::Open { config, machine, install, done } => {
                    self.opening.push(Opening { config, machine, install, done });
                }
                Command::Close { group, done } => self.close_group(group, done),
                Command::Remove { group, replica, done } => self.remove(group, replica, done),
                Command::Propose { group, command, reserved, reply } => {
                    self.propose(group, command, reserved, reply);
                }
                Command::Change { group, changes, reply } => self.change_members(group, &changes, reply),
                Command::Transfer { group, to, reply } => self.transfer(group, to, reply),
                Command::Point { group, index, reply } => {
                    let point = self.live(group).and_then(|group| group.point(index));
                    // A caller that gave up needs no answer.
                    let _ = reply.send(point);
                }
                Command::Hold { group, index, time } => {
                    let until = self.clock.now().plus(time);
                    self.live(group).into_iter().for_each(|group| group.hold(index, until));
                }
                Command::Barrier { group, reply } => self.with(group, reply, Group::barrier),
                Command::Applied { group, index, reply } => {
                    self.with(group, reply, |group, reply| group.await_applied(index, reply));
                }
                // What these would change could never become durable.
                Command::Checkpointed { .. } | Command::Deliver(_) | Command::Campaign { .. } if failed => {}
                Command::Campaign { group } => self.guarded(group, Group::stand),
                Command::Checkpointed { group, index } => self.checkpointed(group, index),
                Command::Deliver(message) => self.deliver(message),
            }
        }
    }

    fn live(&mut self, id: GroupId) -> Option<&mut Group> {
        match self.hosted.get_mut(&id) {
            Some(Hosted::Live(group)) => Some(group),
            _ => None,
        }
    }

    /// Hands a message to the replica that it is for. What is for another one is dropped: a replica that was
    /// removed here says nothing any more, least of all that it votes.
    fn deliver(&mut self, message: Message) {
        if let Some(pulses) = message.pulses() {
            let mut here = None;
            for pulse in pulses {
                if self.rest_following(pulse) {
                    here = Some(pulse);
                }
            }
            self.outgoing.extend(here.map(Message::echo));
        } else if message.is_echo() {
            self.told.insert(message.process, self.ticks);
        } else if self.live(message.group()).is_some_and(|group| group.replica() == message.to()) {
            let ticks = self.ticks;
            self.stir(message.group(), |group| group.step(message, ticks));
        } else {
            self.metrics.messages_dropped.inc();
        }
    }

    fn checkpointed(&mut self, id: GroupId, index: u64) {
        if let Some(group) = self.live(id) {
            group.checkpointed(index);
            let pressed = self.journal.holders().contains(&id);
            self.trim(id, pressed);
            self.dirty.insert(id);
        }
    }

    /// Lets a group do something, which wakes it; a panic quarantines that group and nothing else.
    fn guarded(&mut self, id: GroupId, act: impl FnOnce(&mut Group)) {
        let Some(Hosted::Live(group)) = self.hosted.get_mut(&id) else { return };
        group.asked(self.ticks);
        self.stir(id, act);
    }

    /// As [`Driver::guarded`], for what keeps nobody awake.
    fn stir(&mut self, id: GroupId, act: impl FnOnce(&mut Group)) {
        let Some(Hosted::Live(group)) = self.hosted.get_mut(&id) else { return };
        self.dirty.insert(id);
        if group.rouse(self.ticks) {
            self.awake.insert(id);
        }
        if catch_unwind(AssertUnwindSafe(|| act(group))).is_err() {
            self.quarantine(id, "its log could not go on".into());
        }
    }

    fn send(&mut self) {
        for mut message in self.outgoing.drain(..) {
            message.process = self.process;
            self.outbox.send(message);
        }
    }

    /// Gathers what the groups want persisted.
    fn gather(&mut self) {
        for id in self.dirty.clone() {
            let (batch, out, metrics) = (&mut self.batch, &mut self.outgoing, &self.metrics);
            let Some(Hosted::Live(group)) = self.hosted.get_mut(&id) else { continue };
            if catch_unwind(AssertUnwindSafe(|| group.collect(batch, out, metrics))).is_err() {
                self.quarantine(id, "its log could not go on".into());
            }
        }
    }

    /// Writes the batch, if there is one, and lets the groups go on. Whether anything was done.
    fn write(&mut self) -> bool {
        if self.batch.is_empty() {
            return self.settle(false);
        }
        match self.journal.write(&self.batch) {
            Ok(()) => {
                self.metrics.batch_entries.observe(self.batch.entries() as f64);
                self.metrics.batch_bytes.observe(self.batch.bytes() as f64);
                if self.stalled {
                    self.metrics.events.note(&ConsensusEvent::DiskFreed);
                }
                self.stalled = false;
                // After a stall, groups that were gathered in earlier turns wait for this write too.
                self.dirty.extend(self.batch.groups());
                self.batch.clear();
                for (_, done) in self.removing.drain(..) {
                    let _ = done.send(Ok(()));
                }
                self.settle(true);
                true
            }
            Err(WriteError::Full) => {
                if !self.stalled {
                    let reason = self.journal.obstacle().to_string();
                    self.metrics.events.note(&ConsensusEvent::DiskFull { reason });
                }
                self.stalled = true;
                self.settle(false)
            }
            Err(WriteError::Failed) => {
                self.fail();
                true
            }
        }
    }

    fn publish(&mut self, id: GroupId) {
        let Some(Hosted::Live(group)) = self.hosted.get(&id) else { return };
        let status = group.status();
        let before = self.board.groups.write().insert(id, status.clone());
        if status.lagging.is_some() && before.as_ref().is_none_or(|before| before.lagging.is_none()) {
            self.metrics.snapshots_needed.inc();
        }
        let led = |s: &GroupStatus| s.role == crate::Role::Leader;
        if led(&status) && before.is_none_or(|before| !led(&before) || before.term != status.term) {
            self.metrics.events.note(&ConsensusEvent::Elected { group: id, term: status.term });
        }
    }

    fn publish_journal(&mut self) {
        let holders = self.journal.holders();
        let live = |id: &GroupId| matches!(self.hosted.get(id), Some(Hosted::Live(_)));
        *self.board.laggards.write() = holders.iter().copied().filter(live).collect();
        let status = JournalStatus {
            bytes: self.journal.bytes(),
            segments: self.journal.segments(),
            failed: self.journal.failed().map(str::to_string),
            full: self.stalled,
            damage: self.journal.damage().to_vec(),
            dropped: self.journal.dropped().map(str::to_string),
            quarantined: self.journal.quarantined().clone(),
            holders,
        };
        self.metrics.journal_bytes.set(i64::try_from(status.bytes).unwrap_or(i64::MAX));
        self.metrics.journal_segments.set(status.segments as i64);
        let quarantined = self.hosted.values().filter(|h| matches!(h, Hosted::Quarantined(_))).count();
        self.metrics.quarantined_groups.set(quarantined as i64);
        let resting = (self.hosted.len() - quarantined).saturating_sub(self.awake.len());
        self.metrics.resting_groups.set(resting as i64);
        *self.board.journal.write() = status;
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.shut_down();
    }
}
