//! The graph on disk: chunks of rows in immutable files, each chunk written anew only when it has changed.
//!
//! A graph file is chunks one after the other, nothing else; the manifest says which part of which file is the
//! chunk of which rows of which dense field, with its length and crc. A checkpoint writes one file with the chunks that changed, each
//! encoded under a read lock of its own, so that no write waits for more than one chunk. The chunks of a file
//! of which less than half is still named, and of files no larger than twice what is written anyway, are written
//! again with them: wasted bytes stay below the bytes in use, and the files few.
//!
//! Chunks are of different moments, all later than the records of the same checkpoint; the index makes a sound
//! graph of any such mixture, and what it cannot use waits in the tail. So a damaged chunk costs its rows a
//! second insertion, and a checkpoint may leave the graph as it was saved before. One that is due for its record
//! bytes does so until one row in twenty has entered or left the graph: a row's links are then rewritten at most
//! twenty times over for one row changed, however large the shard and often its checkpoints.

use crate::checkpoint::{Saved, next_name};
use crate::damage::Damage;
use crate::manifest::{ChunkKey, ChunkRef, GraphFiles, Manifest, WholeGraphRef, graph_name};
use crate::shard::Shard;
use crate::state::State;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use vectron_base::disk::{Disk, DiskError, DiskFailure, DiskFile, DiskResult};
use vectron_index::{ChunkFate, Row};

/// A graph file of which less is still named is written again.
const LIVE_MIN_PERCENT: u64 = 50;
/// A graph file with at most so many times the bytes that are written anyway is merged with them.
const MERGE_TIMES: u64 = 2;

/// The graph as the manifest names it.
#[derive(Clone, Default)]
pub(crate) struct SavedGraph {
    pub files: GraphFiles,
    /// A file of format 1, which the manifest names until the next checkpoint.
    pub whole: Option<WholeGraphRef>,
    /// The index's count of changes that each chunk covers. One without is written by the next save.
    changes: BTreeMap<ChunkKey, u64>,
}

impl SavedGraph {
    pub fn names(&self) -> impl Iterator<Item = String> + '_ {
        let whole = self.whole.iter().map(|graph| graph.number);
        self.files.files.keys().copied().chain(whole).map(graph_name)
    }

    pub fn bytes(&self) -> u64 {
        self.files.files.values().sum::<u64>() + self.whole.map_or(0, |graph| graph.len)
    }

    /// Takes over a chunk that another checkpoint wrote.
    fn carry(&mut self, from: &SavedGraph, first: ChunkKey) {
        if let Some(chunk) = from.files.chunks.get(&first) {
            self.files.chunks.insert(first, *chunk);
            let file = from.files.files.get(&chunk.file).map(|len| (chunk.file, *len));
            self.files.files.extend(file);
            self.changes.extend(from.changes.get(&first).map(|changes| (first, *changes)));
        }
    }

    /// Chunks that are to be written again with `bytes` others.
    fn victims(&self, mut bytes: u64) -> Vec<ChunkKey> {
        let mut live: BTreeMap<u64, u64> = BTreeMap::new();
        for chunk in self.files.chunks.values() {
            *live.entry(chunk.file).or_default() += u64::from(chunk.len);
        }
        let mut by_size: Vec<(u64, u64)> = live.into_iter().map(|(file, live)| (live, file)).collect();
        by_size.sort_unstable();
        let mut victims = Vec::new();
        for (live, file) in by_size {
            let len = self.files.files.get(&file).copied().unwrap_or(0);
            let wasteful = live.saturating_mul(100) < len.saturating_mul(LIVE_MIN_PERCENT);
            if wasteful || live <= bytes.saturating_mul(MERGE_TIMES) {
                bytes += live;
                victims.push(file);
            }
        }
        let chunks = self.files.chunks.iter();
        chunks.filter(|(_, chunk)| victims.contains(&chunk.file)).map(|(first, _)| *first).collect()
    }
}

/// The file a checkpoint writes, once there is something to write.
struct GraphWriter<'a> {
    shard: &'a Shard,
    file: Option<(u64, Box<dyn DiskFile>)>,
    graph: SavedGraph,
    written: u64,
    chunk_rows: usize,
}

impl GraphWriter<'_> {
    /// Writes one chunk as it is now, unless it is as `known` says.
    fn write(
        &mut self,
        key: ChunkKey,
        known: Option<u64>,
        saved: &mut Saved,
        new_files: &mut Vec<String>,
    ) -> DiskResult<bool> {
        let chunk = key.1 as usize / self.chunk_rows.max(1);
        let (bytes, changes) = {
            let state = self.shard.state.read_long();
            let fields = &state.vectors.dense;
            let Some(field) = fields.iter().find(|field| field.number == key.0) else { return Ok(true) };
            let changes = field.index.graph_chunk_changes(chunk);
            if known == Some(changes) {
                return Ok(false);
            }
            (field.index.encode_graph_chunk(chunk), changes)
        };
        self.graph.files.chunks.remove(&key);
        let Some(bytes) = bytes else { return Ok(true) };
        if self.file.is_none() {
            let (number, name) = next_name(saved, graph_name, new_files);
            self.file = Some((number, self.shard.disk.create(&self.shard.path(&name))?));
        }
        let Some((number, file)) = &mut self.file else { return Ok(true) };
        file.append(&bytes)?;
        let (len, crc) = (bytes.len() as u32, crc32fast::hash(&bytes));
        let place = ChunkRef { file: *number, offset: self.written, len, crc };
        self.graph.files.chunks.insert(key, place);
        self.graph.changes.insert(key, changes);
        self.written += bytes.len() as u64;
        Ok(true)
    }

    /// Makes the file durable; the graph that is saved now.
    fn finish(mut self) -> DiskResult<SavedGraph> {
        let GraphFiles { files, chunks } = &mut self.graph.files;
        if let Some((number, mut file)) = self.file {
            file.sync()?;
            files.insert(number, self.written);
        }
        files.retain(|number, _| chunks.values().any(|chunk| chunk.file == *number));
        self.graph.changes.retain(|first, _| chunks.contains_key(first));
        Ok(self.graph)
    }
}

impl Shard {
    /// Writes the chunks of the graph that changed since they were last written; the graph to be named, and
    /// the count of changes that it covers. `full` says that enough record bytes waited for the checkpoint to be
    /// due.
    pub(crate) fn write_graph(
        &self,
        saved: &mut Saved,
        full: bool,
        new_files: &mut Vec<String>,
    ) -> DiskResult<(SavedGraph, u64)> {
        let before = saved.graph.clone();
        let saved_changes = self.saved_graph_changes.load(Ordering::Relaxed);
        let (chunks, chunk_rows, changes, little) = {
            let state = self.state.read_long();
            let little = full && !self.graph_grown(&state);
            let fields = state.vectors.dense.iter();
            let chunks: Vec<(u32, usize)> =
                fields.map(|field| (field.number, field.index.graph_chunks())).collect();
            // The same for every field of a shard.
            let rows = state.vectors.dense.first().map_or(1, |field| field.index.params().chunk_rows);
            (chunks, rows, state.graph_changes, little)
        };
        if before.whole.is_none() && little {
            return Ok((before, saved_changes));
        }
        let mut writer =
            GraphWriter { shard: self, file: None, graph: SavedGraph::default(), written: 0, chunk_rows };
        let keys = chunks
            .into_iter()
            .flat_map(|(field, chunks)| (0..chunks).map(move |chunk| (field, (chunk * chunk_rows) as Row)));
        for key in keys {
            let known = before.changes.get(&key).copied();
            if !writer.write(key, known, saved, new_files)? {
                writer.graph.carry(&before, key);
            }
        }
        let mut carried = SavedGraph::default();
        let old = writer.graph.files.chunks.iter();
        old.filter(|(_, chunk)| before.files.files.contains_key(&chunk.file))
            .for_each(|(first, _)| carried.carry(&before, *first));
        for first in carried.victims(writer.written) {
            writer.write(first, None, saved, new_files)?;
        }
        Ok((writer.finish()?, changes))
    }
}

/// Puts the graph back. Damage is returned, not raised: what is damaged is indexed again.
pub(crate) fn adopt_graph(
    state: &mut State,
    disk: &dyn Disk,
    dir: &str,
    manifest: &Manifest,
) -> Result<(SavedGraph, Vec<Damage>), DiskError> {
    if let Some(whole) = manifest.whole_graph {
        let bad = adopt_whole(state, disk, dir, whole)?;
        let kept = if bad.is_none() { Some(whole) } else { None };
        return Ok((SavedGraph { whole: kept, ..SavedGraph::default() }, bad.into_iter().collect()));
    }
    let mut damage: BTreeMap<(u64, String), Vec<ChunkKey>> = BTreeMap::new();
    let mut files = BTreeMap::new();
    for number in manifest.graph.files.keys() {
        let bytes = match disk.map(&format!("{dir}/{}", graph_name(*number))) {
            Err(error) if error.failure == DiskFailure::PowerLost => return Err(error),
            other => other.map_err(|error| error.to_string()),
        };
        files.insert(*number, bytes);
    }
    let mut chunks: BTreeMap<u32, Vec<(Row, &[u8])>> = BTreeMap::new();
    for (first, chunk) in &manifest.graph.chunks {
        let bytes = match files.get(&chunk.file) {
            Some(Ok(bytes)) => part(bytes, chunk).map_err(String::from),
            Some(Err(error)) => Err(error.clone()),
            None => Err("is not named".into()),
        };
        match bytes {
            Ok(bytes) => chunks.entry(first.0).or_default().push((first.1, bytes)),
            Err(why) => damage.entry((chunk.file, why)).or_default().push(*first),
        }
    }
    let named = SavedGraph { files: manifest.graph.clone(), ..SavedGraph::default() };
    let mut graph = SavedGraph::default();
    for field in &mut state.vectors.dense {
        let Some(chunks) = chunks.get(&field.number) else { continue };
        let fates = field.index.decode_graph(chunks).chunks;
        for ((first, _), fate) in chunks.iter().zip(fates) {
            let key = (field.number, *first);
            match fate {
                ChunkFate::Intact(changes) => {
                    graph.carry(&named, key);
                    graph.changes.insert(key, changes);
                }
                ChunkFate::Altered => graph.carry(&named, key),
                ChunkFate::Damaged(bad) => {
                    let file = manifest.graph.chunks.get(&key).map_or(0, |chunk| chunk.file);
                    damage.entry((file, bad.to_string())).or_default().push(key);
                }
            }
        }
    }
    let damage = damage.into_iter().map(|((number, why), rows)| {
        let rows: Vec<String> = rows.iter().map(|(_, first)| first.to_string()).collect();
        let detail = format!("{why}; the chunks from row {} on are indexed again", rows.join(", "));
        Damage { file: format!("{dir}/{}", graph_name(number)), detail }
    });
    Ok((graph, damage.collect()))
}

/// The bytes of a chunk, if they are those that were written.
fn part<'a>(bytes: &'a [u8], chunk: &ChunkRef) -> Result<&'a [u8], &'static str> {
    let from = usize::try_from(chunk.offset).unwrap_or(usize::MAX);
    let part = bytes.get(from..from.saturating_add(chunk.len as usize)).ok_or("ends too early")?;
    if crc32fast::hash(part) == chunk.crc { Ok(part) } else { Err("does not match its checksum") }
}

/// Puts back a graph of format 1, all of it or nothing.
fn adopt_whole(
    state: &mut State,
    disk: &dyn Disk,
    dir: &str,
    graph: WholeGraphRef,
) -> Result<Option<Damage>, DiskError> {
    let file = format!("{dir}/{}", graph_name(graph.number));
    let damage = |detail: String| Ok(Some(Damage { file: file.clone(), detail }));
    let bytes = match disk.read(&file) {
        Err(error) if error.failure == DiskFailure::PowerLost => return Err(error),
        Err(error) => return damage(error.to_string()),
        Ok(bytes) => bytes,
    };
    if bytes.len() as u64 != graph.len || crc32fast::hash(&bytes) != graph.crc {
        return damage("does not match its checksum; the graph is built again".into());
    }
    let field = state.vectors.dense.first_mut();
    let Some(field) = field else { return damage("is of no vector field".into()) };
    match field.index.decode_whole_graph(&bytes) {
        Ok(_) => Ok(None),
        Err(error) => damage(format!("{error}; the graph is built again")),
    }
}
