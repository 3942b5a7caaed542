//! The fields that are asked for, as a tree of their path parts, and the walk over a payload's text: into what
//! the tree names, past everything else.

use super::check::Value;
use crate::filter::json::{Malformed, Scanner};
use std::collections::BTreeMap;

/// Told what a walk meets, by the leaf that asked for it.
pub trait Visit {
    /// The leaf's path leads somewhere. Comes before the values there, and again for another place.
    fn present(&mut self, leaf: usize);
    /// A value of the leaf's field.
    fn value(&mut self, leaf: usize, value: Value<'_>);
}

/// Paths, each with a leaf's number.
pub struct Paths {
    /// The root is first.
    nodes: Vec<Node>,
    /// Where each whole path leads.
    known: BTreeMap<String, usize>,
}

/// A place in payloads that some field path leads to or through.
#[derive(Default)]
struct Node {
    children: Vec<(Box<str>, usize)>,
    /// Who asks for the values here.
    leaves: Vec<usize>,
}

/// Children of a node that were met in one object: of several members with one name the first counts.
struct Met {
    few: u64,
    many: Vec<bool>,
    left: usize,
}

impl Met {
    fn new(children: usize) -> Met {
        let many = if children > 64 { vec![false; children] } else { Vec::new() };
        Met { few: 0, many, left: children }
    }

    /// Whether this is the first time.
    fn meet(&mut self, child: usize) -> bool {
        let first = match self.many.get_mut(child) {
            Some(met) => !std::mem::replace(met, true),
            None => {
                let first = self.few >> child & 1 == 0;
                self.few |= 1 << child;
                first
            }
        };
        self.left -= usize::from(first);
        first
    }
}

impl Default for Paths {
    fn default() -> Self {
        Self::new()
    }
}

impl Paths {
    /// No paths.
    pub fn new() -> Paths {
        Paths { nodes: vec![Node::default()], known: BTreeMap::new() }
    }

    /// Makes `leaf` be told of what `path` leads to.
    pub fn add(&mut self, path: &str, leaf: usize) {
        let node = match self.known.get(path) {
            Some(node) => *node,
            None => self.node_of(path),
        };
        self.nodes[node].leaves.push(leaf);
    }

    fn node_of(&mut self, path: &str) -> usize {
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
        self.known.insert(path.to_string(), at);
        at
    }

    /// Tells what a payload holds. A malformed text ends the walk where it is found.
    pub fn walk(&self, payload: &str, visit: &mut impl Visit) {
        let mut scan = Scanner::new(payload);
        if scan.peek() == Some(b'{') && !self.known.is_empty() {
            let _ = self.object(0, &mut scan, visit);
        }
    }

    /// Walks an object that stands for `node`. May stop early: then the rest of the text is not looked at, and
    /// the answer is `false`.
    fn object(&self, node: usize, scan: &mut Scanner<'_>, visit: &mut impl Visit) -> Result<bool, Malformed> {
        let children = &self.nodes[node].children;
        let mut met = Met::new(children.len());
        let mut first = true;
        scan.take(b'{');
        while let Some(key) = scan.key(&mut first)? {
            let child = children.iter().position(|(name, _)| key.is(name));
            match child {
                Some(child) if met.meet(child) => {
                    let last = met.left == 0;
                    self.member(children[child].1, scan, visit, last)?;
                    if last {
                        return Ok(false);
                    }
                }
                _ => scan.skip_value()?,
            }
        }
        Ok(true)
    }

    /// Reads one value for `node` and stands behind it, unless it is the last that is wanted here.
    fn member(
        &self,
        node: usize,
        scan: &mut Scanner<'_>,
        visit: &mut impl Visit,
        last: bool,
    ) -> Result<(), Malformed> {
        let start = *scan;
        self.nodes[node].leaves.iter().for_each(|leaf| visit.present(*leaf));
        match scan.peek() {
            Some(b'[') => self.list(node, start, visit)?,
            Some(b'{') => self.inner(node, start, visit)?,
            _ => {
                let value = scalar(scan)?;
                self.value(node, value, visit);
                return Ok(());
            }
        }
        // Walks inside work on copies of the scanner and may end early; here the whole value is passed.
        if last { Ok(()) } else { scan.skip_value() }
    }

    /// An object as a value, and as the way to deeper fields.
    fn inner(&self, node: usize, mut at: Scanner<'_>, visit: &mut impl Visit) -> Result<(), Malformed> {
        at.peek();
        self.value(node, Value::Object(at), visit);
        if !self.nodes[node].children.is_empty() {
            self.object(node, &mut at, visit)?;
        }
        Ok(())
    }

    fn list(&self, node: usize, mut at: Scanner<'_>, visit: &mut impl Visit) -> Result<(), Malformed> {
        let mut first = true;
        at.take(b'[');
        while at.element(&mut first)? {
            match at.peek() {
                Some(b'[') => {
                    self.value(node, Value::List, visit);
                    at.skip_value()?;
                }
                Some(b'{') => {
                    self.inner(node, at, visit)?;
                    at.skip_value()?;
                }
                _ => {
                    let value = scalar(&mut at)?;
                    self.value(node, value, visit);
                }
            }
        }
        Ok(())
    }

    fn value(&self, node: usize, value: Value<'_>, visit: &mut impl Visit) {
        self.nodes[node].leaves.iter().for_each(|leaf| visit.value(*leaf, value));
    }
}

fn scalar<'a>(scan: &mut Scanner<'a>) -> Result<Value<'a>, Malformed> {
    Ok(match scan.peek() {
        Some(b'"') => Value::Text(scan.string()?),
        Some(b't' | b'f' | b'n') => scan.word()?.map_or(Value::Null, Value::Bool),
        _ => Value::Number(scan.number()?),
    })
}
