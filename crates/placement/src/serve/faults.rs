//! What callers hear when something did not happen.

use super::Service;
use vectron_base::ids::ReplicaId;
use vectron_base::{Code, Fault, Outcome};
use vectron_consensus::ProposeError;

/// When another try makes sense while nobody leads, in milliseconds.
const RETRY_MS: u64 = 200;

pub(super) fn unexpected() -> Fault {
    Fault::internal("the catalog gave an unexpected reply").with_outcome(Outcome::Unknown)
}

/// The plan behind a command was overtaken.
pub(super) fn overtaken() -> Fault {
    Fault::new(
        Code::Unavailable,
        "the cluster changed meanwhile, or as many moves as may be are under way; retry",
    )
    .retry_after(RETRY_MS)
}

impl Service {
    /// Another member leads, or none does.
    pub(super) fn not_leader(&self, leader: Option<ReplicaId>) -> Fault {
        let other = leader.filter(|leader| *leader != self.parts.membership.member);
        let address = other
            .and_then(|leader| self.parts.catalog.read(|catalog| catalog.members().get(&leader).cloned()));
        let fault = Fault::new(Code::Unavailable, "this member does not lead the placement driver; retry")
            .retry_after(RETRY_MS);
        match address {
            Some(address) => fault.led_from(address),
            None => fault,
        }
    }

    pub(super) fn propose_fault(&self, error: &ProposeError) -> Fault {
        let (code, detail) = match error {
            ProposeError::NotLeader { leader } => {
                return self.not_leader(*leader).with_outcome(error.outcome());
            }
            ProposeError::Overloaded => {
                (Code::Overloaded, "the placement driver has no room for more work now")
            }
            ProposeError::DiskFull => (Code::DiskFull, "the placement driver's disk is full"),
            ProposeError::TooLarge { .. } => {
                (Code::TooLarge, "the change is too large for the catalog's log")
            }
            _ => (Code::Unavailable, "the placement driver cannot commit now"),
        };
        Fault::new(code, detail).with_outcome(error.outcome())
    }
}
