//! Links in virtual time, against carriers that do what they are told.

use crate::pool::VirtualPool;
use async_trait::async_trait;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use vectron_base::pool::Pool;
use vectron_base::{Code, Fault};
use vectron_wire::links::{LinkLimits, Links};
use vectron_wire::peer::{Carrier, Carriers};

const MS: Duration = Duration::from_millis(1);

const LIMITS: LinkLimits = LinkLimits {
    messages_max: 8,
    bytes_max: 100,
    batch_bytes_max: 40,
    pause_min: Duration::from_millis(10),
    pause_max: Duration::from_millis(40),
    idle: Duration::from_secs(5),
};

/// How the network to one address is.
#[derive(Clone, Copy, Default)]
struct Weather {
    broken: bool,
    takes: Duration,
}

#[derive(Default)]
struct Seen {
    weather: BTreeMap<String, Weather>,
    /// Batches that arrived, with their addresses and times in milliseconds.
    arrived: Vec<(String, u64, Vec<Vec<u8>>)>,
    /// Times at which a carrier was asked.
    tries: Vec<u64>,
    carriers: usize,
}

#[derive(Clone)]
struct Network {
    pool: VirtualPool,
    seen: Arc<Mutex<Seen>>,
}

struct Path(Network, String);

impl Network {
    fn now_ms(&self) -> u64 {
        use vectron_base::clock::Clock;
        self.pool.clock.now().0 / 1_000_000
    }

    fn set(&self, address: &str, weather: Weather) {
        self.seen.lock().unwrap().weather.insert(address.into(), weather);
    }

    /// Messages that arrived at an address, in order.
    fn at(&self, address: &str) -> Vec<Vec<u8>> {
        let seen = self.seen.lock().unwrap();
        let of = seen.arrived.iter().filter(|(to, ..)| to == address);
        of.flat_map(|(_, _, batch)| batch.clone()).collect()
    }

    fn batches(&self) -> Vec<usize> {
        self.seen.lock().unwrap().arrived.iter().map(|(_, _, batch)| batch.len()).collect()
    }
}

impl Carriers for Network {
    fn to(&self, address: &str) -> Arc<dyn Carrier> {
        self.seen.lock().unwrap().carriers += 1;
        Arc::new(Path(self.clone(), address.into()))
    }
}

#[async_trait]
impl Carrier for Path {
    async fn carry(&self, batch: Vec<Vec<u8>>) -> Result<(), Fault> {
        let Path(network, address) = self;
        let now = network.now_ms();
        let weather = {
            let mut seen = network.seen.lock().unwrap();
            seen.tries.push(now);
            seen.weather.get(address).copied().unwrap_or_default()
        };
        if !weather.takes.is_zero() {
            network.pool.sleep(weather.takes).await;
        }
        if weather.broken {
            return Err(Fault::new(Code::Unavailable, "broken"));
        }
        network.seen.lock().unwrap().arrived.push((address.clone(), now, batch));
        Ok(())
    }
}

fn stage(limits: LinkLimits) -> (VirtualPool, Network, Links) {
    let pool = VirtualPool::new();
    let network = Network { pool: pool.clone(), seen: Arc::default() };
    let links = Links::new(Arc::new(network.clone()), Arc::new(pool.clone()), limits);
    (pool, network, links)
}

/// What was sent, dropped, and how many batches and bytes that was.
fn counts(links: &Links) -> [u64; 4] {
    let counters = links.counters();
    [&counters.sent, &counters.dropped, &counters.batches, &counters.bytes].map(|c| c.load(Ordering::Relaxed))
}

#[test]
fn everything_that_waits_goes_as_one_batch_in_order() {
    let (pool, network, links) = stage(LIMITS);
    for number in 0..5u8 {
        links.send("a", vec![number; 3]);
    }
    links.send("b", vec![9]);
    pool.settle();
    assert_eq!(network.at("a"), (0..5u8).map(|number| vec![number; 3]).collect::<Vec<_>>());
    assert_eq!(network.at("b"), [vec![9]]);
    assert_eq!(network.batches(), [5, 1]);
    assert_eq!(counts(&links), [6, 0, 2, 16]);
}

#[test]
fn a_batch_ends_at_its_limit() {
    let (pool, network, links) = stage(LIMITS);
    for _ in 0..5 {
        links.send("a", vec![0; 20]);
    }
    pool.settle();
    assert_eq!(network.batches(), [2, 2, 1]);
    links.send("a", vec![0; 41]);
    pool.settle();
    assert_eq!(network.batches(), [2, 2, 1], "what cannot be carried is not tried");
    assert_eq!(counts(&links)[1], 1);
}

#[test]
fn a_full_queue_gives_up_its_oldest_messages() {
    let (pool, network, links) = stage(LIMITS);
    network.set("a", Weather { takes: 50 * MS, ..Weather::default() });
    links.send("a", vec![0]);
    pool.settle();
    for number in 1..=12u8 {
        links.send("a", vec![number]);
    }
    pool.pass(200 * MS);
    let by_count: Vec<Vec<u8>> = [0, 5, 6, 7, 8, 9, 10, 11, 12].map(|number| vec![number]).into();
    assert_eq!(network.at("a"), by_count, "the first was on its way, of the others the last 8 remain");
    assert_eq!(counts(&links)[1], 4);

    links.send("a", vec![20; 1]);
    pool.settle();
    for number in 21..=24u8 {
        links.send("a", vec![number; 30]);
    }
    pool.pass(300 * MS);
    let by_bytes: Vec<u8> = network.at("a").iter().skip(9).map(|message| message[0]).collect();
    assert_eq!(by_bytes, [20, 22, 23, 24], "100 bytes hold three of 30");
}

#[test]
fn one_address_does_not_hold_up_another() {
    let (pool, network, links) = stage(LIMITS);
    network.set("slow", Weather { takes: Duration::from_secs(100), ..Weather::default() });
    links.send("slow", vec![1]);
    pool.settle();
    links.send("slow", vec![2]);
    links.send("fast", vec![3]);
    pool.settle();
    assert_eq!((network.at("slow").len(), network.at("fast").len()), (0, 1));
}

#[test]
fn pauses_double_while_the_connection_is_broken_and_begin_anew_after_it() {
    let (pool, network, links) = stage(LIMITS);
    network.set("a", Weather { broken: true, ..Weather::default() });
    for number in 0..200u64 {
        links.send("a", number.to_le_bytes().into());
        pool.pass(MS);
    }
    let tries = network.seen.lock().unwrap().tries.clone();
    assert_eq!(tries, [0, 10, 30, 70, 110, 150, 190]);
    let counters = links.counters();
    assert_eq!(counters.broken.load(Ordering::Relaxed), 7);

    network.set("a", Weather::default());
    pool.pass(100 * MS);
    let waited: Vec<u64> =
        network.at("a").iter().map(|message| u64::from_le_bytes(message[..].try_into().unwrap())).collect();
    assert_eq!(waited, (192..200).collect::<Vec<_>>(), "the newest waited");
    let [sent, dropped, ..] = counts(&links);
    assert_eq!((sent, sent + dropped), (8, 200));

    network.set("a", Weather { broken: true, ..Weather::default() });
    let begin = network.now_ms();
    for _ in 0..25 {
        links.send("a", vec![0]);
        pool.pass(MS);
    }
    let tries: Vec<u64> =
        network.seen.lock().unwrap().tries.iter().rev().take(2).map(|t| t - begin).collect();
    assert_eq!(tries, [10, 0], "the pause is the shortest again");
}

#[test]
fn idle_links_are_taken_down_and_come_back() {
    let (pool, network, links) = stage(LIMITS);
    links.send("a", vec![1]);
    links.send("b", vec![1]);
    pool.pass(Duration::from_secs(3));
    links.send("b", vec![2]);
    pool.pass(Duration::from_secs(3));
    assert_eq!((links.count(), pool.tasks()), (1, 1), "a was idle for six seconds, b for three");
    links.send("a", vec![3]);
    pool.settle();
    assert_eq!(network.at("a"), [vec![1], vec![3]]);
    assert_eq!(network.seen.lock().unwrap().carriers, 3);
    drop(links);
    pool.settle();
    assert_eq!(pool.tasks(), 0, "links end with their owner");
}

/// What may happen to a link.
#[derive(Clone, Debug)]
enum Step {
    Send(usize),
    Pass(u64),
    Weather(bool, u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0usize..60).prop_map(Step::Send),
        3 => (0u64..40).prop_map(Step::Pass),
        1 => any::<(bool, u8)>().prop_map(|(broken, takes)| Step::Weather(broken, u64::from(takes % 30))),
        1 => Just(Step::Pass(10_000)),
    ]
}

/// Against the obvious: whatever arrives is a subsequence of what was sent, every message is counted once, no batch
/// or queue is over its limit, and in the end a link in good weather carries.
#[test]
fn nothing_is_reordered_repeated_or_uncounted() {
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) };
    proptest::test_runner::TestRunner::new(config)
        .run(&proptest::collection::vec(step(), 0..120), |steps| {
            let (pool, network, links) = stage(LIMITS);
            let mut sent = Vec::new();
            for step in steps {
                match step {
                    Step::Send(bytes) => {
                        let mut message = vec![0; bytes];
                        message.extend((sent.len() as u32).to_le_bytes());
                        sent.push(message.clone());
                        links.send("a", message);
                    }
                    Step::Pass(ms) => pool.pass(Duration::from_millis(ms)),
                    Step::Weather(broken, takes) => {
                        network.set("a", Weather { broken, takes: Duration::from_millis(takes) });
                    }
                }
            }
            network.set("a", Weather::default());
            pool.pass(Duration::from_secs(1));
            links.send("a", vec![7; 4]);
            sent.push(vec![7; 4]);
            pool.pass(Duration::from_secs(1));

            let arrived = network.at("a");
            prop_assert_eq!(arrived.last(), sent.last());
            let mut rest = sent.iter();
            prop_assert!(arrived.iter().all(|message| rest.any(|other| other == message)));
            let [sent_count, dropped, batches, bytes] = counts(&links);
            prop_assert_eq!(sent_count, arrived.len() as u64);
            prop_assert_eq!(sent_count + dropped, sent.len() as u64);
            prop_assert_eq!(bytes, arrived.iter().map(|message| message.len() as u64).sum::<u64>());
            let seen = network.seen.lock().unwrap();
            prop_assert_eq!(batches, seen.arrived.len() as u64);
            for (_, _, batch) in &seen.arrived {
                let bytes = batch.iter().map(Vec::len).sum::<usize>();
                prop_assert!(!batch.is_empty() && bytes <= LIMITS.batch_bytes_max);
            }
            Ok(())
        })
        .unwrap();
}
