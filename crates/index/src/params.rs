//! What an index is built with, and what it hands out.

/// Number of a vector's place. Rows are expected to be dense: memory grows with the highest.
/// At most 2³⁰ of them.
pub type Row = u32;

/// Rows are below this: the upper bits of a row carry marks.
pub(crate) const ROW_LIMIT: Row = 1 << 30;

/// No row; ends a link list that is not full.
pub(crate) const NONE: Row = Row::MAX;

/// How two vectors are compared. Scores are higher-is-better for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Cosine similarity, in -1..=1. Vectors are normalised when put; a zero vector scores 0.
    Cosine,
    /// Inner product.
    Dot,
    /// Negated Euclidean distance (not squared).
    Euclidean,
}

impl Metric {
    /// Stable number in encoded graphs.
    pub(crate) fn code(self) -> u8 {
        match self {
            Metric::Cosine => 0,
            Metric::Dot => 1,
            Metric::Euclidean => 2,
        }
    }
}

/// How many bits per component the codes have that traversals and scans compare instead of
/// vectors. What is returned is always scored by full vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantization {
    /// No codes: vectors are compared as they are.
    None,
    /// Eight bits throughout.
    EightBit,
    /// Four bits for looking around, eight for building and for choosing what is scored.
    FourBit,
}

impl Quantization {
    /// Stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Quantization::None => "none",
            Quantization::EightBit => "8bit",
            Quantization::FourBit => "4bit",
        }
    }

    /// What suits a dimension: the shorter a vector, the less there is to save and the larger
    /// the error of few bits.
    pub fn auto(dimension: usize) -> Self {
        match dimension {
            0..32 => Quantization::None,
            32..128 => Quantization::EightBit,
            _ => Quantization::FourBit,
        }
    }
}

/// Where the full vectors are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vectors {
    /// In the index.
    Ram,
    /// With the caller, who hands in a [`crate::FullVectors`]. Without codes (because of
    /// [`Quantization::None`], too few rows, or values beyond the range of codes) the index holds them all
    /// the same.
    Elsewhere,
}

/// Build parameters of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Params {
    /// Components per vector.
    pub dimension: usize,
    /// How vectors are compared.
    pub metric: Metric,
    /// Most links per row on the base layer; half of it on the layers above. Held to 4..=128.
    pub degree: usize,
    /// Pool size of the search that finds a new row's neighbours; at least `degree`.
    pub ef_construction: usize,
    /// Seed of levels and of random starts.
    pub seed: u64,
    /// With fewer live rows than this no graph is built or used: every search is exact.
    pub flat_below: usize,
    /// Rows per chunk of the encoded graph: what is encoded, saved and lost to damage together. Held to
    /// 1..=65,536. Chunks of another size are adopted all the same.
    pub chunk_rows: usize,
    /// Codes that stand for vectors.
    pub quantization: Quantization,
    /// Where full vectors are held.
    pub vectors: Vectors,
    /// Vectors are quantized, and given up if they are [`Vectors::Elsewhere`], when this many
    /// rows are live: the mean of those is what codes are relative to.
    pub quantize_from: usize,
}

impl Params {
    /// Defaults: degree 32, `ef_construction` 128, graph and codes from 4,096 rows on,
    /// quantization as the dimension suggests, vectors in RAM.
    pub fn new(dimension: usize, metric: Metric) -> Self {
        Self {
            dimension,
            metric,
            degree: 32,
            ef_construction: 128,
            seed: 0x7665_6374_726F_6E31,
            flat_below: 4096,
            chunk_rows: 1024,
            quantization: Quantization::auto(dimension),
            vectors: Vectors::Ram,
            quantize_from: 4096,
        }
    }

    /// The same with every value inside its bounds.
    pub(crate) fn bounded(mut self) -> Self {
        self.degree = self.degree.clamp(4, 128);
        self.ef_construction = self.ef_construction.clamp(self.degree, 4096);
        self.chunk_rows = self.chunk_rows.clamp(1, 1 << 16);
        self
    }
}

/// One answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// The row found.
    pub row: Row,
    /// Its score, higher is better: cosine similarity, inner product or negated distance.
    /// Always finite; values beyond f32 are held at ±`f32::MAX`.
    pub score: f32,
}

/// Bytes an index holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryBytes {
    /// Codes.
    pub codes: usize,
    /// Full vectors.
    pub vectors: usize,
    /// Graph links of all layers.
    pub links: usize,
    /// Row states, tags, bitmaps and chains.
    pub other: usize,
}

impl MemoryBytes {
    /// The sum of all parts.
    pub fn total(&self) -> usize {
        self.codes + self.vectors + self.links + self.other
    }
}

/// How far codes are from the vectors they stand for, on average over all that were made: the distance relative
/// to the length of the vector less the mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CodeErrors {
    /// Of the codes that traversals and scans compare.
    pub coarse: f64,
    /// Of those that the graph is built by.
    pub fine: f64,
}

/// How much of the graph a search can get to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reachability {
    /// Live rows that are in the graph.
    pub graph_rows: usize,
    /// Those of them that can be reached from the entry.
    pub reachable: usize,
}
