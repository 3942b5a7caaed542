//! Fixed-stride records in chunks that never move: growth allocates a chunk and copies nothing,
//! and a chunk whose last record is released is given back.

use crate::Row;

/// Records per chunk.
pub(crate) const CHUNK_ROWS: usize = 1024;
const LINE_BYTES: usize = 64;

struct Chunk<T> {
    data: Box<[T]>,
    /// First element on a cache-line boundary.
    start: usize,
    claimed: usize,
}

/// `stride` values per row, addressed by row number, starting on a cache line when the stride
/// is a multiple of one.
pub(crate) struct Chunks<T> {
    chunks: Vec<Option<Chunk<T>>>,
    stride: usize,
    blank: T,
}

impl<T: Copy> Chunks<T> {
    /// No rows yet; unwritten values read as `blank`.
    pub fn new(stride: usize, blank: T) -> Self {
        Self { chunks: Vec::new(), stride, blank }
    }

    /// Values of a claimed row; empty for any other.
    #[inline(always)]
    pub fn get(&self, row: Row) -> &[T] {
        let row = row as usize;
        match self.chunks.get(row / CHUNK_ROWS) {
            Some(Some(chunk)) => {
                let at = chunk.start + row % CHUNK_ROWS * self.stride;
                chunk.data.get(at..at + self.stride).unwrap_or(&[])
            }
            _ => &[],
        }
    }

    /// Values of a claimed row, to be written; empty for any other.
    pub fn get_mut(&mut self, row: Row) -> &mut [T] {
        let row = row as usize;
        match self.chunks.get_mut(row / CHUNK_ROWS) {
            Some(Some(chunk)) => {
                let at = chunk.start + row % CHUNK_ROWS * self.stride;
                chunk.data.get_mut(at..at + self.stride).unwrap_or(&mut [])
            }
            _ => &mut [],
        }
    }

    /// Takes a row that is not claimed and returns its values, all blank.
    pub fn claim(&mut self, row: Row) -> &mut [T] {
        let number = row as usize / CHUNK_ROWS;
        if self.chunks.len() <= number {
            self.chunks.resize_with(number + 1, || None);
        }
        let (stride, blank) = (self.stride, self.blank);
        let chunk = self.chunks[number].get_or_insert_with(|| {
            let spare = LINE_BYTES / size_of::<T>().max(1);
            let data = vec![blank; CHUNK_ROWS * stride + spare].into_boxed_slice();
            let start = data.as_ptr().align_offset(LINE_BYTES).min(spare);
            Chunk { data, start, claimed: 0 }
        });
        chunk.claimed += 1;
        let values = self.get_mut(row);
        values.fill(blank);
        values
    }

    /// Gives a claimed row back.
    pub fn release(&mut self, row: Row) {
        if let Some(slot) = self.chunks.get_mut(row as usize / CHUNK_ROWS)
            && let Some(chunk) = slot
        {
            chunk.claimed = chunk.claimed.saturating_sub(1);
            if chunk.claimed == 0 {
                *slot = None;
            }
        }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        let held: usize = self.chunks.iter().flatten().map(|chunk| size_of_val(&*chunk.data)).sum();
        held + self.chunks.capacity() * size_of::<Option<Chunk<T>>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_moves_nothing_and_an_empty_chunk_is_given_back() {
        let mut chunks = Chunks::new(16, 0.0f32);
        chunks.claim(0).fill(1.0);
        let address = chunks.get(0).as_ptr();
        assert_eq!(address.align_offset(LINE_BYTES), 0);
        for row in 1..5000 {
            chunks.claim(row);
        }
        assert_eq!(chunks.get(0).as_ptr(), address);
        assert_eq!(chunks.get(0), &[1.0; 16]);
        let full = chunks.bytes();
        for row in 1024..2048 {
            chunks.release(row);
        }
        assert!(chunks.bytes() < full);
        assert!(chunks.get(1500).is_empty());
        assert_eq!(chunks.claim(1500), &[0.0; 16]);
    }
}
