//! Several workers in one process, on simulated disks and one clock.

mod catalog;
mod churn;
mod executor;
mod expiry;
mod faults;
mod lessons;
mod moves;
mod network;
mod reads;
mod splits;
mod world;
