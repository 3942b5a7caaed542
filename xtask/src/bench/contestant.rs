//! One library with one build setting in its own process, which keeps what it built and answers a line of JSON to
//! each line.

use super::Failure;
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// The process and its pipes.
pub struct Contestant {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// What it said of itself: version, instructions.
    pub hello: Value,
}

impl Contestant {
    /// Starts it and waits for its first line.
    pub fn start(command: &mut Command) -> Result<Self, Failure> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = child.stdin.take().ok_or("no stdin")?;
        let output = BufReader::new(child.stdout.take().ok_or("no stdout")?);
        let mut contestant = Self { child, input, output, hello: Value::Null };
        contestant.hello = contestant.hear()?;
        Ok(contestant)
    }

    /// Says a line and waits for the answer.
    pub fn ask(&mut self, line: &str) -> Result<Value, Failure> {
        writeln!(self.input, "{line}")?;
        self.input.flush()?;
        self.hear()
    }

    fn hear(&mut self) -> Result<Value, Failure> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            return Err("it ended; what it said is above".into());
        }
        Ok(serde_json::from_str(&line)?)
    }

    /// Bytes of memory that no file stands behind.
    pub fn anonymous_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("RssAnon:"));
        let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
        kib.unwrap_or(0) * 1024
    }
}

impl Drop for Contestant {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
