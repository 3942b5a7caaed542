//! Plans: pure functions of the catalog, the reports and the time that they are told. No clock, no I/O.
//!
//! A [`Layout`] is who holds what once all that is under way has ended. Each planner looks at a layout and names one
//! [`Planned`] step, or none when it is content; [`Layout::apply`] gives the layout after it. So a plan of many steps
//! is the planner asked again and again, a dry run is the same without commands, and a planner that is followed to its
//! end asks for nothing more.

pub mod balance;
pub mod drain;
mod layout;
pub mod leaders;
pub mod place;
pub mod repair;
pub mod scrub;
pub mod split;

pub use layout::{Holder, Layout, Node, Placed, UNIT_BYTES};

use vectron_base::ids::{ShardId, WorkerId};
use vectron_wire::placement::PlannedMove;

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Which shard.
    pub shard: ShardId,
    /// Who gives a replica away.
    pub from: Option<WorkerId>,
    /// Who gets one.
    pub to: Option<WorkerId>,
    /// Whether an added replica only follows.
    pub learner: bool,
    /// What is copied, in bytes.
    pub bytes: u64,
    /// Why, in words.
    pub reason: String,
    /// Whether other steps may overtake it when it has to wait for a limit.
    pub urgent: bool,
}

impl Planned {
    /// As operators see it.
    pub fn shown(&self) -> PlannedMove {
        PlannedMove {
            shard: self.shard,
            from: self.from,
            to: self.to,
            bytes: self.bytes,
            reason: self.reason.clone(),
        }
    }
}

/// What to plan for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wants {
    /// How far a worker's fill may exceed the mean, in percent, before replicas are moved; nothing is moved for
    /// balance when absent.
    pub balance_percent: Option<u64>,
}

/// The steps of a plan, in order: repairs, then drains, then balance. Each is planned on what the ones before it
/// leave, and only when it is asked for.
pub fn plan(layout: &Layout, wants: Wants) -> impl Iterator<Item = Planned> + use<> {
    let mut layout = layout.clone();
    // Each planner ends by itself; the bound only keeps a mistake from becoming a hang.
    let most = 16 + 16 * layout.shards.values().map(|shard| shard.holders.len()).sum::<usize>();
    let step = move || {
        let balance = |percent| balance::next(&layout, percent);
        let step = repair::next(&layout)
            .or_else(|| drain::next(&layout))
            .or_else(|| wants.balance_percent.and_then(balance))?;
        layout.apply(&step);
        Some(step)
    };
    std::iter::from_fn(step).take(most)
}

#[cfg(test)]
mod reported;
#[cfg(test)]
mod tests;
