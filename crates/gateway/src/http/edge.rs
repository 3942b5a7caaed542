//! The outermost layer: request ids, every refusal as a problem (or a gRPC status), headers for browsers.

use crate::admit::is_grpc;
use crate::gateway::Gateway;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use std::sync::Arc;
use vectron_base::{Code, Fault};
use vectron_wire::fault_table::{row_of, to_problem, to_status};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The name of one request, in its answer and in every error.
#[derive(Clone)]
pub struct RequestId(pub Arc<str>);

/// A fault on its way out; the outermost layer gives it its body, since only there the request id is known.
pub struct Problem(pub Fault);

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::default();
        *response.status_mut() = status_of(self.0.code);
        response.extensions_mut().insert(Refused(self.0));
        response
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        Problem(fault)
    }
}

#[derive(Clone)]
struct Refused(Fault);

/// The fault with texts of bounded length: names in it may come from the caller, and over gRPC all of it
/// travels in headers.
pub fn brief(mut fault: Fault) -> Fault {
    const MOST_ERRORS: usize = 16;
    cut(&mut fault.detail);
    fault.errors.truncate(MOST_ERRORS);
    for error in &mut fault.errors {
        cut(&mut error.field);
        cut(&mut error.reason);
    }
    fault
}

fn cut(text: &mut String) {
    const MOST_BYTES: usize = 600;
    if text.len() > MOST_BYTES {
        text.truncate(text.floor_char_boundary(MOST_BYTES));
        text.push('…');
    }
}

fn status_of(code: Code) -> StatusCode {
    StatusCode::from_u16(row_of(code).http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// The id that came with the request, if it is fit to be repeated in headers and logs.
fn incoming_id(headers: &HeaderMap) -> Option<&str> {
    const LONGEST: usize = 128;
    let id = headers.get(REQUEST_ID)?.to_str().ok()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
    ((1..=LONGEST).contains(&id.len()) && id.bytes().all(plain)).then_some(id)
}

/// Names the request, runs it, and finishes its answer.
pub async fn finish(State(gateway): State<Arc<Gateway>>, mut request: Request, next: Next) -> Response {
    let id: Arc<str> = match incoming_id(request.headers()) {
        Some(id) => id.into(),
        None => gateway.fresh_id().into(),
    };
    let grpc = is_grpc(request.headers());
    request.extensions_mut().insert(RequestId(id.clone()));
    let mut response = next.run(request).await;
    if let Some(Refused(fault)) = response.extensions_mut().remove::<Refused>() {
        let fault = brief(fault);
        response = if grpc { to_status(&fault, Some(&id)).into_http() } else { problem(&fault, &id) };
    } else if grpc {
        response = crate::grpc::own_words(response, &id);
    } else if response.status() == StatusCode::METHOD_NOT_ALLOWED {
        response = wrong_method(&id);
    }
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, value);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn problem(fault: &Fault, id: &str) -> Response {
    let body = to_problem(fault, Some(id)).to_string();
    let mut response = Response::new(body.into());
    *response.status_mut() = status_of(fault.code);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if let Some(ms) = fault.retry_after_ms {
        headers.insert(RETRY_AFTER, HeaderValue::from(ms.div_ceil(1_000)));
    }
    if fault.code == Code::Unauthenticated {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// The router's own refusal of a method, as a problem that keeps the status. The router adds the list of
/// methods, as the `Allow` header, after this layer.
fn wrong_method(id: &str) -> Response {
    let detail = "this path does not take this method; the Allow header lists those that it takes";
    let fault = Fault::new(Code::InvalidArgument, detail);
    let mut body = to_problem(&fault, Some(id));
    body["status"] = StatusCode::METHOD_NOT_ALLOWED.as_u16().into();
    body["title"] = "Method not allowed".into();
    let mut response = problem(&fault, id);
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    *response.body_mut() = body.to_string().into();
    response
}
