//! How much at once: requests in work, and bytes of bodies and answers held for them.

use super::answer;
use crate::gateway::Gateway;
use crate::http::Problem;
use crate::knobs::GatewayKnobs;
use crate::metrics::{GatewayMetrics, Rejection};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use vectron_base::{Code, Fault};

/// What all requests together hold.
pub struct Load {
    requests: AtomicU64,
    held_bytes: AtomicU64,
    most_requests: u64,
    most_bytes: u64,
    metrics: GatewayMetrics,
}

impl Load {
    /// Nothing yet, within the knobs' limits.
    pub fn new(knobs: &GatewayKnobs, metrics: GatewayMetrics) -> Arc<Self> {
        Arc::new(Self {
            requests: AtomicU64::new(0),
            held_bytes: AtomicU64::new(0),
            most_requests: knobs.max_requests,
            most_bytes: knobs.max_held_bytes,
            metrics,
        })
    }

    /// A place for one request.
    pub fn enter(self: &Arc<Self>) -> Result<Arc<Admitted>, Fault> {
        let place = Arc::new(Admitted { load: self.clone(), bytes: AtomicU64::new(0) });
        if self.requests.fetch_add(1, Ordering::SeqCst) < self.most_requests {
            return Ok(place);
        }
        self.metrics.rejected(Rejection::Requests);
        Err(overloaded(format!("{} requests are in work, which is the limit", self.most_requests)))
    }
}

fn overloaded(detail: String) -> Fault {
    const PAUSE_MS: u64 = 1_000;
    Fault::new(Code::Overloaded, detail).retry_after(PAUSE_MS)
}

/// One request's place, until its answer is sent; dropping it gives back what it held.
pub struct Admitted {
    load: Arc<Load>,
    bytes: AtomicU64,
}

impl Admitted {
    /// The request holds so many more bytes.
    pub fn hold(&self, bytes: usize) -> Result<(), Fault> {
        let bytes = bytes as u64;
        self.bytes.fetch_add(bytes, Ordering::SeqCst);
        self.load.metrics.holds(bytes as i64);
        let held = self.load.held_bytes.fetch_add(bytes, Ordering::SeqCst) + bytes;
        if held <= self.load.most_bytes {
            return Ok(());
        }
        self.load.metrics.rejected(Rejection::HeldBytes);
        Err(overloaded(
            "the bodies and answers of the requests in work fill the memory set aside for them".into(),
        ))
    }
}

impl Admitted {
    /// The request holds so many bytes less: a part of it is done.
    pub fn release(&self, bytes: usize) {
        let bytes = bytes as u64;
        let held = self
            .bytes
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |held| Some(held.saturating_sub(bytes)));
        let released = held.unwrap_or(0).min(bytes);
        self.load.held_bytes.fetch_sub(released, Ordering::SeqCst);
        self.load.metrics.holds(-(released as i64));
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.load.requests.fetch_sub(1, Ordering::SeqCst);
        let bytes = *self.bytes.get_mut();
        self.load.held_bytes.fetch_sub(bytes, Ordering::SeqCst);
        self.load.metrics.holds(-(bytes as i64));
    }
}

/// Whether a path is for watching the server, which must work while it is busy.
fn is_for_watching(path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz" | "/metrics") || path.starts_with("/grpc.health.v1.Health/")
}

/// Takes a place for the request, or refuses it before its body is read.
pub async fn admit(State(gateway): State<Arc<Gateway>>, mut request: Request, next: Next) -> Response {
    if is_for_watching(request.uri().path()) {
        return next.run(request).await;
    }
    match gateway.load().enter() {
        Ok(place) => {
            request.extensions_mut().insert(place.clone());
            let response = next.run(request).await;
            match answer::hold(&gateway, place, response) {
                Ok(response) => response,
                Err(fault) => Problem(fault).into_response(),
            }
        }
        Err(fault) => Problem(fault).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_bytes_come_back() {
        let knobs = GatewayKnobs { max_requests: 2, max_held_bytes: 10, ..GatewayKnobs::default() };
        let load = Load::new(&knobs, GatewayMetrics::default());
        let (a, b) = (load.enter().expect("first"), load.enter().expect("second"));
        assert_eq!(load.enter().err().map(|fault| fault.code), Some(Code::Overloaded));
        assert!(a.hold(6).is_ok());
        assert_eq!(b.hold(6).err().map(|fault| fault.retry_after_ms), Some(Some(1_000)));
        drop((a, b));
        let again = load.enter().expect("a place again");
        assert!(again.hold(10).is_ok());
    }
}
