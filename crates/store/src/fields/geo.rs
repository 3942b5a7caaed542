//! Places in the cells of a grid: a circle is a few ranges of cells, whose places are compared with it exactly.

use super::extract::Real;
use super::keyword::LIST_BYTES;
use super::sorted::Sorted;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use vectron_base::filter::{GeoArea, GeoCircle, GeoPlace};
use vectron_index::{Row, RowSet};

/// Bands of latitude, each about 10 km high, and cells of a band.
const BANDS: u32 = 1 << 11;
const CELLS: u32 = 1 << 16;
/// Bands that are looked at one by one; of more, whole circles of latitude are.
const BANDS_FEW: u32 = 64;

/// A place of a row, with its cell.
#[derive(Clone, Copy, Default)]
struct Place {
    place: GeoPlace,
    cell: u32,
}

/// Rows by the places that they have.
#[derive(Default)]
pub(super) struct Geo {
    /// A row stands once in each cell.
    cells: Sorted<u32>,
    /// Rows with one place.
    single: RowSet,
    column: Vec<Place>,
    lists: BTreeMap<Row, Box<[Place]>>,
    listed: usize,
}

fn share(of: f64, from: f64, width: f64, parts: u32) -> u32 {
    // Casts stop at the ends of the type.
    (((of - from) / width * f64::from(parts)) as u32).min(parts - 1)
}

fn band(lat: f64) -> u32 {
    share(lat, -90.0, 180.0, BANDS)
}

fn cell(lon: f64) -> u32 {
    share(lon, -180.0, 360.0, CELLS)
}

impl Geo {
    /// Adds a row that is not in, with its degrees north and east. Places out of range are in no circle.
    pub fn insert(&mut self, row: Row, places: impl Iterator<Item = (Real, Real)>) {
        let place = |(lat, lon): (Real, Real)| {
            let cell = band(lat.0) * CELLS + cell(lon.0);
            Some(Place { place: GeoPlace::new(lat.0, lon.0)?, cell })
        };
        let places: Vec<Place> = places.filter_map(place).collect();
        places.iter().for_each(|place| self.cells.insert(place.cell, row));
        match places.as_slice() {
            [] => {}
            [place] => {
                if self.column.len() <= row as usize {
                    self.column.resize(row as usize + 1, Place::default());
                }
                self.single.insert(row);
                self.column.get_mut(row as usize).into_iter().for_each(|at| *at = *place);
            }
            _ => {
                self.listed += places.len();
                self.lists.insert(row, places.into());
            }
        }
    }

    pub fn remove(&mut self, row: Row) {
        if self.single.remove(row) {
            if let Some(place) = self.column.get(row as usize) {
                self.cells.remove(place.cell, row);
            }
        } else if let Some(places) = self.lists.remove(&row) {
            self.listed -= places.len();
            places.iter().for_each(|place| self.cells.remove(place.cell, row));
        }
    }

    /// The rows with a place in the circle.
    pub fn within(&self, circle: &GeoCircle) -> RowSet {
        let (lats, lons) = circle.bounds();
        let bands = band(*lats.start())..=band(*lats.end());
        let cells = cell(*lons.start())..=cell(*lons.end());
        let (area, mut found) = (circle.area(), RowSet::new());
        if bands.end() - bands.start() < BANDS_FEW && (cells.end() - cells.start() + 1 < CELLS) {
            for band in bands {
                let first = band * CELLS;
                self.collect(first + cells.start()..=first + cells.end(), &area, &mut found);
            }
        } else {
            self.collect(bands.start() * CELLS..=bands.end() * CELLS + (CELLS - 1), &area, &mut found);
        }
        found
    }

    fn collect(&self, cells: RangeInclusive<u32>, area: &GeoArea, found: &mut RowSet) {
        let ranks =
            self.cells.rank(|cell| cell < *cells.start())..self.cells.rank(|cell| cell <= *cells.end());
        self.cells.rows(ranks, |row| {
            if self.has(row, area) {
                found.insert(row);
            }
        });
    }

    fn has(&self, row: Row, area: &GeoArea) -> bool {
        if self.single.contains(row) {
            return self.column.get(row as usize).is_some_and(|place| area.contains(&place.place));
        }
        let places = self.lists.get(&row);
        places.is_some_and(|places| places.iter().any(|place| area.contains(&place.place)))
    }

    pub fn bytes(&self) -> usize {
        self.cells.bytes()
            + self.single.bytes()
            + self.column.capacity() * size_of::<Place>()
            + self.lists.len() * LIST_BYTES
            + self.listed * size_of::<Place>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn degrees() -> impl Strategy<Value = (f64, f64)> {
        let near = (52.0f64..53.0, 13.0f64..14.0);
        let edge = (
            prop::sample::select(vec![-90.0, 89.99, 90.0, 0.0]),
            prop::sample::select(vec![-180.0, 180.0, 179.99, 0.0]),
        );
        prop_oneof![4 => near, 3 => (-90.0f64..=90.0, -180.0f64..=180.0), 1 => edge, 1 => (-100.0f64..100.0, -200.0f64..200.0)]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn circles_hold_what_comparing_every_place_gives(
            rows in prop::collection::vec(prop::collection::vec(degrees(), 0..3), 1..400),
            gone in prop::collection::vec(any::<prop::sample::Index>(), 0..60),
            circles in prop::collection::vec((degrees(), 0.0f64..7.5), 1..20),
        ) {
            let (mut geo, mut rows) = (Geo::default(), rows);
            for (row, places) in rows.iter().enumerate() {
                geo.insert(row as Row, places.iter().map(|(lat, lon)| (Real(*lat), Real(*lon))));
            }
            for at in gone {
                let row = at.index(rows.len());
                geo.remove(row as Row);
                rows[row].clear();
            }
            for ((lat, lon), magnitude) in circles {
                let (lat, lon) = (lat.clamp(-90.0, 90.0), lon.clamp(-180.0, 180.0));
                let circle = GeoCircle { lat, lon, radius_m: 10f64.powf(magnitude) };
                let within = |row: &Row| rows[*row as usize].iter().any(|(lat, lon)| circle.contains(*lat, *lon));
                let want: RowSet = (0..rows.len() as Row).filter(within).collect();
                prop_assert_eq!(geo.within(&circle), want, "{:?}", circle);
            }
            (0..rows.len()).for_each(|row| geo.remove(row as Row));
            prop_assert_eq!((geo.cells.len(), geo.single.len(), geo.lists.len()), (0, 0, 0));
        }
    }
}
