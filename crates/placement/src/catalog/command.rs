//! What can be asked of the catalog, and what comes of it.

use serde::{Deserialize, Serialize};
use vectron_base::filter::{FieldIndex, FieldType};
use vectron_base::ids::{Incarnation, ReplicaId, ShardId, WorkerId};
use vectron_wire::placement::{AliasAction, CollectionSpec, Registration, WorkerState};

/// How many moves may be under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveLimits {
    /// In the cluster.
    pub overall: u64,
    /// To one worker.
    pub per_worker: u64,
}

/// A change of the catalog. Encoded as JSON: changes are rare, and an operator can read the log.
///
/// Every step of a plan names what it was planned on (a shard's `config` or `epoch`). When that has changed
/// meanwhile the command does nothing and says [`Reply::Stale`], so that two planners cannot mix their plans.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "command")]
pub enum Command {
    /// A worker is here, new or with new figures.
    RegisterWorker {
        /// Who, with what.
        registration: Registration,
    },
    /// A worker takes replicas, or gives its own away.
    SetWorkerState {
        /// Which.
        worker: WorkerId,
        /// What it is meant for.
        state: WorkerState,
    },
    /// A worker without replicas is forgotten.
    RemoveWorker {
        /// Which.
        worker: WorkerId,
    },
    /// A collection, with the workers chosen for each shard.
    CreateCollection {
        /// What to make.
        spec: CollectionSpec,
        /// The proposer's wall time.
        created_at_ms: u64,
        /// For each shard, the workers of its replicas.
        placements: Vec<Vec<WorkerId>>,
        /// How many collections may exist.
        collections_max: u64,
    },
    /// The name is free from now on; workers seal and remove the shards.
    DeleteCollection {
        /// Its name.
        name: String,
    },
    /// Aliases change: all of these, in order, or none.
    ChangeAliases {
        /// What to do.
        actions: Vec<AliasAction>,
        /// How many aliases may exist.
        aliases_max: u64,
    },
    /// The live collection of a name gets a payload index.
    CreateIndex {
        /// The collection's name.
        collection: String,
        /// What to index.
        index: FieldIndex,
        /// How many a collection may have.
        indexes_max: u64,
    },
    /// The live collection of a name loses a payload index.
    DeleteIndex {
        /// The collection's name.
        collection: String,
        /// Whose index.
        field: String,
    },
    /// Every shard's data is gone.
    ForgetCollection {
        /// Which life of the name.
        incarnation: Incarnation,
    },
    /// A replica is added, taken away, or replaced by one elsewhere.
    BeginMove {
        /// Of which shard.
        shard: ShardId,
        /// The shard's config that this was planned on.
        config: u64,
        /// Which replica goes.
        from: Option<ReplicaId>,
        /// Which worker gets one.
        to: Option<WorkerId>,
        /// Whether an added replica only follows. One that replaces another is what that was.
        learner: bool,
        /// What is copied, in bytes.
        bytes: u64,
        /// Why, in words.
        reason: String,
        /// The proposer's wall time.
        started_ms: u64,
        /// How many moves there may be.
        limits: MoveLimits,
    },
    /// The new replica has caught up: it votes, and the old one leaves.
    SwitchMove {
        /// Which move.
        id: u64,
        /// The shard's config that this was planned on.
        config: u64,
    },
    /// The new replica leads: the only other voter leaves.
    RetireSource {
        /// Which move.
        id: u64,
        /// The shard's config that this was planned on.
        config: u64,
    },
    /// The group's members are as wanted: the replica that left is no longer listed, so that its worker removes it.
    DropReplica {
        /// Which move.
        id: u64,
        /// The shard's config that this was planned on.
        config: u64,
    },
    /// The data of the replica that left is gone, or its worker is.
    FinishMove {
        /// Which move.
        id: u64,
    },
    /// The move is rolled back: the new replica leaves.
    CancelMove {
        /// Which move.
        id: u64,
        /// The shard's config that this was planned on.
        config: u64,
    },
    /// Who shall lead a shard.
    SetLeader {
        /// Which shard.
        shard: ShardId,
        /// The shard's config that this was planned on.
        config: u64,
        /// A voter, or nobody in particular.
        leader: Option<ReplicaId>,
    },
    /// A replica's state differs from the others': it is to be replaced.
    Condemn {
        /// Of which shard.
        shard: ShardId,
        /// Which.
        replica: ReplicaId,
        /// Why, in words.
        why: String,
    },
    /// The upper part of a shard becomes a shard of its own: workers prepare for it.
    PlanSplit {
        /// Which shard.
        shard: ShardId,
        /// The shard's config that this was planned on.
        config: u64,
        /// First hash of the upper part.
        first: u64,
        /// How many shards a collection may have.
        shards_max: u64,
    },
    /// The replicas are prepared: the cut goes into the shard's log.
    CutSplit {
        /// Which shard.
        shard: ShardId,
        /// The shard's config that this was planned on.
        config: u64,
    },
    /// The split is given up before its cut.
    AbortSplit {
        /// Which shard.
        shard: ShardId,
        /// The shard's config that this was planned on.
        config: u64,
    },
    /// The cut is applied: there are two shards.
    FinishSplit {
        /// Which shard.
        shard: ShardId,
        /// The epoch of the range before the cut.
        epoch: u64,
    },
    /// Whether moves stop where they are safe and none begins.
    SetPaused {
        /// Whether.
        paused: bool,
    },
    /// Whether replicas are spread until no move makes it better.
    SetRebalancing {
        /// Whether.
        rebalancing: bool,
    },
    /// A member of the placement driver, or its new address.
    AddMember {
        /// Its replica of the catalog. One that was removed never comes back.
        replica: ReplicaId,
        /// Where it is reached.
        address: String,
    },
    /// A member of the placement driver leaves for good.
    RemoveMember {
        /// Which.
        replica: ReplicaId,
    },
}

impl Command {
    /// Whether the command gives space back, so that it must pass on a full disk.
    pub fn frees(&self) -> bool {
        if let Command::ChangeAliases { actions, .. } = self {
            return actions.iter().all(|action| matches!(action, AliasAction::Delete { .. }));
        }
        matches!(
            self,
            Command::DeleteCollection { .. }
                | Command::ForgetCollection { .. }
                | Command::DeleteIndex { .. }
                | Command::DropReplica { .. }
                | Command::FinishMove { .. }
                | Command::CancelMove { .. }
                | Command::AbortSplit { .. }
        )
    }
}

/// Why an action on aliases cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AliasRefusal {
    /// There is no such collection to name.
    NoCollection,
    /// There is no such alias to delete.
    NoAlias,
    /// A collection has the name.
    NameTaken,
    /// There are as many aliases as may be.
    Full,
}

/// What a command came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "reply")]
pub enum Reply {
    /// Done, or nothing to do.
    Done,
    /// The collection is there; `created` says whether by this command.
    Collection {
        /// Which life of the name.
        incarnation: Incarnation,
        /// Made by this command.
        created: bool,
    },
    /// The name has another configuration; which settings differ.
    Conflict {
        /// Names of the settings that differ.
        differs: Vec<String>,
    },
    /// The name is an alias of this collection, and what was asked for needs a name of its own.
    IsAlias {
        /// What it means.
        collection: String,
    },
    /// An action on aliases cannot be, so that none was done.
    AliasRefused {
        /// Which, from 0.
        action: u64,
        /// Why.
        why: AliasRefusal,
    },
    /// There are as many collections as may be, or as many indexes in this one.
    Full,
    /// No such collection.
    NotFound,
    /// The payload index is there; `created` says whether by this command.
    Index {
        /// Made by this command.
        created: bool,
    },
    /// The field has an index of another type.
    IndexConflict {
        /// The type it has.
        have: FieldType,
    },
    /// The collection has no index on the field.
    NoIndex,
    /// The move has begun.
    Begun {
        /// Its number.
        id: u64,
    },
    /// What the command was planned on has changed; nothing changed by it.
    Stale,
    /// The command is not allowed; nothing changed.
    Refused {
        /// Why, in words.
        why: String,
    },
    /// The command could not be read; nothing changed.
    Malformed,
}
