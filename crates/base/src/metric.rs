//! The metrics kit: typed Prometheus metrics, registered once, exposed as text.
//!
//! Names are `vectron_<room>_<thing>_<unit>[_total]`; labels come from closed sets. The registry is the
//! single list from which `/metrics` and `docs/METRICS.md` are made.

use prometheus_client::encoding::text::encode;
pub use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
pub use prometheus_client::metrics::counter::Counter;
pub use prometheus_client::metrics::family::Family;
pub use prometheus_client::metrics::gauge::Gauge;
pub use prometheus_client::metrics::histogram::Histogram;
pub use prometheus_client::registry::Registry;

/// Buckets for durations in seconds: 50 µs to 30 s, three per decade.
pub fn duration_buckets() -> impl Iterator<Item = f64> {
    [
        0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0,
        10.0, 30.0,
    ]
    .into_iter()
}

/// A histogram of durations in seconds.
pub fn duration_histogram() -> Histogram {
    Histogram::new(duration_buckets())
}

/// The registry in OpenMetrics text.
pub fn open_metrics_text(registry: &Registry) -> String {
    let mut text = String::new();
    // Writing into a String cannot fail.
    let _ = encode(&mut text, registry);
    text
}

/// The registry in Prometheus text format 0.0.4, which differs from OpenMetrics in that the `HELP` and
/// `TYPE` lines of a counter carry the `_total` suffix, and in having no `UNIT` or `EOF` line.
pub fn prometheus_text(registry: &Registry) -> String {
    let open = open_metrics_text(registry);
    let counters: Vec<&str> =
        open.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
    let mut text = String::with_capacity(open.len());
    for line in open.lines() {
        if line == "# EOF" || line.starts_with("# UNIT ") {
            continue;
        }
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some(kind), Some(name), Some(rest)) if counters.contains(&name) => {
                text.push_str(&format!("# {kind} {name}_total {rest}\n"));
            }
            _ => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_named_alike_in_help_type_and_sample() {
        let mut registry = Registry::default();
        let counter: Counter = Counter::default();
        counter.inc();
        registry.register("vectron_base_things", "Things seen", counter);
        let text = prometheus_text(&registry);
        assert_eq!(
            text,
            "# HELP vectron_base_things_total Things seen.\n# TYPE vectron_base_things_total counter\n\
             vectron_base_things_total 1\n"
        );
    }
}
