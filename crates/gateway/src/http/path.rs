//! Names in paths. Ids are any text, so they are percent-encoded, and `a%2Fb` is one id.

use vectron_base::Fault;

/// The collection in `/v1/collections/{collection}/…`.
pub fn collection_in(path: &str) -> Result<String, Fault> {
    decoded("collection", segment(path, 3))
}

/// The id in `/v1/collections/{collection}/points/{id}`.
pub fn id_in(path: &str) -> Result<String, Fault> {
    decoded("id", segment(path, 5))
}

/// The field in `/v1/collections/{collection}/indexes/{field}`.
pub fn field_in(path: &str) -> Result<String, Fault> {
    decoded("field", segment(path, 5))
}

/// The number at a position of the path, such as a worker's id.
pub fn number_in(field: &str, path: &str, at: usize) -> Result<u64, Fault> {
    let text = segment(path, at);
    text.parse().map_err(|_| Fault::invalid(field, format!("'{text}' in the path is not a number")))
}

fn segment(path: &str, at: usize) -> &str {
    path.split('/').nth(at).unwrap_or_default()
}

fn decoded(field: &str, segment: &str) -> Result<String, Fault> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| byte.and_then(|b| char::from(b).to_digit(16));
        match (digit(rest.next()), digit(rest.next())) {
            (Some(high), Some(low)) => bytes.push((high * 16 + low) as u8),
            _ => {
                return Err(Fault::invalid(
                    field,
                    "has a % in the path without two hexadecimal digits after it",
                ));
            }
        }
    }
    let not_text = |_| Fault::invalid(field, "is not UTF-8 after percent-decoding the path");
    String::from_utf8(bytes).map_err(not_text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_back_whole() {
        for (encoded, id) in [
            ("a%2Fb", "a/b"),
            ("..%2Fx", "../x"),
            ("%F0%9F%A6%80", "🦀"),
            ("a+b%20c", "a+b c"),
            ("%2e%2E", ".."),
        ] {
            let path = format!("/v1/collections/docs/points/{encoded}");
            assert_eq!(id_in(&path).as_deref(), Ok(id));
            assert_eq!(collection_in(&path).as_deref(), Ok("docs"));
        }
        for bad in ["%", "%2", "%zz", "%ff"] {
            assert!(id_in(&format!("/v1/collections/docs/points/{bad}")).is_err(), "{bad}");
        }
    }
}
