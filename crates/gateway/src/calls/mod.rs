//! The public calls: one method of [`crate::Gateway`] each, the same for HTTP, gRPC and simulations.

mod batch;
mod browse;
mod collections;
mod hits;
mod indexes;
mod manage;
mod points;
mod query;
mod search;
mod status;
mod stopwatch;
mod stream;
mod text;
mod tune;
mod why_not;
mod write;
