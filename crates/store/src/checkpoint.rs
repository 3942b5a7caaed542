//! Checkpoints: the state becomes durable, the log before it is no longer needed.
//!
//! 1. Under the read side of the lock: copy what is needed, which is a list of pointers.
//! 2. Without any lock: write the unsaved records, and the live ones of segments that are mostly dead or no
//!    larger than what is written anyway, as one new segment.
//!    Then the chunks of the graph that changed: each is encoded under the read side, and written without any
//!    lock. Then replace the manifest.
//! 3. Under the write side, in short steps: point the rows at the new segment.
//! 4. Remove the files that the manifest no longer names.
//!
//! A crash anywhere leaves the old manifest with all its files or the new one with all of its. Before the first
//! file there is a manifest that names none, so that files without a manifest are known to have lost it. A file
//! that a failed attempt may have written is never written again: every attempt takes new numbers.

use crate::damage::Damage;
use crate::graph_files::SavedGraph;
use crate::idempotency::Remembered;
use crate::import::LIST;
use crate::manifest::{MANIFEST, Manifest, SegmentRef};
use crate::range::HashRange;
use crate::rows::{Place, Rows};
use crate::segment::{Segment, SegmentWriter, segment_name};
use crate::shard::Shard;
use crate::state::SegmentState;
use roaring::RoaringBitmap;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use vectron_base::disk::{DiskError, DiskFailure, replace_file};
use vectron_index::Row;

/// Rows pointed at their new place per write lock.
const INSTALL_ROWS: usize = 4096;

/// Why a checkpoint did not become durable. Nothing is lost: the state and the last checkpoint are as before,
/// and a later attempt may succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Stored records are damaged: this replica must be replaced.
    #[error(transparent)]
    Damaged(#[from] Damage),
}

/// What the last checkpoint left on disk.
#[derive(Default)]
pub(crate) struct Saved {
    pub next_file: u64,
    /// Whether there is a manifest.
    pub any: bool,
    pub graph: SavedGraph,
}

/// What the write phase works on.
struct Frozen {
    applied_index: u64,
    log_time_ms: u64,
    sealed: bool,
    range: HashRange,
    provisional: bool,
    digest: u128,
    rows: Rows,
    unsaved: RoaringBitmap,
    unsaved_bytes: u64,
    segments: BTreeMap<u64, SegmentState>,
    remembered: Vec<Arc<Remembered>>,
}

/// A segment that was written, and where its records came from, entry by entry.
struct Written {
    segment: Arc<Segment>,
    origins: Vec<(Row, Place)>,
}

impl Shard {
    /// Makes everything applied so far durable, and the graph as far as it is built; the applied index that is
    /// covered now. Costs nothing when neither changed since the last one. After a split none is made until
    /// [`Shard::take_child`] or [`Shard::forget_fork`].
    pub fn checkpoint(&self) -> Result<u64, CheckpointError> {
        let mut saved = self.saving.lock();
        let Some(frozen) = self.freeze(saved.any)? else { return Ok(self.durable_index()) };
        if !saved.any {
            let first = Manifest {
                provisional: frozen.provisional,
                ..Manifest::without_files(&self.config, saved.next_file)
            };
            replace_file(&*self.disk, &self.path(MANIFEST), &first.encode())?;
            saved.any = true;
        }
        let mut new_files = Vec::new();
        match self.write(&mut saved, &frozen, &mut new_files) {
            Ok((written, victims)) => {
                let applied_index = frozen.applied_index;
                // Else every change below would copy the part of the row table that it is in.
                drop(frozen);
                self.durable.store(applied_index, Ordering::Release);
                self.install(written, &victims);
                self.remove_unreferenced(&saved.graph);
                Ok(applied_index)
            }
            Err((error, manifest_in_doubt)) => {
                // A manifest that may have been replaced may name these files.
                if !manifest_in_doubt {
                    for name in new_files {
                        let _ = self.disk.remove(&self.path(&name));
                    }
                }
                Err(error)
            }
        }
    }

    /// What is to be written; `None` if the last checkpoint, if there is one, says all that there is.
    fn freeze(&self, any: bool) -> Result<Option<Frozen>, CheckpointError> {
        let state = self.state.read_long();
        if let Some(damage) = &state.failure {
            return Err(damage.clone().into());
        }
        let same_graph = state.graph_changes == self.saved_graph_changes.load(Ordering::Relaxed);
        let same = any && same_graph && state.applied_index == self.durable_index();
        // A child has no index of its own until it is whole. After a split the log must lead over it once more.
        if same && !state.provisional || state.child_waits {
            return Ok(None);
        }
        Ok(Some(Frozen {
            applied_index: state.applied_index,
            log_time_ms: state.log_time_ms,
            sealed: state.sealed,
            range: state.range,
            provisional: state.provisional,
            digest: state.digest(),
            rows: state.rows.clone(),
            unsaved: state.unsaved.clone(),
            unsaved_bytes: state.unsaved_bytes,
            segments: state.segments.clone(),
            remembered: state.window.entries().cloned().collect(),
        }))
    }

    /// Writes segment, graph and manifest. On an error says whether the manifest may be the new one.
    fn write(
        &self,
        saved: &mut Saved,
        frozen: &Frozen,
        new_files: &mut Vec<String>,
    ) -> Result<(Option<Written>, Vec<u64>), (CheckpointError, bool)> {
        let plain = |error: CheckpointError| (error, false);
        let victims = self.victims(frozen);
        let written = self.write_segment(saved, frozen, &victims, new_files).map_err(plain)?;
        let full = frozen.unsaved_bytes >= self.config.knobs.checkpoint_bytes;
        let (graph, graph_changes) = self.write_graph(saved, full, new_files).map_err(|e| plain(e.into()))?;
        let disk = &*self.disk;
        disk.sync_dir(&self.dir).map_err(|e| plain(e.into()))?;
        let mut segments: Vec<SegmentRef> = frozen
            .segments
            .values()
            .filter(|state| !victims.contains(&state.segment.number))
            .map(|state| segment_ref(&state.segment, state.live.clone()))
            .collect();
        if let Some(Written { segment, origins }) = &written {
            segments.push(segment_ref(segment, (0..origins.len() as u32).collect()));
        }
        let manifest = Manifest {
            applied_index: frozen.applied_index,
            log_time_ms: frozen.log_time_ms,
            sealed: frozen.sealed,
            range: frozen.range,
            provisional: frozen.provisional,
            digest: Some(frozen.digest),
            segments,
            graph: graph.files.clone(),
            remembered: frozen.remembered.clone(),
            ..Manifest::without_files(&self.config, saved.next_file)
        };
        replace_file(disk, &self.path(MANIFEST), &manifest.encode()).map_err(|error| {
            let in_doubt = matches!(error.operation, "rename" | "sync_dir");
            (error.into(), in_doubt)
        })?;
        self.saved_graph_changes.store(graph_changes, Ordering::Relaxed);
        self.graph_bytes.store(graph.bytes(), Ordering::Relaxed);
        saved.graph = graph;
        Ok((written, victims))
    }

    /// Segments to be rewritten or dropped: those with nothing live or too little of it, and those that are
    /// no larger than what is written anyway, which keeps their number logarithmic.
    fn victims(&self, frozen: &Frozen) -> Vec<u64> {
        let least = self.config.knobs.segment_live_min_percent;
        let mut victims = Vec::new();
        let mut bytes = frozen.unsaved_bytes;
        let mut kept: Vec<&SegmentState> = Vec::new();
        for state in frozen.segments.values() {
            let share = u128::from(state.live_bytes) * 100;
            let all = u128::from(state.segment.record_bytes());
            if state.live.is_empty() || share < all * u128::from(least) {
                bytes += state.live_bytes;
                victims.push(state.segment.number);
            } else {
                kept.push(state);
            }
        }
        kept.sort_by_key(|state| (state.live_bytes, state.segment.number));
        for state in kept {
            if state.live_bytes > bytes {
                break;
            }
            bytes += state.live_bytes;
            victims.push(state.segment.number);
        }
        victims
    }

    fn write_segment(
        &self,
        saved: &mut Saved,
        frozen: &Frozen,
        victims: &[u64],
        new_files: &mut Vec<String>,
    ) -> Result<Option<Written>, CheckpointError> {
        let rewritten = victims.iter().filter_map(|number| frozen.segments.get(number));
        if frozen.unsaved.is_empty() && rewritten.clone().all(|state| state.live.is_empty()) {
            return Ok(None);
        }
        let (number, name) = next_name(saved, segment_name, new_files);
        let path = self.path(&name);
        let mut writer = SegmentWriter::create(&*self.disk, &path, &self.schema)?;
        let mut origins = Vec::new();
        for row in &frozen.unsaved {
            let Some(slot) = frozen.rows.get(row) else { continue };
            if let Place::Memory(record) = &slot.place {
                writer.put(row, record)?;
                origins.push((row, slot.place.clone()));
            }
        }
        for SegmentState { segment, live, .. } in rewritten {
            for at in live {
                let (entry, bytes) = segment.verified_bytes(at).inspect_err(|damage| {
                    self.report(damage.clone());
                })?;
                writer.copy(entry, bytes)?;
                origins.push((entry.row, Place::Stored(segment.clone(), at)));
            }
        }
        let expected = writer.finish()?;
        let bytes = self.disk.map(&path)?;
        let segment = Segment::open(number, path, bytes, &self.schema, expected)?;
        Ok(Some(Written { segment: Arc::new(segment), origins }))
    }

    /// Points the rows at the new segment and forgets the segments that it replaces.
    fn install(&self, written: Option<Written>, victims: &[u64]) {
        if let Some(Written { segment, origins }) = written {
            let live = (0..origins.len() as u32).collect();
            let new = SegmentState::new(segment.clone(), live);
            self.state.write().segments.insert(segment.number, new);
            for (part, chunk) in origins.chunks(INSTALL_ROWS).enumerate() {
                self.state.write().whole("a checkpoint's installation", |state| {
                    for (at, (row, origin)) in chunk.iter().enumerate() {
                        let entry = (part * INSTALL_ROWS + at) as u32;
                        state.move_record(*row, origin, Place::Stored(segment.clone(), entry));
                    }
                });
            }
        }
        let mut state = self.state.write();
        let gone: Vec<SegmentState> = victims.iter().filter_map(|n| state.segments.remove(n)).collect();
        // Unmapping a large file takes time: not while others wait.
        drop(state);
        drop(gone);
    }

    /// Removes what the current manifest does not name. What cannot be removed now is removed another time.
    pub(crate) fn remove_unreferenced(&self, graph: &SavedGraph) {
        let mut wanted: Vec<String> = {
            let state = self.state.read_long();
            state.segments.keys().map(|number| segment_name(*number)).collect()
        };
        wanted.extend(graph.names());
        wanted.push(MANIFEST.into());
        for name in self.disk.list(&self.dir).unwrap_or_default() {
            let ours = is_data(&name) || name.starts_with(MANIFEST) || name.starts_with(LIST);
            if ours && !wanted.contains(&name) {
                let removed = self.disk.remove(&self.path(&name));
                if matches!(&removed, Err(error) if error.failure == DiskFailure::PowerLost) {
                    return;
                }
            }
        }
    }
}

/// Whether a file of this name is one that a manifest names.
pub(crate) fn is_data(name: &str) -> bool {
    name.starts_with("segment-") || name.starts_with("graph-")
}

fn segment_ref(segment: &Segment, live: RoaringBitmap) -> SegmentRef {
    SegmentRef { number: segment.number, len: segment.len(), entries_crc: segment.entries_crc, live }
}

pub(crate) fn next_name(
    saved: &mut Saved,
    name: fn(u64) -> String,
    new_files: &mut Vec<String>,
) -> (u64, String) {
    let number = saved.next_file;
    saved.next_file += 1;
    let name = name(number);
    new_files.push(name.clone());
    (number, name)
}
