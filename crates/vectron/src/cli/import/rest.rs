//! Upserts over plain HTTP and JSON. Uses the client half of the HTTP library that is in the program anyway.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;
use vectron_base::{Code, Fault, FieldError, Outcome};
use vectron_client::{
    Batch, Collection, Consistency, Error, IndexSettings, RetryPolicy, RetryWatch, Sink, UpsertAnswer,
};

type Body = Full<std::io::Cursor<Vec<u8>>>;

const ATTEMPT_TIME: Duration = Duration::from_secs(60);
const ANSWER_LIMIT: usize = 64 << 20;

/// A server behind REST.
#[derive(Clone)]
pub struct Rest {
    http: HttpClient<HttpConnector, Body>,
    base: String,
    authorization: Option<String>,
    watch: Option<RetryWatch>,
}

impl Rest {
    /// Checks that a server answers at `url`.
    pub async fn connect(url: &str, key: Option<&str>) -> Result<Self, Error> {
        let base = url.trim_end_matches('/').to_string();
        if !base.starts_with("http://") {
            let detail =
                format!("'{url}' does not start with http://; give an address such as http://127.0.0.1:8080");
            return Err(Error::local(Code::InvalidArgument, detail));
        }
        let http = HttpClient::builder(TokioExecutor::new()).build_http();
        let authorization = key.map(|key| format!("Bearer {}", key.trim()));
        let rest = Self { http, base, authorization, watch: None };
        rest.send(Method::GET, "/healthz", None).await?;
        Ok(rest)
    }

    /// The same server, telling `watch` of every pause before another attempt.
    pub fn with_retry_watch(&self, watch: RetryWatch) -> Self {
        Self { watch: Some(watch), ..self.clone() }
    }

    /// A collection's settings.
    pub async fn collection(&self, name: &str) -> Result<Collection, Error> {
        let answer = self.send(Method::GET, &format!("/v1/collections/{}", escaped(name)), None).await?;
        collection(&parse(&answer)?)
    }

    /// Creates a collection.
    pub async fn create(&self, name: &str, dimension: u32, distance: &str) -> Result<Collection, Error> {
        let body = serde_json::json!({ "name": name, "dimension": dimension, "distance": distance });
        let answer = self.send(Method::POST, "/v1/collections", Some(body.to_string())).await?;
        let answer = parse(&answer)?;
        collection(answer.get("collection").unwrap_or(&answer))
    }

    async fn send(&self, method: Method, path: &str, body: Option<String>) -> Result<Vec<u8>, Error> {
        let attempt = self.attempt(method, path, body);
        match tokio::time::timeout(ATTEMPT_TIME, attempt).await {
            Ok(answer) => answer,
            Err(_) => {
                let detail = format!("no answer within {} s", ATTEMPT_TIME.as_secs());
                Err(unknown(Code::DeadlineExceeded, detail))
            }
        }
    }

    async fn attempt(&self, method: Method, path: &str, body: Option<String>) -> Result<Vec<u8>, Error> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let body = Full::new(std::io::Cursor::new(body.unwrap_or_default().into_bytes()));
        let request = request.body(body).map_err(|error| {
            Error::local(Code::InvalidArgument, format!("{}{path} cannot be asked for: {error}", self.base))
        })?;
        let response = self.http.request(request).await.map_err(|error| {
            let mut cause: &dyn std::error::Error = &error;
            while let Some(inner) = cause.source() {
                cause = inner;
            }
            let detail = format!("cannot reach {}: {cause}; is `vectron up` running there?", self.base);
            unknown(Code::Unavailable, detail)
        })?;
        let status = response.status();
        let answer = Limited::new(response.into_body(), ANSWER_LIMIT)
            .collect()
            .await
            .map_err(|error| unknown(Code::Unavailable, format!("the answer broke off: {error}")))?
            .to_bytes();
        if status.is_success() { Ok(answer.to_vec()) } else { Err(problem(status, &answer)) }
    }
}

impl Sink for Rest {
    fn send(&self, batch: Arc<Batch>) -> BoxFuture<'static, Result<UpsertAnswer, Error>> {
        let rest = self.clone();
        async move {
            let path = format!("/v1/collections/{}/points", escaped(&batch.collection));
            let body = body(&batch)?;
            let attempt = |_| async {
                let answer = rest.send(Method::POST, &path, Some(body.clone())).await?;
                serde_json::from_slice(&answer).map_err(|error| not_understood(&error))
            };
            RetryPolicy::patient().run_upsert(rest.watch.as_ref(), attempt).await
        }
        .boxed()
    }
}

fn unknown(code: Code, detail: String) -> Error {
    let mut error = Error::local(code, detail);
    error.fault.outcome = Outcome::Unknown;
    error
}

fn not_understood(error: &serde_json::Error) -> Error {
    Error::local(Code::Internal, format!("the server's answer is not what the contract says: {error}"))
}

fn parse(answer: &[u8]) -> Result<Value, Error> {
    serde_json::from_slice(answer).map_err(|error| not_understood(&error))
}

/// A name as one part of a path.
fn escaped(name: &str) -> String {
    let mut text = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            text.push(byte as char);
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// The JSON of a batch. Payloads go in as the text they came as.
fn body(batch: &Batch) -> Result<String, Error> {
    let quoted = |text: &str| serde_json::to_string(text).map_err(|error| not_understood(&error));
    let mut json = format!("{{\"idempotency_key\":{},\"points\":[", quoted(&batch.key)?);
    for (position, point) in batch.points.iter().enumerate() {
        if position > 0 {
            json.push(',');
        }
        let bytes: Vec<u8> = point.vector.iter().flat_map(|number| number.to_le_bytes()).collect();
        json.push_str("{\"id\":");
        json.push_str(&quoted(&point.id)?);
        json.push_str(",\"vector_b64\":\"");
        BASE64_STANDARD.encode_string(bytes, &mut json);
        json.push('"');
        if let Some(payload) = &point.payload {
            json.push_str(",\"payload\":");
            json.push_str(payload.as_str());
        }
        if let Some(version) = point.if_version {
            let _ = write!(json, ",\"if_version\":{version}");
        }
        json.push('}');
    }
    json.push_str("]}");
    Ok(json)
}

/// The error in a problem document, or in a status that carries none.
fn problem(status: StatusCode, answer: &[u8]) -> Error {
    let problem: Value = serde_json::from_slice(answer).unwrap_or_default();
    let text = |name: &str| problem.get(name).and_then(Value::as_str);
    let Some(code) = text("code").and_then(Code::parse) else {
        let code = match status.as_u16() {
            401 => Code::Unauthenticated,
            403 => Code::Forbidden,
            404 => Code::NotFound,
            413 => Code::TooLarge,
            429 => Code::RateLimited,
            502..=504 => Code::Unavailable,
            400..=499 => Code::InvalidArgument,
            _ => Code::Internal,
        };
        return unknown(code, format!("the server answered {status} without saying why"));
    };
    let mut fault = Fault::new(code, text("detail").unwrap_or_default());
    fault.outcome = text("outcome").and_then(Outcome::parse).unwrap_or(Outcome::Unknown);
    fault.retry_after_ms = problem.get("retry_after_ms").and_then(Value::as_u64);
    let errors = problem.get("errors").and_then(Value::as_array);
    fault.errors = errors
        .into_iter()
        .flatten()
        .filter_map(|error| serde_json::from_value::<FieldError>(error.clone()).ok())
        .collect();
    Error { fault, request_id: text("request_id").map(str::to_string) }
}

fn collection(answer: &Value) -> Result<Collection, Error> {
    let lacking = |name: &str| {
        Error::local(Code::Internal, format!("the server's description of the collection has no '{name}'"))
    };
    let number = |name: &str| answer.get(name).and_then(Value::as_u64);
    let text = |name: &str| answer.get(name).and_then(Value::as_str).map(str::to_string);
    let small = |name: &str| number(name).and_then(|n| u32::try_from(n).ok());
    Ok(Collection {
        name: text("name").ok_or_else(|| lacking("name"))?,
        dimension: small("dimension").ok_or_else(|| lacking("dimension"))?,
        distance: text("distance").ok_or_else(|| lacking("distance"))?,
        shards: small("shards").unwrap_or(1),
        replication_factor: small("replication_factor").unwrap_or(1),
        read_policy: Consistency::Linearizable,
        quantization: text("quantization").unwrap_or_default(),
        storage: text("storage").unwrap_or_default(),
        index: IndexSettings::default(),
        created_at_ms: number("created_at_ms").unwrap_or(0),
        incarnation: number("incarnation").unwrap_or(0),
        changeable: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use vectron_client::{Payload, PointInput};

    #[test]
    fn a_batch_is_json_with_exact_payloads() {
        let payload = Payload::from_json(r#"{"n":9007199254740993}"#.into()).unwrap();
        let batch = Batch {
            collection: "docs".into(),
            points: vec![
                PointInput::new("a\"b", vec![1.0]).payload(payload),
                PointInput::new("c", vec![2.0]).if_version(0),
            ],
            key: "k".into(),
        };
        assert_eq!(
            body(&batch).unwrap(),
            r#"{"idempotency_key":"k","points":[{"id":"a\"b","vector_b64":"AACAPw==","payload":{"n":9007199254740993}},{"id":"c","vector_b64":"AAAAQA==","if_version":0}]}"#
        );
    }

    #[test]
    fn problems_and_bare_statuses_become_faults() {
        let fault = Fault::invalid("points[7].vector", "has 767 numbers").retry_after(5);
        let document = vectron_wire::fault_table::to_problem(&fault, Some("r1")).to_string();
        let error = problem(StatusCode::BAD_REQUEST, document.as_bytes());
        assert_eq!((error.fault, error.request_id.as_deref()), (fault, Some("r1")));
        let error = problem(StatusCode::BAD_GATEWAY, b"<html>");
        assert_eq!((error.code(), error.outcome()), (Code::Unavailable, Outcome::Unknown));
    }

    #[test]
    fn names_are_escaped() {
        assert_eq!(escaped("a.b-c_1"), "a.b-c_1");
        assert_eq!(escaped("a/../ä"), "a%2F..%2F%C3%A4");
    }
}
