//! Formulas: a small JSON language, read once and bounded.
//!
//! A formula is a number, `"$score"`, or an object with one member: `field` (with `missing` beside it), `sum`, `mult`,
//! `neg`, `decay` or `if`.

use crate::api::JsonText;
use crate::knobs::{GatewayKnobs, size};
use crate::rank::{Decay, DecayKind, Formula, Origin, Scoring};
use serde_json::{Map, Value};
use vectron_base::Fault;
use vectron_base::filter::matcher::Matcher;
use vectron_base::filter::{Filter, instant};

/// Deepest nesting.
const DEPTH_MAX: usize = 16;
const OPERATORS: [&str; 7] = ["field", "missing", "sum", "mult", "neg", "decay", "if"];
const DECAY: [&str; 7] = ["kind", "field", "origin", "scale", "offset", "decay", "missing"];
const KINDS: [&str; 3] = ["exp", "gauss", "linear"];

/// The formula of a request.
pub fn scoring(text: &JsonText, knobs: &GatewayKnobs) -> Result<Scoring, Fault> {
    let value: Value = serde_json::from_str(text.as_str())
        .map_err(|error| Fault::invalid("formula", format!("is not valid JSON: {error}")))?;
    let mut reader = Reader { knobs, fields: Vec::new(), parts: 0 };
    let formula = reader.read(&value, "formula", 0)?;
    Ok(Scoring::new(formula, &reader.fields))
}

struct Reader<'a> {
    knobs: &'a GatewayKnobs,
    fields: Vec<String>,
    parts: usize,
}

fn refuse<T>(path: &str, reason: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::invalid(path, reason))
}

/// The nearest known name.
fn unknown<T>(path: &str, name: &str, known: &[&str]) -> Result<T, Fault> {
    let near =
        known.iter().max_by(|a, b| strsim::jaro_winkler(name, a).total_cmp(&strsim::jaro_winkler(name, b)));
    let near = near.copied().unwrap_or_default();
    refuse(
        &format!("{path}.{name}"),
        format!("is not known; did you mean '{near}'? Known: {}", known.join(", ")),
    )
}

fn finite(value: Option<&Value>, path: &str, default: Option<f64>) -> Result<f64, Fault> {
    match (value, default) {
        (None, Some(default)) => Ok(default),
        (None, None) => refuse(path, "is missing; give a number"),
        (Some(value), _) => match value.as_f64() {
            Some(number) if number.is_finite() => Ok(number),
            _ => refuse(path, "must be a finite number"),
        },
    }
}

impl Reader<'_> {
    fn read(&mut self, value: &Value, path: &str, depth: usize) -> Result<Formula, Fault> {
        self.parts += 1;
        if self.parts > size(self.knobs.formula_parts) {
            return refuse("formula", format!("has more than {} parts", self.knobs.formula_parts));
        }
        if depth > DEPTH_MAX {
            return refuse(path, format!("is nested more than {DEPTH_MAX} deep"));
        }
        match value {
            Value::Number(_) => Ok(Formula::Constant(finite(Some(value), path, None)?)),
            Value::String(name) if name == "$score" => Ok(Formula::Score),
            Value::Object(members) => self.operator(members, path, depth),
            _ => refuse(path, "must be a number, \"$score\" or an object such as {\"sum\": […]}"),
        }
    }

    fn operator(&mut self, members: &Map<String, Value>, path: &str, depth: usize) -> Result<Formula, Fault> {
        if let Some(name) = members.keys().find(|name| !OPERATORS.contains(&name.as_str())) {
            return unknown(path, name, &OPERATORS);
        }
        if let Some(field) = members.get("field") {
            if let Some(name) = members.keys().find(|name| *name != "field" && *name != "missing") {
                return refuse(&format!("{path}.{name}"), "cannot stand beside field");
            }
            let missing = finite(members.get("missing"), &format!("{path}.missing"), Some(0.0))?;
            return Ok(Formula::Field { field: self.field(field, &format!("{path}.field"))?, missing });
        }
        let mut all = members.iter();
        let (Some((name, operand)), None) = (all.next(), all.next()) else {
            return refuse(path, format!("must have exactly one of {}", OPERATORS.join(", ")));
        };
        let path = format!("{path}.{name}");
        match name.as_str() {
            "sum" => Ok(Formula::Sum(self.list(operand, &path, depth)?)),
            "mult" => Ok(Formula::Product(self.list(operand, &path, depth)?)),
            "neg" => Ok(Formula::Negation(Box::new(self.read(operand, &path, depth + 1)?))),
            "decay" => self.decay(operand, &path),
            "if" => self.condition(operand, &path, depth),
            _ => refuse(&path, "belongs beside field"),
        }
    }

    fn list(&mut self, operand: &Value, path: &str, depth: usize) -> Result<Vec<Formula>, Fault> {
        let Some(items) = operand.as_array().filter(|items| !items.is_empty()) else {
            return refuse(path, "must be a list that is not empty");
        };
        let item = |(at, item): (usize, &Value)| self.read(item, &format!("{path}[{at}]"), depth + 1);
        items.iter().enumerate().map(item).collect()
    }

    /// The number of a field, the same for the same path.
    fn field(&mut self, value: &Value, path: &str) -> Result<usize, Fault> {
        let Some(field) = value.as_str() else {
            return refuse(path, "must be the path of a field");
        };
        super::check_field(field).map_err(|fault| {
            let reason =
                fault.errors.first().map_or_else(|| fault.detail.clone(), |error| error.reason.clone());
            Fault::invalid(path, reason)
        })?;
        let known = self.fields.iter().position(|known| known == field);
        Ok(known.unwrap_or_else(|| {
            self.fields.push(field.into());
            self.fields.len() - 1
        }))
    }

    fn decay(&mut self, operand: &Value, path: &str) -> Result<Formula, Fault> {
        let Some(members) = operand.as_object() else {
            return refuse(path, "must be an object with kind, field, origin and scale");
        };
        if let Some(name) = members.keys().find(|name| !DECAY.contains(&name.as_str())) {
            return unknown(path, name, &DECAY);
        }
        let at = |name: &str| format!("{path}.{name}");
        let kind = match members.get("kind").and_then(Value::as_str) {
            Some("exp") => DecayKind::Exponential,
            Some("gauss") => DecayKind::Gauss,
            Some("linear") => DecayKind::Linear,
            _ => return refuse(&at("kind"), format!("must be one of {}", KINDS.join(", "))),
        };
        let Some(field) = members.get("field") else {
            return refuse(&at("field"), "is missing; name the field that decides");
        };
        let field = self.field(field, &at("field"))?;
        let origin = origin(members.get("origin"), &at("origin"))?;
        let scale = finite(members.get("scale"), &at("scale"), None)?;
        let offset = finite(members.get("offset"), &at("offset"), Some(0.0))?;
        let at_scale = finite(members.get("decay"), &at("decay"), Some(0.5))?;
        let missing = finite(members.get("missing"), &at("missing"), Some(0.0))?;
        if scale <= 0.0 {
            return refuse(&at("scale"), "must be more than 0");
        }
        if offset < 0.0 {
            return refuse(&at("offset"), "must not be negative");
        }
        if at_scale <= 0.0 || at_scale >= 1.0 {
            return refuse(&at("decay"), "must lie between 0 and 1");
        }
        Ok(Formula::Decay(Decay { field, kind, origin, scale, offset, at_scale, missing }))
    }

    fn condition(&mut self, operand: &Value, path: &str, depth: usize) -> Result<Formula, Fault> {
        const NAMES: [&str; 3] = ["filter", "then", "else"];
        let Some(members) = operand.as_object() else {
            return refuse(path, "must be an object with filter, then and else");
        };
        if let Some(name) = members.keys().find(|name| !NAMES.contains(&name.as_str())) {
            return unknown(path, name, &NAMES);
        }
        let Some([filter, then, otherwise]) = NAMES
            .iter()
            .map(|name| members.get(*name))
            .collect::<Option<Vec<_>>>()
            .and_then(|all| <[&Value; 3]>::try_from(all).ok())
        else {
            return refuse(path, "needs filter, then and else");
        };
        let filter = Filter::parse(&filter.to_string(), &self.knobs.filter_limits())
            .map_err(|error| Fault::invalid(format!("{path}.{}", error.path), error.reason))?;
        Ok(Formula::If {
            condition: Box::new(Matcher::new(&filter)),
            then: Box::new(self.read(then, &format!("{path}.then"), depth + 1)?),
            otherwise: Box::new(self.read(otherwise, &format!("{path}.else"), depth + 1)?),
        })
    }
}

fn origin(value: Option<&Value>, path: &str) -> Result<Origin, Fault> {
    match value {
        Some(Value::Number(_)) => Ok(Origin::Number(finite(value, path, None)?)),
        Some(Value::String(text)) => match instant(text) {
            Some(at) => Ok(Origin::Instant(at)),
            None => refuse(path, "is not an RFC 3339 datetime such as 2024-05-01T12:00:00Z"),
        },
        Some(Value::Object(members)) if members.len() == 2 => {
            let lat = finite(members.get("lat"), &format!("{path}.lat"), None)?;
            let lon = finite(members.get("lon"), &format!("{path}.lon"), None)?;
            if !(-90.0..=90.0).contains(&lat) || !(-180.0..=180.0).contains(&lon) {
                return refuse(path, "lies outside of latitudes -90 to 90 and longitudes -180 to 180");
            }
            Ok(Origin::Place(lat, lon))
        }
        _ => refuse(path, "must be a number, an RFC 3339 datetime, or {\"lat\", \"lon\"}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(formula: &str, payload: &str) -> f64 {
        let text = JsonText::unparsed(formula.into());
        scoring(&text, &GatewayKnobs::default())
            .map(|s| s.of(2.0, payload))
            .unwrap_or_else(|f| panic!("{f:?}"))
    }

    #[test]
    fn formulas_are_worked_out() {
        for (formula, payload, expected) in [
            ("3", "{}", 3.0),
            (r#""$score""#, "{}", 2.0),
            (r#"{"sum":["$score",{"mult":[10,{"field":"a.b"}]}]}"#, r#"{"a":{"b":[null,0.5,7]}}"#, 7.0),
            (r#"{"field":"n","missing":4}"#, r#"{"n":"text"}"#, 4.0),
            (r#"{"neg":"$score"}"#, "{}", -2.0),
            (r#"{"mult":[1e300,1e300]}"#, "{}", f64::MAX),
            (r#"{"mult":[0,{"field":"n"}]}"#, r#"{"n":1e400}"#, 0.0),
            (r#"{"if":{"filter":{"s":"x"},"then":1,"else":{"neg":1}}}"#, r#"{"s":"x"}"#, 1.0),
            (r#"{"if":{"filter":{"s":"x"},"then":1,"else":{"neg":1}}}"#, r#"{"s":"y"}"#, -1.0),
            (r#"{"decay":{"kind":"linear","field":"n","origin":10,"scale":4}}"#, r#"{"n":12}"#, 0.75),
            (r#"{"decay":{"kind":"linear","field":"n","origin":10,"scale":4}}"#, r#"{"n":99}"#, 0.0),
            (
                r#"{"decay":{"kind":"exp","field":"n","origin":10,"scale":4,"decay":0.25}}"#,
                r#"{"n":14}"#,
                0.25,
            ),
            (
                r#"{"decay":{"kind":"gauss","field":"n","origin":10,"scale":4,"offset":1}}"#,
                r#"{"n":19}"#,
                0.0625,
            ),
            (r#"{"decay":{"kind":"gauss","field":"n","origin":10,"scale":4,"missing":0.3}}"#, "{}", 0.3),
            (
                r#"{"decay":{"kind":"exp","field":"t","origin":"2024-05-01T12:00:00Z","scale":3600}}"#,
                r#"{"t":"2024-05-01T15:00:00+02:00"}"#,
                0.5,
            ),
        ] {
            assert!((of(formula, payload) - expected).abs() <= expected.abs() * 1e-12, "{formula} {payload}");
        }
        // Berlin and Paris are 878 km apart.
        let near =
            r#"{"decay":{"kind":"linear","field":"g","origin":{"lat":52.52,"lon":13.405},"scale":878000}}"#;
        let value = of(near, r#"{"g":{"lat":48.8566,"lon":2.3522}}"#);
        assert!((value - 0.5).abs() < 0.002, "{value}");
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        let deep = format!("{}1{}", r#"{"neg":"#.repeat(20), "}".repeat(20));
        let many = format!(r#"{{"sum":[{}]}}"#, vec!["1"; 70].join(","));
        for (formula, field, words) in [
            (r#"{"summ":[1]}"#, "formula.summ", "did you mean 'sum'?"),
            (r#"{"sum":[1,{"feild":"a"}]}"#, "formula.sum[1].feild", "did you mean 'field'?"),
            (r#"{"sum":[]}"#, "formula.sum", "not empty"),
            (r#"{"sum":[1],"mult":[1]}"#, "formula", "exactly one"),
            ("{}", "formula", "exactly one"),
            ("true", "formula", "must be a number"),
            (r#"{"field":"a..b"}"#, "formula.field", ""),
            (r#"{"missing":1}"#, "formula.missing", "beside field"),
            (r#"{"decay":{"kind":"cubic"}}"#, "formula.decay.kind", "exp, gauss, linear"),
            (
                r#"{"decay":{"kind":"exp","field":"a","origin":1,"scale":0}}"#,
                "formula.decay.scale",
                "more than 0",
            ),
            (
                r#"{"decay":{"kind":"exp","field":"a","origin":"x","scale":1}}"#,
                "formula.decay.origin",
                "RFC 3339",
            ),
            (r#"{"decay":{"kind":"exp","fields":"a"}}"#, "formula.decay.fields", "did you mean 'field'?"),
            (r#"{"if":{"filter":{"a":{"$gtt":1}},"then":1,"else":2}}"#, "formula.if.filter.a.$gtt", "$gt"),
            (r#"{"if":{"filter":{},"then":1}}"#, "formula.if", "needs filter, then and else"),
            (&deep, "", "more than 16 deep"),
            (&many, "formula", "more than 64 parts"),
        ] {
            let text = JsonText::unparsed(formula.into());
            let Err(fault) = scoring(&text, &GatewayKnobs::default()) else { panic!("{formula}") };
            assert!(fault.detail.contains(words), "{formula}: {}", fault.detail);
            assert!(field.is_empty() || fault.errors[0].field == field, "{formula}: {:?}", fault.errors);
        }
    }
}
