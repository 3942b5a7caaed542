//! The recall of live searches: a share of them is made again in the background and measured exactly, under a budget of
//! processor time, and what was found is kept per selectivity and recall target.

use crate::host::Host;
use crate::hosted::Hosted;
use futures::future::select;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use vectron_base::pool::{Lane, compute};
use vectron_base::random::mix64;
use vectron_store as store;
use vectron_wire::worker::{RecallFigure, Selectivity};

/// Searches of a shard that may wait to be measured; of more, some are not measured.
const WAITING_MOST: usize = 8;
/// Searches of a shard that are remembered to find an effort by,
const LATELY: usize = 64;
/// and how many there are for each that is, once there are enough.
const LATELY_ONE_IN: u64 = 32;
/// Measurements that are kept of one kind, the last ones.
const WINDOW: usize = 256;
/// Kinds of measurements that are kept: selectivities times recall targets that callers choose.
const KINDS_MOST: usize = 32;
/// Measurements from which on something is said about a target.
const SAID_FROM: usize = 30;
/// Standard errors by which the mean must be below a target before it counts as missed.
const MARGIN: f64 = 2.0;
/// How long a shard where nothing is to be measured sleeps.
const IDLE: Duration = Duration::from_secs(5);

/// What measurements are told apart by.
#[derive(Clone, Copy, PartialEq)]
struct Kind {
    selectivity: Selectivity,
    /// `None` where the caller chose an effort.
    target: Option<f32>,
}

/// The last measurements of one kind, each a share from 0 to 1.
struct Window {
    kind: Kind,
    recalls: VecDeque<f64>,
}

impl Window {
    fn mean(&self) -> f64 {
        self.recalls.iter().sum::<f64>() / self.recalls.len().max(1) as f64
    }

    /// Whether chance does not explain how far the mean is below the target.
    fn missed(&self) -> bool {
        let count = self.recalls.len();
        let Some(target) = self.kind.target.filter(|_| count >= SAID_FROM) else { return false };
        let mean = self.mean();
        let squares = self.recalls.iter().map(|recall| (recall - mean).powi(2)).sum::<f64>();
        let error = (squares / (count - 1) as f64 / count as f64).sqrt();
        // A target is a 32-bit number.
        mean + MARGIN * error < f64::from(target) - f64::from(f32::EPSILON)
    }
}

/// What is known of the recall of a shard's searches.
#[derive(Default)]
pub struct Recall {
    searches: AtomicU64,
    waiting: Mutex<VecDeque<store::SearchQuery>>,
    /// Searches of late, oldest first, to find an effort by.
    lately: Mutex<VecDeque<store::SearchQuery>>,
    /// Wakes who measures.
    pub wake: Notify,
    /// The kind that was measured last is the last.
    windows: Mutex<Vec<Window>>,
    /// Whether any of them misses its target.
    missing: AtomicBool,
}

impl Recall {
    /// Notes a search that will be made; takes it for a measurement if its turn has come.
    pub fn searched(&self, query: &store::SearchQuery, permyriad: u64) {
        if query.exact || query.recall_target >= 1.0 || query.top_k == 0 {
            return;
        }
        // Spread evenly and the same in equal runs, whatever rhythm callers have.
        let number = self.searches.fetch_add(1, Ordering::Relaxed);
        let draw = mix64(number);
        if number < LATELY as u64 || (draw >> 32).is_multiple_of(LATELY_ONE_IN) {
            let mut lately = self.lately.lock();
            if lately.len() == LATELY {
                lately.pop_front();
            }
            lately.push_back(query.clone());
        }
        if draw % 10_000 >= permyriad {
            return;
        }
        let mut waiting = self.waiting.lock();
        if waiting.len() < WAITING_MOST {
            waiting.push_back(query.clone());
            self.wake.notify_one();
        }
    }

    /// Whether searches with this target under such a filter have found less than it lately.
    pub fn misses(&self, selectivity: Selectivity, target: f32) -> bool {
        let kind = Kind { selectivity, target: Some(target) };
        self.missing.load(Ordering::Relaxed)
            && self.windows.lock().iter().any(|window| window.kind == kind && window.missed())
    }

    /// Some of the searches of late.
    pub fn lately(&self) -> Vec<store::SearchQuery> {
        self.lately.lock().iter().cloned().collect()
    }

    /// What was measured lately, by selectivity and target.
    pub fn figures(&self) -> Vec<RecallFigure> {
        let shown = |window: &Window| RecallFigure {
            selectivity: window.kind.selectivity,
            target: window.kind.target,
            samples: window.recalls.len() as u64,
            recall: window.mean(),
            missed: window.missed(),
        };
        let mut figures: Vec<RecallFigure> = self.windows.lock().iter().map(shown).collect();
        figures.sort_by(|a, b| {
            a.selectivity
                .cmp(&b.selectivity)
                .then_with(|| a.target.partial_cmp(&b.target).unwrap_or(std::cmp::Ordering::Equal))
        });
        figures
    }

    fn measured(&self, kind: Kind, recall: f64) {
        let mut windows = self.windows.lock();
        let known = windows.iter().position(|window| window.kind == kind);
        let mut window =
            known.map_or_else(|| Window { kind, recalls: VecDeque::new() }, |at| windows.remove(at));
        if window.recalls.len() == WINDOW {
            window.recalls.pop_front();
        }
        window.recalls.push_back(recall);
        if windows.len() == KINDS_MOST {
            windows.remove(0);
        }
        windows.push(window);
        self.missing.store(windows.iter().any(Window::missed), Ordering::Relaxed);
    }
}

/// Measures searches that were taken for it, until the shard is not tended any more. One shard of a worker measures at
/// a time, and what that took is followed by a pause, so that all together stay within the budget.
pub async fn keep_measured(host: &Arc<Host>, hosted: &Arc<Hosted>) {
    let percent = host.knobs().recall_cpu_percent.min(100);
    while percent > 0 && !host.stopping() && !hosted.over() {
        let next = hosted.recall.waiting.lock().pop_front();
        let Some(query) = next else {
            select(Box::pin(hosted.recall.wake.notified()), host.pool().sleep(IDLE)).await;
            continue;
        };
        let Ok(_turn) = host.measuring.acquire().await else { return };
        let begun = host.clock().now();
        measure(host, hosted, query).await;
        let took = host.clock().now().since(begun);
        let pause = took.mul_f64((100 - percent) as f64 / percent as f64);
        select(Box::pin(hosted.ended.notified()), host.pool().sleep(pause)).await;
    }
}

async fn measure(host: &Arc<Host>, hosted: &Arc<Hosted>, query: store::SearchQuery) {
    let (shard, over, stop) = (hosted.shard.clone(), hosted.clone(), host.clone());
    let target = query.ef.is_none().then_some(query.recall_target);
    let filtered = query.filter.is_some();
    let job = move || shard.measure_recall(&query, &[None], &|| stop.stopping() || over.over());
    let Some(Ok(Some(sample))) = compute(host.pool(), Lane::Background, job).await else {
        host.metrics().recall_dropped.inc();
        return;
    };
    let Some(tried) = sample.tries.first() else { return };
    let selectivity = Selectivity::of(filtered.then_some(sample.matching), sample.rows_live);
    hosted.recall.measured(Kind { selectivity, target }, tried.found as f64 / sample.of.max(1) as f64);
    let collection = hosted.meta.spec.name.as_str();
    host.metrics().recall_measured(collection, selectivity.as_str(), tried.found, sample.of);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query() -> store::SearchQuery {
        store::SearchQuery::new(vec![1.0], 10)
    }

    #[test]
    fn a_share_of_the_searches_is_taken_and_few_wait() {
        let recall = Recall::default();
        let mut taken = 0;
        for _ in 0..20_000 {
            recall.searched(&query(), 50);
            taken += recall.waiting.lock().drain(..).count();
        }
        assert!((60..=140).contains(&taken), "{taken} of 20,000 at 0.5 %");
        (0..100).for_each(|_| recall.searched(&query(), 10_000));
        assert_eq!(recall.waiting.lock().len(), WAITING_MOST);
        recall.waiting.lock().clear();
        (0..100).for_each(|_| recall.searched(&query(), 0));
        let exact = store::SearchQuery { exact: true, ..query() };
        (0..100).for_each(|_| recall.searched(&exact, 10_000));
        assert!(recall.waiting.lock().is_empty());
    }

    #[test]
    fn a_target_is_missed_when_chance_does_not_explain_it() {
        let recall = Recall::default();
        let kind = |target| Kind { selectivity: Selectivity::All, target: Some(target) };
        for _ in 0..SAID_FROM - 1 {
            recall.measured(kind(0.95), 0.5);
        }
        assert!(!recall.misses(Selectivity::All, 0.95), "too few to say so");
        recall.measured(kind(0.95), 0.5);
        assert!(recall.misses(Selectivity::All, 0.95));
        assert!(!recall.misses(Selectivity::All, 0.9) && !recall.misses(Selectivity::Under1, 0.95));
        // A mean of 0.94 out of one miss in seventeen may be chance.
        for at in 0..WINDOW {
            recall.measured(kind(0.95), if at % 17 == 0 { 0.0 } else { 1.0 });
        }
        assert!(!recall.misses(Selectivity::All, 0.95));
        // All that is found never misses, at whatever target.
        (0..WINDOW).for_each(|_| recall.measured(kind(0.999), 1.0));
        assert!(!recall.misses(Selectivity::All, 0.999));
        let figures = recall.figures();
        assert_eq!(figures.iter().map(|f| f.target).collect::<Vec<_>>(), [Some(0.95), Some(0.999)]);
        assert_eq!((figures[1].samples, figures[1].recall, figures[1].missed), (WINDOW as u64, 1.0, false));
        for target in 0..100u8 {
            recall.measured(kind(f32::from(target)), 1.0);
        }
        assert_eq!(recall.figures().len(), KINDS_MOST);
    }
}
