//! JSON objects of people: a point on a line, or a payload that belongs to a row of an array.

use super::Problem;
use super::source::{self, Source};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;
use std::path::Path;
use vectron_client::{Payload, PointInput};

/// The fields of an object in their order, values untouched, so that numbers keep every digit.
struct Entries<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Entries<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries: Vec<(String, &'de RawValue)> = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                    if entries.iter().any(|(known, _)| *known == name) {
                        return Err(serde::de::Error::custom(format!("the field '{name}' occurs twice")));
                    }
                    entries.push((name, value));
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// The field with the condition of a write, named as in the API.
pub const CONDITION: &str = "if_version";

/// Which fields make a point.
#[derive(Clone, Debug)]
pub struct Fields {
    /// Field of the id.
    pub id: String,
    /// Field of the vector.
    pub vector: String,
    /// Field of the vector in base64.
    pub vector_b64: String,
    /// Whether `if_version` is a condition in flat objects too. Elsewhere it is refused there: a data set that
    /// happens to have such a field must neither lose it nor be written under conditions.
    flat_condition: bool,
}

/// Why an object is not a point, with its id if that could be read.
pub struct NotAPoint {
    /// The id.
    pub id: Option<String>,
    /// The reason.
    pub reason: String,
}

impl Fields {
    /// `id_field` defaults to `id`.
    pub fn new(id_field: Option<String>, vector_field: String) -> Self {
        let vector_b64 = format!("{vector_field}_b64");
        let id = id_field.unwrap_or_else(|| "id".into());
        Self { id, vector: vector_field, vector_b64, flat_condition: false }
    }

    /// The points of the API's upsert: `if_version` is a condition wherever it stands.
    pub fn of_upsert() -> Self {
        Self { flat_condition: true, ..Self::new(None, "vector".into()) }
    }

    /// The point of a JSON object: `{"id", "vector", "payload", "if_version"}`, or a flat object whose other
    /// fields are the payload.
    pub fn point(&self, line: &[u8]) -> Result<PointInput, NotAPoint> {
        let nameless = |reason: String| NotAPoint { id: None, reason };
        let entries: Entries<'_> =
            serde_json::from_slice(line).map_err(|error| nameless(not_json(&error)))?;
        let find = |name: &str| entries.0.iter().find(|(field, _)| field == name).map(|(_, value)| *value);
        let id = find(&self.id).ok_or_else(|| nameless(format!("has no field '{}' for the id", self.id)))?;
        let id = id_of(id).map_err(|reason| nameless(format!("{}: {reason}", self.id)))?;
        let named = |reason: String| NotAPoint { id: Some(id.clone()), reason };
        let vector = match (find(&self.vector), find(&self.vector_b64)) {
            (Some(_), Some(_)) => {
                return Err(named(format!("has both '{}' and '{}'; keep one", self.vector, self.vector_b64)));
            }
            (Some(list), None) => list_of(list).map_err(&named)?,
            (None, Some(text)) => base64_of(text).map_err(|reason| named(format!("vector_b64 {reason}")))?,
            (None, None) => {
                return Err(named(format!("has neither '{}' nor '{}'", self.vector, self.vector_b64)));
            }
        };
        let payload = self.payload(&entries.0).map_err(&named)?;
        let if_version = self.condition(&entries.0).map_err(&named)?;
        Ok(PointInput { payload, if_version, ..PointInput::new(id.clone(), vector) })
    }

    /// The condition of the write.
    fn condition(&self, entries: &[(String, &RawValue)]) -> Result<Option<u64>, String> {
        let own = [&self.id, &self.vector, &self.vector_b64];
        let find = |wanted: &str| {
            let mut others = entries.iter().filter(|(name, _)| !own.contains(&name));
            others.find(|(name, _)| name == wanted).map(|(_, value)| value.get())
        };
        let Some(text) = find(CONDITION) else { return Ok(None) };
        if !self.flat_condition && find("payload").is_none() {
            return Err(format!(
                "has '{CONDITION}', which is a condition and no payload: put the other fields into 'payload', \
                 or rename it"
            ));
        }
        if text == "null" {
            return Ok(None);
        }
        let expected = || format!("{CONDITION}: expected a version such as 7, or 0, got {}", shorten(text));
        text.parse().map(Some).map_err(|_| expected())
    }

    fn payload(&self, entries: &[(String, &RawValue)]) -> Result<Option<Payload>, String> {
        let own = [&self.id, &self.vector, &self.vector_b64];
        let others = || entries.iter().filter(|(name, _)| !own.contains(&name));
        if let Some((_, payload)) = others().find(|(name, _)| name == "payload") {
            // An export carries the version too; it is the server's to give.
            let known = ["payload", "version", CONDITION];
            if let Some((name, _)) = others().find(|(name, _)| !known.contains(&name.as_str())) {
                return Err(format!("has 'payload' and also '{name}'; put everything into one of them"));
            }
            return match payload.get() {
                "null" => Ok(None),
                text => Payload::from_json(text.into()).map(Some).map_err(|error| error.fault.detail),
            };
        }
        let mut text = String::from("{");
        for (name, value) in others().filter(|(name, _)| name != CONDITION) {
            if text.len() > 1 {
                text.push(',');
            }
            text.push_str(&serde_json::to_string(name).map_err(|error| error.to_string())?);
            text.push(':');
            text.push_str(value.get());
        }
        if text.len() == 1 {
            return Ok(None);
        }
        text.push('}');
        Payload::from_json(text).map(Some).map_err(|error| error.fault.detail)
    }
}

/// The words of a JSON error without the line, which is always 1 here.
fn not_json(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let words = text.split(" at line ").next().unwrap_or(&text);
    format!("is not a JSON object: {words} at column {}", error.column())
}

fn id_of(value: &RawValue) -> Result<String, String> {
    let text = value.get();
    if text.starts_with('"') {
        return serde_json::from_str(text).map_err(|error| error.to_string());
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(text.to_string());
    }
    Err(format!("expected a string or an integer, got {}", shorten(text)))
}

fn list_of(value: &RawValue) -> Result<Vec<f32>, String> {
    serde_json::from_str(value.get())
        .map_err(|_| format!("vector: expected a list of numbers, got {}", shorten(value.get())))
}

/// The vector of base64 text: little-endian f32.
fn base64_of(value: &RawValue) -> Result<Vec<f32>, String> {
    let text: String = serde_json::from_str(value.get()).map_err(|_| "expected base64 text".to_string())?;
    let bytes = BASE64_STANDARD.decode(text.trim()).map_err(|error| format!("is not base64: {error}"))?;
    let (numbers, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(format!("has {} bytes, which is not a multiple of 4", bytes.len()));
    }
    Ok(numbers.iter().map(|number| f32::from_le_bytes(*number)).collect())
}

fn shorten(text: &str) -> String {
    let start: String = text.chars().take(40).collect();
    if start.len() < text.len() { format!("{start}…") } else { start }
}

/// JSON lines that are the payloads of an array's rows.
pub struct Payloads {
    lines: Source,
    id_field: Option<String>,
    line: Vec<u8>,
    read: u64,
}

impl Payloads {
    /// Opens the file beside an array.
    pub fn open(path: &Path, id_field: Option<String>) -> Result<Self, Problem> {
        let lines = source::open(path)
            .map_err(|problem| Problem::file(format!("payload file {}: {problem}", path.display())))?;
        Ok(Self::new(lines, id_field))
    }

    /// Payloads from lines.
    pub fn new(lines: Source, id_field: Option<String>) -> Self {
        Self { lines, id_field, line: Vec::new(), read: 0 }
    }

    /// The point of row `number` with this vector.
    pub fn point(&mut self, number: u64, vector: Vec<f32>) -> Result<PointInput, Problem> {
        if !self.lines.line(&mut self.line)? {
            return Err(Problem::file(format!(
                "the payload file ends before row {number} of the array; they need as many lines as rows"
            )));
        }
        self.read += 1;
        let bad = |reason: String| Problem::Row { number, id: None, reason: format!("payload {reason}") };
        let text = std::str::from_utf8(&self.line).map_err(|_| bad("is not UTF-8".into()))?;
        let id = match &self.id_field {
            None => number.to_string(),
            Some(field) => {
                let entries: Entries<'_> =
                    serde_json::from_str(text).map_err(|error| bad(not_json(&error)))?;
                let found = entries.0.iter().find(|(name, _)| name == field);
                let (_, id) = found.ok_or_else(|| bad(format!("has no field '{field}' for the id")))?;
                id_of(id).map_err(|reason| bad(format!("{field}: {reason}")))?
            }
        };
        let payload = Payload::from_json(text.to_string()).map_err(|error| Problem::Row {
            number,
            id: Some(id.clone()),
            reason: error.fault.detail,
        })?;
        Ok(PointInput::new(id, vector).payload(payload))
    }

    /// Passes over `count` lines.
    pub fn skip(&mut self, count: u64) -> Result<(), Problem> {
        for _ in 0..count {
            if !self.lines.line(&mut self.line)? {
                return Err(Problem::file("the payload file is shorter than it was"));
            }
            self.read += 1;
        }
        Ok(())
    }

    /// Checks after the last of an array's `rows` that no line is left: with one too many, a header perhaps,
    /// every payload would belong to another row.
    pub fn end(&mut self, rows: u64) -> Result<(), Problem> {
        let mut last = None;
        while self.lines.line(&mut self.line)? {
            self.read += 1;
            if !self.line.trim_ascii().is_empty() {
                last = Some(self.read);
            }
        }
        let Some(lines) = last else { return Ok(()) };
        Err(Problem::file(format!(
            "the payload file has {lines} lines and the array {rows} rows; line i belongs to row i, so the points \
             may have got the payloads of others: take a header or what else is too much out, and import again"
        )))
    }
}
