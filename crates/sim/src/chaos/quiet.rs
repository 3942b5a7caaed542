//! After everything: the cluster is healed, must take writes, come to rest, and hold the same on every replica.

use super::client::{Board, COLLECTION};
use super::nemesis::Nemesis;
use super::process::CLUSTER_KEY;
use crate::check::Violation;
use crate::history::{DIMENSION, Final, Seen, parse_id, public_id};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tonic::transport::Endpoint;
use vectron_base::ids::{Incarnation, ShardId};
use vectron_wire::grpc::MessageLimits;
use vectron_wire::grpc::key::ClusterKey;
use vectron_wire::grpc::worker::WorkerConnection;
use vectron_wire::routing::hash_of_id;
use vectron_wire::worker::{Include, PointRecord, ReadLevel, ShardGet, ShardRead, Target, Worker};

/// Within this every shard must accept a write, on a machine that others use too.
const WRITES_PATIENCE: Duration = Duration::from_secs(60);
/// Within this everything that was begun must be done, and every replica be whole.
const REST_PATIENCE: Duration = Duration::from_secs(120);
/// Within this every replica must have applied what the others have.
const LEVEL_PATIENCE: Duration = Duration::from_secs(30);
/// Waiting for the answer of one replica.
const READ_MS: u64 = 5_000;

/// Waits until every shard has accepted a write; after how many milliseconds.
pub fn accepts(nemesis: &mut Nemesis<'_>) -> Result<u64, Violation> {
    let begun = Instant::now();
    let mut waiting: Vec<u64> = nemesis.lineage.owners().shards.iter().map(|(_, shard)| *shard).collect();
    let mut number = 0u64;
    while !waiting.is_empty() {
        let owners = nemesis.lineage.owners();
        let owner = |id: &str| {
            let at = owners.shards.partition_point(|(last, _)| *last < hash_of_id(id));
            owners.shards.get(at).map(|(_, shard)| *shard)
        };
        waiting.retain(|shard| {
            number += 1;
            let mut ids = (0..10_000).map(|n| format!("probe-{number}-{n}"));
            let Some(id) = ids.find(|id| owner(id) == Some(*shard)) else { return false };
            let point = json!({"id": id, "vector": vec![0.0; DIMENSION]});
            let body = json!({"points": [point], "timeout_ms": 1_000});
            let path = format!("/v1/collections/{COLLECTION}/points");
            let written =
                |url: &str| nemesis.rest.post(url, &path, &body).is_ok_and(|done| done["upserted"] == 1);
            let accepted = nemesis.processes.serving().any(|node| written(&node.url));
            // Searches and counts that come later must not see it. Whatever became of the write, it goes.
            let delete = json!({"ids": [id], "timeout_ms": 2_000});
            let path = format!("{path}/delete");
            nemesis.processes.serving().any(|node| nemesis.rest.post(&node.url, &path, &delete).is_ok());
            !accepted
        });
        if begun.elapsed() > WRITES_PATIENCE {
            let what = format!("shards {waiting:?} take no write {WRITES_PATIENCE:?} after healing");
            return Err(Violation { property: "writes are accepted after healing", what });
        }
    }
    Ok(u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX))
}

/// Waits until nothing moves and every shard has its replicas; after how many milliseconds.
pub fn rests(nemesis: &mut Nemesis<'_>) -> Result<u64, Violation> {
    let begun = Instant::now();
    loop {
        let unrest = nemesis.unrest();
        if unrest.is_empty() {
            return Ok(u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX));
        }
        if begun.elapsed() > REST_PATIENCE {
            let what = format!("{REST_PATIENCE:?} after healing: {unrest:#?}");
            return Err(Violation { property: "the cluster comes to rest after healing", what });
        }
        nemesis.pause(Duration::from_millis(500));
    }
}

/// What every replica holds, read from its worker; and those that do not answer, or stay behind the others.
pub fn finals(nemesis: &mut Nemesis<'_>, board: &Board) -> std::io::Result<(Vec<Final>, Vec<Violation>)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let path = format!("/v1/collections/{COLLECTION}");
    let collection = nemesis.processes.any(&nemesis.rest, &path).unwrap_or_default();
    let incarnation = collection["incarnation"].as_u64().unwrap_or(0);
    let workers = nemesis.processes.any(&nemesis.rest, "/v1/admin/workers").unwrap_or_default();
    let address = |worker: &Value| {
        let mut all = workers["workers"].as_array().into_iter().flatten();
        all.find(|of| of["worker"] == *worker)?["address"].as_str().map(str::to_string)
    };
    let shards = nemesis.shards();
    let owners = nemesis.lineage.owners();
    let (mut finals, mut wrong) = (Vec::new(), Vec::new());
    for shard in &shards {
        let id = shard["shard"].as_u64().unwrap_or(0);
        let ids: Vec<u32> = (0..board.ids()).filter(|point| owners.owner(*point) == id).collect();
        let target = Target {
            shard: ShardId(id),
            incarnation: Incarnation(incarnation),
            epoch: shard["epoch"].as_u64().unwrap_or(0),
        };
        let get = ShardGet {
            target,
            read: ReadLevel::Eventual,
            ids: ids.iter().map(|id| public_id(*id)).collect(),
            include: Include { payload: true, vector: false },
            timeout_ms: READ_MS,
        };
        let replicas = shard["replicas"].as_array().cloned().unwrap_or_default();
        let begun = Instant::now();
        let reads = loop {
            let reads: Vec<_> = replicas
                .iter()
                .map(|replica| runtime.block_on(read(address(&replica["worker"]), get.clone())))
                .collect();
            let applied = |read: &Result<ShardRead<_>, String>| {
                read.as_ref()
                    .ok()
                    .map(|read: &ShardRead<Vec<Option<PointRecord>>>| read.delivered.applied_index)
            };
            let level = reads.iter().all(|of| applied(of).is_some() && applied(of) == applied(&reads[0]));
            if level || begun.elapsed() > LEVEL_PATIENCE {
                if !level {
                    let states: Vec<_> = reads.iter().map(|of| of.as_ref().map(|of| of.delivered)).collect();
                    let what = format!("shard {id}: {states:?}: {shard}");
                    wrong.push(Violation { property: "replicas catch up after healing", what });
                }
                break reads;
            }
            std::thread::sleep(Duration::from_millis(500));
        };
        for (replica, read) in replicas.iter().zip(reads) {
            let Ok(read) = read else { continue };
            let points = read.value.into_iter().flatten();
            finals.push(Final {
                replica: format!("shard {id} on worker {}", replica["worker"]),
                applied: read.delivered.applied_index,
                points: points.filter_map(|point| Some((parse_id(&point.id)?, seen(&point)))).collect(),
                ids: ids.clone(),
            });
        }
    }
    Ok((finals, wrong))
}

async fn read(address: Option<String>, get: ShardGet) -> Result<ShardRead<Vec<Option<PointRecord>>>, String> {
    let address = address.ok_or("its worker is not known")?;
    let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(|error| error.to_string())?;
    let channel = endpoint.connect().await.map_err(|error| error.to_string())?;
    let limits = MessageLimits { send: 64 << 20, receive: 64 << 20 };
    let key = ClusterKey::parse(CLUSTER_KEY).map_err(|error| error.to_string())?;
    let connection = WorkerConnection::new(channel, limits, Duration::from_secs(5)).with_key(Some(key));
    let worker: Arc<dyn Worker> = Arc::new(connection);
    worker.get(get).await.map_err(|fault| fault.to_string())
}

fn seen(point: &PointRecord) -> Seen {
    let payload: Value =
        point.payload.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    Seen { version: point.version, number: payload["number"].as_u64().unwrap_or(0) }
}
