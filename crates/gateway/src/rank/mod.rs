//! What becomes of several legs' hits: one ranking, with its formula, its diversity and its groups. Pure functions.

mod diversity;
mod formula;
mod fusion;
mod groups;
mod likeness;

pub use diversity::diverse;
pub use formula::{Decay, DecayKind, Formula, Origin, Scoring};
pub use fusion::{Candidate, Fusion, fuse};
pub use groups::{Group, grouped};
pub use likeness::{cosine, score};

use std::cmp::Ordering;

/// Best first, ties by id.
pub fn best_first(a: &Candidate, b: &Candidate) -> Ordering {
    // Adding zero makes -0 equal 0.
    (b.score + 0.0).total_cmp(&(a.score + 0.0)).then_with(|| a.point.id.cmp(&b.point.id))
}
