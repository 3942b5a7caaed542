//! An implementation of both traits that notes what it is asked and answers what it was told to.

use async_trait::async_trait;
use std::any::Any;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use vectron_base::Fault;
use vectron_base::filter::FieldIndex;
use vectron_wire::placement::*;
use vectron_wire::worker::*;

#[derive(Default)]
struct Script {
    asked: Option<String>,
    answer: Option<Box<dyn Any + Send>>,
    silent: bool,
}

/// Answers one call at a time.
#[derive(Default)]
pub struct Scripted(Mutex<Script>);

impl Scripted {
    /// The next call is answered with this; the method must answer an `A`.
    pub fn will<A: Send + 'static>(&self, answer: Result<A, Fault>) {
        self.0.lock().unwrap().answer = Some(Box::new(answer));
    }

    /// Calls are never answered from now on.
    pub fn fall_silent(&self) {
        self.0.lock().unwrap().silent = true;
    }

    /// What the last call asked, in debug form.
    pub fn asked(&self) -> Option<String> {
        self.0.lock().unwrap().asked.take()
    }

    async fn reply<A: 'static>(&self, request: impl Debug) -> Result<A, Fault> {
        let (answer, silent) = {
            let mut script = self.0.lock().unwrap();
            script.asked = Some(format!("{request:?}"));
            (script.answer.take(), script.silent)
        };
        if silent {
            std::future::pending::<()>().await;
        }
        match answer.map(|answer| answer.downcast::<Result<A, Fault>>()) {
            Some(Ok(answer)) => *answer,
            Some(Err(_)) => panic!("told an answer of another method"),
            None => Err(Fault::internal("told no answer")),
        }
    }
}

#[async_trait]
impl Worker for Scripted {
    async fn write(&self, request: ShardWrite) -> Result<ShardWritten, Fault> {
        self.reply(request).await
    }
    async fn get(&self, request: ShardGet) -> Result<ShardRead<Vec<Option<PointRecord>>>, Fault> {
        self.reply(request).await
    }
    async fn search(&self, request: ShardSearch) -> Result<ShardRead<ShardHits>, Fault> {
        self.reply(request).await
    }
    async fn search_if_changed(
        &self,
        request: ShardSearch,
        known: u64,
    ) -> Result<ShardRead<Option<ShardHits>>, Fault> {
        self.reply((request, known)).await
    }
    async fn scroll(&self, request: ShardScroll) -> Result<ShardRead<ShardPage>, Fault> {
        self.reply(request).await
    }
    async fn count(&self, request: ShardCount) -> Result<ShardRead<ShardCounted>, Fault> {
        self.reply(request).await
    }
    async fn text_stats(&self, request: ShardTextStats) -> Result<ShardRead<TextStats>, Fault> {
        self.reply(request).await
    }
    async fn examine(&self, request: ShardExamine) -> Result<ShardRead<Examined>, Fault> {
        self.reply(request).await
    }
    async fn tune(&self, request: ShardTune) -> Result<ShardRead<ShardTuned>, Fault> {
        self.reply(request).await
    }

    async fn browse(&self, request: ShardBrowse) -> Result<ShardRead<ShardBrowsed>, Fault> {
        self.reply(request).await
    }
    async fn status(&self, target: Target) -> Result<ShardStatus, Fault> {
        self.reply(target).await
    }
    async fn snapshot(&self, request: SnapshotRequest) -> Result<SnapshotOffer, Fault> {
        self.reply(request).await
    }
    async fn snapshot_part(&self, request: SnapshotPart) -> Result<Vec<u8>, Fault> {
        self.reply(request).await
    }
}

#[async_trait]
impl Placement for Scripted {
    async fn create_collection(
        &self,
        spec: CollectionSpec,
        timeout_ms: u64,
    ) -> Result<(Collection, bool), Fault> {
        self.reply((spec, timeout_ms)).await
    }
    async fn delete_collection(&self, name: &str, timeout_ms: u64) -> Result<(), Fault> {
        self.reply((name, timeout_ms)).await
    }
    async fn create_index(&self, collection: &str, index: FieldIndex) -> Result<bool, Fault> {
        self.reply((collection, index)).await
    }
    async fn delete_index(&self, collection: &str, field: &str) -> Result<(), Fault> {
        self.reply((collection, field)).await
    }
    async fn watch(&self, known_epoch: u64) -> Result<Arc<CatalogView>, Fault> {
        self.reply(known_epoch).await
    }
    async fn register(&self, registration: Registration) -> Result<(), Fault> {
        self.reply(registration).await
    }
    async fn report(&self, report: WorkerReport) -> Result<(), Fault> {
        self.reply(report).await
    }
    async fn cluster(&self) -> Result<ClusterView, Fault> {
        self.reply(()).await
    }
    async fn change(&self, change: ClusterChange) -> Result<Vec<PlannedMove>, Fault> {
        self.reply(change).await
    }
    async fn catalog_snapshot(&self) -> Result<CatalogSnapshot, Fault> {
        self.reply(()).await
    }
}
