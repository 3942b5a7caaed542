//! What a shard is made with.

use crate::StoreKnobs;
use vectron_index::{Metric, Params, Quantization, Vectors};

/// The shape of a shard. All but the knobs must be the same on every replica and at every start.
#[derive(Clone, Debug)]
pub struct ShardConfig {
    /// Components per vector.
    pub dimension: usize,
    /// How vectors are compared.
    pub metric: Metric,
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

    pub(crate) fn index_params(&self) -> Params {
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
        match self.metric {
            Metric::Cosine => 0,
            Metric::Dot => 1,
            Metric::Euclidean => 2,
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
    let dimension = config.dimension as u64;
    let codes = if config.quantization == Quantization::None { 0 } else { dimension };
    let held = config.vectors == Vectors::Ram || config.quantization == Quantization::None;
    let vectors = if held { dimension.saturating_mul(4) } else { 0 };
    let links = (config.degree as u64).saturating_mul(PER_LINK);
    let row = codes.saturating_add(vectors).saturating_add(links).saturating_add(PER_ROW);
    rows.saturating_mul(row)
}
