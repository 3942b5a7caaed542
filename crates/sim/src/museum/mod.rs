//! The museum: bugs as they are made in systems like this one, put in on purpose behind the seams, so that it can be
//! shown that the simulation finds each.
//!
//! An exhibit wraps a disk, a worker, a gateway's answer or the network; production code knows nothing of it. Each
//! has a budget of seeds within which the suite must find it, and each is found under the misfortunes of an ordinary
//! run or of a named few, under which the sound system passes.

mod disk;
mod worker;

use crate::check::Violation;
use crate::cluster::{Flaws, Mischief, Scenario, run};
use crate::executor::NodeId;
use disk::{LyingDisk, Untrue};
use std::sync::Arc;
use std::time::Duration;
use vectron_base::disk::Disk;
use vectron_base::disk::sim::SimDisk;
use vectron_gateway::api;
use vectron_wire::worker::Worker;
use vectron_worker::Host;
use worker::{Crooked, Lie};

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    Disk(Untrue),
    Worker(Lie),
    /// A worker whose disk was lost comes back under its old identity, with empty logs of its old replicas.
    ReusedReplica,
    /// A replica applies another content than the others.
    Nondeterminism,
    /// Who follows a log counts a learner as a voter from the start.
    SkippedLearner,
    /// Merging hits of several shards loses the best.
    Merge,
    /// Failed shards are dropped from an answer, which does not say so.
    UnflaggedPart,
}

/// One bug.
#[derive(Clone, Copy, Debug)]
pub struct Exhibit {
    /// Its name.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub what: &'static str,
    /// Seeds within which it must be found.
    pub budget: u64,
    broken: Broken,
    mischief: &'static [Mischief],
    every_ms: u64,
}

const OUTAGES: &[Mischief] = &[Mischief::PowerLoss, Mischief::Blackout, Mischief::PowerLossAmidWrite];
const DELUSIONS: &[Mischief] = &[Mischief::Pause, Mischief::Isolation, Mischief::Bridge, Mischief::Partition];
const MOVES: &[Mischief] = &Mischief::OPERATIONS;
const ALL: &[Mischief] = &Mischief::ALL;

const fn exhibit(
    name: &'static str,
    what: &'static str,
    broken: Broken,
    mischief: &'static [Mischief],
    budget: u64,
) -> Exhibit {
    Exhibit { name, what, budget, broken, mischief, every_ms: 1_500 }
}

/// All of them.
pub const EXHIBITS: [Exhibit; 27] = [
    exhibit("lying fsync", "disks say that they have synced", Broken::Disk(Untrue::Everything), OUTAGES, 10),
    exhibit(
        "truncation before sync",
        "the log is dropped up to a checkpoint that is not durable",
        Broken::Disk(Untrue::Checkpoints),
        OUTAGES,
        20,
    ),
    exhibit("directories not synced", "new files lose their names", Broken::Disk(Untrue::Names), OUTAGES, 10),
    exhibit(
        "reused replica id",
        "a worker without its disk votes again as the replica that it was",
        Broken::ReusedReplica,
        OUTAGES,
        20,
    ),
    exhibit(
        "non-deterministic apply",
        "one replica applies another content",
        Broken::Nondeterminism,
        ALL,
        10,
    ),
    exhibit("stale local read", "strict reads ask nobody", Broken::Worker(Lie::StaleRead), ALL, 30),
    exhibit(
        "lease that is never given up",
        "who led once answers strict reads alone",
        Broken::Worker(Lie::EternalLease),
        DELUSIONS,
        60,
    ),
    exhibit("cache over a strict read", "points are cached", Broken::Worker(Lie::CachedRead), ALL, 5),
    exhibit(
        "lost session token",
        "sessions wait for nothing",
        Broken::Worker(Lie::ForgottenSession),
        ALL,
        40,
    ),
    exhibit(
        "bound not kept",
        "bounded reads are as old as may be",
        Broken::Worker(Lie::IgnoredBound),
        ALL,
        90,
    ),
    exhibit(
        "acknowledged before commit",
        "writes are answered once they are proposed",
        Broken::Worker(Lie::EarlyAcknowledgement),
        ALL,
        5,
    ),
    exhibit("retry applied twice", "idempotency keys are lost", Broken::Worker(Lie::LostKey), ALL, 5),
    exhibit("condition ignored", "if_version is lost", Broken::Worker(Lie::LostCondition), ALL, 5),
    exhibit(
        "doubt denied",
        "writes of unknown outcome are called not applied",
        Broken::Worker(Lie::DeniedDoubt),
        ALL,
        120,
    ),
    exhibit("wrong version told", "versions are one too low", Broken::Worker(Lie::WrongVersion), ALL, 5),
    exhibit(
        "failure as emptiness",
        "a failing shard has no hits",
        Broken::Worker(Lie::EmptyOnFailure),
        ALL,
        40,
    ),
    exhibit("partial without flag", "failed shards are not named", Broken::UnflaggedPart, ALL, 40),
    exhibit("wrong merge", "the best hit of several shards is lost", Broken::Merge, ALL, 5),
    exhibit("deleted points return", "old hits stay hits", Broken::Worker(Lie::ReturningHits), ALL, 5),
    exhibit("filter lost", "filters do not reach the shard", Broken::Worker(Lie::LostFilter), ALL, 5),
    exhibit("too few candidates", "shards give half of k", Broken::Worker(Lie::FewerHits), ALL, 5),
    exhibit("score of an old version", "scores are remembered", Broken::Worker(Lie::RememberedScore), ALL, 5),
    exhibit("remembered count", "counts are remembered", Broken::Worker(Lie::RememberedCount), ALL, 15),
    exhibit(
        "learner skipped",
        "followers give a new replica its vote before it has anything",
        Broken::SkippedLearner,
        MOVES,
        5,
    ),
    exhibit(
        "snapshot without membership",
        "whoever takes a copy is alone in its group",
        Broken::Worker(Lie::NoMembership),
        MOVES,
        10,
    ),
    exhibit(
        "deletes resurrected by a snapshot",
        "copies are older than they say",
        Broken::Worker(Lie::OldCopy),
        MOVES,
        10,
    ),
    exhibit(
        "missing epoch fence",
        "calls that mean another range are answered from the range that is here",
        Broken::Worker(Lie::NoFence),
        ALL,
        60,
    ),
];

impl Flaws for Broken {
    fn disk(&self, node: NodeId, disk: Arc<dyn Disk>) -> Arc<dyn Disk> {
        match *self {
            // The placement driver's disk is sound, or there would be no collection to lose.
            Broken::Disk(untrue) if !crate::cluster::PLACEMENT.contains(&node) => {
                Arc::new(LyingDisk { disk, untrue })
            }
            _ => disk,
        }
    }

    fn disk_after_power_loss(&self, node: NodeId, _: &SimDisk) -> Option<SimDisk> {
        let lost = *self == Broken::ReusedReplica && !crate::cluster::PLACEMENT.contains(&node);
        lost.then(|| SimDisk::new(u64::from(node.0)))
    }

    fn worker(&self, _: NodeId, host: Arc<Host>) -> Arc<dyn Worker> {
        match *self {
            Broken::Worker(lie) => Arc::new(Crooked::new(host, lie)),
            _ => host,
        }
    }

    fn message(&self, _: NodeId, to: NodeId, mut bytes: Vec<u8>) -> Vec<u8> {
        const COLOR: &[u8] = b"\"color\":1";
        if *self == Broken::Nondeterminism
            && to == NodeId(10)
            && let Some(at) = bytes.windows(COLOR.len()).position(|window| window == COLOR)
        {
            bytes[at + COLOR.len() - 1] = b'2';
        }
        // The entry of one change that adds a learner: its kind, its length, the change.
        const LEARNER: [u8; 6] = [2, 9, 0, 0, 0, 1];
        if *self == Broken::SkippedLearner
            && let Some(at) = bytes.windows(LEARNER.len()).position(|window| window == LEARNER)
        {
            bytes[at + LEARNER.len() - 1] = 2;
        }
        bytes
    }

    fn searched(&self, mut answer: api::SearchResponse) -> api::SearchResponse {
        match *self {
            Broken::Merge if answer.results.len() > 1 => drop(answer.results.remove(0)),
            Broken::UnflaggedPart => {
                answer.meta.partial = false;
                answer.meta.shards.failed.clear();
            }
            _ => {}
        }
        answer
    }
}

impl Exhibit {
    /// The run in which it must be found, with the bug or without.
    pub fn scenario(&self, broken: bool) -> Scenario {
        let mut scenario = Scenario::everything(Duration::from_secs(60));
        scenario.mischief = self.mischief.to_vec();
        scenario.every_ms = self.every_ms;
        if broken {
            scenario.flaws = Arc::new(self.broken);
        }
        scenario
    }

    /// The first seed of its budget that finds it, with what was found.
    pub fn hunt(&self) -> Option<(u64, Vec<Violation>)> {
        let scenario = self.scenario(true);
        (1..=self.budget).find_map(|seed| {
            let violations = run(&scenario, seed).violations;
            (!violations.is_empty()).then_some((seed, violations))
        })
    }
}
