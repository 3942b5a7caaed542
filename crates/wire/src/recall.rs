//! What is measured of the recall of live searches.

/// How many of the points a search's filter lets pass: what recall depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Selectivity {
    /// There is no filter.
    All,
    /// At least a tenth.
    Over10,
    /// From a hundredth to a tenth.
    From1To10,
    /// Fewer than a hundredth.
    Under1,
}

impl Selectivity {
    /// Every one, in the order of this list.
    pub const EVERY: [Selectivity; 4] =
        [Selectivity::All, Selectivity::Over10, Selectivity::From1To10, Selectivity::Under1];

    /// Of a filter that lets so many of so many points pass; `None` stands for no filter.
    pub fn of(matching: Option<u64>, points: u64) -> Self {
        match matching {
            None => Selectivity::All,
            Some(matching) if matching.saturating_mul(10) >= points => Selectivity::Over10,
            Some(matching) if matching.saturating_mul(100) >= points => Selectivity::From1To10,
            Some(_) => Selectivity::Under1,
        }
    }

    /// Stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Selectivity::All => "all",
            Selectivity::Over10 => "over_10_percent",
            Selectivity::From1To10 => "1_to_10_percent",
            Selectivity::Under1 => "under_1_percent",
        }
    }
}

/// The recall of the last searches of one kind that were measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RecallFigure {
    /// Of their filters.
    pub selectivity: Selectivity,
    /// The recall that was asked for; `None` where an effort was.
    pub target: Option<f32>,
    /// How many were measured.
    pub samples: u64,
    /// The mean share of true neighbours that they found.
    pub recall: f64,
    /// The mean is below the target by more than chance explains.
    pub missed: bool,
}
