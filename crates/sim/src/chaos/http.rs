//! REST calls, and what an answer says of a write.

use crate::history::Ended;
use crate::workload;
use serde_json::Value;
use std::io::ErrorKind;
use std::time::Duration;

/// What every request carries.
pub const ADMIN_KEY: &str = "the-admin-key-of-chaos";

/// Why a call gave no answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// The server's problem document.
    Refused(Value),
    /// Nobody listens there: the request was never sent.
    Unreached,
    /// The connection broke or was silent for too long.
    Broken,
}

/// Calls with one connection pool.
#[derive(Clone)]
pub struct Rest(ureq::Agent);

impl Rest {
    /// Calls that wait so long at most.
    pub fn new(wait: Duration) -> Self {
        let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(wait));
        Self(config.build().into())
    }

    /// GET.
    pub fn get(&self, url: &str, path: &str) -> Result<Value, Failure> {
        Self::answer(self.0.get(format!("{url}{path}")).header("authorization", bearer()).call())
    }

    /// POST.
    pub fn post(&self, url: &str, path: &str, body: &Value) -> Result<Value, Failure> {
        let request = self.0.post(format!("{url}{path}")).header("content-type", "application/json");
        Self::answer(request.header("authorization", bearer()).send(body.to_string()))
    }

    fn answer(answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Value, Failure> {
        let mut answer = answer.map_err(|error| match error {
            ureq::Error::ConnectionFailed => Failure::Unreached,
            ureq::Error::Io(error) if error.kind() == ErrorKind::ConnectionRefused => Failure::Unreached,
            _ => Failure::Broken,
        })?;
        let text = answer.body_mut().read_to_string().map_err(|_| Failure::Broken)?;
        let good = answer.status().is_success();
        match serde_json::from_str(&text) {
            Ok(value) if good => Ok(value),
            Ok(value) => Err(Failure::Refused(value)),
            Err(_) if good => Ok(Value::String(text)),
            Err(_) => Err(Failure::Broken),
        }
    }
}

fn bearer() -> String {
    format!("Bearer {ADMIN_KEY}")
}

/// How a write ended that failed.
pub fn ended(failure: &Failure) -> Ended {
    match failure {
        Failure::Unreached => Ended::NotApplied,
        Failure::Broken => Ended::Unknown,
        Failure::Refused(problem) => {
            workload::refused(problem["outcome"] == "not_applied", mismatch(problem))
        }
    }
}

/// The version that a condition met, where this says that it did not hold.
pub fn mismatch(problem: &Value) -> Option<u64> {
    problem["current_version"].as_u64().filter(|_| problem["code"] == "version_mismatch")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_a_refusal_that_says_so_is_no_doubt() {
        let refused = |outcome: &str| Failure::Refused(json!({"code": "unavailable", "outcome": outcome}));
        assert_eq!(ended(&refused("not_applied")), Ended::NotApplied);
        assert_eq!(ended(&refused("unknown")), Ended::Unknown);
        assert_eq!(ended(&Failure::Refused(json!({}))), Ended::Unknown);
        assert_eq!(ended(&Failure::Broken), Ended::Unknown);
        let mismatch = json!({"code": "version_mismatch", "outcome": "not_applied", "current_version": 4});
        assert_eq!(ended(&Failure::Refused(mismatch)), Ended::Mismatch(4));
    }
}
