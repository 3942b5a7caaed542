//! The measurements of this room.

use vectron_base::event::Events;
use vectron_base::metric::{Counter, Gauge, Histogram, Registry, duration_histogram};

/// Counters and histograms of the replicated logs.
#[derive(Clone)]
pub struct ConsensusMetrics {
    /// Proposals accepted into a log.
    pub proposals: Counter,
    /// Committed entries applied.
    pub commits: Counter,
    /// Read points given.
    pub barriers: Counter,
    /// Journal syncs.
    pub fsyncs: Counter,
    /// Time that journal syncs took.
    pub fsync_seconds: Histogram,
    /// Entries made durable by one sync.
    pub batch_entries: Histogram,
    /// Bytes made durable by one sync.
    pub batch_bytes: Histogram,
    /// Bytes in the journal.
    pub journal_bytes: Gauge,
    /// Segments in the journal.
    pub journal_segments: Gauge,
    /// Groups that serve nothing because of damage.
    pub quarantined_groups: Gauge,
    /// Groups at rest here.
    pub resting_groups: Gauge,
    /// Messages for replicas that are not here.
    pub messages_dropped: Counter,
    /// Times that a replica here learnt that it needs a snapshot.
    pub snapshots_needed: Counter,
    /// Noteworthy happenings by name.
    pub events: Events,
}

impl Default for ConsensusMetrics {
    fn default() -> Self {
        Self {
            proposals: Counter::default(),
            commits: Counter::default(),
            barriers: Counter::default(),
            fsyncs: Counter::default(),
            fsync_seconds: duration_histogram(),
            batch_entries: Histogram::new((0..14).map(|power| f64::from(1u32 << power))),
            batch_bytes: Histogram::new((0..12).map(|power| f64::from(256u32 << (2 * power.min(11))))),
            journal_bytes: Gauge::default(),
            journal_segments: Gauge::default(),
            quarantined_groups: Gauge::default(),
            resting_groups: Gauge::default(),
            messages_dropped: Counter::default(),
            snapshots_needed: Counter::default(),
            events: Events::default(),
        }
    }
}

impl ConsensusMetrics {
    /// Metrics that `registry` exposes.
    pub fn register(registry: &mut Registry) -> Self {
        let mut m = Self::default();
        let mut counter = |name: &str, help: &str, counter: &Counter| {
            registry.register(format!("vectron_consensus_{name}"), help, counter.clone());
        };
        counter("proposals", "Proposals accepted into a log", &m.proposals);
        counter("commits", "Committed entries applied", &m.commits);
        counter("barriers", "Linearizable read points given", &m.barriers);
        counter("fsyncs", "Journal syncs", &m.fsyncs);
        counter("messages_dropped", "Messages for replicas that are not here", &m.messages_dropped);
        counter(
            "snapshots_needed",
            "Times that a replica here learnt that it needs a snapshot",
            &m.snapshots_needed,
        );
        let mut histogram = |name: &str, help: &str, histogram: &Histogram| {
            registry.register(format!("vectron_consensus_{name}"), help, histogram.clone());
        };
        histogram("fsync_seconds", "Time that journal syncs took", &m.fsync_seconds);
        histogram("batch_entries", "Entries made durable by one sync", &m.batch_entries);
        histogram("batch_bytes", "Bytes made durable by one sync", &m.batch_bytes);
        let mut gauge = |name: &str, help: &str, gauge: &Gauge| {
            registry.register(format!("vectron_consensus_{name}"), help, gauge.clone());
        };
        gauge("journal_bytes", "Bytes in the journal", &m.journal_bytes);
        gauge("journal_segments", "Segments in the journal", &m.journal_segments);
        gauge("quarantined_groups", "Groups that serve nothing because of damage", &m.quarantined_groups);
        gauge("resting_groups", "Groups at rest here", &m.resting_groups);
        m.events = Events::register(registry, "consensus");
        m
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vectron_base::metric::prometheus_text;

    #[test]
    fn every_metric_is_exposed_under_the_rooms_name() {
        let mut registry = Registry::default();
        let metrics = ConsensusMetrics::register(&mut registry);
        metrics.fsyncs.inc();
        metrics.events.note(&crate::event::ConsensusEvent::DiskFreed);
        let text = prometheus_text(&registry);
        assert!(text.contains("vectron_consensus_fsyncs_total 1"));
        let named = |line: &&str| line.starts_with("# TYPE ") && !line.contains("vectron_consensus_");
        assert_eq!(text.lines().filter(named).count(), 0);
        assert_eq!(text.lines().filter(|l| l.starts_with("# TYPE ")).count(), 14);
    }
}
