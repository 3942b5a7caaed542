//! The knob kit: a setting is declared once, with everything that people and programs need to know of it.
//!
//! A room lists its knobs with [`crate::knobs!`], which makes a plain struct of values, its defaults and its
//! table of [`Knob`]s. The binary reads all tables from the environment at start ([`Reading`]), reports every
//! mistake at once, and generates the sample file and the documentation from the same tables. Code gets
//! values; nothing reads the environment at the point of use.

use serde::Serialize;
use std::collections::BTreeMap;

/// When a change takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Applies {
    /// At the next start.
    Boot,
}

/// What a knob may change for users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Affects {
    /// Time or memory only.
    Speed,
    /// What approximate search finds.
    Recall,
    /// How fresh reads are.
    Consistency,
    /// What survives a failure.
    Durability,
    /// Which requests are accepted.
    Limits,
    /// Who may connect, and where.
    Access,
}

/// The values that a knob takes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bounds {
    /// Whole numbers from the first to the second, both included.
    Integer(u64, u64),
    /// Decimal numbers from the first to the second, both included.
    Decimal(f64, f64),
    /// `true` or `false`.
    Flag,
    /// Any text.
    Text,
    /// One of these words.
    Choice(&'static [&'static str]),
}

impl Bounds {
    /// For people: `1 to 10`, `true or false`, `a, b or c`.
    pub fn describe(&self) -> String {
        match self {
            Bounds::Integer(low, high) => format!("{low} to {high}"),
            Bounds::Decimal(low, high) => format!("{low} to {high}"),
            Bounds::Flag => "true or false".into(),
            Bounds::Text => "text".into(),
            Bounds::Choice(words) => words.join(", "),
        }
    }
}

/// One declared setting.
#[derive(Clone, Debug, Serialize)]
pub struct Knob {
    /// `room.name`, units last.
    pub name: &'static str,
    /// The environment variable: `VECTRON_ROOM_NAME`.
    pub env: &'static str,
    /// Unit of the value; empty for counts, flags and words.
    pub unit: &'static str,
    /// Default, as text.
    pub default: String,
    /// Accepted values.
    pub bounds: Bounds,
    /// When a change takes effect.
    pub applies: Applies,
    /// What it may change.
    pub affects: Affects,
    /// Meaning, then the tradeoff in a sentence.
    pub about: &'static str,
    /// The metric to watch; empty if none.
    pub metric: &'static str,
}

/// A value that stops the start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{env}={value}: {reason}")]
pub struct KnobError {
    /// The variable at fault.
    pub env: String,
    /// What it was set to.
    pub value: String,
    /// What is accepted.
    pub reason: String,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// The value in force, as text.
    pub value: String,
    /// `default` or `environment`.
    pub origin: &'static str,
}

/// One pass over the environment: collects values, their origins, and every mistake.
pub struct Reading<'a> {
    source: &'a dyn Fn(&str) -> Option<String>,
    /// Value and origin by knob name.
    pub settings: BTreeMap<&'static str, Setting>,
    /// Every mistake found so far.
    pub errors: Vec<KnobError>,
}

impl<'a> Reading<'a> {
    /// Reads through `source`: the environment, or a map in tests.
    pub fn new(source: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { source, settings: BTreeMap::new(), errors: Vec::new() }
    }

    /// The value of one knob, or its default with the mistake noted.
    pub fn take<T: KnobValue>(&mut self, knob: &Knob, default: T) -> T {
        let Some(text) = (self.source)(knob.env) else {
            self.settings.insert(knob.name, Setting { value: default.show(), origin: "default" });
            return default;
        };
        match T::parse(text.trim(), &knob.bounds) {
            Some(value) => {
                self.settings.insert(knob.name, Setting { value: value.show(), origin: "environment" });
                value
            }
            None => {
                let unit = if knob.unit.is_empty() { String::new() } else { format!(" ({})", knob.unit) };
                self.errors.push(KnobError {
                    env: knob.env.into(),
                    value: text,
                    reason: format!(
                        "expected {}{unit}; the default is {}",
                        knob.bounds.describe(),
                        knob.default
                    ),
                });
                default
            }
        }
    }
}

/// A type that a knob's value may have.
pub trait KnobValue: Clone {
    /// The value of a text within the bounds.
    fn parse(text: &str, bounds: &Bounds) -> Option<Self>;
    /// The text of a value.
    fn show(&self) -> String;
}

impl KnobValue for u64 {
    fn parse(text: &str, bounds: &Bounds) -> Option<Self> {
        let value = text.parse().ok()?;
        matches!(bounds, Bounds::Integer(low, high) if (*low..=*high).contains(&value)).then_some(value)
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

impl KnobValue for f64 {
    fn parse(text: &str, bounds: &Bounds) -> Option<Self> {
        let value = text.parse().ok()?;
        matches!(bounds, Bounds::Decimal(low, high) if (*low..=*high).contains(&value)).then_some(value)
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

impl KnobValue for bool {
    fn parse(text: &str, _: &Bounds) -> Option<Self> {
        text.parse().ok()
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

impl KnobValue for String {
    fn parse(text: &str, bounds: &Bounds) -> Option<Self> {
        let known = match bounds {
            Bounds::Choice(words) => words.contains(&text),
            _ => true,
        };
        known.then(|| text.to_string())
    }
    fn show(&self) -> String {
        self.clone()
    }
}

/// Declares a room's knobs.
///
/// ```
/// use vectron_base::knob::{Affects, Bounds};
/// vectron_base::knobs! {
///     /// Settings of the pond.
///     pub struct PondKnobs in "pond", "VECTRON_POND" {
///         /// Fish that fit. More fish eat more bread.
///         fish: u64 = 3u64, "FISH", Bounds::Integer(1, 9), "", Affects::Speed, "vectron_pond_fish";
///     }
/// }
/// assert_eq!(PondKnobs::default().fish, 3);
/// assert_eq!(PondKnobs::knobs()[0].env, "VECTRON_POND_FISH");
/// ```
#[macro_export]
macro_rules! knobs {
    ($(#[$doc:meta])* pub struct $name:ident in $room:literal, $prefix:literal {
        $($(#[doc = $about:literal])+ $field:ident: $ty:ty = $default:expr, $env:literal, $bounds:expr,
          $unit:literal, $affects:expr, $metric:literal;)+
    }) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name { $($(#[doc = $about])+ pub $field: $ty,)+ }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: <$ty>::from($default),)+ }
            }
        }

        impl $name {
            /// The declarations, in order.
            pub fn knobs() -> Vec<$crate::knob::Knob> {
                let defaults = Self::default();
                vec![$($crate::knob::Knob {
                    name: concat!($room, ".", stringify!($field)),
                    env: concat!($prefix, "_", $env),
                    unit: $unit,
                    default: $crate::knob::KnobValue::show(&defaults.$field),
                    bounds: $bounds,
                    applies: $crate::knob::Applies::Boot,
                    affects: $affects,
                    about: concat!($($about),+),
                    metric: $metric,
                },)+]
            }

            /// The values that `reading` finds.
            pub fn read(reading: &mut $crate::knob::Reading<'_>) -> Self {
                let (defaults, knobs) = (Self::default(), Self::knobs());
                let mut knobs = knobs.iter();
                Self { $($field: match knobs.next() {
                    Some(knob) => reading.take(knob, defaults.$field),
                    None => defaults.$field,
                },)+ }
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::knobs! {
        /// Settings for these tests.
        pub struct TestKnobs in "test", "VECTRON_TEST" {
            /// Bytes that fit. More bytes take more room.
            room_bytes: u64 = 64u64, "ROOM_BYTES", Bounds::Integer(1, 100), "bytes", Affects::Speed, "";
            /// Which mode. `fast` is less careful.
            mode: String = "safe", "MODE", Bounds::Choice(&["safe", "fast"]), "", Affects::Durability, "";
            /// On or off. Off is quieter.
            loud: bool = false, "LOUD", Bounds::Flag, "", Affects::Speed, "";
        }
    }

    #[test]
    fn every_mistake_is_reported_at_once() {
        let source = |name: &str| match name {
            "VECTRON_TEST_ROOM_BYTES" => Some("101".to_string()),
            "VECTRON_TEST_MODE" => Some("quick".to_string()),
            _ => None,
        };
        let mut reading = Reading::new(&source);
        let knobs = TestKnobs::read(&mut reading);
        assert_eq!(knobs.room_bytes, 64);
        assert_eq!(reading.errors.len(), 2);
        assert!(reading.errors[0].to_string().contains("expected 1 to 100 (bytes)"));
        assert_eq!(reading.settings["test.loud"].origin, "default");
    }

    #[test]
    fn good_values_are_taken_with_their_origin() {
        let source = |name: &str| (name == "VECTRON_TEST_MODE").then(|| "fast".to_string());
        let mut reading = Reading::new(&source);
        assert_eq!(TestKnobs::read(&mut reading).mode, "fast");
        assert_eq!(reading.settings["test.mode"].origin, "environment");
    }
}
