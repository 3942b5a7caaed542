//! The edge: the public contract over REST and gRPC, on one port.
//!
//! What it is. One public contract ([`api`]) served by HTTP handlers and a gRPC service that share every
//! method of [`Gateway`]; the checks that can fail before anything is proposed; the routing, fan-out and
//! merging that make many shards look like one collection.
//!
//! How data flows through it. A request is decoded (`http`, `grpc`), admitted (`admit`: identity, limits,
//! deadline), translated into a plan with an explicit consistency (`translate`), routed by the cached catalog
//! (`route`), sent to shards (`fanout`, past what is kept in `answers` and shared in `sharing`) and its answers merged (`merge`) and translated back, saying who
//! answered and at which consistency.
//!
//! What it must never know. How a shard stores, replicates or searches. It holds no authoritative state: kill
//! any gateway and nothing is lost. The calls use no runtime but the seams, so that a simulation runs them.

mod admit;
mod answers;
pub mod api;
mod ask;
mod calls;
mod cursor;
mod fanout;
mod gateway;
mod grpc;
mod http;
mod knobs;
mod merge;
mod metrics;
mod rank;
mod route;
mod sealed;
mod serve;
mod session;
mod sharing;
mod stall;
mod translate;
mod weight;

pub use gateway::{AdminSources, Gateway, Parts};
pub use http::{openapi, router};
pub use knobs::GatewayKnobs;
pub use metrics::{Call, GatewayMetrics, Rejection};
pub use serve::serve;
