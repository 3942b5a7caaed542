//! Compiles the contracts without a system protoc.

use prost::Message;
use std::{env, fs, path::PathBuf};

#[allow(clippy::disallowed_methods, reason = "a build script has no seams")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    let files = ["apigateway.proto", "worker.proto", "placementdriver.proto", "peer.proto"];
    for file in files {
        println!("cargo:rerun-if-changed={}", root.join(file).display());
    }
    let descriptors = protox::compile(files, [&root])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    // The reflection service shows the public contract only.
    let public = protox::compile(["apigateway.proto"], [&root])?;
    fs::write(out.join("public_descriptors.bin"), public.encode_to_vec())?;
    tonic_prost_build::configure()
        .codec_path("crate::codec::StrictCodec")
        // Messages of replicated logs are handed on without being copied out of what was read.
        .bytes(".vectron.peer.v1")
        .compile_fds(descriptors)?;
    Ok(())
}
