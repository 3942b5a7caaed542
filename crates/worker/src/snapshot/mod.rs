//! Copies of replicas: offered by a leader as a checkpoint, fetched in parts by who lacks the data.

mod fetch;
mod offer;
mod throttle;

pub(crate) use fetch::fetch;
pub(crate) use offer::{Offers, offer, part};
pub(crate) use throttle::Throttle;
