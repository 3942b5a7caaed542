//! What a call that failed says: the server's fault, sorted by cause, with the id to quote in a report.

use std::fmt;
use tonic::Status;
use tonic_types::StatusExt;
use vectron_base::{Code, Fault, Outcome};
use vectron_wire::fault_table;

/// A failed call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What the server said, or what stopped the call before it.
    pub fault: Fault,
    /// The server's id of the request, if it got there.
    pub request_id: Option<String>,
}

/// The causes of failures, coarse enough to branch on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request is wrong; change it.
    Request,
    /// Credentials are missing or not enough.
    Access,
    /// Collection or point is not there.
    Missing,
    /// Somebody else's write or configuration is in the way.
    Conflict,
    /// A size, rate or disk limit.
    Limit,
    /// Not now; the same request may succeed later.
    Unavailable,
    /// The server made a mistake.
    Server,
}

impl Error {
    /// An error that never reached a server.
    pub fn local(code: Code, detail: impl Into<String>) -> Self {
        Self { fault: Fault::new(code, detail), request_id: None }
    }

    /// The error in a gRPC status.
    pub fn from_status(status: &Status) -> Self {
        let request_id = status
            .get_error_details()
            .error_info()
            .and_then(|info| info.metadata.get("request_id").cloned())
            .or_else(|| header(status, "x-request-id"));
        Self { fault: fault_table::from_status(status), request_id }
    }

    /// The code of the contract.
    pub fn code(&self) -> Code {
        self.fault.code
    }

    /// What became of the write.
    pub fn outcome(&self) -> Outcome {
        self.fault.outcome
    }

    /// Whether the same request may succeed later.
    pub fn retryable(&self) -> bool {
        self.fault.retryable()
    }

    /// The cause.
    pub fn kind(&self) -> Kind {
        match self.fault.code {
            Code::InvalidArgument | Code::IdempotencyKeyReused => Kind::Request,
            Code::Unauthenticated | Code::Forbidden => Kind::Access,
            Code::NotFound => Kind::Missing,
            Code::AlreadyExists | Code::VersionMismatch | Code::UnsafeOperation => Kind::Conflict,
            Code::DiskFull | Code::TooLarge | Code::RateLimited => Kind::Limit,
            Code::Overloaded | Code::Unavailable | Code::DeadlineExceeded | Code::StalenessUnmet => {
                Kind::Unavailable
            }
            Code::Internal => Kind::Server,
        }
    }
}

fn header(status: &Status, name: &str) -> Option<String> {
    status.metadata().get(name).and_then(|value| value.to_str().ok()).map(str::to_string)
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fault.fmt(f)?;
        match &self.request_id {
            Some(id) => write!(f, " (request {id})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_keeps_fault_and_request_id() {
        let fault = Fault::invalid("points[7].vector", "has 767 numbers, expected 768");
        let error = Error::from_status(&fault_table::to_status(&fault, Some("r-17")));
        assert_eq!(error.fault, fault);
        assert_eq!(error.request_id.as_deref(), Some("r-17"));
        assert_eq!(error.kind(), Kind::Request);
    }

    #[test]
    fn a_broken_connection_is_retryable_with_unknown_outcome() {
        let error = Error::from_status(&Status::unavailable("connection reset"));
        assert!(error.retryable());
        assert_eq!(error.outcome(), Outcome::Unknown);
    }
}
