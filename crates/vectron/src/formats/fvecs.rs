//! fvecs, the format of the TEXMEX sets: each record is a length and as many little-endian f32.

use super::object::Payloads;
use super::source::Source;
use super::{Problem, Row, Rows};
use vectron_client::PointInput;

const WIDTH_LIMIT: i32 = 1 << 20;

/// Records being read.
pub struct Records {
    source: Source,
    payloads: Option<Payloads>,
    next: u64,
    width: Option<usize>,
    ended: bool,
}

impl Records {
    /// Without payloads the row numbers are the ids.
    pub fn new(source: Source, payloads: Option<Payloads>) -> Self {
        Self { source, payloads, next: 0, width: None, ended: false }
    }

    fn record(&mut self) -> Result<Option<Vec<f32>>, Problem> {
        let mut length = [0; 4];
        if !self.source.fill(&mut length)? {
            return Ok(None);
        }
        let (length, row) = (i32::from_le_bytes(length), self.next);
        if !(1..=WIDTH_LIMIT).contains(&length) {
            return Err(Problem::file(format!(
                "row {row} says it has {length} numbers; expected 1 to {WIDTH_LIMIT}: is it really fvecs?"
            )));
        }
        let length = length as usize;
        let width = *self.width.get_or_insert(length);
        if width != length {
            return Err(Problem::file(format!("row {row} has {length} numbers where the first has {width}")));
        }
        let mut bytes = vec![0; 4 * length];
        if !self.source.fill(&mut bytes)? {
            return Err(Problem::file(format!("ends inside row {row}; is the copy complete?")));
        }
        Ok(Some(bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()))
    }
}

impl Rows for Records {
    fn next_row(&mut self) -> Option<Result<Row, Problem>> {
        if self.ended {
            return None;
        }
        let number = self.next;
        let point = match self.record() {
            Ok(None) => {
                self.ended = true;
                return self.payloads.as_mut()?.end(number).err().map(Err);
            }
            Ok(Some(vector)) => match &mut self.payloads {
                Some(payloads) => payloads.point(number, vector),
                None => Ok(PointInput::new(number.to_string(), vector)),
            },
            Err(problem) => Err(problem),
        };
        self.ended = matches!(point, Err(Problem::File(_)));
        self.next += 1;
        Some(point.map(|point| Row { number, point }))
    }

    fn skip_through(&mut self, number: u64) -> Result<(), Problem> {
        while self.next <= number {
            self.record()?.ok_or_else(|| Problem::file("is shorter than it was"))?;
            if let Some(payloads) = &mut self.payloads {
                payloads.skip(1)?;
            }
            self.next += 1;
        }
        Ok(())
    }

    fn share(&self) -> Option<f64> {
        self.source.share()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn record(numbers: &[f32]) -> Vec<u8> {
        let mut bytes = (numbers.len() as i32).to_le_bytes().to_vec();
        bytes.extend(numbers.iter().flat_map(|n| n.to_le_bytes()));
        bytes
    }

    fn read(bytes: Vec<u8>) -> Vec<Result<Row, Problem>> {
        let mut records = Records::new(Source::new(Cursor::new(bytes), None).unwrap(), None);
        std::iter::from_fn(|| records.next_row()).collect()
    }

    #[test]
    fn records_are_rows() {
        let rows = read([record(&[1.0, 2.0]), record(&[3.0, 4.0])].concat());
        assert_eq!(rows[1].as_ref().unwrap().point, PointInput::new("1", vec![3.0, 4.0]));
        assert_eq!(rows.len(), 2);
    }

    #[test]
    fn a_payload_line_too_many_is_refused_at_the_end() {
        let payloads = Payloads::new(Source::of_bytes(b"{}\n{}\n").unwrap(), None);
        let source = Source::new(Cursor::new(record(&[1.0])), None).unwrap();
        let mut records = Records::new(source, Some(payloads));
        assert!(records.next_row().unwrap().is_ok());
        let words = records.next_row().unwrap().unwrap_err().to_string();
        assert!(words.contains("2 lines") && words.contains("1 rows"), "{words}");
        assert!(records.next_row().is_none());
    }

    #[test]
    fn truncated_and_foreign_files_are_named() {
        let whole = [record(&[1.0, 2.0]), record(&[3.0, 4.0])].concat();
        for (bytes, words) in [
            (whole[..15].to_vec(), "ends inside a record"),
            (whole[..20].to_vec(), "ends inside a record"),
            (whole[..16].to_vec(), "ends inside row 1"),
            ([record(&[1.0]), record(&[1.0, 2.0])].concat(), "row 1 has 2 numbers where the first has 1"),
            (b"hello, world".to_vec(), "is it really fvecs?"),
            ((-1_i32).to_le_bytes().to_vec(), "says it has -1 numbers"),
        ] {
            let problem = read(bytes).pop().unwrap().unwrap_err().to_string();
            assert!(problem.contains(words), "{words}: {problem}");
        }
    }
}
