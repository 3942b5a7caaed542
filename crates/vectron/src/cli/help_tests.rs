//! Every verb's help has an example, and every example is a command that parses.

use super::args::Cli;
use clap::{Command, CommandFactory, Parser};

/// The verbs without verbs below them.
fn leaves(command: &Command, path: &str, found: &mut Vec<(String, String)>) {
    let below: Vec<&Command> = command.get_subcommands().filter(|c| c.get_name() != "help").collect();
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    if below.is_empty() || !help.is_empty() {
        found.push((path.to_string(), help));
    }
    for sub in below {
        leaves(sub, &format!("{path} {}", sub.get_name()), found);
    }
}

/// Splits as a shell does, as far as examples need it; the words of the last command of a pipe.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted, mut started) = (Vec::new(), String::new(), false, false);
    for character in line.chars() {
        match character {
            '\'' => (quoted, started) = (!quoted, true),
            ' ' if !quoted => {
                if started {
                    words.push(std::mem::take(&mut word));
                }
                started = false;
            }
            other => {
                word.push(other);
                started = true;
            }
        }
    }
    if started {
        words.push(word);
    }
    if let Some(end) = words.iter().position(|word| word == "#" || word == ">") {
        words.truncate(end);
    }
    match words.iter().position(|word| word == "|") {
        Some(pipe) => words.split_off(pipe + 1),
        None => words,
    }
}

#[test]
fn every_verb_has_an_example_and_every_example_parses() {
    let mut found = Vec::new();
    leaves(&Cli::command(), "vectron", &mut found);
    assert!(found.len() > 15);
    for (path, help) in found {
        let examples: Vec<&str> =
            help.lines().filter(|line| line.starts_with("  ") && line.contains("vectron ")).collect();
        assert!(!examples.is_empty(), "{path} has no example");
        for example in examples {
            let words = words(example.trim());
            let own = words.join(" ").starts_with(&path);
            assert!(own, "the example of {path} is of another verb: {example}");
            if let Err(error) = Cli::try_parse_from(&words) {
                panic!("{example}\n{error}");
            }
        }
    }
}

#[test]
fn the_tree_is_well_formed() {
    Cli::command().debug_assert();
}

#[test]
fn wrong_command_lines_are_refused() {
    for line in [
        "vectron search docs",
        "vectron search docs --vector [1] --like a",
        "vectron search docs --like a --exact --ef 3",
        "vectron points delete docs",
        "vectron points delete docs --ids a --filter {}",
        "vectron collections create docs --dimension 3 --distance manhattan-ish",
        "vectron collections create docs --dimension 3",
        "vectron collections create docs --dimension 3 --distance dot --quantization int8",
        "vectron collections create docs --dimension 3 --distance dot --storage disk",
        "vectron indexes create docs section",
        "vectron indexes create docs section --type place",
        "vectron indexes delete docs",
        "vectron import docs",
        "vectron import docs a.npy --create",
        "vectron import docs a.npy --batch-rows 0",
        "vectron -o xml status",
        "vectron nonsense",
    ] {
        let error = Cli::try_parse_from(words(line)).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{line}");
    }
}
