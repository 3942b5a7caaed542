//! JSON numbers without loss: integers up to 128 bits stay integers, the rest are doubles, and the two kinds
//! compare by their exact values.

use std::cmp::Ordering;

/// A number of a filter or of a payload.
#[derive(Clone, Copy, Debug)]
pub enum Number {
    /// Written without fraction or exponent, and within 128 bits.
    Integer(i128),
    /// Everything else; never NaN. Infinite when the text is beyond the range of doubles.
    Real(f64),
}

impl Number {
    /// The value of a JSON number's text.
    pub fn parse(text: &str) -> Option<Number> {
        let whole = text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
        if whole && text.len() <= 18 {
            return text.parse::<i64>().ok().map(|v| Number::Integer(v.into()));
        }
        if whole && let Ok(value) = text.parse() {
            return Some(Number::Integer(value));
        }
        text.parse().ok().filter(|v: &f64| !v.is_nan()).map(Number::Real)
    }

    /// The nearest double.
    pub fn real(self) -> f64 {
        match self {
            Number::Integer(v) => v as f64,
            Number::Real(v) => v,
        }
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        match (*self, *other) {
            (Number::Integer(a), Number::Integer(b)) => a.cmp(&b),
            (Number::Real(a), Number::Real(b)) => a.partial_cmp(&b).unwrap_or(Ordering::Equal),
            (Number::Integer(a), Number::Real(b)) => integer_to_real(a, b),
            (Number::Real(a), Number::Integer(b)) => integer_to_real(b, a).reverse(),
        }
    }
}
impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Number {}

fn integer_to_real(integer: i128, real: f64) -> Ordering {
    /// 2^127: the first double that no i128 reaches.
    const BEYOND: f64 = 170_141_183_460_469_231_731_687_303_715_884_105_728.0;
    if real >= BEYOND {
        return Ordering::Less;
    }
    if real < -BEYOND {
        return Ordering::Greater;
    }
    let whole = real.trunc();
    let rest = 0.0f64.partial_cmp(&(real - whole)).unwrap_or(Ordering::Equal);
    integer.cmp(&(whole as i128)).then(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn n(text: &str) -> Number {
        Number::parse(text).unwrap()
    }

    #[test]
    fn comparisons_lose_nothing() {
        let ascending = [
            "-1e400",
            "-170141183460469231731687303715884105728",
            "-9007199254740993",
            "-9007199254740992",
            "-1.5",
            "-1",
            "-0.5",
            "0",
            "0.5",
            "1",
            "1.5",
            "9007199254740992",
            "9007199254740993",
            "9223372036854775807",
            "18446744073709551615",
            "18446744073709551617",
            "170141183460469231731687303715884105727",
            "2e38",
            "1e400",
        ];
        for (i, a) in ascending.iter().enumerate() {
            for (j, b) in ascending.iter().enumerate() {
                assert_eq!(n(a).cmp(&n(b)), i.cmp(&j), "{a} {b}");
            }
        }
        for (a, b) in
            [("1", "1.0"), ("0", "-0.0"), ("9007199254740992", "9007199254740992.0"), ("100", "1e2")]
        {
            assert_eq!(n(a), n(b));
        }
        assert_ne!(n("9007199254740993"), n("9007199254740993.0"));
        assert_eq!(n("99999999999999999999999999999999999999999999"), n("1e44"));
    }
}
