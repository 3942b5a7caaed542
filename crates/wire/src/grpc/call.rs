//! The caller's half of every call.

use super::MessageLimits;
use super::key::ClusterKey;
use super::method::Method;
use crate::fault_table::from_status;
use prost::{DecodeError, Message};
use std::error::Error;
use std::marker::PhantomData;
use std::time::Duration;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{ConnectError, Request, Status};
use vectron_base::{Code, Fault, Outcome};

/// Time on top of what the callee was given, so that its own `deadline_exceeded`, which knows the outcome,
/// arrives before ours, which does not.
pub(crate) const ANSWER_SLACK: Duration = Duration::from_millis(200);
/// Longest wait that is announced: far beyond any sensible one, and within what the header can say.
const WAIT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The other side of a connection.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    /// Connection, shared by all calls.
    pub(super) channel: Channel,
    /// How large messages may be.
    pub(super) limits: MessageLimits,
    /// What it is, for people.
    pub(super) name: &'static str,
    /// Shown with every call.
    pub(super) key: Option<ClusterKey>,
}

impl Peer {
    /// Sends the request and reads the answer; the callee has `wait` to give it.
    pub(super) async fn call<M, R, A>(
        &self,
        method: Method<M, R>,
        request: impl Into<M>,
        wait: Duration,
    ) -> Result<A, Fault>
    where
        M: Message + 'static,
        R: Message + Default + 'static,
        A: TryFrom<R, Error = Fault>,
    {
        let message = request.into();
        method.check_request(&message, self.limits.send)?;
        let mut request = Request::new(message);
        if let Some(key) = &self.key {
            key.attach(request.metadata_mut());
        }
        request.set_timeout(wait.saturating_add(ANSWER_SLACK).min(WAIT_MAX));

        let mut grpc = Grpc::new(self.channel.clone()).max_decoding_message_size(self.limits.receive);
        grpc.ready().await.map_err(|_| self.unreachable())?;
        let path = PathAndQuery::from_static(method.path);
        let answer = grpc.unary(request, path, CallCodec::<M, R>::default()).await;
        let answer = answer.map_err(|status| self.fault_of(&status, method.lost()))?;
        let malformed = |what: String| {
            Fault::internal(format!("the {} gave a malformed answer: {what}", self.name))
                .with_outcome(method.lost())
        };
        let message = answer.into_inner().map_err(|error| malformed(error.to_string()))?;
        A::try_from(message).map_err(|fault| malformed(fault.detail))
    }

    /// The callee's own fault if the status carries one; else the connection's, with the outcome that a call
    /// without an answer has.
    fn fault_of(&self, status: &Status, lost: Outcome) -> Fault {
        if never_connected(status) {
            return self.unreachable();
        }
        let mut fault = from_status(status);
        if status.details().is_empty() {
            fault.outcome = lost;
            fault.detail = match fault.code {
                Code::TooLarge => format!("a message to or from the {} is over its size limit", self.name),
                Code::DeadlineExceeded => format!("the {} did not answer in time", self.name),
                _ => format!("the {} gave no answer: {}", self.name, status.message()),
            };
        }
        fault
    }

    /// Nothing was sent, so nothing happened.
    fn unreachable(&self) -> Fault {
        Fault::new(Code::Unavailable, format!("the {} cannot be reached", self.name))
    }
}

pub(super) fn never_connected(status: &Status) -> bool {
    let mut source = status.source();
    while let Some(error) = source {
        if error.is::<ConnectError>() {
            return true;
        }
        source = error.source();
    }
    false
}

/// Encodes requests; hands out what an answer decodes to, since an answer that does not decode says nothing
/// of what became of the call and must not look like the callee's own fault.
struct CallCodec<M, R>(PhantomData<(M, R)>);

impl<M, R> Default for CallCodec<M, R> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<M: Message + 'static, R: Message + Default + 'static> Codec for CallCodec<M, R> {
    type Encode = M;
    type Decode = Result<R, DecodeError>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self::default()
    }
    fn decoder(&mut self) -> Self {
        Self::default()
    }
}

impl<M: Message + 'static, R> Encoder for CallCodec<M, R> {
    type Item = M;
    type Error = Status;

    fn encode(&mut self, message: M, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        message.encode(buffer).map_err(|_| Status::internal("the request could not be encoded"))
    }
}

impl<M, R: Message + Default + 'static> Decoder for CallCodec<M, R> {
    type Item = Result<R, DecodeError>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Self::Item>, Status> {
        Ok(Some(R::decode(buffer)))
    }
}
