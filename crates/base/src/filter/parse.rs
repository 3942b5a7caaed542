//! Filters from JSON text, with every refusal saying where and what instead.

use super::json::{Malformed, RawText, Scanner};
use super::{
    Bound, Filter, FilterError, FilterLimits, GeoCircle, Number, Order, Scalar, Test, TextBound, Words,
};
use super::{MATCH_MAX_WORDS, PATH_MAX_PARTS};

const COMBINE: [&str; 3] = ["$and", "$or", "$not"];
const TESTS: [&str; 12] = [
    "$eq",
    "$ne",
    "$gt",
    "$gte",
    "$lt",
    "$lte",
    "$in",
    "$nin",
    "$exists",
    "$prefix",
    "$match",
    "$geo_radius",
];

type Parsed<T> = Result<T, FilterError>;

pub(super) fn parse(text: &str, limits: &FilterLimits) -> Parsed<Filter> {
    let mut parser = Parser { scan: Scanner::new(text), limits, clauses: 0, path: "filter".into() };
    let filter = parser.filter(1)?;
    parser.scan.end().map_err(|e| parser.malformed(e))?;
    Ok(filter)
}

struct Parser<'a> {
    scan: Scanner<'a>,
    limits: &'a FilterLimits,
    clauses: usize,
    /// Where the reader is, for refusals.
    path: String,
}

/// A name cut to what a person wants to see in a message.
fn shown(name: &str) -> &str {
    name.char_indices().nth(64).map_or(name, |(at, _)| &name[..at])
}

/// The known name that `given` was probably meant to be.
fn nearest<'n>(given: &str, known: &[&'n str]) -> &'n str {
    let given = shown(given);
    known.iter().copied().min_by_key(|name| strsim::damerau_levenshtein(given, name)).unwrap_or("")
}

impl<'a> Parser<'a> {
    fn refuse<T>(&self, reason: impl Into<String>) -> Parsed<T> {
        Err(FilterError { path: self.path.clone(), reason: reason.into() })
    }

    fn malformed(&self, error: Malformed) -> FilterError {
        FilterError { path: self.path.clone(), reason: error.to_string() }
    }

    /// Runs `read` with the path extended by `step`.
    fn within<T>(&mut self, step: &str, read: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        let mark = self.path.len();
        self.path.push_str(step);
        let result = read(self)?;
        self.path.truncate(mark);
        Ok(result)
    }

    /// Reads an object, giving `member` each key; refuses a key that comes twice.
    fn members(&mut self, mut member: impl FnMut(&mut Self, &str) -> Parsed<()>) -> Parsed<()> {
        let mut seen: Vec<String> = Vec::new();
        let mut first = true;
        self.scan.take(b'{');
        while let Some(key) = self.scan.key(&mut first).map_err(|e| self.malformed(e))? {
            let key = key.value().into_owned();
            self.within(&format!(".{}", shown(&key)), |parser| {
                if seen.contains(&key) {
                    return parser.refuse("stands here twice; combine the two with $and");
                }
                member(parser, &key)
            })?;
            seen.push(key);
        }
        Ok(())
    }

    fn elements(&mut self, mut element: impl FnMut(&mut Self) -> Parsed<()>) -> Parsed<usize> {
        let (mut first, mut count) = (true, 0);
        self.scan.take(b'[');
        while self.scan.element(&mut first).map_err(|e| self.malformed(e))? {
            self.within(&format!("[{count}]"), &mut element)?;
            count += 1;
        }
        Ok(count)
    }

    fn check_depth(&self, depth: usize) -> Parsed<()> {
        let max = self.limits.max_depth;
        if depth > max { self.refuse(format!("nested deeper than {max} levels; flatten it")) } else { Ok(()) }
    }

    fn filter(&mut self, depth: usize) -> Parsed<Filter> {
        self.check_depth(depth)?;
        if self.scan.peek() != Some(b'{') {
            let found = self.found();
            return self.refuse(format!("expected a filter object, found {found}"));
        }
        let mut parts = Vec::new();
        self.members(|parser, key| {
            match key {
                "$and" => parts.push(Filter::And(parser.filters(depth)?)),
                "$or" => parts.push(Filter::Or(parser.filters(depth)?)),
                "$not" => parts.push(Filter::Not(Box::new(parser.filter(depth + 1)?))),
                _ if TESTS.contains(&key) => {
                    return parser.refuse(format!("belongs under a field: {{\"field\": {{\"{key}\": …}}}}"));
                }
                _ if key.starts_with('$') => {
                    let near = nearest(key, &[&COMBINE[..], &TESTS[..]].concat());
                    return parser.refuse(format!("unknown operator; did you mean {near}?"));
                }
                _ => parser.field(key, &mut parts)?,
            }
            Ok(())
        })?;
        let filter = match parts.pop() {
            None => {
                self.count_clause()?;
                Filter::All
            }
            Some(only) if parts.is_empty() => only,
            Some(last) => {
                parts.push(last);
                Filter::And(parts)
            }
        };
        self.check_depth(depth - 1 + filter.depth())?;
        Ok(filter)
    }

    fn filters(&mut self, depth: usize) -> Parsed<Vec<Filter>> {
        if self.scan.peek() != Some(b'[') {
            let found = self.found();
            return self.refuse(format!("expected a list of filter objects, found {found}"));
        }
        let mut parts = Vec::new();
        self.elements(|parser| {
            parts.push(parser.filter(depth + 1)?);
            Ok(())
        })?;
        if parts.is_empty() { self.refuse("must not be an empty list") } else { Ok(parts) }
    }

    fn field(&mut self, path: &str, parts: &mut Vec<Filter>) -> Parsed<()> {
        let count = path.split('.').count();
        if path.split('.').any(str::is_empty) {
            return self.refuse("a field path has no empty parts; write it as a.b");
        }
        if count > PATH_MAX_PARTS {
            return self.refuse(format!("has {count} parts, the limit is {PATH_MAX_PARTS}"));
        }
        match self.scan.peek() {
            Some(b'{') => {
                let before = parts.len();
                self.members(|parser, operator| {
                    let test = parser.test(path, operator)?;
                    parts.push(Filter::Field { path: path.into(), test });
                    parser.count_clause()
                })?;
                if parts.len() == before {
                    return self.refuse("has no operator; give a value, or an operator such as $eq");
                }
            }
            Some(b'[') => return self.refuse("expected a value; use $in for any of a list"),
            _ => {
                let test = Test::Equal(self.scalar()?);
                parts.push(Filter::Field { path: path.into(), test });
                self.count_clause()?;
            }
        }
        Ok(())
    }

    fn count_clause(&mut self) -> Parsed<()> {
        self.clauses += 1;
        let max = self.limits.max_clauses;
        if self.clauses > max {
            return self.refuse(format!("more than {max} clauses; use $in for many values of one field"));
        }
        Ok(())
    }

    fn test(&mut self, path: &str, operator: &str) -> Parsed<Test> {
        Ok(match operator {
            "$eq" => Test::Equal(self.scalar()?),
            "$ne" => Test::NotEqual(self.scalar()?),
            "$gt" => Test::Ordered(Order::Greater, self.bound()?),
            "$gte" => Test::Ordered(Order::GreaterOrEqual, self.bound()?),
            "$lt" => Test::Ordered(Order::Less, self.bound()?),
            "$lte" => Test::Ordered(Order::LessOrEqual, self.bound()?),
            "$in" => Test::In(self.list()?),
            "$nin" => Test::NotIn(self.list()?),
            "$exists" => match self.scalar()? {
                Scalar::Bool(yes) => Test::Exists(yes),
                other => return self.clash("true or false", &other),
            },
            "$prefix" => Test::Prefix(self.string()?),
            "$match" => {
                let words = Words::new(self.string()?);
                match words.words().len() {
                    0 => return self.refuse("has no words"),
                    1..=MATCH_MAX_WORDS => Test::Match(words),
                    n => return self.refuse(format!("has {n} words, the limit is {MATCH_MAX_WORDS}")),
                }
            }
            "$geo_radius" => Test::GeoRadius(self.circle()?),
            _ if COMBINE.contains(&operator) => {
                return self.refuse(format!(
                    "takes whole filters: {{\"{operator}\": … {{\"{}\": …}}}}",
                    shown(path)
                ));
            }
            _ if operator.starts_with('$') => {
                let near = nearest(operator, &TESTS);
                return self.refuse(format!("unknown operator; did you mean {near}?"));
            }
            _ => {
                let nested = format!("{}.{}", shown(path), shown(operator));
                return self.refuse(format!("not an operator; write a nested field as \"{nested}\""));
            }
        })
    }

    /// What stands at the position, as a word for messages.
    fn found(&mut self) -> &'static str {
        match self.scan.peek() {
            Some(b'{') => "an object",
            Some(b'[') => "a list",
            Some(b'"') => "a string",
            Some(b't' | b'f') => "true or false",
            Some(b'n') => "null",
            Some(b'-' | b'0'..=b'9') => "a number",
            Some(_) => "no JSON value",
            None => "the end of the text",
        }
    }

    fn clash<T>(&self, expected: &str, found: &Scalar) -> Parsed<T> {
        let found = match found {
            Scalar::Null => "null",
            Scalar::Bool(_) => "true or false",
            Scalar::Number(_) => "a number",
            Scalar::Text(_) => "a string",
        };
        self.refuse(format!("expected {expected}, found {found}"))
    }

    fn scalar(&mut self) -> Parsed<Scalar> {
        match self.scan.peek() {
            Some(b'{' | b'[') => {
                let found = self.found();
                self.refuse(format!("expected a string, number, true, false or null, found {found}"))
            }
            Some(b'"') => {
                let text: RawText<'_> = self.scan.string().map_err(|e| self.malformed(e))?;
                Ok(Scalar::Text(text.value().into_owned()))
            }
            Some(b't' | b'f' | b'n') => {
                let word = self.scan.word().map_err(|e| self.malformed(e))?;
                Ok(word.map_or(Scalar::Null, Scalar::Bool))
            }
            _ => {
                let text = self.scan.number().map_err(|e| self.malformed(e))?;
                match Number::parse(text) {
                    Some(number) if number.real().is_finite() => Ok(Scalar::Number(number)),
                    _ => self.refuse("number out of range"),
                }
            }
        }
    }

    fn bound(&mut self) -> Parsed<Bound> {
        match self.scalar()? {
            Scalar::Number(number) => Ok(Bound::Number(number)),
            Scalar::Text(text) => Ok(Bound::Text(TextBound::new(text))),
            other => self.clash("a number or a string", &other),
        }
    }

    fn string(&mut self) -> Parsed<String> {
        match self.scalar()? {
            Scalar::Text(text) => Ok(text),
            other => self.clash("a string", &other),
        }
    }

    fn list(&mut self) -> Parsed<Vec<Scalar>> {
        if self.scan.peek() != Some(b'[') {
            let found = self.found();
            return self.refuse(format!("expected a list of values, found {found}"));
        }
        let mut values = Vec::new();
        let max = self.limits.max_list;
        self.elements(|parser| {
            if values.len() == max {
                return parser.refuse(format!("more than {max} values in the list"));
            }
            values.push(parser.scalar()?);
            Ok(())
        })?;
        Ok(values)
    }

    fn circle(&mut self) -> Parsed<GeoCircle> {
        const NAMES: [&str; 3] = ["lat", "lon", "radius_m"];
        if self.scan.peek() != Some(b'{') {
            let found = self.found();
            return self.refuse(format!("expected {{\"lat\", \"lon\", \"radius_m\"}}, found {found}"));
        }
        let mut given = [None; 3];
        self.members(|parser, key| {
            let Some(at) = NAMES.iter().position(|name| *name == key) else {
                return parser.refuse("unknown field; there are lat, lon and radius_m");
            };
            let range = [-90.0..=90.0, -180.0..=180.0, 0.0..=f64::MAX][at].clone();
            match parser.scalar()? {
                Scalar::Number(number) if range.contains(&number.real()) => given[at] = Some(number.real()),
                Scalar::Number(_) => {
                    let rule = ["-90 to 90", "-180 to 180", "0 or more"][at];
                    return parser.refuse(format!("out of range, expected {rule}"));
                }
                other => return parser.clash("a number", &other),
            }
            Ok(())
        })?;
        match given {
            [Some(lat), Some(lon), Some(radius_m)] => Ok(GeoCircle { lat, lon, radius_m }),
            _ => {
                let missing = NAMES.iter().zip(given).find(|(_, g)| g.is_none()).map_or("", |(n, _)| n);
                self.refuse(format!("{missing} is missing"))
            }
        }
    }
}
