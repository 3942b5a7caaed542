//! A score worked out from the score so far and the payload.

use vectron_base::filter::json::Scanner;
use vectron_base::filter::matcher::{Matcher, Paths, Value, Visit, place};
use vectron_base::filter::{Number, instant};

/// An expression. Every part of it is finite: what goes beyond a double stays at the largest one.
pub enum Formula {
    /// A number.
    Constant(f64),
    /// The score so far.
    Score,
    /// The first number of a field.
    Field {
        /// Number of the field among those that [`Scoring`] reads.
        field: usize,
        /// For points without one.
        missing: f64,
    },
    /// The sum.
    Sum(Vec<Formula>),
    /// The product.
    Product(Vec<Formula>),
    /// The opposite.
    Negation(Box<Formula>),
    /// Less the further a field's value is from an origin.
    Decay(Decay),
    /// One or the other, by a filter.
    If {
        /// On the payload.
        condition: Box<Matcher>,
        /// Where it holds.
        then: Box<Formula>,
        /// Where it does not.
        otherwise: Box<Formula>,
    },
}

/// 1 within `offset` of the origin, `at_scale` at `scale` further out, and on from there.
pub struct Decay {
    /// Number of the field among those that [`Scoring`] reads.
    pub field: usize,
    /// How it falls.
    pub kind: DecayKind,
    /// Where it is 1.
    pub origin: Origin,
    /// More than 0; seconds for an instant, metres for a place.
    pub scale: f64,
    /// Not negative; in the same unit.
    pub offset: f64,
    /// Between 0 and 1.
    pub at_scale: f64,
    /// For points without a value of the origin's kind.
    pub missing: f64,
}

/// The shape of a decay, over the distance d in units of `scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecayKind {
    /// at_scale ^ d
    Exponential,
    /// at_scale ^ d²
    Gauss,
    /// 1 − (1 − at_scale) × d, not below 0
    Linear,
}

/// Where a decay begins, which also says what values it takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Origin {
    /// Numbers.
    Number(f64),
    /// RFC 3339 datetimes; nanoseconds since the Unix epoch.
    Instant(i128),
    /// `{"lat", "lon"}`, in degrees.
    Place(f64, f64),
}

/// A formula with the fields that it reads.
pub struct Scoring {
    formula: Formula,
    paths: Paths,
    fields: usize,
}

/// What a payload has of each field: the first value of each kind.
#[derive(Clone, Copy, Default)]
struct Found {
    number: Option<f64>,
    instant: Option<i128>,
    place: Option<(f64, f64)>,
}

struct Reading(Vec<Found>);

impl Visit for Reading {
    fn present(&mut self, _: usize) {}

    fn value(&mut self, leaf: usize, value: Value<'_>) {
        let Some(found) = self.0.get_mut(leaf) else { return };
        match value {
            Value::Number(text) if found.number.is_none() => {
                found.number = Number::parse(text).map(|number| bounded(number.real()));
            }
            Value::Text(text) if found.instant.is_none() => found.instant = instant(&text.value()),
            Value::Object(scan) if found.place.is_none() => found.place = globe(scan),
            _ => {}
        }
    }
}

/// Coordinates within their range.
fn globe(scan: Scanner<'_>) -> Option<(f64, f64)> {
    place(scan).filter(|(lat, lon)| (-90.0..=90.0).contains(lat) && (-180.0..=180.0).contains(lon))
}

fn bounded(value: f64) -> f64 {
    value.clamp(f64::MIN, f64::MAX)
}

/// Metres along the surface, by the haversine formula.
fn metres(a: (f64, f64), b: (f64, f64)) -> f64 {
    const EARTH_RADIUS_M: f64 = 6_371_008.8;
    let half = |x: f64, y: f64| ((x - y).to_radians() / 2.0).sin().powi(2);
    let chord = half(a.0, b.0) + a.0.to_radians().cos() * b.0.to_radians().cos() * half(a.1, b.1);
    2.0 * EARTH_RADIUS_M * chord.clamp(0.0, 1.0).sqrt().asin()
}

impl Decay {
    fn of(&self, found: &Found) -> f64 {
        const NANOSECONDS: f64 = 1e9;
        let distance = match self.origin {
            Origin::Number(origin) => found.number.map(|number| (number - origin).abs()),
            Origin::Instant(origin) => {
                found.instant.map(|at| at.saturating_sub(origin).unsigned_abs() as f64 / NANOSECONDS)
            }
            Origin::Place(lat, lon) => found.place.map(|at| metres(at, (lat, lon))),
        };
        let Some(distance) = distance else { return self.missing };
        let steps = (distance - self.offset).max(0.0) / self.scale;
        match self.kind {
            DecayKind::Exponential => self.at_scale.powf(steps),
            DecayKind::Gauss => self.at_scale.powf(steps * steps),
            DecayKind::Linear => (1.0 - (1.0 - self.at_scale) * steps).max(0.0),
        }
    }
}

impl Scoring {
    /// `fields` are the paths that the formula's numbers of fields stand for.
    pub fn new(formula: Formula, fields: &[String]) -> Self {
        let mut paths = Paths::new();
        for (number, field) in fields.iter().enumerate() {
            paths.add(field, number);
        }
        Self { formula, paths, fields: fields.len() }
    }

    /// The score of a point that had `score` and has this payload.
    pub fn of(&self, score: f64, payload: &str) -> f64 {
        let mut reading = Reading(vec![Found::default(); self.fields]);
        self.paths.walk(payload, &mut reading);
        work_out(&self.formula, &At { score, payload, found: &reading.0 })
    }
}

/// The point that a formula is worked out for.
struct At<'a> {
    score: f64,
    payload: &'a str,
    found: &'a [Found],
}

fn work_out(formula: &Formula, at: &At<'_>) -> f64 {
    let value = match formula {
        Formula::Constant(value) => *value,
        Formula::Score => at.score,
        Formula::Field { field, missing } => {
            at.found.get(*field).and_then(|found| found.number).unwrap_or(*missing)
        }
        Formula::Sum(parts) => parts.iter().fold(0.0, |sum, part| bounded(sum + work_out(part, at))),
        Formula::Product(parts) => {
            parts.iter().fold(1.0, |product, part| bounded(product * work_out(part, at)))
        }
        Formula::Negation(part) => -work_out(part, at),
        Formula::Decay(decay) => decay.of(&at.found.get(decay.field).copied().unwrap_or_default()),
        Formula::If { condition, then, otherwise } => {
            work_out(if condition.matches(at.payload) { then } else { otherwise }, at)
        }
    };
    bounded(value)
}
