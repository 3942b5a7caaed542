//! The gateway's settings.

use std::time::Duration;
use vectron_base::filter::FilterLimits;
use vectron_base::knob::{Affects, Bounds};

vectron_base::knobs! {
    /// Settings of the edge: what is accepted, how much at once, for how long.
    pub struct GatewayKnobs in "gateway", "VECTRON_GATEWAY" {
        /// Largest request body, after decompression, and largest gRPC message. A larger limit lets one request hold more memory.
        max_body_bytes: u64 = 67_108_864u64, "MAX_BODY_BYTES", Bounds::Integer(1_024, 1_073_741_824), "bytes", Affects::Limits, "vectron_gateway_requests_total";
        /// Largest payload of a point, as JSON text without insignificant whitespace. Larger payloads slow down every answer that includes them.
        payload_limit_bytes: u64 = 65_536u64, "PAYLOAD_LIMIT_BYTES", Bounds::Integer(2, 16_777_216), "bytes", Affects::Limits, "vectron_gateway_requests_total";
        /// Deepest nesting of a payload. Deeper payloads cost more to filter.
        payload_depth: u64 = 64u64, "PAYLOAD_DEPTH", Bounds::Integer(1, 120), "", Affects::Limits, "vectron_gateway_requests_total";
        /// Most numbers in a vector. Longer vectors take proportionally more memory and time.
        max_dimension: u64 = 16_384u64, "MAX_DIMENSION", Bounds::Integer(1, 65_536), "", Affects::Limits, "vectron_gateway_requests_total";
        /// Most vector fields of a collection, of all kinds. Each dense one has a graph of its own on every shard.
        max_vector_fields: u64 = 16u64, "MAX_VECTOR_FIELDS", Bounds::Integer(1, 256), "", Affects::Limits, "vectron_gateway_requests_total";
        /// Most numbers in a sparse vector. Each is looked up by a search, and stored in a list by a write.
        max_sparse_numbers: u64 = 4_096u64, "MAX_SPARSE_NUMBERS", Bounds::Integer(1, 1_048_576), "", Affects::Limits, "vectron_gateway_requests_total";
        /// Most vectors of a point in a multi field. A search compares each with each of its own, on every point.
        max_multi_vectors: u64 = 1_024u64, "MAX_MULTI_VECTORS", Bounds::Integer(1, 65_536), "", Affects::Limits, "vectron_gateway_requests_total";
        /// Most shards of a new collection. Every search asks all of them.
        max_shards: u64 = 64u64, "MAX_SHARDS", Bounds::Integer(1, 4_096), "", Affects::Limits, "vectron_gateway_shards_asked_total";
        /// Most points or ids in one request. Larger batches hold a shard's log longer.
        max_batch: u64 = 10_000u64, "MAX_BATCH", Bounds::Integer(1, 1_000_000), "", Affects::Limits, "vectron_gateway_requests_total";
        /// Largest top_k of a search. Larger answers take more memory on every shard.
        max_top_k: u64 = 10_000u64, "MAX_TOP_K", Bounds::Integer(1, 1_000_000), "", Affects::Limits, "vectron_gateway_request_seconds";
        /// Largest ef of a search. A larger ef finds more and takes longer.
        max_ef: u64 = 16_384u64, "MAX_EF", Bounds::Integer(1, 1_000_000), "", Affects::Limits, "vectron_gateway_request_seconds";
        /// Longest text that is searched for. Longer texts have more words, each of which costs time on every shard.
        text_query_bytes: u64 = 4_096u64, "TEXT_QUERY_BYTES", Bounds::Integer(1, 65_536), "bytes", Affects::Limits, "vectron_gateway_request_seconds";
        /// Largest page of a scroll. Larger pages take more memory on every shard.
        max_page: u64 = 10_000u64, "MAX_PAGE", Bounds::Integer(1, 1_000_000), "", Affects::Limits, "vectron_gateway_request_seconds";
        /// Most values of a facet, and most that one of several shards may have. More take more memory.
        max_facet_values: u64 = 65_536u64, "MAX_FACET_VALUES", Bounds::Integer(1, 10_000_000), "", Affects::Limits, "vectron_gateway_request_seconds";
        /// Most points of a matrix. Its size and time grow with the square.
        max_matrix: u64 = 256u64, "MAX_MATRIX", Bounds::Integer(1, 4_096), "", Affects::Limits, "vectron_gateway_request_seconds";
        /// Most searches of a batch. Each is asked of every shard.
        max_searches: u64 = 100u64, "MAX_SEARCHES", Bounds::Integer(1, 10_000), "", Affects::Limits, "vectron_gateway_shards_asked_total";
        /// Most legs of a query. Each is asked of every shard.
        max_legs: u64 = 16u64, "MAX_LEGS", Bounds::Integer(1, 1_024), "", Affects::Limits, "vectron_gateway_shards_asked_total";
        /// Most examples of a recommendation. Each named by id is read.
        max_examples: u64 = 256u64, "MAX_EXAMPLES", Bounds::Integer(1, 10_000), "", Affects::Limits, "vectron_gateway_requests_total";
        /// Most parts of a formula. Each is worked out for every candidate.
        formula_parts: u64 = 64u64, "FORMULA_PARTS", Bounds::Integer(1, 4_096), "", Affects::Limits, "vectron_gateway_requests_total";
        /// Most candidates of a diverse selection. Time grows with their number times the results.
        max_mmr_candidates: u64 = 1_000u64, "MAX_MMR_CANDIDATES", Bounds::Integer(1, 100_000), "", Affects::Limits, "vectron_gateway_request_seconds";
        /// Most groups, and most results of one.
        max_groups: u64 = 1_000u64, "MAX_GROUPS", Bounds::Integer(1, 100_000), "", Affects::Limits, "vectron_gateway_requests_total";
        /// Most tests in one filter. Each costs time on every point that is looked at.
        filter_clauses: u64 = 256u64, "FILTER_CLAUSES", Bounds::Integer(1, 65_536), "", Affects::Limits, "vectron_gateway_requests_total";
        /// Deepest nesting of a filter. Deeper filters cost more to plan.
        filter_depth: u64 = 16u64, "FILTER_DEPTH", Bounds::Integer(1, 64), "", Affects::Limits, "vectron_gateway_requests_total";
        /// Longest list of $in and $nin. Longer lists cost more per point.
        filter_list: u64 = 10_000u64, "FILTER_LIST", Bounds::Integer(1, 1_000_000), "", Affects::Limits, "vectron_gateway_requests_total";
        /// Most paths that one change of payloads removes. Longer lists cost more per point.
        unset_paths: u64 = 256u64, "UNSET_PATHS", Bounds::Integer(1, 65_536), "", Affects::Limits, "vectron_gateway_requests_total";
        /// Most messages of one stream of upserts in work at once. More keep a fast client busier and hold more memory.
        stream_upserts: u64 = 8u64, "STREAM_UPSERTS", Bounds::Integer(1, 1_024), "", Affects::Limits, "vectron_gateway_held_bytes";
        /// What becomes of a filter on a field without a payload index: answered by looking at every payload, with filter_without_index in meta.degraded, or refused. Refusing finds slow queries early.
        filter_without_index: String = "allow", "FILTER_WITHOUT_INDEX", Bounds::Choice(&["allow", "refuse"]), "", Affects::Limits, "vectron_gateway_requests_total";
        /// Time that a call may take when it names no timeout. Shorter fails sooner under load.
        default_timeout_ms: u64 = 10_000u64, "DEFAULT_TIMEOUT_MS", Bounds::Integer(1, 3_600_000), "ms", Affects::Limits, "vectron_gateway_request_seconds";
        /// Longest timeout that a call may name. Longer holds resources for slow shards.
        max_timeout_ms: u64 = 300_000u64, "MAX_TIMEOUT_MS", Bounds::Integer(1, 3_600_000), "ms", Affects::Limits, "vectron_gateway_request_seconds";
        /// Time that creating or deleting a collection may take. Longer waits for slow workers.
        collection_timeout_ms: u64 = 30_000u64, "COLLECTION_TIMEOUT_MS", Bounds::Integer(100, 3_600_000), "ms", Affects::Limits, "vectron_gateway_request_seconds";
        /// Time that the status of a collection waits for one shard. Shorter shows busy shards as not ready.
        status_timeout_ms: u64 = 2_000u64, "STATUS_TIMEOUT_MS", Bounds::Integer(10, 60_000), "ms", Affects::Limits, "vectron_gateway_request_seconds";
        /// How often all replicas of a shard are asked in one call before it fails; its deadline may come first. More rounds bridge longer elections and hold a call's resources longer.
        route_rounds: u64 = 64u64, "ROUTE_ROUNDS", Bounds::Integer(2, 10_000), "", Affects::Limits, "vectron_gateway_shard_retries_total";
        /// Most time that one replica gets for a call that another could answer. Shorter notices a machine that stands still sooner and repeats slow calls.
        attempt_ms: u64 = 3_000u64, "ATTEMPT_MS", Bounds::Integer(10, 600_000), "ms", Affects::Speed, "vectron_gateway_shard_retries_total";
        /// Share of a search's time that its shards get when it sets allow_partial. What is left is for the answer without those that are late; a larger share waits longer for them.
        partial_percent: u64 = 80u64, "PARTIAL_PERCENT", Bounds::Integer(1, 100), "percent", Affects::Speed, "vectron_gateway_request_seconds";
        /// Most bytes of search results that are kept, by shard and applied index; 0 for none. A kept result is given again only after the shard's worker has said, at the level of the read, that nothing was applied since. More bytes answer more repeated searches without searching.
        result_cache_bytes: u64 = 0u64, "RESULT_CACHE_BYTES", Bounds::Integer(0, 1_099_511_627_776), "bytes", Affects::Speed, "vectron_gateway_result_cache_bytes";
        /// Most time that a search waits for an equal one that is under way, to share the one after it; 0 to ask for every search by itself. Longer asks shards less under many equal searches and makes each of those wait longer.
        coalesce_ms: u64 = 0u64, "COALESCE_MS", Bounds::Integer(0, 600_000), "ms", Affects::Speed, "vectron_gateway_coalesced_total";
        /// Time after which a read that is not linearizable is sent to a second replica as well; 0 for never. Shorter cuts the slowest answers and costs more reads.
        hedge_after_ms: u64 = 50u64, "HEDGE_AFTER_MS", Bounds::Integer(0, 60_000), "ms", Affects::Speed, "vectron_gateway_hedges_total";
        /// Most reads of a hundred that are sent twice. More cut the slowest answers under load, and add to it.
        hedge_percent: u64 = 5u64, "HEDGE_PERCENT", Bounds::Integer(0, 100), "percent", Affects::Speed, "vectron_gateway_hedges_total";
        /// Most requests in work at once; more are answered with overloaded. More need more memory.
        max_requests: u64 = 1_024u64, "MAX_REQUESTS", Bounds::Integer(1, 1_000_000), "", Affects::Limits, "vectron_gateway_in_flight_requests";
        /// Most bytes of points in one answer, about. A scroll ends its page there; a search or batch get is refused. Larger lets one answer hold more memory.
        max_answer_bytes: u64 = 67_108_864u64, "MAX_ANSWER_BYTES", Bounds::Integer(65_536, 1_073_741_824), "bytes", Affects::Limits, "vectron_gateway_held_bytes";
        /// Most bytes of request bodies and unsent answers held at once; more are answered with overloaded. More need more memory.
        max_held_bytes: u64 = 1_073_741_824u64, "MAX_HELD_BYTES", Bounds::Integer(1_048_576, 1_099_511_627_776), "bytes", Affects::Limits, "vectron_gateway_held_bytes";
        /// Most open connections; more are closed at once. Each costs some kilobytes.
        max_connections: u64 = 16_384u64, "MAX_CONNECTIONS", Bounds::Integer(1, 1_000_000), "", Affects::Limits, "vectron_gateway_open_connections";
        /// Time a connection has to send a request's head, and may stay idle under HTTP/1. Shorter frees connections of slow clients sooner.
        header_timeout_ms: u64 = 30_000u64, "HEADER_TIMEOUT_MS", Bounds::Integer(10, 600_000), "ms", Affects::Limits, "vectron_gateway_open_connections";
        /// Time a client has to send a request's body. Shorter frees memory of slow clients sooner.
        body_timeout_ms: u64 = 30_000u64, "BODY_TIMEOUT_MS", Bounds::Integer(10, 3_600_000), "ms", Affects::Limits, "vectron_gateway_requests_total";
        /// Time that an answer waits for a client that takes nothing of it; then it is dropped and the connection ends. Shorter frees memory of slow clients sooner.
        write_timeout_ms: u64 = 30_000u64, "WRITE_TIMEOUT_MS", Bounds::Integer(10, 3_600_000), "ms", Affects::Limits, "vectron_gateway_unsent_answers";
        /// Time between pings on an HTTP/2 connection, and how long one may stay unanswered. Shorter finds dead clients sooner.
        ping_ms: u64 = 20_000u64, "PING_MS", Bounds::Integer(10, 600_000), "ms", Affects::Limits, "vectron_gateway_open_connections";
        /// Most concurrent streams of one HTTP/2 connection. More let one client take more of the server.
        max_streams: u64 = 256u64, "MAX_STREAMS", Bounds::Integer(1, 100_000), "", Affects::Limits, "vectron_gateway_in_flight_requests";
        /// Time that requests in work have to finish after a stop is asked for. Shorter stops sooner and cuts more requests off.
        shutdown_grace_ms: u64 = 10_000u64, "SHUTDOWN_GRACE_MS", Bounds::Integer(1, 600_000), "ms", Affects::Limits, "vectron_gateway_in_flight_requests";
    }
}

/// What becomes of a filter on a field without a payload index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterWithoutIndex {
    /// It is answered, and the answer says so.
    Allow,
    /// It is refused.
    Refuse,
}

impl GatewayKnobs {
    /// The choice in force.
    pub fn filter_without_index(&self) -> FilterWithoutIndex {
        match self.filter_without_index.as_str() {
            "refuse" => FilterWithoutIndex::Refuse,
            _ => FilterWithoutIndex::Allow,
        }
    }

    /// How much filter is accepted.
    pub fn filter_limits(&self) -> FilterLimits {
        FilterLimits {
            max_clauses: size(self.filter_clauses),
            max_depth: size(self.filter_depth),
            max_list: size(self.filter_list),
        }
    }
}

/// A count knob as a size in memory.
pub(crate) fn size(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// A time knob as a duration.
pub(crate) fn millis(value: u64) -> Duration {
    Duration::from_millis(value)
}
