//! Taking encoded bytes apart: nothing is read beyond the end, nothing is allocated on a count's word.

use super::GraphDamage;
use crate::params::Row;

/// Reads from the front of a section; running out is damage of that section.
pub(super) struct Reader<'a> {
    pub bytes: &'a [u8],
    pub section: &'static str,
}

impl<'a> Reader<'a> {
    pub fn damage<T>(&self, reason: &'static str) -> Result<T, GraphDamage> {
        Err(GraphDamage { section: self.section, reason })
    }

    pub fn take(&mut self, count: usize) -> Result<&'a [u8], GraphDamage> {
        let Some((head, rest)) = self.bytes.split_at_checked(count) else {
            return self.damage("ends too early");
        };
        self.bytes = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], GraphDamage> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub fn u8(&mut self) -> Result<u8, GraphDamage> {
        self.array::<1>().map(|bytes| bytes[0])
    }

    pub fn u32(&mut self) -> Result<u32, GraphDamage> {
        self.array().map(u32::from_le_bytes)
    }

    pub fn u64(&mut self) -> Result<u64, GraphDamage> {
        self.array().map(u64::from_le_bytes)
    }

    /// Appends one link list to `lists`: its length, then its rows.
    pub fn list(&mut self, most: usize, lists: &mut Vec<Row>) -> Result<(), GraphDamage> {
        let count = self.u8()? as usize;
        if count > most {
            return self.damage("list longer than the degree");
        }
        let rows = self.take(count * size_of::<Row>())?;
        lists.push(count as Row);
        lists.extend(rows.chunks_exact(4).map(|row| Row::from_le_bytes([row[0], row[1], row[2], row[3]])));
        Ok(())
    }

    pub fn finish(&self) -> Result<(), GraphDamage> {
        if self.bytes.is_empty() { Ok(()) } else { self.damage("longer than its contents") }
    }
}
