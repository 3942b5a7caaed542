//! Generated protobuf types, by contract.

/// `vectron.v1`: the public contract.
#[allow(missing_docs, clippy::all, clippy::pedantic)]
pub mod public {
    tonic::include_proto!("vectron.v1");
}

/// `vectron.worker.v1`: gateway to worker.
#[allow(missing_docs, clippy::all, clippy::pedantic)]
pub mod worker {
    tonic::include_proto!("vectron.worker.v1");
}

/// `vectron.placementdriver.v1`: everybody to the placement driver.
#[allow(missing_docs, clippy::all, clippy::pedantic)]
pub mod placement {
    tonic::include_proto!("vectron.placementdriver.v1");
}

/// `vectron.peer.v1`: replicated logs among processes.
#[allow(missing_docs, clippy::all, clippy::pedantic)]
pub mod peer {
    tonic::include_proto!("vectron.peer.v1");
}

/// Descriptor set of the public contract, for the reflection service.
pub const PUBLIC_DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/public_descriptors.bin"));
