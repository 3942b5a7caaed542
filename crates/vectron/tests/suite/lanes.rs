//! How searches share the cores: one query uses several shards in parallel, many queries never run more jobs at a
//! time than the read lane has threads.

use futures::future::{BoxFuture, join_all};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use vectron::assembly::{Capacity, Plan, Seams, assemble};
use vectron::runtime::RuntimePool;
use vectron::settings::Settings;
use vectron_base::clock::SystemClock;
use vectron_base::disk::Disk;
use vectron_base::disk::sim::SimDisk;
use vectron_base::pool::{Lane, Pool};
use vectron_base::random::SeededRandom;
use vectron_client::{Client, CreateCollection, PointInput, SearchRequest};
use vectron_consensus::{ConsensusMetrics, Driver};

const READ_THREADS: usize = 3;

/// Jobs of the read lane that run.
#[derive(Default)]
struct Meeting {
    running: Mutex<usize>,
    changed: Condvar,
    most: AtomicUsize,
    /// While set a job ends only when as many run at a time as the lane has threads.
    expected: AtomicBool,
    missed: AtomicUsize,
}

impl Meeting {
    fn attend(&self, job: Box<dyn FnOnce() + Send>) {
        /// Only a run that has failed already waits so long.
        const PATIENCE: Duration = Duration::from_secs(20);
        let mut running = self.running.lock().unwrap();
        *running += 1;
        self.most.fetch_max(*running, Ordering::SeqCst);
        self.changed.notify_all();
        if self.expected.load(Ordering::SeqCst) {
            let waiting = |_: &mut usize| self.most.load(Ordering::SeqCst) < READ_THREADS;
            let (back, late) = self.changed.wait_timeout_while(running, PATIENCE, waiting).unwrap();
            self.missed.fetch_add(usize::from(late.timed_out()), Ordering::SeqCst);
            running = back;
        }
        drop(running);
        job();
        *self.running.lock().unwrap() -= 1;
    }
}

/// The production pool, with its read lane watched.
struct Watched {
    pool: RuntimePool,
    meeting: Arc<Meeting>,
}

impl Pool for Watched {
    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>) {
        self.pool.spawn(name, task);
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.pool.sleep(duration)
    }
    fn run(&self, lane: Lane, job: Box<dyn FnOnce() + Send>) {
        let meeting = self.meeting.clone();
        match lane {
            Lane::Read => self.pool.run(lane, Box::new(move || meeting.attend(job))),
            Lane::Background | Lane::Commit => self.pool.run(lane, job),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_query_uses_several_shards_in_parallel_and_many_never_oversubscribe() {
    let meeting = Arc::new(Meeting::default());
    let pool = Watched { pool: RuntimePool::start(READ_THREADS, 1).unwrap(), meeting: meeting.clone() };
    let seams = Seams {
        clock: Arc::new(SystemClock::new()),
        random: Arc::new(SeededRandom::new(1)),
        pool: Arc::new(pool),
    };
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(1));
    let (clock, random) = (seams.clock.clone(), seams.random.clone());
    let settings = Settings::default();
    let (driver, handle) =
        Driver::open(disk.clone(), clock, random, settings.consensus.clone(), ConsensusMetrics::default())
            .unwrap();
    let log = std::thread::spawn(move || driver.run());
    let capacity = Capacity { cores: READ_THREADS as u32, memory_bytes: 1 << 30 };
    let rooms = assemble(Plan::alone(seams, disk, handle.clone(), settings, capacity)).await.unwrap();
    rooms.worker.as_ref().unwrap().wait_ready(Duration::from_secs(60)).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(vectron_gateway::serve(
        listener,
        rooms.gateway.clone().unwrap(),
        std::future::pending(),
    ));

    let client = Client::connect(&url, None).await.unwrap();
    client.create_collection(CreateCollection::new("c", 2, "dot").shards(8)).await.unwrap();
    let points = (0..64).map(|i| PointInput::new(format!("p{i}"), vec![i as f32, 1.0]));
    client.upsert("c", points.collect()).await.unwrap();
    let search = || client.search(SearchRequest::new("c", vec![1.0, 0.0]).top_k(3).timeout_ms(60_000));

    meeting.most.store(0, Ordering::SeqCst);
    meeting.expected.store(true, Ordering::SeqCst);
    let answer = search().await.unwrap();
    assert_eq!(answer.results.iter().map(|hit| hit.id.as_str()).collect::<Vec<_>>(), ["p63", "p62", "p61"]);
    assert_eq!(meeting.missed.load(Ordering::SeqCst), 0, "one query's shards did not run at the same time");

    meeting.expected.store(false, Ordering::SeqCst);
    let answers = join_all((0..100).map(|_| search())).await;
    assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|a| a.results.len() == 3)));
    assert_eq!(meeting.most.load(Ordering::SeqCst), READ_THREADS, "jobs at a time");

    serving.abort();
    handle.stop();
    log.join().unwrap();
}
