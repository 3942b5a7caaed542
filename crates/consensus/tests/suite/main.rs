//! The logs under power loss, decay, full disks, failing syncs and poison.

mod crash;
mod damage;
mod disk_full;
mod groups;
mod lessons;
mod process;
mod replicas;
mod world;
