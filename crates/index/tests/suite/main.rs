//! The index as its callers see it, held to brute force.

mod bytes;
mod data;
mod gates;
mod lessons;
mod model;
mod quantized;
mod recall;
mod support;
mod traps;
