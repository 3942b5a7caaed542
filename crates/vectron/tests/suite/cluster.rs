//! A cluster of real processes on loopback: `up --nodes`, and processes with one role each. Nodes are killed,
//! drained and added under writers; nothing that was acknowledged is lost.

use crate::process::{binary, free_port};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a cluster may take to answer again after a fault.
const PATIENCE: Duration = Duration::from_secs(60);

/// A child process with a ready line.
pub struct Member {
    child: Child,
    /// Its ready line.
    pub ready: Value,
}

impl Member {
    /// Starts `vectron` and waits for its ready line.
    pub fn start(adjust: impl FnOnce(&mut Command)) -> Member {
        let mut member = Member::launch(adjust);
        let mut line = String::new();
        let stdout = member.child.stdout.take().expect("stdout is piped");
        BufReader::new(stdout).read_line(&mut line).expect("stdout is readable");
        member.ready = serde_json::from_str(&line).unwrap_or_else(|_| panic!("no ready line: '{line}'"));
        member
    }

    /// Starts `vectron` and does not wait.
    pub fn launch(adjust: impl FnOnce(&mut Command)) -> Member {
        let mut command = binary();
        adjust(&mut command);
        let child = command.args(["-o", "json"]).stdout(Stdio::piped()).stderr(Stdio::null());
        Member { child: child.spawn().expect("the binary starts"), ready: Value::Null }
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.child.kill().expect("the process can be killed");
        self.child.wait().expect("the process ends");
    }

    /// SIGTERM, and the exit code.
    pub fn terminate(&mut self) -> Option<i32> {
        signal("-TERM", u64::from(self.child.id()));
        self.child.wait().expect("the process ends").code()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // SIGTERM first: `up --nodes` takes its children along.
        signal("-TERM", u64::from(self.child.id()));
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(10) {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn signal(name: &str, pid: u64) {
    let _ = Command::new("kill").args([name, &pid.to_string()]).stderr(Stdio::null()).status();
}

/// One HTTP call; a transport failure is status 0.
pub fn call(method: &str, url: &str, body: &Value) -> (u16, Value) {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(15)))
        .build()
        .into();
    let request = ureq::http::Request::builder()
        .method(method)
        .uri(url)
        .header("content-type", "application/json")
        .body(if body.is_null() { Vec::new() } else { body.to_string().into_bytes() })
        .expect("a valid request");
    match agent.run(request) {
        Ok(mut response) => {
            let text = response.body_mut().read_to_string().unwrap_or_default();
            (response.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::String(text)))
        }
        Err(_) => (0, Value::Null),
    }
}

/// Calls until the answer is a success; the answer.
pub fn eventually(method: &str, url: &str, body: &Value) -> Value {
    let begun = Instant::now();
    loop {
        let (status, answer) = call(method, url, body);
        if (200..300).contains(&status) {
            return answer;
        }
        assert!(begun.elapsed() < PATIENCE, "{method} {url}: {status} {answer}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Waits until `look` gives true.
pub fn wait_for(what: &str, mut look: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !look() {
        assert!(begun.elapsed() < PATIENCE, "{what} did not happen within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn upsert(url: &str, ids: std::ops::Range<u64>) {
    let points: Vec<Value> = ids
        .map(|n| json!({"id": format!("p{n}"), "vector": [n as f32 + 1.0, 1.0, 2.0], "payload": {"n": n}}))
        .collect();
    // The key makes the retries of `eventually` safe.
    let body = json!({"points": points, "idempotency_key": format!("k{}", points[0]["id"])});
    let answer = eventually("POST", &format!("{url}/v1/collections/docs/points"), &body);
    assert_eq!(answer["upserted"], points.len() as u64, "{answer}");
}

fn count(url: &str) -> u64 {
    eventually("POST", &format!("{url}/v1/collections/docs/points/count"), &json!({}))["count"]
        .as_u64()
        .expect("a count")
}

fn create(url: &str, shards: u64, replication_factor: u64) {
    let body = json!({"name": "docs", "dimension": 3, "distance": "euclidean", "shards": shards,
        "replication_factor": replication_factor});
    eventually("POST", &format!("{url}/v1/collections"), &body);
}

fn nodes(dir: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(dir.join("cluster.json")).expect("cluster.json");
    serde_json::from_str(&text).expect("a list")
}

fn rest(node: &Value) -> String {
    node["addresses"]["rest"].as_str().expect("an address").to_string()
}

/// `up --nodes 3`: every node serves, any may be killed under writes, and comes back with everything.
#[test]
fn three_nodes_lose_nothing_when_each_is_killed_in_turn() {
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = Member::start(|command| {
        command.args(["up", "--nodes", "3", "--listen", "127.0.0.1:0", "--restart-after-ms", "1000"]);
        command.arg("--data-dir").arg(dir.path());
    });
    let urls: Vec<String> = nodes(dir.path()).iter().map(rest).collect();
    create(&urls[0], 2, 3);
    let mut written = 0;
    for round in 0..3 {
        upsert(&urls[(round + 1) % 3], written..written + 100);
        written += 100;
        let victim = nodes(dir.path())[round].clone();
        signal("-9", victim["pid"].as_u64().expect("a pid"));
        // The two others go on, whoever led.
        for other in [(round + 1) % 3, (round + 2) % 3] {
            upsert(&urls[other], written..written + 50);
            written += 50;
            assert_eq!(count(&urls[other]), written);
        }
        wait_for("the node's return", || {
            nodes(dir.path())[round]["pid"] != victim["pid"]
                && call("GET", &format!("{}/readyz", urls[round]), &Value::Null).0 == 200
        });
        assert_eq!(count(&urls[round]), written, "the node that was killed answers with everything");
    }
    let hit = json!({"vector": [8.0, 1.0, 2.0], "top_k": 1});
    for url in &urls {
        let answer = eventually("POST", &format!("{url}/v1/collections/docs/points/search"), &hit);
        assert_eq!(answer["results"][0]["id"], "p7");
        assert_eq!(answer["meta"]["consistency"]["level"], "linearizable");
    }
    let pids: Vec<u64> = nodes(dir.path()).iter().map(|node| node["pid"].as_u64().expect("a pid")).collect();
    assert_eq!(cluster.terminate(), Some(0));
    let alive = |pid: &u64| Path::new(&format!("/proc/{pid}")).exists();
    assert!(!pids.iter().any(alive), "every node has ended with the cluster");
}

/// One process per role: three placement drivers, four workers, a gateway. A worker is drained, removed and its
/// replicas live elsewhere; the placement driver may be away without anybody noticing.
#[test]
fn roles_in_processes_of_their_own_drain_and_survive_without_the_placement_driver() {
    let dir = tempfile::tempdir().unwrap();
    let members: Vec<String> = (1..=3).map(|n| format!("{n}=127.0.0.1:{}", free_port())).collect();
    let members = members.join(",");
    let mut drivers: Vec<Member> = (1..=3)
        .map(|n| {
            Member::launch(|command| {
                let address =
                    members.split(',').nth(n - 1).and_then(|m| m.split_once('=')).expect("listed").1;
                command.args(["pd", "--member", &n.to_string(), "--members", &members, "--listen", address]);
                command.arg("--data-dir").arg(dir.path().join(format!("pd-{n}")));
            })
        })
        .collect();
    let _workers: Vec<Member> = (1..=4)
        .map(|n| {
            Member::launch(|command| {
                let address = format!("127.0.0.1:{}", free_port());
                command.args([
                    "worker",
                    "--placement",
                    &members,
                    "--listen",
                    &address,
                    "--zone",
                    &format!("z{n}"),
                ]);
                command.arg("--data-dir").arg(dir.path().join(format!("worker-{n}")));
            })
        })
        .collect();
    let port = free_port();
    let _gateway = Member::launch(|command| {
        command.args(["gateway", "--placement", &members, "--listen", &format!("127.0.0.1:{port}")]);
    });
    let url = format!("http://127.0.0.1:{port}");
    let workers = || {
        eventually("GET", &format!("{url}/v1/admin/workers"), &Value::Null)["workers"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    };
    wait_for("four workers", || workers().iter().filter(|w| w["alive"] == true).count() == 4);
    create(&url, 2, 3);
    upsert(&url, 0..500);

    // Drain the worker that holds most; its replicas go to the one that was free.
    let busy = workers().into_iter().max_by_key(|w| w["replicas"].as_u64()).expect("workers");
    let id = busy["worker"].as_u64().expect("an id");
    eventually("POST", &format!("{url}/v1/admin/workers/{id}/drain"), &json!({}));
    upsert(&url, 500..600);
    wait_for("the drain", || workers().iter().any(|w| w["worker"] == id && w["replicas"] == 0));
    eventually("DELETE", &format!("{url}/v1/admin/workers/{id}"), &Value::Null);
    assert_eq!(count(&url), 600);

    // Without the placement driver reads and writes go on.
    drivers.iter_mut().for_each(Member::kill);
    upsert(&url, 600..700);
    assert_eq!(count(&url), 700);
}

/// A placement driver of one grows to three while the cluster is used, and then lives without the one it began with.
#[test]
fn members_are_added_to_the_placement_driver_while_it_runs() {
    let dir = tempfile::tempdir().unwrap();
    let addresses: Vec<String> = (0..3).map(|_| format!("127.0.0.1:{}", free_port())).collect();
    let listed = |count: usize| -> String {
        let all = addresses.iter().take(count).enumerate();
        all.map(|(at, address)| format!("{}={address}", at + 1)).collect::<Vec<_>>().join(",")
    };
    let driver = |number: usize| {
        Member::launch(|command| {
            command.args(["pd", "--member", &number.to_string(), "--members", &listed(number)]);
            command.args(["--listen", &addresses[number - 1]]);
            command.args((number > 1).then_some("--join"));
            command.arg("--data-dir").arg(dir.path().join(format!("pd-{number}")));
        })
    };
    let mut drivers = vec![driver(1)];
    let _worker = Member::launch(|command| {
        let address = format!("127.0.0.1:{}", free_port());
        command.args(["worker", "--placement", &listed(3), "--listen", &address]);
        command.arg("--data-dir").arg(dir.path().join("worker"));
    });
    let url = format!("http://127.0.0.1:{}", free_port());
    let _gateway = Member::launch(|command| {
        command.args(["gateway", "--placement", &listed(3), "--listen", url.trim_start_matches("http://")]);
    });
    create(&url, 1, 1);
    upsert(&url, 0..100);
    for number in 2..=3 {
        drivers.push(driver(number));
        let added = || {
            let mut command = binary();
            command.args(["--url", &url, "admin", "pd", "add", &number.to_string(), &addresses[number - 1]]);
            command.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("it runs").success()
        };
        // Refused while the change before it is under way.
        wait_for("the member is let in", added);
        wait_for("the member votes", || {
            let members =
                eventually("GET", &format!("{url}/v1/admin/members"), &Value::Null)["members"].clone();
            let votes = |m: &Value| m["member"] == number as u64 && m["votes"] == true;
            members.as_array().is_some_and(|members| members.iter().any(votes))
        });
    }
    drivers[0].kill();
    let body = json!({"name": "more", "dimension": 3, "distance": "euclidean"});
    eventually("POST", &format!("{url}/v1/collections"), &body);
    upsert(&url, 100..200);
    assert_eq!(count(&url), 200);
}
