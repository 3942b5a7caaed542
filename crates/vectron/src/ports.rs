//! Free ports, for clusters on one machine.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::ops::Range;

/// Below what systems give to outgoing connections (32,768 and up by default): such a port may be taken between the
/// look and its use, and while a node that owns it restarts.
const PORTS: Range<u16> = 10_240..32_768;

/// A TCP port on `ip` that nobody listens on now and that no outgoing connection is given. Nothing reserves it.
pub fn free_port(ip: IpAddr) -> io::Result<u16> {
    // Two processes that look at once shall not look in the same order.
    let start = RandomState::new().hash_one(std::process::id());
    let count = PORTS.end - PORTS.start;
    let start = u16::try_from(start % u64::from(count)).unwrap_or(0);
    let mut refused = io::Error::from(io::ErrorKind::AddrInUse);
    for step in 0..count {
        let port = PORTS.start + (start + step) % count;
        match TcpListener::bind(SocketAddr::new(ip, port)) {
            Ok(_) => return Ok(port),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => refused = error,
            // Every other port would be refused alike: the address is not ours, say.
            Err(error) => return Err(error),
        }
    }
    Err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn a_free_port_can_be_listened_on_and_is_below_those_of_outgoing_connections() {
        let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let port = free_port(ip).unwrap();
        let listener = TcpListener::bind(SocketAddr::new(ip, port)).unwrap();
        assert!(PORTS.contains(&port));
        assert!((0..100).all(|_| free_port(ip).unwrap() != port), "somebody listens on it now");
        drop(listener);
    }

    #[test]
    fn an_address_of_another_machine_is_refused_at_once() {
        assert!(free_port(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1))).is_err());
    }
}
