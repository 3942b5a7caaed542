//! The words after `bench index`, `bench serve` and `bench cluster`.

use super::{Failure, root};
use std::path::PathBuf;

/// What the measurements take; each looks at its own.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Directory of the data set.
    pub data: PathBuf,
    /// Rows to take; 0 for as many as there are.
    pub rows: usize,
    /// Times each curve is measured.
    pub rounds: usize,
    /// A short run that is not kept among the results.
    pub quick: bool,
    /// Whether peers' graphs of an earlier run may be taken.
    pub reuse: bool,
    /// Sections of the server's or the cluster's measurement; empty for all.
    pub only: Vec<String>,
    /// Words in the names of contestants; empty for all.
    pub contestants: Vec<String>,
    /// Settings of the collection, `KEY=VALUE`.
    pub set: Vec<String>,
    /// What the results of other settings are called.
    pub name: String,
    /// The words as given, for the record.
    pub words: String,
}

impl Options {
    /// Reads the words; the first that means nothing is the failure.
    pub fn parse(words: &[String]) -> Result<Self, Failure> {
        let mut options = Self { rounds: 5, ..Self::default() };
        let (mut said, mut rest) = (Vec::new(), words.iter());
        let list = |text: &str| text.split(',').map(str::to_string).collect::<Vec<_>>();
        while let Some(word) = rest.next() {
            let mut value = || rest.next().ok_or_else(|| format!("{word} needs a value")).cloned();
            let mut record = vec![word.clone()];
            match word.as_str() {
                "--quick" => options.quick = true,
                "--reuse" => options.reuse = true,
                // Where the data lies is no part of what was measured.
                "--data" => {
                    options.data = value()?.into();
                    continue;
                }
                _ => {
                    let value = value()?;
                    match word.as_str() {
                        "--rows" => options.rows = value.parse()?,
                        "--rounds" => options.rounds = value.parse::<usize>()?.max(1),
                        "--only" => options.only = list(&value),
                        "--contestants" => options.contestants = list(&value),
                        "--set" => options.set.push(value.clone()),
                        "--name" => options.name = value.clone(),
                        _ => return Err(format!("no such option: {word}").into()),
                    }
                    record.push(value);
                }
            }
            said.extend(record);
        }
        if options.data.as_os_str().is_empty() {
            let given = std::env::var_os("VECTRON_DATA").map(PathBuf::from);
            options.data = given.unwrap_or_else(|| root().join("../shared/data/debian"));
        }
        if options.quick {
            options.rows = if options.rows == 0 { 8000 } else { options.rows };
            options.rounds = options.rounds.min(2);
        }
        options.words = said.join(" ");
        Ok(options)
    }

    /// The command line as anybody would repeat it.
    pub fn command(&self, name: &str) -> String {
        format!("cargo xtask bench {name} {}", self.words).trim_end().to_string()
    }
}
