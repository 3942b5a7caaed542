//! The gateway itself: what it is assembled from, and what every call shares.

use crate::admit::{Deadline, Load};
use crate::answers::Answers;
use crate::api::Consistency;
use crate::ask::REFRESH_PATIENCE_MS;
use crate::knobs::GatewayKnobs;
use crate::metrics::{Call, GatewayMetrics};
use crate::route::{Catalog, View};
use crate::session::Session;
use crate::sharing::Sharing;
use crate::translate::{Question, check_collection_name, timeout_ms};
use std::cmp::Ordering;
use std::sync::Arc;
use vectron_base::clock::{Clock, Tick};
use vectron_base::pool::Pool;
use vectron_base::random::Random;
use vectron_base::{Code, Fault, Outcome};
use vectron_wire::placement::{Collection, Placement};
use vectron_wire::worker::{ReadLevel, ShardHits, ShardRead, WorkerDirectory};

/// What a gateway is assembled from.
pub struct Parts {
    /// The catalog.
    pub placement: Arc<dyn Placement>,
    /// Where workers are found.
    pub workers: Arc<dyn WorkerDirectory>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness, for ids of requests and searches.
    pub random: Arc<dyn Random>,
    /// Tasks and sleeping.
    pub pool: Arc<dyn Pool>,
    /// Settings.
    pub knobs: GatewayKnobs,
    /// Where calls are counted.
    pub metrics: GatewayMetrics,
    /// What operators may see of the whole process.
    pub admin: AdminSources,
    /// The operator's key; without one, anybody may do anything.
    pub admin_key: Option<String>,
}

/// Process-wide facts for operators, made by whoever assembled the process.
pub struct AdminSources {
    /// The metrics, as OpenMetrics text if true, else in the Prometheus format.
    pub metrics_text: Arc<dyn Fn(bool) -> String + Send + Sync>,
    /// Every knob with value and origin.
    pub knobs: serde_json::Value,
    /// Whether the process can serve, or why not.
    pub ready: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
    /// Figures.
    pub stats: Arc<dyn Fn() -> serde_json::Value + Send + Sync>,
}

/// Searches of one shard that are on their way, by what is asked and how fresh.
pub(crate) type SharedSearches = Sharing<(Question, ReadLevel), Arc<ShardRead<ShardHits>>>;

/// The edge: one method per public call. HTTP, gRPC and simulations call the same methods.
pub struct Gateway {
    pub(crate) parts: Parts,
    pub(crate) catalog: Arc<Catalog>,
    /// What shards answered; none if nothing is to be kept.
    pub(crate) answers: Option<Arc<Answers>>,
    /// Searches of shards that are under way.
    pub(crate) sharing: Arc<SharedSearches>,
    load: Arc<Load>,
}

impl Gateway {
    /// A gateway that follows the catalog from now on.
    pub fn new(parts: Parts) -> Arc<Gateway> {
        let catalog = Catalog::follow(parts.placement.clone(), &parts.pool);
        let load = Load::new(&parts.knobs, parts.metrics.clone());
        let answers = Answers::of_bytes(parts.knobs.result_cache_bytes, parts.metrics.clone());
        Arc::new(Gateway { parts, catalog, answers, sharing: Sharing::new(), load })
    }

    /// The settings.
    pub fn knobs(&self) -> &GatewayKnobs {
        &self.parts.knobs
    }

    /// The metrics.
    pub fn metrics(&self) -> &GatewayMetrics {
        &self.parts.metrics
    }

    /// Whether calls can be served, or why not.
    pub fn ready(&self) -> Result<(), String> {
        (self.parts.admin.ready)()?;
        if self.catalog.seen() { Ok(()) } else { Err("the catalog has not been seen yet".into()) }
    }

    pub(crate) fn admin_key(&self) -> Option<&str> {
        self.parts.admin_key.as_deref()
    }

    pub(crate) fn load(&self) -> &Arc<Load> {
        &self.load
    }

    pub(crate) fn now(&self) -> Tick {
        self.parts.clock.now()
    }

    /// An id nobody has yet, as hexadecimal text.
    pub(crate) fn fresh_id(&self) -> String {
        let random = &self.parts.random;
        format!("{:016x}{:016x}", random.next_u64(), random.next_u64())
    }

    /// The deadline of a call that asked for this timeout.
    pub(crate) fn deadline(&self, asked: Option<u64>) -> Result<Deadline, Fault> {
        Ok(self.deadline_in(timeout_ms(asked, self.knobs())?))
    }

    /// A deadline so many milliseconds from now.
    pub(crate) fn deadline_in(&self, ms: u64) -> Deadline {
        Deadline::after(&self.parts.clock, &self.parts.pool, ms)
    }

    /// Runs a call and counts it.
    pub(crate) async fn measured<T>(
        &self,
        call: Call,
        work: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        let _in_flight = self.metrics().begin();
        let start = self.now();
        let result = work.await;
        self.metrics().observe(call, result.as_ref().err(), self.now().since(start));
        result
    }

    /// The collection of a name: from the view, else from one refresh.
    pub(crate) async fn collection(&self, name: &str, deadline: &Deadline) -> Result<Arc<Collection>, Fault> {
        check_collection_name("collection", name)?;
        if let Some(known) = self.catalog.view().get(name) {
            return Ok(known.clone());
        }
        let view = self.refreshed(deadline).await?;
        view.get(name).cloned().ok_or_else(|| Fault::no_collection(name))
    }

    /// The collection that a read is planned on: with every shard that the read's session has seen. A map from before
    /// a split would ask the old shard, whose replicas need not have got to where the session was.
    pub(crate) async fn collection_to_read(
        &self,
        name: &str,
        asked: Option<&Consistency>,
        deadline: &Deadline,
    ) -> Result<Arc<Collection>, Fault> {
        let known = self.collection(name, deadline).await?;
        let token = asked.filter(|asked| asked.level == "session").and_then(|asked| asked.token.as_deref());
        // What is no token is refused when the read is planned, and so is one of an earlier life.
        let Some(session) = token.and_then(Session::from_token) else { return Ok(known) };
        let ahead = |c: &Collection| match session.incarnation.cmp(&c.incarnation) {
            Ordering::Greater => Some("another life of the collection".to_string()),
            Ordering::Equal => session.beyond(c).map(|shard| format!("shard {shard}")),
            Ordering::Less => None,
        };
        if ahead(&known).is_none() {
            return Ok(known);
        }
        let soon = deadline.no_later_than(REFRESH_PATIENCE_MS);
        let (now, why) = match self.refreshed(&soon).await {
            Ok(view) => (view.get(name).cloned().ok_or_else(|| Fault::no_collection(name))?, String::new()),
            Err(fault) => (known, format!("; the catalog cannot be asked: {}", fault.detail)),
        };
        match ahead(&now) {
            // The catalog was asked, and it is another collection's.
            Some(_) if why.is_empty() && session.incarnation != now.incarnation => Ok(now),
            Some(what) => {
                let detail =
                    format!("the session has seen {what}, which this gateway does not know of yet{why}");
                Err(Fault::new(Code::StalenessUnmet, detail))
            }
            None => Ok(now),
        }
    }

    /// The view after one refresh.
    pub(crate) async fn refreshed(&self, deadline: &Deadline) -> Result<Arc<View>, Fault> {
        let refreshed = deadline.bound(Outcome::NotApplied, self.catalog.refresh()).await;
        // A question to the catalog changes nothing, whatever became of it.
        refreshed.map_err(|fault| fault.with_outcome(Outcome::NotApplied))
    }

    /// After a call on `old` failed as if the collection or a shard were gone: the collection as it is now, if it
    /// is another one or has other shards, so that the call can be made again.
    pub(crate) async fn another_life(
        &self,
        old: &Collection,
        fault: &Fault,
        deadline: &Deadline,
    ) -> Result<Option<Arc<Collection>>, Fault> {
        if !matches!(fault.code, Code::NotFound | Code::Unavailable) || fault.outcome != Outcome::NotApplied {
            return Ok(None);
        }
        // A shard that is merely away asked for the catalog already, as far as it can be had.
        let view = match fault.code {
            Code::NotFound => self.refreshed(deadline).await?,
            _ => self.catalog.view(),
        };
        match view.get(&old.spec.name) {
            Some(now) if now.incarnation == old.incarnation => {
                // The call was planned on ranges that are no more.
                let ranges = |c: &Collection| c.shards.iter().map(|s| (s.shard, s.first)).collect::<Vec<_>>();
                Ok((ranges(now) != ranges(old)).then(|| now.clone()))
            }
            Some(now) => Ok(Some(now.clone())),
            None if fault.code == Code::Unavailable => Ok(None),
            None => Err(Fault::no_collection(&old.spec.name)),
        }
    }
}
