//! Messages of replicated logs between processes: whom a replica's messages go to, and who takes those that come.

use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use vectron_base::disk::{Disk, load_checked, save_checked};
use vectron_base::ids::{GroupId, ReplicaId, WorkerId};
use vectron_base::metric::{Counter, Registry};
use vectron_consensus::{Handle, Message, Outbox};
use vectron_wire::links::Links;
use vectron_wire::peer::Inbox;
use vectron_wire::placement::{CatalogView, Replica, Shard};

/// File with the addresses that were seen last, so that a process finds its peers while the placement driver is
/// away.
const FILE: &str = "peers";
const KIND: &str = "vectron-peers";
const FORMAT: u32 = 1;

/// Where the replicas of every group are reached.
#[derive(Default)]
pub struct AddressBook {
    known: RwLock<Known>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    drivers: BTreeMap<ReplicaId, String>,
    workers: BTreeMap<WorkerId, String>,
    /// The worker of each replica of a shard.
    replicas: BTreeMap<ReplicaId, WorkerId>,
}

impl AddressBook {
    /// The book with the placement driver's members in it, and what the last life of this process knew.
    pub fn open(disk: &dyn Disk, drivers: &BTreeMap<ReplicaId, String>) -> Self {
        // Addresses are learnt again from the catalog: a file that is missing or damaged is as good as none.
        let mut known: Known = load_checked(disk, FILE, KIND, FORMAT)
            .ok()
            .and_then(|body| serde_json::from_slice(&body).ok())
            .unwrap_or_default();
        known.drivers.extend(drivers.clone());
        Self { known: RwLock::new(known) }
    }

    /// Takes what a catalog says; whether that was news.
    pub fn update(&self, view: &CatalogView) -> bool {
        let workers = view.workers.iter().map(|entry| &entry.registration);
        let shards = || view.collections.iter().flat_map(|c| &c.shards);
        let of = |shard: &Shard| -> Vec<Replica> {
            let child = shard.split.iter().flat_map(|split| &split.replicas);
            shard.replicas.iter().chain(child).copied().collect()
        };
        let seen = Known {
            drivers: self.known.read().drivers.clone(),
            workers: workers.map(|w| (w.worker, w.address.clone())).collect(),
            replicas: shards().flat_map(of).map(|replica| (replica.replica, replica.worker)).collect(),
        };
        let mut known = self.known.write();
        let news = *known != seen;
        *known = seen;
        news
    }

    /// Takes the members of the placement driver as they are now.
    pub fn update_drivers(&self, drivers: &BTreeMap<ReplicaId, String>) {
        self.known.write().drivers.clone_from(drivers);
    }

    /// Writes the book down.
    pub fn save(&self, disk: &dyn Disk) {
        let body = serde_json::to_vec(&*self.known.read()).unwrap_or_default();
        // What cannot be written now is written with the next news, and read from the catalog meanwhile.
        let _ = save_checked(disk, FILE, KIND, FORMAT, &body);
    }

    /// Where a replica is reached, if that is known.
    pub fn address(&self, group: GroupId, replica: ReplicaId) -> Option<String> {
        let known = self.known.read();
        if group == GroupId::CATALOG {
            return known.drivers.get(&replica).cloned();
        }
        known.workers.get(known.replicas.get(&replica)?).cloned()
    }
}

/// Sends what the logs of this process have to say.
pub struct PeerOutbox {
    book: Arc<AddressBook>,
    links: Links,
    lost: Counter,
}

impl PeerOutbox {
    /// Messages go where `book` says, over `links`; what has no address is lost, and sent again by the protocol.
    pub fn new(book: Arc<AddressBook>, links: Links, registry: &mut Registry) -> Self {
        let lost = Counter::default();
        let help = "Messages for replicas whose address is not known";
        registry.register("vectron_node_messages_without_address", help, lost.clone());
        Self { book, links, lost }
    }
}

impl Outbox for PeerOutbox {
    fn send(&mut self, message: Message) {
        let Some(address) = self.book.address(message.group(), message.to()) else {
            self.lost.inc();
            return;
        };
        let bytes = message.encode();
        if !bytes.is_empty() {
            self.links.send(&address, bytes);
        }
    }
}

/// Takes what other processes' logs have to say.
pub struct PeerInbox {
    consensus: Handle,
    malformed: Counter,
}

impl PeerInbox {
    /// Hands messages to `consensus`.
    pub fn new(consensus: Handle, registry: &mut Registry) -> Self {
        let malformed = Counter::default();
        let help = "Messages of other processes' logs that could not be read";
        registry.register("vectron_node_malformed_messages", help, malformed.clone());
        Self { consensus, malformed }
    }
}

impl Inbox for PeerInbox {
    fn receive(&self, message: &[u8]) {
        match Message::decode(message) {
            Some(message) => self.consensus.deliver(message),
            None => {
                self.malformed.inc();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vectron_base::disk::sim::SimDisk;
    use vectron_wire::placement::{Registration, WorkerEntry};

    #[test]
    fn addresses_outlive_a_restart_and_follow_the_catalog() {
        let disk = SimDisk::new(1);
        let drivers = BTreeMap::from([(ReplicaId(1), "pd:1".to_string())]);
        let book = AddressBook::open(&disk, &drivers);
        let entry = WorkerEntry {
            registration: Registration {
                worker: WorkerId(9),
                address: "w:9".into(),
                locality: Default::default(),
                cores: 1,
                memory_bytes: 1,
                disk_bytes: 1,
            },
            state: Default::default(),
        };
        let view = CatalogView { epoch: 2, workers: vec![entry], ..CatalogView::default() };
        assert!(book.update(&view));
        assert!(!book.update(&view));
        book.save(&disk);
        let book = AddressBook::open(&disk, &drivers);
        assert!(!book.update(&view));
        assert_eq!(book.address(GroupId::CATALOG, ReplicaId(1)).as_deref(), Some("pd:1"));
        assert_eq!(book.address(GroupId(7), ReplicaId(1)), None);
    }
}
