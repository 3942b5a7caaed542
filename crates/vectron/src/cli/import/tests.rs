//! What rows are held to before they are sent.

use super::load::{Rules, first_dimension};
use super::*;
use clap::Parser;
use vectron_client::PointInput;

fn args(files: Vec<PathBuf>) -> ImportArgs {
    let mut words = vec!["vectron".to_string(), "import".into(), "docs".into()];
    words.extend(files.iter().map(|file| file.display().to_string()));
    match crate::cli::args::Cli::parse_from(words).command {
        crate::cli::args::Command::Import(args) => args,
        other => panic!("{other:?}"),
    }
}

#[test]
fn refusals_name_what_was_expected_and_found() {
    let mut rules = Rules::new("docs", None, "cosine");
    assert_eq!(rules.problem(&PointInput::new("a", vec![1.0, 2.0])), None);
    for (point, words) in [
        (PointInput::new("a42", vec![1.0]), "vector has 1 number, collection 'docs' expects 2"),
        (PointInput::new("", vec![1.0, 2.0]), "id must not be empty; give 1 to 512 bytes of UTF-8"),
        (PointInput::new("a", vec![1.0, f32::NAN]), "vector[1] is NaN, expected a finite 32-bit float"),
        (PointInput::new("a", vec![0.0, 0.0]), "vector is zero, which has no direction under cosine"),
        (PointInput::new("a", vec![]), "vector is empty"),
    ] {
        assert_eq!(rules.problem(&point).as_deref(), Some(words));
    }
    let mut dot = Rules::new("docs", None, "dot");
    assert_eq!(dot.problem(&PointInput::new("a", vec![0.0])), None);
}

#[test]
#[allow(clippy::disallowed_methods, reason = "a test's file")]
fn the_first_good_row_tells_the_dimension() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.jsonl");
    std::fs::write(&file, "nonsense\n{\"id\":1,\"vector\":[1,2,3]}\n").unwrap();
    assert_eq!(first_dimension(&args(vec![file.clone()])), Ok(3));
    std::fs::write(&file, "").unwrap();
    assert!(first_dimension(&args(vec![file])).is_err());
}

#[tokio::test]
#[allow(clippy::disallowed_methods, reason = "a test's file")]
async fn a_dry_run_counts_and_keeps_refused_rows() {
    let folder = tempfile::tempdir().unwrap();
    let (file, refused) = (folder.path().join("a.jsonl"), folder.path().join("refused.jsonl"));
    std::fs::write(&file, "{\"id\":1,\"vector\":[1,2]}\n{\"id\":2,\"vector\":[1]}\nx\n").unwrap();
    let mut args = args(vec![file]);
    (args.dry_run, args.errors_to) = (true, Some(refused.clone()));
    let mut load = load::Load::begin(&args, None, None).unwrap();
    load.run().await.unwrap();
    let summary = load.close(true).unwrap();
    assert_eq!((summary.rows, summary.failed, summary.upserted), (3, 2, 0));
    let lines = std::fs::read_to_string(refused).unwrap();
    let first: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!((first["row"].as_u64(), first["id"].as_str()), (Some(2), Some("2")));
    assert_eq!(lines.lines().count(), 2);
}
