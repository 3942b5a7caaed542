//! What efforts find.

use super::worker_answer::read;
use super::worker_request::{read_level, target};
use super::{each, required};
use crate::proto::worker as pb;
use crate::worker::{ShardRead, ShardTune, ShardTuned, TuneRung};
use vectron_base::Fault;

impl From<ShardTune> for pb::TuneRequest {
    fn from(tune: ShardTune) -> Self {
        Self {
            target: Some(tune.target.into()),
            read: Some(tune.read.into()),
            recall_target: Some(tune.recall_target),
            timeout_ms: tune.timeout_ms,
        }
    }
}

impl TryFrom<pb::TuneRequest> for ShardTune {
    type Error = Fault;

    fn try_from(message: pb::TuneRequest) -> Result<Self, Fault> {
        Ok(Self {
            target: target(message.target)?,
            read: read_level(message.read)?,
            recall_target: required("recall_target", message.recall_target)?,
            timeout_ms: message.timeout_ms,
        })
    }
}

impl From<TuneRung> for pb::TuneRung {
    fn from(rung: TuneRung) -> Self {
        let TuneRung { ef, found, distances } = rung;
        Self { ef, found, distances }
    }
}

impl TryFrom<pb::TuneRung> for TuneRung {
    type Error = Fault;

    fn try_from(message: pb::TuneRung) -> Result<Self, Fault> {
        let pb::TuneRung { ef, found, distances } = message;
        Ok(Self { ef, found, distances })
    }
}

impl From<ShardRead<ShardTuned>> for pb::TuneResponse {
    fn from(read: ShardRead<ShardTuned>) -> Self {
        let ShardTuned { queries, wanted, rungs, calibrated_ef } = read.value;
        let rungs = rungs.into_iter().map(Into::into).collect();
        Self { delivered: Some(read.delivered.into()), queries, wanted, rungs, calibrated_ef }
    }
}

impl TryFrom<pb::TuneResponse> for ShardRead<ShardTuned> {
    type Error = Fault;

    fn try_from(message: pb::TuneResponse) -> Result<Self, Fault> {
        let pb::TuneResponse { delivered, queries, wanted, rungs, calibrated_ef } = message;
        read(ShardTuned { queries, wanted, rungs: each("rungs", rungs)?, calibrated_ef }, delivered)
    }
}
