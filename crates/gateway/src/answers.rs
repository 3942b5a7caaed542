//! Answers of shards that are kept: what a search found at an applied index, to be given again while the shard is at
//! that index.
//!
//! A kept answer is never given without asking: the worker waits for what the read's level demands, fences the call as
//! ever, and says whether the shard is still where it was. So every level means what it means without a cache, and a
//! deleted collection answers nothing. What is saved is the search and the bytes of its hits.

use crate::metrics::{GatewayMetrics, Lookup};
use crate::translate::Question;
use crate::weight::of_record;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};
use std::sync::Arc;
use vectron_base::{Code, Fault};
use vectron_wire::worker::{Delivered, Hit, SearchTrace, ShardHits, ShardRead, ShardSearch, Worker};
use xxhash_rust::xxh3::Xxh3DefaultBuilder;

/// About what an entry takes beside its question and its hits.
const ENTRY_BYTES: u64 = 256;

/// A rough entry, for the size of the table at the start.
const ENTRY_GUESS_BYTES: u64 = 4_096;

/// A shard's hits at one applied index.
struct Kept {
    applied_index: u64,
    hits: Vec<Hit>,
    bytes: u64,
}

#[derive(Clone)]
struct Bytes;

impl Weighter<Question, Arc<Kept>> for Bytes {
    fn weight(&self, question: &Question, kept: &Arc<Kept>) -> u64 {
        ENTRY_BYTES + question.len() as u64 + kept.bytes
    }
}

/// A hash without a key makes equal runs equal. Questions chosen to collide cost time and no more: they are compared.
type Hash = Xxh3DefaultBuilder;

type Table = Cache<Question, Arc<Kept>, Bytes, Hash, DefaultLifecycle<Question, Arc<Kept>>>;

/// The kept answers, bounded in bytes.
pub struct Answers {
    table: Table,
    metrics: GatewayMetrics,
}

impl Answers {
    /// Nothing kept yet; `None` for no bytes.
    pub fn of_bytes(bytes: u64, metrics: GatewayMetrics) -> Option<Arc<Self>> {
        let items = usize::try_from(bytes / ENTRY_GUESS_BYTES).unwrap_or(usize::MAX).clamp(16, 1 << 20);
        let mut options = OptionsBuilder::new();
        // One part, so that an entry may take what the whole has room for.
        options.shards(1).weight_capacity(bytes).estimated_items_capacity(items);
        let options = options.build().ok().filter(|_| bytes > 0)?;
        let table = Cache::with_options(options, Bytes, Hash::default(), DefaultLifecycle::default());
        Some(Arc::new(Self { table, metrics }))
    }

    /// Searches a shard, or gives what it found before if its worker says that nothing was applied since.
    pub async fn search(
        &self,
        question: Question,
        worker: &dyn Worker,
        search: ShardSearch,
    ) -> Result<ShardRead<ShardHits>, Fault> {
        let Some(kept) = self.table.get(&question) else {
            self.metrics.looked_up(Lookup::Miss);
            let read = worker.search(search).await?;
            self.keep(question, &read);
            return Ok(read);
        };
        let ShardRead { value, delivered } = worker.search_if_changed(search, kept.applied_index).await?;
        match value {
            Some(found) => {
                self.metrics.looked_up(Lookup::Stale);
                let read = ShardRead { value: found, delivered };
                self.keep(question, &read);
                Ok(read)
            }
            None => {
                self.metrics.looked_up(Lookup::Hit);
                again(&kept, delivered)
            }
        }
    }

    fn keep(&self, question: Question, read: &ShardRead<ShardHits>) {
        let ShardRead { value: ShardHits { hits, trace }, delivered } = read;
        // An index on the field may come without a word in the log, and the answer says that there is none.
        if trace.filter.as_ref().is_some_and(|filter| !filter.unindexed.is_empty()) {
            return;
        }
        // Nor is what searches find lately a matter of the log.
        if trace.recall_missed {
            return;
        }
        let applied_index = delivered.applied_index;
        // A replica that is behind does not take the place of one that is not.
        if self.table.peek(&question).is_some_and(|there| there.applied_index > applied_index) {
            return;
        }
        let bytes = hits.iter().map(|hit| of_record(&hit.point)).sum();
        self.table.insert(question, Arc::new(Kept { applied_index, hits: hits.clone(), bytes }));
        self.metrics.keeps(self.table.weight());
    }
}

fn again(kept: &Kept, delivered: Delivered) -> Result<ShardRead<ShardHits>, Fault> {
    if delivered.applied_index != kept.applied_index {
        let (told, known) = (delivered.applied_index, kept.applied_index);
        let detail = format!("a shard at index {told} says that it is still at {known}");
        return Err(Fault::new(Code::Internal, detail));
    }
    let trace = SearchTrace { plan: "kept", ..SearchTrace::default() };
    Ok(ShardRead { value: ShardHits { hits: kept.hits.clone(), trace }, delivered })
}
