//! The settings of this room.

use std::time::Duration;
use vectron_base::knob::{Affects, Bounds};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

vectron_base::knobs! {
    /// Settings of the replicated logs and their journal.
    pub struct ConsensusKnobs in "consensus", "VECTRON_CONSENSUS" {
        /// Length of a tick; heartbeats are sent every second tick. Shorter ticks notice failures sooner and
        /// cost more idle work.
        tick_ms: u64 = 100u64, "TICK_MS", Bounds::Integer(10, 1_000), "ms", Affects::Speed,
            "vectron_consensus_commits_total";
        /// Ticks without a leader before an election; the wait is between one and two times this, and never
        /// below one second. Fewer ticks fail over sooner and disturb a stalled machine more.
        election_ticks: u64 = 15u64, "ELECTION_TICKS", Bounds::Integer(5, 1_000), "ticks", Affects::Speed,
            "vectron_consensus_events_total";
        /// Size at which a journal segment is closed and the next begun. Smaller segments give space back
        /// sooner and restate the groups' records more often.
        journal_segment_bytes: u64 = 64 * MIB, "JOURNAL_SEGMENT_BYTES", Bounds::Integer(4 * KIB, GIB), "bytes",
            Affects::Speed, "vectron_consensus_journal_segments";
        /// Size of the journal above which groups that hold its oldest segment are asked to checkpoint. A
        /// larger journal checkpoints less often and replays longer after a restart.
        journal_limit_bytes: u64 = GIB, "JOURNAL_LIMIT_BYTES", Bounds::Integer(16 * KIB, 1 << 40), "bytes",
            Affects::Speed, "vectron_consensus_journal_bytes";
        /// Bytes of a group's log that are kept behind its checkpoint while a member is behind. More of them let a
        /// member catch up after a longer absence and take more memory and disk.
        log_kept_bytes: u64 = 16 * MIB, "LOG_KEPT_BYTES", Bounds::Integer(0, GIB), "bytes", Affects::Speed,
            "vectron_consensus_snapshots_needed_total";
        /// Bytes of a group's log that are kept behind its checkpoint while a snapshot of it is on its way. More of
        /// them let a slower transfer end well and take more memory and disk.
        log_hold_max_bytes: u64 = 256 * MIB, "LOG_HOLD_MAX_BYTES", Bounds::Integer(0, 4 * GIB), "bytes",
            Affects::Speed, "vectron_consensus_snapshots_needed_total";
        /// Ticks without work after which a group rests, with one beat for all resting groups of two processes
        /// instead of heartbeats; 0 for never. Sooner rest costs less and a little more at the next write.
        rest_ticks: u64 = 30u64, "REST_TICKS", Bounds::Integer(0, 100_000), "ticks", Affects::Speed,
            "vectron_consensus_resting_groups";
        /// Free space below which proposals are refused; deletions, removals and the logs' own records may
        /// use it. More reserve refuses earlier and leaves more room to recover.
        disk_reserve_bytes: u64 = 64 * MIB, "DISK_RESERVE_BYTES", Bounds::Integer(0, 1 << 40), "bytes",
            Affects::Limits, "vectron_consensus_events_total";
        /// Proposals that may wait at once. More of them bridge longer stalls and wait longer.
        queue_max_proposals: u64 = 16_384u64, "QUEUE_MAX_PROPOSALS", Bounds::Integer(1, 1 << 20), "",
            Affects::Limits, "vectron_consensus_batch_entries";
        /// Bytes of commands that may wait at once. More of them bridge longer stalls and take more memory.
        queue_max_bytes: u64 = 256 * MIB, "QUEUE_MAX_BYTES", Bounds::Integer(MIB, 2 * GIB), "bytes",
            Affects::Limits, "vectron_consensus_batch_bytes";
        /// Longest command of one entry. Longer ones make fewer, slower syncs.
        entry_max_bytes: u64 = 32 * MIB, "ENTRY_MAX_BYTES", Bounds::Integer(KIB, GIB), "bytes",
            Affects::Limits, "vectron_consensus_batch_bytes";
    }
}

impl ConsensusKnobs {
    /// Length of a tick.
    pub(crate) fn tick(&self) -> Duration {
        Duration::from_millis(self.tick_ms.max(1))
    }

    /// Shortest election timeout in ticks. A shared machine stalls for a quarter of a second at times, so
    /// that nothing below one second means that a leader is gone.
    pub(crate) fn election(&self) -> usize {
        let floor = 1_000u64.div_ceil(self.tick_ms.max(1));
        usize::try_from(self.election_ticks.max(floor).max(5)).unwrap_or(usize::MAX / 4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elections_wait_at_least_a_second() {
        let knobs = ConsensusKnobs { tick_ms: 10, election_ticks: 5, ..ConsensusKnobs::default() };
        assert_eq!(knobs.election(), 100);
        let knobs = ConsensusKnobs::default();
        assert_eq!(knobs.election(), 15);
        assert!(ConsensusKnobs::knobs().iter().all(|k| !k.metric.is_empty()));
    }
}
