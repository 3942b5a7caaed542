//! What the project's own commands do beyond calling cargo, as a library, so that tests hold it.
#![allow(clippy::disallowed_methods, reason = "a development tool has no seams")]

pub mod bench;
pub mod chaos;
