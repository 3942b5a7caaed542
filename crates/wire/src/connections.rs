//! Whom to ask when there are several: the leader among the members of the placement driver, and workers by the
//! addresses in the catalog. Over the service traits, so that it is the same over gRPC and in a simulation.

use crate::placement::{
    CatalogSnapshot, CatalogView, ClusterChange, ClusterView, Collection, CollectionSpec, Placement,
    PlannedMove, Registration, WorkerReport,
};
use crate::worker::{Worker, WorkerDirectory};
use async_trait::async_trait;
use futures::future::BoxFuture;
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use vectron_base::clock::Clock;
use vectron_base::filter::FieldIndex;
use vectron_base::ids::WorkerId;
use vectron_base::pool::{Pool, within};
use vectron_base::{Code, Fault, Outcome};

/// Makes connections, which connect when they are first used. None for what is not an address.
pub trait Dialer: Send + Sync {
    /// The worker at an address.
    fn worker(&self, address: &str) -> Option<Arc<dyn Worker>>;
    /// The member of the placement driver at an address.
    fn placement(&self, address: &str) -> Option<Arc<dyn Placement>>;
}

/// Time on top of what a member was given to answer in, so that its own fault, which knows the outcome, comes first.
const ANSWER_SLACK: Duration = Duration::from_millis(500);
/// How often all members are asked, at most.
const ROUNDS: usize = 2;
/// Most members asked in a round: hints may name members that are not listed.
const ASKED_MAX: usize = 16;

/// How long calls to the placement driver take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlacementWaits {
    /// For calls that name no timeout.
    pub call: Duration,
    /// For watches: longer than the placement driver lets one wait for a change.
    pub watch: Duration,
    /// Between asking all members and asking them once more, unless they say how long.
    pub pause: Duration,
}

struct Drivers {
    addresses: Vec<String>,
    dialled: BTreeMap<String, Arc<dyn Placement>>,
    /// Whom to ask first: who answered last, or the one after who failed last.
    first: Option<String>,
}

/// The placement driver of several members, of which one leads.
///
/// Every call goes to who answered last. A member that cannot be reached, or that does not lead, did nothing: the
/// next is asked, first the one that it names as the leader. When none answered, all are asked once more after a
/// pause, if there is time. A change whose outcome is unknown is never repeated.
pub struct PlacementConnections {
    dialer: Arc<dyn Dialer>,
    clock: Arc<dyn Clock>,
    pool: Arc<dyn Pool>,
    waits: PlacementWaits,
    drivers: Mutex<Drivers>,
}

/// What a call does at one member, within the time that is left.
type Act<'a, T> =
    &'a (dyn Fn(Arc<dyn Placement>, Duration) -> BoxFuture<'static, Result<T, Fault>> + Send + Sync);

impl PlacementConnections {
    /// The members at these addresses.
    pub fn new(
        dialer: Arc<dyn Dialer>,
        addresses: Vec<String>,
        clock: Arc<dyn Clock>,
        pool: Arc<dyn Pool>,
        waits: PlacementWaits,
    ) -> Self {
        let drivers = Drivers { addresses, dialled: BTreeMap::new(), first: None };
        Self { dialer, clock, pool, waits, drivers: Mutex::new(drivers) }
    }

    /// The members are at these addresses from now on.
    pub fn set_addresses(&self, addresses: Vec<String>) {
        let mut drivers = self.drivers.lock();
        drivers.first = drivers.first.take().filter(|first| addresses.contains(first));
        drivers.dialled.retain(|address, _| addresses.contains(address));
        drivers.addresses = addresses;
    }

    /// The address that the next call goes to first.
    pub fn first(&self) -> Option<String> {
        let drivers = self.drivers.lock();
        drivers.first.clone().or_else(|| drivers.addresses.first().cloned())
    }

    fn dial(&self, address: &str) -> Option<Arc<dyn Placement>> {
        let mut drivers = self.drivers.lock();
        if let Some(placement) = drivers.dialled.get(address) {
            return Some(placement.clone());
        }
        let placement = self.dialer.placement(address)?;
        // Hints name others than are listed, but not ever more of them.
        if drivers.dialled.len() > drivers.addresses.len() + ASKED_MAX {
            drivers.dialled.clear();
        }
        drivers.dialled.insert(address.to_string(), placement.clone());
        Some(placement)
    }

    /// Whom to ask next in a round: the hinted, then whom to ask first, then in order after the one asked last.
    fn next(&self, hint: Option<String>, last: Option<&str>, asked: &BTreeSet<String>) -> Option<String> {
        let drivers = self.drivers.lock();
        let unasked = |address: &String| !asked.contains(address);
        let at = last.and_then(|last| drivers.addresses.iter().position(|address| address == last));
        let (before, after) = drivers.addresses.split_at(at.map_or(0, |at| at + 1));
        let first = hint.filter(unasked).or_else(|| drivers.first.clone().filter(unasked));
        first.or_else(|| after.iter().chain(before).find(|address| unasked(address)).cloned())
    }

    fn answered(&self, address: &str) {
        let mut drivers = self.drivers.lock();
        if drivers.first.as_deref() != Some(address) {
            drivers.first = Some(address.to_string());
        }
    }

    /// The address is not asked first any more: the one after it is.
    fn failed(&self, address: &str) {
        let mut drivers = self.drivers.lock();
        if drivers.first.as_deref().is_none_or(|first| first == address) {
            let at = drivers.addresses.iter().position(|other| other == address);
            let next = at.and_then(|at| drivers.addresses.iter().cycle().nth(at + 1));
            drivers.first = next.cloned();
        }
    }

    /// One member's answer, or what became of the call without one.
    async fn ask<T: Send + 'static>(
        &self,
        address: &str,
        left: Duration,
        lost: Outcome,
        act: Act<'_, T>,
    ) -> Result<T, Fault> {
        let Some(placement) = self.dial(address) else {
            return Err(Fault::new(Code::Unavailable, "the placement driver has no such address"));
        };
        let silent = || {
            let detail = "the placement driver did not answer in time";
            Err(Fault::new(Code::DeadlineExceeded, detail).with_outcome(lost))
        };
        within(&self.pool, left.saturating_add(ANSWER_SLACK), act(placement, left))
            .await
            .unwrap_or_else(silent)
    }

    async fn call<T: Send + 'static>(
        &self,
        limit: Duration,
        lost: Outcome,
        act: Act<'_, T>,
    ) -> Result<T, Fault> {
        let deadline = self.clock.now().plus(limit);
        let left = || deadline.since(self.clock.now());
        let mut fault = Fault::new(Code::Unavailable, "the placement driver has no members");
        let mut told = false;
        for round in 0..ROUNDS {
            if round > 0 {
                let pause = fault.retry_after_ms.map_or(self.waits.pause, Duration::from_millis);
                if pause >= left() {
                    break;
                }
                self.pool.sleep(pause).await;
            }
            let mut asked = BTreeSet::new();
            let (mut hint, mut last) = (None, None);
            while asked.len() < ASKED_MAX
                && let Some(address) = self.next(hint.take(), last.as_deref(), &asked)
            {
                let refused = match self.ask(&address, left(), lost, act).await {
                    Ok(answer) => {
                        self.answered(&address);
                        return Ok(answer);
                    }
                    Err(refused) => refused,
                };
                if matches!(refused.code, Code::Unavailable | Code::DeadlineExceeded) {
                    self.failed(&address);
                } else {
                    self.answered(&address);
                }
                if refused.outcome != Outcome::NotApplied || refused.code != Code::Unavailable {
                    return Err(outward(refused));
                }
                hint.clone_from(&refused.leader);
                // What the leader itself says is worth more than that others do not lead.
                if !told || refused.leader.is_none() {
                    told = true;
                    fault = refused;
                }
                if left().is_zero() {
                    return Err(outward(fault));
                }
                asked.insert(address.clone());
                last = Some(address);
            }
        }
        Err(outward(fault))
    }
}

/// Where the leader is was of use here only.
fn outward(mut fault: Fault) -> Fault {
    fault.leader = None;
    fault
}

fn milliseconds(left: Duration) -> u64 {
    u64::try_from(left.as_millis()).unwrap_or(u64::MAX)
}

#[async_trait]
impl Placement for PlacementConnections {
    async fn create_collection(
        &self,
        spec: CollectionSpec,
        timeout_ms: u64,
    ) -> Result<(Collection, bool), Fault> {
        self.call(Duration::from_millis(timeout_ms), Outcome::Unknown, &|driver, left| {
            let spec = spec.clone();
            Box::pin(async move { driver.create_collection(spec, milliseconds(left)).await })
        })
        .await
    }

    async fn delete_collection(&self, name: &str, timeout_ms: u64) -> Result<(), Fault> {
        self.call(Duration::from_millis(timeout_ms), Outcome::Unknown, &|driver, left| {
            let name = name.to_string();
            Box::pin(async move { driver.delete_collection(&name, milliseconds(left)).await })
        })
        .await
    }

    async fn create_index(&self, collection: &str, index: FieldIndex) -> Result<bool, Fault> {
        self.call(self.waits.call, Outcome::Unknown, &|driver, _| {
            let (collection, index) = (collection.to_string(), index.clone());
            Box::pin(async move { driver.create_index(&collection, index).await })
        })
        .await
    }

    async fn delete_index(&self, collection: &str, field: &str) -> Result<(), Fault> {
        self.call(self.waits.call, Outcome::Unknown, &|driver, _| {
            let (collection, field) = (collection.to_string(), field.to_string());
            Box::pin(async move { driver.delete_index(&collection, &field).await })
        })
        .await
    }

    async fn watch(&self, known_epoch: u64) -> Result<Arc<CatalogView>, Fault> {
        self.call(self.waits.watch, Outcome::NotApplied, &|driver, _| {
            Box::pin(async move { driver.watch(known_epoch).await })
        })
        .await
    }

    async fn register(&self, registration: Registration) -> Result<(), Fault> {
        self.call(self.waits.call, Outcome::Unknown, &|driver, _| {
            let registration = registration.clone();
            Box::pin(async move { driver.register(registration).await })
        })
        .await
    }

    async fn report(&self, report: WorkerReport) -> Result<(), Fault> {
        self.call(self.waits.call, Outcome::Unknown, &|driver, _| {
            let report = report.clone();
            Box::pin(async move { driver.report(report).await })
        })
        .await
    }

    async fn cluster(&self) -> Result<ClusterView, Fault> {
        self.call(self.waits.call, Outcome::NotApplied, &|driver, _| {
            Box::pin(async move { driver.cluster().await })
        })
        .await
    }

    async fn change(&self, change: ClusterChange) -> Result<Vec<PlannedMove>, Fault> {
        self.call(self.waits.call, Outcome::Unknown, &|driver, _| {
            let change = change.clone();
            Box::pin(async move { driver.change(change).await })
        })
        .await
    }

    async fn catalog_snapshot(&self) -> Result<CatalogSnapshot, Fault> {
        self.call(self.waits.call, Outcome::NotApplied, &|driver, _| {
            Box::pin(async move { driver.catalog_snapshot().await })
        })
        .await
    }
}

/// A worker and its connection, once somebody asked for it.
struct Known {
    address: String,
    dialled: OnceLock<Option<Arc<dyn Worker>>>,
}

#[derive(Default)]
struct Workers {
    epoch: u64,
    known: BTreeMap<WorkerId, Arc<Known>>,
}

/// The workers of the catalog, by the addresses that they registered.
pub struct WorkerConnections {
    dialer: Arc<dyn Dialer>,
    local: Option<(WorkerId, Arc<dyn Worker>)>,
    workers: RwLock<Workers>,
}

impl WorkerConnections {
    /// No workers yet, except the one in this process, if there is one: it is called without a connection.
    pub fn new(dialer: Arc<dyn Dialer>, local: Option<(WorkerId, Arc<dyn Worker>)>) -> Self {
        Self { dialer, local, workers: RwLock::default() }
    }

    /// Takes the workers of a catalog over, unless a newer one was seen. Connections to workers that are gone or
    /// have moved are dropped; calls on them go on to their end.
    pub fn update(&self, view: &CatalogView) {
        let mut workers = self.workers.write();
        if view.epoch < workers.epoch {
            return;
        }
        workers.epoch = view.epoch;
        let before = std::mem::take(&mut workers.known);
        workers.known = view
            .workers
            .iter()
            .map(|entry| {
                let (id, address) = (entry.registration.worker, &entry.registration.address);
                let kept = before.get(&id).filter(|known| known.address == *address).cloned();
                let new = || Arc::new(Known { address: address.clone(), dialled: OnceLock::new() });
                (id, kept.unwrap_or_else(new))
            })
            .collect();
    }

    /// Where a worker is reached.
    pub fn address(&self, id: WorkerId) -> Option<String> {
        self.workers.read().known.get(&id).map(|known| known.address.clone())
    }
}

impl WorkerDirectory for WorkerConnections {
    fn worker(&self, id: WorkerId) -> Option<Arc<dyn Worker>> {
        if let Some((local, worker)) = &self.local
            && *local == id
        {
            return Some(worker.clone());
        }
        let known = self.workers.read().known.get(&id).cloned()?;
        known.dialled.get_or_init(|| self.dialer.worker(&known.address)).clone()
    }
}
