//! JSON lines: one point per line, plain or gzipped. Blank lines are passed over.

use super::object::Fields;
use super::source::Source;
use super::{Problem, Row, Rows};

/// Lines being read.
pub struct Lines {
    source: Source,
    fields: Fields,
    line: Vec<u8>,
    number: u64,
    ended: bool,
}

impl Lines {
    /// Points from lines.
    pub fn new(source: Source, fields: Fields) -> Self {
        Self { source, fields, line: Vec::new(), number: 0, ended: false }
    }
}

impl Rows for Lines {
    fn next_row(&mut self) -> Option<Result<Row, Problem>> {
        while !self.ended {
            match self.source.line(&mut self.line) {
                Ok(true) => self.number += 1,
                Ok(false) => self.ended = true,
                Err(problem) => {
                    self.ended = true;
                    return Some(Err(problem));
                }
            }
            if self.ended || self.line.trim_ascii().is_empty() {
                continue;
            }
            let number = self.number;
            return Some(match self.fields.point(&self.line) {
                Ok(point) => Ok(Row { number, point }),
                Err(bad) => Err(Problem::Row { number, id: bad.id, reason: bad.reason }),
            });
        }
        None
    }

    fn skip_through(&mut self, number: u64) -> Result<(), Problem> {
        while self.number < number {
            if !self.source.line(&mut self.line)? {
                return Err(Problem::file("is shorter than it was"));
            }
            self.number += 1;
        }
        Ok(())
    }

    fn share(&self) -> Option<f64> {
        self.source.share()
    }

    fn unit(&self) -> &'static str {
        "line"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &'static str) -> Lines {
        Lines::new(Source::of_bytes(text.as_bytes()).unwrap(), Fields::new(None, "vector".into()))
    }

    fn one(text: &'static str) -> Result<Row, Problem> {
        lines(text).next_row().unwrap()
    }

    #[test]
    fn structured_and_flat_objects() {
        let row = one(r#"{"id":"a","vector":[1,2.5],"payload":{"n":9007199254740993},"version":7}"#).unwrap();
        assert_eq!((row.number, row.point.id.as_str()), (1, "a"));
        assert_eq!(row.point.vector, [1.0, 2.5]);
        assert_eq!(row.point.payload.unwrap().as_str(), r#"{"n":9007199254740993}"#);

        let row = one(r#"{"id":17,"title":"x","vector_b64":"AACAPwAAAEA=","n":1.50}"#).unwrap();
        assert_eq!(row.point.id, "17");
        assert_eq!(row.point.vector, [1.0, 2.0]);
        assert_eq!(row.point.payload.unwrap().as_str(), r#"{"title":"x","n":1.50}"#);

        assert_eq!(one(r#"{"id":"a","vector":[1]}"#).unwrap().point.payload, None);
    }

    #[test]
    fn a_condition_is_a_condition_and_never_payload() {
        let row = one(r#"{"id":"a","vector":[1],"payload":{"n":1},"if_version":7}"#).unwrap();
        assert_eq!(row.point.if_version, Some(7));
        assert_eq!(row.point.payload.unwrap().as_str(), r#"{"n":1}"#);
        let row = one(r#"{"id":"a","vector":[1],"payload":null,"if_version":null}"#).unwrap();
        assert_eq!((row.point.if_version, row.point.payload), (None, None));
        let flat = r#"{"id":"a","vector":[1],"n":1,"if_version":0}"#;
        assert!(one(flat).unwrap_err().to_string().contains("has 'if_version', which is a condition"));
        let point = Fields::of_upsert().point(flat.as_bytes()).ok().unwrap();
        assert_eq!(point.if_version, Some(0));
        assert_eq!(point.payload.unwrap().as_str(), r#"{"n":1}"#);
        let point = Fields::of_upsert().point(br#"{"id":"a","vector":[1],"if_version":3}"#).ok().unwrap();
        assert_eq!((point.if_version, point.payload), (Some(3), None));
        // A field that was given another role keeps it.
        let fields = Fields::new(Some("if_version".into()), "vector".into());
        assert_eq!(fields.point(br#"{"if_version":3,"vector":[1]}"#).ok().unwrap().if_version, None);
    }

    #[test]
    fn bad_lines_are_named_and_do_not_end_the_reading() {
        let mut lines = lines(
            "{\"id\":\"a\",\"vector\":[1]}\n\n{\"id\":\"b\",\"vector\":[1,\"x\"]}\r\nnope\n{\"id\":\"c\",\"vector\":[2]}",
        );
        assert_eq!(lines.next_row().unwrap().unwrap().number, 1);
        let bad = lines.next_row().unwrap().unwrap_err();
        assert!(bad.to_string().starts_with("row 3 'b': vector: expected a list of numbers"), "{bad}");
        let bad = lines.next_row().unwrap().unwrap_err();
        assert!(bad.to_string().starts_with("row 4: is not a JSON object"), "{bad}");
        assert_eq!(lines.next_row().unwrap().unwrap().number, 5);
        assert!(lines.next_row().is_none());
    }

    #[test]
    fn each_mistake_has_its_words() {
        for (line, words) in [
            (r#"{"vector":[1]}"#, "no field 'id'"),
            (r#"{"id":1.5,"vector":[1]}"#, "expected a string or an integer, got 1.5"),
            (r#"{"id":"a"}"#, "neither 'vector' nor 'vector_b64'"),
            (r#"{"id":"a","vector":[1],"vector_b64":"AACAPw=="}"#, "keep one"),
            (r#"{"id":"a","vector_b64":"AAA="}"#, "multiple of 4"),
            (r#"{"id":"a","vector":[1],"payload":[1]}"#, "a payload is a JSON object"),
            (r#"{"id":"a","vector":[1],"payload":{},"x":1}"#, "also 'x'"),
            (r#"{"id":"a","vector":[1],"x":1,"x":2}"#, "occurs twice"),
            (r#"{"id":"a","vector":[1],"payload":{},"if_version":-1}"#, "if_version: expected a version"),
            (r#"{"id":"a","vector":[1],"payload":{},"if_version":"7"}"#, "got \"7\""),
            ("[1]", "is not a JSON object"),
        ] {
            let problem = one(line).unwrap_err().to_string();
            assert!(problem.contains(words), "{line}: {problem}");
        }
    }

    #[test]
    fn skipping_lands_after_the_line() {
        let mut lines =
            lines("{\"id\":1,\"vector\":[1]}\n\n{\"id\":3,\"vector\":[1]}\n{\"id\":4,\"vector\":[1]}");
        lines.skip_through(3).unwrap();
        assert_eq!(lines.next_row().unwrap().unwrap().point.id, "4");
        assert!(lines.skip_through(9).is_err());
    }
}
