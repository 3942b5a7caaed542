//! The gRPC adapters of the service traits, between real sockets.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests live outside the seams")]

mod broken;
mod faults;
mod fields;
mod filters;
mod frames;
mod garbage;
mod given;
mod given_cluster;
mod given_examine;
mod given_placement;
mod given_snapshot;
mod limits;
mod scripted;
mod stage;
