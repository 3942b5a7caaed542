//! Where replicas go: pure functions of the catalog and the observed workers. No clock, no I/O.

use std::collections::BTreeMap;
use vectron_base::ids::WorkerId;

/// A worker that may take replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Who.
    pub worker: WorkerId,
    /// Replicas it holds already.
    pub replicas: u64,
}

/// Workers for each of `shards` shards, `replication_factor` distinct ones each, the least loaded first;
/// `None` when there are too few workers.
pub fn place(candidates: &[Candidate], shards: u32, replication_factor: u32) -> Option<Vec<Vec<WorkerId>>> {
    let wanted = replication_factor as usize;
    if wanted == 0 || candidates.len() < wanted {
        return None;
    }
    let mut load: BTreeMap<WorkerId, u64> = candidates.iter().map(|c| (c.worker, c.replicas)).collect();
    let placements = (0..shards).map(|_| {
        let mut order: Vec<(u64, WorkerId)> = load.iter().map(|(w, n)| (*n, *w)).collect();
        order.sort();
        let chosen: Vec<WorkerId> = order.iter().take(wanted).map(|(_, w)| *w).collect();
        for worker in &chosen {
            *load.entry(*worker).or_default() += 1;
        }
        chosen
    });
    Some(placements.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workers(loads: &[u64]) -> Vec<Candidate> {
        let candidate = |(i, n): (usize, &u64)| Candidate { worker: WorkerId(i as u64 + 1), replicas: *n };
        loads.iter().enumerate().map(candidate).collect()
    }

    /// Lesson 27: all shards of a collection landed on the same nodes.
    #[test]
    fn l27_shards_spread_over_workers() {
        let placements = place(&workers(&[0, 0, 0]), 6, 1).unwrap();
        for worker in 1..=3 {
            assert_eq!(placements.iter().filter(|p| p[0] == WorkerId(worker)).count(), 2);
        }
    }

    #[test]
    fn replicas_of_a_shard_are_on_distinct_workers() {
        for placement in place(&workers(&[5, 0, 9, 1]), 8, 3).unwrap() {
            let mut distinct = placement.clone();
            distinct.sort();
            distinct.dedup();
            assert_eq!(distinct.len(), 3);
        }
    }

    #[test]
    fn too_few_workers_is_no_placement() {
        assert_eq!(place(&workers(&[0]), 1, 3), None);
        assert_eq!(place(&[], 1, 1), None);
    }
}
