//! Messages of replicated logs between processes: whom a replica's messages go to, and who takes those that come.

use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::sync::Arc;
use vectron_base::ids::{GroupId, ReplicaId};
use vectron_base::metric::{Counter, Registry};
use vectron_consensus::{Handle, Message, Outbox};
use vectron_wire::links::Links;
use vectron_wire::peer::Inbox;
use vectron_worker::Peers;

/// Where the replicas of every group are reached: the catalog's at the members of the placement driver, a shard's
/// at its workers.
#[derive(Default)]
pub struct AddressBook {
    drivers: RwLock<BTreeMap<ReplicaId, String>>,
    /// The shards' replicas, as the worker here knows them.
    pub workers: Arc<Peers>,
}

impl AddressBook {
    /// A book with the members of the placement driver in it.
    pub fn new(drivers: BTreeMap<ReplicaId, String>) -> Self {
        Self { drivers: RwLock::new(drivers), workers: Arc::default() }
    }

    /// These are the members of the placement driver now, besides those of the start. One without an address is in its
    /// group and not in the catalog yet, as all are until the first leader has written them there: what was known of
    /// it stays.
    pub fn note_drivers(&self, drivers: impl IntoIterator<Item = (ReplicaId, String)>) {
        let known = drivers.into_iter().filter(|(_, address)| !address.is_empty());
        self.drivers.write().extend(known);
    }

    /// Where a replica is reached, if that is known.
    pub fn address(&self, group: GroupId, replica: ReplicaId) -> Option<String> {
        match group {
            GroupId::CATALOG => self.drivers.read().get(&replica).cloned(),
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
    fn a_member_that_the_catalog_does_not_know_yet_keeps_its_address() {
        let book = AddressBook::new(BTreeMap::from([(ReplicaId(1), "one:1".into())]));
        book.note_drivers([(ReplicaId(1), String::new()), (ReplicaId(4), String::new())]);
        let address = |replica| book.address(GroupId::CATALOG, ReplicaId(replica));
        assert_eq!((address(1), address(4)), (Some("one:1".into()), None));
        book.note_drivers([(ReplicaId(1), "moved:1".into()), (ReplicaId(4), "four:1".into())]);
        assert_eq!((address(1), address(4)), (Some("moved:1".into()), Some("four:1".into())));
    }
}
