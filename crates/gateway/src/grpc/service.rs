//! The gRPC service: each method is one call of the gateway.

use super::browse as b;
use super::convert as c;
use super::convert_insight as i;
use super::convert_writes as w;
use super::figures;
use crate::admit::{Admitted, ReadBytes};
use crate::gateway::Gateway;
use crate::http::{RequestId, brief};
use crate::weight::Weighed;
use futures::StreamExt;
use futures::stream::BoxStream;
use std::sync::Arc;
use tonic::{Request, Response, Status, Streaming};
use vectron_base::Fault;
use vectron_wire::fault_table::to_status;
use vectron_wire::proto::public as pb;
use vectron_wire::proto::public::vectron_service_server::VectronService;

/// The public service.
pub struct Service {
    pub gateway: Arc<Gateway>,
}

/// What comes beside a message.
struct Beside {
    request_id: Option<RequestId>,
    /// The transport's deadline, less what the answer needs to arrive before it.
    deadline_ms: Option<u64>,
    default_ms: u64,
}

impl Service {
    fn open<T>(&self, request: Request<T>) -> (T, Beside) {
        let timeout =
            request.metadata().get("grpc-timeout").and_then(|value| timeout_ms(value.to_str().ok()?));
        let knobs = self.gateway.knobs();
        let beside = Beside {
            request_id: request.extensions().get::<RequestId>().cloned(),
            deadline_ms: timeout.map(before_deadline),
            default_ms: knobs.default_timeout_ms.min(knobs.max_timeout_ms),
        };
        (request.into_inner(), beside)
    }
}

/// A client that reaches its own deadline makes up an error of its own. So that it hears ours, with what
/// became of a write and the request's id, the call ends a little earlier.
fn before_deadline(ms: u64) -> u64 {
    const MOST_MS: u64 = 100;
    ms.saturating_sub((ms / 10).clamp(2, MOST_MS)).max(1)
}

impl Beside {
    /// The message's timeout, else the default, but no later than the transport's deadline.
    fn timeout(&self, asked: Option<u64>) -> Option<u64> {
        let Some(deadline) = self.deadline_ms else { return asked };
        Some(asked.unwrap_or(self.default_ms).min(deadline))
    }

    fn close<A, B>(&self, answer: Result<A, Fault>, convert: fn(A) -> B) -> Result<Response<B>, Status> {
        let id = self.request_id.as_ref().map(|id| &*id.0);
        answer.map(|answer| Response::new(convert(answer))).map_err(|fault| to_status(&brief(fault), id))
    }

    /// The same, saying about how much the answer weighs.
    fn close_read<A: Weighed, B>(
        &self,
        answer: Result<A, Fault>,
        convert: fn(A) -> B,
    ) -> Result<Response<B>, Status> {
        let weight = answer.as_ref().map_or(0, Weighed::weight);
        let mut response = self.close(answer, convert)?;
        response.extensions_mut().insert(ReadBytes(weight));
        Ok(response)
    }
}

/// The transport's deadline: up to eight digits and a unit.
fn timeout_ms(text: &str) -> Option<u64> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let amount: u64 = digits.parse().ok()?;
    let per_second = match unit {
        "H" => return amount.checked_mul(3_600_000),
        "M" => return amount.checked_mul(60_000),
        "S" => return amount.checked_mul(1_000),
        "m" => 1_000,
        "u" => 1_000_000,
        "n" => 1_000_000_000,
        _ => return None,
    };
    Some(amount / (per_second / 1_000))
}

#[tonic::async_trait]
impl VectronService for Service {
    async fn create_collection(
        &self,
        request: Request<pb::CreateCollectionRequest>,
    ) -> Result<Response<pb::CreateCollectionResponse>, Status> {
        let (asked, beside) = self.open(request);
        beside.close(self.gateway.create_collection(c::create(asked)).await, c::created)
    }

    async fn list_collections(
        &self,
        request: Request<pb::ListCollectionsRequest>,
    ) -> Result<Response<pb::ListCollectionsResponse>, Status> {
        let (_, beside) = self.open(request);
        beside.close(self.gateway.list_collections().await, c::listed)
    }

    async fn get_collection(
        &self,
        request: Request<pb::GetCollectionRequest>,
    ) -> Result<Response<pb::Collection>, Status> {
        let (asked, beside) = self.open(request);
        beside.close(self.gateway.get_collection(&asked.collection).await, c::collection)
    }

    async fn delete_collection(
        &self,
        request: Request<pb::DeleteCollectionRequest>,
    ) -> Result<Response<pb::DeleteCollectionResponse>, Status> {
        let (asked, beside) = self.open(request);
        let answer = self.gateway.delete_collection(&asked.collection).await;
        beside.close(answer, |answer| pb::DeleteCollectionResponse { deleted: answer.deleted })
    }

    async fn get_collection_status(
        &self,
        request: Request<pb::GetCollectionStatusRequest>,
    ) -> Result<Response<pb::CollectionStatus>, Status> {
        let (asked, beside) = self.open(request);
        beside.close(self.gateway.collection_status(&asked.collection).await, figures::status)
    }

    async fn create_index(
        &self,
        request: Request<pb::CreateIndexRequest>,
    ) -> Result<Response<pb::CreateIndexResponse>, Status> {
        let (asked, beside) = self.open(request);
        beside.close(self.gateway.create_index(c::create_index(asked)).await, figures::index_created)
    }

    async fn list_indexes(
        &self,
        request: Request<pb::ListIndexesRequest>,
    ) -> Result<Response<pb::ListIndexesResponse>, Status> {
        let (asked, beside) = self.open(request);
        beside.close(self.gateway.list_indexes(&asked.collection).await, figures::indexes)
    }

    async fn delete_index(
        &self,
        request: Request<pb::DeleteIndexRequest>,
    ) -> Result<Response<pb::DeleteIndexResponse>, Status> {
        let (asked, beside) = self.open(request);
        let answer = self.gateway.delete_index(&asked.collection, &asked.field).await;
        beside.close(answer, |answer| pb::DeleteIndexResponse { deleted: answer.deleted })
    }

    async fn upsert(
        &self,
        request: Request<pb::UpsertRequest>,
    ) -> Result<Response<pb::UpsertResponse>, Status> {
        let (mut asked, beside) = self.open(request);
        asked.timeout_ms = beside.timeout(asked.timeout_ms);
        beside.close(self.gateway.upsert(c::upsert(asked)).await, c::upserted)
    }

    async fn get(&self, request: Request<pb::GetRequest>) -> Result<Response<pb::GetResponse>, Status> {
        let (mut asked, beside) = self.open(request);
        asked.timeout_ms = beside.timeout(asked.timeout_ms);
        beside.close_read(self.gateway.get(c::get(asked)).await, c::got)
    }

    async fn batch_get(
        &self,
        request: Request<pb::BatchGetRequest>,
    ) -> Result<Response<pb::BatchGetResponse>, Status> {
        let (mut asked, beside) = self.open(request);
        asked.timeout_ms = beside.timeout(asked.timeout_ms);
        beside.close_read(self.gateway.batch_get(c::batch_get(asked)).await, c::batch_got)
    }

    async fn delete(
        &self,
        request: Request<pb::DeleteRequest>,
    ) -> Result<Response<pb::DeleteResponse>, Status> {
        let (mut asked, beside) = self.open(request);
        asked.timeout_ms = beside.timeout(asked.timeout_ms);
        beside.close(self.gateway.delete(c::delete(asked)).await, c::deleted)
    }

    async fn payload(
        &self,
        request: Request<pb::PayloadRequest>,
    ) -> Result<Response<pb::PayloadResponse>, Status> {
        let (mut asked, beside) = self.open(request);
        asked.timeout_ms = beside.timeout(asked.timeout_ms);
        beside.close(self.gateway.payload(w::payload(asked)).await, w::payload_changed)
    }

    async fn batch(&self, request: Request<pb::BatchRequest>) -> Result<Response<pb::BatchResponse>, Status> {
        let (mut asked, beside) = self.open(request);
        asked.timeout_ms = beside.timeout(asked.timeout_ms);
        beside.close(self.gateway.batch(w::batch(asked)).await, w::batched)
    }

    type UpsertStreamStream = BoxStream<'static, Result<pb::UpsertStreamAnswer, Status>>;

    async fn upsert_stream(
        &self,
        request: Request<Streaming<pb::UpsertRequest>>,
    ) -> Result<Response<Self::UpsertStreamStream>, Status> {
        let place = request.extensions().get::<Arc<Admitted>>().cloned();
        let (messages, _) = self.open(request);
        Ok(Response::new(super::upserts::answers(self.gateway.clone(), messages, place)))
    }

    async fn search(
        &self,
        request: Request<pb::SearchRequest>,
    ) -> Result<Response<pb::SearchResponse>, Status> {
        let (mut asked, beside) = self.open(request);
        asked.timeout_ms = beside.timeout(asked.timeout_ms);
        beside.close_read(self.gateway.search(c::search(asked)).await, c::searched)
    }

    type SearchStreamStream = BoxStream<'static, Result<pb::SearchEvent, Status>>;

    async fn search_stream(
        &self,
        request: Request<pb::SearchRequest>,
    ) -> Result<Response<Self::SearchStreamStream>, Status> {
        let place = request.extensions().get::<Arc<Admitted>>().cloned();
        let (mut asked, beside) = self.open(request);
        asked.timeout_ms = beside.timeout(asked.timeout_ms);
        let id = beside.request_id;
        let events = self.gateway.search_stream(c::search(asked), place);
        let told = events.map(move |event| {
            event.map(c::search_event).map_err(|fault| to_status(&brief(fault), id.as_ref().map(|id| &*id.0)))
        });
        Ok(Response::new(told.boxed()))
    }

    async fn why_not(
        &self,
        request: Request<pb::WhyNotRequest>,
    ) -> Result<Response<pb::WhyNotResponse>, Status> {
        let (asked, beside) = self.open(request);
        let mut search = asked.search.unwrap_or_default();
        search.timeout_ms = beside.timeout(search.timeout_ms);
        beside.close(self.gateway.why_not(&asked.id, c::search(search)).await, i::why_not)
    }

    async fn tune(&self, request: Request<pb::TuneRequest>) -> Result<Response<pb::TuneResponse>, Status> {
        let (mut asked, beside) = self.open(request);
        asked.timeout_ms = beside.timeout(asked.timeout_ms);
        beside.close(self.gateway.tune(i::tune(asked)).await, i::tuned)
    }

    async fn scroll(
        &self,
        request: Request<pb::ScrollRequest>,
    ) -> Result<Response<pb::ScrollResponse>, Status> {
        let (mut asked, beside) = self.open(request);
        asked.timeout_ms = beside.timeout(asked.timeout_ms);
        beside.close_read(self.gateway.scroll(c::scroll(asked)).await, c::scrolled)
    }

    async fn count(&self, request: Request<pb::CountRequest>) -> Result<Response<pb::CountResponse>, Status> {
        let (mut asked, beside) = self.open(request);
        asked.timeout_ms = beside.timeout(asked.timeout_ms);
        beside.close(self.gateway.count(c::count(asked)).await, c::counted)
    }

    async fn facet(&self, request: Request<pb::FacetRequest>) -> Result<Response<pb::FacetResponse>, Status> {
        let (mut asked, beside) = self.open(request);
        asked.timeout_ms = beside.timeout(asked.timeout_ms);
        beside.close(self.gateway.facet(b::facet(asked)).await, b::faceted)
    }

    async fn sample(
        &self,
        request: Request<pb::SampleRequest>,
    ) -> Result<Response<pb::SampleResponse>, Status> {
        let (mut asked, beside) = self.open(request);
        asked.timeout_ms = beside.timeout(asked.timeout_ms);
        beside.close_read(self.gateway.sample(b::sample(asked)).await, b::sampled)
    }

    async fn matrix(
        &self,
        request: Request<pb::MatrixRequest>,
    ) -> Result<Response<pb::MatrixResponse>, Status> {
        let (mut asked, beside) = self.open(request);
        asked.timeout_ms = beside.timeout(asked.timeout_ms);
        beside.close(self.gateway.matrix(b::matrix(asked)).await, b::matrix_made)
    }

    async fn search_batch(
        &self,
        request: Request<pb::SearchBatchRequest>,
    ) -> Result<Response<pb::SearchBatchResponse>, Status> {
        let (mut asked, beside) = self.open(request);
        asked.timeout_ms = beside.timeout(asked.timeout_ms);
        beside.close_read(self.gateway.search_batch(b::search_batch(asked)).await, b::batch_searched)
    }

    async fn query(&self, request: Request<pb::QueryRequest>) -> Result<Response<pb::QueryResponse>, Status> {
        let (mut asked, beside) = self.open(request);
        asked.timeout_ms = beside.timeout(asked.timeout_ms);
        beside.close_read(self.gateway.query(b::query(asked)).await, b::queried)
    }
}

#[cfg(test)]
mod tests {
    use super::{Beside, before_deadline, timeout_ms};

    #[test]
    fn transport_deadlines() {
        for (text, ms) in
            [("1H", 3_600_000), ("2M", 120_000), ("3S", 3_000), ("250m", 250), ("1500u", 1), ("9n", 0)]
        {
            assert_eq!(timeout_ms(text), Some(ms), "{text}");
        }
        for (deadline, kept) in [(0, 1), (1, 1), (50, 45), (1_000, 900), (60_000, 59_900)] {
            assert_eq!(before_deadline(deadline), kept);
        }
        let with = |deadline_ms| Beside { request_id: None, deadline_ms, default_ms: 10_000 };
        assert_eq!((with(None).timeout(None), with(None).timeout(Some(7))), (None, Some(7)));
        let far = with(Some(59_900));
        assert_eq!((far.timeout(None), far.timeout(Some(20_000))), (Some(10_000), Some(20_000)));
        assert_eq!((with(Some(45)).timeout(None), with(Some(45)).timeout(Some(7))), (Some(45), Some(7)));
        for bad in ["", "S", "5", "5x", "-1S", "1é"] {
            assert_eq!(timeout_ms(bad), None, "{bad}");
        }
    }
}
