//! A group at rest has nothing to say and counts no ticks. Its leader rests when every member has all of the log
//! and nothing was asked of it for a while; a follower rests when told so, and only as long as it is told so
//! again and again. Whatever is asked of a replica, and any message of its group, wakes it.

use super::Group;
use crate::core::{Message, Pulse};
use std::collections::BTreeMap;
use vectron_base::ids::ReplicaId;

/// Whether a group rests, and what it knows of those who would rest with it.
#[derive(Default)]
pub(super) struct Rest {
    state: State,
    /// When something was last asked of it, in ticks of the driver.
    busy: u64,
    /// The process that each member last wrote from, and when.
    heard: BTreeMap<ReplicaId, (u64, u64)>,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum State {
    #[default]
    Awake,
    /// With all of the log up to this index everywhere.
    Leading(u64),
    /// Last told so at this tick.
    Following(u64),
}

impl Group {
    /// Whether it counts no ticks.
    pub(crate) fn at_rest(&self) -> bool {
        self.rest.state != State::Awake
    }

    /// Takes note of who wrote, from where.
    pub(super) fn heard(&mut self, message: &Message, tick: u64) {
        if self.core.members().contains(message.from()) {
            self.rest.heard.insert(message.from(), (message.process, tick));
        }
    }

    /// Takes note that something is asked of it.
    pub(crate) fn asked(&mut self, tick: u64) {
        self.rest.busy = tick;
    }

    /// Ends its rest. Whether it rested until now.
    pub(crate) fn rouse(&mut self, tick: u64) -> bool {
        if self.at_rest() {
            self.rest.busy = tick;
        }
        if let State::Following(told) = self.rest.state {
            // The time at rest counts towards an election if the leader is gone.
            self.core.missed(usize::try_from(tick.saturating_sub(told)).unwrap_or(usize::MAX / 4));
        }
        std::mem::take(&mut self.rest.state) != State::Awake
    }

    /// Begins to rest if it leads and nobody waits for anything; whether it does.
    pub(crate) fn rest_leading(&mut self, tick: u64, after: u64, patience: u64) -> bool {
        if tick < self.rest.busy + after || !self.idle() {
            return false;
        }
        let Some(index) = self.core.settled().filter(|index| *index == self.applied) else { return false };
        let others = self.core.members().all();
        let present = |member: &ReplicaId| {
            let heard = self.rest.heard.get(member);
            *member == self.replica() || heard.is_some_and(|(_, at)| tick.saturating_sub(*at) < patience)
        };
        if self.core.alone() || !others.iter().all(present) {
            return false;
        }
        self.rest.heard.retain(|member, _| others.contains(member));
        self.rest.state = State::Leading(index);
        true
    }

    /// Heard that the leader rests; whether this follower does so too.
    pub(crate) fn rest_following(&mut self, pulse: &Pulse, tick: u64) -> bool {
        let rests = self.core.rest(pulse) && self.idle() && !self.core.has_work();
        if rests {
            self.rest.state = State::Following(tick);
            self.retention.everywhere = self.retention.everywhere.max(pulse.index);
        }
        rests
    }

    /// Whether nobody waits for anything here.
    fn idle(&self) -> bool {
        self.barriers.idle()
            && self.pending.is_empty()
            && self.committed.is_empty()
            && self.transfer.is_none()
            && self.awaiting.is_none()
    }

    /// Whether a follower at rest was not told so for an election timeout.
    pub(crate) fn forgotten(&self, tick: u64, patience: u64) -> bool {
        matches!(self.rest.state, State::Following(told) if tick.saturating_sub(told) >= patience)
    }

    /// If it leads at rest: each member's process, and what that is told.
    pub(crate) fn pulses(&self) -> impl Iterator<Item = (u64, Pulse)> + '_ {
        let index = if let State::Leading(index) = self.rest.state { Some(index) } else { None };
        index.into_iter().flat_map(move |index| {
            let others = self.rest.heard.iter().filter(|(member, _)| **member != self.replica());
            others.map(move |(member, (process, _))| (*process, self.core.pulse(*member, index)))
        })
    }
}
