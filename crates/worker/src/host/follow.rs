//! Following the catalog: what it wants of each shard here. Nothing is done in here that takes time.

use super::Host;
use super::table::{Entry, Slot, Wanted};
use crate::meta::ShardMeta;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use vectron_base::clock::Tick;
use vectron_base::ids::ShardId;
use vectron_base::pool::within;
use vectron_wire::placement::{CatalogView, CollectionState};

/// How long a watch may take, beyond what the driver waits at most.
const WATCH_PATIENCE: Duration = Duration::from_secs(70);

/// How much of the catalog was seen.
#[derive(Default)]
pub(super) struct Seen {
    /// Its epoch: what is older says nothing.
    epoch: u64,
    /// When the last call began whose answer was followed: the catalog had nothing newer then.
    asked: Option<Tick>,
}

impl Host {
    /// Registers, then follows the catalog for ever. The driver may be away; what is held here is served meanwhile.
    pub(super) async fn follow(self: Arc<Self>) {
        let mut registered = false;
        while !self.stopping() {
            if !registered {
                registered = self.parts.placement.register(self.parts.registration.clone()).await.is_ok();
            }
            let known = self.seen.lock().epoch;
            if !self.look(known).await {
                // It may know this worker no more when it is back.
                registered = false;
                self.parts.pool.sleep(Duration::from_millis(self.parts.knobs.report_interval_ms)).await;
            }
        }
    }

    /// Asks for the catalog and follows it; whether there was an answer.
    async fn look(self: &Arc<Self>, known: u64) -> bool {
        let asked = self.parts.clock.now();
        let watching = self.parts.placement.watch(known);
        // The driver answers after a while in any case: one that does not is away.
        let Some(Ok(view)) = within(&self.parts.pool, WATCH_PATIENCE, watching).await else { return false };
        self.accept(&view, asked);
        true
    }

    /// Whether the catalog as it is known here is at least as new as at `moment`; asks for it if need be. Who just
    /// began to lead may have missed what an earlier leader was told.
    pub(crate) async fn saw_catalog_since(self: &Arc<Self>, moment: Tick) -> bool {
        let seen = || self.seen.lock().asked.is_some_and(|asked| asked >= moment);
        seen() || (self.look(0).await && seen())
    }

    /// Follows one view of the catalog, unless a newer one was seen.
    fn accept(self: &Arc<Self>, view: &CatalogView, asked: Tick) {
        {
            let mut seen = self.seen.lock();
            if view.epoch < seen.epoch {
                return;
            }
            let news = view.epoch > seen.epoch || !self.followed.load(Ordering::SeqCst);
            seen.epoch = view.epoch;
            seen.asked = Some(seen.asked.map_or(asked, |known| known.max(asked)));
            if !news {
                return;
            }
            self.note_peers(view);
            self.note_wanted(view);
        }
        let first = !self.followed.swap(true, Ordering::SeqCst);
        if first {
            self.spawn_loop("worker strays", |host| async move { host.remove_strays().await });
        }
        let work: Vec<ShardId> = self
            .table
            .read()
            .iter()
            .filter(|(_, entry)| entry.job().is_some())
            .map(|(shard, _)| *shard)
            .collect();
        for shard in work {
            self.settle_soon(shard);
        }
        self.report_soon();
    }

    fn note_peers(&self, view: &CatalogView) {
        let registered = view.workers.iter().map(|entry| &entry.registration);
        self.parts.peers.note_addresses(registered.map(|r| (r.worker, r.address.as_str())));
        for shard in view.collections.iter().flat_map(|c| &c.shards) {
            let children = shard.split.iter().map(|split| (split.child, &split.replicas));
            for (id, replicas) in children.chain([(shard.shard, &shard.replicas)]) {
                if replicas.iter().any(|r| r.worker == self.worker()) {
                    self.parts.peers.note_group(id.group(), replicas);
                }
            }
        }
    }

    /// Writes down what the catalog wants of every shard.
    fn note_wanted(&self, view: &CatalogView) {
        let mut listed = BTreeMap::new();
        for collection in &view.collections {
            let deleted = || Wanted::Deleted(collection.incarnation);
            let live = collection.state == CollectionState::Live;
            for shard in &collection.shards {
                let mine =
                    shard.on(self.worker()).map(|r| ShardMeta::new(view, collection, shard, r.replica));
                let child = mine.as_ref().and_then(|meta| meta.of_child(self.worker()));
                if let Some(child) = child {
                    let wanted = if live { Wanted::Child(Arc::new(child.clone())) } else { deleted() };
                    listed.entry(child.shard.shard).or_insert(Some(wanted));
                }
                let wanted = mine.map(|meta| if live { Wanted::Held(Arc::new(meta)) } else { deleted() });
                listed.insert(shard.shard, wanted);
            }
        }
        let mut table = self.table.write();
        let elsewhere = Wanted::Elsewhere(view.epoch);
        for (shard, entry) in table.iter_mut() {
            if !listed.contains_key(shard) {
                entry.wanted = Some(elsewhere.clone());
            }
        }
        // What is gone from here and from the catalog is forgotten.
        let over = |shard: &ShardId, entry: &Entry| {
            let nothing = matches!(entry.slot, None | Some(Slot::Removed(_)));
            let idle = !entry.unread && !entry.busy && !entry.claimed;
            nothing && idle && !listed.contains_key(shard)
        };
        table.retain(|shard, entry| !over(shard, entry));
        for (shard, entry) in table.iter() {
            // At once: whatever is under way for the shard, nothing is read or written any more.
            if let (Some(Slot::Serving(hosted)), Some(Some(Wanted::Deleted(life)))) =
                (&entry.slot, listed.get(shard))
                && hosted.meta.incarnation == *life
            {
                hosted.seal();
            }
        }
        for (shard, wanted) in listed {
            match wanted {
                Some(wanted) => table.entry(shard).or_default().wanted = Some(wanted),
                None => {
                    if let Some(entry) = table.get_mut(&shard) {
                        entry.wanted = Some(elsewhere.clone());
                    }
                }
            }
        }
    }
}
