//! Scroll cursors: the last id of a page, tied to the collection's life and to the filter.

use crate::sealed::{Kind, Reader, Writer};
use vectron_base::Fault;
use vectron_base::filter::Filter;
use vectron_base::ids::Incarnation;
use xxhash_rust::xxh3::xxh3_64;

/// Where the next page begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The life of the collection.
    pub incarnation: Incarnation,
    /// Which filter the pages are of.
    pub filter_hash: u64,
    /// Only ids after this one.
    pub after: String,
}

/// A number that differs for different filters.
pub fn filter_hash(filter: Option<&Filter>) -> u64 {
    filter.map_or(0, |filter| xxh3_64(filter.to_text().as_bytes()))
}

impl Cursor {
    /// The text.
    pub fn to_text(&self) -> String {
        let mut writer = Writer::new(Kind::Cursor);
        writer.number(self.incarnation.0);
        writer.number(self.filter_hash);
        writer.text(&self.after);
        writer.finish()
    }

    /// The cursor of a text.
    pub fn from_text(text: &str) -> Option<Self> {
        let mut reader = Reader::open(Kind::Cursor, text)?;
        let cursor = Self {
            incarnation: Incarnation(reader.number()?),
            filter_hash: reader.number()?,
            after: reader.text()?,
        };
        reader.finished().then_some(cursor)
    }

    /// The id to go on after, if the cursor belongs to this scroll.
    pub fn resume(text: &str, incarnation: Incarnation, filter_hash: u64) -> Result<String, Fault> {
        let Some(cursor) = Self::from_text(text) else {
            return Err(Fault::invalid(
                "cursor",
                "is not a cursor of this server; pass next_cursor exactly as it came, or leave it out to start over",
            ));
        };
        if cursor.incarnation != incarnation {
            return Err(Fault::invalid(
                "cursor",
                "belongs to another collection, or to an earlier one of this name; leave it out to start over",
            ));
        }
        if cursor.filter_hash != filter_hash {
            return Err(Fault::invalid(
                "cursor",
                "belongs to a scroll with another filter; keep the filter, or leave the cursor out to start over",
            ));
        }
        Ok(cursor.after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_scroll_resumes() {
        let cursor = Cursor { incarnation: Incarnation(3), filter_hash: 9, after: "a/🦀".into() };
        let text = cursor.to_text();
        assert_eq!(Cursor::resume(&text, Incarnation(3), 9).as_deref(), Ok("a/🦀"));
        for (text, life, hash, word) in [
            (text.as_str(), 4, 9, "another collection"),
            (text.as_str(), 3, 8, "another filter"),
            ("garbage", 3, 9, "not a cursor"),
        ] {
            let fault = Cursor::resume(text, Incarnation(life), hash).expect_err("refused");
            assert_eq!(fault.errors[0].field, "cursor");
            assert!(fault.detail.contains(word), "{}", fault.detail);
        }
    }
}
