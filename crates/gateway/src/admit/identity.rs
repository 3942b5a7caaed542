//! Who asks: one layer under every route and every method, so that none can be forgotten.

use crate::gateway::Gateway;
use crate::http::Problem;
use crate::metrics::Rejection;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use std::sync::Arc;
use subtle::ConstantTimeEq;
use vectron_base::{Code, Fault};

/// Paths that tell nothing about anybody's data: liveness for probes, the contract for readers.
const OPEN: [&str; 5] = ["/", "/healthz", "/readyz", "/openapi.json", "/docs"];
const OPEN_BELOW: [&str; 2] = ["/docs/", "/grpc.health.v1.Health/"];

fn is_open(path: &str) -> bool {
    OPEN.contains(&path) || OPEN_BELOW.iter().any(|prefix| path.starts_with(prefix))
}

/// Whether a request speaks gRPC, and must be answered in it.
pub fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(|value| value.as_bytes());
    kind.is_some_and(|kind| kind.starts_with(b"application/grpc"))
}

/// Refuses whoever does not show the operator's key, if there is one.
pub async fn require_identity(State(gateway): State<Arc<Gateway>>, request: Request, next: Next) -> Response {
    let Some(key) = gateway.admin_key() else {
        return next.run(request).await;
    };
    if is_open(request.uri().path()) {
        return next.run(request).await;
    }
    let reason = match bearer(request.headers()) {
        Some(given) if bool::from(given.as_bytes().ct_eq(key.as_bytes())) => return next.run(request).await,
        Some(_) => "the key is not valid; send the key in DIR/operator.key as `Authorization: Bearer <key>`",
        None => "no credentials; send `Authorization: Bearer <key>`",
    };
    gateway.metrics().rejected(Rejection::Identity);
    Problem(Fault::new(Code::Unauthenticated, reason)).into_response()
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next()?.to_str().ok()?;
    if values.next().is_some() {
        return None;
    }
    let (scheme, key) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}
