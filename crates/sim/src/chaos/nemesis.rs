//! What goes wrong, one thing after another, in an order that the seed shuffles.

use super::client::{Board, COLLECTION};
use super::http::Rest;
use super::notes::Lineage;
use super::process::Processes;
use super::{Options, REPLICATION_FACTOR};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use vectron_base::clock::Tick;
use vectron_base::random::{Random, SeededRandom};

/// Shards are split while there are fewer than this.
const SHARDS_MAX: usize = 6;
/// How long a node may take to serve again before the next fault comes.
const BACK_PATIENCE: Duration = Duration::from_secs(20);
/// How long a drain or a move may take before it is let be.
const MOVE_PATIENCE: Duration = Duration::from_secs(30);

/// Kinds of faults and changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    KillLeader,
    KillAny,
    KillPlacementLeader,
    KillTwo,
    KillAll,
    StopLeader,
    StopAny,
    Restart,
    Transfer,
    Split,
    Drain,
    Move,
    IsolateLeader,
    IsolatePlacementLeader,
    IsolateAny,
    Cut,
    OneWay,
    Halves,
    Bridge,
    Lossy,
    FullDisk,
}

const EVERYWHERE: [Kind; 12] = [
    Kind::KillLeader,
    Kind::StopLeader,
    Kind::KillPlacementLeader,
    Kind::KillLeader,
    Kind::Split,
    Kind::Restart,
    Kind::KillAny,
    Kind::KillTwo,
    Kind::StopAny,
    Kind::Transfer,
    Kind::KillAll,
    Kind::KillLeader,
];

/// With more workers than replicas.
const WITH_ROOM: [Kind; 4] = [Kind::Drain, Kind::Move, Kind::Move, Kind::Drain];

/// Where links can be cut.
const WITH_LINKS: [Kind; 7] = [
    Kind::IsolateLeader,
    Kind::OneWay,
    Kind::Cut,
    Kind::IsolateAny,
    Kind::IsolatePlacementLeader,
    Kind::Halves,
    Kind::OneWay,
];

/// With two nodes on either side of one in the middle; with fewer, a bridge is a cut between two.
const WITH_SIDES: [Kind; 2] = [Kind::Bridge, Kind::Bridge];

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::KillLeader => "kill -9 of a shard's leader",
            Kind::KillAny => "kill -9 of any node",
            Kind::KillPlacementLeader => "kill -9 of the placement driver's leader",
            Kind::KillTwo => "kill -9 of two nodes",
            Kind::KillAll => "kill -9 of all nodes",
            Kind::StopLeader => "SIGSTOP of a shard's leader",
            Kind::StopAny => "SIGSTOP of any node",
            Kind::Restart => "SIGTERM and start",
            Kind::Transfer => "leader transfer",
            Kind::Split => "split",
            Kind::Drain => "drain and undrain",
            Kind::Move => "move",
            Kind::IsolateLeader => "isolation of a shard's leader",
            Kind::IsolatePlacementLeader => "isolation of the placement driver's leader",
            Kind::IsolateAny => "isolation of any node",
            Kind::Cut => "cut between two nodes",
            Kind::OneWay => "one-way loss",
            Kind::Halves => "partition into halves",
            Kind::Bridge => "bridge",
            Kind::Lossy => "lossy link",
            Kind::FullDisk => "full disk",
        }
    }
}

/// A leader that was killed alone, while nothing else was wrong.
pub struct LeaderKill {
    /// When.
    pub at: Tick,
    /// What it led.
    pub shards: Vec<u64>,
}

/// Who makes things go wrong.
pub struct Nemesis<'a> {
    /// The victims.
    pub processes: Processes,
    /// Which shard came from which.
    pub lineage: Lineage,
    /// Faults by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// For the outages.
    pub leader_kills: Vec<LeaderKill>,
    /// What no fault explains: a process that ended by itself, a node that did not come back.
    pub surprises: Vec<String>,
    /// For questions.
    pub rest: Rest,
    pub(super) random: SeededRandom,
    /// Whether packets can be lost now and then.
    lossy: bool,
    board: &'a Board,
    quiet: bool,
}

impl<'a> Nemesis<'a> {
    /// The nemesis of these processes.
    pub fn new(processes: Processes, board: &'a Board, options: &Options, lossy: bool) -> Self {
        Self {
            processes,
            lineage: Lineage::default(),
            faults: BTreeMap::new(),
            leader_kills: Vec::new(),
            surprises: Vec::new(),
            rest: Rest::new(Duration::from_secs(3)),
            random: SeededRandom::new(options.seed ^ 0x6e65_6d65),
            lossy,
            board,
            quiet: options.quiet,
        }
    }

    /// Faults until `until`.
    pub fn run(&mut self, until: Instant) {
        let mut deck: Vec<Kind> = Vec::new();
        while Instant::now() < until {
            if deck.is_empty() {
                deck = self.whole_deck();
                for at in (1..deck.len()).rev() {
                    deck.swap(at, self.random.below(at as u64 + 1) as usize);
                }
            }
            let Some(kind) = deck.pop() else { return };
            if self.strike(kind) {
                *self.faults.entry(kind.name()).or_default() += 1;
            }
            self.wait_for_all();
            let calm = 1_000 + self.random.below(2_000);
            self.pause(Duration::from_millis(calm));
        }
    }

    /// Everything that can be done here, once.
    fn whole_deck(&self) -> Vec<Kind> {
        let room = self.processes.nodes.len() > REPLICATION_FACTOR;
        let links = self.processes.links.is_some();
        let mut deck = EVERYWHERE.to_vec();
        deck.extend(room.then_some(WITH_ROOM).into_iter().flatten());
        deck.extend(links.then_some(WITH_LINKS).into_iter().flatten());
        deck.extend((links && room).then_some(WITH_SIDES).into_iter().flatten());
        deck.extend((links && self.lossy).then_some(Kind::Lossy));
        deck.extend(self.processes.disk.is_some().then_some([Kind::FullDisk; 2]).into_iter().flatten());
        deck
    }

    pub(super) fn say(&self, what: &str) {
        if !self.quiet {
            eprintln!("{:7.1} s  {what}", self.board.now().0 as f64 / 1e9);
        }
    }

    pub(super) fn drawn(&self, from_ms: u64, to_ms: u64) -> Duration {
        Duration::from_millis(from_ms + self.random.below(to_ms - from_ms))
    }

    pub(super) fn any_node(&self) -> usize {
        self.random.below(self.processes.nodes.len() as u64) as usize
    }

    /// Does it; whether there was anything to do it to.
    fn strike(&mut self, kind: Kind) -> bool {
        match kind {
            Kind::KillLeader => {
                let Some((victim, shards)) = self.leader() else { return false };
                self.leader_kills.push(LeaderKill { at: self.board.now(), shards });
                self.kill(kind, &[victim], 4_000, 9_000);
            }
            Kind::KillAny => self.kill(kind, &[self.any_node()], 500, 9_000),
            Kind::KillPlacementLeader => {
                let Some(victim) = self.placement_leader() else { return false };
                self.kill(kind, &[victim], 2_000, 7_000);
            }
            Kind::KillTwo => {
                let first = self.any_node();
                let other = 1 + self.random.below(self.processes.nodes.len() as u64 - 1) as usize;
                self.kill(kind, &[first, (first + other) % self.processes.nodes.len()], 1_000, 5_000);
            }
            Kind::KillAll => {
                let all: Vec<usize> = (0..self.processes.nodes.len()).collect();
                self.kill(kind, &all, 100, 1_000);
            }
            Kind::StopLeader => {
                let Some((victim, _)) = self.leader() else { return false };
                self.stop(kind, victim);
            }
            Kind::StopAny => self.stop(kind, self.any_node()),
            Kind::Restart => {
                let victim = self.any_node();
                self.say(&format!("{}: node {}", kind.name(), victim + 1));
                if !self.processes.terminate(victim) {
                    self.surprises.push(format!("node {} did not end well after SIGTERM", victim + 1));
                }
                self.pause(Duration::from_millis(200));
                self.launch(victim);
            }
            Kind::Transfer => return self.transfer(),
            Kind::Split => return self.split(),
            Kind::Drain => return self.drain(),
            Kind::Move => return self.move_one(),
            Kind::FullDisk => return self.fill_disk(),
            Kind::IsolateLeader
            | Kind::IsolatePlacementLeader
            | Kind::IsolateAny
            | Kind::Cut
            | Kind::OneWay
            | Kind::Halves
            | Kind::Bridge
            | Kind::Lossy => return self.disturb_links(kind),
        }
        true
    }

    fn kill(&mut self, kind: Kind, victims: &[usize], from_ms: u64, to_ms: u64) {
        let numbers: Vec<usize> = victims.iter().map(|at| at + 1).collect();
        self.say(&format!("{}: {numbers:?}", kind.name()));
        victims.iter().for_each(|at| self.processes.kill(*at));
        self.pause(self.drawn(from_ms, to_ms));
        victims.iter().for_each(|at| self.launch(*at));
    }

    pub(super) fn launch(&mut self, at: usize) {
        if let Err(error) = self.processes.launch(at) {
            self.surprises.push(format!("node {} cannot be started: {error}", at + 1));
        }
    }

    fn stop(&mut self, kind: Kind, victim: usize) {
        let length = self.drawn(500, 8_000);
        self.say(&format!("{}: node {} for {} ms", kind.name(), victim + 1, length.as_millis()));
        self.processes.stand_still(victim, true);
        self.pause(length);
        self.processes.stand_still(victim, false);
    }

    /// The shards as the placement driver sees them.
    pub fn shards(&mut self) -> Vec<Value> {
        let Some(answer) = self.processes.any(&self.rest, "/v1/admin/shards") else { return Vec::new() };
        self.lineage.see(&answer);
        answer["shards"].as_array().cloned().unwrap_or_default()
    }

    fn workers(&self) -> Vec<Value> {
        let answer = self.processes.any(&self.rest, "/v1/admin/workers").unwrap_or_default();
        answer["workers"].as_array().cloned().unwrap_or_default()
    }

    fn a_shard(&mut self) -> Option<Value> {
        let shards = self.shards();
        shards.get(self.random.below(shards.len() as u64) as usize).cloned()
    }

    /// A node that leads shards, and which.
    pub(super) fn leader(&mut self) -> Option<(usize, Vec<u64>)> {
        let worker = self.a_shard()?["leader"].as_u64()?;
        let workers = self.workers();
        let address = workers.iter().find(|of| of["worker"] == worker)?["address"].as_str()?;
        let led = self.shards().into_iter().filter(|shard| shard["leader"] == worker);
        Some((self.processes.at_address(address)?, led.filter_map(|shard| shard["shard"].as_u64()).collect()))
    }

    pub(super) fn placement_leader(&self) -> Option<usize> {
        let answer = self.processes.any(&self.rest, "/v1/admin/members")?;
        let leads = answer["members"].as_array()?.iter().find(|member| member["leads"] == true)?;
        self.processes.at_address(leads["address"].as_str()?)
    }

    fn ask(&self, path: &str, body: &Value) -> bool {
        let answers = self.processes.serving().map(|node| self.rest.post(&node.url, path, body));
        answers.into_iter().any(|answer| match answer {
            Ok(_) => true,
            Err(why) => {
                self.say(&format!("{path}: {why:?}"));
                false
            }
        })
    }

    fn transfer(&mut self) -> bool {
        let Some(shard) = self.a_shard() else { return false };
        let replicas = shard["replicas"].as_array().cloned().unwrap_or_default();
        let others: Vec<&Value> =
            replicas.iter().filter(|of| of["leads"] != true && of["role"] == "voter").collect();
        let Some(to) = others.get(self.random.below(others.len() as u64) as usize) else { return false };
        self.say(&format!("{}: shard {}", Kind::Transfer.name(), shard["shard"]));
        self.ask(&format!("/v1/admin/shards/{}/transfer", shard["shard"]), &json!({"to": to["worker"]}))
    }

    fn split(&mut self) -> bool {
        let Some(shard) = self.a_shard().filter(|_| self.lineage.shards() < SHARDS_MAX) else { return false };
        self.say(&format!("{}: shard {}", Kind::Split.name(), shard["shard"]));
        // The next fault comes while it is under way.
        self.ask(&format!("/v1/admin/shards/{}/split", shard["shard"]), &json!({}))
    }

    fn drain(&mut self) -> bool {
        let workers = self.workers();
        let Some(id) =
            workers.get(self.random.below(workers.len() as u64) as usize).map(|of| of["worker"].clone())
        else {
            return false;
        };
        self.say(&format!("{}: worker {id}", Kind::Drain.name()));
        let begun = self.ask(&format!("/v1/admin/workers/{id}/drain"), &json!({}));
        let until = Instant::now() + MOVE_PATIENCE;
        while begun && Instant::now() < until {
            self.pause(Duration::from_millis(500));
            if self.workers().iter().any(|of| of["worker"] == id && of["replicas"] == 0) {
                self.say("drained");
                break;
            }
        }
        self.ask(&format!("/v1/admin/workers/{id}/undrain"), &json!({}));
        begun
    }

    fn move_one(&mut self) -> bool {
        let Some(shard) = self.a_shard() else { return false };
        let replicas = shard["replicas"].as_array().cloned().unwrap_or_default();
        let has = |worker: &Value| replicas.iter().any(|replica| replica["worker"] == worker["worker"]);
        let to = self.workers().into_iter().find(|worker| worker["alive"] == true && !has(worker));
        let from = replicas.get(self.random.below(replicas.len() as u64) as usize);
        let (Some(from), Some(to)) = (from, to) else { return false };
        self.say(&format!("{}: shard {}", Kind::Move.name(), shard["shard"]));
        let body = json!({"from": from["worker"], "to": to["worker"]});
        // The next fault comes while it is under way.
        self.ask(&format!("/v1/admin/shards/{}/move", shard["shard"]), &body)
    }

    /// Lets time pass, with an eye on the shards and the processes.
    pub fn pause(&mut self, length: Duration) {
        let until = Instant::now() + length;
        while Instant::now() < until {
            std::thread::sleep(
                Duration::from_millis(250).min(until.saturating_duration_since(Instant::now())),
            );
            self.shards();
            let ended = self.processes.ended();
            ended.iter().for_each(|what| self.say(&format!("ended by itself: {what}")));
            self.surprises.extend(ended.into_iter().map(|what| format!("ended by itself: {what}")));
        }
    }

    fn wait_for_all(&mut self) {
        let until = Instant::now() + BACK_PATIENCE;
        for at in 0..self.processes.nodes.len() {
            while !self.processes.ready(&self.rest, at) {
                if Instant::now() > until {
                    self.say(&format!("node {} is not ready yet", at + 1));
                    return;
                }
                self.pause(Duration::from_millis(200));
            }
        }
    }

    /// Undoes everything.
    pub fn heal(&mut self) -> std::io::Result<()> {
        self.say("healed");
        self.processes.heal()?;
        self.wait_for_all();
        for worker in self.workers() {
            if worker["state"] == "draining" {
                self.ask(&format!("/v1/admin/workers/{}/undrain", worker["worker"]), &json!({}));
            }
        }
        Ok(())
    }

    /// What keeps the cluster from being as it was ordered: moves, splits, missing or failed replicas.
    pub fn unrest(&mut self) -> Vec<String> {
        let mut unrest = Vec::new();
        let shards = self.shards();
        if shards.is_empty() {
            unrest.push("no node lists the shards".to_string());
        }
        for shard in shards.iter().filter(|shard| shard["collection"] == COLLECTION) {
            let ready = |replica: &&Value| replica["role"] == "voter" && replica["phase"] == "ready";
            let replicas = shard["replicas"].as_array().cloned().unwrap_or_default();
            let right =
                replicas.len() == REPLICATION_FACTOR && replicas.iter().all(|replica| ready(&replica));
            let led = !shard["leader"].is_null() && shard["splits_off"].is_null();
            if !right || !led || shard["problems"].as_array().is_some_and(|problems| !problems.is_empty()) {
                unrest.push(shard.to_string());
            }
        }
        let moves = self.processes.any(&self.rest, "/v1/admin/moves").unwrap_or_default();
        unrest.extend(moves["moves"].as_array().into_iter().flatten().map(Value::to_string));
        unrest
    }
}
