//! Service contracts: what rooms may ask of each other, and how that looks on a wire.
//!
//! What it is. Each internal service as a Rust trait over plain domain types ([`worker`], [`placement`]),
//! the generated types of the protobuf contracts ([`proto`]), the one table that maps a fault to gRPC
//! and HTTP ([`fault_table`]), and the hash that sends a point id to its shard ([`routing`]).
//! For messages of replicated logs, which are opaque bytes here: queues by address ([`links`]) and what carries and
//! takes them ([`peer`]).
//!
//! How data flows through it. A room calls a trait. In one process the trait object is the room itself and a
//! call is a function call; across processes it is an adapter ([`grpc`]) that speaks the protobuf contract.
//! Who shall be asked, when there are several, is decided over the traits too ([`connections`]), so that a
//! simulation decides it the same way. Protobuf types never go past an adapter or the gateway's translation.
//!
//! What it must never know. How a room does its work: no index, store, Raft or HTTP routing here.

pub mod alias;
pub mod batch;
pub mod browse;
pub mod cluster;
pub mod codec;
pub mod connections;
mod examine;
pub mod fault_table;
pub mod frames;
pub mod grpc;
pub mod links;
pub mod peer;
pub mod placement;
pub mod proto;
mod query;
mod recall;
pub mod report;
pub mod routing;
mod settings;
pub mod snapshot;
mod status;
mod text;
mod tune;
mod vector_fields;
pub mod worker;
