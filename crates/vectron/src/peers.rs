//! Messages of replicated logs between processes: whom a replica's messages go to, and who takes those that come.

use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use vectron_base::ids::{GroupId, ReplicaId};
use vectron_base::metric::{Counter, Registry};
use vectron_consensus::{Handle, Message, Outbox};
use vectron_placement::catalog::SharedCatalog;
use vectron_wire::links::Links;
use vectron_wire::peer::Inbox;
use vectron_worker::Peers;

/// Where the replicas of every group are reached: the catalog's at the members of the placement driver, a shard's
/// at its workers.
#[derive(Default)]
pub struct AddressBook {
    drivers: RwLock<BTreeMap<ReplicaId, String>>,
    /// The catalog that this process keeps, if it is a member of the placement driver.
    catalog: OnceLock<SharedCatalog>,
    /// The shards' replicas, as the worker here knows them.
    pub workers: Arc<Peers>,
}

impl AddressBook {
    /// A book with the members of the placement driver in it.
    pub fn new(drivers: BTreeMap<ReplicaId, String>) -> Self {
        Self { drivers: RwLock::new(drivers), ..Self::default() }
    }

    /// Members of the placement driver are looked up in this catalog first. It is the log of their own group that names
    /// them, so one that is added is known as soon as that is applied here, whoever leads and whether anybody does.
    pub fn follow_catalog(&self, catalog: SharedCatalog) {
        // There is one catalog in a process.
        let _ = self.catalog.set(catalog);
    }

    fn driver(&self, replica: ReplicaId) -> Option<String> {
        let own = self.catalog.get().and_then(|c| c.read(|c| c.members().get(&replica).cloned()));
        own.filter(|address| !address.is_empty()).or_else(|| self.drivers.read().get(&replica).cloned())
    }

    /// These are the members of the placement driver now, besides those of the start. A member whose address is not in
    /// the catalog yet, as at a cluster's first start, is listed with an empty one: that takes nothing back.
    pub fn note_drivers(&self, drivers: impl IntoIterator<Item = (ReplicaId, String)>) {
        let known = drivers.into_iter().filter(|(_, address)| !address.is_empty());
        self.drivers.write().extend(known);
    }

    /// Where a replica is reached, if that is known.
    pub fn address(&self, group: GroupId, replica: ReplicaId) -> Option<String> {
        match group {
            GroupId::CATALOG => self.driver(replica),
            _ => self.workers.address_of(group, replica),
        }
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

    #[test]
    fn a_member_without_an_address_in_the_catalog_keeps_the_one_of_the_start() {
        let (first, added) = (ReplicaId(1), ReplicaId(4));
        let book = AddressBook::new(BTreeMap::from([(first, "10.0.0.1:7102".to_string())]));
        book.note_drivers([(first, String::new()), (added, String::new())]);
        assert_eq!(book.address(GroupId::CATALOG, first).as_deref(), Some("10.0.0.1:7102"));
        assert_eq!(book.address(GroupId::CATALOG, added), None);
        book.note_drivers([(first, "10.0.0.9:7102".into()), (added, "10.0.0.4:7102".into())]);
        assert_eq!(book.address(GroupId::CATALOG, first).as_deref(), Some("10.0.0.9:7102"));
        assert_eq!(book.address(GroupId::CATALOG, added).as_deref(), Some("10.0.0.4:7102"));
    }
}
