//! What a collection's settings mean to the store: the one place where they are translated.

use vectron_store as store;
use vectron_wire::placement::{
    CollectionSpec, Distance, Quantization, Storage, VectorField, VectorFieldKind,
};

/// The configuration of a collection's shards.
pub fn shard_config(spec: &CollectionSpec, knobs: &store::StoreKnobs) -> store::ShardConfig {
    let mut config = store::ShardConfig::new(spec.dimension as usize, metric(spec.distance));
    config.degree = spec.index.degree as usize;
    config.ef_construction = spec.index.ef_construction as usize;
    config.quantization = codes(spec.quantization, config.dimension);
    config.vectors = place(spec.storage);
    config.named = spec.vector_fields.iter().map(named_field).collect();
    config.knobs = knobs.clone();
    config
}

fn metric(distance: Distance) -> store::Metric {
    match distance {
        Distance::Cosine => store::Metric::Cosine,
        Distance::Dot => store::Metric::Dot,
        Distance::Euclidean => store::Metric::Euclidean,
    }
}

fn codes(quantization: Quantization, dimension: usize) -> store::Quantization {
    match quantization {
        Quantization::Auto => store::Quantization::auto(dimension),
        Quantization::None => store::Quantization::None,
        Quantization::EightBit => store::Quantization::EightBit,
        Quantization::FourBit => store::Quantization::FourBit,
    }
}

fn place(storage: Storage) -> store::Vectors {
    match storage {
        Storage::Ram => store::Vectors::Ram,
        Storage::Mmap => store::Vectors::Elsewhere,
    }
}

fn named_field(field: &VectorField) -> store::NamedField {
    let kind = match field.kind {
        VectorFieldKind::Dense { dimension, distance, quantization, storage, index } => {
            let dimension = dimension as usize;
            store::FieldKind::Dense(store::DenseField {
                degree: index.degree as usize,
                ef_construction: index.ef_construction as usize,
                quantization: codes(quantization, dimension),
                vectors: place(storage),
                ..store::DenseField::new(dimension, metric(distance))
            })
        }
        VectorFieldKind::Sparse => store::FieldKind::Sparse,
        VectorFieldKind::Multi { dimension, distance } => {
            store::FieldKind::Multi { dimension: dimension as usize, metric: metric(distance) }
        }
    };
    store::NamedField { number: field.number, name: field.name.clone(), kind }
}

/// Memory that so many points of the collection take, by estimate.
pub fn estimate_bytes(spec: &CollectionSpec, points: u64) -> u64 {
    store::estimate_bytes(&shard_config(spec, &store::StoreKnobs::default()), points)
}
