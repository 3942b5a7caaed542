//! One segment's frames, and the judgement over what is not a frame.

use super::format::{ALIGN, FILE_HEADER, HEADER, Header, Row, SegmentName, read_header, read_rows};

/// A stretch of a segment.
#[derive(Debug, PartialEq)]
pub(super) enum Piece {
    /// A frame with a whole header; its rows unless its table is damaged or it is cut short.
    Frame { at: usize, header: Header, rows: Option<Vec<Row>> },
    /// Bytes in which no frame starts.
    Bad { from: usize, to: usize },
}

impl Piece {
    pub(super) fn start(&self) -> u64 {
        match self {
            Piece::Frame { at, .. } => *at as u64,
            Piece::Bad { from, .. } => *from as u64,
        }
    }

    /// Where the next piece starts if this one is whole.
    pub(super) fn end(&self) -> u64 {
        match self {
            Piece::Frame { at, header, .. } => (*at + HEADER) as u64 + header.body,
            Piece::Bad { to, .. } => *to as u64,
        }
    }
}

/// The frames of a segment and the stretches between them, in order.
pub(super) fn pieces(bytes: &[u8], name: SegmentName) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut at = FILE_HEADER;
    while at < bytes.len() {
        let Some(header) = read_header(bytes, at, name) else {
            let mut to = at + ALIGN;
            while to < bytes.len() && read_header(bytes, to, name).is_none() {
                to += ALIGN;
            }
            let to = to.min(bytes.len());
            pieces.push(Piece::Bad { from: at, to });
            at = to;
            continue;
        };
        let rows = read_rows(bytes, at, &header);
        let piece = Piece::Frame { at, header, rows };
        at = usize::try_from(piece.end()).unwrap_or(bytes.len());
        pieces.push(piece);
    }
    pieces
}

/// Bytes of the segment that are known to have been synced: the highest mark that any frame carries.
pub(super) fn proven(pieces: &[Piece]) -> u64 {
    pieces
        .iter()
        .map(|piece| if let Piece::Frame { header, .. } = piece { header.synced } else { 0 })
        .max()
        .unwrap_or(0)
}

/// Whether a bad stretch was a frame without records: then nothing was in it to be lost.
pub(super) fn bare(from: usize, to: usize, next: Option<&Piece>, expected: Option<u64>) -> bool {
    let follows = matches!((next, expected), (Some(Piece::Frame { header, .. }), Some(expected))
        if Some(header.sequence) == expected.checked_add(1));
    to - from == HEADER && follows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Batch, Record};
    use crate::core::{Entry, EntryKind};
    use crate::journal::format::{file_header, write_frame};
    use vectron_base::ids::GroupId;

    const NAME: SegmentName = SegmentName { number: 1, nonce: 2 };

    fn segment() -> Vec<u8> {
        let mut bytes = file_header().to_vec();
        let mut synced = 0;
        for number in 0..3 {
            let mut batch = Batch::default();
            batch.push(Record::Entry(GroupId(1), Entry::new(number, 1, EntryKind::Command, vec![7; 900])));
            let at = bytes.len() as u64;
            write_frame(&mut bytes, &batch, NAME, at, number, synced);
            synced = bytes.len() as u64;
        }
        bytes
    }

    #[test]
    fn a_zeroed_sector_is_one_bad_stretch_and_the_rest_is_found() {
        let mut bytes = segment();
        assert_eq!(pieces(&bytes, NAME).len(), 3);
        assert_eq!(proven(&pieces(&bytes, NAME)), (FILE_HEADER + 2 * (bytes.len() - FILE_HEADER) / 3) as u64);
        bytes[FILE_HEADER..512].fill(0);
        let found = pieces(&bytes, NAME);
        assert!(matches!(found[0], Piece::Bad { from: FILE_HEADER, .. }));
        assert!(matches!(found[1], Piece::Frame { header: Header { sequence: 1, .. }, .. }));
    }

    #[test]
    fn a_cut_frame_has_no_rows() {
        let bytes = segment();
        let found = pieces(&bytes[..bytes.len() - 1], NAME);
        assert!(matches!(found[2], Piece::Frame { rows: None, .. }));
    }
}
