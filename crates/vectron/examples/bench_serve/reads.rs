//! Sections that only read: searches at several efforts and loads, and under filters.

use crate::dataset::{Filter, Truth};
use crate::load::{Run, Shape, closed, closed_rest, open as arrivals};
use crate::node::Node;
use crate::{CLIENTS, Failure, Plan, Section};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use vectron_client::Client;

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// A row of several runs of the same thing: recall of the first, medians of the rest.
pub fn row(plan: &Plan, what: &str, runs: &[Run], truth: &Truth) -> Value {
    let middle = |pick: &dyn Fn(&Run) -> f64| median(runs.iter().map(pick).collect()).round();
    let mut row = json!({
        "what": what,
        "us": middle(&|run| run.cpu_us),
        "us_rounds": runs.iter().map(|run| run.cpu_us.round()).collect::<Vec<_>>(),
        "qps": middle(&|run| run.qps),
        "p50_us": middle(&|run| run.percentile(0.5)),
        "p99_us": middle(&|run| run.percentile(0.99)),
        "p999_us": middle(&|run| run.percentile(0.999)),
    });
    if let Some(first) = runs.first() {
        plan.data.judge(&first.answers, truth, |_| true).into_row(&mut row);
    }
    row
}

/// Closed loops: efforts with eight clients, taken in turn round by round; the default with 1, 8 and 32; REST.
pub async fn search(plan: &Plan, node: &Node, client: &Client) -> Result<Section, Failure> {
    let (data, mut section) = (&plan.data, Section::default());
    let (truth, count) = (data.truth("all")?, data.queries.len());
    let mut efforts: Vec<(String, Shape)> = vec![("default".into(), Shape::default())];
    efforts.extend([32, 64, 128, 256].map(|ef| (format!("ef {ef}"), Shape::ef(ef))));
    node.settle(client).await?;
    // Once for nothing: connections, caches and lazily mapped files.
    closed(node, data, &Shape::default(), CLIENTS, count).await?;
    let mut runs: BTreeMap<usize, Vec<Run>> = BTreeMap::new();
    for _ in 0..plan.rounds() {
        for (at, (_, shape)) in efforts.iter().enumerate() {
            runs.entry(at).or_default().push(closed(node, data, shape, CLIENTS, count).await?);
        }
    }
    for (at, (what, shape)) in efforts.iter().enumerate() {
        let mut row = row(plan, what, &runs[&at], truth);
        row["curve"] = shape.ef.is_some().into();
        section.row(row);
    }
    for clients in [1, 32] {
        let mut runs = Vec::new();
        for _ in 0..plan.rounds() {
            runs.push(closed(node, data, &Shape::default(), clients, count).await?);
        }
        let mut row = row(plan, "default", &runs, truth);
        row["concurrency"] = clients.into();
        section.row(row);
    }
    let mut runs = Vec::new();
    for _ in 0..plan.rounds() {
        runs.push(closed_rest(node, data, CLIENTS, count).await?);
    }
    section.row(row(plan, "default, REST", &runs, truth));
    Ok(section)
}

/// Open loops at shares of what eight clients get.
pub async fn open(plan: &Plan, node: &Node, client: &Client) -> Result<Section, Failure> {
    let (data, mut section) = (&plan.data, Section::default());
    node.settle(client).await?;
    let mut capacity = Vec::new();
    for _ in 0..plan.rounds() {
        capacity.push(closed(node, data, &Shape::default(), CLIENTS, data.queries.len()).await?.qps);
    }
    let capacity = median(capacity);
    for share in [0.2, 0.5, 0.8] {
        let rate = (capacity * share).round();
        let time = Duration::from_secs(plan.seconds());
        let run = arrivals(node, data, CLIENTS, rate, time).await?;
        let what = format!("{:.0} % of {capacity:.0}/s", share * 100.0);
        let mut row = row(plan, &what, std::slice::from_ref(&run), data.truth("all")?);
        row["rate"] = rate.into();
        section.row(row);
    }
    section.note(
        "the capacity is what eight clients in a closed loop get, generator and node on the same cores",
    );
    Ok(section)
}

/// Asks for payload indexes on the filtered fields and waits for them; what to say when there are none.
pub async fn index_payload(node: &Node) -> Result<Option<String>, Failure> {
    let path = format!("/v1/collections/{}/indexes", crate::COLLECTION);
    let fields = [("section", "keyword"), ("installed_size", "integer")];
    for (field, kind) in fields {
        match node.rest("POST", &path, &json!({"field": field, "type": kind}))? {
            (404 | 405, _) => {
                return Ok(Some("this build has no payload indexes: filters look at every payload".into()));
            }
            (200..=202, _) => {}
            (status, answer) => return Err(format!("index on {field}: {status} {answer}").into()),
        }
    }
    let begun = Instant::now();
    loop {
        let (_, answer) = node.rest("GET", &path, &Value::Null)?;
        let ready = |field: &str| {
            let mut indexes = answer["indexes"].as_array().into_iter().flatten();
            indexes.any(|index| index["field"] == field && index["ready"] == true)
        };
        if fields.iter().all(|(field, _)| ready(field)) {
            return Ok(None);
        }
        if begun.elapsed() > Duration::from_secs(120) {
            return Err(format!("payload indexes are not ready after two minutes: {answer}").into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The eight filters at the default effort, with the unfiltered search around them.
pub async fn filters(plan: &Plan, node: &Node, client: &Client) -> Result<Section, Failure> {
    let (data, mut section) = (&plan.data, Section::default());
    let missing = index_payload(node).await?;
    node.settle(client).await?;
    // Without indexes a search costs tens of milliseconds: fewer of them tell as much.
    let (rounds, count) = match (&missing, plan.quick) {
        (None, _) => (plan.rounds(), data.queries.len()),
        (Some(_), false) => (1, 200),
        (Some(_), true) => (1, 100),
    };
    let mut plain = Vec::new();
    let mut runs: BTreeMap<usize, Vec<Run>> = BTreeMap::new();
    for _ in 0..rounds {
        for (at, filter) in data.filters.iter().enumerate() {
            if at % 4 == 0 {
                plain.push(closed(node, data, &Shape::default(), CLIENTS, data.queries.len()).await?);
            }
            let shape = Shape { ef: None, filter: Some(filter.json.to_string()) };
            runs.entry(at).or_default().push(closed(node, data, &shape, CLIENTS, count).await?);
        }
    }
    let unfiltered = row(plan, "none", &plain, data.truth("all")?);
    let cost = unfiltered["us"].as_f64().unwrap_or(f64::NAN);
    let mut whole = unfiltered;
    whole["matching"] = data.rows().into();
    whole["ratio"] = 1.into();
    whole["plan"] = plans(plan, client, None).await?.into();
    section.row(whole);
    for (at, filter) in data.filters.iter().enumerate() {
        let what = format!("{} `{}`", filter.name, filter.json);
        let mut row = row(plan, &what, &runs[&at], data.truth(&filter.name)?);
        row["matching"] = filter.matching.into();
        row["ratio"] = ((row["us"].as_f64().unwrap_or(0.0) / cost * 100.0).round() / 100.0).into();
        row["plan"] = plans(plan, client, Some(filter)).await?.into();
        row["payload_indexes"] = missing.is_none().into();
        section.row(row);
    }
    match missing {
        Some(note) => section.note(format!("{note}; {count} queries each")),
        None => section.note("payload indexes: section (keyword), installed_size (integer)"),
    }
    Ok(section)
}

/// The plans that twenty queries got, by `explain`, most frequent first.
async fn plans(plan: &Plan, client: &Client, filter: Option<&Filter>) -> Result<String, Failure> {
    let shape = Shape { ef: None, filter: filter.map(|filter| filter.json.to_string()) };
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for query in plan.data.queries.iter().take(20) {
        let answer = client.search(shape.request(query).explain(true)).await?;
        for shard in answer.explain.into_iter().flat_map(|explain| explain.shards) {
            *seen.entry(shard.plan).or_default() += 1;
        }
    }
    let mut seen: Vec<(String, usize)> = seen.into_iter().collect();
    seen.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    Ok(seen.into_iter().map(|(plan, _)| plan).collect::<Vec<_>>().join(", "))
}
