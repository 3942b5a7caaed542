//! Faults as bytes: the `google.rpc.Status` that the fault table makes of them for gRPC.

use crate::fault_table::{from_status, to_internal_status};
use prost::Message;
use tonic::Status;
use tonic_types::pb;
use vectron_base::Fault;

/// The bytes of a fault.
pub(super) fn bytes_of(fault: &Fault) -> Vec<u8> {
    to_internal_status(fault).details().to_vec()
}

/// The fault in bytes; none when there is no fault of ours in them.
pub(super) fn fault_of(bytes: &[u8]) -> Option<Fault> {
    let inner = pb::Status::decode(bytes).ok()?;
    let status = Status::with_details(inner.code.into(), inner.message, bytes.to_vec().into());
    (!bytes.is_empty()).then(|| from_status(&status))
}
