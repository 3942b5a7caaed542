//! The public contract, driven through the router and through a real gRPC channel, against shards kept in maps.

mod access;
mod browse;
mod calls;
mod cluster;
mod edge;
mod grpc;
mod indexes;
mod insight;
mod oracle;
mod query;
mod refusals;
mod reuse;
mod routing;
mod text;
