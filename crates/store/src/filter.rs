//! Filters against payload texts: the fast way is the filter language's own; [`naive`] is the slow and obvious one,
//! kept as the oracle.

mod failed;
pub mod naive;

pub use failed::{FailedClause, failed};

pub use vectron_base::filter::matcher::Matcher;
pub(crate) use vectron_base::filter::matcher::{Paths, Value, Visit, place};
