//! Names and ids.

use super::{ItemAt, check_batch, on_item, shown};
use crate::api::PointId;
use crate::knobs::GatewayKnobs;
use std::collections::HashMap;
use vectron_base::ids::{collection_name_problem, point_id_problem};
use vectron_base::{Code, Fault};

/// Refuses what cannot be the name of a collection.
pub fn check_collection_name(field: &str, name: &str) -> Result<(), Fault> {
    match collection_name_problem(name) {
        Some(reason) => Err(Fault::invalid(field, reason)),
        None => Ok(()),
    }
}

/// Refuses what cannot be a point id.
pub fn check_point_id(field: &str, id: &str) -> Result<(), Fault> {
    match point_id_problem(id) {
        Some(reason) => Err(Fault::invalid(field, reason)),
        None => Ok(()),
    }
}

/// The ids of a batch, each valid. `unique` refuses the same id twice.
pub fn check_ids(ids: Vec<PointId>, unique: bool, knobs: &GatewayKnobs) -> Result<Vec<String>, Fault> {
    check_batch("ids", ids.len(), knobs)?;
    for (index, id) in ids.iter().enumerate() {
        if point_id_problem(&id.0).is_some() {
            check_point_id(&format!("ids[{index}]"), &id.0)?;
        }
    }
    if unique {
        check_unique("ids", "", ids.iter().map(|id| id.0.as_str()))?;
    }
    Ok(ids.into_iter().map(|id| id.0).collect())
}

/// Refuses a batch that names an id twice, with both positions.
pub(crate) fn check_unique<'a>(
    list: &'static str,
    member: &str,
    ids: impl ExactSizeIterator<Item = &'a str>,
) -> Result<(), Fault> {
    let mut first: HashMap<&str, usize> = HashMap::with_capacity(ids.len());
    for (index, id) in ids.enumerate() {
        if let Some(earlier) = first.insert(id, index) {
            let reason =
                format!("{} is in the batch twice, at {list}[{earlier}] and {list}[{index}]", shown(id));
            return Err(on_item(Code::InvalidArgument, &ItemAt { list, index, id }, member, reason));
        }
    }
    Ok(())
}
