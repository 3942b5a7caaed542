//! A whole node, and a whole cluster, in one thread, from a seed: the production rooms on simulated disks, clocks,
//! network and executor.
//!
//! What it is. An [`executor`] that interleaves tasks by a seed and lets virtual time pass when nothing else can
//! happen. For one node: a [`world`] that can lose power at any disk operation, an [`oracle`] that knows what was
//! acknowledged, and [`scenarios`]. For many: a [`cluster`] of nodes with their own [`clock`]s, between them a
//! [`network`], clients that note a [`history`], [`invariants`] that look at every step, checkers ([`check`]) that
//! hold the history to the contract, and a [`museum`] of bugs that all this must find.
//!
//! How data flows through it. A seed decides the workload, the interleaving, what goes wrong when, and what disks
//! forget. Every decision is folded into a trace hash, so that equal seeds can be shown to be equal runs.
//!
//! What it must never know. Nothing is off limits, but nothing is modelled either: the rooms under test are the
//! ones that ship, and they do not know that they are simulated.

pub mod chaos;
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
mod workload;
pub mod world;
