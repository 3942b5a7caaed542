//! The generated benchmark page and its pictures are what the kept results generate.
#![allow(clippy::disallowed_methods, reason = "reads the source tree")]

use serde_json::json;
use std::collections::BTreeMap;
use xtask::bench::{SCHEMA, report, root};

#[test]
fn the_page_is_what_the_results_generate() {
    let results = report::read(&root()).expect("results are JSON");
    assert!(!results.is_empty(), "no results are kept");
    for (path, content) in report::render(&results) {
        let kept = std::fs::read_to_string(root().join(&path)).unwrap_or_default();
        assert!(kept == content, "{path} is not what bench/results generates; run: cargo xtask bench report");
    }
}

#[test]
fn no_picture_is_left_over() {
    let files = report::render(&report::read(&root()).expect("results are JSON"));
    for entry in std::fs::read_dir(root().join("docs/img")).expect("pictures") {
        let name = entry.expect("entry").file_name().to_string_lossy().into_owned();
        assert!(files.contains_key(&format!("docs/img/{name}")), "nothing generates docs/img/{name}");
    }
}

#[test]
fn kept_results_say_what_they_are() {
    for (name, result) in report::read(&root()).expect("results are JSON") {
        assert_eq!(result["schema"], SCHEMA, "{name}");
        assert!(result["hardware"]["cpu"].is_string(), "{name} names no hardware");
        if result["kind"] == "chaos" {
            for run in result["runs"].as_array().expect("runs") {
                for key in ["commit", "date", "command"] {
                    assert!(run[key].is_string(), "a run of {name} does not say its {key}");
                }
                assert!(run["violations"].is_array(), "a run of {name} does not say what it found");
            }
            continue;
        }
        assert!(result["dataset"]["rows"].is_u64(), "{name} names no data set");
        let parts = match result["kind"].as_str() {
            Some("index") => vec![result.clone()],
            Some("serve" | "cluster") => {
                result["sections"].as_object().expect("sections").values().cloned().collect()
            }
            other => panic!("{name} is of kind {other:?}"),
        };
        for part in parts {
            for key in ["commit", "date", "command", "load_before", "load_after"] {
                assert!(part[key].is_string(), "{name} does not say its {key}");
            }
            for row in part["rows"].as_array().into_iter().flatten() {
                for key in ["what", "consistency", "replication", "concurrency"] {
                    assert!(!row[key].is_null(), "a row of {name} does not say its {key}: {row}");
                }
            }
        }
    }
}

/// A missing peer and a recall nobody reached stand in the table as what they are.
#[test]
fn gaps_are_said() {
    let result = json!({
        "kind": "index", "reference": "a", "k": 10, "rounds": 5,
        "dataset": {"name": "d", "rows": 10, "made_rows": 4, "dimension": 2, "queries": 1, "distance": "cosine"},
        "contestants": [
            {"name": "a", "library": "ours", "effort": "ef", "version": "1", "isa": "avx2", "build": {},
             "at": {"0.9": {"us": 12.0, "at_most": true, "ratio": 1.0}},
             "points": [{"effort": 10, "recall": 0.93, "us": 12.0}]},
            {"name": "b", "skipped": "no compiler"},
        ],
    });
    let files = report::render(&BTreeMap::from([("index".to_string(), result)]));
    let page = &files["docs/BENCHMARKS.md"];
    assert!(page.contains("| a | ≤ 12 (1.00 ×) | – | – | – |"), "{page}");
    assert!(page.contains("| b | skipped: no compiler |"), "{page}");
    assert!(page.contains("4 of them real rows with Gaussian noise"), "{page}");
    assert!(files["docs/img/index.svg"].contains("<polyline"), "no curve is drawn");
}
