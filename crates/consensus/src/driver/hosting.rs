//! Opening, closing, removing, quarantining and ending.

use super::{Driver, Hosted};
use crate::batch::Record;
use crate::core::{Core, CoreConfig, Members, Role, Vote};
use crate::error::{GroupError, ProposeError};
use crate::event::ConsensusEvent;
use crate::group::Group;
use crate::handle::{Command, GroupReply, GroupStatus};
use crate::journal::{Folded, Known, State};
use crate::{GroupConfig, Machine};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use vectron_base::ids::{GroupId, ReplicaId};

/// A group that waits to be opened.
pub(super) struct Opening {
    pub(super) config: GroupConfig,
    pub(super) machine: Box<dyn Machine>,
    pub(super) done: GroupReply,
}

impl Driver {
    /// Opens the groups that wait for it; whether there were any.
    pub(super) fn open_waiting(&mut self) -> bool {
        let waiting = std::mem::take(&mut self.opening);
        let any = !waiting.is_empty();
        for Opening { config, machine, done } in waiting {
            self.open_group(config, machine, done);
        }
        any
    }

    fn open_group(&mut self, config: GroupConfig, machine: Box<dyn Machine>, done: GroupReply) {
        let (id, replica) = (config.group, config.replica);
        match self.prepare(config, &*machine) {
            Ok((core, state, fresh)) => {
                if fresh {
                    self.batch.push(Record::State(id, state.clone()));
                }
                let group = Group::new(id, core, machine, state, self.seed, done);
                self.hosted.insert(id, Hosted::Live(Box::new(group)));
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

    /// A core for a group, its state, and whether the group is new.
    fn prepare(
        &mut self,
        config: GroupConfig,
        machine: &dyn Machine,
    ) -> Result<(Core, State, bool), GroupError> {
        if config.replica.0 == 0 || config.voters.iter().any(|voter| voter.0 == 0) {
            return Err(GroupError::Invalid("replica ids start at 1"));
        }
        if self.journal.failed().is_some() {
            return Err(GroupError::JournalFailed);
        }
        if let Some(Hosted::Quarantined(reason)) = self.hosted.get(&config.group) {
            return Err(GroupError::Quarantined(reason.clone()));
        }
        if self.hosted.contains_key(&config.group) || self.removing.iter().any(|(id, _)| *id == config.group)
        {
            return Err(GroupError::AlreadyOpen);
        }
        if self.stalled {
            return Err(GroupError::DiskFull);
        }
        let durable = machine.durable_index();
        let (state, entries, fresh) = match self.journal.load(config.group) {
            Ok(Known::Removed) => return Err(GroupError::Removed),
            Ok(Known::Damaged(reason)) => return Err(GroupError::Quarantined(reason)),
            Ok(Known::Nothing) => (first_state(&config)?, VecDeque::new(), true),
            Ok(Known::Log(folded)) => match *folded {
                Folded { state: Some(state), entries, .. } => (state, entries, false),
                _ => return Err(GroupError::Quarantined("its first record is missing".into())),
            },
            Err(error) => return Err(GroupError::Quarantined(error.to_string())),
        };
        if state.replica != config.replica {
            return Err(GroupError::OtherReplica { stored: state.replica });
        }
        let last = state.start.0 + entries.len() as u64;
        if durable < state.start.0 {
            let start = state.start.0 + 1;
            let reason = format!("the machine's state covers {durable} but the log starts at {start}");
            return Err(GroupError::Quarantined(reason));
        }
        if durable > last {
            let reason = format!("the machine's state covers {durable} but the log ends at {last}");
            return Err(GroupError::Quarantined(reason));
        }
        let core_config = CoreConfig {
            group: config.group,
            replica: config.replica,
            start: state.start,
            entries: entries.into_iter().map(|(_, entry)| entry).collect(),
            vote: state.vote,
            members: state.members.clone(),
            applied: durable,
            election_ticks: self.knobs.election(),
            seed: self.seed,
        };
        match catch_unwind(AssertUnwindSafe(|| Core::open(core_config))) {
            Ok(Ok(core)) => Ok((core, state, fresh)),
            Ok(Err(reason)) => Err(GroupError::Quarantined(reason)),
            Err(_) => Err(GroupError::Quarantined("its log could not be resumed".into())),
        }
    }

    /// Stops hosting a group.
    fn close(&mut self, id: GroupId) {
        if let Some(Hosted::Live(mut group)) = self.hosted.remove(&id) {
            group.give_up(&ProposeError::Closed, GroupError::Closed);
        }
        self.opening.retain(|opening| opening.config.group != id);
        self.board.groups.write().remove(&id);
    }

    /// Removes a group for good.
    pub(super) fn remove(&mut self, id: GroupId, done: GroupReply) {
        self.close(id);
        if self.journal.failed().is_some() {
            let _ = done.send(Err(GroupError::JournalFailed));
            return;
        }
        self.batch.push(Record::Tombstone(id));
        self.removing.push((id, done));
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
            quarantined: Some(reason.clone()),
        };
        self.board.groups.write().insert(id, status);
        self.hosted.insert(id, Hosted::Quarantined(reason));
        self.dirty.remove(&id);
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
                Command::Propose { reply, .. } => reply.send(Err(ProposeError::Closed)),
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
    let mut voters: Vec<u64> = config.voters.iter().map(|voter| voter.0).collect();
    voters.sort_unstable();
    voters.dedup();
    let members = Members { voters, ..Members::default() };
    Ok(State { replica: config.replica, vote: Vote::default(), start: (0, 0), members })
}
