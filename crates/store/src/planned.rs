//! What a batch will do, decided item by item before readers are held up. While a command is being applied no other
//! changes a point, so what is decided on the points as they are still holds in the last step.

use crate::batch::{Batch, ItemWrite};
use crate::damage::Damage;
use crate::edit::PayloadEdit;
use crate::fields::Extractor;
use crate::filter::Matcher;
use crate::outcome::{ItemOutcome, Outcome, REFUSED_LISTED, Refused};
use crate::record::{Prepared, Record};
use crate::rows::Slot;
use crate::shard::Shard;
use crate::vectors::schema::Schema;
use std::collections::BTreeMap;
use vectron_base::filter::{Filter, FilterLimits};

/// Decided writes.
pub(crate) struct Planned {
    /// What becomes of each item.
    pub items: Vec<ItemOutcome>,
    /// Points to be written.
    pub puts: Vec<Prepared>,
    /// Points to be removed.
    pub gone: Vec<Box<str>>,
}

/// A point while a batch is decided.
enum Draft {
    Absent,
    Stored(Slot),
    Written(Record),
}

impl Draft {
    fn version(&self) -> u64 {
        match self {
            Draft::Absent => 0,
            Draft::Stored(slot) => slot.version,
            Draft::Written(record) => record.version,
        }
    }

    /// Whether there is a point whose payload passes.
    fn passes(&self, matcher: &Matcher) -> Result<bool, Damage> {
        Ok(match self {
            Draft::Absent => false,
            Draft::Stored(slot) => matcher.matches(slot.view()?.payload),
            Draft::Written(record) => matcher.matches(&record.payload),
        })
    }

    /// The point with another payload, at `version`; else what became of the attempt.
    fn edited(
        &self,
        version: u64,
        edit: &PayloadEdit,
        schema: &Schema,
    ) -> Result<Result<Record, ItemOutcome>, Damage> {
        let changed =
            |payload: &str| edit.of(payload).map_err(|bytes| ItemOutcome::PayloadTooLarge { bytes });
        Ok(match self {
            Draft::Absent => Err(ItemOutcome::Missing),
            Draft::Stored(slot) => {
                let view = slot.view()?;
                let values = view.values(schema).map_err(|e| slot.damage(e))?;
                changed(view.payload).map(|payload| Record {
                    id: view.id.into(),
                    version,
                    payload: payload.into(),
                    expires_at_ms: view.expires_at_ms,
                    values,
                    plain: schema.plain().is_some(),
                })
            }
            Draft::Written(record) => changed(&record.payload).map(|payload| Record {
                id: record.id.clone(),
                version,
                payload: payload.into(),
                expires_at_ms: record.expires_at_ms,
                values: record.values.clone(),
                plain: record.plain,
            }),
        })
    }
}

impl Shard {
    /// The points of these ids as they are at log time `now`: what is due by then is not there.
    fn drafts<'a>(&self, ids: impl Iterator<Item = &'a str>, now: u64) -> BTreeMap<Box<str>, Draft> {
        let state = self.state.read();
        let due = state.expiries.due(now);
        let live = |id: &str| state.rows.get(*state.ids.get(id)?).cloned().map(Draft::Stored);
        let mut drafts: BTreeMap<Box<str>, Draft> =
            ids.map(|id| (id.into(), live(id).unwrap_or(Draft::Absent))).collect();
        for id in due {
            drafts.entry(id).and_modify(|draft| *draft = Draft::Absent);
        }
        drafts
    }

    /// Decides a batch that is applied at `index` and log time `now`.
    pub(crate) fn plan_batch(
        &self,
        index: u64,
        now: u64,
        batch: Batch,
        extractor: Option<&Extractor>,
    ) -> Result<Planned, Damage> {
        let mut drafts = self.drafts(batch.items.iter().map(|item| item.id()), now);
        let parsed = |text: &String| Filter::parse(text, &FilterLimits::REPLICATED).unwrap_or(Filter::All);
        let matchers: Vec<Matcher> = batch.filters.iter().map(|text| Matcher::new(&parsed(text))).collect();
        let mut items = Vec::with_capacity(batch.items.len());
        for item in batch.items {
            let Some(draft) = drafts.get_mut(item.id()) else { continue };
            let current = draft.version();
            let there = !matches!(draft, Draft::Absent);
            if item.if_version().is_some_and(|wanted| wanted != current) {
                items.push(ItemOutcome::VersionMismatch { current });
                continue;
            }
            let matcher = item.if_filter.and_then(|at| matchers.get(at as usize));
            let writes = matches!(item.write, ItemWrite::Upsert(..));
            if let Some(matcher) = matcher
                && (there || writes)
                && !draft.passes(matcher)?
            {
                items.push(ItemOutcome::FilterMismatch { current });
                continue;
            }
            items.push(match item.write {
                ItemWrite::Upsert(point, expiry) => {
                    *draft = Draft::Written(Record {
                        id: point.id.into(),
                        version: index,
                        payload: point.payload.into(),
                        expires_at_ms: expiry.at(now),
                        values: self.schema.numbered(point.vector),
                        plain: self.schema.plain().is_some(),
                    });
                    ItemOutcome::Applied
                }
                ItemWrite::Delete(_) if there => {
                    *draft = Draft::Absent;
                    ItemOutcome::Applied
                }
                ItemWrite::Delete(_) => ItemOutcome::Missing,
                ItemWrite::Payload { edit, .. } => match batch.edits.get(edit as usize) {
                    Some(edit) => match draft.edited(index, edit, &self.schema)? {
                        Ok(record) => {
                            *draft = Draft::Written(record);
                            ItemOutcome::Applied
                        }
                        Err(outcome) => outcome,
                    },
                    None => ItemOutcome::Missing,
                },
            });
        }
        let (mut puts, mut gone) = (Vec::new(), Vec::new());
        for (id, draft) in drafts {
            match draft {
                Draft::Written(record) => puts.push(Prepared::new(record, extractor)),
                // Some of these were not there before either.
                Draft::Absent => gone.push(id),
                Draft::Stored(_) => {}
            }
        }
        Ok(Planned { items, puts, gone })
    }

    /// Decides a change of the payloads of these points, in id order.
    pub(crate) fn plan_edit(
        &self,
        index: u64,
        now: u64,
        mut ids: Vec<Box<str>>,
        edit: &PayloadEdit,
        extractor: Option<&Extractor>,
    ) -> Result<(Planned, Outcome), Damage> {
        ids.sort_unstable();
        let drafts = self.drafts(ids.iter().map(|id| &**id), now);
        let (mut refused, mut refused_more) = (Vec::new(), 0);
        let mut puts = Vec::new();
        for (id, draft) in drafts {
            match draft.edited(index, edit, &self.schema)? {
                Ok(record) => puts.push(Prepared::new(record, extractor)),
                // Its time has come.
                Err(ItemOutcome::Missing) => {}
                Err(_) if refused.len() == REFUSED_LISTED => refused_more += 1,
                Err(item) => refused.push(Refused { id: id.into(), item }),
            }
        }
        let updated = puts.len() as u64;
        let outcome = Outcome::Edited { version: index, updated, refused, refused_more, replayed: false };
        Ok((Planned { items: Vec::new(), puts, gone: Vec::new() }, outcome))
    }
}
