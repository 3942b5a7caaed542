//! Circles on the globe, decided the same way on every machine: only additions, multiplications, divisions
//! and square roots, whose results IEEE 754 fixes, so that a replicated delete by filter may use them.

/// Mean radius of the earth in metres.
const EARTH_RADIUS_M: f64 = 6_371_008.8;

/// A circle given by its centre and radius.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GeoCircle {
    /// Degrees north, -90 to 90.
    pub lat: f64,
    /// Degrees east, -180 to 180.
    pub lon: f64,
    /// Radius along the surface, in metres; not negative.
    pub radius_m: f64,
}

impl GeoCircle {
    /// Whether the point lies in the circle or on its edge; never for coordinates out of range.
    pub fn contains(&self, lat: f64, lon: f64) -> bool {
        if !(-90.0..=90.0).contains(&lat) || !(-180.0..=180.0).contains(&lon) {
            return false;
        }
        let half_angle = self.radius_m / (2.0 * EARTH_RADIUS_M) * (180.0 / std::f64::consts::PI);
        if half_angle >= 90.0 {
            return true;
        }
        let chord = 2.0 * sin_degrees(half_angle);
        let (a, b) = (unit_vector(self.lat, self.lon), unit_vector(lat, lon));
        let squared: f64 = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
        squared <= chord * chord
    }
}

fn unit_vector(lat: f64, lon: f64) -> [f64; 3] {
    let level = cos_degrees(lat);
    [level * cos_degrees(lon), level * sin_degrees(lon), sin_degrees(lat)]
}

fn cos_degrees(degrees: f64) -> f64 {
    sin_degrees(90.0 - degrees.abs())
}

/// Sine of -180 to 180 degrees, to the last bits of a double.
fn sin_degrees(degrees: f64) -> f64 {
    let mut a = degrees.abs();
    if a > 90.0 {
        a = 180.0 - a;
    }
    const RADIANS: f64 = std::f64::consts::PI / 180.0;
    // Taylor series: below 45 degrees the first omitted term is smaller than a double's last bit.
    let series = |x: f64, mut term: f64, mut n: f64| {
        let mut sum = term;
        for _ in 0..9 {
            term = -term * x * x / ((n + 1.0) * (n + 2.0));
            n += 2.0;
            sum += term;
        }
        sum
    };
    let value = if a <= 45.0 {
        series(a * RADIANS, a * RADIANS, 1.0)
    } else {
        series((90.0 - a) * RADIANS, 1.0, 0.0)
    };
    if degrees < 0.0 { -value } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sines_agree_with_the_library() {
        for tenth in -1800..=1800 {
            let degrees = f64::from(tenth) / 10.0;
            assert!((sin_degrees(degrees) - degrees.to_radians().sin()).abs() < 1e-15, "{degrees}");
            assert!((cos_degrees(degrees) - degrees.to_radians().cos()).abs() < 1e-15, "{degrees}");
        }
    }

    #[test]
    fn berlin_and_paris_are_878_km_apart() {
        let around_berlin = |radius_m| GeoCircle { lat: 52.5200, lon: 13.4050, radius_m };
        assert!(around_berlin(879_000.0).contains(48.8566, 2.3522));
        assert!(!around_berlin(876_000.0).contains(48.8566, 2.3522));
        assert!(around_berlin(0.0).contains(52.5200, 13.4050));
        assert!(!around_berlin(1.0).contains(52.52002, 13.4050));
        assert!(around_berlin(3.0).contains(52.52002, 13.4050));
        assert!(around_berlin(3e7).contains(-52.52, -166.595));
        assert!(!around_berlin(3e7).contains(91.0, 0.0));
        // Across the date line.
        assert!(GeoCircle { lat: 0.0, lon: 179.999, radius_m: 300.0 }.contains(0.0, -179.999));
    }
}
