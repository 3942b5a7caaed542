//! Fixed-stride records in chunks that never move: growth copies nothing. Chunks lie in blocks that grow with
//! the arena, so that a large arena has few, with huge pages behind them: a search touches memory all over, and
//! with pages of 4 KB each touch costs a walk of the page table. A block takes memory as its chunks are first
//! used, and is given back when its last record is released.

use crate::Row;

/// Records per chunk.
pub(crate) const CHUNK_ROWS: usize = 1024;
const LINE_BYTES: usize = 64;
const HUGE_BYTES: usize = 2 << 20;
/// Chunks in the largest block.
const BLOCK_CHUNKS: usize = 64;
const NOWHERE: u32 = u32::MAX;

struct Block<T> {
    /// Zero where no chunk is in use yet, which takes no memory.
    data: Box<[T]>,
    /// First element on the boundary of a line, or of a huge page.
    start: usize,
    /// The chunks that lie in it.
    chunks: std::ops::Range<usize>,
    claimed: usize,
}

/// Where a chunk is.
#[derive(Clone, Copy)]
struct Place {
    block: u32,
    /// Its first element, counted from that of the block.
    at: u32,
}

/// `stride` values per row, addressed by row number, starting on a cache line when the stride
/// is a multiple of one.
pub(crate) struct Chunks<T> {
    places: Vec<Place>,
    blocks: Vec<Option<Block<T>>>,
    /// Chunks in use.
    used: usize,
    stride: usize,
    blank: T,
}

impl<T: Copy + Default> Chunks<T> {
    /// No rows yet; unwritten values read as `blank`.
    pub fn new(stride: usize, blank: T) -> Self {
        Self { places: Vec::new(), blocks: Vec::new(), used: 0, stride, blank }
    }

    /// Values of a claimed row; empty for any other.
    #[inline(always)]
    pub fn get(&self, row: Row) -> &[T] {
        let row = row as usize;
        let Some(place) = self.places.get(row / CHUNK_ROWS) else { return &[] };
        match self.blocks.get(place.block as usize) {
            Some(Some(block)) => {
                let at = block.start + place.at as usize + row % CHUNK_ROWS * self.stride;
                block.data.get(at..at + self.stride).unwrap_or(&[])
            }
            _ => &[],
        }
    }

    /// Values of a claimed row, to be written; empty for any other.
    pub fn get_mut(&mut self, row: Row) -> &mut [T] {
        let row = row as usize;
        let Some(place) = self.places.get(row / CHUNK_ROWS) else { return &mut [] };
        match self.blocks.get_mut(place.block as usize) {
            Some(Some(block)) => {
                let at = block.start + place.at as usize + row % CHUNK_ROWS * self.stride;
                block.data.get_mut(at..at + self.stride).unwrap_or(&mut [])
            }
            _ => &mut [],
        }
    }

    /// Takes a row that is not claimed and returns its values, all blank.
    pub fn claim(&mut self, row: Row) -> &mut [T] {
        let chunk = row as usize / CHUNK_ROWS;
        if self.places.len() <= chunk {
            self.places.resize(chunk + 1, Place { block: NOWHERE, at: 0 });
        }
        if self.places[chunk].block == NOWHERE {
            self.place(chunk);
        }
        let (place, blank) = (self.places[chunk], self.blank);
        if let Some(Some(block)) = self.blocks.get_mut(place.block as usize) {
            block.claimed += 1;
        }
        let values = self.get_mut(row);
        values.fill(blank);
        values
    }

    /// Gives a chunk its place, in a block that is there or in a new one.
    fn place(&mut self, chunk: usize) {
        let holds =
            |block: &Option<Block<T>>| block.as_ref().is_some_and(|block| block.chunks.contains(&chunk));
        let number = self.blocks.iter().position(holds).unwrap_or_else(|| {
            let most = self.used.next_power_of_two().clamp(1, BLOCK_CHUNKS);
            let taken = self.blocks.iter().flatten().map(|block| block.chunks.start);
            let end = taken.filter(|start| *start > chunk).fold(chunk + most, usize::min);
            let block = Block::new(chunk..end, self.stride);
            match self.blocks.iter().position(Option::is_none) {
                Some(free) => {
                    self.blocks[free] = Some(block);
                    free
                }
                None => {
                    self.blocks.push(Some(block));
                    self.blocks.len() - 1
                }
            }
        });
        let Some(Some(block)) = self.blocks.get_mut(number) else { return };
        let size = CHUNK_ROWS * self.stride;
        let at = (chunk - block.chunks.start) * size;
        if let Some(values) = block.data.get_mut(block.start + at..block.start + at + size) {
            values.fill(self.blank);
        }
        self.places[chunk] = Place { block: number as u32, at: at as u32 };
        self.used += 1;
    }

    /// Gives a claimed row back.
    pub fn release(&mut self, row: Row) {
        let Some(place) = self.places.get(row as usize / CHUNK_ROWS).copied() else { return };
        let Some(slot) = self.blocks.get_mut(place.block as usize) else { return };
        let Some(block) = slot else { return };
        block.claimed = block.claimed.saturating_sub(1);
        if block.claimed == 0 {
            let end = block.chunks.end.min(self.places.len());
            for place in &mut self.places[block.chunks.start..end] {
                self.used -= usize::from(place.block != NOWHERE);
                place.block = NOWHERE;
            }
            *slot = None;
        }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.used * CHUNK_ROWS * self.stride * size_of::<T>()
            + self.places.capacity() * size_of::<Place>()
            + self.blocks.capacity() * size_of::<Option<Block<T>>>()
    }
}

impl<T: Copy + Default> Block<T> {
    fn new(chunks: std::ops::Range<usize>, stride: usize) -> Self {
        let values = chunks.len() * CHUNK_ROWS * stride;
        let size = size_of::<T>().max(1);
        let boundary = if values * size >= HUGE_BYTES { HUGE_BYTES } else { LINE_BYTES };
        let spare = boundary / size;
        // Zeros come from the system as they are read, not from memory that is written here.
        let mut data = vec![T::default(); values + spare].into_boxed_slice();
        let start = data.as_ptr().align_offset(boundary).min(spare);
        if boundary == HUGE_BYTES {
            advise_huge(&mut data[start..start + values]);
        }
        Self { data, start, chunks, claimed: 0 }
    }
}

/// Asks for huge pages behind values that start at the boundary of one. A hint: where it is not
/// taken everything works with small ones.
fn advise_huge<T>(values: &mut [T]) {
    #[cfg(target_os = "linux")]
    {
        let start = values.as_mut_ptr().cast();
        let bytes = size_of_val(values) / HUGE_BYTES * HUGE_BYTES;
        // SAFETY: the range lies inside the slice, on page boundaries, and this advice changes neither
        // contents nor validity of any page.
        let _ = unsafe { rustix::mm::madvise(start, bytes, rustix::mm::Advice::LinuxHugepage) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = values;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn growth_moves_nothing_and_an_empty_chunk_is_given_back() {
        let mut chunks = Chunks::new(16, 0.0f32);
        chunks.claim(0).fill(1.0);
        let address = chunks.get(0).as_ptr();
        assert_eq!(address.align_offset(LINE_BYTES), 0);
        for row in 1..50_000 {
            chunks.claim(row);
        }
        assert_eq!(chunks.get(0).as_ptr(), address);
        assert_eq!(chunks.get(0), &[1.0; 16]);
        assert_eq!(chunks.get(40_000).as_ptr().align_offset(LINE_BYTES), 0);
        let full = chunks.bytes();
        for row in 1024..2048 {
            chunks.release(row);
        }
        assert!(chunks.bytes() < full);
        assert!(chunks.get(1500).is_empty());
        assert_eq!(chunks.claim(1500), &[0.0; 16]);
    }

    proptest! {
        #[test]
        fn any_claims_hold_what_they_were_given(calls in prop::collection::vec((0u32..200, 0u32..3, any::<bool>()), 1..300)) {
            let mut chunks = Chunks::new(3, 7u32);
            let mut model = BTreeMap::new();
            for (chunk, row, claim) in calls {
                let row = chunk * CHUNK_ROWS as u32 * 3 / 2 + row;
                if claim && !model.contains_key(&row) {
                    prop_assert_eq!(&*chunks.claim(row), &[7; 3]);
                    chunks.get_mut(row).fill(row);
                    model.insert(row, row);
                } else if !claim && model.remove(&row).is_some() {
                    chunks.release(row);
                }
                for (row, value) in &model {
                    prop_assert_eq!(chunks.get(*row), &[*value; 3]);
                }
            }
            for row in model.into_keys() {
                chunks.release(row);
            }
            prop_assert!(chunks.blocks.iter().all(Option::is_none) && chunks.used == 0);
        }
    }
}
