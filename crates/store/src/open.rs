//! Opening: the last checkpoint becomes a running state again.
//!
//! Every live record is read and verified once, on its way into the id map and the index. Then the graph is
//! adopted as it was; nothing is built anew. Whatever was applied after the checkpoint comes again from the
//! log.

use crate::checkpoint::{Saved, is_data};
use crate::config::ShardConfig;
use crate::damage::Damage;
use crate::gate::Gate;
use crate::graph_files::adopt_graph;
use crate::import::LIST;
use crate::manifest::{MANIFEST, Manifest, NamedRef, SegmentRef};
use crate::record::Named;
use crate::rows::{Place, Slot};
use crate::segment::{Segment, segment_name};
use crate::shard::Shard;
use crate::state::{SegmentState, State};
use crate::stats::CountedBytes;
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use vectron_base::disk::{Disk, DiskError, DiskFailure};
use vectron_base::vectors::FieldValue;
use vectron_index::Row;

/// Why a shard does not open.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A file that holds the truth is damaged: the replica must be made anew from its peers.
    #[error(transparent)]
    Corrupt(#[from] Damage),
    /// A copy of another replica was not taken in to its end, or a fork was not: go on with
    /// [`Import::begin`](crate::Import::begin), or remove the directory.
    #[error("{0} holds a copy that is not complete")]
    Unfinished(String),
    /// The files were written for other vector fields or another limit of remembered writes.
    #[error("{file} was written for another configuration: {detail}")]
    Mismatch {
        /// The manifest.
        file: String,
        /// Found and expected.
        detail: String,
    },
}

impl Shard {
    /// Opens the shard in `dir`, which is made if need be. Without any file the shard is empty.
    ///
    /// # Errors
    /// A damaged file is named, and so is a manifest that is missing where data files are; nothing is removed or
    /// changed then. A damaged part of the graph is no error: it is listed in [`Shard::damage`], its rows are scanned
    /// until they are indexed again in the background, and the rest serves.
    pub fn open(disk: Arc<dyn Disk>, dir: &str, config: ShardConfig) -> Result<Shard, OpenError> {
        disk.create_dir(dir)?;
        let manifest = read_manifest(&*disk, &format!("{dir}/{MANIFEST}"), &config)?;
        if manifest.is_none() && disk.exists(&format!("{dir}/{LIST}"))? {
            return Err(OpenError::Unfinished(dir.into()));
        }
        let mut state = State::new(&config);
        let mut saved = Saved::default();
        let mut damage = Vec::new();
        if let Some(manifest) = manifest {
            if manifest.provisional {
                return Err(OpenError::Unfinished(dir.into()));
            }
            load(&mut state, &*disk, dir, &manifest)?;
            let (graph, bad) = adopt_graph(&mut state, &*disk, dir, &manifest)?;
            saved = Saved { next_file: manifest.next_file, any: true, graph };
            damage = bad;
            if manifest.digest.is_some_and(|digest| digest != state.digest()) {
                let detail = "the records do not have the digest that they were saved with".into();
                return Err(Damage { file: format!("{dir}/{MANIFEST}"), detail }.into());
            }
            state.reclaim_rows();
            state.free_rows =
                (0..state.next_row).rev().filter(|row| state.rows.get(*row).is_none()).collect();
        }
        // Numbers of files that a lost attempt may have left behind are not used again.
        for name in disk.list(dir)? {
            if !saved.any && is_data(&name) {
                let detail = format!("is missing, but {name} is there");
                return Err(Damage { file: format!("{dir}/{MANIFEST}"), detail }.into());
            }
            let number = name.split_once('-').and_then(|(_, n)| u64::from_str_radix(n, 16).ok());
            saved.next_file = saved.next_file.max(number.map_or(0, |n| n.saturating_add(1)));
        }
        let shard = Shard {
            disk,
            dir: dir.to_string(),
            config,
            durable: AtomicU64::new(state.applied_index),
            graph_bytes: AtomicU64::new(saved.graph.bytes()),
            saved_graph_changes: AtomicU64::new(0),
            index_bytes: CountedBytes::default(),
            schema: state.vectors.schema.clone(),
            stepping: state.vectors.dense.iter().map(|_| Arc::default()).collect(),
            turn: AtomicUsize::new(0),
            calibration: RwLock::new(vec![None; state.vectors.dense.len()]),
            state: Gate::new(state),
            applying: Mutex::new(()),
            building: Mutex::new(()),
            calibrating: Mutex::new(None),
            saving: Mutex::new(saved),
            scratches: Mutex::new(Vec::new()),
            damage: Mutex::new(damage),
            exports: Arc::default(),
            forked: Mutex::new(Vec::new()),
            forking: Mutex::new(()),
            scrubbing: Mutex::new(None),
        };
        let saved = shard.saving.lock();
        // What may be needed to find out what happened is not removed.
        if saved.any && shard.damage.lock().is_empty() {
            shard.remove_unreferenced(&saved.graph);
        }
        drop(saved);
        Ok(shard)
    }
}

fn read_manifest(disk: &dyn Disk, file: &str, config: &ShardConfig) -> Result<Option<Manifest>, OpenError> {
    let bytes = match disk.read(file) {
        Err(error) if error.failure == DiskFailure::NotFound => return Ok(None),
        other => other?,
    };
    let manifest =
        Manifest::decode(&bytes).map_err(|error| Damage { file: file.into(), detail: error.to_string() })?;
    let found = (manifest.dimension as usize, manifest.metric, manifest.idempotency_bytes);
    let expected = (config.dimension, config.metric_code(), config.idempotency_bytes);
    if found != expected {
        let detail = format!("dimension, metric and idempotency bytes are {found:?}, expected {expected:?}");
        return Err(OpenError::Mismatch { file: file.into(), detail });
    }
    let expected: Vec<NamedRef> = config.named.iter().map(NamedRef::of).collect();
    if manifest.named != expected {
        let names = |fields: &[NamedRef]| {
            let shown = |field: &NamedRef| {
                let NamedRef { number, name, shape, dimension, metric } = field;
                format!("{name} ({number}, {shape}, {dimension}, {metric})")
            };
            fields.iter().map(shown).collect::<Vec<_>>().join(", ")
        };
        let detail =
            format!("named vector fields are [{}], expected [{}]", names(&manifest.named), names(&expected));
        return Err(OpenError::Mismatch { file: file.into(), detail });
    }
    Ok(Some(manifest))
}

fn load(state: &mut State, disk: &dyn Disk, dir: &str, manifest: &Manifest) -> Result<(), OpenError> {
    state.applied_index = manifest.applied_index;
    state.log_time_ms = manifest.log_time_ms;
    state.sealed = manifest.sealed;
    state.range = manifest.range;
    state.window = manifest.remembered.iter().cloned().collect();
    let mut ids: Vec<(Box<str>, Row)> = Vec::new();
    for segment in &manifest.segments {
        load_segment(state, disk, dir, segment, &mut ids)?;
    }
    let points = ids.len();
    ids.sort_unstable();
    state.ids = BTreeMap::from_iter(ids);
    if state.ids.len() != points {
        let file = format!("{dir}/{MANIFEST}");
        return Err(Damage { file, detail: "one id is live twice".into() }.into());
    }
    Ok(())
}

fn load_segment(
    state: &mut State,
    disk: &dyn Disk,
    dir: &str,
    wanted: &SegmentRef,
    ids: &mut Vec<(Box<str>, Row)>,
) -> Result<(), OpenError> {
    let file = format!("{dir}/{}", segment_name(wanted.number));
    let bytes = match disk.map(&file) {
        Err(error) if error.failure == DiskFailure::NotFound => {
            return Err(Damage { file, detail: "is missing".into() }.into());
        }
        other => other?,
    };
    let expected = (wanted.len, wanted.entries_crc);
    let schema = state.vectors.schema.clone();
    let plain = schema.plain().is_some();
    let segment = Arc::new(Segment::open(wanted.number, file, bytes, &schema, expected)?);
    for entry in &wanted.live {
        let Some(at) = segment.entries().get(entry as usize) else {
            return Err(segment.damage("a live entry is missing").into());
        };
        let view = segment.view(entry)?;
        if state.rows.get(at.row).is_some() {
            return Err(segment.damage("one row is live twice").into());
        }
        let values = view.values(&schema).map_err(|e| segment.damage(e))?;
        let Named { tags, tag, hash } = Named::of(&view, &values, plain);
        for ((number, value), tag) in values.iter().zip(&tags) {
            if let FieldValue::Dense(vector) = value {
                let put = state.vectors.put(*number, at.row, *tag, vector, &state.rows);
                put.map_err(|bad| if bad.file.is_empty() { segment.damage(&bad.detail) } else { bad })?;
            }
        }
        state.vectors.insert(at.row, &values);
        state.expiries.set(at.row, view.id, view.expires_at_ms);
        ids.push((view.id.into(), at.row));
        let place = Place::Stored(segment.clone(), entry);
        state.rows.set(at.row, Some(Slot { version: view.version, tag, hash, place }));
        state.fields.live.insert(at.row);
        state.points_sum = state.points_sum.wrapping_add(hash);
        state.next_row = state.next_row.max(at.row.saturating_add(1));
    }
    state.segments.insert(wanted.number, SegmentState::new(segment, wanted.live.clone()));
    Ok(())
}
