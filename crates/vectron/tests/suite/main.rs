//! End-to-end tests: the real binary on real files over real sockets.
#![allow(clippy::disallowed_methods, reason = "tests live outside the seams")]

mod cluster;
mod contract;
mod dataset;
mod fields;
mod format;
mod generated;
mod indexes;
mod insight;
mod kill;
mod lanes;
mod lessons;
mod lifecycle;
mod process;
mod text;
mod writes;
