//! The gRPC service: each method is one call of the gateway.

use super::convert as c;
use crate::gateway::Gateway;
use crate::http::{RequestId, brief};
use std::sync::Arc;
use tonic::{Request, Response, Status};
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
    timeout_ms: Option<u64>,
}

impl Service {
    fn open<T>(&self, request: Request<T>) -> (T, Beside) {
        let limit = self.gateway.knobs().max_timeout_ms;
        let timeout =
            request.metadata().get("grpc-timeout").and_then(|value| timeout_ms(value.to_str().ok()?));
        let beside = Beside {
            request_id: request.extensions().get::<RequestId>().cloned(),
            timeout_ms: timeout.map(|ms| ms.clamp(1, limit)),
        };
        (request.into_inner(), beside)
    }
}

impl Beside {
    /// The smaller of the message's timeout and the transport's deadline.
    fn timeout(&self, asked: Option<u64>) -> Option<u64> {
        match (asked, self.timeout_ms) {
            (Some(asked), Some(deadline)) => Some(asked.min(deadline)),
            (asked, deadline) => asked.or(deadline),
        }
    }

    fn close<A, B>(&self, answer: Result<A, Fault>, convert: fn(A) -> B) -> Result<Response<B>, Status> {
        let id = self.request_id.as_ref().map(|id| &*id.0);
        answer.map(|answer| Response::new(convert(answer))).map_err(|fault| to_status(&brief(fault), id))
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
        beside.close(self.gateway.collection_status(&asked.collection).await, c::status)
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
        beside.close(self.gateway.get(c::get(asked)).await, c::got)
    }

    async fn batch_get(
        &self,
        request: Request<pb::BatchGetRequest>,
    ) -> Result<Response<pb::BatchGetResponse>, Status> {
        let (mut asked, beside) = self.open(request);
        asked.timeout_ms = beside.timeout(asked.timeout_ms);
        beside.close(self.gateway.batch_get(c::batch_get(asked)).await, c::batch_got)
    }

    async fn delete(
        &self,
        request: Request<pb::DeleteRequest>,
    ) -> Result<Response<pb::DeleteResponse>, Status> {
        let (mut asked, beside) = self.open(request);
        asked.timeout_ms = beside.timeout(asked.timeout_ms);
        beside.close(self.gateway.delete(c::delete(asked)).await, c::deleted)
    }

    async fn search(
        &self,
        request: Request<pb::SearchRequest>,
    ) -> Result<Response<pb::SearchResponse>, Status> {
        let (mut asked, beside) = self.open(request);
        asked.timeout_ms = beside.timeout(asked.timeout_ms);
        beside.close(self.gateway.search(c::search(asked)).await, c::searched)
    }

    async fn scroll(
        &self,
        request: Request<pb::ScrollRequest>,
    ) -> Result<Response<pb::ScrollResponse>, Status> {
        let (mut asked, beside) = self.open(request);
        asked.timeout_ms = beside.timeout(asked.timeout_ms);
        beside.close(self.gateway.scroll(c::scroll(asked)).await, c::scrolled)
    }

    async fn count(&self, request: Request<pb::CountRequest>) -> Result<Response<pb::CountResponse>, Status> {
        let (mut asked, beside) = self.open(request);
        asked.timeout_ms = beside.timeout(asked.timeout_ms);
        beside.close(self.gateway.count(c::count(asked)).await, c::counted)
    }
}

#[cfg(test)]
mod tests {
    use super::timeout_ms;

    #[test]
    fn transport_deadlines() {
        for (text, ms) in
            [("1H", 3_600_000), ("2M", 120_000), ("3S", 3_000), ("250m", 250), ("1500u", 1), ("9n", 0)]
        {
            assert_eq!(timeout_ms(text), Some(ms), "{text}");
        }
        for bad in ["", "S", "5", "5x", "-1S", "1é"] {
            assert_eq!(timeout_ms(bad), None, "{bad}");
        }
    }
}
