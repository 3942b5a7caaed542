//! Plain HTTP and JSON, for what has no gRPC call. Uses the client half of the HTTP library that is in the program
//! anyway.

use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use std::fmt::Write;
use std::time::Duration;
use vectron_base::{Code, Fault, FieldError, Outcome};
use vectron_client::Error;

type Body = Full<std::io::Cursor<Vec<u8>>>;

const ATTEMPT_TIME: Duration = Duration::from_secs(60);
const ANSWER_LIMIT: usize = 64 << 20;

/// A server behind HTTP.
#[derive(Clone)]
pub struct Http {
    client: HttpClient<HttpConnector, Body>,
    base: String,
    authorization: Option<String>,
}

impl Http {
    /// The server at `url`; nothing is sent yet.
    pub fn new(url: &str, key: Option<&str>) -> Result<Self, Error> {
        let base = url.trim_end_matches('/').to_string();
        if !base.starts_with("http://") {
            let detail =
                format!("'{url}' does not start with http://; give an address such as http://127.0.0.1:8080");
            return Err(Error::local(Code::InvalidArgument, detail));
        }
        let client = HttpClient::builder(TokioExecutor::new()).build_http();
        Ok(Self { client, base, authorization: key.map(|key| format!("Bearer {}", key.trim())) })
    }

    /// Sends a request and reads the JSON answer.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Error> {
        let answer = self.send(method, path, body.map(Value::to_string)).await?;
        if answer.is_empty() { Ok(Value::Null) } else { parse(&answer) }
    }

    /// Sends a request and gives the answer's body.
    pub async fn send(&self, method: Method, path: &str, body: Option<String>) -> Result<Vec<u8>, Error> {
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
        let response = self.client.request(request).await.map_err(|error| {
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

fn unknown(code: Code, detail: String) -> Error {
    let mut error = Error::local(code, detail);
    error.fault.outcome = Outcome::Unknown;
    error
}

/// The fault of an answer that is not what the contract says.
pub fn not_understood(error: &serde_json::Error) -> Error {
    Error::local(Code::Internal, format!("the server's answer is not what the contract says: {error}"))
}

/// The JSON of an answer.
pub fn parse(answer: &[u8]) -> Result<Value, Error> {
    serde_json::from_slice(answer).map_err(|error| not_understood(&error))
}

/// A name as one part of a path.
pub fn escaped(name: &str) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

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
