//! Messages of replicated logs over gRPC: one client stream for each pair of processes and direction, on a
//! connection of its own, so that they neither wait behind answers to searches nor overtake each other.
//!
//! A stream that broke may still have messages on their way when the next one begins. So each stream of a process
//! has a number, and the receiver drops what comes from an older stream than the newest it has seen.

use super::MessageLimits;
use super::dial::GrpcDialer;
use crate::codec::StrictCodec;
use crate::fault_table::{from_status, to_internal_status};
use crate::peer::{Carrier, Carriers, Inbox};
use crate::proto::peer as pb;
use crate::proto::peer::peer_service_server::{PeerService, PeerServiceServer};
use async_trait::async_trait;
use futures::channel::{mpsc, oneshot};
use futures::future::{Either, poll_fn, select};
use parking_lot::Mutex;
use prost::Message;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Request, Response, Status, Streaming};
use vectron_base::{Code, Fault, Outcome};

const EXCHANGE: &str = "/vectron.peer.v1.PeerService/Exchange";

/// The newest stream of one sending process. Locked while a batch is handed on, so that no two streams do at once.
#[derive(Default)]
struct Sender {
    newest: Mutex<u64>,
}

/// A sender while any stream of it is open, and how many are.
type Senders = Mutex<BTreeMap<u64, (Arc<Sender>, usize)>>;

/// Hands what comes over gRPC to an inbox.
pub struct PeerServer {
    inbox: Arc<dyn Inbox>,
    senders: Senders,
}

impl PeerServer {
    /// The tonic service of `inbox`. A batch larger than `limits.receive` breaks its stream.
    pub fn new(inbox: Arc<dyn Inbox>, limits: MessageLimits) -> PeerServiceServer<PeerServer> {
        PeerServiceServer::new(Self { inbox, senders: Senders::default() })
            .max_decoding_message_size(limits.receive)
    }
}

/// An open stream. Its sender is forgotten with its last one.
struct Open<'a> {
    senders: &'a Senders,
    id: u64,
    stream: u64,
    sender: Arc<Sender>,
}

impl<'a> Open<'a> {
    fn new(senders: &'a Senders, id: u64, stream: u64) -> Self {
        let mut known = senders.lock();
        let (sender, open) = known.entry(id).or_default();
        *open += 1;
        let sender = sender.clone();
        Self { senders, id, stream, sender }
    }

    /// Hands a batch on; refused when a newer stream of the sender has begun.
    fn receive(&self, batch: &pb::Batch, inbox: &dyn Inbox) -> Result<(), Status> {
        if (batch.sender, batch.stream) != (self.id, self.stream) {
            let fault = Fault::invalid("stream", "changed its sender or its number");
            return Err(to_internal_status(&fault));
        }
        let mut newest = self.sender.newest.lock();
        if self.stream < *newest {
            let fault = Fault::new(Code::Unavailable, "a newer stream of the same sender has begun");
            return Err(to_internal_status(&fault));
        }
        *newest = self.stream;
        for message in &batch.messages {
            inbox.receive(message);
        }
        Ok(())
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        let mut senders = self.senders.lock();
        if let Some((_, open)) = senders.get_mut(&self.id) {
            *open -= 1;
            if *open == 0 {
                senders.remove(&self.id);
            }
        }
    }
}

#[async_trait]
impl PeerService for PeerServer {
    async fn exchange(&self, request: Request<Streaming<pb::Batch>>) -> Result<Response<pb::Closed>, Status> {
        let mut batches = request.into_inner();
        let Some(mut batch) = batches.message().await? else {
            return Ok(Response::new(pb::Closed {}));
        };
        let open = Open::new(&self.senders, batch.sender, batch.stream);
        loop {
            open.receive(&batch, &*self.inbox)?;
            match batches.message().await? {
                Some(next) => batch = next,
                None => return Ok(Response::new(pb::Closed {})),
            }
        }
    }
}

/// Makes carriers over gRPC.
pub struct PeerCarriers {
    dialer: Arc<GrpcDialer>,
    sender: u64,
    streams: Arc<AtomicU64>,
}

impl PeerCarriers {
    /// Carriers of a process that drew `sender` at its start. Batches must be within the dialer's limits.
    pub fn new(dialer: Arc<GrpcDialer>, sender: u64) -> Self {
        Self { dialer, sender, streams: Arc::default() }
    }
}

impl Carriers for PeerCarriers {
    fn to(&self, address: &str) -> Arc<dyn Carrier> {
        Arc::new(PeerCarrier {
            dialer: self.dialer.clone(),
            address: address.to_string(),
            sender: self.sender,
            streams: self.streams.clone(),
            out: futures::lock::Mutex::new(None),
        })
    }
}

struct PeerCarrier {
    dialer: Arc<GrpcDialer>,
    address: String,
    sender: u64,
    streams: Arc<AtomicU64>,
    out: futures::lock::Mutex<Option<Out>>,
}

/// An open stream: where batches go, and where its end is told.
struct Out {
    number: u64,
    batches: mpsc::Sender<pb::Batch>,
    ended: oneshot::Receiver<Fault>,
}

impl PeerCarrier {
    /// Connects and begins a stream.
    async fn open(&self) -> Result<Out, Fault> {
        let unreachable = || Fault::new(Code::Unavailable, "the peer cannot be reached");
        let endpoint = self.dialer.endpoint(&self.address).ok_or_else(unreachable)?;
        let channel = endpoint.connect().await.map_err(|_| unreachable())?;
        let mut grpc = Grpc::new(channel);
        grpc.ready().await.map_err(|_| unreachable())?;

        let (batches, queued) = mpsc::channel(0);
        let mut request = Request::new(queued);
        if let Some(key) = &self.dialer.options().key {
            key.attach(request.metadata_mut());
        }
        let (tell, ended) = oneshot::channel();
        let stream = async move {
            let codec = StrictCodec::<pb::Batch, pb::Closed>::default();
            let end = grpc.client_streaming(request, PathAndQuery::from_static(EXCHANGE), codec).await;
            let fault = end.err().map_or_else(lost, |status| from_status(&status));
            let _ = tell.send(fault);
        };
        self.dialer.pool().spawn("peer stream", Box::pin(stream));
        Ok(Out { number: self.streams.fetch_add(1, Ordering::Relaxed) + 1, batches, ended })
    }
}

fn lost() -> Fault {
    Fault::new(Code::Unavailable, "the stream to the peer has ended").with_outcome(Outcome::Unknown)
}

impl Out {
    /// Puts a batch on the stream when it takes one; the fault that ended it otherwise.
    async fn carry(&mut self, batch: pb::Batch) -> Result<(), Fault> {
        // A stream that ended takes nothing, though its queue may have room.
        if let Ok(Some(fault)) = self.ended.try_recv() {
            return Err(fault);
        }
        let room = poll_fn(|context| self.batches.poll_ready(context));
        match select(room, &mut self.ended).await {
            Either::Left((Ok(()), _)) => self.batches.start_send(batch).map_err(|_| lost()),
            Either::Left((Err(_), ended)) => Err(ended.await.unwrap_or_else(|_| lost())),
            Either::Right((fault, _)) => Err(fault.unwrap_or_else(|_| lost())),
        }
    }
}

#[async_trait]
impl Carrier for PeerCarrier {
    async fn carry(&self, batch: Vec<Vec<u8>>) -> Result<(), Fault> {
        let mut out = self.out.lock().await;
        if out.is_none() {
            *out = Some(self.open().await?);
        }
        let Some(stream) = out.as_mut() else { return Err(lost()) };
        let messages = batch.into_iter().map(Into::into).collect();
        let batch = pb::Batch { sender: self.sender, stream: stream.number, messages };
        if batch.encoded_len() > self.dialer.options().limits.send {
            return Err(Fault::new(Code::TooLarge, "the batch is over the limit between processes"));
        }
        let carried = stream.carry(batch).await;
        if carried.is_err() {
            *out = None;
        }
        carried
    }
}
