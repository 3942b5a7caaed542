//! The directory of workers follows the catalog.

use crate::drivers::Nobody;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use vectron_base::ids::WorkerId;
use vectron_wire::connections::{Dialer, WorkerConnections};
use vectron_wire::placement::*;
use vectron_wire::worker::{Worker, WorkerDirectory};

/// Notes who was dialled, and how many of those connections are still held.
#[derive(Default)]
struct Noting(Mutex<Vec<(String, std::sync::Weak<Nobody>)>>);

impl Dialer for Noting {
    fn worker(&self, address: &str) -> Option<Arc<dyn Worker>> {
        if address.is_empty() {
            return None;
        }
        let worker = Arc::new(Nobody);
        self.0.lock().unwrap().push((address.into(), Arc::downgrade(&worker)));
        Some(worker)
    }
    fn placement(&self, _: &str) -> Option<Arc<dyn Placement>> {
        None
    }
}

impl Noting {
    /// Addresses dialled so far, each with whether its connection is held.
    fn dialled(&self) -> Vec<(String, bool)> {
        let dialled = self.0.lock().unwrap();
        dialled.iter().map(|(address, held)| (address.clone(), held.strong_count() > 0)).collect()
    }
}

fn view(epoch: u64, workers: &[(u64, &str)]) -> CatalogView {
    let entry = |(id, address): &(u64, &str)| WorkerEntry {
        registration: Registration {
            worker: WorkerId(*id),
            address: (*address).into(),
            locality: Locality::default(),
            cores: 1,
            memory_bytes: 1,
            disk_bytes: 1,
        },
        state: WorkerState::Active,
    };
    CatalogView {
        epoch,
        collections: Vec::new(),
        workers: workers.iter().map(entry).collect(),
        ..CatalogView::default()
    }
}

#[test]
fn workers_are_dialled_when_they_are_asked_for_and_dropped_when_they_leave() {
    let dialer = Arc::new(Noting::default());
    let directory = WorkerConnections::new(dialer.clone(), None);
    assert!(directory.worker(WorkerId(1)).is_none());
    directory.update(&view(5, &[(1, "a"), (2, "b"), (3, "")]));
    assert!(dialer.dialled().is_empty(), "nobody was asked for yet");
    for _ in 0..3 {
        assert!(directory.worker(WorkerId(1)).is_some());
    }
    assert!(directory.worker(WorkerId(2)).is_some());
    assert!(directory.worker(WorkerId(3)).is_none(), "not an address");
    let both = |a, b| Vec::from([("a".to_string(), a), ("b".to_string(), b)]);
    assert_eq!(dialer.dialled(), both(true, true));

    directory.update(&view(4, &[]));
    assert!(directory.worker(WorkerId(1)).is_some(), "an older catalog changes nothing");

    let in_use = directory.worker(WorkerId(2));
    directory.update(&view(6, &[(1, "a")]));
    assert!(directory.worker(WorkerId(2)).is_none());
    assert_eq!(directory.address(WorkerId(2)), None);
    assert_eq!(dialer.dialled(), both(true, true), "a call holds on to its connection");
    drop(in_use);
    assert_eq!(dialer.dialled(), both(true, false));

    directory.update(&view(7, &[(1, "c")]));
    assert_eq!(directory.address(WorkerId(1)), Some("c".into()));
    assert!(directory.worker(WorkerId(1)).is_some());
    let held: BTreeMap<_, _> = dialer.dialled().into_iter().collect();
    assert_eq!((held["a"], held["c"]), (false, true), "a worker that moved is dialled anew");
}

#[test]
fn the_worker_in_this_process_is_called_without_a_connection() {
    let dialer = Arc::new(Noting::default());
    let local: Arc<dyn Worker> = Arc::new(Nobody);
    let directory = WorkerConnections::new(dialer.clone(), Some((WorkerId(1), local.clone())));
    directory.update(&view(1, &[(1, "a"), (2, "b")]));
    assert!(Arc::ptr_eq(&directory.worker(WorkerId(1)).unwrap(), &local));
    assert!(dialer.dialled().is_empty());
}
