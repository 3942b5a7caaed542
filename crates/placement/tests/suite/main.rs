//! The planner against workers that obey, die and come back.
#![allow(clippy::disallowed_methods, reason = "tests")]

mod members;
mod simulation;
mod stage;
mod world;
