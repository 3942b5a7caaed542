//! Time: ticks for groups that are awake, beats for those at rest.
//!
//! Every few ticks this process tells each other one, in one message, which groups rest under a leader here. For
//! the followers named there that is the heartbeat; one that is not named for an election timeout wakes, counts
//! the time towards an election, and goes on as any other. So whatever ends a leader, be it the process, the
//! group alone or the path between, is noticed as without rest. The other process answers; one that does not
//! wakes the groups that it shares with this one, whose leaders then find out whether they still lead.

use super::{Driver, Hosted};
use crate::core::{Message, Pulse};
use crate::group::Keep;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use vectron_base::ids::GroupId;

/// Groups in one message, which is then no longer than 160 KiB.
const BEAT_GROUPS_MAX: usize = 4_096;

impl Driver {
    /// Lets a tick pass if it is time.
    pub(super) fn tick(&mut self) {
        let now = self.clock.now();
        if now < self.next_tick {
            return;
        }
        // After a pause one tick passes and not many: nobody could be heard meanwhile.
        self.next_tick = self.next_tick.plus(self.knobs.tick()).max(now);
        if self.journal.failed().is_some() {
            return;
        }
        self.ticks += 1;
        let (patience, after, ticks) = (self.knobs.election(), self.knobs.rest_ticks, self.ticks);
        for id in self.awake.iter().copied().collect::<Vec<_>>() {
            let Some(Hosted::Live(group)) = self.hosted.get_mut(&id) else { continue };
            let ticked = catch_unwind(AssertUnwindSafe(|| group.tick(patience)));
            if group.has_work() || group.owes() {
                self.dirty.insert(id);
            }
            if ticked.is_err() {
                self.quarantine(id, "its log could not go on".into());
            } else if after > 0 && group.rest_leading(ticks, after, patience as u64) {
                self.awake.remove(&id);
                self.publish(id);
            }
        }
        // Often enough that a few lost beats wake nobody.
        if ticks.is_multiple_of((patience as u64 / 3).max(1)) {
            self.beat(patience as u64);
        }
        if ticks.is_multiple_of(patience as u64) {
            self.trim_all();
        }
    }

    /// Tells others who rests, and wakes whom nobody tells or answers.
    fn beat(&mut self, patience: u64) {
        let mut pulses: BTreeMap<u64, Vec<Pulse>> = BTreeMap::new();
        let mut forgotten = Vec::new();
        for (id, hosted) in &self.hosted {
            let Hosted::Live(group) = hosted else { continue };
            for (process, pulse) in group.pulses() {
                pulses.entry(process).or_default().push(pulse);
            }
            if group.forgotten(self.ticks, patience) {
                forgotten.push(*id);
            }
        }
        forgotten.into_iter().for_each(|id| self.stir(id, |_| {}));
        self.told.retain(|process, _| pulses.contains_key(process));
        for (process, pulses) in pulses {
            let answered = *self.told.entry(process).or_insert(self.ticks);
            if self.ticks.saturating_sub(answered) >= patience {
                self.told.remove(&process);
                pulses.iter().for_each(|pulse| self.stir(pulse.group, |_| {}));
            } else {
                let beats = pulses.chunks(BEAT_GROUPS_MAX).filter_map(|some| Message::beat(some.to_vec()));
                self.outgoing.extend(beats);
            }
        }
    }

    /// A leader elsewhere says that a group rests. Whether its replica is here.
    pub(super) fn rest_following(&mut self, pulse: &Pulse) -> bool {
        let ticks = self.ticks;
        let here = self.live(pulse.group).filter(|group| group.replica() == pulse.to);
        let Some(group) = here else {
            self.metrics.messages_dropped.inc();
            return false;
        };
        let rested = group.at_rest();
        match catch_unwind(AssertUnwindSafe(|| group.rest_following(pulse, ticks))) {
            Ok(true) if rested => {}
            Ok(true) => {
                self.awake.remove(&pulse.group);
                self.publish(pulse.group);
            }
            Ok(false) => self.stir(pulse.group, |_| {}),
            Err(_) => self.quarantine(pulse.group, "its log could not go on".into()),
        }
        true
    }

    /// Drops what the logs need not keep any more.
    fn trim_all(&mut self) {
        let holders = self.journal.holders();
        for id in self.hosted.keys().copied().collect::<Vec<_>>() {
            self.trim(id, holders.contains(&id));
        }
    }

    /// Drops what a log need not keep any more.
    pub(super) fn trim(&mut self, id: GroupId, pressed: bool) {
        let keep = Keep {
            bytes: self.knobs.log_kept_bytes,
            held_bytes: self.knobs.log_hold_max_bytes,
            now: self.clock.now(),
            pressed,
        };
        let Some(Hosted::Live(group)) = self.hosted.get_mut(&id) else { return };
        let batch = &mut self.batch;
        if catch_unwind(AssertUnwindSafe(|| group.trim(keep, batch))).is_err() {
            self.quarantine(id, "its log could not go on".into());
        }
    }
}
