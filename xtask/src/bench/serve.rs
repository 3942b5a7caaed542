//! `bench serve`: the load generator runs against a release node; each section's rows are kept with what they were
//! measured on, so that a part can be measured again without the rest.

use super::options::Options;
use super::{Failure, SCHEMA, build, keep, machine, root, sections, target};
use serde_json::{Value, json};
use std::process::Command;

/// Measures and keeps the result.
pub fn run(options: &Options) -> Result<(), Failure> {
    build(&["-p", "vectron"])?;
    build(&["-p", "vectron", "--example", "bench_serve"])?;
    let measured = target().join("bench/serve-measured.json");
    let load_before = machine::load();
    let mut command = Command::new(target().join("release/examples/bench_serve"));
    command.arg(target().join("release/vectron")).arg(&options.data).arg(&measured);
    command.args(["--only", &options.only.join(",")]);
    command.args(options.set.iter().flat_map(|set| ["--set", set]));
    if options.quick {
        command.arg("--quick");
    }
    std::fs::create_dir_all(target().join("bench"))?;
    if !command.status()?.success() {
        return Err("the load generator failed; what it said is above".into());
    }
    let mut measured: Value = serde_json::from_slice(&std::fs::read(&measured)?)?;
    let name = match options.name.as_str() {
        "" => "serve".to_string(),
        name => format!("serve-{name}"),
    };
    let sections = measured["sections"].take();
    let mut result = json!({
        "schema": SCHEMA,
        "kind": "serve",
        "hardware": machine::hardware(),
        "dataset": measured["dataset"],
        "settings": options.set,
        "sections": {},
    });
    let earlier = std::fs::read(root().join(format!("bench/results/{name}.json"))).ok();
    sections::merge(&mut result, earlier.as_deref(), &sections, &load_before, &options.command("serve"));
    print!("{}", super::report::serve_tables(&result));
    keep(&name, options.quick, &result)
}
