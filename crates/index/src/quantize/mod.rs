//! Training-free codes of vectors: a search reads a few bits per component instead of 32.
//!
//! A vector less a fixed mean is turned by a seeded random rotation, after which its components
//! look like draws from one normal distribution whatever the data was, and rounded to a uniform
//! grid with one step per vector. The factor |x|²/⟨x, x̂⟩ kept with the code makes the estimate of
//! an inner product unbiased (Gao and Long 2024, "RaBitQ", §3.2; Gao et al. 2024, "Practical and
//! Asymptotically Optimal Quantization of High-Dimensional Vectors", §3, for several bits). A
//! 4-bit code and the 4 bits it lacks of an 8-bit one are stored apart, so that a search reads
//! the first alone (Aguerrebere et al. 2023, "Similarity search in the blink of an eye with
//! compressed indices", §3, two-level LVQ).

mod codes;
mod encode;
mod keys;
#[cfg(test)]
mod measure;
mod probe;
mod rotation;
#[cfg(test)]
mod tests;

pub(crate) use codes::{Bits, Codes};
pub(crate) use encode::CodeError;
pub(crate) use probe::CodeProbe;
