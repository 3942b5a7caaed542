//! The logs under power loss, decay, full disks, failing syncs and poison.

mod cluster;
mod fleet;
mod members;
mod crash;
mod damage;
mod disk_full;
mod flawed;
mod groups;
mod journal;
mod lessons;
mod process;
mod replicas;
mod world;
