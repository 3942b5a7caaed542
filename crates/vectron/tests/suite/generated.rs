//! Files that are generated from declarations in the code, held to them. `cargo xtask codegen` rewrites them.

use crate::process::Server;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use vectron::settings::Settings;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Compares a file with what it should be, or rewrites it when asked to.
fn hold(path: &str, expected: &str) {
    let full = root().join(path);
    if std::env::var_os("VECTRON_TEST_REWRITE").is_some() {
        std::fs::write(&full, expected).expect("the file can be written");
    }
    let found = std::fs::read_to_string(&full).unwrap_or_default();
    assert!(found == expected, "{path} does not match the code; run `cargo xtask codegen`");
}

#[test]
fn the_environment_sample_matches_the_knobs() {
    hold("ENV_SAMPLE.env", &Settings::env_sample());
}

#[test]
fn the_knobs_page_matches_the_knobs() {
    hold("docs/KNOBS.md", &Settings::knobs_markdown());
}

/// A metric that a healthy node has no sample of.
const UNSEEN: &str =
    "| `vectron_gateway_rejected_total` | counter | Requests and connections turned away, by reason |\n";

/// The golden list of metrics, from a running node; and every metric that a knob names is in it.
#[test]
fn the_metrics_page_matches_a_running_node() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(dir.path());
    // Metrics with labels appear with their first event.
    server.create("docs", 2, "dot");
    server.search("docs", &serde_json::json!({"vector": [1, 2]}));
    let (status, text) = server.send_text("GET", "/metrics", b"");
    assert_eq!(status, 200);
    let mut page = String::from(
        "# Metrics\n\nGenerated from a running node by `cargo xtask codegen`; a test holds it. `GET /metrics` \
         answers in Prometheus\ntext, or in OpenMetrics when asked for it.\n\n| metric | type | meaning |\n|---|---|---|\n",
    );
    let mut names = BTreeSet::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("# HELP ")) {
        let (name, help) = line.split_once(' ').expect("a name and a text");
        let kind = text
            .lines()
            .find_map(|l| l.strip_prefix("# TYPE ")?.strip_prefix(name)?.strip_prefix(' '))
            .expect("a type");
        assert!(name.starts_with("vectron_"), "{name}");
        assert!(kind != "counter" || name.ends_with("_total"), "{name} is a counter");
        page.push_str(&format!("| `{name}` | {kind} | {help} |\n"));
        names.insert(name.to_string());
    }
    page.push_str(UNSEEN);
    hold("docs/METRICS.md", &page);
    names.insert("vectron_gateway_rejected_total".into());
    for knob in Settings::table() {
        assert!(
            knob.metric.is_empty() || names.contains(knob.metric),
            "{} watches {}",
            knob.name,
            knob.metric
        );
    }
}
