//! The only module that names the Raft library: events in, effects out, plain types at the border.

mod cache;
mod conf;
mod entry;
mod join;
mod membership;
mod message;
mod rest;

pub(crate) use entry::{Entry, EntryKind};
pub use message::Message;
pub(crate) use message::Pulse;

use crate::Members;
use crate::stored::StoredEntry;
use cache::Cache;
use join::joined;
use raft::eraftpb::{self, MessageType};
use raft::{Config, RawNode, SnapshotStatus, StateRole};
use std::collections::VecDeque;
use vectron_base::ids::{GroupId, ReplicaId};
use vectron_base::random::mix64;

/// Committed bytes handed out at once, so that a long replay does not hold a turn.
const APPLY_CHUNK_BYTES: u64 = 4 << 20;
const MESSAGE_BYTES: u64 = 1 << 20;
const HEARTBEAT_TICKS: usize = 2;

/// What a replica is in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Follows a leader, or waits for one.
    Follower,
    /// Asks for votes.
    Candidate,
    /// Leads.
    Leader,
}

/// What a replica must never forget about elections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Vote {
    /// Current term.
    pub(crate) term: u64,
    /// The replica voted for in it; zero for none.
    pub(crate) vote: u64,
    /// Highest index known to be committed.
    pub(crate) commit: u64,
}

/// What a core starts from.
pub(crate) struct CoreConfig {
    pub(crate) group: GroupId,
    pub(crate) replica: ReplicaId,
    /// Index and term before the first entry.
    pub(crate) start: (u64, u64),
    pub(crate) entries: VecDeque<StoredEntry>,
    pub(crate) vote: Vote,
    /// The members as of the start.
    pub(crate) members: Members,
    pub(crate) applied: u64,
    pub(crate) election_ticks: usize,
    pub(crate) seed: u64,
}

/// What a core wants done.
#[derive(Default)]
pub(crate) struct Effects {
    /// To be given back to [`Core::persisted`].
    pub(crate) number: u64,
    /// New vote state, and whether it must be durable before anything else happens.
    pub(crate) vote: Option<(Vote, bool)>,
    /// To be made durable, in order.
    pub(crate) entries: Vec<Entry>,
    /// To be applied, in order.
    pub(crate) committed: Vec<Entry>,
    /// To be sent now.
    pub(crate) now: Vec<Message>,
    /// To be sent when everything above is durable.
    pub(crate) after_sync: Vec<Message>,
    /// Read points by the context of their request.
    pub(crate) reads: Vec<(Vec<u8>, u64)>,
}

/// One replica of one log.
pub(crate) struct Core {
    group: GroupId,
    node: RawNode<Cache>,
    election_ticks: usize,
    seed: u64,
    /// The members since the log's start, each with the index of the entry that made them so.
    history: VecDeque<(u64, Members)>,
    /// A leader has no log for us, only what a snapshot up to this index covers.
    lagging: Option<(ReplicaId, u64)>,
    /// A request to take over that came while a change of members was not applied yet.
    handed: Option<eraftpb::Message>,
}

impl Core {
    /// A replica that resumes from `config`; the reason if that is impossible.
    pub(crate) fn open(config: CoreConfig) -> Result<Self, String> {
        let mut vote = config.vote;
        let mut changes = Vec::new();
        for (index, entry) in (config.start.0 + 1..).zip(&config.entries) {
            if entry.kind == EntryKind::Members {
                let entry = entry.load(index).ok_or(format!("entry {index} is damaged"))?;
                changes.push(entry);
            }
        }
        // A change is proposed when the one before it is applied, so that all but the last are committed. This
        // must not be forgotten: whoever stands for election counts votes by the members that it knows of, and
        // with two changes outstanding its majority might not meet that of the others.
        if let [.., committed, _] = changes.as_slice() {
            vote.commit = vote.commit.max(committed.index());
        }
        let mut cache = Cache::new(config.start, config.entries, vote, config.members.clone());
        if vote.commit > cache.last() {
            return Err(format!("the log ends at {} but was committed to {}", cache.last(), vote.commit));
        }
        vote.commit = vote.commit.max(config.applied);
        cache.set_vote(vote);
        let raft_config = Config {
            id: config.replica.0,
            election_tick: config.election_ticks,
            heartbeat_tick: HEARTBEAT_TICKS,
            applied: config.applied,
            max_size_per_msg: MESSAGE_BYTES,
            max_inflight_msgs: 64,
            check_quorum: true,
            pre_vote: true,
            max_committed_size_per_ready: APPLY_CHUNK_BYTES,
            ..Config::default()
        };
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let node = RawNode::new(&raft_config, cache, &logger).map_err(|e| e.to_string())?;
        let mut core = Self {
            group: config.group,
            node,
            election_ticks: config.election_ticks,
            seed: config.seed,
            history: VecDeque::from([(config.start.0, config.members)]),
            lagging: None,
            handed: None,
        };
        for change in changes.iter().take_while(|change| change.index() <= config.applied) {
            core.apply_members(change);
        }
        if core.alone() {
            // Nobody else ever asks for entries that are applied.
            core.node.mut_store().release(config.applied);
        }
        core.fix_timeout();
        Ok(core)
    }

    /// The library draws election timeouts from the thread's generator; ours follow from seed, group,
    /// replica and term, so that equal runs are equal.
    fn fix_timeout(&mut self) {
        let raft = &mut self.node.raft;
        let draw = mix64(self.seed ^ mix64(self.group.0 ^ mix64(raft.id ^ mix64(raft.term))));
        let timeout = self.election_ticks + (draw % self.election_ticks.max(1) as u64) as usize;
        raft.set_randomized_election_timeout(timeout);
    }

    /// Stands for election at once.
    pub(crate) fn campaign(&mut self) {
        // The library refuses to campaign only when there is nothing to do.
        let _ = self.node.campaign();
        self.fix_timeout();
    }

    /// Stands for election before its time, if it may vote, knows of no leader, and is not amid an election of its
    /// own. The timer may do so at any moment, so it is as safe: the votes before the votes are asked for as ever.
    pub(crate) fn stand(&mut self) {
        let raft = &self.node.raft;
        let free = match raft.state {
            StateRole::Follower => raft.leader_id == raft::INVALID_ID,
            // Who was not there when it asked did not answer.
            StateRole::PreCandidate => true,
            StateRole::Candidate | StateRole::Leader => false,
        };
        if free && raft.promotable() {
            self.campaign();
        }
    }

    /// Lets one tick pass.
    pub(crate) fn tick(&mut self) {
        self.node.tick();
        self.fix_timeout();
    }

    /// Puts a command into the log; its index and term, or `None` if this replica cannot take it.
    pub(crate) fn propose(&mut self, command: Vec<u8>) -> Option<(u64, u64)> {
        if self.role() != Role::Leader {
            return None;
        }
        let mut message = eraftpb::Message { from: self.node.raft.id, ..eraftpb::Message::default() };
        message.set_msg_type(eraftpb::MessageType::MsgPropose);
        message.set_entries(vec![Entry::new(0, 0, EntryKind::Command, command).0].into());
        self.node.raft.step(message).ok()?;
        Some((self.node.raft.raft_log.last_index(), self.node.raft.term))
    }

    /// Whether a read point can be asked for now.
    pub(crate) fn can_read(&self) -> bool {
        match self.role() {
            Role::Leader => self.node.raft.commit_to_current_term(),
            _ => self.leader().is_some(),
        }
    }

    /// Asks for a read point.
    pub(crate) fn read_index(&mut self, context: Vec<u8>) {
        self.node.read_index(context);
    }

    /// Takes a message from another replica.
    pub(crate) fn step(&mut self, message: Message) {
        let Some(message) = message.into_inner() else { return };
        match message.get_msg_type() {
            MessageType::MsgSnapshot => self.told_to_catch_up(&message),
            MessageType::MsgTimeoutNow => self.handed(message),
            // Messages from replicas that are no members are refused; that is their sender's problem.
            _ => drop(self.node.step(message)),
        }
        self.fix_timeout();
    }

    /// What there is to do now, if anything.
    pub(crate) fn collect(&mut self) -> Option<Effects> {
        if !self.node.has_ready() {
            return None;
        }
        let mut ready = self.node.ready();
        let (group, replica) = (self.group, self.node.raft.id);
        let mut told = Vec::new();
        let mut outgoing = |messages: Vec<eraftpb::Message>| {
            let snapshots = messages.iter().filter(|m| m.get_msg_type() == MessageType::MsgSnapshot);
            told.extend(snapshots.map(|m| m.to));
            // A request for a read point that came to the wrong replica is not passed on in another's name.
            let own = messages.into_iter().filter(|message| message.from == replica);
            joined(own).into_iter().map(|message| Message::new(group, message)).collect()
        };
        let effects = Effects {
            number: ready.number(),
            vote: ready.hs().map(|hs| {
                let known = self.node.store().vote();
                let vote = Vote { term: hs.term, vote: hs.vote, commit: hs.commit };
                (vote, (vote.term, vote.vote) != (known.term, known.vote))
            }),
            entries: ready.take_entries().into_iter().map(Entry).collect(),
            committed: ready.take_committed_entries().into_iter().map(Entry).collect(),
            now: outgoing(ready.take_messages()),
            after_sync: outgoing(ready.take_persisted_messages()),
            reads: ready.take_read_states().into_iter().map(|r| (r.request_ctx, r.index)).collect(),
        };
        let cache = self.node.mut_store();
        cache.append(&effects.entries);
        if let Some((vote, _)) = effects.vote {
            cache.set_vote(vote);
        }
        self.node.advance_append_async(ready);
        for replica in told {
            // Nothing was sent that could arrive: the next answer of that replica is answered so again.
            self.node.report_snapshot(replica, SnapshotStatus::Failure);
        }
        Some(effects)
    }

    /// Everything up to the effects of this number is durable.
    pub(crate) fn persisted(&mut self, number: u64) {
        self.node.on_persist_ready(number);
    }

    /// The machine has applied everything up to `index`.
    pub(crate) fn applied(&mut self, index: u64) {
        let last = self.node.raft.raft_log.last_index();
        self.node.advance_apply_to(index);
        if self.node.raft.raft_log.last_index() > last {
            // The entry that ends a joint phase; the library itself would send it only later.
            self.node.raft.bcast_append();
        }
        if self.alone() {
            self.node.mut_store().release(index);
        }
        if let Some(message) = self.handed.take() {
            self.handed(message);
            self.fix_timeout();
        }
    }

    /// The log up to `index` is covered by a checkpoint.
    pub(crate) fn start_at(&mut self, index: u64) {
        let cache = self.node.mut_store();
        cache.release(index);
        cache.start_at(index);
        while self.history.get(1).is_some_and(|(from, _)| *from <= index) {
            self.history.pop_front();
        }
    }

    /// The lowest index after which the log up to `end` weighs at most `bytes`.
    pub(crate) fn floor(&self, end: u64, bytes: u64) -> u64 {
        self.node.store().floor(end, bytes)
    }

    /// Whether there is something to collect.
    pub(crate) fn has_work(&self) -> bool {
        self.node.has_ready()
    }

    /// Term of an entry since the log's start.
    pub(crate) fn term_of(&self, index: u64) -> Option<u64> {
        self.node.store().term_of(index)
    }

    /// Whether this replica is the only member.
    pub(crate) fn alone(&self) -> bool {
        self.decides_alone() && self.members().learners.is_empty()
    }

    /// Whether this replica is the only voter.
    pub(crate) fn decides_alone(&self) -> bool {
        let members = self.members();
        members.voters == [self.replica()] && !members.joint()
    }

    /// This replica.
    pub(crate) fn replica(&self) -> ReplicaId {
        ReplicaId(self.node.raft.id)
    }

    /// What this replica is now.
    pub(crate) fn role(&self) -> Role {
        match self.node.raft.state {
            StateRole::Leader => Role::Leader,
            StateRole::Follower => Role::Follower,
            StateRole::Candidate | StateRole::PreCandidate => Role::Candidate,
        }
    }

    /// The leader, if known.
    pub(crate) fn leader(&self) -> Option<ReplicaId> {
        let raft = &self.node.raft;
        // A replica that cannot stand for election never gives up on a leader.
        let lost = !raft.promotable() && raft.election_elapsed >= 2 * self.election_ticks;
        (raft.leader_id != 0 && !lost).then_some(ReplicaId(raft.leader_id))
    }

    /// Current term.
    pub(crate) fn term(&self) -> u64 {
        self.node.raft.term
    }

    /// Highest committed index.
    pub(crate) fn committed(&self) -> u64 {
        self.node.raft.raft_log.committed
    }
}
