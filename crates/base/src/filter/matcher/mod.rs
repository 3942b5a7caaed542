//! Filters against payload texts.
//!
//! [`Matcher`] skims the text once for the fields that the filter names, builds nothing, and stops when all of them
//! were met. [`Paths`] is the walk that it does that by, for whoever wants the values of some fields.

mod check;
mod paths;
mod values;

use check::Check;
pub use check::{Value, place};
pub use paths::{Paths, Visit};
pub use values::FieldValues;

use super::{Filter, Test};

/// A filter made ready for many payloads.
pub struct Matcher {
    tree: Tree,
    /// The fields asked for; a leaf is a check.
    paths: Paths,
    checks: Vec<Check>,
}

/// How the checks' results combine.
enum Tree {
    All,
    And(Vec<Tree>),
    Or(Vec<Tree>),
    Not(Box<Tree>),
    Check(usize),
}

/// What was seen of one check's values.
#[derive(Clone, Copy, Default)]
struct Seen {
    present: bool,
    passed: bool,
}

impl Matcher {
    /// Makes a filter ready.
    pub fn new(filter: &Filter) -> Matcher {
        let mut matcher = Matcher { tree: Tree::All, paths: Paths::new(), checks: Vec::new() };
        matcher.tree = matcher.tree_of(filter);
        matcher
    }

    /// Whether a payload matches. A text that is not a JSON object has no fields.
    pub fn matches(&self, payload: &str) -> bool {
        /// Filters with more checks than this take their notes on the heap.
        const FEW: usize = 16;
        if self.checks.len() <= FEW {
            self.matches_with(payload, &mut [Seen::default(); FEW])
        } else {
            self.matches_with(payload, &mut vec![Seen::default(); self.checks.len()])
        }
    }

    fn matches_with(&self, payload: &str, seen: &mut [Seen]) -> bool {
        self.paths.walk(payload, &mut Notes { checks: &self.checks, seen });
        self.decide(&self.tree, seen)
    }

    fn tree_of(&mut self, filter: &Filter) -> Tree {
        match filter {
            Filter::All => Tree::All,
            Filter::And(parts) => Tree::And(parts.iter().map(|part| self.tree_of(part)).collect()),
            Filter::Or(parts) => Tree::Or(parts.iter().map(|part| self.tree_of(part)).collect()),
            Filter::Not(inner) => Tree::Not(Box::new(self.tree_of(inner))),
            Filter::Field { path, test } => {
                let check = self.checks.len();
                self.checks.push(Check::new(test));
                self.paths.add(path, check);
                let tree = Tree::Check(check);
                if matches!(test, Test::NotEqual(_) | Test::NotIn(_) | Test::Exists(false)) {
                    Tree::Not(Box::new(tree))
                } else {
                    tree
                }
            }
        }
    }

    fn decide(&self, tree: &Tree, seen: &[Seen]) -> bool {
        match tree {
            Tree::All => true,
            Tree::And(parts) => parts.iter().all(|part| self.decide(part, seen)),
            Tree::Or(parts) => parts.iter().any(|part| self.decide(part, seen)),
            Tree::Not(inner) => !self.decide(inner, seen),
            Tree::Check(check) => {
                let seen = seen.get(*check).copied().unwrap_or_default();
                match self.checks[*check] {
                    Check::Exists => seen.present,
                    _ => seen.passed,
                }
            }
        }
    }
}

/// Notes what values pass while a payload is walked over.
struct Notes<'a> {
    checks: &'a [Check],
    seen: &'a mut [Seen],
}

impl Visit for Notes<'_> {
    fn present(&mut self, leaf: usize) {
        if let Some(seen) = self.seen.get_mut(leaf) {
            seen.present = true;
        }
    }

    fn value(&mut self, leaf: usize, value: Value<'_>) {
        if let (Some(seen), Some(check)) = (self.seen.get_mut(leaf), self.checks.get(leaf))
            && !seen.passed
        {
            seen.passed = check.passes(value);
        }
    }
}
