//! The importer against a sink that refuses, delays and counts.

use super::*;
use crate::answers::ItemFailure;
use std::sync::Mutex;
use vectron_base::Fault;

/// Accepts points whose vector is not [0.0]; refuses batches over `limit` points; remembers what it got.
#[derive(Default)]
struct Table {
    limit: usize,
    batches: Mutex<Vec<(String, Vec<String>)>>,
    stored: Mutex<BTreeMap<String, f32>>,
    down: bool,
}

struct Handle(Arc<Table>);

impl Sink for Handle {
    fn send(&self, batch: Arc<Batch>) -> BoxFuture<'static, Result<UpsertAnswer, Error>> {
        let table = self.0.clone();
        async move {
            // Lets other batches overtake this one.
            for _ in 0..batch.points.len() % 3 {
                tokio::task::yield_now().await;
            }
            if table.down {
                return Err(Error::local(Code::Unavailable, "no leader"));
            }
            let ids = batch.points.iter().map(|p| p.id.clone()).collect();
            table.batches.lock().unwrap().push((batch.key.clone(), ids));
            if batch.points.len() > table.limit {
                return Err(Error::local(Code::TooLarge, "too many"));
            }
            if let Some(bad) = batch.points.iter().position(|p| p.vector == [0.0]) {
                let fault = Fault::invalid(format!("points[{bad}].vector"), "is zero");
                return Err(Error { fault, request_id: None });
            }
            let mut answer = UpsertAnswer::default();
            for point in &batch.points {
                if point.if_version.is_some() {
                    answer.failed.push(ItemFailure {
                        id: point.id.clone(),
                        code: "version_mismatch".into(),
                        detail: "is at 3".into(),
                        current_version: Some(3),
                    });
                } else {
                    table.stored.lock().unwrap().insert(point.id.clone(), point.vector[0]);
                    answer.upserted += 1;
                }
            }
            Ok(answer)
        }
        .boxed()
    }
}

fn importer(table: &Arc<Table>) -> Importer {
    let options = ImporterOptions { batch_rows: 7, run: Some("run".into()), ..Default::default() };
    Importer::new(Handle(table.clone()), "docs", options)
}

fn table() -> Arc<Table> {
    Arc::new(Table { limit: 100, ..Table::default() })
}

#[tokio::test]
async fn every_row_arrives_once_and_bad_rows_are_named() {
    let table = table();
    let mut importer = importer(&table);
    for row in 0..100_u64 {
        let number = if row % 13 == 5 { 0.0 } else { 1.0 };
        let mut point = PointInput::new(format!("p{row}"), vec![number]);
        if row == 50 {
            point = point.if_version(1);
        }
        importer.add(row, point).await.unwrap();
    }
    let progress = importer.finish().await.unwrap();
    let mut failures = importer.take_failures();
    failures.sort_by_key(|f| f.row);
    assert_eq!(failures[0].row, 5);
    assert_eq!(failures[0].detail, "vector is zero");
    assert!(failures.iter().any(|f| f.row == 50 && f.code == "version_mismatch"));
    let expected = Progress { decided: 100, upserted: 91, failed: 9, watermark: Some(99) };
    assert_eq!(progress, expected);
    assert_eq!(table.stored.lock().unwrap().len(), 91);
}

#[tokio::test]
async fn batches_that_are_too_large_are_halved() {
    let table = Arc::new(Table { limit: 2, ..Table::default() });
    let mut importer = importer(&table);
    for row in 0..20 {
        importer.add(row, PointInput::new(format!("p{row}"), vec![1.0])).await.unwrap();
    }
    let progress = importer.finish().await.unwrap();
    assert_eq!((progress.upserted, progress.failed, progress.watermark), (20, 0, Some(19)));
}

#[tokio::test]
async fn the_last_row_of_an_id_wins() {
    let table = table();
    let mut importer = importer(&table);
    for row in 0..200_u64 {
        importer.add(row, PointInput::new(format!("p{}", row % 9), vec![row as f32 + 1.0])).await.unwrap();
    }
    importer.finish().await.unwrap();
    for (id, number) in table.stored.lock().unwrap().iter() {
        let id: u64 = id[1..].parse().unwrap();
        let last = (0..200).rev().find(|row| row % 9 == id).unwrap();
        assert_eq!(*number, last as f32 + 1.0);
    }
}

#[tokio::test]
async fn keys_depend_on_run_and_rows_alone() {
    let keys = async |from: u64| {
        let table = table();
        let mut importer = importer(&table);
        for row in from..30 {
            importer.add(row, PointInput::new(format!("p{row}"), vec![1.0])).await.unwrap();
        }
        importer.finish().await.unwrap();
        let batches = table.batches.lock().unwrap();
        batches.iter().map(|(key, _)| key.clone()).collect::<BTreeSet<_>>()
    };
    assert_eq!(keys(0).await, keys(0).await);
    assert!(keys(14).await.is_subset(&keys(0).await), "a run taken up at a batch edge repeats the keys");
}

#[tokio::test]
async fn an_error_about_everything_ends_the_run() {
    let table = Arc::new(Table { limit: 100, down: true, ..Table::default() });
    let mut importer = importer(&table);
    importer.add(0, PointInput::new("a", vec![1.0])).await.unwrap();
    let error = importer.finish().await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    assert_eq!(importer.progress().watermark, None);
}

/// Answers batches as scripted, by their first id; anything else is written.
struct Script(BTreeMap<&'static str, Result<UpsertAnswer, Error>>);

impl Sink for Script {
    fn send(&self, batch: Arc<Batch>) -> BoxFuture<'static, Result<UpsertAnswer, Error>> {
        let written = UpsertAnswer { upserted: batch.points.len() as u64, ..UpsertAnswer::default() };
        let answer = self.0.get(batch.points[0].id.as_str()).cloned().unwrap_or(Ok(written));
        async move { answer }.boxed()
    }
}

fn failed(id: &str, code: &str) -> UpsertAnswer {
    let failure = |id: &str, code: &str| ItemFailure {
        id: id.into(),
        code: code.into(),
        detail: "no".into(),
        current_version: None,
    };
    UpsertAnswer { failed: vec![failure(id, code)], ..UpsertAnswer::default() }
}

#[tokio::test]
async fn rows_that_may_be_tried_again_are_not_booked_as_refused() {
    let script = Script([("p3", Ok(failed("p4", "overloaded")))].into());
    let options = ImporterOptions { batch_rows: 3, ..Default::default() };
    let mut importer = Importer::new(script, "docs", options);
    let mut result = Ok(());
    for row in 0..9 {
        result = result.and(importer.add(row, PointInput::new(format!("p{row}"), vec![1.0])).await);
    }
    let error = result.and(importer.finish().await.map(|_| ())).unwrap_err();
    assert_eq!((error.code(), error.outcome()), (Code::Overloaded, vectron_base::Outcome::Unknown));
    // The batch after it may be done, but counts only once the one before is.
    while importer.finish().await.is_err() {}
    let expected = Progress { decided: 3, upserted: 3, failed: 0, watermark: Some(2) };
    assert_eq!(importer.progress(), expected);
    assert_eq!(importer.take_failures(), []);
    assert!(!importer.idle());
}

#[tokio::test]
async fn a_refused_row_keeps_the_code_and_words_of_the_server() {
    let fault = Fault::on_field(Code::TooLarge, "points[0].payload", "payload has 70000 bytes");
    let script = Script([("p0", Err(Error { fault, request_id: None }))].into());
    let mut importer = Importer::new(script, "docs", ImporterOptions::default());
    for row in 0..2 {
        importer.add(row, PointInput::new(format!("p{row}"), vec![1.0])).await.unwrap();
    }
    assert_eq!(importer.finish().await.unwrap().upserted, 1);
    let failures = importer.take_failures();
    assert_eq!((failures[0].row, failures[0].code.as_str()), (0, "too_large"));
    assert_eq!(failures[0].detail, "payload has 70000 bytes");
    let fault = Fault::on_field(Code::VersionMismatch, "points[0].if_version", "if_version did not hold");
    let script = Script([("p0", Err(Error { fault, request_id: None }))].into());
    let mut importer = Importer::new(script, "docs", ImporterOptions::default());
    importer.add(0, PointInput::new("p0", vec![1.0]).if_version(3)).await.unwrap();
    assert_eq!(importer.finish().await.unwrap().failed, 1);
    let failure = importer.take_failures().remove(0);
    assert_eq!(
        (failure.code.as_str(), failure.detail.as_str()),
        ("version_mismatch", "if_version did not hold")
    );
    assert_eq!(sentence("vector", "is zero"), "vector is zero");
    assert_eq!(sentence("", "is not a point"), "is not a point");
}
