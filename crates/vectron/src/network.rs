//! The way to other processes in production: connections within the limits of the knobs.

use crate::settings::Settings;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use vectron_base::metric::{Counter, Registry};
use vectron_base::pool::Pool;
use vectron_wire::frames::FrameOptions;
use vectron_wire::grpc::MessageLimits;
use vectron_wire::grpc::dial::{DialOptions, GrpcDialer};
use vectron_wire::grpc::key::ClusterKey;
use vectron_wire::grpc::peer::PeerCarriers;
use vectron_wire::links::{LinkCounters, LinkLimits, Links};

/// Room for what surrounds the largest request or answer in a message between processes.
const ENVELOPE_BYTES: u64 = 1 << 20;

/// How large messages between processes may be: an entry of the log, or an answer of a shard.
pub fn message_limits(settings: &Settings) -> MessageLimits {
    let most = settings.consensus.entry_max_bytes.max(settings.gateway.max_answer_bytes) + ENVELOPE_BYTES;
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    MessageLimits { send: most, receive: most }
}

/// Connections to other processes.
pub fn dialer(settings: &Settings, pool: &Arc<dyn Pool>, key: Option<ClusterKey>) -> Arc<GrpcDialer> {
    let node = &settings.node;
    let waits = crate::assembly::placement_waits(settings);
    let options = DialOptions {
        connect_timeout: Duration::from_millis(node.connect_timeout_ms),
        keep_alive_interval: Duration::from_millis(node.keep_alive_ms),
        keep_alive_timeout: Duration::from_millis(node.keep_alive_ms),
        limits: message_limits(settings),
        call_timeout: waits.call,
        watch_timeout: waits.watch,
        key,
    };
    Arc::new(GrpcDialer::new(options, pool.clone()))
}

/// Bounds of the connections that searches, reads and writes take.
pub fn frame_options(settings: &Settings) -> FrameOptions {
    FrameOptions {
        calls_max: usize::try_from(settings.node.calls_max).unwrap_or(usize::MAX),
        queued_bytes_max: settings.node.call_queue_bytes_max,
    }
}

/// Bounds of the links that the logs' messages take.
pub fn link_limits(settings: &Settings) -> LinkLimits {
    let node = &settings.node;
    let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    LinkLimits {
        messages_max: size(node.link_messages_max),
        bytes_max: size(node.link_bytes_max),
        batch_bytes_max: message_limits(settings).send.saturating_sub(size(ENVELOPE_BYTES) / 2),
        pause_min: Duration::from_millis(20),
        pause_max: Duration::from_millis(node.connect_timeout_ms),
        idle: Duration::from_secs(60),
    }
}

/// The links that the logs' messages take, with their figures in `registry`. `sender` tells this life of the process
/// from all others.
pub fn links(
    settings: &Settings,
    pool: &Arc<dyn Pool>,
    dialer: Arc<GrpcDialer>,
    sender: u64,
    registry: &mut Registry,
) -> Links {
    let links = Links::new(Arc::new(PeerCarriers::new(dialer, sender)), pool.clone(), link_limits(settings));
    let shown = publish(links.counters(), pool.clone(), registry);
    pool.spawn("link figures", Box::pin(shown));
    links
}

/// Carries what the links count over to the metrics, until the links are gone.
fn publish(
    counters: Arc<LinkCounters>,
    pool: Arc<dyn Pool>,
    registry: &mut Registry,
) -> impl Future<Output = ()> + Send + use<> {
    const INTERVAL: Duration = Duration::from_secs(1);
    let mut counter = |name: &str, help: &str| {
        let counter: Counter = Counter::default();
        registry.register(name, help, counter.clone());
        counter
    };
    let sent = counter("vectron_node_link_sent_messages", "Messages of the logs sent to other processes");
    let dropped = counter(
        "vectron_node_link_dropped_messages",
        "Messages of the logs given up: a queue was full or a connection broke",
    );
    let batches = counter("vectron_node_link_sent_batches", "Batches that those messages went in");
    let bytes = counter("vectron_node_link_sent_bytes", "Bytes of those messages");
    let broken = counter("vectron_node_link_breaks", "Times that a connection of the logs broke");
    async move {
        while Arc::strong_count(&counters) > 1 {
            let figures = [
                (&sent, &counters.sent),
                (&dropped, &counters.dropped),
                (&batches, &counters.batches),
                (&bytes, &counters.bytes),
                (&broken, &counters.broken),
            ];
            for (shown, counted) in figures {
                shown.inc_by(counted.load(Ordering::Relaxed).saturating_sub(shown.get()));
            }
            pool.sleep(INTERVAL).await;
        }
    }
}
