//! Parquet: one column is a list of floats, one the id, the others become the payload.
//!
//! Read record by record without Arrow. The reading library panics on some damaged files; that is caught here
//! and reported like any other damage.

use super::object::{CONDITION, Fields};
use super::{Problem, Row, Rows};
use ::parquet::file::reader::{FileReader, SerializedFileReader};
use ::parquet::record::reader::{ReaderIter, TreeBuilder};
use ::parquet::record::{Field, Row as Record};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use vectron_client::{Payload, PointInput};

/// A table being read.
pub struct Table {
    file: SerializedFileReader<File>,
    fields: Fields,
    has_id: bool,
    total: u64,
    /// The row group to open next.
    group: usize,
    records: Option<ReaderIter>,
    next: u64,
    ended: bool,
}

impl Table {
    /// Opens a file and checks its columns.
    #[allow(clippy::disallowed_methods, reason = "a user's file, outside the database's disk seam")]
    pub fn open(path: &Path, fields: Fields) -> Result<Self, Problem> {
        let file = File::open(path).map_err(|error| Problem::file(error.to_string()))?;
        let opened = catch_unwind(|| SerializedFileReader::new(file));
        let file = match opened {
            Ok(Ok(file)) => file,
            Ok(Err(error)) => return Err(Problem::file(format!("is not a readable Parquet file: {error}"))),
            Err(_) => return Err(damaged()),
        };
        let metadata = file.metadata().file_metadata();
        let columns: Vec<String> =
            metadata.schema().get_fields().iter().map(|field| field.name().to_string()).collect();
        if !columns.contains(&fields.vector) {
            let columns = columns.join(", ");
            let wanted = &fields.vector;
            return Err(Problem::file(format!(
                "has no column '{wanted}' for the vector (its columns: {columns}); give --vector-field"
            )));
        }
        let has_id = columns.contains(&fields.id);
        if !has_id && fields.id != "id" {
            return Err(Problem::file(format!("has no column '{}' for the id", fields.id)));
        }
        if columns.iter().any(|column| column == CONDITION) {
            return Err(Problem::file(format!(
                "has a column '{CONDITION}', which is the name of a condition and no payload; rename it"
            )));
        }
        let total = u64::try_from(metadata.num_rows()).unwrap_or(0);
        Ok(Self { file, fields, has_id, total, group: 0, records: None, next: 0, ended: false })
    }

    /// The next record across row groups.
    fn record(&mut self) -> Result<Option<Record>, Problem> {
        let step = catch_unwind(AssertUnwindSafe(|| {
            loop {
                if let Some(record) = self.records.as_mut().and_then(Iterator::next) {
                    return record.map(Some);
                }
                if self.group >= self.file.num_row_groups() {
                    return Ok(None);
                }
                let group = self.file.get_row_group(self.group)?;
                let schema = self.file.metadata().file_metadata().schema_descr_ptr();
                self.records = Some(TreeBuilder::new().as_iter(schema, &*group)?);
                self.group += 1;
            }
        }));
        match step {
            Ok(Ok(record)) => Ok(record),
            Ok(Err(error)) => Err(Problem::file(format!("is damaged at row {}: {error}", self.next))),
            Err(_) => Err(damaged()),
        }
    }

    fn point(&self, number: u64, record: Record) -> Result<PointInput, Problem> {
        let (mut id, mut vector) = (None, None);
        let mut payload = Map::new();
        let bad = |id: Option<String>, reason: String| Problem::Row { number, id, reason };
        for (name, field) in record.into_columns() {
            if name == self.fields.vector {
                vector = Some(field);
            } else if self.has_id && name == self.fields.id {
                id = Some(id_of(&field).map_err(|reason| bad(None, reason))?);
            } else if field != Field::Null {
                payload.insert(name, json(&field));
            }
        }
        let id = id.unwrap_or_else(|| number.to_string());
        let vector = vector.ok_or_else(|| "has no vector".to_string()).and_then(|field| list_of(&field));
        let vector = vector.map_err(|reason| bad(Some(id.clone()), reason))?;
        let point = PointInput::new(id, vector);
        if payload.is_empty() {
            return Ok(point);
        }
        match Payload::of(&payload) {
            Ok(payload) => Ok(point.payload(payload)),
            Err(error) => Err(bad(Some(point.id), error.fault.detail)),
        }
    }
}

impl Rows for Table {
    fn next_row(&mut self) -> Option<Result<Row, Problem>> {
        if self.ended {
            return None;
        }
        let number = self.next;
        match self.record() {
            Ok(Some(record)) => {
                self.next += 1;
                Some(self.point(number, record).map(|point| Row { number, point }))
            }
            Ok(None) => {
                self.ended = true;
                None
            }
            Err(problem) => {
                self.ended = true;
                Some(Err(problem))
            }
        }
    }

    fn skip_through(&mut self, number: u64) -> Result<(), Problem> {
        // Whole row groups first, so that a large file is not read again.
        while self.records.is_none() && self.group < self.file.num_row_groups() {
            let rows = self.file.metadata().row_group(self.group).num_rows();
            let rows = u64::try_from(rows).unwrap_or(0);
            if self.next + rows > number + 1 {
                break;
            }
            self.next += rows;
            self.group += 1;
        }
        while self.next <= number {
            self.record()?.ok_or_else(|| Problem::file("is shorter than it was"))?;
            self.next += 1;
        }
        Ok(())
    }

    fn share(&self) -> Option<f64> {
        (self.total > 0).then(|| (self.next as f64 / self.total as f64).min(1.0))
    }
}

fn damaged() -> Problem {
    Problem::file("is a damaged Parquet file; is the copy complete?")
}

fn id_of(field: &Field) -> Result<String, String> {
    match field {
        Field::Str(text) => Ok(text.clone()),
        Field::Byte(_)
        | Field::Short(_)
        | Field::Int(_)
        | Field::Long(_)
        | Field::UByte(_)
        | Field::UShort(_)
        | Field::UInt(_)
        | Field::ULong(_) => Ok(field.to_string()),
        Field::Null => Err("has a null id".into()),
        _ => Err("has an id that is neither text nor an integer".into()),
    }
}

fn list_of(field: &Field) -> Result<Vec<f32>, String> {
    let Field::ListInternal(list) = field else {
        return Err(match field {
            Field::Null => "has a null vector".into(),
            _ => "has a vector that is not a list of floats".to_string(),
        });
    };
    list.elements()
        .iter()
        .map(|element| match element {
            Field::Float(number) => Ok(*number),
            Field::Double(number) => Ok(*number as f32),
            Field::Float16(number) => Ok(f32::from(*number)),
            Field::Null => Err("has a null inside its vector".into()),
            _ => Err("has a vector whose numbers are not floats".to_string()),
        })
        .collect()
}

/// A column as JSON. Single-precision numbers keep their short spelling (0.1, not 0.10000000149); times become
/// RFC 3339, which is what filters compare; bytes become base64.
fn json(field: &Field) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Bool(flag) => Value::from(*flag),
        Field::Byte(number) => Value::from(*number),
        Field::Short(number) => Value::from(*number),
        Field::Int(number) => Value::from(*number),
        Field::Long(number) => Value::from(*number),
        Field::UByte(number) => Value::from(*number),
        Field::UShort(number) => Value::from(*number),
        Field::UInt(number) => Value::from(*number),
        Field::ULong(number) => Value::from(*number),
        Field::Float16(number) => Value::from(f64::from(*number)),
        Field::Float(number) => number.to_string().parse::<f64>().map_or(Value::Null, Value::from),
        Field::Double(number) => Value::from(*number),
        Field::Str(text) => Value::from(text.as_str()),
        Field::Bytes(bytes) => Value::from(BASE64_STANDARD.encode(bytes.data())),
        Field::TimestampMillis(ms) => time(Timestamp::from_millisecond(*ms), field),
        Field::TimestampMicros(us) => time(Timestamp::from_microsecond(*us), field),
        Field::Decimal(_) | Field::Date(_) | Field::TimeMillis(_) | Field::TimeMicros(_) => {
            Value::from(field.to_string())
        }
        Field::Group(record) => {
            Value::Object(record.get_column_iter().map(|(name, field)| (name.clone(), json(field))).collect())
        }
        Field::ListInternal(list) => Value::Array(list.elements().iter().map(json).collect()),
        Field::MapInternal(map) => Value::Object(
            map.entries()
                .iter()
                .map(|(key, value)| match key {
                    Field::Str(text) => (text.clone(), json(value)),
                    other => (other.to_string(), json(value)),
                })
                .collect(),
        ),
    }
}

fn time(time: Result<Timestamp, jiff::Error>, field: &Field) -> Value {
    Value::from(time.map_or_else(|_| field.to_string(), |time| time.to_string()))
}

#[cfg(test)]
#[path = "parquet_tests.rs"]
mod tests;
