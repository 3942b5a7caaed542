//! Opening, closing, removing, quarantining and ending.

use super::{Driver, Hosted};
use crate::batch::Record;
use crate::core::{Core, CoreConfig, Role, Vote};
use crate::error::{GroupError, ProposeError};
use crate::event::ConsensusEvent;
use crate::group::Group;
use crate::handle::{Command, GroupReply, GroupStatus};
use crate::journal::{Folded, Known, State};
use crate::stored::StoredEntry;
use crate::{GroupConfig, Machine, Members, Start};
use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use vectron_base::ids::{GroupId, ReplicaId};

/// A group that waits to be opened.
pub(super) struct Opening {
    pub(super) config: GroupConfig,
    pub(super) machine: Box<dyn Machine>,
    /// Whether it replaces the log.
    pub(super) install: bool,
    pub(super) done: GroupReply,
}

/// What a group goes on from.
struct Log {
    state: State,
    entries: VecDeque<StoredEntry>,
    /// What makes it so, if the journal does not have it yet.
    record: Option<Record>,
}

impl Log {
    fn last(&self) -> u64 {
        self.state.start.0 + self.entries.len() as u64
    }

    /// Whether a point is in it, or it went past it.
    fn contains(&self, start: &Start) -> bool {
        if start.index <= self.state.start.0.max(self.state.vote.commit) {
            return true;
        }
        let at = (start.index - self.state.start.0 - 1) as usize;
        self.entries.get(at).is_some_and(|entry| entry.term == start.term)
    }
}

impl Driver {
    /// Opens the groups that wait for it; whether there were any.
    pub(super) fn open_waiting(&mut self) -> bool {
        let waiting = std::mem::take(&mut self.opening);
        let any = !waiting.is_empty();
        for opening in waiting {
            self.open_group(opening);
        }
        any
    }

    fn open_group(&mut self, opening: Opening) {
        let Opening { config, machine, install, done } = opening;
        let (id, replica) = (config.group, config.replica);
        let log = if install { self.replaced(&config, &*machine) } else { self.resumed(&config, &*machine) };
        let opened = log.and_then(|log| {
            let core = self.core(&config, &log, machine.durable_index())?;
            Ok((core, log))
        });
        match opened {
            Ok((core, Log { state, record, .. })) => {
                let fresh = record.is_some();
                record.into_iter().for_each(|record| self.batch.push(record));
                self.openings += 1;
                let salt = [self.seed, self.openings];
                let group = Group::new(id, core, machine, state, salt, done, fresh);
                self.hosted.insert(id, Hosted::Live(Box::new(group)));
                self.awake.insert(id);
                self.guarded(id, Group::wake);
            }
            Err(error) => {
                if let GroupError::Quarantined(reason) = &error {
                    self.host_quarantined(id, replica, reason.clone());
                }
                // A caller that gave up needs no answer.
                let _ = done.send(Err(error));
            }
        }
    }

    /// Whether the driver can take on a replica.
    fn admit(&self, config: &GroupConfig) -> Result<(), GroupError> {
        if config.replica.0 == 0 || config.voters.iter().any(|voter| voter.0 == 0) {
            return Err(GroupError::Invalid("replica ids start at 1"));
        }
        if self.journal.failed().is_some() {
            return Err(GroupError::JournalFailed);
        }
        if let Some(Hosted::Quarantined(reason)) = self.hosted.get(&config.group) {
            return Err(GroupError::Quarantined(reason.clone()));
        }
        if self.removing.iter().any(|(id, _)| *id == config.group) {
            return Err(GroupError::AlreadyOpen);
        }
        if self.stalled {
            return Err(GroupError::DiskFull);
        }
        let removed = self.journal.tombstone(config.group);
        if removed.is_some_and(|removed| config.replica <= removed) {
            return Err(GroupError::Removed);
        }
        Ok(())
    }

    /// The log of a group, or a new one.
    fn resumed(&mut self, config: &GroupConfig, machine: &dyn Machine) -> Result<Log, GroupError> {
        self.admit(config)?;
        if self.hosted.contains_key(&config.group) {
            return Err(GroupError::AlreadyOpen);
        }
        let log = match (self.load(config)?, &config.start) {
            (Some(log), _) => log,
            (None, start) => {
                let state = match start {
                    Some(start) => started(config, start, machine, Vote::default())?,
                    None => first_state(config)?,
                };
                let record = Some(Record::State(config.group, state.clone()));
                Log { state, entries: VecDeque::new(), record }
            }
        };
        let durable = machine.durable_index();
        if config.start.as_ref().is_some_and(|start| start.index == durable && !log.contains(start)) {
            return Err(GroupError::NeedsInstall);
        }
        let (start, last) = (log.state.start.0 + 1, log.last());
        if durable + 1 < start {
            let reason = format!("the machine's state covers {durable} but the log starts at {start}");
            return Err(GroupError::Quarantined(reason));
        }
        if durable > last {
            let reason = format!("the machine's state covers {durable} but the log ends at {last}");
            return Err(GroupError::Quarantined(reason));
        }
        Ok(log)
    }

    /// A log that starts anew from a point that the log here lacks.
    ///
    /// Nothing that was acknowledged is lost. The point is committed: its leader applied it. Take any entry after
    /// it that is dropped here, and that some leader counted as held by this replica. That leader had the same
    /// log up to the entry (log matching), so it lacked the committed point too, and so does every log that
    /// holds the entry. Leaders of terms after the point was committed have it (leader completeness), so none of
    /// them ever holds the entry, and leaders of terms before can commit nothing any more, as a majority has
    /// moved on. Entries up to the point are covered by the machine's state, which is durable. Term and vote
    /// stay, so that this replica votes for nobody twice.
    fn replaced(&mut self, config: &GroupConfig, machine: &dyn Machine) -> Result<Log, GroupError> {
        self.admit(config)?;
        let Some(start) = &config.start else {
            return Err(GroupError::Invalid("there is no start to install"));
        };
        let vote = match self.hosted.get(&config.group) {
            Some(Hosted::Live(group)) if group.replica() != config.replica => {
                return Err(GroupError::OtherReplica { stored: group.replica() });
            }
            Some(Hosted::Live(group)) if group.contains(start) => return Err(GroupError::NotNeeded),
            Some(Hosted::Live(group)) => group.vote(),
            _ => match self.load(config)? {
                Some(log) if log.contains(start) => return Err(GroupError::NotNeeded),
                Some(log) => log.state.vote,
                None => Vote::default(),
            },
        };
        let state = started(config, start, machine, vote)?;
        self.close(config.group);
        let record = Some(Record::Reset(config.group, state.clone()));
        Ok(Log { state, entries: VecDeque::new(), record })
    }

    /// What the journal has of a replica; nothing if it is new.
    fn load(&mut self, config: &GroupConfig) -> Result<Option<Log>, GroupError> {
        let log = match self.journal.load(config.group) {
            Ok(Known::Damaged(reason)) => return Err(GroupError::Quarantined(reason)),
            Ok(Known::Nothing) => return Ok(None),
            Ok(Known::Log(folded)) => match *folded {
                Folded { state: Some(state), entries, .. } => Log {
                    state,
                    entries: entries.into_iter().map(|(_, entry)| entry).collect(),
                    record: None,
                },
                _ => return Err(GroupError::Quarantined("its first record is missing".into())),
            },
            Err(error) => return Err(GroupError::Quarantined(error.to_string())),
        };
        if log.state.replica != config.replica {
            return Err(GroupError::OtherReplica { stored: log.state.replica });
        }
        Ok(Some(log))
    }

    /// A core that goes on from a log.
    fn core(&self, config: &GroupConfig, log: &Log, applied: u64) -> Result<Core, GroupError> {
        let core_config = CoreConfig {
            group: config.group,
            replica: config.replica,
            start: log.state.start,
            entries: log.entries.clone(),
            vote: log.state.vote,
            members: log.state.members.clone(),
            applied,
            election_ticks: self.knobs.election(),
            seed: self.seed,
        };
        match catch_unwind(AssertUnwindSafe(|| Core::open(core_config))) {
            Ok(Ok(core)) => Ok(core),
            Ok(Err(reason)) => Err(GroupError::Quarantined(reason)),
            Err(_) => Err(GroupError::Quarantined("its log could not be resumed".into())),
        }
    }

    /// Stops hosting a group.
    fn close(&mut self, id: GroupId) {
        if let Some(Hosted::Live(mut group)) = self.hosted.remove(&id) {
            group.give_up(&ProposeError::Closed, GroupError::Closed);
        }
        self.awake.remove(&id);
        self.opening.retain(|opening| opening.config.group != id);
        self.board.groups.write().remove(&id);
    }

    /// Stops hosting a group; it may be opened again.
    pub(super) fn close_group(&mut self, id: GroupId, done: GroupReply) {
        self.close(id);
        // A caller that gave up needs no answer.
        let _ = done.send(Ok(()));
    }

    /// Removes a replica for good: the one whose records are here, or the one that is named.
    pub(super) fn remove(&mut self, id: GroupId, replica: Option<ReplicaId>, done: GroupReply) {
        let hosted = match self.hosted.get(&id) {
            Some(Hosted::Live(group)) => Some(group.replica()),
            _ => {
                let opening = self.opening.iter().find(|opening| opening.config.group == id);
                self.journal.replica(id).or(opening.map(|opening| opening.config.replica))
            }
        };
        if hosted
            .is_some_and(|hosted| replica.is_none_or(|replica| hosted <= replica || hosted.0 == u64::MAX))
        {
            self.close(id);
        }
        let removed = self.journal.tombstone(id);
        let known =
            |replica: &ReplicaId| hosted.is_some() || removed.is_none_or(|removed| removed < *replica);
        if self.journal.failed().is_some() {
            let _ = done.send(Err(GroupError::JournalFailed));
        } else if let Some(replica) = replica.or(hosted).filter(known) {
            self.batch.push(Record::Tombstone(id, replica));
            self.removing.push((id, done));
        } else {
            let _ = done.send(Ok(()));
        }
    }

    /// Serves nothing from a group any more; the others go on.
    pub(super) fn quarantine(&mut self, id: GroupId, reason: String) {
        let Some(Hosted::Live(mut group)) = self.hosted.remove(&id) else { return };
        let replica = group.status().replica;
        let error = ProposeError::Quarantined(reason.clone());
        group.give_up(&error, GroupError::Quarantined(reason.clone()));
        self.host_quarantined(id, replica, reason);
    }

    fn host_quarantined(&mut self, id: GroupId, replica: ReplicaId, reason: String) {
        self.metrics.events.note(&ConsensusEvent::Quarantined { group: id, reason: reason.clone() });
        let status = GroupStatus {
            replica,
            role: Role::Follower,
            term: 0,
            committed: 0,
            applied: 0,
            checkpointed: 0,
            leader: None,
            sole: false,
            members: Members::default(),
            members_index: 0,
            matched: BTreeMap::new(),
            lagging: None,
            at_rest: false,
            quarantined: Some(reason.clone()),
        };
        self.board.groups.write().insert(id, status);
        self.hosted.insert(id, Hosted::Quarantined(reason));
        self.dirty.remove(&id);
        self.awake.remove(&id);
    }

    /// The journal has failed: what is in flight has an unknown outcome, and nothing more is accepted.
    pub(super) fn fail(&mut self) {
        self.board.trust_nobody();
        self.batch.clear();
        self.outgoing.clear();
        self.dirty.clear();
        self.stalled = false;
        for (_, done) in self.removing.drain(..) {
            let _ = done.send(Err(GroupError::JournalFailed));
        }
        for hosted in self.hosted.values_mut() {
            if let Hosted::Live(group) = hosted {
                group.abandon();
                group.give_up(&ProposeError::JournalFailed, GroupError::JournalFailed);
            }
        }
    }

    /// Answers everybody and accepts nothing more.
    pub(super) fn shut_down(&mut self) {
        if self.stopped {
            return;
        }
        self.stopped = true;
        // A failure is noted by the journal itself.
        let _ = self.journal.mark();
        for hosted in self.hosted.values_mut() {
            if let Hosted::Live(group) = hosted {
                group.give_up(&ProposeError::Closed, GroupError::Closed);
            }
        }
        self.opening.clear();
        self.removing.clear();
        self.board.groups.write().clear();
        while let Some(command) = self.early.take().or_else(|| self.commands.try_recv().ok()) {
            match command {
                Command::Propose { reply, .. } | Command::Change { reply, .. } => {
                    reply.send(Err(ProposeError::Closed));
                }
                Command::Barrier { reply, .. } | Command::Applied { reply, .. } => {
                    let _ = reply.send(Err(ProposeError::Closed));
                }
                // Their callers see the answer's sender go away, which says the same.
                _ => {}
            }
        }
    }
}

fn first_state(config: &GroupConfig) -> Result<State, GroupError> {
    if !config.voters.contains(&config.replica) {
        return Err(GroupError::Invalid("the replica is not among the voters"));
    }
    let members = Members::of_voters(config.voters.iter().copied());
    Ok(State { replica: config.replica, vote: Vote::default(), start: (0, 0), members })
}

/// The state of a replica that starts from a point.
fn started(
    config: &GroupConfig,
    start: &Start,
    machine: &dyn Machine,
    vote: Vote,
) -> Result<State, GroupError> {
    if !start.members.contains(config.replica) {
        return Err(GroupError::Invalid("the replica is not among the members at its start"));
    }
    if start.index == 0 || start.term == 0 || machine.durable_index() != start.index {
        return Err(GroupError::Invalid("the machine does not cover exactly the log up to its start"));
    }
    let mut vote = Vote { commit: start.index, ..vote };
    if vote.term < start.term {
        (vote.term, vote.vote) = (start.term, 0);
    }
    let (start, members) = ((start.index, start.term), start.members.clone());
    Ok(State { replica: config.replica, vote, start, members })
}
