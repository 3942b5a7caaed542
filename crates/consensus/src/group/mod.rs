//! One hosted replica: its core, its machine, and everybody who waits for it.

mod apply;
mod membership;
mod rest;
mod retention;

pub(crate) use membership::TransferReply;
pub(crate) use retention::Keep;

use crate::barrier::{Barriers, IndexReply};
use crate::batch::{Batch, Record};
use crate::core::{Core, Effects, Entry, Message, Role};
use crate::error::{GroupError, ProposeError};
use crate::handle::{GroupReply, GroupStatus, ProposalReply};
use crate::journal::State;
use crate::metrics::ConsensusMetrics;
use crate::{Machine, Members};
use membership::Transfer;
use rest::Rest;
use retention::Retention;
use std::collections::{BTreeMap, VecDeque};
use vectron_base::ids::{GroupId, ReplicaId};

/// A proposal in the log that is not applied yet.
struct Pending {
    index: u64,
    term: u64,
    reply: ProposalReply,
}

/// One hosted replica.
pub(crate) struct Group {
    id: GroupId,
    core: Core,
    machine: Box<dyn Machine>,
    state: State,
    applied: u64,
    /// Number of the last effects that wait for a sync.
    awaiting: Option<u64>,
    /// Messages that may go out only after that sync.
    held: Vec<Message>,
    committed: VecDeque<Entry>,
    /// By rising index.
    pending: VecDeque<Pending>,
    barriers: Barriers,
    until: BTreeMap<u64, Vec<IndexReply>>,
    opening: Option<GroupReply>,
    retention: Retention,
    /// The members that others are told of, and what was applied when they were these.
    shown: (u64, Members),
    transfer: Option<Transfer>,
    rest: Rest,
}

impl Group {
    /// A replica over an opened core. Of a new one nothing is sent before its first record is durable.
    pub(crate) fn new(
        id: GroupId,
        core: Core,
        machine: Box<dyn Machine>,
        state: State,
        salt: [u64; 2],
        opening: GroupReply,
        fresh: bool,
    ) -> Self {
        let durable = machine.durable_index();
        let shown = (durable, core.members().clone());
        Self {
            id,
            applied: durable,
            core,
            machine,
            awaiting: fresh.then_some(0),
            held: Vec::new(),
            committed: VecDeque::new(),
            pending: VecDeque::new(),
            barriers: Barriers::new([state.replica.0, salt[0], salt[1]]),
            state,
            until: BTreeMap::new(),
            opening: Some(opening),
            retention: Retention::new(durable),
            shown,
            transfer: None,
            rest: Rest::default(),
        }
    }

    /// Stands for election if there is nobody else to elect.
    pub(crate) fn wake(&mut self) {
        if self.core.decides_alone() && self.core.role() != Role::Leader {
            self.core.campaign();
        }
    }

    /// Stands for election before its time, unless somebody leads.
    pub(crate) fn stand(&mut self) {
        self.core.stand();
    }

    /// Puts a command into the log.
    pub(crate) fn propose(&mut self, command: Vec<u8>, reply: ProposalReply) {
        match self.core.propose(command) {
            Some((index, term)) => self.await_answer(index, term, reply),
            None => {
                let leader = self.core.successor().or(self.core.leader());
                reply.send(Err(ProposeError::NotLeader { leader }));
            }
        }
    }

    fn await_answer(&mut self, index: u64, term: u64, reply: ProposalReply) {
        // Another leader cut these off the log here. A third replica may still have them and lead later: what
        // becomes of them will not be known here.
        while let Some(cut) = self.pending.pop_back_if(|pending| pending.index >= index) {
            cut.reply.send(Err(ProposeError::Unknown));
        }
        self.pending.push_back(Pending { index, term, reply });
    }

    /// This replica.
    pub(crate) fn replica(&self) -> ReplicaId {
        self.state.replica
    }

    /// Whether a proposal can be taken.
    pub(crate) fn leads(&self) -> bool {
        self.core.role() == Role::Leader
    }

    /// Owes a read point.
    pub(crate) fn barrier(&mut self, reply: IndexReply) {
        self.barriers.add(reply);
    }

    /// Answers when `index` is applied.
    pub(crate) fn await_applied(&mut self, index: u64, reply: IndexReply) {
        if self.applied >= index {
            // A caller that gave up needs no answer.
            let _ = reply.send(Ok(self.applied));
        } else {
            self.until.entry(index).or_default().push(reply);
        }
    }

    /// Takes a message from another replica.
    pub(crate) fn step(&mut self, message: Message, tick: u64) {
        self.heard(&message, tick);
        if message.leads() {
            self.retention.everywhere = self.retention.everywhere.max(message.everywhere);
        }
        self.core.step(message);
    }

    /// Lets a tick pass.
    pub(crate) fn tick(&mut self, patience: usize) {
        // A leader without followers has nobody to send heartbeats to.
        if !(self.core.alone() && self.core.role() == Role::Leader) {
            self.core.tick();
        }
        self.barriers.tick(&self.core, patience);
        self.tick_transfer(patience);
        self.pending.retain(|pending| self.core.role() == Role::Leader || !pending.reply.done.is_canceled());
        for waiters in self.until.values_mut() {
            waiters.retain(|reply| !reply.is_canceled());
        }
        self.until.retain(|_, waiters| !waiters.is_empty());
    }

    /// Gathers what the core wants done: records into the batch, messages into `out`.
    pub(crate) fn collect(&mut self, batch: &mut Batch, out: &mut Vec<Message>, metrics: &ConsensusMetrics) {
        self.barriers.begin(&mut self.core);
        let Some(effects) = self.core.collect() else { return };
        let Effects { number, vote, entries, mut committed, mut now, mut after_sync, reads } = effects;
        let mut durable = !entries.is_empty();
        for entry in entries {
            batch.push(Record::Entry(self.id, entry));
        }
        if let Some((vote, changed)) = vote {
            // The commit index alone is not worth a record: it is learnt again after a restart.
            let commit = self.state.vote.commit;
            self.state.vote = vote;
            if changed {
                batch.push(Record::State(self.id, self.state.clone()));
                durable = true;
            } else {
                self.state.vote.commit = commit.max(self.state.vote.commit);
            }
        }
        if let Some(everywhere) = self.core.everywhere() {
            now.iter_mut().filter(|message| message.leads()).for_each(|m| m.everywhere = everywhere);
        }
        out.append(&mut now);
        self.committed.extend(committed.drain(..));
        for (context, index) in reads {
            for reply in self.barriers.answered(&context) {
                metrics.barriers.inc();
                self.await_applied(index, reply);
            }
        }
        if durable || self.awaiting.is_some() {
            self.awaiting = Some(number);
            self.held.append(&mut after_sync);
        } else {
            self.core.persisted(number);
            out.append(&mut after_sync);
        }
    }

    /// Everything gathered so far is durable.
    pub(crate) fn persisted(&mut self, out: &mut Vec<Message>) {
        if let Some(number) = self.awaiting.take() {
            self.core.persisted(number);
            out.append(&mut self.held);
        }
        if self.core.members_known() {
            self.shown.0 = self.applied;
            if self.shown.1 != *self.core.members() {
                self.shown.1 = self.core.members().clone();
            }
        }
        if let Some(done) = self.opening.take() {
            // A caller that gave up needs no answer.
            let _ = done.send(Ok(()));
        }
    }

    /// Whether another turn has work here.
    pub(crate) fn has_work(&self) -> bool {
        !self.committed.is_empty() || self.core.has_work()
    }

    /// Whether somebody waits for a read point.
    pub(crate) fn owes(&self) -> bool {
        !self.barriers.idle()
    }

    /// What waits for a sync will never be durable: it is forgotten, and never sent.
    pub(crate) fn abandon(&mut self) {
        self.awaiting = None;
        self.held.clear();
    }

    /// Answers everybody who waits: proposals in the log as unknown, the others with `error`.
    pub(crate) fn give_up(&mut self, error: &ProposeError, opening: GroupError) {
        for pending in self.pending.drain(..) {
            pending.reply.send(Err(ProposeError::Unknown));
        }
        self.barriers.fail(error);
        self.end_transfer(Err(error.clone()));
        for reply in std::mem::take(&mut self.until).into_values().flatten() {
            let _ = reply.send(Err(error.clone()));
        }
        if let Some(done) = self.opening.take() {
            let _ = done.send(Err(opening));
        }
    }

    /// See [`GroupStatus::sole`]. The first entry of a leader's term comes after all that others wrote.
    fn sole(&self) -> bool {
        self.core.alone() && self.leads() && self.core.term_of(self.applied) == Some(self.core.term())
    }

    /// What others may know.
    pub(crate) fn status(&self) -> GroupStatus {
        GroupStatus {
            replica: self.state.replica,
            role: self.core.role(),
            term: self.core.term(),
            committed: self.core.committed(),
            applied: self.applied,
            checkpointed: self.retention.covered,
            leader: self.core.leader(),
            sole: self.sole(),
            members: self.shown.1.clone(),
            members_index: self.shown.0,
            matched: self.core.matched(),
            lagging: self.core.lagging(),
            at_rest: self.at_rest(),
            quarantined: None,
        }
    }
}
