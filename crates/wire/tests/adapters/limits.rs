//! Messages over their size limit, on each of the four ways.

use crate::stage::{ROOMY, Stage, WAYS, Way, a_get, a_write};
use vectron_base::{Code, Fault, Outcome};
use vectron_wire::grpc::MessageLimits;
use vectron_wire::worker::{Delivered, ItemOutcome, PointRecord, ShardRead, ShardWritten};

const SEND: MessageLimits = MessageLimits { send: 1000, ..ROOMY };
const RECEIVE: MessageLimits = MessageLimits { receive: 1000, ..ROOMY };

fn large_read() -> Result<ShardRead<Vec<Option<PointRecord>>>, Fault> {
    let point = PointRecord { id: "a".into(), version: 1, vector: None, payload: Some("x".repeat(200_000)) };
    Ok(ShardRead { value: vec![Some(point)], delivered: Delivered { applied_index: 1, staleness_ms: 0 } })
}

fn large_written() -> Result<ShardWritten, Fault> {
    Ok(ShardWritten { version: 1, items: vec![ItemOutcome::Missing; 50_000], ..ShardWritten::default() })
}

/// What a large write, a large answer to a read and a large answer to a write come to.
fn faults(stage: &Stage) -> [Option<(Code, Outcome)>; 3] {
    let seen = |fault: Option<Fault>| fault.map(|fault| (fault.code, fault.outcome));
    stage.script.will::<ShardWritten>(Ok(ShardWritten { version: 1, ..ShardWritten::default() }));
    let write = stage.wait(stage.worker.write(a_write(200_000, 20_000))).err();
    stage.script.will(large_read());
    let read = stage.wait(stage.worker.get(a_get(20_000))).err();
    stage.script.will(large_written());
    let written = stage.wait(stage.worker.write(a_write(1, 20_000))).err();
    [seen(write), seen(read), seen(written)]
}

#[test]
fn a_request_over_the_callers_limit_is_not_sent() {
    let not_sent = Some((Code::TooLarge, Outcome::NotApplied));
    for way in WAYS {
        assert_eq!(faults(&Stage::with_limits(way, ROOMY, SEND)), [not_sent, None, None]);
    }
}

#[test]
fn a_request_over_the_servers_limit_is_refused() {
    // gRPC refuses below the adapter, which cannot know what became of the call.
    for (way, outcome) in [(Way::Grpc, Outcome::Unknown), (Way::Frames, Outcome::NotApplied)] {
        let stage = Stage::with_limits(way, RECEIVE, ROOMY);
        assert_eq!(faults(&stage), [Some((Code::TooLarge, outcome)), None, None]);
    }
}

#[test]
fn an_answer_over_the_servers_limit_says_what_became_of_the_call() {
    let (read, written) = ((Code::TooLarge, Outcome::NotApplied), (Code::TooLarge, Outcome::Applied));
    for way in WAYS {
        assert_eq!(faults(&Stage::with_limits(way, SEND, ROOMY)), [None, Some(read), Some(written)]);
    }
}

#[test]
fn an_answer_over_the_callers_limit_leaves_a_change_unknown() {
    let (read, written) = ((Code::TooLarge, Outcome::NotApplied), (Code::TooLarge, Outcome::Unknown));
    for way in WAYS {
        assert_eq!(faults(&Stage::with_limits(way, ROOMY, RECEIVE)), [None, Some(read), Some(written)]);
    }
}
