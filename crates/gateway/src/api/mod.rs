//! The public contract as plain types: REST bodies as they are, gRPC messages after translation.
//!
//! Requests only decode and answers only encode; what a request's values must be is decided in
//! `translate`, once for both protocols.

mod aliases;
mod browse;
mod cluster;
mod collections;
mod indexes;
mod points;
mod query;
mod scalar;
mod search;
mod status;
mod tune;
mod vectors;
mod why_not;
mod writes;

pub use aliases::*;
pub use browse::*;
pub use cluster::*;
pub use collections::*;
pub use indexes::*;
pub use points::*;
pub use query::*;
pub use scalar::*;
pub use search::*;
pub use status::*;
pub use tune::*;
pub use vectors::*;
pub use why_not::*;
pub use writes::*;
