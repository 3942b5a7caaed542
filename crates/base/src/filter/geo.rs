//! Circles on the globe, decided the same way on every machine: only additions, multiplications, divisions
//! and square roots, whose results IEEE 754 fixes, so that a replicated delete by filter may use them.

use std::ops::RangeInclusive;

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
        GeoPlace::new(lat, lon).is_some_and(|place| self.area().contains(&place))
    }

    /// The circle made ready for many places.
    pub fn area(&self) -> GeoArea {
        let half_angle = self.half_angle();
        let chord = if half_angle >= 90.0 { f64::INFINITY } else { 2.0 * sin_degrees(half_angle) };
        GeoArea { centre: GeoPlace { unit: unit_vector(self.lat, self.lon) }, chord_squared: chord * chord }
    }

    fn half_angle(&self) -> f64 {
        self.radius_m / (2.0 * EARTH_RADIUS_M) * (180.0 / std::f64::consts::PI)
    }

    /// Degrees of latitude and longitude that no point of the circle lies outside of, a little wider than need be.
    /// Where the circle crosses the date line or holds a pole, all longitudes.
    pub fn bounds(&self) -> (RangeInclusive<f64>, RangeInclusive<f64>) {
        // Far above the rounding of anything here, far below what matters.
        const MARGIN: f64 = 1e-6;
        let angle = 2.0 * self.half_angle() + MARGIN;
        let (south, north) = (self.lat - angle, self.lat + angle);
        let everywhere = -180.0..=180.0;
        if south <= -90.0 || north >= 90.0 {
            return (south.max(-90.0)..=north.min(90.0), everywhere);
        }
        let wide =
            (angle.to_radians().sin() / self.lat.to_radians().cos()).min(1.0).asin().to_degrees() + MARGIN;
        let (west, east) = (self.lon - wide, self.lon + wide);
        let crosses = west < -180.0 || east > 180.0;
        (south..=north, if crosses { everywhere } else { west..=east })
    }
}

/// A place on the globe.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GeoPlace {
    unit: [f64; 3],
}

impl GeoPlace {
    /// The place, unless the degrees north or east are out of range.
    pub fn new(lat: f64, lon: f64) -> Option<GeoPlace> {
        let known = (-90.0..=90.0).contains(&lat) && (-180.0..=180.0).contains(&lon);
        known.then(|| GeoPlace { unit: unit_vector(lat, lon) })
    }
}

/// A circle that places are compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GeoArea {
    centre: GeoPlace,
    chord_squared: f64,
}

impl GeoArea {
    /// Whether the place lies in the circle or on its edge.
    pub fn contains(&self, place: &GeoPlace) -> bool {
        let pairs = self.centre.unit.iter().zip(place.unit);
        let squared: f64 = pairs.map(|(a, b)| (a - b) * (a - b)).sum();
        squared <= self.chord_squared
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
    fn no_place_of_a_circle_is_outside_of_its_bounds() {
        for (lat, lon, radius_m) in [
            (52.5, 13.4, 1.0),
            (52.5, 13.4, 900_000.0),
            (-33.9, 151.2, 5_000_000.0),
            (0.0, 179.0, 200_000.0),
            (89.0, 0.0, 150_000.0),
            (70.0, -30.0, 2_000_000.0),
            (0.0, 0.0, 10_007_000.0),
            (10.0, 20.0, 3e7),
        ] {
            let circle = GeoCircle { lat, lon, radius_m };
            let (lats, lons) = circle.bounds();
            let steps = |at: f64, wide: f64| (-40..=40).map(move |step| at + wide * f64::from(step) / 40.0);
            let near = steps(lat, 2.0 * circle.half_angle().max(1e-6));
            for (north, east) in
                near.flat_map(|n| steps(0.0, 180.0).chain(steps(lon, 1.0)).map(move |e| (n, e)))
            {
                if circle.contains(north, east) {
                    assert!(lats.contains(&north) && lons.contains(&east), "{circle:?} {north} {east}");
                }
            }
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
