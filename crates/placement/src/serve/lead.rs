//! Leadership: who may answer, from when on, and until when.

use super::Service;
use crate::PlacementEvent;
use crate::moves::Planner;
use crate::observe::Reports;
use std::time::Duration;
use vectron_base::Fault;
use vectron_base::ids::GroupId;
use vectron_base::pool::within;
use vectron_consensus::Role;

/// How long a new leader may take to apply what was before its term, before callers are told to come again.
const TAKE_OVER: Duration = Duration::from_secs(5);

impl Service {
    /// The term in which this member leads, if it does; a fault that says who does otherwise.
    ///
    /// A new leader first applies everything from before its term, and knows nothing of the workers yet.
    pub(super) async fn lead(&self) -> Result<u64, Fault> {
        let term = self.leads_in()?;
        if *self.term.borrow() == term {
            return Ok(term);
        }
        let barrier = self.parts.consensus.barrier(GroupId::CATALOG);
        let passed = within(&self.parts.pool, TAKE_OVER, barrier).await;
        passed.ok_or_else(|| self.not_leader(None))?.map_err(|error| self.propose_fault(&error))?;
        if self.leads_in()? != term {
            return Err(self.not_leader(None));
        }
        let now = self.parts.clock.now();
        let begun = self.term.send_if_modified(|current| {
            let news = *current != term;
            if news {
                // Before anybody can see the term: no report of it may be lost.
                self.observed.change(|reports| *reports = Reports::since(now));
                *self.planner.lock() = Planner::default();
                self.dead.lock().clear();
                *current = term;
            }
            news
        });
        if begun {
            self.parts.metrics.leads.set(1);
            self.note(&PlacementEvent::Leads(term));
        }
        Ok(term)
    }

    /// The term in which the group says that this member leads.
    fn leads_in(&self) -> Result<u64, Fault> {
        match self.parts.consensus.status(GroupId::CATALOG) {
            Some(status) if status.role == Role::Leader && status.quarantined.is_none() => Ok(status.term),
            Some(status) => Err(self.not_leader(status.leader)),
            None => Err(self.not_leader(None)),
        }
    }

    /// Whether this member still leads in `term`.
    pub(super) fn still(&self, term: u64) -> Result<(), Fault> {
        if self.leads_in()? == term { Ok(()) } else { Err(self.not_leader(None)) }
    }

    /// As [`Service::lead`], with everything applied that anybody was answered for before this was called.
    pub(super) async fn lead_fresh(&self) -> Result<u64, Fault> {
        let term = self.lead().await?;
        self.parts.consensus.barrier(GroupId::CATALOG).await.map_err(|error| self.propose_fault(&error))?;
        Ok(term)
    }

    /// Notices that leadership was lost: watches end, and what was known of workers is forgotten.
    pub(super) fn step_down(&self) {
        let leads = self.leads_in().ok();
        let over = self.term.send_if_modified(|current| {
            let lost = *current != 0 && leads != Some(*current);
            if lost {
                *current = 0;
            }
            lost
        });
        if over {
            let now = self.parts.clock.now();
            self.observed.change(|reports| *reports = Reports::since(now));
            let metrics = &self.parts.metrics;
            for gauge in [
                &metrics.leads,
                &metrics.workers_dead,
                &metrics.shards_degraded,
                &metrics.shards_leaderless,
                &metrics.replicas_unlisted,
            ] {
                gauge.set(0);
            }
            self.note(&PlacementEvent::Follows);
        }
    }
}
