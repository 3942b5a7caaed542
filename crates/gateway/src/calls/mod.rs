//! The public calls: one method of [`crate::Gateway`] each, the same for HTTP, gRPC and simulations.

mod browse;
mod collections;
mod indexes;
mod manage;
mod points;
mod query;
mod search;
mod status;
mod stopwatch;
mod stream;
mod write;
