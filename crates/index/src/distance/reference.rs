//! The oracle: the definitions written out in f64 (i64 for codes), one component after another.

/// Inner product, summed in f64.
pub fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
}

/// Squared Euclidean distance, summed in f64.
pub fn squared(a: &[f32], b: &[f32]) -> f64 {
    a.iter()
        .zip(b)
        .map(|(x, y)| {
            let gap = f64::from(*x) - f64::from(*y);
            gap * gap
        })
        .sum()
}

/// Inner product of 8-bit codes and a signed query.
#[cfg(test)]
pub(crate) fn dot_codes(codes: &[u8], query: &[i8]) -> i64 {
    codes.iter().zip(query).map(|(code, query)| i64::from(*code) * i64::from(*query)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        assert_eq!(dot(&[1.0, 2.0], &[3.0, 4.0]), 11.0);
        assert_eq!(squared(&[1.0, 2.0], &[3.0, 4.0]), 8.0);
        assert!(dot(&[f32::MAX; 8], &[f32::MAX; 8]).is_finite());
    }
}
