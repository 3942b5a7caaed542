//! What workers say of themselves: soft state of whoever leads, rebuilt from reports after a failover.
//!
//! Times are readings of the leader's own monotonic clock. Silence is counted from the later of a worker's last sign
//! of life and the beginning of the leadership, so that a new leader declares nobody dead before it has listened for
//! as long as anybody may be silent.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::watch;
use vectron_base::clock::Tick;
use vectron_base::ids::{ReplicaId, ShardId, WorkerId};
use vectron_wire::placement::{
    Collection, LeadReport, Replica, ReplicaRole, Shard, ShardPhase, ShardReport, WorkerReport,
};

/// What silence says of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It was heard lately.
    Alive,
    /// It was not heard yet, and there was not enough time to hear it.
    Unknown,
    /// It was silent for too long.
    Dead,
}

#[derive(Clone, Debug)]
struct Heard {
    at: Tick,
    report: Option<WorkerReport>,
}

/// The leader of a shard's group, by its own report.
#[derive(Clone, Copy, Debug)]
pub struct Led<'a> {
    /// Where it is.
    pub worker: WorkerId,
    /// When it said so.
    pub at: Tick,
    /// Its replica.
    pub replica: &'a ShardReport,
    /// What it says of the group.
    pub lead: &'a LeadReport,
}

impl Led<'_> {
    /// Entries that a member lacks, as far as the leader knows.
    pub fn behind(&self, replica: ReplicaId) -> Option<u64> {
        if replica == self.replica.replica {
            return Some(0);
        }
        let matched = self.lead.matched.iter().find(|(id, _)| *id == replica)?.1;
        Some(self.lead.committed.saturating_sub(matched))
    }

    /// Whether the group's members are exactly those that the catalog lists, in their roles, without those that
    /// leave, and one set decides alone.
    pub fn as_wanted(&self, shard: &Shard) -> bool {
        let members = &self.lead.members;
        let same = |have: &[ReplicaId], want: &dyn Fn(&Replica) -> bool| {
            let mut have = have.to_vec();
            let mut want: Vec<ReplicaId> =
                shard.replicas.iter().filter(|r| want(r)).map(|r| r.replica).collect();
            have.sort();
            want.sort();
            have == want
        };
        members.outgoing.is_empty()
            && same(&members.voters, &|r| r.role == ReplicaRole::Voter)
            && same(&members.learners, &|r| matches!(r.role, ReplicaRole::Joining | ReplicaRole::Learner))
    }
}

/// The last report of each worker.
#[derive(Clone, Debug, Default)]
pub struct Reports {
    since: Tick,
    workers: BTreeMap<WorkerId, Heard>,
}

impl Reports {
    /// Nothing is known; listening begins now.
    pub fn since(now: Tick) -> Self {
        Self { since: now, workers: BTreeMap::new() }
    }

    /// A worker gave a sign of life.
    pub fn greet(&mut self, worker: WorkerId, now: Tick) {
        self.workers.entry(worker).or_insert(Heard { at: now, report: None }).at = now;
    }

    /// Notes a report.
    pub fn note(&mut self, report: WorkerReport, now: Tick) {
        self.workers.insert(report.worker, Heard { at: now, report: Some(report) });
    }

    /// How long a worker has been silent, and whether it was ever heard.
    pub fn silence(&self, worker: WorkerId, now: Tick) -> (Duration, bool) {
        match self.workers.get(&worker) {
            Some(heard) => (now.since(heard.at), true),
            None => (now.since(self.since), false),
        }
    }

    /// What a worker's silence says.
    pub fn life(&self, worker: WorkerId, now: Tick, dead_after: Duration) -> Life {
        match self.silence(worker, now) {
            (silence, _) if silence >= dead_after => Life::Dead,
            (_, true) => Life::Alive,
            (_, false) => Life::Unknown,
        }
    }

    /// The last report of a worker, and when it came.
    pub fn of(&self, worker: WorkerId) -> Option<(&WorkerReport, Tick)> {
        let heard = self.workers.get(&worker)?;
        Some((heard.report.as_ref()?, heard.at))
    }

    /// What a replica's worker last said of it.
    pub fn replica(&self, shard: ShardId, replica: &Replica) -> Option<&ShardReport> {
        let (report, _) = self.of(replica.worker)?;
        report.shards.iter().find(|s| s.shard == shard && s.replica == replica.replica)
    }

    /// The leader of a shard: of those listed replicas that say they lead, the one of the highest term.
    pub fn lead(&self, shard: &Shard) -> Option<Led<'_>> {
        let leads = shard.replicas.iter().filter_map(|replica| {
            let (_, at) = self.of(replica.worker)?;
            let report = self.replica(shard.shard, replica)?;
            Some(Led { worker: replica.worker, at, replica: report, lead: report.lead.as_ref()? })
        });
        leads.max_by_key(|led| (led.lead.term, led.at))
    }

    /// Bytes that a copy of a shard takes, by its largest replica.
    pub fn bytes(&self, shard: &Shard) -> u64 {
        self.largest(shard, |report| report.disk_bytes.max(report.memory_bytes))
    }

    /// Live points of a shard.
    pub fn points(&self, shard: &Shard) -> u64 {
        self.largest(shard, |report| report.points)
    }

    fn largest(&self, shard: &Shard, figure: impl Fn(&ShardReport) -> u64) -> u64 {
        let reports = shard.replicas.iter().filter_map(|r| self.replica(shard.shard, r));
        reports.map(figure).max().unwrap_or(0)
    }

    /// Whether a shard can commit: a replica leads it, and a majority of its voters is ready.
    pub fn serves(&self, shard: &Shard) -> bool {
        let ready = |replica: &&Replica| {
            let report = self.replica(shard.shard, replica);
            report.is_some_and(|report| report.phase == ShardPhase::Ready)
        };
        let count = shard.voters().filter(ready).count();
        // A lone voter proves that it leads by being ready.
        let led = shard.voters().count() == 1 || self.lead(shard).is_some();
        led && count * 2 > shard.voters().count()
    }

    /// Whether so many replicas are quarantined that the shard cannot commit.
    pub fn broken(&self, shard: &Shard) -> bool {
        let failed = |replica: &&Replica| {
            let report = self.replica(shard.shard, replica);
            report.is_some_and(|report| report.phase == ShardPhase::Failed)
        };
        shard.voters().filter(failed).count() * 2 >= shard.voters().count().max(1)
    }

    /// Whether nothing of a deleted shard is served any more, as far as can be known: its seal is in its log, and
    /// every worker that was heard within `fresh` has sealed its replica. One that comes back later finds the
    /// collection deleted. Shards whose workers are all dead are sealed too.
    pub fn sealed(&self, shard: &Shard, now: Tick, fresh: Duration, dead_after: Duration) -> bool {
        let over = |replica: &Replica| {
            let report = self.replica(shard.shard, replica);
            report.is_some_and(|r| matches!(r.phase, ShardPhase::Sealed | ShardPhase::Removed))
        };
        let within = |replica: &Replica, limit: Duration| self.silence(replica.worker, now).0 < limit;
        let logged = self.lead(shard).is_some_and(|led| led.replica.phase == ShardPhase::Sealed)
            || shard.voters().filter(|r| over(r)).count() * 2 > shard.voters().count();
        let limit = if logged { fresh } else { dead_after };
        shard.replicas.iter().all(|replica| over(replica) || !within(replica, limit))
    }

    /// Whether the data of a deleted shard is gone from every worker that is not dead.
    pub fn removed(&self, shard: &Shard, now: Tick, dead_after: Duration) -> bool {
        shard.replicas.iter().all(|replica| {
            let report = self.replica(shard.shard, replica);
            report.is_some_and(|report| report.phase == ShardPhase::Removed)
                || self.life(replica.worker, now, dead_after) == Life::Dead
        })
    }
}

/// The reports as the service shares them, with a signal for every new one.
pub struct Observed {
    reports: Mutex<Reports>,
    changes: watch::Sender<u64>,
}

impl Default for Observed {
    fn default() -> Self {
        Self { reports: Mutex::default(), changes: watch::channel(0).0 }
    }
}

impl Observed {
    /// Changes the reports and wakes who waits for them.
    pub fn change(&self, change: impl FnOnce(&mut Reports)) {
        change(&mut self.reports.lock());
        self.changes.send_modify(|count| *count += 1);
    }

    /// Looks at the reports.
    pub fn read<T>(&self, look: impl FnOnce(&Reports) -> T) -> T {
        look(&self.reports.lock())
    }

    /// Notified with every change.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Whether all shards of a collection are so.
    pub fn all(&self, collection: &Collection, how: impl Fn(&Reports, &Shard) -> bool) -> bool {
        let reports = self.reports.lock();
        collection.shards.iter().all(|shard| how(&reports, shard))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vectron_wire::placement::{Members, WorkerLoad};

    const DEAD_AFTER: Duration = Duration::from_secs(30);

    fn at(seconds: u64) -> Tick {
        Tick(seconds * 1_000_000_000)
    }

    fn shard(workers: &[u64]) -> Shard {
        let replicas = workers.iter().map(|w| Replica::voter(ReplicaId(w + 10), WorkerId(*w))).collect();
        let (first, last) = (0, u64::MAX);
        Shard { shard: ShardId(1), first, last, epoch: 1, config: 1, replicas, leader: None, split: None }
    }

    fn report(worker: u64, phase: ShardPhase, term: Option<u64>) -> WorkerReport {
        let lead = term.map(|term| LeadReport {
            term,
            members: Members::default(),
            committed: 9,
            matched: vec![(ReplicaId(12), 4)],
        });
        let replica = ShardReport {
            shard: ShardId(1),
            replica: ReplicaId(worker + 10),
            phase,
            epoch: 1,
            points: 1,
            disk_bytes: 2,
            memory_bytes: 3,
            index_lag: 0,
            applied_index: 9,
            mark: None,
            split_ready: false,
            lead,
        };
        WorkerReport {
            worker: WorkerId(worker),
            disk_free_bytes: 1,
            memory_used_bytes: 1,
            load: WorkerLoad::default(),
            shards: vec![replica],
        }
    }

    /// Lessons 29 and 30: what a new leader has not heard of is not dead, but for as long as silence may last.
    #[test]
    fn l29_a_new_leader_waits_before_it_calls_anybody_dead() {
        let mut reports = Reports::since(at(100));
        assert_eq!(reports.life(WorkerId(1), at(101), DEAD_AFTER), Life::Unknown);
        assert_eq!(reports.life(WorkerId(1), at(130), DEAD_AFTER), Life::Dead);
        reports.note(report(1, ShardPhase::Ready, None), at(120));
        assert_eq!(reports.life(WorkerId(1), at(149), DEAD_AFTER), Life::Alive);
        assert_eq!(reports.life(WorkerId(1), at(150), DEAD_AFTER), Life::Dead);
    }

    /// Lesson 29: of two that say they lead, the first to answer is not the one.
    #[test]
    fn l29_the_leader_is_the_one_of_the_highest_term() {
        let mut reports = Reports::since(at(0));
        reports.note(report(1, ShardPhase::Ready, Some(7)), at(1));
        reports.note(report(2, ShardPhase::Ready, Some(6)), at(2));
        let group = shard(&[1, 2, 3]);
        let led = reports.lead(&group).unwrap();
        assert_eq!(
            (led.worker, led.behind(ReplicaId(12)), led.behind(ReplicaId(13))),
            (WorkerId(1), Some(5), None)
        );
        assert_eq!(reports.lead(&shard(&[2, 3])).unwrap().worker, WorkerId(2), "only listed replicas count");
    }

    #[test]
    fn a_majority_with_a_leader_serves_and_a_dead_worker_blocks_nothing() {
        let mut reports = Reports::since(at(0));
        let group = shard(&[1, 2, 3]);
        reports.note(report(1, ShardPhase::Ready, None), at(1));
        reports.note(report(2, ShardPhase::Ready, None), at(1));
        assert!(!reports.serves(&group), "nobody leads");
        reports.note(report(2, ShardPhase::Ready, Some(3)), at(1));
        assert!(reports.serves(&group));
        reports.note(report(1, ShardPhase::Opening, None), at(1));
        assert!(!reports.serves(&group));
        reports.note(report(1, ShardPhase::Failed, None), at(1));
        assert!(!reports.broken(&group));
        reports.note(report(3, ShardPhase::Failed, None), at(1));
        assert!(reports.broken(&group));
    }

    #[test]
    fn a_deleted_shard_is_sealed_when_its_log_is_and_nobody_heard_lately_serves() {
        let mut reports = Reports::since(at(0));
        let group = shard(&[1, 2, 3]);
        let fresh = Duration::from_secs(3);
        let sealed = |reports: &Reports, now| reports.sealed(&group, at(now), fresh, DEAD_AFTER);
        for worker in 1..=3 {
            reports.note(report(worker, ShardPhase::Ready, None), at(10));
        }
        reports.note(report(1, ShardPhase::Sealed, Some(3)), at(11));
        assert!(!sealed(&reports, 12), "two live ones may still serve");
        reports.note(report(2, ShardPhase::Removed, None), at(12));
        assert!(!sealed(&reports, 12));
        assert!(sealed(&reports, 13), "the third is silent");
        let mut alone = Reports::since(at(10));
        assert!(!sealed(&alone, 39) && sealed(&alone, 40), "all are dead");
        assert!(alone.removed(&group, at(40), DEAD_AFTER));
        alone.note(report(2, ShardPhase::Ready, None), at(41));
        assert!(!alone.removed(&group, at(42), DEAD_AFTER));
    }
}
