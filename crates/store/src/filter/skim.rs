//! The walk over a payload's text: into what the filter names, past everything else.

use super::check::Value;
use super::{Matcher, Seen};
use vectron_base::filter::json::{Malformed, Scanner};

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

impl Matcher {
    /// Notes what the payload's values pass. A malformed text ends the walk where it is found.
    pub(super) fn skim(&self, payload: &str, seen: &mut [Seen]) {
        let mut scan = Scanner::new(payload);
        if scan.peek() == Some(b'{') && !self.checks.is_empty() {
            let _ = self.object(0, &mut scan, seen);
        }
    }

    /// Walks an object that stands for `node`. May stop early: then the rest of the text is not looked at, and
    /// the answer is `false`.
    fn object(&self, node: usize, scan: &mut Scanner<'_>, seen: &mut [Seen]) -> Result<bool, Malformed> {
        let children = &self.nodes[node].children;
        let mut met = Met::new(children.len());
        let mut first = true;
        scan.take(b'{');
        while let Some(key) = scan.key(&mut first)? {
            let child = children.iter().position(|(name, _)| key.is(name));
            match child {
                Some(child) if met.meet(child) => {
                    let last = met.left == 0;
                    self.member(children[child].1, scan, seen, last)?;
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
        seen: &mut [Seen],
        last: bool,
    ) -> Result<(), Malformed> {
        let start = *scan;
        for check in &self.nodes[node].checks {
            if let Some(seen) = seen.get_mut(*check) {
                seen.present = true;
            }
        }
        match scan.peek() {
            Some(b'[') => self.list(node, start, seen)?,
            Some(b'{') => self.inner(node, start, seen)?,
            _ => {
                let value = scalar(scan)?;
                self.check(node, value, seen);
                return Ok(());
            }
        }
        // Walks inside work on copies of the scanner and may end early; here the whole value is passed.
        if last { Ok(()) } else { scan.skip_value() }
    }

    /// An object as a value, and as the way to deeper fields.
    fn inner(&self, node: usize, mut at: Scanner<'_>, seen: &mut [Seen]) -> Result<(), Malformed> {
        at.peek();
        self.check(node, Value::Object(at), seen);
        if !self.nodes[node].children.is_empty() {
            self.object(node, &mut at, seen)?;
        }
        Ok(())
    }

    fn list(&self, node: usize, mut at: Scanner<'_>, seen: &mut [Seen]) -> Result<(), Malformed> {
        let mut first = true;
        at.take(b'[');
        while at.element(&mut first)? {
            match at.peek() {
                Some(b'[') => {
                    self.check(node, Value::List, seen);
                    at.skip_value()?;
                }
                Some(b'{') => {
                    self.inner(node, at, seen)?;
                    at.skip_value()?;
                }
                _ => {
                    let value = scalar(&mut at)?;
                    self.check(node, value, seen);
                }
            }
        }
        Ok(())
    }

    fn check(&self, node: usize, value: Value<'_>, seen: &mut [Seen]) {
        for check in &self.nodes[node].checks {
            if let (Some(seen), Some(check)) = (seen.get_mut(*check), self.checks.get(*check))
                && !seen.passed
            {
                seen.passed = check.passes(value);
            }
        }
    }
}

fn scalar<'a>(scan: &mut Scanner<'a>) -> Result<Value<'a>, Malformed> {
    Ok(match scan.peek() {
        Some(b'"') => Value::Text(scan.string()?),
        Some(b't' | b'f' | b'n') => scan.word()?.map_or(Value::Null, Value::Bool),
        _ => Value::Number(scan.number()?),
    })
}
