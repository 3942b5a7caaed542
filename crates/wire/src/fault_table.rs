//! The one table between a [`Fault`], a gRPC status and an RFC 9457 problem.

use serde_json::{Map, Value, json};
use std::time::Duration;
use tonic::{Code as Grpc, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};
use vectron_base::{Code, Fault, FieldError, Outcome};

/// How one code looks outside.
#[derive(Clone, Copy, Debug)]
pub struct FaultRow {
    /// The domain code.
    pub code: Code,
    /// HTTP status.
    pub http: u16,
    /// gRPC status.
    pub grpc: Grpc,
    /// Title of the problem.
    pub title: &'static str,
}

const fn row(code: Code, http: u16, grpc: Grpc, title: &'static str) -> FaultRow {
    FaultRow { code, http, grpc, title }
}

/// Every code with its outside look.
pub const TABLE: [FaultRow; 16] = [
    row(Code::InvalidArgument, 400, Grpc::InvalidArgument, "Invalid argument"),
    row(Code::Unauthenticated, 401, Grpc::Unauthenticated, "Authentication required"),
    row(Code::Forbidden, 403, Grpc::PermissionDenied, "Forbidden"),
    row(Code::NotFound, 404, Grpc::NotFound, "Not found"),
    row(Code::AlreadyExists, 409, Grpc::AlreadyExists, "Already exists with another configuration"),
    row(Code::VersionMismatch, 412, Grpc::Aborted, "Version mismatch"),
    row(Code::IdempotencyKeyReused, 422, Grpc::FailedPrecondition, "Idempotency key reused"),
    row(Code::DiskFull, 507, Grpc::ResourceExhausted, "Disk full"),
    row(Code::UnsafeOperation, 409, Grpc::FailedPrecondition, "Unsafe operation"),
    row(Code::TooLarge, 413, Grpc::ResourceExhausted, "Too large"),
    row(Code::RateLimited, 429, Grpc::ResourceExhausted, "Rate limited"),
    row(Code::Overloaded, 503, Grpc::Unavailable, "Overloaded"),
    row(Code::Unavailable, 503, Grpc::Unavailable, "Unavailable"),
    row(Code::DeadlineExceeded, 504, Grpc::DeadlineExceeded, "Deadline exceeded"),
    row(Code::StalenessUnmet, 503, Grpc::FailedPrecondition, "Staleness bound not met"),
    row(Code::Internal, 500, Grpc::Internal, "Internal error"),
];

/// The row of a code.
pub fn row_of(code: Code) -> &'static FaultRow {
    TABLE.iter().find(|row| row.code == code).unwrap_or(&TABLE[TABLE.len() - 1])
}

/// The stable address of a problem type.
pub fn type_url(code: Code) -> String {
    format!("https://vectron.dev/problems/{}", code.as_str().replace('_', "-"))
}

/// The problem+json object of a fault.
pub fn to_problem(fault: &Fault, request_id: Option<&str>) -> Value {
    let row = row_of(fault.code);
    let mut problem = Map::new();
    problem.insert("type".into(), json!(type_url(fault.code)));
    problem.insert("title".into(), json!(row.title));
    problem.insert("status".into(), json!(row.http));
    problem.insert("detail".into(), json!(fault.detail));
    problem.insert("code".into(), json!(fault.code.as_str()));
    problem.insert("outcome".into(), json!(fault.outcome.as_str()));
    problem.insert("retryable".into(), json!(fault.retryable()));
    problem.insert("retry_after_ms".into(), json!(fault.retry_after_ms));
    problem.insert("errors".into(), json!(fault.errors));
    problem.insert("request_id".into(), json!(request_id));
    if let Some(version) = fault.current_version {
        problem.insert("current_version".into(), json!(version));
    }
    Value::Object(problem)
}

const DOMAIN: &str = "vectron.dev";

/// The gRPC status of a fault: the message is the detail; ErrorInfo carries code, outcome, retryable and
/// request id; BadRequest the fields; RetryInfo the delay.
pub fn to_status(fault: &Fault, request_id: Option<&str>) -> Status {
    status_with(fault, request_id, None)
}

/// The same between processes of a cluster: ErrorInfo also names the leader, which is nobody else's business.
pub fn to_internal_status(fault: &Fault) -> Status {
    status_with(fault, None, fault.leader.as_deref())
}

fn status_with(fault: &Fault, request_id: Option<&str>, leader: Option<&str>) -> Status {
    let mut metadata = vec![
        ("outcome".to_string(), fault.outcome.as_str().to_string()),
        ("retryable".to_string(), fault.retryable().to_string()),
    ];
    if let Some(id) = request_id {
        metadata.push(("request_id".into(), id.to_string()));
    }
    if let Some(version) = fault.current_version {
        metadata.push(("current_version".into(), version.to_string()));
    }
    if let Some(address) = leader {
        metadata.push(("leader".into(), address.to_string()));
    }
    let mut details = ErrorDetails::with_error_info(
        fault.code.as_str(),
        DOMAIN,
        metadata.into_iter().collect::<std::collections::HashMap<_, _>>(),
    );
    if !fault.errors.is_empty() {
        let violations: Vec<FieldViolation> =
            fault.errors.iter().map(|e| FieldViolation::new(&e.field, &e.reason)).collect();
        details.set_bad_request(violations);
    }
    if let Some(ms) = fault.retry_after_ms {
        details.set_retry_info(Some(Duration::from_millis(ms)));
    }
    Status::with_error_details(row_of(fault.code).grpc, &fault.detail, details)
}

/// The fault in a gRPC status. A status without our details comes from the transport or from a proxy: its
/// outcome is unknown.
pub fn from_status(status: &Status) -> Fault {
    let details = status.get_error_details();
    let info = details.error_info().filter(|info| info.domain == DOMAIN);
    let Some(code) = info.and_then(|info| Code::parse(&info.reason)) else {
        return Fault::new(transport_code(status.code()), status.message()).with_outcome(Outcome::Unknown);
    };
    let metadata = |key: &str| info.and_then(|info| info.metadata.get(key));
    let errors = details.bad_request().map_or_else(Vec::new, |bad| {
        bad.field_violations
            .iter()
            .map(|v| FieldError { field: v.field.clone(), reason: v.description.clone() })
            .collect()
    });
    Fault {
        code,
        outcome: metadata("outcome").and_then(|o| Outcome::parse(o)).unwrap_or(Outcome::Unknown),
        detail: status.message().to_string(),
        errors,
        retry_after_ms: details
            .retry_info()
            .and_then(|retry| retry.retry_delay)
            .map(|delay| u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)),
        current_version: metadata("current_version").and_then(|v| v.parse().ok()),
        leader: metadata("leader").cloned(),
    }
}

fn transport_code(grpc: Grpc) -> Code {
    match grpc {
        Grpc::InvalidArgument | Grpc::Unimplemented => Code::InvalidArgument,
        Grpc::Unauthenticated => Code::Unauthenticated,
        Grpc::PermissionDenied => Code::Forbidden,
        Grpc::NotFound => Code::NotFound,
        Grpc::AlreadyExists => Code::AlreadyExists,
        Grpc::OutOfRange | Grpc::ResourceExhausted => Code::TooLarge,
        Grpc::DeadlineExceeded | Grpc::Cancelled => Code::DeadlineExceeded,
        Grpc::Unavailable | Grpc::Unknown => Code::Unavailable,
        _ => Code::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_every_code_once() {
        for code in Code::ALL {
            assert_eq!(TABLE.iter().filter(|row| row.code == code).count(), 1, "{code}");
        }
    }

    #[test]
    fn a_fault_survives_a_grpc_status() {
        for code in Code::ALL {
            let mut fault =
                Fault::on_field(code, "points[7].vector", "has 767 numbers, expected 768").retry_after(250);
            fault.current_version = Some(17);
            fault.outcome = Outcome::Unknown;
            assert_eq!(from_status(&to_status(&fault, Some("r1"))), fault);
        }
    }

    #[test]
    fn who_leads_is_told_within_the_cluster_only() {
        let plain = Fault::new(Code::Unavailable, "another member leads");
        let fault = plain.clone().led_from("10.0.0.7:7101");
        assert_eq!(from_status(&to_internal_status(&fault)), fault);
        assert_eq!(from_status(&to_status(&fault, Some("r1"))), plain);
        assert!(!to_problem(&fault, None).to_string().contains("10.0.0.7"));
    }

    #[test]
    fn a_problem_has_every_promised_member() {
        let problem = to_problem(&Fault::invalid("top_k", "must be at least 1"), Some("r1"));
        for member in
            ["type", "title", "status", "detail", "code", "outcome", "retryable", "retry_after_ms", "errors"]
        {
            assert!(problem.get(member).is_some(), "{member}");
        }
        assert_eq!(problem["errors"][0]["field"], "top_k");
        assert_eq!(problem["request_id"], "r1");
    }

    #[test]
    fn a_foreign_status_has_an_unknown_outcome() {
        let fault = from_status(&Status::unavailable("connection reset"));
        assert_eq!((fault.code, fault.outcome), (Code::Unavailable, Outcome::Unknown));
    }
}
