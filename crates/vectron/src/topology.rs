//! What a process is in its cluster, and whom it knows from the start.

use std::collections::BTreeMap;
use vectron_base::ids::ReplicaId;
use vectron_wire::placement::Locality;

/// Which rooms a process raises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles {
    /// A member of the placement driver.
    pub placement: bool,
    /// A worker.
    pub worker: bool,
    /// A gateway.
    pub gateway: bool,
}

impl Roles {
    /// Everything, as `vectron up` does.
    pub const ALL: Roles = Roles { placement: true, worker: true, gateway: true };
    /// `vectron pd`.
    pub const PLACEMENT: Roles = Roles { placement: true, worker: false, gateway: false };
    /// `vectron worker`.
    pub const WORKER: Roles = Roles { placement: false, worker: true, gateway: false };
    /// `vectron gateway`.
    pub const GATEWAY: Roles = Roles { placement: false, worker: false, gateway: true };

    /// Whether it holds replicated logs.
    pub fn holds_logs(self) -> bool {
        self.placement || self.worker
    }
}

/// A process's place in its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    /// What it does.
    pub roles: Roles,
    /// Where other processes reach it; empty when there are none.
    pub address: String,
    /// Members of the placement driver by their replica of the catalog; empty when this process is the only one.
    pub drivers: BTreeMap<ReplicaId, String>,
    /// Which of them this process is, if it is one.
    pub driver: Option<ReplicaId>,
    /// Joins a placement driver that exists already, instead of founding one with `drivers`.
    pub joins: bool,
    /// Where the worker stands.
    pub locality: Locality,
}

impl Topology {
    /// One process that is everything.
    pub fn alone() -> Self {
        Self {
            roles: Roles::ALL,
            address: String::new(),
            drivers: BTreeMap::new(),
            driver: Some(ReplicaId(1)),
            joins: false,
            locality: Locality::default(),
        }
    }

    /// Whether there are no other processes.
    pub fn is_alone(&self) -> bool {
        self.address.is_empty()
    }

    /// The addresses of the placement driver, in order of member.
    pub fn driver_addresses(&self) -> Vec<String> {
        self.drivers.values().cloned().collect()
    }
}

/// The members of `1=host:port,2=host:port`; the reason if it is not such a list.
pub fn parse_drivers(text: &str) -> Result<BTreeMap<ReplicaId, String>, String> {
    let mut drivers = BTreeMap::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (id, address) = part.split_once('=').ok_or_else(|| format!("'{part}' is not ID=HOST:PORT"))?;
        let id: u64 = id.trim().parse().map_err(|_| format!("'{id}' is not a member's number"))?;
        let address = address.trim();
        check_address(address)?;
        if id == 0 {
            return Err("members are numbered from 1".into());
        }
        if drivers.insert(ReplicaId(id), address.to_string()).is_some() {
            return Err(format!("member {id} is given twice"));
        }
    }
    if drivers.is_empty() { Err("no member is given".into()) } else { Ok(drivers) }
}

/// Whether an address has a host and a port; the reason if not.
pub fn check_address(address: &str) -> Result<(), String> {
    let port = address.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port);
    match port.and_then(|port| port.parse::<u16>().ok()) {
        Some(port) if port > 0 => Ok(()),
        _ => Err(format!("'{address}' is not HOST:PORT")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_read_or_refused_with_a_reason() {
        let three = parse_drivers("1=a:1, 2=b:2,3=[::1]:3").unwrap();
        assert_eq!(three.len(), 3);
        assert_eq!(three[&ReplicaId(3)], "[::1]:3");
        for bad in ["", "a:1", "0=a:1", "1=a:1,1=b:2", "x=a:1", "1=a", "1=:7", "1=a:0", "1=a:70000"] {
            assert!(parse_drivers(bad).is_err(), "{bad}");
        }
    }
}
