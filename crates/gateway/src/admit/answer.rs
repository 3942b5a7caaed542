//! Answers on their way out. An answer keeps its request's place, and counts among the bytes held, until its
//! client has taken it; a client that takes nothing for too long loses it.
//!
//! The body is handed on in small pieces, so that neither protocol's own buffers swallow a large answer whole
//! and let its place go while its bytes are still here. Nobody asks a body for more while its client does not
//! read, so a task beside it watches for progress.

use super::load::Admitted;
use crate::gateway::Gateway;
use crate::knobs::millis;
use crate::metrics::{InFlight, Rejection};
use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use futures::channel::oneshot;
use futures::future::{Either, select};
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use vectron_base::Fault;
use vectron_base::pool::Pool;

/// Most bytes handed on at once. Answers up to this size are not worth watching.
const PIECE_BYTES: usize = 16 * 1_024;

/// Marks the answer to a read, which may be refused when there is no room for it: about so many bytes.
#[derive(Clone, Copy)]
pub struct ReadBytes(pub u64);

/// Holds the place until the answer is sent, or refuses an answer that there is no room for.
pub fn hold(gateway: &Gateway, place: Arc<Admitted>, response: Response) -> Result<Response, Fault> {
    let read = response.extensions().get::<ReadBytes>().map(|bytes| bytes.0);
    let exact = response.body().size_hint().exact();
    let bytes = exact.or(read).unwrap_or(0);
    if bytes <= PIECE_BYTES as u64 {
        return Ok(response);
    }
    // What a write did must be told whatever it costs; what was only read can be read again.
    place
        .hold(usize::try_from(bytes).unwrap_or(usize::MAX))
        .or_else(|full| read.map_or(Ok(()), |_| Err(full)))?;
    let unsent = gateway.metrics().unsent_answer();
    let patience = millis(gateway.knobs().write_timeout_ms);
    Ok(response.map(|inner| {
        let (sent, ended) = oneshot::channel();
        let state = Arc::new(Mutex::new(Waiting {
            answer: Some(Answer { inner, rest: Bytes::new(), _place: place, _unsent: unsent }),
            moved: 0,
        }));
        let watch =
            watch(state.clone(), ended, gateway.parts.pool.clone(), patience, gateway.metrics().clone());
        gateway.parts.pool.spawn("gateway-answer", Box::pin(watch));
        Body::new(HeldBody { state, size: exact, _sent: sent })
    }))
}

/// What is freed when the answer is sent or given up.
struct Answer {
    inner: Body,
    /// What is left of the frame that came last.
    rest: Bytes,
    _place: Arc<Admitted>,
    _unsent: InFlight,
}

struct Waiting {
    /// `None` once it is sent or given up.
    answer: Option<Answer>,
    /// Pieces handed on so far.
    moved: u64,
}

async fn watch(
    state: Arc<Mutex<Waiting>>,
    mut ended: oneshot::Receiver<()>,
    pool: Arc<dyn Pool>,
    patience: Duration,
    metrics: crate::metrics::GatewayMetrics,
) {
    let mut before = 0;
    while let Either::Right(_) = select(&mut ended, pool.sleep(patience)).await {
        let mut waiting = state.lock();
        if waiting.moved == before {
            if waiting.answer.take().is_some() {
                metrics.rejected(Rejection::SlowReader);
            }
            return;
        }
        before = waiting.moved;
    }
}

struct HeldBody {
    state: Arc<Mutex<Waiting>>,
    size: Option<u64>,
    /// Ends the watch when the body is dropped.
    _sent: oneshot::Sender<()>,
}

impl Drop for HeldBody {
    fn drop(&mut self) {
        self.state.lock().answer = None;
    }
}

impl Answer {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if !self.rest.is_empty() {
            let piece = self.rest.split_to(self.rest.len().min(PIECE_BYTES));
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(mut data) => {
                    let piece = data.split_to(data.len().min(PIECE_BYTES));
                    self.rest = data;
                    Poll::Ready(Some(Ok(Frame::data(piece))))
                }
                Err(frame) => Poll::Ready(Some(Ok(frame))),
            },
            other => other,
        }
    }
}

impl HttpBody for HeldBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut waiting = self.state.lock();
        let Some(answer) = waiting.answer.as_mut() else {
            return Poll::Ready(Some(Err(axum::Error::new(std::io::Error::from(
                std::io::ErrorKind::TimedOut,
            )))));
        };
        let polled = answer.poll(cx);
        if polled.is_ready() {
            waiting.moved += 1;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        let waiting = self.state.lock();
        waiting.answer.as_ref().is_some_and(|answer| answer.rest.is_empty() && answer.inner.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        // As it was before the first piece: the head is written from it.
        self.size.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
