//! The worker: hosts shards, writes to them through their replicated logs, and reads from them.
//!
//! What it is. A [`host`] that makes the replicas it holds agree with the catalog's assignments (opens, fetches,
//! splits and removes them, each on its own), makes the members of the groups that it leads agree with the catalog's
//! roles, and the service that gateways and other workers call: writes, reads at four levels, copies of replicas.
//! In the background it tends graphs, checkpoints and marks.
//!
//! How data flows through it. A write is fenced, encoded as a store command, proposed to the shard's group,
//! applied by the shard and answered with its outcome. A read passes the barrier that its level needs, then
//! looks at the shard in a read lane. A replica that lacks its data asks the leader's worker for a checkpoint, fetches
//! it in parts, and joins the group where the checkpoint ends. Background steps follow every write until the graph has
//! caught up.
//!
//! What it must never know. HTTP, users, other collections' names; how consensus orders entries; how the store
//! lays out its files. It never waits for the placement driver to serve a shard that it already holds.

mod browse;
mod event;
mod examine;
mod expiry;
mod faults;
pub mod host;
mod hosted;
mod indexes;
mod knobs;
mod load;
mod member;
mod meta;
mod metrics;
mod peers;
mod read;
mod recall;
mod serve;
mod shape;
mod shown;
mod snapshot;
mod tend;
mod text;
mod tune;
mod write;

pub use event::WorkerEvent;
pub use host::{Host, HostError, Parts};
pub use knobs::WorkerKnobs;
pub use metrics::WorkerMetrics;
pub use peers::Peers;
