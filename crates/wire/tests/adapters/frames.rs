//! What is said of frames alone: bytes that nobody meant, connections that end in every way, many calls on one.

use crate::given;
use crate::stage::{
    FRAMES, ROOMY, Stage, TARGET, Way, a_get, a_write, frame_worker, runtime, serve_frames,
    serve_frames_with_key,
};
use async_trait::async_trait;
use futures::future::join_all;
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use vectron_base::{Code, Fault, Outcome};
use vectron_wire::frames::PREFACE;
use vectron_wire::grpc::key::ClusterKey;
use vectron_wire::proto::worker as pb;
use vectron_wire::worker::*;

const SEARCH: u8 = 3;
const HELLO: u8 = 34;
const ANSWER: u8 = 64;
const REFUSAL: u8 = 65;
const WELCOME: u8 = 67;

/// A connection that says what a test wants.
struct Raw(TcpStream);

impl Raw {
    fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self(stream)
    }

    fn let_in(address: SocketAddr) -> Self {
        let mut raw = Self::to(address);
        raw.0.write_all(&PREFACE).unwrap();
        raw.say(HELLO, 0, &pb::FramesHello { key: None, quiet_max_ms: 60_000 }.encode_to_vec());
        assert_eq!(raw.hear().unwrap().0, WELCOME);
        raw
    }

    /// The caller's end of a connection that was accepted, let in.
    fn of_caller(listener: &TcpListener) -> Self {
        let mut raw = Self(listener.accept().unwrap().0);
        raw.0.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut preface = [0; 8];
        raw.0.read_exact(&mut preface).unwrap();
        assert_eq!(preface, PREFACE);
        assert_eq!(raw.hear().unwrap().0, HELLO);
        raw.say(WELCOME, 0, &pb::FramesWelcome { calls_max: 100 }.encode_to_vec());
        raw
    }

    fn say(&mut self, kind: u8, call: u64, body: &[u8]) {
        let mut frame = (body.len() as u32).to_le_bytes().to_vec();
        frame.push(kind);
        frame.extend_from_slice(&call.to_le_bytes());
        frame.extend_from_slice(body);
        self.0.write_all(&frame).unwrap();
    }

    /// Kind, call and body of the next frame; none when the other side ended the connection.
    fn hear(&mut self) -> Option<(u8, u64, Vec<u8>)> {
        let mut head = [0; 13];
        self.0.read_exact(&mut head).ok()?;
        let bytes = u32::from_le_bytes(head[..4].try_into().unwrap());
        let mut body = vec![0; bytes as usize];
        self.0.read_exact(&mut body).ok()?;
        Some((head[4], u64::from_le_bytes(head[5..].try_into().unwrap()), body))
    }
}

fn fault_in(body: &[u8]) -> Fault {
    let inner = tonic_types::pb::Status::decode(body).unwrap();
    let status = tonic::Status::with_details(inner.code.into(), inner.message, body.to_vec().into());
    vectron_wire::fault_table::from_status(&status)
}

/// Gives every get the ids that it asked for, once it is let; counts those at work.
#[derive(Default)]
struct Gated {
    gate: Option<Semaphore>,
    at_work: Arc<AtomicUsize>,
}

struct AtWork(Arc<AtomicUsize>);

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn no<T>() -> Result<T, Fault> {
    Err(Fault::internal("not asked here"))
}

#[async_trait]
impl Worker for Gated {
    async fn write(&self, _: ShardWrite) -> Result<ShardWritten, Fault> {
        panic!("as planned")
    }
    async fn get(&self, request: ShardGet) -> Result<ShardRead<Vec<Option<PointRecord>>>, Fault> {
        self.at_work.fetch_add(1, Ordering::SeqCst);
        let _at_work = AtWork(self.at_work.clone());
        if let Some(gate) = &self.gate {
            gate.acquire().await.unwrap().forget();
        }
        let point = |id| Some(PointRecord { id, version: 1, vector: None, payload: None });
        let value = request.ids.into_iter().map(point).collect();
        Ok(ShardRead { value, delivered: Delivered { applied_index: 1, staleness_ms: 0 } })
    }
    async fn search(&self, _: ShardSearch) -> Result<ShardRead<ShardHits>, Fault> {
        no()
    }
    async fn scroll(&self, _: ShardScroll) -> Result<ShardRead<ShardPage>, Fault> {
        no()
    }
    async fn count(&self, _: ShardCount) -> Result<ShardRead<ShardCounted>, Fault> {
        no()
    }
    async fn text_stats(&self, _: ShardTextStats) -> Result<ShardRead<TextStats>, Fault> {
        no()
    }

    async fn examine(&self, _: ShardExamine) -> Result<ShardRead<Examined>, Fault> {
        no()
    }
    async fn tune(&self, _: ShardTune) -> Result<ShardRead<ShardTuned>, Fault> {
        no()
    }

    async fn browse(&self, _: ShardBrowse) -> Result<ShardRead<ShardBrowsed>, Fault> {
        no()
    }
    async fn status(&self, _: Target) -> Result<ShardStatus, Fault> {
        no()
    }
    async fn snapshot(&self, _: SnapshotRequest) -> Result<SnapshotOffer, Fault> {
        no()
    }
    async fn snapshot_part(&self, _: SnapshotPart) -> Result<Vec<u8>, Fault> {
        no()
    }
}

fn get_of(id: String) -> ShardGet {
    ShardGet { ids: vec![id], ..a_get(20_000) }
}

fn until(what: &str, mut so: impl FnMut() -> bool) {
    for _ in 0..20_000 {
        if so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("{what}");
}

#[test]
fn each_of_many_calls_gets_its_own_answer() {
    let (server, callers) = (runtime(), runtime());
    let gated = Arc::new(Gated::default());
    let address = serve_frames(&server, gated.clone(), ROOMY, std::future::pending());
    let worker = &frame_worker(&callers, address, ROOMY, None, gated);
    // More than the server takes at a time, and more bytes than may wait to be sent.
    let calls = (0..3 * FRAMES.calls_max).map(|n| async move {
        let id = format!("{n}-{}", "x".repeat(10_000));
        let read = worker.get(get_of(id.clone())).await.unwrap();
        assert_eq!(read.value[0].as_ref().unwrap().id, id);
    });
    callers.block_on(join_all(calls));
}

#[test]
fn a_call_that_nobody_waits_for_ends_at_the_server() {
    let (server, callers) = (runtime(), runtime());
    let gated = Arc::new(Gated { gate: Some(Semaphore::new(0)), ..Gated::default() });
    let address = serve_frames(&server, gated.clone(), ROOMY, std::future::pending());
    let worker = Arc::new(frame_worker(&callers, address, ROOMY, None, gated.clone()));
    for _ in 0..3 {
        let calls: Vec<_> = (0..50)
            .map(|n| {
                let worker = worker.clone();
                callers.spawn(async move { worker.get(get_of(n.to_string())).await })
            })
            .collect();
        until("all begin", || gated.at_work.load(Ordering::SeqCst) == 50);
        calls.iter().for_each(tokio::task::JoinHandle::abort);
        until("all end", || gated.at_work.load(Ordering::SeqCst) == 0);
    }
}

#[test]
fn a_server_that_stops_finishes_what_it_began_and_begins_nothing() {
    let (server, callers) = (runtime(), runtime());
    let gated = Arc::new(Gated { gate: Some(Semaphore::new(0)), ..Gated::default() });
    let (stop, stopped) = futures::channel::oneshot::channel::<()>();
    let address = serve_frames(&server, gated.clone(), ROOMY, async move {
        let _ = stopped.await;
    });
    let worker = Arc::new(frame_worker(&callers, address, ROOMY, None, gated.clone()));
    let calling = worker.clone();
    let begun = callers.spawn(async move { calling.get(get_of("a".into())).await });
    until("it begins", || gated.at_work.load(Ordering::SeqCst) == 1);
    drop(stop);
    // Refused by a goodbye, or by the one that the next connection begins with.
    let late = callers.block_on(async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let mut write = a_write(1, 20_000);
        write.timeout_ms = 5_000;
        worker.write(write).await.unwrap_err()
    });
    assert_eq!((late.code, late.outcome), (Code::Unavailable, Outcome::NotApplied), "{late}");
    gated.gate.as_ref().unwrap().add_permits(1);
    let read = callers.block_on(begun).unwrap().unwrap();
    assert_eq!(read.value[0].as_ref().unwrap().id, "a");
}

#[test]
fn a_panic_ends_its_own_call_only() {
    let (server, callers) = (runtime(), runtime());
    let gated = Arc::new(Gated { gate: Some(Semaphore::new(0)), ..Gated::default() });
    let address = serve_frames(&server, gated.clone(), ROOMY, std::future::pending());
    let worker = Arc::new(frame_worker(&callers, address, ROOMY, None, gated.clone()));
    let calling = worker.clone();
    let other = callers.spawn(async move { calling.get(get_of("a".into())).await });
    until("it begins", || gated.at_work.load(Ordering::SeqCst) == 1);
    let fault = callers.block_on(worker.write(a_write(1, 20_000))).unwrap_err();
    assert_eq!((fault.code, fault.outcome), (Code::Internal, Outcome::Unknown), "{fault}");
    gated.gate.as_ref().unwrap().add_permits(1);
    assert!(callers.block_on(other).unwrap().is_ok());
}

#[test]
fn who_does_not_show_the_key_is_not_let_in() {
    let (server, callers) = (runtime(), runtime());
    let key = |text: &str| Some(ClusterKey::parse(text).unwrap());
    let gated = Arc::new(Gated::default());
    let ours = key("the-key-of-this-cluster");
    let address = serve_frames_with_key(&server, gated.clone(), ROOMY, ours.clone(), std::future::pending());
    for (shown, admitted) in [(ours, true), (key("the-key-of-that-cluster"), false), (None, false)] {
        let worker = frame_worker(&callers, address, ROOMY, shown, gated.clone());
        for _ in 0..2 {
            let fault = callers.block_on(worker.get(get_of("a".into()))).err();
            assert_eq!(fault.map(|f| f.code), (!admitted).then_some(Code::Unauthenticated));
        }
    }
    // Nor is anything of who does not greet begun.
    let mut raw = Raw::to(address);
    raw.0.write_all(&PREFACE).unwrap();
    raw.say(SEARCH, 1, &[]);
    assert_eq!(raw.hear(), None);
}

#[test]
fn requests_that_nobody_meant_are_refused_or_taken_for_requests() {
    let stage = &Stage::new(Way::Frames);
    let raw = &std::cell::RefCell::new((Raw::let_in(stage.frames), 0));
    let body = vec(any::<u8>(), 0..200);
    given::runner(500)
        .run(&(1u8..=5, body), |(kind, body)| {
            let (raw, call) = &mut *raw.borrow_mut();
            *call += 1;
            raw.say(kind, *call, &body);
            let (heard, of, answer) = raw.hear().unwrap();
            prop_assert_eq!((heard, of), (REFUSAL, *call));
            let asked = stage.script.asked().is_some();
            let expected = if asked { Code::Internal } else { Code::InvalidArgument };
            prop_assert_eq!(fault_in(&answer).code, expected);
            Ok(())
        })
        .unwrap();
}

#[test]
fn noise_breaks_its_own_connection_only() {
    let stage = &Stage::new(Way::Frames);
    given::runner(100)
        .run(&(any::<bool>(), vec(any::<u8>(), 1..100)), |(greet, noise)| {
            let mut raw = if greet { Raw::let_in(stage.frames) } else { Raw::to(stage.frames) };
            // The server may have ended it already.
            let _ = raw.0.write_all(&noise);
            let _ = raw.0.shutdown(std::net::Shutdown::Write);
            while raw.hear().is_some() {}
            Ok(())
        })
        .unwrap();
    stage.script.will(Ok(ShardWritten { version: 1, ..ShardWritten::default() }));
    assert!(stage.wait(stage.worker.write(a_write(1, 20_000))).is_ok());
}

#[test]
fn a_number_that_was_used_breaks_the_connection() {
    let stage = Stage::new(Way::Frames);
    let mut raw = Raw::let_in(stage.frames);
    raw.say(SEARCH, 5, &[]);
    assert_eq!(raw.hear().unwrap().1, 5);
    raw.say(SEARCH, 5, &[]);
    assert_eq!(raw.hear(), None);
}

#[test]
fn a_caller_that_ignores_the_bound_on_calls_is_refused() {
    let server = runtime();
    let gated = Arc::new(Gated { gate: Some(Semaphore::new(0)), ..Gated::default() });
    let address = serve_frames(&server, gated, ROOMY, std::future::pending());
    let mut raw = Raw::let_in(address);
    let target = pb::Target { shard: TARGET.shard.0, incarnation: 1, epoch: 1 };
    let level = Some(pb::read_level::Level::Eventual(true));
    let read = Some(pb::ReadLevel { level });
    let get = pb::GetRequest { target: Some(target), read, ids: vec!["a".into()], ..Default::default() };
    for call in 1..=FRAMES.calls_max as u64 + 1 {
        raw.say(2, call, &get.encode_to_vec());
    }
    let (kind, call, body) = raw.hear().unwrap();
    assert_eq!((kind, call), (REFUSAL, FRAMES.calls_max as u64 + 1));
    let fault = fault_in(&body);
    assert_eq!((fault.code, fault.outcome), (Code::Overloaded, Outcome::NotApplied));
}

/// A worker of ours in front of a server of the test's own.
fn in_front_of(
    server: impl FnOnce(TcpListener) + Send + 'static,
) -> (tokio::runtime::Runtime, Arc<dyn Worker>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || server(listener));
    let callers = runtime();
    let worker = frame_worker(&callers, address, ROOMY, None, Arc::new(Gated::default()));
    (callers, Arc::new(worker))
}

#[test]
fn a_connection_that_broke_is_made_again() {
    let (callers, worker) = in_front_of(|listener| {
        let mut first = Raw::of_caller(&listener);
        assert_eq!(first.hear().unwrap().0, 1);
        drop(first);
        let mut second = Raw::of_caller(&listener);
        let (_, call, _) = second.hear().unwrap();
        second.say(ANSWER, call, &pb::WriteResponse { version: 7, ..Default::default() }.encode_to_vec());
        while second.hear().is_some() {}
    });
    let fault = callers.block_on(worker.write(a_write(1, 20_000))).unwrap_err();
    assert_eq!((fault.code, fault.outcome), (Code::Unavailable, Outcome::Unknown), "{fault}");
    assert_eq!(callers.block_on(worker.write(a_write(1, 20_000))).unwrap().version, 7);
}

/// The end of the connection may be noticed before the writer has come back from the system call that sent the request.
#[test]
fn what_the_server_has_heard_is_never_said_to_be_unsent() {
    const ROUNDS: u64 = 300;
    let (callers, worker) = in_front_of(|listener| {
        for _ in 0..ROUNDS {
            let mut raw = Raw::of_caller(&listener);
            assert_eq!(raw.hear().unwrap().0, 1);
        }
    });
    for round in 0..ROUNDS {
        let fault = callers.block_on(worker.write(a_write(1, 20_000))).unwrap_err();
        assert_eq!(
            (fault.code, fault.outcome),
            (Code::Unavailable, Outcome::Unknown),
            "round {round}: {fault}"
        );
    }
}

#[test]
fn a_silent_connection_is_given_up_long_before_its_calls() {
    let (callers, worker) = in_front_of(|listener| {
        let _open = Raw::of_caller(&listener);
        std::thread::park();
    });
    let fault = callers.block_on(worker.write(a_write(1, 1_000_000))).unwrap_err();
    assert_eq!((fault.code, fault.outcome), (Code::Unavailable, Outcome::Unknown), "{fault}");
}

#[test]
fn of_a_broken_connection_only_what_was_taken_is_in_doubt() {
    let (callers, worker) = in_front_of(|listener| {
        let mut raw = Raw::of_caller(&listener);
        assert_eq!(raw.hear().unwrap().0, 1);
        std::thread::sleep(Duration::from_millis(500));
    });
    let first = worker.clone();
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let worker = first.clone();
            callers.spawn(async move { worker.write(a_write(200_000, 20_000)).await.unwrap_err() })
        })
        .collect();
    let faults: Vec<Fault> = callers.block_on(join_all(calls)).into_iter().map(Result::unwrap).collect();
    assert!(faults.iter().all(|fault| fault.code == Code::Unavailable));
    let doubted = faults.iter().filter(|fault| fault.outcome == Outcome::Unknown).count();
    // Twenty megabytes do not fit into what waits and what the system takes from who is not read.
    assert!(doubted >= 1 && doubted < faults.len(), "{doubted}");
}

#[test]
fn an_answer_that_is_none_leaves_a_change_unknown() {
    for kind in [ANSWER, REFUSAL] {
        let (callers, worker) = in_front_of(move |listener| {
            let mut raw = Raw::of_caller(&listener);
            let (_, call, _) = raw.hear().unwrap();
            raw.say(kind, call, &[0xff; 9]);
            while raw.hear().is_some() {}
        });
        let fault = callers.block_on(worker.write(a_write(1, 20_000))).unwrap_err();
        assert_eq!((fault.code, fault.outcome), (Code::Internal, Outcome::Unknown), "{fault}");
    }
}
