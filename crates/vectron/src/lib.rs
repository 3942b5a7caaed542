//! The binary: one process that assembles the rooms, and the command line that people use.
//!
//! What it is. [`assembly`] wires placement driver, worker and gateway to each other over the seams it is given;
//! [`node`] gives it the real ones and a listening socket; [`settings`] reads every knob; [`cli`] is the command
//! tree, a client of the same public contract as everybody's; [`formats`] reads the files that people import.
//!
//! How data flows through it. Environment and flags become settings and options, these become a node, the node
//! serves until it is told to stop. A command becomes client calls and then rows on stdout.
//!
//! What it must never know. How a room works inside: it builds rooms from their parts and calls their contracts.

pub mod assembly;
pub mod cli;
mod doors;
pub mod formats;
mod internal;
pub mod network;
pub mod node;
pub mod peers;
pub mod ports;
pub mod runtime;
pub mod settings;
pub mod topology;

/// The allocator of the binary and its tests.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
