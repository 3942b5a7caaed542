//! What a shard is made with.

use crate::StoreKnobs;
use vectron_index::{Metric, Params, Quantization, Vectors};

/// The shape of a shard. All but the knobs must be the same on every replica and at every start.
#[derive(Clone, Debug)]
pub struct ShardConfig {
    /// Components per vector of the unnamed field; 0: there is none.
    pub dimension: usize,
    /// How vectors of the unnamed field are compared.
    pub metric: Metric,
    /// The fields that have names. What is said below is of the unnamed one; seed and row counts hold for every dense
    /// field.
    pub named: Vec<NamedField>,
    /// Most links per row of the graph.
    pub degree: usize,
    /// Pool size when the graph is built.
    pub ef_construction: usize,
    /// Seed of the graph.
    pub seed: u64,
    /// With fewer rows than this every search is an exact scan.
    pub flat_below: usize,
    /// Rows whose part of the graph is saved, and lost to damage, together.
    pub graph_chunk_rows: usize,
    /// Codes that stand for vectors in the index. Nothing durable depends on it.
    pub quantization: Quantization,
    /// Where the index has full vectors: in memory, or (`Elsewhere`) in the records only. Nothing durable depends
    /// on it.
    pub vectors: Vectors,
    /// With this many rows vectors get codes; fewer are compared as they are, in memory.
    pub quantize_from: usize,
    /// Bytes of remembered writes from which on new idempotency keys are refused until old ones expire. Decides
    /// outcomes, so a shard made with another value is not opened.
    pub idempotency_bytes: u64,
    /// What may differ between replicas.
    pub knobs: StoreKnobs,
}

impl ShardConfig {
    /// The defaults for a vector field.
    pub fn new(dimension: usize, metric: Metric) -> Self {
        let index = Params::new(dimension, metric);
        Self {
            dimension,
            metric,
            named: Vec::new(),
            degree: index.degree,
            ef_construction: index.ef_construction,
            seed: index.seed,
            flat_below: index.flat_below,
            graph_chunk_rows: index.chunk_rows,
            quantization: index.quantization,
            vectors: index.vectors,
            quantize_from: index.quantize_from,
            idempotency_bytes: 64 << 20,
            knobs: StoreKnobs::default(),
        }
    }

    /// How the index of a dense field is made.
    pub(crate) fn index_params(&self, number: u32) -> Params {
        let named = self.named.iter().find(|field| field.number == number);
        if let Some(NamedField { kind: FieldKind::Dense(dense), .. }) = named {
            return Params {
                degree: dense.degree,
                ef_construction: dense.ef_construction,
                seed: self.seed,
                flat_below: self.flat_below,
                chunk_rows: self.graph_chunk_rows,
                quantization: dense.quantization,
                vectors: dense.vectors,
                quantize_from: self.quantize_from,
                ..Params::new(dense.dimension, dense.metric)
            };
        }
        Params {
            degree: self.degree,
            ef_construction: self.ef_construction,
            seed: self.seed,
            flat_below: self.flat_below,
            chunk_rows: self.graph_chunk_rows,
            quantization: self.quantization,
            vectors: self.vectors,
            quantize_from: self.quantize_from,
            ..Params::new(self.dimension, self.metric)
        }
    }

    /// The metric's number in files.
    pub(crate) fn metric_code(&self) -> u8 {
        metric_code(self.metric)
    }
}

/// A metric's number in files.
pub(crate) fn metric_code(metric: Metric) -> u8 {
    match metric {
        Metric::Cosine => 0,
        Metric::Dot => 1,
        Metric::Euclidean => 2,
    }
}

/// A vector field with a name.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedField {
    /// Stands for the name in files: 1 or more, never given to another field of the shard.
    pub number: u32,
    /// Not empty.
    pub name: String,
    /// What its values are.
    pub kind: FieldKind,
}

/// What the values of a field are, and how they are searched.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldKind {
    /// One vector per point, in an index of its own.
    Dense(DenseField),
    /// A sparse vector per point, in an inverted index.
    Sparse,
    /// Several vectors per point, compared exactly.
    Multi {
        /// Components per vector.
        dimension: usize,
        /// How two vectors are compared.
        metric: Metric,
    },
}

/// A dense field with a name. The members mean what they do in [`ShardConfig`].
#[derive(Clone, Debug, PartialEq)]
pub struct DenseField {
    /// Components per vector.
    pub dimension: usize,
    /// How vectors are compared.
    pub metric: Metric,
    /// Most links per row of the graph.
    pub degree: usize,
    /// Pool size when the graph is built.
    pub ef_construction: usize,
    /// Codes that stand for vectors in the index.
    pub quantization: Quantization,
    /// Where the index has full vectors.
    pub vectors: Vectors,
}

impl DenseField {
    /// The defaults.
    pub fn new(dimension: usize, metric: Metric) -> Self {
        let index = Params::new(dimension, metric);
        Self {
            dimension,
            metric,
            degree: index.degree,
            ef_construction: index.ef_construction,
            quantization: index.quantization,
            vectors: index.vectors,
        }
    }
}

/// Memory that `rows` points of such a shard will need when indexed, without records that wait for a
/// checkpoint: for admission before work starts. A generous estimate, not a measurement.
pub fn estimate_bytes(config: &ShardConfig, rows: u64) -> u64 {
    /// Row states, id map, row table, numbers kept with a code, allocator slack.
    const PER_ROW: u64 = 384;
    /// Bytes per link and its share of the upper layers.
    const PER_LINK: u64 = 5;
    /// A sparse vector of 64 numbers, with its share of the index.
    const PER_SPARSE: u64 = 64 * 12 + 48;
    let dense = |dimension: usize, degree: usize, quantization: Quantization, vectors: Vectors| {
        let dimension = dimension as u64;
        let codes = if quantization == Quantization::None { 0 } else { dimension };
        let held = vectors == Vectors::Ram || quantization == Quantization::None;
        let vectors = if held { dimension.saturating_mul(4) } else { 0 };
        let links = (degree as u64).saturating_mul(PER_LINK);
        codes.saturating_add(vectors).saturating_add(links)
    };
    let unnamed = match config.dimension {
        0 => 0,
        dimension => dense(dimension, config.degree, config.quantization, config.vectors),
    };
    let named = config.named.iter().map(|field| match &field.kind {
        FieldKind::Dense(field) => dense(field.dimension, field.degree, field.quantization, field.vectors),
        FieldKind::Sparse => PER_SPARSE,
        // In the records only.
        FieldKind::Multi { .. } => 0,
    });
    rows.saturating_mul(named.fold(unnamed.saturating_add(PER_ROW), u64::saturating_add))
}
