//! A whole node in one thread, from a seed: the production rooms on a simulated disk, clock and executor.
//!
//! What it is. An [`executor`] that interleaves tasks by a seed and lets virtual time pass when nothing else can
//! happen; a [`world`] that raises the production assembly on simulated seams and can lose power at any disk
//! operation; an [`oracle`] that knows what was acknowledged; and [`scenarios`] that run clients against the
//! gateway and hold every answer to the oracle.
//!
//! How data flows through it. A seed decides the workload, the interleaving, the crash point and what the disk
//! forgets. Every decision is folded into a trace hash, so that equal seeds can be shown to be equal runs.
//!
//! What it must never know. Nothing is off limits, but nothing is modelled either: the rooms under test are the
//! ones that ship, and they do not know that they are simulated.

pub mod check;
pub mod clock;
pub mod cluster;
pub mod executor;
pub mod history;
pub mod invariants;
pub mod museum;
pub mod network;
pub mod oracle;
pub mod scenarios;
pub mod world;
