//! The logs under power loss, decay, full disks, failing syncs and poison.

mod cluster;
mod crash;
mod damage;
mod disk_full;
mod flawed;
mod fleet;
mod groups;
mod idle;
mod journal;
mod lessons;
mod members;
mod process;
mod replicas;
mod world;
