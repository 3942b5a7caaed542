//! The gateway's metrics. Every label is from a closed set.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use vectron_base::metric::{Counter, Family, Gauge, Histogram, Registry, duration_histogram};
use vectron_base::{Code, Fault};

/// The public calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "named after the calls of the contract")]
pub enum Call {
    CreateCollection,
    ListCollections,
    GetCollection,
    DeleteCollection,
    GetCollectionStatus,
    CreateIndex,
    ListIndexes,
    DeleteIndex,
    Upsert,
    Get,
    BatchGet,
    Delete,
    Payload,
    Batch,
    Search,
    SearchStream,
    WhyNot,
    Tune,
    Scroll,
    Count,
    Facet,
    Sample,
    Matrix,
    SearchBatch,
    Query,
    GetCluster,
    ChangeCluster,
}

impl Call {
    /// Every call.
    pub const ALL: [Call; 27] = [
        Call::CreateCollection,
        Call::ListCollections,
        Call::GetCollection,
        Call::DeleteCollection,
        Call::GetCollectionStatus,
        Call::CreateIndex,
        Call::ListIndexes,
        Call::DeleteIndex,
        Call::Upsert,
        Call::Get,
        Call::BatchGet,
        Call::Delete,
        Call::Payload,
        Call::Batch,
        Call::Search,
        Call::SearchStream,
        Call::WhyNot,
        Call::Tune,
        Call::Scroll,
        Call::Count,
        Call::Facet,
        Call::Sample,
        Call::Matrix,
        Call::SearchBatch,
        Call::Query,
        Call::GetCluster,
        Call::ChangeCluster,
    ];

    /// The label.
    pub fn as_str(self) -> &'static str {
        match self {
            Call::CreateCollection => "create_collection",
            Call::ListCollections => "list_collections",
            Call::GetCollection => "get_collection",
            Call::DeleteCollection => "delete_collection",
            Call::GetCollectionStatus => "get_collection_status",
            Call::CreateIndex => "create_index",
            Call::ListIndexes => "list_indexes",
            Call::DeleteIndex => "delete_index",
            Call::Upsert => "upsert",
            Call::Get => "get",
            Call::BatchGet => "batch_get",
            Call::Delete => "delete",
            Call::Payload => "payload",
            Call::Batch => "batch",
            Call::Search => "search",
            Call::SearchStream => "search_stream",
            Call::WhyNot => "why_not",
            Call::Tune => "tune",
            Call::Scroll => "scroll",
            Call::Count => "count",
            Call::Facet => "facet",
            Call::Sample => "sample",
            Call::Matrix => "matrix",
            Call::SearchBatch => "search_batch",
            Call::Query => "query",
            Call::GetCluster => "get_cluster",
            Call::ChangeCluster => "change_cluster",
        }
    }
}

/// Why a request or a connection was turned away, before its call began or after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// Too many requests in work.
    Requests,
    /// Too many bytes of bodies held.
    HeldBytes,
    /// Too many connections.
    Connections,
    /// No credentials, or wrong ones.
    Identity,
    /// A page of another site.
    Origin,
    /// An answer that its client did not take.
    SlowReader,
}

impl Rejection {
    /// The label.
    pub fn as_str(self) -> &'static str {
        match self {
            Rejection::Requests => "requests",
            Rejection::HeldBytes => "held_bytes",
            Rejection::Connections => "connections",
            Rejection::Identity => "identity",
            Rejection::Origin => "origin",
            Rejection::SlowReader => "slow_reader",
        }
    }
}

/// What looking for a kept result came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// It was given again.
    Hit,
    /// It was there, and the shard had gone on.
    Stale,
    /// It was not there.
    Miss,
}

impl Lookup {
    /// The label.
    pub fn as_str(self) -> &'static str {
        match self {
            Lookup::Hit => "hit",
            Lookup::Stale => "stale",
            Lookup::Miss => "miss",
        }
    }
}

type Labels<const N: usize> = [(&'static str, &'static str); N];

/// What the gateway counts. Clones count into the same figures.
#[derive(Clone)]
pub struct GatewayMetrics {
    requests: Family<Labels<2>, Counter>,
    seconds: Family<Labels<1>, Histogram, fn() -> Histogram>,
    in_flight: Gauge,
    shards_asked: Family<Labels<1>, Counter>,
    retries: Counter,
    hedges: Counter,
    hedgeable: Arc<AtomicU64>,
    lookups: Family<Labels<1>, Counter>,
    kept_bytes: Gauge,
    coalesced: Counter,
    rejected: Family<Labels<1>, Counter>,
    connections: Gauge,
    unsent: Gauge,
    held_bytes: Gauge,
}

impl Default for GatewayMetrics {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            seconds: Family::new_with_constructor(duration_histogram),
            in_flight: Gauge::default(),
            shards_asked: Family::default(),
            retries: Counter::default(),
            hedges: Counter::default(),
            hedgeable: Arc::default(),
            lookups: Family::default(),
            kept_bytes: Gauge::default(),
            coalesced: Counter::default(),
            rejected: Family::default(),
            connections: Gauge::default(),
            unsent: Gauge::default(),
            held_bytes: Gauge::default(),
        }
    }
}

impl GatewayMetrics {
    /// Metrics that appear in `registry`.
    pub fn register(registry: &mut Registry) -> Self {
        let m = Self::default();
        let counts = [
            ("vectron_gateway_shards_asked", "Shard calls made, by public call", m.shards_asked.clone()),
            (
                "vectron_gateway_rejected",
                "Requests and connections turned away, by reason",
                m.rejected.clone(),
            ),
            (
                "vectron_gateway_result_cache_lookups",
                "Shard searches looked up among the kept results, by what that came to",
                m.lookups.clone(),
            ),
        ];
        for (name, help, family) in counts {
            registry.register(name, help, family);
        }
        registry.register("vectron_gateway_requests", "Requests by call and code", m.requests.clone());
        registry.register(
            "vectron_gateway_request_seconds",
            "Time from the decoded request to its answer, by call",
            m.seconds.clone(),
        );
        registry.register("vectron_gateway_in_flight_requests", "Requests in work", m.in_flight.clone());
        registry.register(
            "vectron_gateway_shard_retries",
            "Shard calls made again after a stale route or a missing leader",
            m.retries.clone(),
        );
        registry.register(
            "vectron_gateway_hedges",
            "Reads sent to a second replica because the first was slow",
            m.hedges.clone(),
        );
        registry.register(
            "vectron_gateway_result_cache_bytes",
            "Bytes of kept results, with their questions",
            m.kept_bytes.clone(),
        );
        registry.register(
            "vectron_gateway_coalesced",
            "Shard searches answered by an equal one that another caller asked",
            m.coalesced.clone(),
        );
        registry.register("vectron_gateway_open_connections", "Open connections", m.connections.clone());
        registry.register(
            "vectron_gateway_unsent_answers",
            "Answers that their clients have not taken whole yet, small ones not counted",
            m.unsent.clone(),
        );
        registry.register(
            "vectron_gateway_held_bytes",
            "Bytes of bodies and answers held for requests",
            m.held_bytes.clone(),
        );
        m
    }

    /// A call began; the guard ends it.
    pub fn begin(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    /// A call ended.
    pub fn observe(&self, call: Call, fault: Option<&Fault>, took: Duration) {
        self.count(call, fault.map(|fault| fault.code));
        self.seconds.get_or_create(&[("call", call.as_str())]).observe(took.as_secs_f64());
    }

    /// A request ended with this code, `ok` when there is none.
    pub fn count(&self, call: Call, code: Option<Code>) {
        let code = code.map_or("ok", Code::as_str);
        self.requests.get_or_create(&[("call", call.as_str()), ("code", code)]).inc();
    }

    /// So many shards were asked for a call.
    pub fn asked(&self, call: Call, shards: usize) {
        self.shards_asked.get_or_create(&[("call", call.as_str())]).inc_by(shards as u64);
    }

    /// A shard was asked again.
    pub fn retried(&self) {
        self.retries.inc();
    }

    /// A read was sent to a second replica as well.
    pub fn hedged(&self) {
        self.hedges.inc();
    }

    /// Notes a read that may be sent twice; whether it may, when so many of a hundred are.
    pub fn may_hedge(&self, percent: u64) -> bool {
        let reads = self.hedgeable.fetch_add(1, Ordering::Relaxed) + 1;
        self.hedges.get().saturating_mul(100) < reads.saturating_mul(percent)
    }

    /// A kept result was looked for.
    pub fn looked_up(&self, lookup: Lookup) {
        self.lookups.get_or_create(&[("result", lookup.as_str())]).inc();
    }

    /// So many bytes of results are kept.
    pub fn keeps(&self, bytes: u64) {
        self.kept_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// A shard search was answered by another's.
    pub fn coalesced(&self) {
        self.coalesced.inc();
    }

    /// Somebody was turned away.
    pub fn rejected(&self, why: Rejection) {
        self.rejected.get_or_create(&[("reason", why.as_str())]).inc();
    }

    /// An answer waits for its client until the guard is dropped.
    pub fn unsent_answer(&self) -> InFlight {
        self.unsent.inc();
        InFlight(self.unsent.clone())
    }

    /// So many more bytes are held, or fewer.
    pub fn holds(&self, bytes: i64) {
        self.held_bytes.inc_by(bytes);
    }

    /// A connection is open until the guard is dropped.
    pub fn connected(&self) -> InFlight {
        self.connections.inc();
        InFlight(self.connections.clone())
    }
}

/// Counts one less when dropped.
pub struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vectron_base::metric::prometheus_text;

    #[test]
    fn names_and_labels() {
        let mut registry = Registry::default();
        let metrics = GatewayMetrics::register(&mut registry);
        metrics.observe(Call::Search, None, Duration::from_millis(3));
        metrics.count(Call::Upsert, Some(Code::TooLarge));
        metrics.rejected(Rejection::Requests);
        let _in_flight = metrics.begin();
        let text = prometheus_text(&registry);
        for line in [
            "vectron_gateway_requests_total{call=\"search\",code=\"ok\"} 1",
            "vectron_gateway_requests_total{call=\"upsert\",code=\"too_large\"} 1",
            "vectron_gateway_request_seconds_count{call=\"search\"} 1",
            "vectron_gateway_rejected_total{reason=\"requests\"} 1",
            "vectron_gateway_in_flight_requests 1",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
    }
}
