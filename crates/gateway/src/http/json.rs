//! Strict JSON in, JSON out. A body is read once, within its limits, and decoded straight into its type; only
//! when that fails it is decoded again to find out where.

use super::edge::Problem;
use super::strict::ByName;
use crate::admit::{Admitted, ReadBytes};
use crate::gateway::Gateway;
use crate::knobs::{millis, size};
use crate::weight::Weighed;
use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::BodyExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use std::sync::Arc;
use vectron_base::pool::{Lane, compute, within};
use vectron_base::{Code, Fault};

/// An answer's body.
pub struct Json<T>(pub StatusCode, pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        let Ok(bytes) = serde_json::to_vec(&self.1) else {
            return Problem(Fault::internal("the answer could not be encoded")).into_response();
        };
        let mut response = Response::new(Body::from(bytes));
        *response.status_mut() = self.0;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}

/// The answer to a read, which says about how much it weighs.
pub struct Read<T>(pub T);

impl<T: Serialize + Weighed> IntoResponse for Read<T> {
    fn into_response(self) -> Response {
        let weight = self.0.weight();
        let mut response = Json(StatusCode::OK, self.0).into_response();
        response.extensions_mut().insert(ReadBytes(weight));
        response
    }
}

/// The body of a request as its type.
pub async fn body_of<T: DeserializeOwned + Send + 'static>(
    gateway: &Gateway,
    request: Request,
) -> Result<T, Fault> {
    check_content(request.headers())?;
    let wait = millis(gateway.knobs().body_timeout_ms);
    let bytes = match within(&gateway.parts.pool, wait, read(gateway, request)).await {
        Some(bytes) => bytes?,
        None => {
            let detail = format!("the body did not arrive within {} ms", wait.as_millis());
            return Err(Fault::new(Code::DeadlineExceeded, detail));
        }
    };
    if bytes.len() < LARGE_BYTES {
        return decode(&bytes);
    }
    let decoded = compute(&gateway.parts.pool, Lane::Read, move || decode(&bytes)).await;
    decoded.unwrap_or_else(|| Err(Fault::new(Code::Unavailable, "the server is stopping")))
}

/// From this size on, decoding takes long enough to hold up other requests on the same thread.
const LARGE_BYTES: usize = 256 * 1_024;
/// Most bytes reserved before any have come.
const RESERVE_BYTES: usize = 16 * 1_024 * 1_024;

/// Refuses bodies that say they are something else. Saying nothing is fine.
fn check_content(headers: &HeaderMap) -> Result<(), Fault> {
    if let Some(kind) = headers.get(CONTENT_TYPE) {
        let kind = kind.to_str().unwrap_or("?");
        let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if essence != "application/json" && !essence.ends_with("+json") {
            return Err(Fault::invalid("content-type", format!("is {kind}; send application/json")));
        }
    }
    // What the decompression layer understood, it removed.
    match headers.get(CONTENT_ENCODING).map(|coding| coding.as_bytes()) {
        None | Some(b"identity") => Ok(()),
        Some(_) => Err(Fault::invalid("content-encoding", "is not supported; send gzip or none")),
    }
}

fn too_large(limit: usize) -> Fault {
    Fault::new(Code::TooLarge, format!("the body has more than {limit} bytes, which is the limit"))
}

async fn read(gateway: &Gateway, request: Request) -> Result<Vec<u8>, Fault> {
    let limit = size(gateway.knobs().max_body_bytes);
    let place = request.extensions().get::<Arc<Admitted>>().cloned();
    let announced =
        request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let announced: usize = announced.unwrap_or(0);
    let mut body = request.into_body();
    if announced > limit {
        discard(body, limit).await;
        return Err(too_large(limit));
    }
    let expected = usize::try_from(body.size_hint().lower()).unwrap_or(0).min(limit).min(RESERVE_BYTES);
    let mut bytes = Vec::with_capacity(expected);
    while let Some(frame) = body.frame().await {
        let unreadable =
            |_| Fault::new(Code::InvalidArgument, "the body could not be read, or is not valid gzip");
        let Ok(data) = frame.map_err(unreadable)?.into_data() else { continue };
        if bytes.len() + data.len() > limit {
            drop(bytes);
            discard(body, limit).await;
            return Err(too_large(limit));
        }
        if let Some(place) = &place {
            place.hold(data.len())?;
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

/// Reads on without keeping anything: a client that sends all before it listens would see a reset connection
/// in place of the refusal. Bounded, for nobody may keep us reading.
async fn discard(mut body: Body, limit: usize) {
    let mut allowance = limit.saturating_mul(2);
    while let Some(Ok(frame)) = body.frame().await {
        let length = frame.data_ref().map_or(0, |data| data.len());
        if length > allowance {
            return;
        }
        allowance -= length;
    }
}

/// The value of a text, or what is wrong with it and where.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = T::deserialize(ByName(&mut deserializer));
    value.and_then(|value| deserializer.end().map(|()| value)).map_err(|error| explain::<T>(bytes, &error))
}

fn explain<T: DeserializeOwned>(bytes: &[u8], error: &serde_json::Error) -> Fault {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Fault::new(Code::InvalidArgument, "the body is empty; send a JSON object");
    }
    if error.classify() != Category::Data {
        let detail = format!("the body is not valid JSON: {error}");
        return Fault::new(Code::InvalidArgument, detail);
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    match serde_path_to_error::deserialize::<_, T>(ByName(&mut deserializer)) {
        Err(found) => {
            let path = found.path().to_string();
            wrong_field(if path == "." { "" } else { &path }, &found.inner().to_string())
        }
        Ok(_) => Fault::new(Code::InvalidArgument, format!("the body is not what was expected: {error}")),
    }
}

/// A decoding error as a fault on a field, in words that do not come from the decoder.
fn wrong_field(path: &str, message: &str) -> Fault {
    let (message, place) = match message.rfind(" at line ") {
        Some(at) => (&message[..at], format!(" (line {})", message[at + 9..].replace(" column", ", column"))),
        None => (message, String::new()),
    };
    if let Some(rest) = message.strip_prefix("unknown field ") {
        // `topk`, expected one of `vector`, `top_k` …
        let mut names = rest.split('`').skip(1).step_by(2);
        let field = names.next().unwrap_or_default();
        return unknown_field(path, field, &names.collect::<Vec<_>>(), &place);
    }
    let named = |prefix: &str| Some(message.strip_prefix(prefix)?.trim_matches('`').to_string());
    if let Some(field) = named("missing field ") {
        return Fault::invalid(join(path, &field), format!("is missing{place}"));
    }
    if let Some(field) = named("duplicate field ") {
        return Fault::invalid(join(path, &field), format!("is given twice{place}"));
    }
    let reason = message
        .replace("invalid type: ", "has the wrong type: got ")
        .replace("invalid value: ", "is out of range: got ")
        .replace("invalid length ", "has the wrong length: got ")
        .replace("expected u64", "expected a whole number, 0 or more")
        .replace("expected f32", "expected a number")
        .replace("expected a sequence", "expected a list");
    let subject = if path.is_empty() { "body" } else { path.strip_suffix(".?").unwrap_or(path) };
    let reason = match reason.find(", expected struct ") {
        Some(at) => format!("{}, expected an object", &reason[..at]),
        None => reason,
    };
    Fault::invalid(subject, format!("{reason}{place}"))
}

/// A name that is not known, with the nearest one that is.
pub fn unknown_field(path: &str, field: &str, known: &[&str], place: &str) -> Fault {
    let near = known
        .iter()
        .map(|name| (strsim::jaro_winkler(field, name), *name))
        .filter(|(likeness, _)| *likeness >= 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let hint = match near {
        Some((_, name)) => format!("did you mean '{name}'?"),
        None if known.is_empty() => "no field is accepted here".into(),
        None => format!("known fields: {}", known.join(", ")),
    };
    let path = path.strip_suffix(&format!(".{field}")).unwrap_or(if path == field { "" } else { path });
    Fault::invalid(join(path, field), format!("is not a known field{place}; {hint}"))
}

fn join(path: &str, field: &str) -> String {
    let path = path.strip_suffix(".?").unwrap_or(if path == "?" { "" } else { path });
    if path.is_empty() { field.to_string() } else { format!("{path}.{field}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{SearchRequest, UpsertRequest};

    fn upsert(text: &str) -> (String, String) {
        let fault = decode::<UpsertRequest>(text.as_bytes()).expect_err(text);
        assert_eq!(fault.code, Code::InvalidArgument);
        (fault.errors.first().map_or_else(String::new, |e| e.field.clone()), fault.detail)
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        for (text, field, words) in [
            ("", "", "empty"),
            ("{\"points\": [}", "", "line 1 column 13"),
            ("{\"points\": []} x", "", "trailing characters at line 1"),
            ("[]", "body", "expected an object"),
            (r#"[[], null, null]"#, "body", "got sequence, expected an object"),
            (
                r#"{"points": [["a", [1], null, null, null]]}"#,
                "points[0]",
                "got sequence, expected an object",
            ),
            (r#"{"points": [{"id": "a"}, 7]}"#, "points[1]", "expected an object"),
            ("{}", "points", "is missing"),
            (r#"{"points": [], "points": []}"#, "points", "twice"),
            (r#"{"points": 7}"#, "points", "expected a list"),
            (r#"{"pionts": []}"#, "pionts", "did you mean 'points'?"),
            (r#"{"points": [], "zzzz": 1}"#, "zzzz", "known fields: points, idempotency_key, timeout_ms"),
            (r#"{"points": [], "collection": "x"}"#, "collection", "not a known field"),
            (r#"{"points": [{"id": "a", "vektor": []}]}"#, "points[0].vektor", "did you mean 'vector'?"),
            (
                r#"{"points": [{"id": "a"}, {"id": "b", "vector": [1, "x"]}]}"#,
                "points[1].vector[1]",
                "expected a number",
            ),
            (r#"{"points": [{"id": 1.5}]}"#, "points[0].id", "a string or an integer"),
            (r#"{"points": [{"id": true}]}"#, "points[0].id", "a string or an integer"),
            (r#"{"points": [{"id": 1e3}]}"#, "points[0].id", "a string or an integer"),
            (r#"{"points": [{"id": [1]}]}"#, "points[0].id", "got a list"),
            (r#"{"points": [{"id": "a", "vector_b64": "!"}]}"#, "points[0].vector_b64", "base64"),
            (r#"{"points": [{"id": "a", "if_version": -1}]}"#, "points[0].if_version", "0 or more"),
            (r#"{"points": [{"vector": [1]}]}"#, "points[0].id", "is missing"),
        ] {
            let (at, detail) = upsert(text);
            assert_eq!(at, field, "{text}: {detail}");
            assert!(detail.contains(words), "{text}: {detail}");
            assert!(!detail.contains("struct") && !detail.contains("u64"), "{detail}");
        }
    }

    #[test]
    fn consistency_is_a_name_or_an_object() {
        let level = |text: &str| {
            let body = format!(r#"{{"vector":[1],"consistency":{text}}}"#);
            decode::<SearchRequest>(body.as_bytes()).map(|request| request.consistency)
        };
        assert_eq!(level("null").expect("null"), None);
        assert_eq!(level(r#""eventual""#).expect("name").expect("some").level, "eventual");
        let bounded = level(r#"{"level":"bounded","max_staleness_ms":5}"#).expect("object").expect("some");
        assert_eq!(bounded.max_staleness_ms, Some(5));
        let fault = level(r#"{"level":"bounded","max_stalenes_ms":5}"#).expect_err("unknown");
        assert_eq!(fault.errors[0].field, "consistency.max_stalenes_ms");
        assert!(level("7").expect_err("number").detail.contains("a consistency level by name"));
    }

    #[test]
    fn parameters_are_an_object() {
        let fault = decode::<SearchRequest>(br#"{"vector":[1],"params":[0.9, 64, true]}"#).expect_err("list");
        assert_eq!(fault.errors[0].field, "params");
        assert!(fault.detail.contains("expected an object"), "{}", fault.detail);
    }

    #[test]
    fn whole_numbers_of_any_size_are_ids() {
        for (text, id) in [
            ("0", "0"),
            ("-0", "0"),
            ("-7", "-7"),
            ("18446744073709551616", "18446744073709551616"),
            ("-123456789012345678901234567890", "-123456789012345678901234567890"),
            (r#""a\u0062\n""#, "ab\n"),
            (r#""""#, ""),
        ] {
            let request =
                decode::<crate::api::BatchGetRequest>(format!(r#"{{"ids":[ {text} ]}}"#).as_bytes());
            assert_eq!(request.expect("decodes").ids[0].0, id, "{text}");
        }
    }

    #[test]
    fn payloads_are_kept_as_text() {
        let text = r#"{"points":[{"id":7,"vector":[1e39],"payload":{"n": 9007199254740993}}]}"#;
        let request = decode::<UpsertRequest>(text.as_bytes()).expect("decodes");
        assert_eq!(request.points[0].id.0, "7");
        assert_eq!(
            request.points[0].payload.as_ref().map(|p| p.as_str()),
            Some(r#"{"n": 9007199254740993}"#)
        );
        assert!(
            request.points[0].vector.as_ref().is_some_and(|v| v.unnamed().expect("a list")[0].is_infinite())
        );
    }
}
