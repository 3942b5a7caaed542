//! Whom calls to the placement driver reach, in virtual time, against members that do what they are told.

use crate::pool::VirtualPool;
use async_trait::async_trait;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use vectron_base::clock::Clock;
use vectron_base::filter::FieldIndex;
use vectron_base::pool::Pool;
use vectron_base::{Code, Fault, Outcome};
use vectron_wire::connections::{Dialer, PlacementConnections, PlacementWaits};
use vectron_wire::placement::*;
use vectron_wire::worker::*;

/// What a member does with a call.
#[derive(Clone, Debug)]
enum Mood {
    Answers,
    Faults(Fault),
    /// Does it, and never says so.
    Silent,
}

#[derive(Default)]
struct Moods {
    moods: BTreeMap<String, Mood>,
    /// Addresses in the order in which they were asked.
    asked: Vec<String>,
    /// Time given with each call that names one, in milliseconds.
    given_ms: Vec<u64>,
}

#[derive(Clone)]
struct Members {
    pool: VirtualPool,
    state: Arc<Mutex<Moods>>,
}

struct Member(Members, String);

impl Members {
    fn set(&self, address: &str, mood: Mood) {
        self.state.lock().unwrap().moods.insert(address.into(), mood);
    }

    /// Who was asked since the last question.
    fn asked(&self) -> String {
        std::mem::take(&mut self.state.lock().unwrap().asked).join(" ")
    }
}

impl Dialer for Members {
    fn worker(&self, _: &str) -> Option<Arc<dyn Worker>> {
        None
    }
    fn placement(&self, address: &str) -> Option<Arc<dyn Placement>> {
        let known = self.state.lock().unwrap().moods.contains_key(address);
        known.then(|| Arc::new(Member(self.clone(), address.into())) as Arc<dyn Placement>)
    }
}

impl Member {
    async fn act<T: Default>(&self, given_ms: Option<u64>) -> Result<T, Fault> {
        let mood = {
            let mut state = self.0.state.lock().unwrap();
            state.asked.push(self.1.clone());
            state.given_ms.extend(given_ms);
            state.moods.get(&self.1).cloned().unwrap_or(Mood::Silent)
        };
        // Every answer takes its time.
        self.0.pool.sleep(Duration::from_millis(1)).await;
        match mood {
            Mood::Answers => Ok(T::default()),
            Mood::Faults(fault) => Err(fault),
            Mood::Silent => std::future::pending().await,
        }
    }
}

#[async_trait]
impl Placement for Member {
    async fn create_collection(&self, _: CollectionSpec, _: u64) -> Result<(Collection, bool), Fault> {
        Err(Fault::internal("not played"))
    }
    async fn delete_collection(&self, _: &str, timeout_ms: u64) -> Result<(), Fault> {
        self.act(Some(timeout_ms)).await
    }
    async fn create_index(&self, _: &str, _: FieldIndex) -> Result<bool, Fault> {
        self.act(None).await
    }
    async fn delete_index(&self, _: &str, _: &str) -> Result<(), Fault> {
        self.act(None).await
    }
    async fn watch(&self, _: u64) -> Result<Arc<CatalogView>, Fault> {
        self.act(None).await
    }
    async fn register(&self, _: Registration) -> Result<(), Fault> {
        self.act(None).await
    }
    async fn report(&self, _: WorkerReport) -> Result<(), Fault> {
        self.act(None).await
    }
    async fn cluster(&self) -> Result<ClusterView, Fault> {
        self.act(None).await
    }
    async fn change(&self, _: ClusterChange) -> Result<Vec<PlannedMove>, Fault> {
        self.act(None).await
    }
    async fn catalog_snapshot(&self) -> Result<CatalogSnapshot, Fault> {
        Err(Fault::internal("not played"))
    }
}

const WAITS: PlacementWaits = PlacementWaits {
    call: Duration::from_secs(5),
    watch: Duration::from_secs(30),
    pause: Duration::from_millis(300),
};

fn stage(moods: &[(&str, Mood)]) -> (VirtualPool, Members, Arc<PlacementConnections>) {
    let pool = VirtualPool::new();
    let members = Members { pool: pool.clone(), state: Arc::default() };
    moods.iter().for_each(|(address, mood)| members.set(address, mood.clone()));
    let addresses = ["a", "b", "c"].map(String::from).into();
    let dialer = Arc::new(members.clone());
    let driver =
        PlacementConnections::new(dialer, addresses, pool.clock.clone(), Arc::new(pool.clone()), WAITS);
    (pool, members, Arc::new(driver))
}

fn gone() -> Mood {
    Mood::Faults(Fault::new(Code::Unavailable, "cannot be reached"))
}

fn led_by(leader: &str) -> Mood {
    Mood::Faults(Fault::new(Code::Unavailable, "another member leads").led_from(leader))
}

fn change(pool: &VirtualPool, driver: &Arc<PlacementConnections>) -> Result<(), Fault> {
    let driver = driver.clone();
    pool.wait(async move { driver.change(ClusterChange::Pause).await.map(|_| ()) })
}

fn watch(pool: &VirtualPool, driver: &Arc<PlacementConnections>) -> Result<(), Fault> {
    let driver = driver.clone();
    pool.wait(async move { driver.watch(1).await.map(|_| ()) })
}

#[test]
fn who_answered_last_is_asked_first() {
    let (pool, members, driver) = stage(&[("a", gone()), ("b", gone()), ("c", Mood::Answers)]);
    assert_eq!(change(&pool, &driver), Ok(()));
    assert_eq!(members.asked(), "a b c");
    assert_eq!(watch(&pool, &driver), Ok(()));
    assert_eq!((members.asked().as_str(), driver.first()), ("c", Some("c".into())));
    members.set("c", gone());
    members.set("a", Mood::Answers);
    assert_eq!(watch(&pool, &driver), Ok(()));
    assert_eq!(members.asked(), "c a");
}

#[test]
fn a_hint_saves_the_search_even_to_a_member_that_is_not_listed() {
    let (pool, members, driver) = stage(&[("a", led_by("c")), ("b", gone()), ("c", Mood::Answers)]);
    assert_eq!(change(&pool, &driver), Ok(()));
    assert_eq!(members.asked(), "a c");
    members.set("c", led_by("new"));
    members.set("new", Mood::Answers);
    assert_eq!(change(&pool, &driver), Ok(()));
    assert_eq!(change(&pool, &driver), Ok(()));
    assert_eq!(members.asked(), "c new new");
}

#[test]
fn members_that_name_each_other_are_asked_twice_at_most() {
    let (pool, members, driver) = stage(&[("a", led_by("b")), ("b", led_by("a")), ("c", led_by("a"))]);
    let fault = change(&pool, &driver).unwrap_err();
    assert_eq!((fault.code, fault.outcome), (Code::Unavailable, Outcome::NotApplied));
    assert_eq!(fault.leader, None, "addresses stay inside");
    let asked = members.asked();
    assert_eq!(asked.split(' ').count(), 6, "{asked}");
}

#[test]
fn an_election_is_waited_out_once() {
    let (pool, members, driver) = stage(&[("a", gone()), ("b", gone()), ("c", gone())]);
    let elected = members.clone();
    pool.spawn("election", {
        let sleep = pool.sleep(Duration::from_millis(200));
        Box::pin(async move {
            sleep.await;
            elected.set("b", Mood::Answers);
        })
    });
    assert_eq!(change(&pool, &driver), Ok(()));
    assert!(pool.clock.now().0 >= 300_000_000, "after the pause");
    assert!(members.asked().ends_with('b'));
}

#[test]
fn a_member_that_says_when_to_come_back_is_obeyed_unless_time_runs_out() {
    let refusal = |ms| Mood::Faults(Fault::new(Code::Unavailable, "no worker yet").retry_after(ms));
    let (pool, members, driver) = stage(&[("a", refusal(2_000)), ("b", led_by("a")), ("c", led_by("a"))]);
    let fault = change(&pool, &driver).unwrap_err();
    assert_eq!((fault.detail.as_str(), fault.retry_after_ms), ("no worker yet", Some(2_000)));
    assert!(pool.clock.now().0 >= 2_000_000_000);
    assert_eq!(members.asked().split(' ').count(), 6);
    members.set("a", refusal(60_000));
    let before = pool.clock.now();
    assert!(change(&pool, &driver).is_err());
    assert!(pool.clock.now().since(before) < Duration::from_secs(1));
}

#[test]
fn a_change_whose_outcome_is_unknown_is_not_repeated_and_the_next_call_goes_elsewhere() {
    let lost = Fault::new(Code::Unavailable, "the connection broke").with_outcome(Outcome::Unknown);
    for mood in [Mood::Faults(lost), Mood::Silent] {
        let (pool, members, driver) = stage(&[("a", mood), ("b", Mood::Answers), ("c", Mood::Answers)]);
        let fault = change(&pool, &driver).unwrap_err();
        assert_eq!((members.asked().as_str(), fault.outcome), ("a", Outcome::Unknown));
        assert_eq!(change(&pool, &driver), Ok(()));
        assert_eq!(members.asked(), "b");
    }
}

#[test]
fn other_faults_are_the_leaders_answer() {
    for code in Code::ALL.into_iter().filter(|code| *code != Code::Unavailable) {
        let fault = Fault::new(code, "so it is");
        let (pool, members, driver) =
            stage(&[("a", gone()), ("b", Mood::Faults(fault.clone())), ("c", Mood::Answers)]);
        assert_eq!(change(&pool, &driver), Err(fault), "{code}");
        assert_eq!(members.asked(), "a b", "{code}");
    }
}

#[test]
fn a_silent_member_costs_its_caller_the_wait_and_nobody_after_it() {
    let (pool, members, driver) = stage(&[("a", Mood::Silent), ("b", Mood::Answers), ("c", gone())]);
    let fault = watch(&pool, &driver).unwrap_err();
    assert_eq!((fault.code, fault.outcome), (Code::DeadlineExceeded, Outcome::NotApplied));
    assert_eq!(watch(&pool, &driver), Ok(()));
    assert_eq!(members.asked(), "a b");
}

#[test]
fn who_is_asked_later_is_given_the_time_that_is_left() {
    let (pool, members, driver) = stage(&[("a", gone()), ("b", gone()), ("c", Mood::Answers)]);
    let asked = driver.clone();
    pool.wait(async move { asked.delete_collection("docs", 100).await }).unwrap();
    assert_eq!(members.state.lock().unwrap().given_ms, [100, 99, 98]);
}

#[test]
fn members_that_left_are_asked_no_more() {
    let (pool, members, driver) = stage(&[("a", Mood::Answers), ("b", Mood::Answers), ("c", Mood::Answers)]);
    change(&pool, &driver).unwrap();
    driver.set_addresses(vec!["c".into()]);
    change(&pool, &driver).unwrap();
    assert_eq!(members.asked(), "a c");
    driver.set_addresses(Vec::new());
    let fault = change(&pool, &driver).unwrap_err();
    assert_eq!((fault.code, fault.outcome), (Code::Unavailable, Outcome::NotApplied));
}

fn mood() -> impl Strategy<Value = Mood> {
    prop_oneof![
        2 => Just(gone()),
        2 => prop::sample::select(vec!["a", "b", "c", "elsewhere"]).prop_map(led_by),
        1 => Just(Mood::Answers),
        1 => Just(Mood::Silent),
        1 => Just(Mood::Faults(Fault::new(Code::Unavailable, "lost").with_outcome(Outcome::Unknown))),
    ]
}

/// Whatever members say: a change is done at most once, an answer is found if somebody who is asked in time has one
/// and nobody before it left the outcome open, and no call outlasts its deadline by more than an answer's slack.
#[test]
fn changes_are_never_done_twice() {
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) };
    proptest::test_runner::TestRunner::new(config)
        .run(&[mood(), mood(), mood()], |[a, b, c]| {
            let moods = [("a", a), ("b", b), ("c", c)];
            let (pool, members, driver) = stage(&moods);
            let answer = change(&pool, &driver);
            let asked = members.asked();
            // Refusals do nothing; of the others each may have done it.
            let moods: BTreeMap<&str, &Mood> = moods.iter().map(|(address, mood)| (*address, mood)).collect();
            let may_have_done = |address: &&str| match moods.get(address) {
                Some(Mood::Faults(fault)) => fault.outcome != Outcome::NotApplied,
                Some(_) => true,
                None => false,
            };
            let done = asked.split(' ').filter(may_have_done).count();
            prop_assert!(done <= 1, "{}", asked);
            prop_assert_eq!(done == 0, answer.as_ref().is_err_and(|f| f.outcome == Outcome::NotApplied));
            prop_assert!(done == 1 || moods.keys().all(|address| asked.contains(*address)), "{}", asked);
            prop_assert!(pool.clock.now().0 <= 6_000_000_000);
            Ok(())
        })
        .unwrap();
}

/// A worker that is never called.
pub struct Nobody;

#[async_trait]
impl Worker for Nobody {
    async fn write(&self, _: ShardWrite) -> Result<ShardWritten, Fault> {
        Err(Fault::internal("nobody"))
    }
    async fn get(&self, _: ShardGet) -> Result<ShardRead<Vec<Option<PointRecord>>>, Fault> {
        Err(Fault::internal("nobody"))
    }
    async fn search(&self, _: ShardSearch) -> Result<ShardRead<ShardHits>, Fault> {
        Err(Fault::internal("nobody"))
    }
    async fn scroll(&self, _: ShardScroll) -> Result<ShardRead<ShardPage>, Fault> {
        Err(Fault::internal("nobody"))
    }
    async fn count(&self, _: ShardCount) -> Result<ShardRead<ShardCounted>, Fault> {
        Err(Fault::internal("nobody"))
    }
    async fn text_stats(&self, _: ShardTextStats) -> Result<ShardRead<TextStats>, Fault> {
        Err(Fault::internal("nobody"))
    }

    async fn examine(&self, _: ShardExamine) -> Result<ShardRead<Examined>, Fault> {
        Err(Fault::internal("nobody"))
    }
    async fn tune(&self, _: ShardTune) -> Result<ShardRead<ShardTuned>, Fault> {
        Err(Fault::internal("nobody"))
    }

    async fn browse(&self, _: ShardBrowse) -> Result<ShardRead<ShardBrowsed>, Fault> {
        Err(Fault::internal("nobody"))
    }
    async fn status(&self, _: Target) -> Result<ShardStatus, Fault> {
        Err(Fault::internal("nobody"))
    }
    async fn snapshot(&self, _: SnapshotRequest) -> Result<SnapshotOffer, Fault> {
        Err(Fault::internal("nobody"))
    }
    async fn snapshot_part(&self, _: SnapshotPart) -> Result<Vec<u8>, Fault> {
        Err(Fault::internal("nobody"))
    }
}
