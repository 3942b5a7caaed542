//! The command line as people and scripts meet it: the built program against a node that it started itself.

#![allow(clippy::disallowed_methods, reason = "drives real processes with files of its own")]

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_vectron");

/// The program with a clean environment.
fn program() -> Command {
    let mut command = Command::new(PROGRAM);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("VECTRON_")) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// `vectron up` on a free port.
struct Node {
    child: Child,
    ready: Value,
    folder: TempDir,
}

impl Node {
    fn start() -> Self {
        Self::start_with(&[])
    }

    fn start_with(flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut child = program()
            .args(["up", "--listen", "127.0.0.1:0", "-o", "json", "--data-dir"])
            .arg(folder.path().join("data"))
            .args(flags)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(ready["ready"], true);
        Self { child, ready, folder }
    }

    fn url(&self) -> String {
        format!("http://{}", self.ready["address"].as_str().unwrap())
    }

    fn command(&self, line: &str) -> Command {
        let mut command = program();
        command.env("VECTRON_URL", self.url()).args(line.split_whitespace());
        command
    }

    /// Runs a command; gives stdout after checking the exit code.
    fn run(&self, exit: i32, line: &str) -> String {
        checked(exit, line, self.command(line).output().unwrap())
    }

    fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.run(0, &format!("{line} -o json"))).unwrap()
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn count(&self, collection: &str) -> u64 {
        self.json(&format!("points count {collection}"))["count"].as_u64().unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn checked(exit: i32, line: &str, output: Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(exit), "{line}\nstdout: {out}\nstderr: {err}");
    assert!(!err.contains("panicked"), "{line}: {err}");
    out.into_owned()
}

fn sample(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sample").join(name).display().to_string()
}

#[test]
fn a_node_says_it_is_ready_in_one_line_and_stops_cleanly_on_sigterm() {
    let mut node = Node::start();
    for key in ["address", "rest", "grpc", "docs", "health", "data_dir", "pid"] {
        assert!(!node.ready[key].is_null(), "{key}");
    }
    assert_eq!(node.ready["pid"].as_u64(), Some(node.child.id().into()));
    let health = ureq::get(node.ready["health"].as_str().unwrap()).call().unwrap();
    assert_eq!(health.status(), 200);
    node.signal(Signal::TERM);
    assert_eq!(node.child.wait().unwrap().code(), Some(0));
    node.run(6, "collections list");
}

/// Whether it is stopped while it starts or after, the exit code says the same.
#[test]
fn a_signal_while_starting_is_not_lost() {
    for (signal, pause, exits) in [
        (Signal::TERM, 0, &[Some(0), None][..]),
        (Signal::TERM, 20, &[Some(0), None]),
        (Signal::INT, 20, &[Some(130), Some(0), None]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut up = program();
        up.args(["up", "--listen", "127.0.0.1:0", "--data-dir"]).arg(folder.path());
        // With an empty variable, which is as good as none.
        let mut child =
            up.env("VECTRON_OPEN", "").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(pause));
        kill_process(Pid::from_child(&child), signal).unwrap();
        let start = Instant::now();
        let exit = loop {
            if let Some(exit) = child.try_wait().unwrap() {
                break exit.code();
            }
            assert!(start.elapsed() < Duration::from_secs(20), "it does not stop");
            std::thread::sleep(Duration::from_millis(5));
        };
        // None: the signal came before the program could take it.
        assert!(exits.contains(&exit), "{signal:?} after {pause} ms: {exit:?}");
    }
}

#[test]
fn collections_and_points_from_first_to_last() {
    let node = Node::start();
    node.run(0, "collections create docs --dimension 3 --distance cosine");
    node.run(0, "collections create docs --dimension 3 --distance cosine");
    node.run(5, "collections create docs --dimension 4 --distance cosine");
    assert_eq!(node.json("collections list")["collections"][0]["name"], "docs");
    assert_eq!(node.json("collections describe docs")["dimension"], 3);
    node.run(0, "collections create tuned --dimension 3 --distance dot --quantization 8bit --storage mmap --degree 16");
    let tuned = node.json("collections describe tuned");
    assert_eq!((&tuned["quantization"], &tuned["index"]["degree"]), (&"8bit".into(), &16.into()), "{tuned}");
    assert_eq!(node.json("indexes create docs n --type integer")["created"], true);
    node.run(5, "indexes create docs n --type float");
    assert_eq!(node.json("indexes list docs")["indexes"][0]["type"], "integer");
    assert_eq!(node.json("indexes delete docs n")["deleted"], true);
    node.run(3, "indexes delete docs n");
    let file = node.file(
        "p.jsonl",
        "{\"id\":\"a\",\"vector\":[1,0,0],\"payload\":{\"n\":1}}\n{\"id\":7,\"vector\":[0,1,0],\"t\":\"x, y\"}\n",
    );
    node.run(0, &format!("points upsert docs {}", file.display()));
    assert_eq!(node.count("docs"), 2);
    let got = node.json("points get docs 7 --include-vector");
    assert_eq!(got["points"][0]["vector"], serde_json::json!([0.0, 1.0, 0.0]));
    node.run(3, "points get docs a nobody");
    assert_eq!(node.run(0, "points scroll docs -o csv"), "id,version,n,t\n7,2,,\"x, y\"\na,2,1,\n");
    let found = node.json("search docs --vector [1,0.1,0] --k 1");
    assert_eq!(found["results"][0]["id"], "a");
    assert_eq!(node.json("search docs --like a")["results"][0]["id"], "7");
    let line = node.run(0, "search docs --like 7 -o jsonl");
    assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["id"], "a");
    assert!(node.run(0, "explain docs --like a").contains("shard "));
    assert!(node.json("explain docs --like a")["explain"]["shards"][0]["plan"].is_string());
    assert_eq!(node.json("status docs")["points"], 2);
    assert_eq!(node.json("status")["collections"][0]["points"], 2);
    assert_eq!(node.json("search docs --like a --k 10000 --consistency eventual")["results"][0]["id"], "7");
    node.run(1, "search docs --vector [1]");
    node.run(2, "search docs --vector nonsense");
    node.run(3, "search nothing --vector [1]");
    node.run(2, "points delete docs --ids a");
    assert_eq!(node.json("points delete docs --ids a,b --yes")["deleted"], 1);
    node.run(2, "collections delete docs");
    node.run(0, "collections delete docs --yes");
    node.run(3, "collections describe docs");
}

#[test]
fn an_upsert_under_a_condition_overwrites_nothing_else() {
    let node = Node::start();
    node.run(0, "collections create docs --dimension 2 --distance dot");
    let line = |name: &str, text: &str| {
        format!("points upsert docs {}", node.file(name, &format!("{text}\n")).display())
    };
    node.run(0, &line("new", r#"{"id":"a","vector":[1,0],"n":1,"if_version":0}"#));
    let got = node.json("points get docs a");
    assert_eq!(got["points"][0]["payload"], serde_json::json!({"n": 1}));
    let version = got["points"][0]["version"].as_u64().unwrap();
    node.run(5, &line("again", r#"{"id":"a","vector":[0,1],"if_version":0}"#));
    assert_eq!(node.json("points get docs a")["points"][0]["version"], version);
    let text = format!(r#"{{"id":"a","vector":[0,1],"payload":{{"n":2}},"if_version":{version}}}"#);
    node.run(0, &line("next", &text));
    for transport in ["grpc", "rest"] {
        let file = node.file("late.jsonl", &format!("{text}\n"));
        let refused = node.folder.path().join(transport);
        let (file, kept) = (file.display(), refused.display());
        node.run(1, &format!("import docs {file} --transport {transport} --errors-to {kept}"));
        let kept: Value = serde_json::from_str(&std::fs::read_to_string(&refused).unwrap()).unwrap();
        assert_eq!(kept["code"], "version_mismatch");
    }
    let flat = node.file("flat.jsonl", "{\"id\":\"a\",\"vector\":[0,1],\"if_version\":9}\n");
    node.run(1, &format!("import docs {}", flat.display()));
    assert_eq!(node.json("points get docs a")["points"][0]["payload"]["n"], 2);
}

#[test]
fn points_come_from_stdin_and_bad_lines_are_a_partial_success() {
    let node = Node::start();
    node.run(0, "collections create docs --dimension 2 --distance cosine");
    let mut child = node
        .command("points upsert docs - -o json")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = "{\"id\":\"a\",\"vector\":[1,0]}\n{\"id\":\"b\",\"vector\":[1]}\nnonsense\n";
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let out = checked(7, "points upsert", child.wait_with_output().unwrap());
    let answer: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(answer["upserted"], 1);
    assert_eq!(answer["failed"][0]["id"], "b");
    assert_eq!(answer["failed"][1]["row"], 3);
}

#[test]
fn the_sample_goes_in_over_both_transports_and_comes_out_and_in_again() {
    let node = Node::start();
    for transport in ["grpc", "rest"] {
        let summary = node.json(&format!(
            "import {transport} {} --payload {} --id-field name --create --distance cosine --transport {transport}",
            sample("vectors.f16.npy"),
            sample("payload.jsonl.gz")
        ));
        assert_eq!(summary["upserted"], 4800, "{transport}");
        assert_eq!(node.count(transport), 4800);
    }
    let search = |collection: &str| {
        let query = sample("queries.f32.npy");
        node.json(&format!("search {collection} --vector @{query} --exact --k 20"))["results"].clone()
    };
    let ids = |results: &Value| -> Vec<String> {
        results.as_array().unwrap().iter().map(|r| r["id"].to_string()).collect()
    };
    assert_eq!(ids(&search("grpc")), ids(&search("rest")));
    let file = node.folder.path().join("out.jsonl.gz");
    node.run(0, &format!("export grpc --to {}", file.display()));
    assert_eq!(
        node.json(&format!("import again {} --create --distance cosine", file.display()))["upserted"],
        4800
    );
    assert_eq!(ids(&search("grpc")), ids(&search("again")));
    let games = node.run(0, r#"export grpc --filter {"section":"games"} --vector-format list"#);
    let first: Value = serde_json::from_str(games.lines().next().unwrap()).unwrap();
    assert_eq!(first["payload"]["section"], "games");
    assert_eq!(first["vector"].as_array().unwrap().len(), 384);
}

#[test]
fn refused_rows_are_named_kept_and_end_in_exit_code_7() {
    let node = Node::start();
    node.run(0, "collections create docs --dimension 2 --distance cosine");
    let file = node.file(
        "bad.jsonl",
        "{\"id\":\"a\",\"vector\":[1,0]}\n{\"id\":\"a42\",\"vector\":[1,0,0]}\n{\"id\":\"z\",\"vector\":[0,0]}\n",
    );
    let refused = node.folder.path().join("refused.jsonl");
    let line = format!("import docs {} --errors-to {}", file.display(), refused.display());
    let output = node.command(&line).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    checked(7, &line, output);
    assert!(said.contains("line 2 'a42': vector has 3 numbers, collection 'docs' expects 2"), "{said}");
    let kept = std::fs::read_to_string(refused).unwrap();
    let kept: Vec<Value> = kept.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((kept.len(), &kept[0]["row"], &kept[1]["id"]), (2, &2.into(), &"z".into()));
    assert_eq!(node.count("docs"), 1);
    node.run(7, &format!("import docs {} --dry-run", file.display()));
    node.run(3, &format!("import nowhere {}", file.display()));
    node.run(1, "import docs /nonexistent.jsonl");
}

/// A slow import is stopped in the middle, with and without warning, and taken up again.
#[test]
fn an_interrupted_import_goes_on_where_it_stopped() {
    const ROWS: u64 = 40_000;
    let node = Node::start();
    node.run(0, "collections create docs --dimension 2 --distance cosine");
    let text: String = (0..ROWS).map(|row| format!("{{\"id\":{row},\"vector\":[1,{row}]}}\n")).collect();
    let file = node.file("many.jsonl", &text);
    let notes = node.folder.path().join("many.jsonl.docs.vectron-resume");
    let line = format!("import docs {} --resume --batch-rows 2 --concurrency 1", file.display());
    for (signal, exit) in [(Signal::INT, Some(130)), (Signal::KILL, None)] {
        let before = std::fs::metadata(&notes).and_then(|about| about.modified()).ok();
        let mut child = node.command(&line).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let start = Instant::now();
        while std::fs::metadata(&notes).and_then(|about| about.modified()).ok() == before {
            assert!(start.elapsed() < Duration::from_secs(60), "no notes were written");
            assert!(child.try_wait().unwrap().is_none(), "the import ended before it could be stopped");
            std::thread::sleep(Duration::from_millis(5));
        }
        kill_process(Pid::from_child(&child), signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), exit);
        assert!(notes.exists());
    }
    let line = format!("import docs {} --resume --concurrency 64", file.display());
    let summary = node.json(&line);
    assert!(summary["resumed"].as_u64().unwrap() > 0, "{summary}");
    assert!(summary["rows"].as_u64().unwrap() < ROWS, "{summary}");
    assert_eq!(summary["failed"], 0);
    assert_eq!(node.count("docs"), ROWS);
    assert!(!notes.exists(), "the notes of a finished import stay");
}

#[test]
fn a_key_is_asked_for_and_comes_from_flag_or_environment() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, "0123456789abcdef0123\n").unwrap();
    let node = Node::start_with(&["--admin-key-file", &key.display().to_string()]);
    node.run(4, "collections list");
    node.run(4, "collections list --key wrong-key-wrong-key");
    node.run(0, "collections list --key 0123456789abcdef0123");
    let mut command = node.command("collections create docs --dimension 2 --distance cosine");
    command.env("VECTRON_API_KEY", "0123456789abcdef0123");
    checked(0, "key in the environment", command.output().unwrap());
    let file = node.file("a.jsonl", "{\"id\":\"a\",\"vector\":[1,0]}\n");
    let import = format!("import docs {} --transport rest", file.display());
    node.run(4, &import);
    node.run(0, &format!("{import} --key 0123456789abcdef0123"));
}

#[test]
fn up_refuses_what_cannot_be_right_before_it_touches_anything() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let up = |flags: &[&str], env: &[(&str, &str)]| {
        let output =
            program().arg("up").arg("--data-dir").arg(&data).args(flags).envs(env.iter().copied()).output();
        let output = output.unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (exit, said) = up(&[], &[("VECTRON_NODE_READ_THREADS", "many"), ("VECTRON_NODE_LOG_LEVEL", "loud")]);
    assert_eq!(exit, Some(2));
    assert!(said.contains("READ_THREADS=many") && said.contains("LOG_LEVEL=loud"), "{said}");
    for (flags, env) in [
        (&["--listen", "0.0.0.0:0"][..], &[][..]),
        (&["--listen", "0.0.0.0:0", "--open"], &[]),
        (&["--listen", "0.0.0.0:0"], &[("VECTRON_ADMIN_KEY", "short")]),
        (&["--listen", "0.0.0.0:0"], &[("VECTRON_OPEN", "true")]),
        (&["--listen", "127.0.0.1:0"], &[("VECTRON_ADMIN_KEY", "")]),
        (&["--listen", "127.0.0.1:0"], &[("VECTRON_ADMIN_KEY_FILE", "")]),
        // Empty is unset, so this is refused for the lack of a key, not for a malformed flag.
        (&["--listen", "0.0.0.0:0"], &[("VECTRON_OPEN", "")]),
        (&["--listen", "nonsense"], &[]),
        (&["--admin-key-file", "/nonexistent"], &[]),
    ] {
        let (exit, said) = up(flags, env);
        assert_eq!(exit, Some(2), "{flags:?} {env:?}: {said}");
    }
    assert!(!data.exists());
}

#[test]
fn the_demo_passes_its_own_measure_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let output = program()
        .args(["demo", "--exit", "--listen", "127.0.0.1:0", "-o", "json"])
        .env("TMPDIR", folder.path())
        .output()
        .unwrap();
    let answer: Value = serde_json::from_str(&checked(0, "demo", output)).unwrap();
    assert_eq!(answer["passed"], true);
    assert!(answer["plans"].as_array().unwrap().contains(&"graph".into()), "{answer}");
    assert!(answer["recall_at_10"].as_f64().unwrap() >= 0.9, "{answer}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn commands_without_a_server_work_without_one() {
    let run = |exit, line: &str| checked(exit, line, program().args(line.split(' ')).output().unwrap());
    let document: Value = serde_json::from_str(&run(0, "openapi")).unwrap();
    assert!(document["paths"]["/v1/collections"].is_object());
    assert!(run(0, "completions bash").contains("vectron"));
    let knobs: Value = serde_json::from_str(&run(0, "config show --origin -o json")).unwrap();
    assert_eq!(knobs["knobs"][0]["origin"], "default");
    run(0, "config validate");
    let mut wrong = program();
    wrong.args(["config", "validate"]).env("VECTRON_NODE_LOG_LEVEL", "loud");
    checked(8, "config validate", wrong.output().unwrap());
    wrong.args(["-o", "json"]);
    let said: Value = serde_json::from_str(&checked(8, "config validate", wrong.output().unwrap())).unwrap();
    assert_eq!((&said["valid"], said["errors"].as_array().unwrap().len()), (&false.into(), 1));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display();
    run(0, &format!("doctor --data-dir {path} --listen 127.0.0.1:0"));
    let checks = run(0, &format!("doctor --data-dir {path} --listen 127.0.0.1:0 -o json"));
    assert_eq!(serde_json::from_str::<Value>(&checks).unwrap()["passed"], true);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    run(8, &format!("doctor --data-dir {path} --listen {address}"));
    let checks = run(8, &format!("doctor --data-dir {path} --listen {address} -o json"));
    assert_eq!(serde_json::from_str::<Value>(&checks).unwrap()["passed"], false);
    run(0, "--help");
    run(2, "");
    run(6, "collections list --url http://127.0.0.1:1");
    run(1, "collections list --url https://127.0.0.1:1");
}
