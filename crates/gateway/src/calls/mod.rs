//! The public calls: one method of [`crate::Gateway`] each, the same for HTTP, gRPC and simulations.

mod batch;
mod collections;
mod hits;
mod indexes;
mod manage;
mod points;
mod search;
mod status;
mod stopwatch;
mod stream;
mod text;
mod write;
