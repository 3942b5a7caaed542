//! Whom processes talk to, and how their messages travel: links, connections to whoever leads, directories of
//! workers, and the peer stream over real sockets.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests live outside the seams")]

mod drivers;
mod keys;
mod links;
mod pool;
mod stream;
mod workers;
