//! NumPy arrays: f16, f32 or f64, two-dimensional, C order, little-endian.

use super::object::Payloads;
use super::source::Source;
use super::{Problem, Row, Rows};
use half::f16;
use vectron_client::PointInput;

const MAGIC: &[u8] = b"\x93NUMPY";
/// Most numbers per row that are read; far over what a collection takes.
const WIDTH_LIMIT: u64 = 1 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    F16,
    F32,
    F64,
}

impl Number {
    fn width(self) -> usize {
        match self {
            Number::F16 => 2,
            Number::F32 => 4,
            Number::F64 => 8,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    number: Number,
    rows: u64,
    columns: u64,
}

/// An array being read.
pub struct Array {
    source: Source,
    header: Header,
    payloads: Option<Payloads>,
    next: u64,
    ended: bool,
    buffer: Vec<u8>,
}

impl Array {
    /// Reads the header. Without payloads the row numbers are the ids.
    pub fn new(mut source: Source, payloads: Option<Payloads>) -> Result<Self, Problem> {
        let (header, header_bytes) = read_header(&mut source)?;
        let row_bytes = header.columns * header.number.width() as u64;
        if let Some(length) = source.length() {
            let expected = header.rows.checked_mul(row_bytes).and_then(|data| data.checked_add(header_bytes));
            if expected != Some(length) {
                let Header { rows, columns, .. } = header;
                return Err(Problem::file(format!(
                    "is damaged: the header says {rows} rows of {columns} numbers, the file has {length} bytes \
                     where that takes {}; is the copy complete?",
                    expected.map_or("more".to_string(), |bytes| bytes.to_string())
                )));
            }
        }
        let buffer = vec![0; row_bytes as usize];
        Ok(Self { source, header, payloads, next: 0, ended: false, buffer })
    }

    /// Rows in the array.
    pub fn rows(&self) -> u64 {
        self.header.rows
    }

    /// Once, after the last row: whether the payloads end here too.
    fn end(&mut self) -> Result<(), Problem> {
        let rows = self.header.rows;
        match &mut self.payloads {
            Some(payloads) if !std::mem::replace(&mut self.ended, true) => payloads.end(rows),
            _ => Ok(()),
        }
    }

    /// The next row's numbers.
    pub fn next_vector(&mut self) -> Option<Result<Vec<f32>, Problem>> {
        if self.ended || self.next >= self.header.rows {
            return None;
        }
        let filled = self.source.fill(&mut self.buffer);
        match filled {
            Ok(true) => {
                self.next += 1;
                Some(Ok(decode(&self.buffer, self.header.number)))
            }
            Ok(false) => {
                self.ended = true;
                let (next, rows) = (self.next, self.header.rows);
                Some(Err(Problem::file(format!("ends at row {next} of {rows}; is the copy complete?"))))
            }
            Err(problem) => {
                self.ended = true;
                Some(Err(problem))
            }
        }
    }
}

impl Rows for Array {
    fn next_row(&mut self) -> Option<Result<Row, Problem>> {
        let number = self.next;
        let vector = match self.next_vector() {
            Some(Ok(vector)) => vector,
            Some(Err(problem)) => return Some(Err(problem)),
            None => return self.end().err().map(Err),
        };
        let point = match &mut self.payloads {
            Some(payloads) => payloads.point(number, vector),
            None => Ok(PointInput::new(number.to_string(), vector)),
        };
        if let Err(Problem::File(_)) = point {
            self.ended = true;
        }
        Some(point.map(|point| Row { number, point }))
    }

    fn skip_through(&mut self, number: u64) -> Result<(), Problem> {
        let rows = (number + 1).saturating_sub(self.next);
        if self.next + rows > self.header.rows {
            return Err(Problem::file("is shorter than it was"));
        }
        self.source.skip(rows * self.buffer.len() as u64)?;
        if let Some(payloads) = &mut self.payloads {
            payloads.skip(rows)?;
        }
        self.next += rows;
        Ok(())
    }

    fn share(&self) -> Option<f64> {
        (self.header.rows > 0).then(|| self.next as f64 / self.header.rows as f64)
    }
}

fn decode(bytes: &[u8], number: Number) -> Vec<f32> {
    match number {
        Number::F16 => bytes.as_chunks::<2>().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect(),
        Number::F32 => bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
        Number::F64 => bytes.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b) as f32).collect(),
    }
}

/// The header and the number of bytes that it takes.
fn read_header(source: &mut Source) -> Result<(Header, u64), Problem> {
    let not_npy = || Problem::file("is not a .npy file: its first bytes are not the NumPy mark");
    let mut start = [0; 8];
    match source.fill(&mut start) {
        Ok(true) if start.starts_with(MAGIC) => {}
        _ => return Err(not_npy()),
    }
    let (length, fixed) = if start[6] == 1 {
        let mut length = [0; 2];
        source.fill(&mut length)?;
        (u32::from(u16::from_le_bytes(length)), 10)
    } else {
        let mut length = [0; 4];
        source.fill(&mut length)?;
        (u32::from_le_bytes(length), 12)
    };
    if length > 1 << 16 {
        return Err(Problem::file(format!("is damaged: a header of {length} bytes")));
    }
    let mut text = vec![0; length as usize];
    if length == 0 || !source.fill(&mut text)? {
        return Err(Problem::file("ends inside its header; is the copy complete?"));
    }
    let header = parse_header(&String::from_utf8_lossy(&text))?;
    Ok((header, u64::from(length) + fixed))
}

/// `{'descr': '<f4', 'fortran_order': False, 'shape': (10, 384), }`
fn parse_header(text: &str) -> Result<Header, Problem> {
    let damaged = |what: &str| Problem::file(format!("is damaged: the header has no {what}"));
    let after = |key: &str| text.split_once(key).map(|(_, rest)| rest.trim_start_matches([' ', ':']));
    let descr = after("'descr'").ok_or_else(|| damaged("'descr'"))?;
    let descr = descr.split('\'').nth(1).unwrap_or(descr);
    let number = match descr {
        "<f2" => Number::F16,
        "<f4" => Number::F32,
        "<f8" => Number::F64,
        other => {
            let other: String = other.chars().take(20).collect();
            return Err(Problem::file(format!(
                "holds numbers of type '{other}'; expected f16, f32 or f64, little-endian: save it with \
                 array.astype('<f4')"
            )));
        }
    };
    if after("'fortran_order'").is_none_or(|rest| !rest.starts_with("False")) {
        return Err(Problem::file("is in Fortran order; save it with numpy.ascontiguousarray(array)"));
    }
    let shape =
        after("'shape'").and_then(|rest| rest.strip_prefix('(')).and_then(|rest| rest.split_once(')'));
    let (shape, _) = shape.ok_or_else(|| damaged("'shape'"))?;
    let sizes: Result<Vec<u64>, _> =
        shape.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::parse).collect();
    let (rows, columns) = match sizes.as_deref() {
        Ok([rows, columns]) => (*rows, *columns),
        // A single vector.
        Ok([columns]) => (1, *columns),
        Ok(sizes) => {
            let got = sizes.len();
            return Err(Problem::file(format!("has {got} dimensions; expected rows × numbers")));
        }
        Err(_) => return Err(damaged("readable 'shape'")),
    };
    if columns == 0 || columns > WIDTH_LIMIT {
        return Err(Problem::file(format!("has rows of {columns} numbers; expected 1 to {WIDTH_LIMIT}")));
    }
    Ok(Header { number, rows, columns })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn file(descr: &str, order: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let mut header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}");
        while !(header.len() + 11).is_multiple_of(64) {
            header.push(' ');
        }
        header.push('\n');
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend_from_slice(&(header.len() as u16).to_le_bytes());
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(data);
        bytes
    }

    fn array(bytes: Vec<u8>, payloads: Option<Payloads>) -> Result<Array, Problem> {
        let length = bytes.len() as u64;
        Array::new(Source::new(Cursor::new(bytes), Some(length))?, payloads)
    }

    fn rows(array: &mut Array) -> Vec<Row> {
        std::iter::from_fn(|| array.next_row()).map(Result::unwrap).collect()
    }

    #[test]
    fn the_three_widths_give_the_same_numbers() {
        let numbers = [1.0_f64, -2.5, 0.25, 4.0, 5.0, 6.0];
        let half: Vec<u8> = numbers.iter().flat_map(|n| f16::from_f64(*n).to_le_bytes()).collect();
        let single: Vec<u8> = numbers.iter().flat_map(|n| (*n as f32).to_le_bytes()).collect();
        let double: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
        for (descr, data) in [("<f2", half), ("<f4", single), ("<f8", double)] {
            let mut array = array(file(descr, "False", "(2, 3)", &data), None).unwrap();
            let rows = rows(&mut array);
            assert_eq!(rows[1].point, PointInput::new("1", vec![4.0, 5.0, 6.0]), "{descr}");
            assert_eq!(rows[0].point.vector, [1.0, -2.5, 0.25]);
        }
    }

    #[test]
    fn payload_lines_and_ids_go_with_rows() {
        let data: Vec<u8> = [1.0_f32, 2.0].iter().flat_map(|n| n.to_le_bytes()).collect();
        let lines = Source::of_bytes(b"{\"name\":\"a\",\"n\":1}\n{\"name\":\"b\"}\n").unwrap();
        let payloads = Payloads::new(lines, Some("name".into()));
        let mut array = array(file("<f4", "False", "(2, 1)", &data), Some(payloads)).unwrap();
        array.skip_through(0).unwrap();
        let rows = rows(&mut array);
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].number, rows[0].point.id.as_str()), (1, "b"));
        assert_eq!(rows[0].point.payload.as_ref().unwrap().as_str(), r#"{"name":"b"}"#);
    }

    #[test]
    fn a_payload_line_too_many_is_refused_at_the_end() {
        let data: Vec<u8> = [1.0_f32, 2.0].iter().flat_map(|n| n.to_le_bytes()).collect();
        for (lines, refused) in [
            (&b"{\"a\":1}\n{\"a\":2}\n\n  \n"[..], false),
            (b"{\"header\":0}\n{\"a\":1}\n\n{\"a\":2}\n", true),
        ] {
            let payloads = Payloads::new(Source::of_bytes(lines).unwrap(), None);
            let mut array = array(file("<f4", "False", "(2, 1)", &data), Some(payloads)).unwrap();
            let mut rows: Vec<_> = std::iter::from_fn(|| array.next_row()).collect();
            assert_eq!(rows.len(), 2 + usize::from(refused));
            if refused {
                let problem = rows.pop().unwrap().unwrap_err();
                assert!(matches!(problem, Problem::File(_)));
                let words = problem.to_string();
                assert!(words.contains("4 lines") && words.contains("2 rows"), "{words}");
            }
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let four = [0; 4];
        for (bytes, words) in [
            (b"PK\x03\x04 something else".to_vec(), "not a .npy file"),
            (Vec::new(), "not a .npy file"),
            (file("<i8", "False", "(1, 1)", &[0; 8]), "type '<i8'"),
            (file(">f4", "False", "(1, 1)", &four), "type '>f4'"),
            (file("<f4", "True", "(1, 1)", &four), "Fortran order"),
            (file("<f4", "False", "(1, 1, 1)", &four), "3 dimensions"),
            (file("<f4", "False", "(2, 1)", &four), "2 rows of 1 numbers"),
            (file("<f4", "False", "(1, 0)", &[]), "rows of 0 numbers"),
            (file("<f4", "False", "(18446744073709551615, 1000000)", &four), "takes more"),
            (file("<f4", "False", "(1, 1)", &four)[..20].to_vec(), "ends inside"),
        ] {
            let problem = array(bytes, None).err().unwrap().to_string();
            assert!(problem.contains(words), "{words}: {problem}");
        }
    }
}
