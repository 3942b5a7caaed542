//! Figures between measured points.

/// The recalls at which curves are compared.
pub const TARGETS: [f64; 4] = [0.90, 0.95, 0.99, 0.995];

/// The middle value, or the mean of the two in the middle; 0 of nothing.
pub fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    match (values.len(), values.len() / 2) {
        (0, _) => 0.0,
        (count, half) if count % 2 == 1 => values[half],
        (_, half) => f64::midpoint(values[half - 1], values[half]),
    }
}

/// Cost at a recall, between measured (recall, cost) points in order of effort.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cost {
    /// Interpolated.
    At(f64),
    /// The cheapest point measured finds more already: this or less.
    AtMost(f64),
    /// No point measured finds so much.
    Unreached,
}

impl Cost {
    /// The figure, if there is one.
    pub fn value(self) -> Option<f64> {
        match self {
            Cost::At(cost) | Cost::AtMost(cost) => Some(cost),
            Cost::Unreached => None,
        }
    }
}

/// The cost at recall `target`: linear in the logarithms of the cost and of the share missed, between the first point
/// that reaches the target and the one before it.
pub fn cost_at(points: &[(f64, f64)], target: f64) -> Cost {
    // A perfect point has no logarithm; a millionth missed stands for it.
    let missed = |recall: f64| (1.0 - recall).max(1e-6).ln();
    let Some(at) = points.iter().position(|(recall, _)| *recall >= target) else { return Cost::Unreached };
    let (high, above) = points[at];
    let Some((low, below)) = at.checked_sub(1).map(|before| points[before]) else {
        return Cost::AtMost(above);
    };
    let share = (missed(low) - missed(target)) / (missed(low) - missed(high));
    Cost::At((below.ln() + share * (above.ln() - below.ln())).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_costs_between_points() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0]), 2.5);
        let points = [(0.90, 100.0), (0.99, 400.0), (1.0, 800.0)];
        assert_eq!(cost_at(&points, 0.90), Cost::AtMost(100.0));
        assert_eq!(cost_at(&points, 0.5).value(), Some(100.0));
        // Half way from a tenth to a hundredth missed, on the logarithm.
        let Cost::At(cost) = cost_at(&points, 1.0 - 0.1f64.powf(1.5)) else { panic!("not between points") };
        assert!((cost - 200.0).abs() < 1e-6, "{cost}");
        assert_eq!(cost_at(&points[..2], 0.995), Cost::Unreached);
        let Cost::At(cost) = cost_at(&points, 0.99) else { panic!("not between points") };
        assert!((cost - 400.0).abs() < 1e-6, "{cost}");
    }
}
