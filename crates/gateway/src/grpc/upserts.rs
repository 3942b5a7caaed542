//! A stream of upserts: each message is answered by what became of it, in order, with several in work at once.
//!
//! Messages that share an id are carried out in their order: each waits for the last one before it that named the id.
//! What is in work is bounded by a knob; a client that does not take its answers, or sends faster than shards write,
//! is held up by the transport. The bytes of a message count among those held until it is answered.

use super::convert as c;
use super::convert_writes::stream_answer;
use crate::admit::Admitted;
use crate::gateway::Gateway;
use crate::http::brief;
use crate::knobs::size;
use futures::channel::oneshot;
use futures::future::{BoxFuture, FutureExt, Shared, join_all};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use prost::Message;
use std::collections::BTreeMap;
use std::sync::Arc;
use tonic::Status;
use vectron_base::{Code, Fault, Outcome};
use vectron_wire::proto::public as pb;

/// The end of a message's work.
type Ended = Shared<BoxFuture<'static, ()>>;

/// Bytes around a message on the wire.
const FRAME_BYTES: usize = 5;

/// Who named which id last, among messages that may be in work.
#[derive(Default)]
struct Turns {
    last: BTreeMap<String, Ended>,
    /// Ids at which ended work is forgotten next.
    sweep_at: usize,
}

impl Turns {
    /// The work that a message must wait for, and the note of its own.
    fn take(&mut self, points: &[pb::PointInput]) -> (Vec<Ended>, oneshot::Sender<()>) {
        const SWEEP_LEAST: usize = 1_024;
        if self.last.len() >= self.sweep_at {
            self.last.retain(|_, ended| ended.peek().is_none() && ended.clone().now_or_never().is_none());
            self.sweep_at = SWEEP_LEAST.max(2 * self.last.len());
        }
        let (done, ended) = oneshot::channel::<()>();
        let ended: Ended = ended.map(drop).boxed().shared();
        let before = points.iter().filter_map(|p| self.last.insert(p.id.clone(), ended.clone()));
        // An id that the message has twice waits for itself otherwise; the upsert refuses it.
        let before = before.filter(|other| !other.ptr_eq(&ended)).collect();
        (before, done)
    }
}

/// Answers to the messages of a stream. Ends after the first that cannot be read.
pub fn answers(
    gateway: Arc<Gateway>,
    messages: impl Stream<Item = Result<pb::UpsertRequest, Status>> + Send + 'static,
    place: Option<Arc<Admitted>>,
) -> BoxStream<'static, Result<pb::UpsertStreamAnswer, Status>> {
    let most = size(gateway.knobs().stream_upserts);
    let mut turns = Turns::default();
    let work = move |(index, message): (usize, Result<pb::UpsertRequest, Status>)| {
        let started = message.map(|message| {
            let (before, done) = turns.take(&message.points);
            start(&gateway, message, before, done, place.clone())
        });
        async move {
            let answered = started?.await.unwrap_or_else(|_| {
                let stopping = Fault::new(Code::Unavailable, "the server is stopping");
                Err(stopping.with_outcome(Outcome::Unknown))
            });
            Ok(stream_answer(index as u64, answered.map_err(brief)))
        }
    };
    messages.enumerate().map(work).buffered(most).boxed()
}

/// Begins one upsert as a task of its own, so that a client that reads nothing holds up nobody's write.
fn start(
    gateway: &Arc<Gateway>,
    message: pb::UpsertRequest,
    before: Vec<Ended>,
    done: oneshot::Sender<()>,
    place: Option<Arc<Admitted>>,
) -> oneshot::Receiver<Result<crate::api::UpsertResponse, Fault>> {
    let (answer, answered) = oneshot::channel();
    let bytes = message.encoded_len() + FRAME_BYTES;
    let upserting = gateway.clone();
    let work = async move {
        join_all(before).await;
        let result = upserting.upsert(c::upsert(message)).await;
        drop(done);
        if let Some(place) = place {
            place.release(bytes);
        }
        // A client that has left needs no answer.
        let _ = answer.send(result);
    };
    gateway.parts.pool.spawn("gateway-upsert-stream", Box::pin(work));
    answered
}
