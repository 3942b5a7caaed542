//! Who asks: one layer under every route and every method, so that none can be forgotten.

use crate::gateway::Gateway;
use crate::http::Problem;
use crate::metrics::Rejection;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN};
use http::{HeaderMap, Uri};
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

/// Refuses whoever does not show the operator's key, if there is one. Without one, refuses pages of other
/// sites: everybody who reaches the port may do anything, but the browser of somebody who can reach it lends
/// that reach to every page it shows.
pub async fn require_identity(State(gateway): State<Arc<Gateway>>, request: Request, next: Next) -> Response {
    if is_open(request.uri().path()) {
        return next.run(request).await;
    }
    let Some(key) = gateway.admin_key() else {
        if is_cross_site(request.headers(), request.uri()) {
            gateway.metrics().rejected(Rejection::Origin);
            let reason = "a page of another site may not call this server: the Origin header is not of this \
                          host; call it from its own pages, or not from a browser";
            return Problem(Fault::new(Code::Forbidden, reason)).into_response();
        }
        return next.run(request).await;
    };
    let reason = match bearer(request.headers()) {
        Some(given) if bool::from(given.as_bytes().ct_eq(key.as_bytes())) => return next.run(request).await,
        Some(_) => {
            "the key is not valid; send the one that the server was started with (--admin-key-file or \
             VECTRON_ADMIN_KEY) as `Authorization: Bearer <key>`"
        }
        None => {
            "no credentials; send `Authorization: Bearer <key>` with the key that the server was started with \
             (--admin-key-file or VECTRON_ADMIN_KEY)"
        }
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

/// Whether a browser sends this for a page of another host. Only browsers send an origin.
fn is_cross_site(headers: &HeaderMap, uri: &Uri) -> bool {
    // HTTP/2 names the host in the address.
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).or(uri.authority().map(|a| a.as_str()));
    headers.get_all(ORIGIN).iter().any(|origin| {
        let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
        match (origin, host) {
            (Some((scheme, origin)), Some(host)) => {
                let usual = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
                let named = |host: &str| host.strip_suffix(usual).unwrap_or(host).to_ascii_lowercase();
                named(origin) != named(host)
            }
            _ => true,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_compared_with_the_host() {
        for (origin, host, foreign) in [
            ("http://localhost:8080", "localhost:8080", false),
            ("http://LocalHost:8080", "localhost:8080", false),
            ("http://localhost", "localhost:80", false),
            ("https://db.example", "db.example:443", false),
            ("http://[::1]:8080", "[::1]:8080", false),
            ("http://localhost:8081", "localhost:8080", true),
            ("https://evil.example", "localhost:8080", true),
            ("http://localhost:8080.evil.example", "localhost:8080", true),
            ("null", "localhost:8080", true),
            ("", "localhost:8080", true),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ORIGIN, origin.parse().expect("value"));
            headers.insert(HOST, host.parse().expect("value"));
            assert_eq!(is_cross_site(&headers, &Uri::from_static("/v1")), foreign, "{origin} at {host}");
            headers.remove(ORIGIN);
            assert!(!is_cross_site(&headers, &Uri::from_static("/v1")));
        }
    }
}
