//! The one error that crosses a service edge. How a code looks over HTTP and gRPC stands in one table in
//! the wire crate; what it means stands here.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What went wrong, from a closed set. The spelling is part of the public contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The request is malformed or asks for something that does not exist in the language of the API.
    InvalidArgument,
    /// No credentials, or credentials that prove nothing.
    Unauthenticated,
    /// Known caller, not allowed.
    Forbidden,
    /// Collection, point or key is not there, or the caller may not know that it is.
    NotFound,
    /// The name is taken by something with another configuration.
    AlreadyExists,
    /// `if_version` did not hold.
    VersionMismatch,
    /// An idempotency key came back with another body.
    IdempotencyKeyReused,
    /// A node has no space for more data; reads and deletes go on.
    DiskFull,
    /// The act would lose the last good copy.
    UnsafeOperation,
    /// Body, batch, payload or decompressed size over its limit.
    TooLarge,
    /// The caller's rate is over its limit.
    RateLimited,
    /// The system has no room for more work now.
    Overloaded,
    /// A shard has no leader or no quorum, or a service is not there.
    Unavailable,
    /// The caller's deadline came first.
    DeadlineExceeded,
    /// The staleness bound cannot be met.
    StalenessUnmet,
    /// Our mistake.
    Internal,
}

impl Code {
    /// Every code, in the order of the contract.
    pub const ALL: [Code; 16] = [
        Code::InvalidArgument,
        Code::Unauthenticated,
        Code::Forbidden,
        Code::NotFound,
        Code::AlreadyExists,
        Code::VersionMismatch,
        Code::IdempotencyKeyReused,
        Code::DiskFull,
        Code::UnsafeOperation,
        Code::TooLarge,
        Code::RateLimited,
        Code::Overloaded,
        Code::Unavailable,
        Code::DeadlineExceeded,
        Code::StalenessUnmet,
        Code::Internal,
    ];

    /// The public spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Code::InvalidArgument => "invalid_argument",
            Code::Unauthenticated => "unauthenticated",
            Code::Forbidden => "forbidden",
            Code::NotFound => "not_found",
            Code::AlreadyExists => "already_exists",
            Code::VersionMismatch => "version_mismatch",
            Code::IdempotencyKeyReused => "idempotency_key_reused",
            Code::DiskFull => "disk_full",
            Code::UnsafeOperation => "unsafe_operation",
            Code::TooLarge => "too_large",
            Code::RateLimited => "rate_limited",
            Code::Overloaded => "overloaded",
            Code::Unavailable => "unavailable",
            Code::DeadlineExceeded => "deadline_exceeded",
            Code::StalenessUnmet => "staleness_unmet",
            Code::Internal => "internal",
        }
    }

    /// The code of a public spelling.
    pub fn parse(text: &str) -> Option<Code> {
        Code::ALL.into_iter().find(|code| code.as_str() == text)
    }

    /// Whether the same request may succeed later without a change by the caller.
    pub fn retryable(self) -> bool {
        matches!(
            self,
            Code::RateLimited
                | Code::Overloaded
                | Code::Unavailable
                | Code::DeadlineExceeded
                | Code::StalenessUnmet
                | Code::DiskFull
        )
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It happened.
    Applied,
    /// It did not happen and never will.
    NotApplied,
    /// It may have happened or may yet happen, at most once.
    Unknown,
}

impl Outcome {
    /// The public spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Applied => "applied",
            Outcome::NotApplied => "not_applied",
            Outcome::Unknown => "unknown",
        }
    }

    /// The outcome of a public spelling.
    pub fn parse(text: &str) -> Option<Outcome> {
        [Outcome::Applied, Outcome::NotApplied, Outcome::Unknown].into_iter().find(|o| o.as_str() == text)
    }
}

/// One wrong field: where it is and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// A path such as `points[7].vector`.
    pub field: String,
    /// What was expected, what was got, and the fix.
    pub reason: String,
}

/// The domain error at a service edge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What kind of failure.
    pub code: Code,
    /// What became of the write, or `NotApplied` for reads.
    pub outcome: Outcome,
    /// A sentence for people. Never a path, a panic text or a debug dump.
    pub detail: String,
    /// The fields at fault, if the request is.
    pub errors: Vec<FieldError>,
    /// When a retry makes sense, if known, in milliseconds.
    pub retry_after_ms: Option<u64>,
    /// The version found, for `version_mismatch`.
    pub current_version: Option<u64>,
    /// Where the call would be answered, when who was asked does not lead and knows who does. An address between
    /// processes of the cluster, never shown outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<String>,
}

impl Fault {
    /// A fault that says the request had no effect.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            outcome: Outcome::NotApplied,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after_ms: None,
            current_version: None,
            leader: None,
        }
    }

    /// `invalid_argument` for one field.
    pub fn invalid(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::on_field(Code::InvalidArgument, field, reason)
    }

    /// A fault of any code about one field; the detail reads "field: reason".
    pub fn on_field(code: Code, field: impl Into<String>, reason: impl Into<String>) -> Self {
        let (field, reason) = (field.into(), reason.into());
        let mut fault = Self::new(code, format!("{field} {reason}"));
        fault.errors.push(FieldError { field, reason });
        fault
    }

    /// `not_found` for a collection.
    pub fn no_collection(name: &str) -> Self {
        Self::new(Code::NotFound, format!("collection '{name}' does not exist"))
    }

    /// `internal`, with a sentence that is safe to show.
    pub fn internal(detail: impl Into<String>) -> Self {
        Self::new(Code::Internal, detail)
    }

    /// The same fault with another outcome.
    pub fn with_outcome(mut self, outcome: Outcome) -> Self {
        self.outcome = outcome;
        self
    }

    /// The same fault with a hint when to retry.
    pub fn retry_after(mut self, ms: u64) -> Self {
        self.retry_after_ms = Some(ms);
        self
    }

    /// The same fault with the address of who leads.
    pub fn led_from(mut self, address: impl Into<String>) -> Self {
        self.leader = Some(address.into());
        self
    }

    /// Whether the same request may succeed later.
    pub fn retryable(&self) -> bool {
        self.code.retryable()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_round_trip() {
        for code in Code::ALL {
            assert_eq!(Code::parse(code.as_str()), Some(code));
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        }
    }
}
