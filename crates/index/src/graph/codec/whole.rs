//! Format 1: the whole graph in one piece. Read for ever, written no more. All numbers are little-endian.
//!
//! ```text
//! header   magic "VECTGRPH" · format version u32 · number of sections u32 · CRC32 of these 16 bytes u32
//! section  id u32 · length u64 · CRC32 u32 of id, length and payload · payload
//! 1 params dimension u64 · metric u8 · degree u32 · seed u64
//! 2 rows   entry u32 (all ones: none) · count u32 · per vertex: row u32 · tag u64 · level u8 · diverse u8
//! 3 base   per vertex: links u8 · that many rows u32
//! 4 upper  per vertex and layer from 1 to its level: links u8 · that many rows u32
//! 5 chains count u32 · per twin: row u32 · tag u64 · head u32
//! ```

use super::parsed::Parsed;
use super::reader::Reader;
use super::{GraphDamage, MAGIC, params_bytes};
use crate::params::{Params, Row};

const VERSION: u32 = 1;
const HEADER_BYTES: usize = 20;
const SECTIONS: [&str; 5] = ["params", "rows", "base", "upper", "chains"];

fn section_crc(id: u32, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&id.to_le_bytes());
    hasher.update(&(payload.len() as u64).to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

/// Takes the sections apart after checking header, order, lengths and checksums.
fn split_sections(bytes: &[u8]) -> Result<[Reader<'_>; 5], GraphDamage> {
    let mut header = Reader { bytes, section: "header" };
    let checked = header.take(HEADER_BYTES)?;
    let (fields, crc) = checked.split_at(HEADER_BYTES - 4);
    if !fields.starts_with(MAGIC) {
        return header.damage("not an encoded graph");
    }
    if crc32fast::hash(fields).to_le_bytes() != crc {
        return header.damage("checksum mismatch");
    }
    let mut numbers = Reader { bytes: &fields[MAGIC.len()..], section: "header" };
    if (numbers.u32()?, numbers.u32()?) != (VERSION, SECTIONS.len() as u32) {
        return header.damage("unknown format version");
    }
    let mut rest = header.bytes;
    let mut sections = SECTIONS.map(|section| Reader { bytes: &[], section });
    for (id, section) in (1u32..).zip(&mut sections) {
        let mut reader = Reader { bytes: rest, section: section.section };
        let (found, length, crc) = (reader.u32()?, reader.u64()?, reader.u32()?);
        let payload = reader.take(usize::try_from(length).unwrap_or(usize::MAX))?;
        if found != id || section_crc(id, payload) != crc {
            return reader.damage("checksum mismatch");
        }
        section.bytes = payload;
        rest = reader.bytes;
    }
    Reader { bytes: rest, section: "end" }.finish()?;
    Ok(sections)
}

/// The graph, and its entry.
pub(super) fn parse(bytes: &[u8], params: &Params) -> Result<(Parsed, Row), GraphDamage> {
    let [given, mut rows, mut base, mut upper, mut chains] = split_sections(bytes)?;
    if given.bytes != params_bytes(params) {
        return given.damage("made with other parameters");
    }
    let (entry, count) = (rows.u32()?, rows.u32()?);
    let (mut parsed, mut last) = (Parsed::default(), None);
    for _ in 0..count {
        let (row, level) = parsed.begin_vertex(&mut rows, last)?;
        last = Some(row);
        base.list(params.degree, &mut parsed.lists)?;
        for _ in 0..level {
            upper.list(params.degree / 2, &mut parsed.lists)?;
        }
    }
    for _ in 0..chains.u32()? {
        parsed.push_twin(&mut chains)?;
    }
    for section in [&rows, &base, &upper, &chains] {
        section.finish()?;
    }
    Ok((parsed, entry))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Metric, Scratch, VectorIndex};
    use proptest::prelude::*;

    fn pending() -> VectorIndex {
        let params = Params { degree: 6, ef_construction: 16, flat_below: 0, ..Params::new(2, Metric::Dot) };
        let mut index = VectorIndex::new(params);
        for row in 0..120u32 {
            assert!(index.put(row, 1, &[(row % 37) as f32, (row % 11) as f32], &()));
        }
        index
    }

    fn built() -> VectorIndex {
        let (mut index, mut scratch) = (pending(), Scratch::new());
        while let Some(row) = index.next_pending() {
            let plan = index.plan_insert(row, &mut scratch).expect("pending");
            index.commit_insert(plan);
        }
        index.settle_adopted();
        index
    }

    /// What wrote the format.
    fn encode(index: &VectorIndex) -> Vec<u8> {
        let mut sections: [Vec<u8>; 5] = Default::default();
        sections[0] = params_bytes(index.params());
        let [_, rows, base, upper, chains] = &mut sections;
        let vertex = |row: &Row| index.rows.state(*row).is_vertex();
        let vertices: Vec<Row> = (0..index.rows.end() as Row).filter(vertex).collect();
        let push_list = |bytes: &mut Vec<u8>, list: &[Row]| {
            bytes.push(list.len() as u8);
            list.iter().for_each(|row| bytes.extend(row.to_le_bytes()));
        };
        rows.extend(index.graph.entry.unwrap_or(Row::MAX).to_le_bytes());
        rows.extend((vertices.len() as u32).to_le_bytes());
        for row in vertices {
            let level = index.graph.level(row);
            rows.extend(row.to_le_bytes());
            rows.extend(index.rows.tag(row).to_le_bytes());
            rows.extend([level, index.graph.diverse(row) as u8]);
            push_list(base, index.graph.links(row, 0));
            (1..=level).for_each(|layer| push_list(upper, index.graph.links(row, layer)));
        }
        let twins: Vec<(Row, Row)> = index.graph.chained(0..Row::MAX).collect();
        chains.extend((twins.len() as u32).to_le_bytes());
        for (twin, head) in twins {
            chains.extend(twin.to_le_bytes());
            chains.extend(index.rows.tag(twin).to_le_bytes());
            chains.extend(head.to_le_bytes());
        }
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend((sections.len() as u32).to_le_bytes());
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        for (id, payload) in (1u32..).zip(&sections) {
            bytes.extend(id.to_le_bytes());
            bytes.extend((payload.len() as u64).to_le_bytes());
            bytes.extend(section_crc(id, payload).to_le_bytes());
            bytes.extend(payload);
        }
        bytes
    }

    #[test]
    fn the_first_format_is_still_read_and_any_flipped_bit_in_it_noticed() {
        let index = built();
        let mut bytes = encode(&index);
        let mut again = pending();
        assert_eq!(again.decode_whole_graph(&bytes), Ok(120));
        assert_eq!((again.pending(), again.reachable()), (0, index.reachable()));
        assert_eq!(encode(&again), bytes);
        let mut again = pending();
        for at in 0..bytes.len() {
            bytes[at] ^= 1 << (at % 8);
            assert!(again.decode_whole_graph(&bytes).is_err() && again.pending() == 120);
            assert!(again.decode_whole_graph(&bytes[..at]).is_err());
            bytes[at] ^= 1 << (at % 8);
        }
        bytes.push(0);
        assert_eq!(again.decode_whole_graph(&bytes).map_err(|damage| damage.section), Err("end"));
    }

    /// Recomputes the checksums as far as the sections can be told apart.
    fn forge(bytes: &mut [u8]) {
        let mut at = HEADER_BYTES;
        for id in 1..=5u32 {
            let Some(length) = bytes.get(at + 4..at + 12) else { return };
            let length = u64::from_le_bytes(length.try_into().expect("eight bytes"));
            let end = length.saturating_add(at as u64 + 16);
            if end > bytes.len() as u64 {
                return;
            }
            let end = end as usize;
            let crc = section_crc(id, &bytes[at + 16..end]).to_le_bytes();
            bytes[at + 12..at + 16].copy_from_slice(&crc);
            at = end;
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn forged_contents_never_panic(
            flips in proptest::collection::vec((0usize..1 << 30, any::<u8>()), 1..40),
        ) {
            let mut bytes = encode(&built());
            for (at, value) in flips {
                let at = 73 + at % (bytes.len() - 73);
                bytes[at] = value;
            }
            forge(&mut bytes);
            let mut again = pending();
            let _ = again.decode_whole_graph(&bytes);
            let reach = again.reachable();
            prop_assert_eq!((again.live(), reach.reachable), (120, reach.graph_rows));
        }
    }
}
