//! The public contract as plain types: REST bodies as they are, gRPC messages after translation.
//!
//! Requests only decode and answers only encode; what a request's values must be is decided in
//! `translate`, once for both protocols.

mod cluster;
mod collections;
mod indexes;
mod points;
mod scalar;
mod search;
mod status;
mod vectors;
mod writes;

pub use cluster::*;
pub use collections::*;
pub use indexes::*;
pub use points::*;
pub use scalar::*;
pub use search::*;
pub use status::*;
pub use vectors::*;
pub use writes::*;
