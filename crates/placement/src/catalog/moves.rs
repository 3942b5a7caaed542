//! Moves in the catalog: a replica is added, taken away, or replaced, in steps that each leave the shard with at
//! least as many voters as it shall have.
//!
//! The step is kept here and nowhere else, so that whoever leads next goes on where the last leader stopped.

use super::command::MoveLimits;
use super::{Catalog, Reply};
use serde::{Deserialize, Serialize};
use vectron_base::ids::{ReplicaId, ShardId, WorkerId};
use vectron_wire::placement::{CollectionState, Replica, ReplicaRole, Shard};

/// How far a move is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The new replica fetches its data and catches up.
    Copying,
    /// The group's members change.
    Switching,
    /// The data of the replica that left is being removed.
    Removing,
}

/// A move under way. A shard has at most one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// Its number.
    pub id: u64,
    /// Which shard.
    pub shard: ShardId,
    /// The replica that goes, as it was before.
    pub from: Option<Replica>,
    /// The replica that comes, as it was added.
    pub to: Option<Replica>,
    /// How far.
    pub step: Step,
    /// Whether it is being rolled back: then the new replica is the one that goes.
    #[serde(default)]
    pub undone: bool,
    /// What is copied, in bytes.
    pub bytes: u64,
    /// Why, in words.
    pub reason: String,
    /// Wall time of its start, in milliseconds since the Unix epoch.
    pub started_ms: u64,
}

impl Move {
    /// The replica that goes.
    pub fn leaving(&self) -> Option<Replica> {
        if self.undone { self.to } else { self.from }
    }
}

/// What [`super::Command::BeginMove`] says.
pub(super) struct Begin {
    pub(super) shard: ShardId,
    pub(super) config: u64,
    pub(super) from: Option<ReplicaId>,
    pub(super) to: Option<WorkerId>,
    pub(super) learner: bool,
    pub(super) bytes: u64,
    pub(super) reason: String,
    pub(super) started_ms: u64,
    pub(super) limits: MoveLimits,
}

impl Catalog {
    pub(super) fn begin_move(&mut self, begin: Begin) -> Reply {
        let Begin { shard: id, config, from, to, learner, bytes, reason, started_ms, limits } = begin;
        let Some((rf, shard)) = self.movable(id, config) else { return Reply::Stale };
        let from = match from {
            None => None,
            Some(wanted) => match shard.replicas.iter().find(|r| r.replica == wanted) {
                Some(r) if matches!(r.role, ReplicaRole::Voter | ReplicaRole::Learner) => Some(*r),
                _ => return Reply::Stale,
            },
        };
        let voters = shard.replicas.iter().filter(|r| r.role == ReplicaRole::Voter).count();
        let votes = from.map_or(!learner, |replica| replica.role == ReplicaRole::Voter);
        let fits = match (from, to) {
            (None, None) => false,
            (None, Some(_)) => !votes || voters < rf,
            // One that is past hope may go before there is another, while a majority of those wanted stays: where no
            // other worker takes a replica, the new one comes to the same worker.
            (Some(from), None) => {
                let hopeless = self.condemned.contains_key(&from.replica);
                !votes || voters > rf || (hopeless && voters == rf && (voters - 1) * 2 > rf)
            }
            (Some(_), Some(_)) => true,
        };
        let room = self.moves.len() < limits.overall as usize && !self.paused;
        let target_fits = to.is_none_or(|to| {
            let incoming = |m: &&Move| !m.undone && m.to.is_some_and(|replica| replica.worker == to);
            self.workers.contains_key(&to)
                && !self.draining.contains(&to)
                && shard.on(to).is_none()
                && (self.moves.values().filter(incoming).count() as u64) < limits.per_worker
        });
        if !fits || !room || !target_fits {
            return Reply::Stale;
        }
        let to = to.map(|worker| {
            self.next_replica += 1;
            let role = if votes { ReplicaRole::Joining } else { ReplicaRole::Learner };
            Replica { replica: ReplicaId(self.next_replica), worker, role }
        });
        self.next_move += 1;
        let step = if to.is_some() { Step::Copying } else { Step::Switching };
        let number = self.next_move;
        let begun = Move { id: number, shard: id, from, to, step, undone: false, bytes, reason, started_ms };
        self.moves.insert(number, begun);
        self.change_shard(id, |shard| {
            shard.replicas.extend(to);
            if let (Some(from), None) = (from, to) {
                leave(shard, from.replica);
            }
        });
        Reply::Begun { id: number }
    }

    /// A shard of a live collection at this config, with its voters wanted, if nothing else happens to it.
    fn movable(&self, id: ShardId, config: u64) -> Option<(usize, &Shard)> {
        let (collection, shard) = self.shard(id)?;
        let free = collection.state == CollectionState::Live
            && shard.config == config
            && shard.split.is_none()
            && self.move_of(id).is_none();
        free.then_some((collection.spec.replication_factor as usize, shard))
    }

    /// The move and its shard, if the shard is at this config.
    fn step_of(&self, id: u64, config: u64) -> Option<(Move, &Shard)> {
        let found = self.moves.get(&id)?;
        let (_, shard) = self.shard(found.shard)?;
        (shard.config == config).then(|| (found.clone(), shard))
    }

    pub(super) fn switch_move(&mut self, id: u64, config: u64) -> Reply {
        let Some((found, shard)) = self.step_of(id, config) else { return Reply::Stale };
        let Some(to) = found.to.filter(|_| found.step == Step::Copying && !self.paused) else {
            return Reply::Stale;
        };
        let others = shard
            .replicas
            .iter()
            .any(|r| r.role == ReplicaRole::Voter && Some(r.replica) != found.from.map(|from| from.replica));
        self.change_shard(found.shard, |shard| {
            set_role(shard, to.replica, ReplicaRole::Joining, ReplicaRole::Voter);
            match found.from {
                // A lone voter cannot hand over to one that does not vote yet: both vote until the new one leads.
                Some(from) if from.role == ReplicaRole::Voter && !others => shard.leader = Some(to.replica),
                Some(from) => leave(shard, from.replica),
                None => {}
            }
        });
        if found.from.is_none() && to.role == ReplicaRole::Learner {
            self.moves.remove(&id);
        } else {
            self.set_step(id, Step::Switching);
        }
        Reply::Done
    }

    pub(super) fn retire_source(&mut self, id: u64, config: u64) -> Reply {
        let Some((found, shard)) = self.step_of(id, config) else { return Reply::Stale };
        let (Some(from), Some(to)) = (found.from, found.to) else { return Reply::Stale };
        let votes =
            |id: ReplicaId| shard.replicas.iter().any(|r| r.replica == id && r.role == ReplicaRole::Voter);
        if found.step != Step::Switching || found.undone || !votes(from.replica) || !votes(to.replica) {
            return Reply::Stale;
        }
        self.change_shard(found.shard, |shard| {
            leave(shard, from.replica);
            shard.leader = None;
        });
        Reply::Done
    }

    pub(super) fn drop_replica(&mut self, id: u64, config: u64) -> Reply {
        let Some((found, shard)) = self.step_of(id, config) else { return Reply::Stale };
        if found.step != Step::Switching {
            return Reply::Stale;
        }
        let Some(gone) = found.leaving() else {
            self.moves.remove(&id);
            return Reply::Done;
        };
        if !shard.replicas.iter().any(|r| r.replica == gone.replica && r.role == ReplicaRole::Leaving) {
            return Reply::Stale;
        }
        self.condemned.remove(&gone.replica);
        self.change_shard(found.shard, |shard| shard.replicas.retain(|r| r.replica != gone.replica));
        self.set_step(id, Step::Removing);
        Reply::Done
    }

    pub(super) fn finish_move(&mut self, id: u64) -> Reply {
        match self.moves.get(&id) {
            Some(found) if found.step == Step::Removing => {
                self.moves.remove(&id);
                Reply::Done
            }
            _ => Reply::Stale,
        }
    }

    pub(super) fn cancel_move(&mut self, id: u64, config: u64) -> Reply {
        let Some((found, _)) = self.step_of(id, config) else { return Reply::Stale };
        let Some(to) = found.to.filter(|_| found.step == Step::Copying) else { return Reply::Stale };
        self.change_shard(found.shard, |shard| leave(shard, to.replica));
        if let Some(found) = self.moves.get_mut(&id) {
            found.undone = true;
            found.step = Step::Switching;
        }
        Reply::Done
    }

    pub(super) fn set_leader(&mut self, id: ShardId, config: u64, leader: Option<ReplicaId>) -> Reply {
        let Some((collection, shard)) = self.shard(id) else { return Reply::Stale };
        let votes = leader.is_none_or(|wanted| {
            shard.replicas.iter().any(|r| r.replica == wanted && r.role == ReplicaRole::Voter)
        });
        if shard.config != config || collection.state != CollectionState::Live || !votes {
            return Reply::Stale;
        }
        if shard.leader != leader {
            self.change_shard(id, |shard| shard.leader = leader);
        }
        Reply::Done
    }

    pub(super) fn condemn(&mut self, id: ShardId, replica: ReplicaId, why: String) -> Reply {
        let listed = self.shard(id).is_some_and(|(_, s)| s.replicas.iter().any(|r| r.replica == replica));
        if !listed {
            return Reply::Stale;
        }
        self.condemned.entry(replica).or_insert(why);
        Reply::Done
    }

    fn set_step(&mut self, id: u64, step: Step) {
        if let Some(found) = self.moves.get_mut(&id) {
            found.step = step;
        }
    }

    /// Changes what a shard's replicas shall be.
    pub(super) fn change_shard(&mut self, id: ShardId, change: impl FnOnce(&mut Shard)) {
        let shards = self.collections.values_mut().flat_map(|c| &mut c.shards);
        if let Some(shard) = shards.into_iter().find(|shard| shard.shard == id) {
            change(shard);
            shard.config += 1;
            self.epoch += 1;
        }
    }

    /// The move of a shard.
    pub fn move_of(&self, shard: ShardId) -> Option<&Move> {
        self.moves.values().find(|m| m.shard == shard)
    }

    /// Moves under way, oldest first.
    pub fn moves(&self) -> impl Iterator<Item = &Move> {
        self.moves.values()
    }

    /// Why a replica is to be replaced although it serves.
    pub fn condemned(&self, replica: ReplicaId) -> Option<&str> {
        self.condemned.get(&replica).map(String::as_str)
    }
}

fn leave(shard: &mut Shard, replica: ReplicaId) {
    if let Some(found) = shard.replicas.iter_mut().find(|r| r.replica == replica) {
        found.role = ReplicaRole::Leaving;
    }
    if shard.leader == Some(replica) {
        shard.leader = None;
    }
}

fn set_role(shard: &mut Shard, replica: ReplicaId, is: ReplicaRole, shall: ReplicaRole) {
    if let Some(found) = shard.replicas.iter_mut().find(|r| r.replica == replica && r.role == is) {
        found.role = shall;
    }
}
