//! What callers hold: a clonable sender of commands, and what the driver has published.

use crate::barrier::IndexReply;
use crate::core::{Message, Role};
use crate::error::{GroupError, ProposeError};
use crate::group::TransferReply;
use crate::{GroupConfig, Machine, MemberChange, Members, Start};
use futures::channel::oneshot;
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;
use vectron_base::ids::{GroupId, ReplicaId};
use vectron_base::metric::Counter;

/// A proposal that was committed and applied here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Its place in the log.
    pub index: u64,
    /// The term of the leader that wrote it.
    pub term: u64,
    /// What the machine replied.
    pub reply: Vec<u8>,
}

/// A group as it was after the driver's last turn that touched it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupStatus {
    /// The replica here.
    pub replica: ReplicaId,
    /// What it is.
    pub role: Role,
    /// Its term.
    pub term: u64,
    /// Highest committed index.
    pub committed: u64,
    /// Highest applied index.
    pub applied: u64,
    /// Highest index that a checkpoint covers.
    pub checkpointed: u64,
    /// The leader, if known.
    pub leader: Option<ReplicaId>,
    /// Whether it decides alone and has applied everything from before it began to lead. Since its proposals are
    /// answered when they are applied, its machine then holds all that anybody was ever told.
    pub sole: bool,
    /// Who takes part, by what is applied here. A change shows when it is durable here, and at the leader when a
    /// majority knows of it too: from then on the members of before are not needed any more.
    pub members: Members,
    /// The index that `members` are as of: all changes up to it count, none after it. At most `applied`, and the same
    /// members at every replica that shows the same index.
    pub members_index: u64,
    /// What each member has of the log; known to the leader only.
    pub matched: BTreeMap<ReplicaId, u64>,
    /// This replica needs a snapshot, says this leader: the log that it lacks is gone there.
    pub lagging: Option<ReplicaId>,
    /// Whether it rests: its leader sends it no heartbeats of its own.
    pub at_rest: bool,
    /// Why it serves nothing, if so.
    pub quarantined: Option<String>,
}

/// The journal as it was after the driver's last turn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JournalStatus {
    /// Bytes in all segments.
    pub bytes: u64,
    /// Number of segments.
    pub segments: usize,
    /// Why it takes nothing until a restart, if so.
    pub failed: Option<String>,
    /// Whether it waits, for space or until a new segment can be begun.
    pub full: bool,
    /// Damage found when it was opened, with file and offset.
    pub damage: Vec<String>,
    /// The unsynced end that was cut off when it was opened, as after every power loss amid a write.
    pub dropped: Option<String>,
    /// Groups that are not served because of damage, with the reason.
    pub quarantined: BTreeMap<GroupId, String>,
    /// While the journal is over its limit: groups whose entries, or whose damage, keep its oldest segment.
    /// Those of them that are no [laggards](Handle::laggards) are not served here, and keep it until they are
    /// opened and checkpoint, or are removed.
    pub holders: Vec<GroupId>,
}

/// What the driver publishes.
#[derive(Default)]
pub(crate) struct Board {
    pub(crate) groups: RwLock<BTreeMap<GroupId, GroupStatus>>,
    pub(crate) journal: RwLock<JournalStatus>,
    pub(crate) laggards: RwLock<Vec<GroupId>>,
    waiting: Waiting,
}

impl Board {
    /// The applied index of a group that [decides alone](GroupStatus::sole).
    fn sole(&self, group: GroupId) -> Option<u64> {
        self.groups.read().get(&group).filter(|status| status.sole).map(|status| status.applied)
    }

    /// From now on every read point takes a round, or is refused.
    pub(crate) fn trust_nobody(&self) {
        self.groups.write().values_mut().for_each(|status| status.sole = false);
    }
}

/// Work that was accepted and not answered yet.
#[derive(Default)]
struct Waiting {
    proposals: AtomicU64,
    bytes: AtomicU64,
}

/// Limits of what a handle accepts.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) proposals: u64,
    pub(crate) bytes: u64,
    pub(crate) entry: u64,
}

/// A share of the queue, given back when the proposal is answered.
pub(crate) struct Ticket {
    board: Arc<Board>,
    bytes: u64,
}

impl Ticket {
    fn take(board: &Arc<Board>, bytes: u64, limits: Limits) -> Option<Self> {
        // Counted first and given back when it was too much, so that racing callers never exceed the limit.
        let ticket = Self { board: board.clone(), bytes };
        let proposals = board.waiting.proposals.fetch_add(1, Ordering::Relaxed) + 1;
        let queued = board.waiting.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        (proposals <= limits.proposals && (queued <= limits.bytes || proposals == 1)).then_some(ticket)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.board.waiting.proposals.fetch_sub(1, Ordering::Relaxed);
        self.board.waiting.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Where a proposal's answer goes.
pub(crate) struct ProposalReply {
    pub(crate) done: oneshot::Sender<Result<Applied, ProposeError>>,
    _ticket: Ticket,
}

impl ProposalReply {
    pub(crate) fn send(self, answer: Result<Applied, ProposeError>) {
        // A caller that gave up needs no answer.
        let _ = self.done.send(answer);
    }
}

/// Where the answer to a change of groups goes.
pub(crate) type GroupReply = oneshot::Sender<Result<(), GroupError>>;

/// What a handle asks of the driver.
pub(crate) enum Command {
    Open { config: GroupConfig, machine: Box<dyn Machine>, install: bool, done: GroupReply },
    Close { group: GroupId, done: GroupReply },
    Remove { group: GroupId, replica: Option<ReplicaId>, done: GroupReply },
    Propose { group: GroupId, command: Vec<u8>, reserved: bool, reply: ProposalReply },
    Change { group: GroupId, changes: Vec<MemberChange>, reply: ProposalReply },
    Campaign { group: GroupId },
    Transfer { group: GroupId, to: ReplicaId, reply: TransferReply },
    Point { group: GroupId, index: u64, reply: oneshot::Sender<Option<Start>> },
    Hold { group: GroupId, index: u64, time: Duration },
    Barrier { group: GroupId, reply: IndexReply },
    Applied { group: GroupId, index: u64, reply: IndexReply },
    Checkpointed { group: GroupId, index: u64 },
    Deliver(Message),
    Stop,
}

/// The callers' side of a [`Driver`](crate::Driver). Nothing is sent before a returned future is polled.
#[derive(Clone)]
pub struct Handle {
    pub(crate) commands: Sender<Command>,
    pub(crate) board: Arc<Board>,
    pub(crate) limits: Limits,
    pub(crate) barriers: Counter,
}

impl Handle {
    /// Hosts a group. The first time its first record is made durable before this answers; later its log is
    /// resumed. A replica that was removed here, or one with a lower number, is refused for ever.
    ///
    /// With a [start](GroupConfig::start) that the log here lacks, [`GroupError::NeedsInstall`] is the answer:
    /// the process stopped after it had put a snapshot in place and before the log was replaced.
    pub async fn open_group(&self, config: GroupConfig, machine: Box<dyn Machine>) -> Result<(), GroupError> {
        self.host(|done| Command::Open { config, machine, install: false, done }).await
    }

    /// Replaces the log of a replica, hosted or closed, by a [start](GroupConfig::start) that the log lacks, and
    /// hosts it with a machine whose durable state covers exactly that. The term and the vote stay. Durable
    /// before this answers. [`GroupError::NotNeeded`] if the log has that point or went past it: nothing was
    /// changed then, and a hosted replica goes on with its old machine.
    ///
    /// The machine's state must be in place for good before this is called. If the process stops at any point
    /// after, opening the group again tells whether to call this again.
    pub async fn install(&self, config: GroupConfig, machine: Box<dyn Machine>) -> Result<(), GroupError> {
        self.host(|done| Command::Open { config, machine, install: true, done }).await
    }

    /// Stops hosting a group. It can be opened again. Fine for one that is not hosted.
    pub async fn close_group(&self, group: GroupId) -> Result<(), GroupError> {
        self.host(|done| Command::Close { group, done }).await
    }

    /// Removes the replica of a group that is here for good: neither it nor one with a lower number can ever be
    /// opened here again, it answers nobody, and its log's space is given back. A replica with a higher number
    /// may come. Fine for a group that was never here: nothing is remembered then, see
    /// [`Handle::remove_replica`]. Records too damaged to tell their replica go with the whole group for ever.
    pub async fn remove_group(&self, group: GroupId) -> Result<(), GroupError> {
        self.host(|done| Command::Remove { group, replica: None, done }).await
    }

    /// As [`Handle::remove_group`], of a replica by its number, whether or not it was ever here. One with a higher
    /// number that is here stays.
    pub async fn remove_replica(&self, group: GroupId, replica: ReplicaId) -> Result<(), GroupError> {
        self.host(|done| Command::Remove { group, replica: Some(replica), done }).await
    }

    async fn host(&self, command: impl FnOnce(GroupReply) -> Command) -> Result<(), GroupError> {
        let (done, answer) = oneshot::channel();
        self.commands.send(command(done)).map_err(|_| GroupError::Closed)?;
        answer.await.unwrap_or(Err(GroupError::Closed))
    }

    /// Changes the members; answers when the change is applied here. Only on the leader, one change at a time:
    /// another one is [refused](ProposeError::Refused), as is one that would leave no voter, change nothing, give
    /// a vote to a replica that is no learner yet or that lacks log which is gone here, or leave a majority of such.
    /// Several at once are made by joint consensus, whose second phase follows by itself and may still last when
    /// this answers. A leader that is removed leads no more; hand over leadership first, for a shorter pause.
    pub async fn change_members(
        &self,
        group: GroupId,
        changes: Vec<MemberChange>,
    ) -> Result<Applied, ProposeError> {
        let ticket = Ticket::take(&self.board, 0, self.limits).ok_or(ProposeError::Overloaded)?;
        let (done, answer) = oneshot::channel();
        let reply = ProposalReply { done, _ticket: ticket };
        let command = Command::Change { group, changes, reply };
        self.commands.send(command).map_err(|_| ProposeError::Closed)?;
        answer.await.unwrap_or(Err(ProposeError::Unknown))
    }

    /// Hands leadership over to another voter; answers when that one leads. Meanwhile proposals are refused.
    pub async fn transfer_leader(&self, group: GroupId, to: ReplicaId) -> Result<(), ProposeError> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Transfer { group, to, reply };
        self.commands.send(command).map_err(|_| ProposeError::Closed)?;
        answer.await.unwrap_or(Err(ProposeError::Unknown))
    }

    /// Lets the replica here stand for election at once if it knows of no leader; nothing otherwise. For groups that
    /// have just begun. Who is not there yet gives no vote, so it may have to be said again.
    pub fn campaign(&self, group: GroupId) {
        // A driver that is gone leads nothing.
        let _ = self.commands.send(Command::Campaign { group });
    }

    /// What a replica needs to go on from an applied index, for a snapshot that covers exactly that; `None` if
    /// the log here starts later, or the index is not applied.
    pub async fn point(&self, group: GroupId, index: u64) -> Option<Start> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Point { group, index, reply }).ok()?;
        answer.await.ok().flatten()
    }

    /// Keeps the log after `index` for so long, within a limit in bytes: for a snapshot that is on its way.
    pub fn hold(&self, group: GroupId, index: u64, time: Duration) {
        // A driver that is gone drops no logs.
        let _ = self.commands.send(Command::Hold { group, index, time });
    }

    /// Puts a command into a group's log; answers when it is durable, committed and applied here.
    pub async fn propose(&self, group: GroupId, command: Vec<u8>) -> Result<Applied, ProposeError> {
        self.submit(group, command, false).await
    }

    /// As [`Handle::propose`], but may use the space that is kept in reserve: for commands that free space.
    pub async fn propose_reserved(&self, group: GroupId, command: Vec<u8>) -> Result<Applied, ProposeError> {
        self.submit(group, command, true).await
    }

    async fn submit(
        &self,
        group: GroupId,
        command: Vec<u8>,
        reserved: bool,
    ) -> Result<Applied, ProposeError> {
        let bytes = command.len() as u64;
        if bytes > self.limits.entry {
            return Err(ProposeError::TooLarge { limit: self.limits.entry });
        }
        let ticket = Ticket::take(&self.board, bytes, self.limits).ok_or(ProposeError::Overloaded)?;
        let (done, answer) = oneshot::channel();
        let reply = ProposalReply { done, _ticket: ticket };
        let command = Command::Propose { group, command, reserved, reply };
        self.commands.send(command).map_err(|_| ProposeError::Closed)?;
        answer.await.unwrap_or(Err(ProposeError::Unknown))
    }

    /// A linearizable read point: the machine here has applied everything whose proposer was answered before
    /// this was called. Gives an index that was applied.
    ///
    /// Where a group [decides alone](GroupStatus::sole) that is so at any time, and nothing waits for the driver,
    /// which may be amid a sync.
    pub async fn barrier(&self, group: GroupId) -> Result<u64, ProposeError> {
        if let Some(applied) = self.board.sole(group) {
            self.barriers.inc();
            return Ok(applied);
        }
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Barrier { group, reply }).map_err(|_| ProposeError::Closed)?;
        answer.await.unwrap_or(Err(ProposeError::Closed))
    }

    /// Answers when the group has applied at least `index`; gives the index applied by then.
    pub async fn applied(&self, group: GroupId, index: u64) -> Result<u64, ProposeError> {
        if let Some(applied) = self.board.sole(group).filter(|applied| *applied >= index) {
            return Ok(applied);
        }
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Applied { group, index, reply }).map_err(|_| ProposeError::Closed)?;
        answer.await.unwrap_or(Err(ProposeError::Closed))
    }

    /// The machine's durable checkpoint now covers `index`: the log up to there may be dropped.
    pub fn checkpointed(&self, group: GroupId, index: u64) {
        // A driver that is gone drops no logs.
        let _ = self.commands.send(Command::Checkpointed { group, index });
    }

    /// Hands in a message from another replica.
    pub fn deliver(&self, message: Message) {
        // Messages may be lost at any time; the protocol sends them again.
        let _ = self.commands.send(Command::Deliver(message));
    }

    /// A group's state after the last turn; `None` if it is not hosted here.
    pub fn status(&self, group: GroupId) -> Option<GroupStatus> {
        self.board.groups.read().get(&group).cloned()
    }

    /// Groups served here whose entries hold the oldest journal segment alive while the journal is over its
    /// limit: they should checkpoint.
    pub fn laggards(&self) -> Vec<GroupId> {
        self.board.laggards.read().clone()
    }

    /// The journal's state after the last turn.
    pub fn journal(&self) -> JournalStatus {
        self.board.journal.read().clone()
    }

    /// Ends the driver after the work that was handed in before.
    pub fn stop(&self) {
        // A driver that is gone has stopped.
        let _ = self.commands.send(Command::Stop);
    }
}
