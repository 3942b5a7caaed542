//! Around the gRPC services: paced bodies, and our own words for what the gRPC library refuses by itself.

use crate::admit::Admitted;
use crate::gateway::Gateway;
use crate::knobs::millis;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use futures::future::BoxFuture;
use http_body::Frame;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tonic::Status;
use vectron_base::pool::Pool;
use vectron_base::{Code, Fault};
use vectron_wire::fault_table::to_status;

const GRPC_STATUS: &str = "grpc-status";
const GRPC_DETAILS: &str = "grpc-status-details-bin";

/// The answer to a method that does not exist: gRPC has a status of its own for that.
pub fn unknown_method(path: &str) -> Response {
    Status::unimplemented(format!("there is no method {path} here")).into_http()
}

/// Statuses that the gRPC library made by itself carry no details of ours. Those that blame the request get
/// them, under the code that the contract has for it.
pub fn own_words(response: Response, request_id: &str) -> Response {
    if response.headers().contains_key(GRPC_DETAILS) || !response.headers().contains_key(GRPC_STATUS) {
        return response;
    }
    let Some(status) = Status::from_header_map(response.headers()) else {
        return response;
    };
    let said = status.message();
    let fault = match status.code() {
        tonic::Code::OutOfRange => Fault::new(Code::TooLarge, format!("the message is too large: {said}")),
        // Our own internal faults carry details, so this is a body that is not a gRPC message.
        tonic::Code::Internal => Fault::new(
            Code::InvalidArgument,
            format!("the request is not a well-formed gRPC message: {said}"),
        ),
        _ => return response,
    };
    to_status(&fault, Some(request_id)).into_http()
}

/// Gives the request's body a time limit and counts its bytes.
pub async fn pace_body(State(gateway): State<Arc<Gateway>>, request: Request, next: Next) -> Response {
    let (parts, inner) = request.into_parts();
    let wait = millis(gateway.knobs().body_timeout_ms);
    let place = parts.extensions.get::<Arc<Admitted>>().cloned();
    // A stream of messages may last; only what it sends next may not take for ever.
    let again = parts.uri.path().ends_with("/UpsertStream").then(|| (gateway.parts.pool.clone(), wait));
    let over = gateway.parts.pool.sleep(wait);
    let body = PacedBody { inner, over, again, place, wait_ms: wait.as_millis() };
    next.run(Request::from_parts(parts, Body::new(body))).await
}

struct PacedBody {
    inner: Body,
    over: BoxFuture<'static, ()>,
    /// How the time begins anew with each piece.
    again: Option<(Arc<dyn Pool>, Duration)>,
    place: Option<Arc<Admitted>>,
    wait_ms: u128,
}

impl PacedBody {
    fn frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        if let (Poll::Ready(_), Some((pool, wait))) = (&polled, &self.again) {
            self.over = pool.sleep(*wait);
        } else if self.over.as_mut().poll(cx).is_ready() {
            let detail = format!("the message did not arrive within {} ms", self.wait_ms);
            return Poll::Ready(Some(Err(Fault::new(Code::DeadlineExceeded, detail))));
        }
        let Some(frame) = ready!(polled) else {
            return Poll::Ready(None);
        };
        let frame = frame.map_err(|_| Fault::new(Code::InvalidArgument, "the message could not be read"));
        Poll::Ready(Some(frame.and_then(|frame| {
            let bytes = frame.data_ref().map_or(0, |data| data.len());
            self.place.as_ref().map_or(Ok(()), |place| place.hold(bytes)).map(|()| frame)
        })))
    }
}

impl HttpBody for PacedBody {
    type Data = Bytes;
    type Error = Box<Status>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Box<Status>>>> {
        // The gRPC library finds a status among the causes of a body's error, and answers with it.
        self.frame(cx).map_err(|fault| Box::new(to_status(&fault, None)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }
}
