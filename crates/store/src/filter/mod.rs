//! Filters against payload texts.
//!
//! [`Matcher`] is the fast way: it skims the text once for the fields that the filter names, builds nothing,
//! and stops when all of them were met. [`naive`] is the slow and obvious way, kept as the oracle.

mod check;
pub mod naive;
mod skim;

use check::Check;
use std::collections::BTreeMap;
use vectron_base::filter::{Filter, Test};

/// A filter made ready for many payloads.
pub struct Matcher {
    tree: Tree,
    /// The fields asked for, as a tree of their path parts; the root is first.
    nodes: Vec<Node>,
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

/// A place in payloads that some field path leads to or through.
#[derive(Default)]
struct Node {
    children: Vec<(Box<str>, usize)>,
    /// Checks of the values here.
    checks: Vec<usize>,
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
        let mut matcher = Matcher { tree: Tree::All, nodes: vec![Node::default()], checks: Vec::new() };
        matcher.tree = matcher.tree_of(filter, &mut BTreeMap::new());
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
        self.skim(payload, seen);
        self.decide(&self.tree, seen)
    }

    fn tree_of(&mut self, filter: &Filter, known: &mut BTreeMap<String, usize>) -> Tree {
        match filter {
            Filter::All => Tree::All,
            Filter::And(parts) => Tree::And(parts.iter().map(|part| self.tree_of(part, known)).collect()),
            Filter::Or(parts) => Tree::Or(parts.iter().map(|part| self.tree_of(part, known)).collect()),
            Filter::Not(inner) => Tree::Not(Box::new(self.tree_of(inner, known))),
            Filter::Field { path, test } => {
                let node = match known.get(path) {
                    Some(node) => *node,
                    None => self.node_of(path, known),
                };
                let check = self.checks.len();
                self.checks.push(Check::new(test));
                self.nodes[node].checks.push(check);
                let tree = Tree::Check(check);
                if matches!(test, Test::NotEqual(_) | Test::NotIn(_) | Test::Exists(false)) {
                    Tree::Not(Box::new(tree))
                } else {
                    tree
                }
            }
        }
    }

    fn node_of(&mut self, path: &str, known: &mut BTreeMap<String, usize>) -> usize {
        let mut at = 0;
        for part in path.split('.') {
            let child = self.nodes[at].children.iter().find(|(name, _)| **name == *part);
            at = match child {
                Some((_, child)) => *child,
                None => {
                    self.nodes.push(Node::default());
                    let child = self.nodes.len() - 1;
                    self.nodes[at].children.push((part.into(), child));
                    child
                }
            };
        }
        known.insert(path.to_string(), at);
        at
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
