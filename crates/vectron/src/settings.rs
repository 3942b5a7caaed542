//! All knobs of all rooms: read from the environment once, checked together, documented from the same tables.

use std::collections::BTreeMap;
use std::fmt::Write;
use vectron_base::knob::{Affects, Bounds, Knob, KnobError, Reading, Setting};
use vectron_consensus::ConsensusKnobs;
use vectron_gateway::GatewayKnobs;
use vectron_placement::PlacementKnobs;
use vectron_store::StoreKnobs;
use vectron_worker::WorkerKnobs;

vectron_base::knobs! {
    /// Settings of the process as a whole.
    pub struct NodeKnobs in "node", "VECTRON_NODE" {
        /// Threads that search and scan; 0 means one per core. More threads than cores only add waiting.
        read_threads: u64 = 0u64, "READ_THREADS", Bounds::Integer(0, 1024), "threads", Affects::Speed, "vectron_worker_search_seconds";
        /// Threads that build graphs and write checkpoints; 0 means one per core. They get what requests leave; more threads index sooner, fewer leave cores idle for the next request.
        background_threads: u64 = 0u64, "BACKGROUND_THREADS", Bounds::Integer(0, 1024), "threads", Affects::Speed, "vectron_worker_index_lag_points";
        /// Memory that this process may plan with; 0 means all that the machine has. Less leaves room for neighbours.
        memory_bytes: u64 = 0u64, "MEMORY_BYTES", Bounds::Integer(0, 1 << 46), "bytes", Affects::Limits, "vectron_worker_memory_bytes";
        /// Time that connecting to another process may take. Shorter notices a machine that is gone sooner and gives up on slow networks.
        connect_timeout_ms: u64 = 1000u64, "CONNECT_TIMEOUT_MS", Bounds::Integer(10, 60_000), "ms", Affects::Speed, "vectron_gateway_shard_retries_total";
        /// Time between questions whether a connection between processes still is one, and time for the answer. Shorter notices broken networks sooner and costs more messages.
        keep_alive_ms: u64 = 2000u64, "KEEP_ALIVE_MS", Bounds::Integer(100, 600_000), "ms", Affects::Speed, "vectron_gateway_shard_retries_total";
        /// Time that a call between processes may take when it names none. Shorter fails sooner under load.
        call_timeout_ms: u64 = 5000u64, "CALL_TIMEOUT_MS", Bounds::Integer(100, 600_000), "ms", Affects::Limits, "vectron_gateway_request_seconds";
        /// Searches, reads and writes of one other process that are worked on at a time; it waits with more. More let one busy gateway fill the worker.
        calls_max: u64 = 1024u64, "CALLS_MAX", Bounds::Integer(1, 1 << 20), "calls", Affects::Limits, "vectron_worker_search_seconds";
        /// Bytes of such calls, or of their answers, that may wait to be sent on one connection before more are taken on. More smooth bursts and take more memory.
        call_queue_bytes_max: u64 = 16_777_216u64, "CALL_QUEUE_BYTES_MAX", Bounds::Integer(65_536, 1 << 36), "bytes", Affects::Limits, "vectron_gateway_request_seconds";
        /// Messages of the logs that may wait for one other process; older ones are given up. More bridge longer stalls and take more memory.
        link_messages_max: u64 = 65_536u64, "LINK_MESSAGES_MAX", Bounds::Integer(64, 1 << 24), "", Affects::Limits, "vectron_node_link_dropped_messages_total";
        /// Bytes of such messages. More bridge longer stalls and take more memory.
        link_bytes_max: u64 = 134_217_728u64, "LINK_BYTES_MAX", Bounds::Integer(1_048_576, 68_719_476_736), "bytes", Affects::Limits, "vectron_node_link_dropped_messages_total";
        /// Format of log lines on stderr.
        log_format: String = "text", "LOG_FORMAT", Bounds::Choice(&["text", "json"]), "", Affects::Speed, "";
        /// Least severity that is logged.
        log_level: String = "info", "LOG_LEVEL", Bounds::Choice(&["error", "warn", "info", "debug"]), "", Affects::Speed, "";
    }
}

/// The values in force.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Process.
    pub node: NodeKnobs,
    /// Replicated logs.
    pub consensus: ConsensusKnobs,
    /// Shard stores.
    pub store: StoreKnobs,
    /// Worker.
    pub worker: WorkerKnobs,
    /// Placement driver.
    pub placement: PlacementKnobs,
    /// Gateway.
    pub gateway: GatewayKnobs,
    origins: BTreeMap<&'static str, Setting>,
}

impl Settings {
    /// Reads the process environment; every mistake at once.
    pub fn from_env() -> Result<Self, Vec<KnobError>> {
        #[allow(clippy::disallowed_methods, reason = "the one place that reads the environment")]
        Self::from_source(&|name| std::env::var(name).ok())
    }

    /// Reads any source of variables.
    pub fn from_source(source: &dyn Fn(&str) -> Option<String>) -> Result<Self, Vec<KnobError>> {
        let mut reading = Reading::new(source);
        let settings = Self {
            node: NodeKnobs::read(&mut reading),
            consensus: ConsensusKnobs::read(&mut reading),
            store: StoreKnobs::read(&mut reading),
            worker: WorkerKnobs::read(&mut reading),
            placement: PlacementKnobs::read(&mut reading),
            gateway: GatewayKnobs::read(&mut reading),
            origins: BTreeMap::new(),
        };
        let Reading { settings: origins, errors, .. } = reading;
        if errors.is_empty() { Ok(Self { origins, ..settings }) } else { Err(errors) }
    }

    /// Every declared knob, room by room.
    pub fn table() -> Vec<Knob> {
        let rooms = [
            NodeKnobs::knobs(),
            ConsensusKnobs::knobs(),
            StoreKnobs::knobs(),
            WorkerKnobs::knobs(),
            PlacementKnobs::knobs(),
            GatewayKnobs::knobs(),
        ];
        rooms.into_iter().flatten().collect()
    }

    /// Value and origin by knob name.
    pub fn origins(&self) -> &BTreeMap<&'static str, Setting> {
        &self.origins
    }

    /// `ENV_SAMPLE.env`: every knob at its default, commented out, so that a copy starts as it is.
    pub fn env_sample() -> String {
        let mut text = String::from(
            "# Every knob of Vectron at its default. Generated by `cargo xtask codegen`; a test holds it to the code.\n\
             # Copy it, uncomment what you change, and load it into the environment of `vectron up`.\n",
        );
        for knob in Self::table() {
            let unit = if knob.unit.is_empty() { String::new() } else { format!(" {}", knob.unit) };
            let _ = write!(
                text,
                "\n# {}: {}\n# {}{unit}\n# {}={}\n",
                knob.name,
                knob.about.trim(),
                knob.bounds.describe(),
                knob.env,
                knob.default
            );
        }
        text
    }

    /// `docs/KNOBS.md`.
    pub fn knobs_markdown() -> String {
        let mut text = String::from(
            "# Knobs\n\nGenerated from the declarations in the code by `cargo xtask codegen`; a test holds it to \
             them. All are\nread once at start; a bad value stops the start with every mistake listed. \
             `GET /v1/admin/knobs` and\n`vectron config show` give the values in force with their origin.\n\n\
             | knob | variable | default | bounds | changes | meaning and tradeoff | watch |\n|---|---|---|---|---|---|---|\n",
        );
        for knob in Self::table() {
            let unit = if knob.unit.is_empty() { String::new() } else { format!(" {}", knob.unit) };
            let affects = format!("{:?}", knob.affects).to_lowercase();
            let metric = if knob.metric.is_empty() { String::new() } else { format!("`{}`", knob.metric) };
            let _ = writeln!(
                text,
                "| `{}` | `{}` | {} | {}{unit} | {affects} | {} | {metric} |",
                knob.name,
                knob.env,
                if knob.default.is_empty() { "(none)" } else { &knob.default },
                knob.bounds.describe(),
                knob.about.trim(),
            );
        }
        text
    }

    /// What `GET /v1/admin/knobs` answers.
    pub fn to_json(&self) -> serde_json::Value {
        let knobs = Self::table().into_iter().map(|knob| {
            let setting = self.origins.get(knob.name);
            serde_json::json!({
                "name": knob.name, "env": knob.env, "unit": knob.unit, "default": knob.default,
                "bounds": knob.bounds.describe(), "applies": knob.applies, "affects": knob.affects,
                "about": knob.about.trim(), "metric": knob.metric,
                "value": setting.map_or(&knob.default, |s| &s.value),
                "origin": setting.map_or("default", |s| s.origin),
            })
        });
        serde_json::json!({ "knobs": knobs.collect::<Vec<_>>() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_default_is_within_its_bounds() {
        let defaults: BTreeMap<String, String> =
            Settings::table().into_iter().map(|k| (k.env.to_string(), k.default)).collect();
        let errors = Settings::from_source(&|name| defaults.get(name).cloned()).err();
        assert!(errors.is_none(), "{errors:?}");
    }

    #[test]
    fn names_are_unique_and_follow_their_room() {
        let mut seen = BTreeSet::new();
        for knob in Settings::table() {
            assert!(seen.insert(knob.name) && seen.insert(knob.env), "{} twice", knob.name);
            let room = knob.name.split('.').next().unwrap_or_default().to_uppercase();
            assert!(knob.env.starts_with(&format!("VECTRON_{room}_")), "{}", knob.env);
            assert!(!knob.about.trim().is_empty(), "{} says nothing", knob.name);
        }
    }

    /// Lesson 44: a sample that broke start-up when copied, and documented knobs that no code read.
    #[test]
    fn l44_the_sample_starts_as_it_is_and_names_every_knob() {
        let sample = Settings::env_sample();
        let uncommented: BTreeMap<&str, &str> = sample
            .lines()
            .filter_map(|line| line.strip_prefix("# VECTRON_").map(|_| &line[2..]))
            .filter_map(|line| line.split_once('='))
            .collect();
        assert_eq!(uncommented.len(), Settings::table().len());
        let read = Settings::from_source(&|name| uncommented.get(name).map(ToString::to_string));
        assert!(read.is_ok(), "{:?}", read.err());
    }

    #[test]
    fn every_mistake_is_listed_at_once() {
        let errors = Settings::from_source(&|name| {
            ["VECTRON_NODE_LOG_FORMAT", "VECTRON_WORKER_DISK_FULL_PERCENT"]
                .contains(&name)
                .then(|| "x".into())
        });
        assert_eq!(errors.err().map(|e| e.len()), Some(2));
    }
}
