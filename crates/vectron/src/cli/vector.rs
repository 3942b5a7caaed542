//! Query vectors as people give them: a list, a JSON file, or a NumPy file.

use super::exit::{Failure, Outcome};
use crate::formats::{npy, source};
use std::path::Path;
use vectron_client::Consistency;

/// The vector of `[0.1, …]`, `@file.json` or `@file.npy` (its row `row`).
pub fn read(text: &str, row: u64) -> Outcome<Vec<f32>> {
    let Some(path) = text.strip_prefix('@') else {
        return list(text, "--vector");
    };
    if path.to_ascii_lowercase().ends_with(".npy") {
        return from_npy(Path::new(path), row);
    }
    let bytes = super::read_user_file(Path::new(path))?;
    list(&String::from_utf8_lossy(&bytes), path)
}

fn list(text: &str, place: &str) -> Outcome<Vec<f32>> {
    let vector: Vec<f32> = serde_json::from_str(text).map_err(|error| {
        Failure::usage(format!("{place}: expected a JSON list of numbers: {error}"))
            .fix("--vector '[0.1, 0.2]', --vector @query.json or --vector @query.npy")
    })?;
    match vector.iter().position(|number| !number.is_finite()) {
        Some(at) => Err(Failure::usage(format!("{place}: number {at} is not finite as a 32-bit float"))),
        None => Ok(vector),
    }
}

fn from_npy(path: &Path, row: u64) -> Outcome<Vec<f32>> {
    let wrong = |problem| Failure::usage(format!("{}: {problem}", path.display()));
    let mut array = npy::Array::new(source::open(path).map_err(wrong)?, None).map_err(wrong)?;
    if row >= array.rows() {
        let rows = array.rows();
        return Err(Failure::usage(format!(
            "{}: has {rows} rows, --row {row} is past the end",
            path.display()
        )));
    }
    if row > 0 {
        crate::formats::Rows::skip_through(&mut array, row - 1).map_err(wrong)?;
    }
    match array.next_vector() {
        Some(vector) => vector.map_err(wrong),
        None => Err(Failure::usage(format!("{}: ends before row {row}", path.display()))),
    }
}

/// `linearizable`, `eventual`, `bounded:500` (milliseconds) or `session:TOKEN`.
pub fn consistency(text: &str) -> Result<Consistency, String> {
    match text.split_once(':') {
        None if text == "linearizable" => Ok(Consistency::Linearizable),
        None if text == "eventual" => Ok(Consistency::Eventual),
        Some(("bounded", ms)) => {
            let ms = ms.strip_suffix("ms").unwrap_or(ms);
            ms.parse()
                .map(Consistency::Bounded)
                .map_err(|_| format!("'{ms}' is not a number of milliseconds"))
        }
        Some(("session", token)) if !token.is_empty() => Ok(Consistency::Session(token.into())),
        _ => Err("expected linearizable, eventual, bounded:MILLISECONDS or session:TOKEN".into()),
    }
}

/// A filter argument: any JSON object. The server checks the language.
pub fn filter(text: &str) -> Result<String, String> {
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(serde_json::Value::Object(_)) => Ok(text.to_string()),
        Ok(_) => Err("expected a JSON object such as {\"section\": \"libs\"}".into()),
        Err(error) => Err(format!("not JSON: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::exit::Exit;

    #[test]
    fn lists_are_read_and_mistakes_are_usage_errors() {
        assert_eq!(read("[1, -2.5, 3e2]", 0).unwrap(), [1.0, -2.5, 300.0]);
        for bad in ["[1, \"x\"]", "1", "", "[1e39]", "@/nonexistent/q.npy"] {
            assert_eq!(read(bad, 0).unwrap_err().exit, Exit::Usage, "{bad}");
        }
        assert_eq!(read("@/nonexistent/q.json", 0).unwrap_err().exit, Exit::Error);
    }

    #[test]
    fn levels_and_filters() {
        assert_eq!(consistency("bounded:500"), Ok(Consistency::Bounded(500)));
        assert_eq!(consistency("bounded:500ms"), Ok(Consistency::Bounded(500)));
        assert_eq!(consistency("session:abc:d"), Ok(Consistency::Session("abc:d".into())));
        for bad in ["", "strong", "bounded", "bounded:x", "session:"] {
            assert!(consistency(bad).is_err(), "{bad}");
        }
        assert!(filter(r#"{"a": 1}"#).is_ok());
        assert!(filter("[1]").is_err() && filter("a=1").is_err());
    }
}
