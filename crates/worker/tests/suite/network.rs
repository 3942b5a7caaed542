//! What is between the workers: messages of the logs and calls for copies, both of which may be cut or disturbed.

use async_trait::async_trait;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use vectron_base::ids::WorkerId;
use vectron_base::{Code, Fault};
use vectron_consensus::{Handle, Message, Outbox};
use vectron_wire::worker::*;
use vectron_worker::{Host, Peers};

#[derive(Default)]
pub struct Network {
    pub logs: Mutex<BTreeMap<WorkerId, Handle>>,
    pub hosts: Mutex<BTreeMap<WorkerId, Arc<Host>>>,
    /// Workers that nobody reaches and that reach nobody.
    pub cut: Mutex<BTreeSet<WorkerId>>,
    /// Every so many calls for a part fail; 0: none.
    pub broken_parts: AtomicU64,
    pub parts: AtomicU64,
    pub offers: AtomicU64,
}

impl Network {
    fn reaches(&self, from: WorkerId, to: WorkerId) -> bool {
        let cut = self.cut.lock();
        from == to || !(cut.contains(&from) || cut.contains(&to))
    }
}

pub struct Messages {
    pub network: Arc<Network>,
    pub from: WorkerId,
    pub peers: Arc<Peers>,
}

impl Outbox for Messages {
    fn send(&mut self, message: Message) {
        let Some(to) = self.peers.worker(message.group(), message.to()) else { return };
        if !self.network.reaches(self.from, to) {
            return;
        }
        // As over a wire: what has no encoding does not travel.
        let Some(message) = Message::decode(&message.encode()) else { return };
        if let Some(handle) = self.network.logs.lock().get(&to) {
            handle.deliver(message);
        }
    }
}

pub struct Directory {
    pub network: Arc<Network>,
    pub from: WorkerId,
}

impl WorkerDirectory for Directory {
    fn worker(&self, id: WorkerId) -> Option<Arc<dyn Worker>> {
        Some(Arc::new(Call { network: self.network.clone(), from: self.from, to: id }))
    }
}

struct Call {
    network: Arc<Network>,
    from: WorkerId,
    to: WorkerId,
}

impl Call {
    fn host(&self) -> Result<Arc<Host>, Fault> {
        let away = || Fault::new(Code::Unavailable, "nobody answers");
        if !self.network.reaches(self.from, self.to) {
            return Err(away());
        }
        self.network.hosts.lock().get(&self.to).cloned().ok_or_else(away)
    }
}

#[async_trait]
impl Worker for Call {
    async fn write(&self, request: ShardWrite) -> Result<ShardWritten, Fault> {
        self.host()?.write(request).await
    }
    async fn get(&self, request: ShardGet) -> Result<ShardRead<Vec<Option<PointRecord>>>, Fault> {
        self.host()?.get(request).await
    }
    async fn search(&self, request: ShardSearch) -> Result<ShardRead<ShardHits>, Fault> {
        self.host()?.search(request).await
    }
    async fn search_if_changed(
        &self,
        request: ShardSearch,
        known: u64,
    ) -> Result<ShardRead<Option<ShardHits>>, Fault> {
        self.host()?.search_if_changed(request, known).await
    }
    async fn scroll(&self, request: ShardScroll) -> Result<ShardRead<ShardPage>, Fault> {
        self.host()?.scroll(request).await
    }
    async fn count(&self, request: ShardCount) -> Result<ShardRead<ShardCounted>, Fault> {
        self.host()?.count(request).await
    }
    async fn text_stats(&self, request: ShardTextStats) -> Result<ShardRead<TextStats>, Fault> {
        self.host()?.text_stats(request).await
    }
    async fn examine(&self, request: ShardExamine) -> Result<ShardRead<Examined>, Fault> {
        self.host()?.examine(request).await
    }
    async fn tune(&self, request: ShardTune) -> Result<ShardRead<ShardTuned>, Fault> {
        self.host()?.tune(request).await
    }

    async fn browse(&self, request: ShardBrowse) -> Result<ShardRead<ShardBrowsed>, Fault> {
        self.host()?.browse(request).await
    }
    async fn status(&self, target: Target) -> Result<ShardStatus, Fault> {
        self.host()?.status(target).await
    }

    async fn snapshot(&self, request: SnapshotRequest) -> Result<SnapshotOffer, Fault> {
        let offer = self.host()?.snapshot(request).await;
        self.network.offers.fetch_add(u64::from(offer.is_ok()), Ordering::SeqCst);
        offer
    }

    async fn snapshot_part(&self, request: SnapshotPart) -> Result<Vec<u8>, Fault> {
        let call = self.network.parts.fetch_add(1, Ordering::SeqCst) + 1;
        let broken = self.network.broken_parts.load(Ordering::SeqCst);
        if broken > 0 && call.is_multiple_of(broken) {
            return Err(Fault::new(Code::Unavailable, "the connection broke"));
        }
        self.host()?.snapshot_part(request).await
    }
}
