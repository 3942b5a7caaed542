//! What rows are held to before they are sent, and how they are counted when a server is busy or fails.

use super::load::{Rules, first_dimension};
use super::state::State;
use super::*;
use clap::Parser;
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
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

/// A server of plain HTTP that answers the posts with these bodies in turn, then that all is written. Gives its
/// address and the bodies that it got.
#[allow(clippy::disallowed_methods, reason = "a server of the test's own")]
fn server(answers: &[(u16, String)]) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let got = Arc::new(Mutex::new(Vec::new()));
    let (bodies, mut answers) = (got.clone(), VecDeque::from(answers.to_vec()));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let (mut line, mut length) = (String::new(), 0);
            while stream.read_line(&mut line).unwrap_or(0) > 2 {
                if let Some(bytes) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = bytes.trim().parse().unwrap();
                }
                line.clear();
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            let (mut status, mut answer) = (200, r#"{"upserted":2}"#.to_string());
            if length > 0 {
                bodies.lock().unwrap().push(String::from_utf8(body).unwrap());
                (status, answer) = answers.pop_front().unwrap_or((status, answer));
            }
            let bytes = answer.len();
            let head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {bytes}\r\n\r\n");
            stream.get_mut().write_all((head + &answer).as_bytes()).unwrap();
        }
    });
    (url, got)
}

async fn target(url: &str) -> Option<Target> {
    Some(Target::Rest(Box::new(super::rest::Rest::connect(url, None).await.unwrap())))
}

fn answer(id: &str, code: &str) -> (u16, String) {
    let failed = format!(r#"[{{"id":"{id}","code":"{code}","detail":"no"}}]"#);
    (200, format!(r#"{{"upserted":1,"failed":{failed}}}"#))
}

#[tokio::test]
#[allow(clippy::disallowed_methods, reason = "a test's file")]
async fn a_batch_that_a_busy_shard_refused_is_sent_again_whole() {
    let (url, got) = server(&[answer("2", "overloaded"), answer("1", "version_mismatch")]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.jsonl");
    std::fs::write(&file, "{\"id\":1,\"vector\":[1]}\n{\"id\":2,\"vector\":[1]}\n").unwrap();
    let args = args(vec![file]);
    let mut load = load::Load::begin(&args, None, target(&url).await).unwrap();
    load.run().await.unwrap();
    let summary = load.close(true).unwrap();
    assert_eq!((summary.upserted, summary.failed), (1, 1));
    let got = got.lock().unwrap();
    assert_eq!(got.len(), 2);
    assert_eq!(got[0], got[1], "the same points under the same key");
}

/// The server fails for good in the middle: what comes after is not settled, and is counted by the next run.
#[tokio::test]
#[allow(clippy::disallowed_methods, reason = "a test's file")]
async fn a_run_that_goes_on_counts_every_refused_row_once() {
    let broken = (500, r#"{"code":"internal","detail":"no","outcome":"unknown"}"#.to_string());
    let fine = (200, r#"{"upserted":2}"#.to_string());
    let (url, got) = server(&[answer("2", "version_mismatch"), broken, fine]);
    let folder = tempfile::tempdir().unwrap();
    let (file, refused) = (folder.path().join("a.jsonl"), folder.path().join("refused.jsonl"));
    let good = |id: u32| format!("{{\"id\":{id},\"vector\":[1]}}\n");
    let text = [&good(1), &good(2), "bad\n", &good(4), "bad\n", &good(6), "bad\n"].concat();
    std::fs::write(&file, text).unwrap();
    let mut args = args(vec![file.clone()]);
    (args.resume, args.batch_rows, args.concurrency) = (true, 2, 1);
    args.errors_to = Some(refused.clone());
    let rows = || {
        let lines = std::fs::read_to_string(&refused).unwrap();
        let row = |line| serde_json::from_str::<serde_json::Value>(line).unwrap()["row"].as_u64().unwrap();
        lines.lines().map(row).collect::<Vec<_>>()
    };
    let mut load = load::Load::begin(&args, None, target(&url).await).unwrap();
    load.run().await.unwrap_err();
    let first = load.close(false).unwrap();
    assert_eq!((first.upserted, first.failed), (1, 1));
    assert_eq!(rows(), [2]);
    let mut load = load::Load::begin(&args, None, target(&url).await).unwrap();
    load.run().await.unwrap();
    let second = load.close(true).unwrap();
    assert_eq!((second.resumed, second.upserted, second.failed), (2, 2, 4));
    assert_eq!(rows(), [2, 3, 5, 7]);
    assert!(!State::place(&file, "docs").exists());
    let got = got.lock().unwrap();
    assert_eq!((got.len(), &got[1]), (3, &got[2]), "the batch in doubt keeps its key");
}
