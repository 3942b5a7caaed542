//! Random bytes are refused in words by every reader.

use super::object::Fields;
use super::source::Source;
use super::*;
use proptest::prelude::*;
use std::io::Cursor;

fn source(bytes: &[u8]) -> Result<Source, Problem> {
    Source::new(Cursor::new(bytes.to_vec()), Some(bytes.len() as u64))
}

/// Reads to the end; the number of rows is bounded by the number of bytes.
fn drain(mut rows: impl Rows, bytes: usize) {
    let ends = (0..=bytes + 1).any(|_| rows.next_row().is_none());
    assert!(ends, "a reader goes on after the end");
}

fn npy_like() -> impl Strategy<Value = Vec<u8>> {
    let header = "[{'a-z<>:, ()0-9TF]{0,80}";
    (header, prop::collection::vec(any::<u8>(), 0..64), 1_u8..4).prop_map(|(header, data, version)| {
        let mut bytes = vec![0x93, b'N', b'U', b'M', b'P', b'Y', version, 0];
        let length = header.len() as u32;
        if version == 1 {
            bytes.extend_from_slice(&(length as u16).to_le_bytes());
        } else {
            bytes.extend_from_slice(&length.to_le_bytes());
        }
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(&data);
        bytes
    })
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        let fields = Fields::new(None, "vector".into());
        if let Ok(source) = source(&bytes) {
            drain(jsonl::Lines::new(source, fields), bytes.len());
        }
        if let Ok(source) = source(&bytes) {
            drain(fvecs::Records::new(source, None), bytes.len());
        }
        if let Ok(Ok(array)) = source(&bytes).map(|source| npy::Array::new(source, None)) {
            drain(array, bytes.len());
        }
    }

    #[test]
    fn almost_arrays_never_panic(bytes in npy_like()) {
        if let Ok(Ok(array)) = source(&bytes).map(|source| npy::Array::new(source, None)) {
            drain(array, bytes.len());
        }
    }

    #[test]
    fn almost_objects_never_panic(text in r#"[{}\[\]:,"a-z0-9.eE+ \\-]{0,200}"#) {
        if let Ok(source) = source(text.as_bytes()) {
            drain(jsonl::Lines::new(source, Fields::new(None, "vector".into())), text.len());
        }
    }
}
