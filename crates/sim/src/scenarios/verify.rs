//! What must hold after every start.

use super::churn::{Board, COLLECTION};
use super::client::Client;
use crate::oracle::{Oracle, shard_of};
use crate::world::{Halt, World};
use std::collections::BTreeMap;

/// Reads every id and settles it: acknowledged writes are there, a write in doubt happened or did not, wholly.
/// Then count, scroll and exact search must agree with what was read.
pub fn settle(world: &mut World, board: &Board) -> Result<(), Halt> {
    let client = Client { gateway: world.gateway(), collection: COLLECTION.into() };
    let (oracle, created, shards) = (board.oracle.clone(), board.created.clone(), board.shards);
    // A create whose answer was lost may have happened; it has for certain when a write was acknowledged.
    if !*created.lock() && oracle.lock().present().next().is_none() {
        return Ok(());
    }
    world.run(async move {
        let ids = oracle.lock().ids();
        let mut found = match client.get(&ids, "linearizable").await {
            Ok(found) => found,
            Err(fault) => panic!("the first read after a start failed: {fault}"),
        };
        let mut settled: Oracle = oracle.lock().clone();
        let mut requests: BTreeMap<(u64, usize), bool> = BTreeMap::new();
        for id in &ids {
            if let Some((request, happened)) = settled.settle(id, found.remove(id)) {
                let first = *requests.entry((request, shard_of(id, shards))).or_insert(happened);
                assert_eq!(first, happened, "{id}: a request happened in part within one shard");
            }
        }
        assert!(found.is_empty(), "points that nobody wrote: {found:?}");
        *oracle.lock() = settled.clone();
        agree(&client, &settled).await;
    })
}

async fn agree(client: &Client, oracle: &Oracle) {
    let present: Vec<String> = oracle.present().map(|(id, _)| id.clone()).collect();
    assert_eq!(client.count(None).await, Ok(present.len() as u64), "count");
    assert_eq!(client.scroll().await.as_ref(), Ok(&present), "scroll");
    for corner in [[0.0; 4], [15.0; 4], [8.0, 0.0, 8.0, 0.0]] {
        let expected = oracle.nearest(&corner, 7, |_| true);
        assert_eq!(client.search(&corner, 7, None, true).await.as_ref(), Ok(&expected), "exact search");
        assert_eq!(
            client.search(&corner, 7, None, false).await.as_ref(),
            Ok(&expected),
            "small shards are exact"
        );
    }
    for color in 0..3 {
        let holds = format!("\"color\":{color},");
        let expected = oracle.present().filter(|(_, c)| c.payload.contains(&holds)).count() as u64;
        assert_eq!(
            client.count(Some(format!("{{\"color\":{color}}}"))).await,
            Ok(expected),
            "filtered count"
        );
    }
}

/// Digest of the logical state of each shard of the shared collection, by shard. Brief collections may be half
/// way through their removal.
pub fn digests(world: &World) -> BTreeMap<u64, u128> {
    let mut serving = world.worker().serving();
    serving.retain(|hosted| hosted.meta.spec.name == COLLECTION);
    serving.iter().map(|hosted| (hosted.id().0, hosted.shard.digest().value)).collect()
}
