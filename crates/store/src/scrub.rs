//! Scrubbing: everything that is stored is read again, in the background, before somebody needs it.
//!
//! A pass begins with the sums: the hashes of all rows, as they were when the records were written or loaded, must
//! add up to the sum that each apply has carried on. Then, a slice of rows at a time, each record is read from where
//! it is, held to its checksums, and hashed anew: the hash must be the row's. So a pass without a finding says that
//! the state's digest is that of the bytes that are stored. Rows written during a pass are looked at as they are when
//! their slice comes.

use crate::damage::Damage;
use crate::record::Named;
use crate::rows::Slot;
use crate::shard::Shard;
use crate::vectors::schema::Schema;
use std::collections::VecDeque;
use vectron_index::Row;

/// Rows whose slots are copied under one short look.
const SLICE: Row = 512;
/// Damaged points that a report names; it counts all.
const NAMED_MAX: usize = 64;
/// Marks that are kept.
const MARKS_KEPT: usize = 16;

/// What the digest was at an applied index: equal on every replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The log index of the mark.
    pub index: u64,
    /// The shard's digest there.
    pub digest: u128,
}

/// A point whose record is not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedPoint {
    /// Its id, if the id map leads to its row.
    pub id: Option<String>,
    /// In which file, and what is wrong.
    pub damage: Damage,
}

/// What a whole pass found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScrubReport {
    /// Points that were read.
    pub points: u64,
    /// Points that are damaged.
    pub damaged: u64,
    /// The first of them.
    pub named: Vec<DamagedPoint>,
    /// The rows do not add up to what every apply has carried on: the state in memory is wrong.
    pub sum_differs: bool,
}

impl ScrubReport {
    /// Whether nothing was found.
    pub fn is_clean(&self) -> bool {
        self.damaged == 0 && !self.sum_differs
    }
}

/// What a step of a pass did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScrubStep {
    /// Points read.
    pub points: u64,
    /// What the pass found, if this was its last step.
    pub report: Option<ScrubReport>,
}

/// A pass under way.
#[derive(Default)]
pub(crate) struct Scrub {
    next: Row,
    report: ScrubReport,
}

/// The last marks, oldest first.
#[derive(Default)]
pub(crate) struct Marks(VecDeque<Mark>);

impl Marks {
    pub fn push(&mut self, mark: Mark) {
        self.0.push_back(mark);
        if self.0.len() > MARKS_KEPT {
            self.0.pop_front();
        }
    }
}

impl Shard {
    /// The digests at the last few [`Operation::Mark`](crate::Operation::Mark)s, oldest first: whoever has them of
    /// several replicas compares those of equal index. Marks from before the last opening are not known.
    pub fn marks(&self) -> Vec<Mark> {
        self.state.read().marks.0.iter().copied().collect()
    }

    /// Reads some points again, about `points` of them; the step that ends a pass says what the pass found, and the
    /// next one begins another. Damage is also added to [`Shard::damage`]. For one thread at a time; of several the
    /// others do nothing.
    pub fn scrub_step(&self, points: u64) -> ScrubStep {
        let Some(mut scrubbing) = self.scrubbing.try_lock() else { return ScrubStep::default() };
        let mut scrub = scrubbing.take().unwrap_or_else(|| self.begin_scrub());
        let mut step = ScrubStep::default();
        while step.points < points.max(1) {
            let Some(slots) = self.next_slots(&mut scrub) else {
                step.report = Some(scrub.report);
                return step;
            };
            step.points += slots.len() as u64;
            slots.iter().for_each(|(row, slot)| self.scrub_row(&mut scrub.report, *row, slot));
        }
        *scrubbing = Some(scrub);
        step
    }

    /// Begins a pass with what is in memory.
    fn begin_scrub(&self) -> Scrub {
        let (rows, end, points, sum) = {
            let state = self.state.read_long();
            (state.rows.clone(), state.next_row, state.ids.len(), state.points_sum)
        };
        let hashes = (0..end).filter_map(|row| rows.get(row)).map(|slot| slot.hash);
        let (count, added) = hashes.fold((0, 0u128), |(n, sum), hash| (n + 1, sum.wrapping_add(hash)));
        let mut scrub = Scrub::default();
        scrub.report.sum_differs = count != points || added != sum;
        if scrub.report.sum_differs {
            let detail = "the points in memory do not add up to their digest".into();
            _ = self.report(Damage { file: self.dir.clone(), detail });
        }
        scrub
    }

    /// The records of the next rows; `None` after the last.
    fn next_slots(&self, scrub: &mut Scrub) -> Option<Vec<(Row, Slot)>> {
        let state = self.state.read_long();
        if scrub.next >= state.next_row || state.failure.is_some() {
            return None;
        }
        let rows = scrub.next..scrub.next.saturating_add(SLICE).min(state.next_row);
        scrub.next = rows.end;
        Some(rows.filter_map(|row| Some((row, state.rows.get(row)?.clone()))).collect())
    }

    fn scrub_row(&self, report: &mut ScrubReport, row: Row, slot: &Slot) {
        report.points += 1;
        let Err(damage) = verify(slot, &self.schema) else { return };
        report.damaged += 1;
        _ = self.report(damage.clone());
        if report.named.len() < NAMED_MAX {
            let state = self.state.read_long();
            let id = state.ids.iter().find(|(_, at)| **at == row).map(|(id, _)| id.to_string());
            report.named.push(DamagedPoint { id, damage });
        }
    }
}

/// Reads a record and holds it to its checksums and to the hash that the digest has of it.
fn verify(slot: &Slot, schema: &Schema) -> Result<(), Damage> {
    let view = slot.view()?;
    let values = view.values(schema).map_err(|e| slot.damage(e))?;
    let hash = Named::of(&view, &values, schema.plain().is_some()).hash;
    if hash != slot.hash || view.version != slot.version {
        return Err(slot.damage("a record is not the one that the digest has"));
    }
    Ok(())
}
