//! What a collection's settings mean to the store: the one place where they are translated.

use vectron_store as store;
use vectron_wire::placement::{CollectionSpec, Distance, Quantization, Storage};

/// The configuration of a collection's shards.
pub fn shard_config(spec: &CollectionSpec, knobs: &store::StoreKnobs) -> store::ShardConfig {
    let metric = match spec.distance {
        Distance::Cosine => store::Metric::Cosine,
        Distance::Dot => store::Metric::Dot,
        Distance::Euclidean => store::Metric::Euclidean,
    };
    let mut config = store::ShardConfig::new(spec.dimension as usize, metric);
    config.degree = spec.index.degree as usize;
    config.ef_construction = spec.index.ef_construction as usize;
    config.quantization = match spec.quantization {
        Quantization::Auto => store::Quantization::auto(config.dimension),
        Quantization::None => store::Quantization::None,
        Quantization::EightBit => store::Quantization::EightBit,
        Quantization::FourBit => store::Quantization::FourBit,
    };
    config.vectors = match spec.storage {
        Storage::Ram => store::Vectors::Ram,
        Storage::Mmap => store::Vectors::Elsewhere,
    };
    config.knobs = knobs.clone();
    config
}

/// Memory that so many points of the collection take, by estimate.
pub fn estimate_bytes(spec: &CollectionSpec, points: u64) -> u64 {
    store::estimate_bytes(&shard_config(spec, &store::StoreKnobs::default()), points)
}
