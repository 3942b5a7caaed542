//! What goes wrong, when, and for how long: drawn from the seed, any of it at the same time.

use super::node::{Role, USUAL_DISK_US};
use super::operator::{self, Asked};
use super::{Cluster, PLACEMENT};
use crate::executor::NodeId;
use crate::network::Link;
use std::collections::BTreeMap;
use std::time::Duration;
use vectron_base::clock::Tick;
use vectron_base::disk::sim::Faults;
use vectron_base::random::Random;

/// One kind of misfortune.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mischief {
    /// A machine loses power between two events and comes back.
    PowerLoss,
    /// A machine loses power at one of its next disk operations, amid a turn of its logs.
    PowerLossAmidWrite,
    /// Every worker loses power at once.
    Blackout,
    /// A process dies; its machine's disk forgets nothing.
    Kill,
    /// A machine stands still for a while, as SIGSTOP or a stalled host make it.
    Pause,
    /// Nodes fall into two halves.
    Partition,
    /// One node is cut off.
    Isolation,
    /// What one node sends to another is lost; the other way is fine.
    OneWay,
    /// Two halves see each other only through one node.
    Bridge,
    /// Messages are lost, doubled and late everywhere.
    Loss,
    /// The links of one node are slow.
    SlowLink,
    /// A disk takes long for everything.
    SlowDisk,
    /// One sync of a disk fails; its journal stops, and the process is restarted.
    FailedSync,
    /// A disk is full for a while.
    FullDisk,
    /// A wall clock is stepped by up to an hour.
    ClockStep,
    /// A clock runs faster or slower.
    ClockDrift,
    /// Every member of the placement driver loses power.
    PlacementDown,
    /// A member of the placement driver loses power.
    DriverPowerLoss,
    /// The member of the placement driver that leads dies.
    DriverLeaderKill,
    /// A member of the placement driver is cut off.
    DriverIsolation,
    /// A gateway dies.
    GatewayKill,
    /// An operator moves a replica.
    Move,
    /// An operator drains a worker, or ends that.
    Drain,
    /// An operator splits a shard.
    Split,
    /// An operator hands a leadership over.
    Transfer,
    /// An operator adds a search-only replica, or takes one away.
    Learner,
    /// An operator has replicas spread evenly.
    Rebalance,
}

impl Mischief {
    /// All of it.
    pub const ALL: [Mischief; 27] = [
        Mischief::PowerLoss,
        Mischief::PowerLossAmidWrite,
        Mischief::Blackout,
        Mischief::Kill,
        Mischief::Pause,
        Mischief::Partition,
        Mischief::Isolation,
        Mischief::OneWay,
        Mischief::Bridge,
        Mischief::Loss,
        Mischief::SlowLink,
        Mischief::SlowDisk,
        Mischief::FailedSync,
        Mischief::FullDisk,
        Mischief::ClockStep,
        Mischief::ClockDrift,
        Mischief::PlacementDown,
        Mischief::DriverPowerLoss,
        Mischief::DriverLeaderKill,
        Mischief::DriverIsolation,
        Mischief::GatewayKill,
        Mischief::Move,
        Mischief::Drain,
        Mischief::Split,
        Mischief::Transfer,
        Mischief::Learner,
        Mischief::Rebalance,
    ];
    /// What operators do while nothing else goes wrong.
    pub const OPERATIONS: [Mischief; 6] = [
        Mischief::Move,
        Mischief::Drain,
        Mischief::Split,
        Mischief::Transfer,
        Mischief::Learner,
        Mischief::Rebalance,
    ];
}

/// What ends by itself.
#[derive(Clone, Copy, Debug)]
enum Relief {
    Start(NodeId),
    Resume(NodeId),
    /// Links as usual, everything passes.
    Network,
    Disk(NodeId),
}

/// Makes things go wrong.
pub struct Nemesis {
    kinds: Vec<Mischief>,
    every_ms: u64,
    next: Tick,
    reliefs: Vec<(Tick, Relief)>,
    /// How often each kind happened.
    pub counts: BTreeMap<Mischief, u64>,
    /// What became of what operators asked for.
    pub asked: Asked,
}

impl Nemesis {
    /// Something of `kinds` about every `every_ms` milliseconds, beginning a little after `now`.
    pub fn new(kinds: &[Mischief], every_ms: u64, now: Tick) -> Self {
        let next = if kinds.is_empty() { Tick(u64::MAX) } else { now.plus(Duration::from_millis(every_ms)) };
        Self {
            kinds: kinds.to_vec(),
            every_ms,
            next,
            reliefs: Vec::new(),
            counts: BTreeMap::new(),
            asked: Asked::default(),
        }
    }

    /// When it acts next.
    pub fn due(&self) -> Tick {
        self.reliefs.iter().map(|(at, _)| *at).min().unwrap_or(self.next).min(self.next)
    }

    /// Does what is due now.
    pub fn act(&mut self, cluster: &mut Cluster) {
        let now = cluster.now();
        for node in cluster.take_dark() {
            self.relieve(cluster, 200..3_000, Relief::Start(node));
        }
        self.restart_stopped(cluster);
        while let Some(at) = self.reliefs.iter().position(|(at, _)| *at <= now) {
            let (_, relief) = self.reliefs.swap_remove(at);
            Self::end(cluster, relief);
            if let Relief::Start(node) = relief
                && cluster.nodes.get(&node).is_some_and(|node| node.life.is_none())
            {
                // Its disk lost power again while it started.
                cluster.lose_power(node);
                self.relieve(cluster, 200..1_000, Relief::Start(node));
            }
        }
        if now >= self.next {
            self.next = now.plus(Duration::from_millis(1 + cluster.random().below(2 * self.every_ms)));
            let kind = self.kinds[cluster.random().below(self.kinds.len() as u64) as usize];
            *self.counts.entry(kind).or_default() += 1;
            self.begin(cluster, kind);
        }
    }

    /// Ends everything: all nodes are on, all links good, all disks well.
    pub fn heal(&mut self, cluster: &mut Cluster) {
        self.next = Tick(u64::MAX);
        self.reliefs.clear();
        cluster.network.heal();
        cluster.take_dark();
        for id in cluster.ids() {
            cluster.executor.resume(id);
            Self::end(cluster, Relief::Disk(id));
            self.restart_stopped(cluster);
            if cluster.nodes.get(&id).is_some_and(|node| node.life.is_none()) && !cluster.start(id) {
                cluster.lose_power(id);
                cluster.start(id);
            }
        }
        self.reliefs.clear();
    }

    fn relieve(&mut self, cluster: &Cluster, ms: std::ops::Range<u64>, relief: Relief) {
        let after = ms.start + cluster.random().below(ms.end - ms.start);
        self.reliefs.push((cluster.now().plus(Duration::from_millis(after)), relief));
    }

    fn end(cluster: &mut Cluster, relief: Relief) {
        match relief {
            Relief::Start(node) => drop(cluster.start(node)),
            Relief::Resume(node) => cluster.executor.resume(node),
            Relief::Network => cluster.network.heal(),
            Relief::Disk(id) => {
                if let Some(node) = cluster.nodes.get_mut(&id) {
                    node.disk.set_capacity(None);
                    node.disk.set_faults(Faults::default());
                    node.disk_us = USUAL_DISK_US;
                }
            }
        }
    }

    /// A process whose journal has stopped is of no use until somebody restarts it.
    fn restart_stopped(&mut self, cluster: &mut Cluster) {
        let stopped =
            |node: &super::Node| node.handle().is_some_and(|handle| handle.journal().failed.is_some());
        let stopped: Vec<NodeId> =
            cluster.nodes.values().filter(|node| stopped(node)).map(|n| n.id).collect();
        for node in stopped {
            cluster.lose_power(node);
            self.relieve(cluster, 100..2_000, Relief::Start(node));
        }
    }

    fn pick(cluster: &Cluster, role: Role) -> NodeId {
        let nodes = cluster.of_role(role);
        nodes[cluster.random().below(nodes.len() as u64) as usize]
    }

    /// Two halves of the workers; gateways and the placement driver fall into either.
    fn halves(cluster: &Cluster) -> (Vec<NodeId>, Vec<NodeId>) {
        cluster.ids().into_iter().partition(|_| cluster.random().below(2) == 0)
    }

    fn begin(&mut self, cluster: &mut Cluster, kind: Mischief) {
        let worker = Self::pick(cluster, Role::Worker);
        let random = |bound| cluster.random().below(bound);
        match kind {
            Mischief::PowerLoss => self.off(cluster, worker, true),
            Mischief::Kill => self.off(cluster, worker, false),
            Mischief::Blackout => {
                for node in cluster.of_role(Role::Worker) {
                    self.off(cluster, node, true);
                }
            }
            Mischief::PlacementDown => PLACEMENT.into_iter().for_each(|id| self.off(cluster, id, true)),
            Mischief::DriverPowerLoss => {
                let driver = Self::pick(cluster, Role::Placement);
                self.off(cluster, driver, true);
            }
            Mischief::DriverLeaderKill => {
                if let Some(leader) = cluster.leading_driver() {
                    self.off(cluster, leader, false);
                }
            }
            Mischief::DriverIsolation => {
                let driver = cluster.leading_driver().unwrap_or(PLACEMENT[0]);
                let others: Vec<NodeId> = cluster.ids().into_iter().filter(|id| *id != driver).collect();
                cluster.network.partition(&[driver], &others);
                self.relieve(cluster, 1_000..8_000, Relief::Network);
            }
            Mischief::Move
            | Mischief::Drain
            | Mischief::Split
            | Mischief::Transfer
            | Mischief::Learner
            | Mischief::Rebalance => operator::ask(cluster, kind, &self.asked),
            Mischief::GatewayKill => {
                let gateway = Self::pick(cluster, Role::Gateway);
                self.off(cluster, gateway, false);
            }
            Mischief::PowerLossAmidWrite => {
                let disk = &cluster.nodes[&worker].disk;
                let at = disk.operations() + 1 + random(40);
                disk.set_faults(Faults { power_loss_at_operation: Some(at), ..Faults::default() });
            }
            Mischief::FailedSync => {
                let disk = &cluster.nodes[&worker].disk;
                let at = disk.syncs() + 1 + random(10);
                disk.set_faults(Faults { fail_sync: Some(at), ..Faults::default() });
            }
            Mischief::Pause => {
                cluster.executor.pause(worker);
                self.relieve(cluster, 300..6_000, Relief::Resume(worker));
            }
            Mischief::Partition => {
                let (one, other) = Self::halves(cluster);
                cluster.network.partition(&one, &other);
                self.relieve(cluster, 1_000..8_000, Relief::Network);
            }
            Mischief::Isolation => {
                let others: Vec<NodeId> = cluster.ids().into_iter().filter(|id| *id != worker).collect();
                cluster.network.partition(&[worker], &others);
                self.relieve(cluster, 1_000..8_000, Relief::Network);
            }
            Mischief::OneWay => {
                for other in cluster.of_role(Role::Worker) {
                    if random(2) == 0 {
                        cluster.network.cut(worker, other);
                    }
                }
                self.relieve(cluster, 1_000..8_000, Relief::Network);
            }
            Mischief::Bridge => {
                let (mut one, mut other) = Self::halves(cluster);
                one.retain(|id| *id != worker);
                other.retain(|id| *id != worker);
                cluster.network.partition(&one, &other);
                self.relieve(cluster, 1_000..8_000, Relief::Network);
            }
            Mischief::Loss => {
                cluster.network.set_usual(Link::LOSSY);
                self.relieve(cluster, 1_000..8_000, Relief::Network);
            }
            Mischief::SlowLink => {
                for other in cluster.ids() {
                    cluster.network.set_link(worker, other, Link::SLOW);
                    cluster.network.set_link(other, worker, Link::SLOW);
                }
                self.relieve(cluster, 1_000..8_000, Relief::Network);
            }
            Mischief::SlowDisk => {
                if let Some(node) = cluster.nodes.get_mut(&worker) {
                    node.disk_us = 300_000;
                }
                self.relieve(cluster, 1_000..6_000, Relief::Disk(worker));
            }
            Mischief::FullDisk => {
                let room = random(8_192);
                let disk = &cluster.nodes[&worker].disk;
                let used: u64 = disk.files().iter().map(|(_, bytes)| bytes).sum();
                disk.set_capacity(Some(used + room));
                self.relieve(cluster, 1_000..6_000, Relief::Disk(worker));
            }
            Mischief::ClockStep => {
                Self::clock(cluster, worker, |random| random(7_200_000) as i64 - 3_600_000, true)
            }
            Mischief::ClockDrift => Self::clock(cluster, worker, |random| random(1_001) as i64 - 500, false),
        }
    }

    fn off(&mut self, cluster: &mut Cluster, node: NodeId, power: bool) {
        if cluster.nodes.get(&node).is_some_and(|node| node.life.is_none()) {
            return;
        }
        if power {
            cluster.lose_power(node)
        } else {
            cluster.kill(node)
        }
        self.relieve(cluster, 200..6_000, Relief::Start(node));
    }

    fn clock(cluster: &mut Cluster, id: NodeId, draw: impl Fn(&dyn Fn(u64) -> u64) -> i64, wall: bool) {
        let drawn = draw(&|bound| cluster.random().below(bound));
        let Some(node) = cluster.nodes.get_mut(&id) else { return };
        if wall {
            node.wall_offset_ms += drawn;
        } else {
            node.drift_ppm = drawn;
        }
        if let Some(life) = &node.life {
            if wall { life.clock.step_wall(drawn) } else { life.clock.drift(drawn) }
        }
    }
}
