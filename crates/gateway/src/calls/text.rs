//! Scores of a text that do not depend on the shard: how common words are is asked of every shard first.

use crate::admit::Deadline;
use crate::fanout::{Reading, gather};
use crate::gateway::Gateway;
use crate::translate::text_index;
use std::sync::Arc;
use vectron_base::Fault;
use vectron_wire::placement::{Collection, Shard};
use vectron_wire::worker::{ShardQuery, ShardTextStats, TextStats};

/// The reason in `meta.degraded` of scores that rest on some of the shards only.
pub(super) const PARTIAL_STATS: &str = "text_stats_partial";

/// A query that every shard can be given.
pub(super) struct Ready {
    pub query: ShardQuery,
    /// Some shard did not say how common the words are.
    pub partial: bool,
}

impl Gateway {
    /// Makes a query ready for all shards. One shard alone knows by itself what its scores rest on.
    pub(super) async fn made_ready(
        &self,
        reading: &Reading<'_>,
        query: &ShardQuery,
        allow_partial: bool,
    ) -> Result<Ready, Fault> {
        let ShardQuery::Text { query: text, .. } = query else {
            return Ok(Ready { query: query.clone(), partial: false });
        };
        let shards: Vec<&Shard> = reading.collection.shards.iter().collect();
        if shards.len() == 1 {
            return Ok(Ready { query: query.clone(), partial: false });
        }
        let answered = self.ask_all(reading, &shards, |worker, target, timeout_ms| {
            let read = reading.plan.for_shard(target.shard);
            let question = ShardTextStats { target, read, query: text.clone(), timeout_ms };
            Box::pin(async move { worker.text_stats(question).await })
        });
        let gathered = gather(answered.await, allow_partial)?;
        let mut sum = TextStats::default();
        gathered.answers.iter().for_each(|(.., stats)| sum.add(stats));
        let query = ShardQuery::Text { query: text.clone(), stats: Some(Arc::new(sum)) };
        Ok(Ready { query, partial: !gathered.failed.is_empty() })
    }

    /// The collection as it is, or as the catalog has it now if this gateway knows of no index for the text: it may
    /// just have been added elsewhere.
    pub(super) async fn with_text_index(
        &self,
        collection: Arc<Collection>,
        text: bool,
        using: Option<&str>,
        deadline: &Deadline,
    ) -> Result<Arc<Collection>, Fault> {
        if !text || text_index(using, &collection).is_ok() {
            return Ok(collection);
        }
        let view = self.refreshed(deadline).await?;
        Ok(view.get(&collection.spec.name).cloned().unwrap_or(collection))
    }
}
