//! A shard's figures.

use super::text::analysis;
use super::{choice, each};
use crate::proto::worker as pb;
use crate::worker::{Calibration, CodeError, FieldIndexStatus, MemorySplit, ShardStatus};
use vectron_base::Fault;
use vectron_base::filter::{FieldIndex, FieldType, TextAnalysis};

impl From<MemorySplit> for pb::MemorySplit {
    fn from(memory: MemorySplit) -> Self {
        let MemorySplit { codes, vectors, links, payload_indexes, other } = memory;
        Self { codes, vectors, links, payload_indexes, other }
    }
}

impl From<pb::MemorySplit> for MemorySplit {
    fn from(message: pb::MemorySplit) -> Self {
        let pb::MemorySplit { codes, vectors, links, payload_indexes, other } = message;
        Self { codes, vectors, links, payload_indexes, other }
    }
}

impl From<CodeError> for pb::CodeError {
    fn from(codes: CodeError) -> Self {
        Self { kind: codes.kind.into(), error_mean: codes.error_mean, error_fine_mean: codes.error_fine_mean }
    }
}

impl From<pb::CodeError> for CodeError {
    fn from(message: pb::CodeError) -> Self {
        Self {
            kind: message.kind.into(),
            error_mean: message.error_mean,
            error_fine_mean: message.error_fine_mean,
        }
    }
}

impl From<Calibration> for pb::Calibration {
    fn from(calibration: Calibration) -> Self {
        let Calibration { measured_at_points, ef_90, ef_95, ef_99 } = calibration;
        Self { measured_at_points, ef_90, ef_95, ef_99 }
    }
}

impl From<pb::Calibration> for Calibration {
    fn from(message: pb::Calibration) -> Self {
        let pb::Calibration { measured_at_points, ef_90, ef_95, ef_99 } = message;
        Self { measured_at_points, ef_90, ef_95, ef_99 }
    }
}

impl From<FieldIndexStatus> for pb::FieldIndexStatus {
    fn from(status: FieldIndexStatus) -> Self {
        let kind = match status.index.kind {
            FieldType::Keyword => pb::FieldType::Keyword,
            FieldType::Integer => pb::FieldType::Integer,
            FieldType::Float => pb::FieldType::Float,
            FieldType::Bool => pb::FieldType::Bool,
            FieldType::Datetime => pb::FieldType::Datetime,
            FieldType::Geo => pb::FieldType::Geo,
            FieldType::Text(_) => pb::FieldType::Text,
        };
        let text = status.index.kind.analysis().map(|text| pb::TextAnalysis {
            language: text.language.as_str().into(),
            stemming: text.stemming,
        });
        Self {
            field: status.index.field,
            r#type: kind.into(),
            ready: status.ready,
            points_indexed: status.points_indexed,
            points_total: status.points_total,
            bytes: status.bytes,
            irregular: status.irregular,
            text,
        }
    }
}

impl TryFrom<pb::FieldIndexStatus> for FieldIndexStatus {
    type Error = Fault;

    fn try_from(message: pb::FieldIndexStatus) -> Result<Self, Fault> {
        let kind = choice("type", message.r#type, |kind| match kind {
            pb::FieldType::Unspecified => None,
            pb::FieldType::Keyword => Some(FieldType::Keyword),
            pb::FieldType::Integer => Some(FieldType::Integer),
            pb::FieldType::Float => Some(FieldType::Float),
            pb::FieldType::Bool => Some(FieldType::Bool),
            pb::FieldType::Datetime => Some(FieldType::Datetime),
            pb::FieldType::Geo => Some(FieldType::Geo),
            pb::FieldType::Text => Some(FieldType::Text(TextAnalysis::PLAIN)),
        })?;
        let kind = match kind {
            FieldType::Text(_) => {
                FieldType::Text(analysis(message.text.map(|text| (text.language, text.stemming)))?)
            }
            kind => kind,
        };
        Ok(Self {
            index: FieldIndex { field: message.field, kind },
            ready: message.ready,
            points_indexed: message.points_indexed,
            points_total: message.points_total,
            bytes: message.bytes,
            irregular: message.irregular,
        })
    }
}

impl From<ShardStatus> for pb::StatusResponse {
    fn from(status: ShardStatus) -> Self {
        Self {
            points: status.points,
            index_lag: status.index_lag,
            tombstones: status.tombstones,
            disk_bytes: status.disk_bytes,
            memory_bytes: status.memory_bytes,
            applied_index: status.applied_index,
            durable_index: status.durable_index,
            leads: status.leads,
            damage: status.damage,
            memory: status.memory.map(Into::into),
            quantization: status.quantization.map(Into::into),
            calibration: status.calibration.map(Into::into),
            field_indexes: status.field_indexes.into_iter().map(Into::into).collect(),
            recall: status.recall.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<pb::StatusResponse> for ShardStatus {
    type Error = Fault;

    fn try_from(message: pb::StatusResponse) -> Result<Self, Fault> {
        Ok(Self {
            points: message.points,
            index_lag: message.index_lag,
            tombstones: message.tombstones,
            disk_bytes: message.disk_bytes,
            memory_bytes: message.memory_bytes,
            applied_index: message.applied_index,
            durable_index: message.durable_index,
            leads: message.leads,
            damage: message.damage,
            memory: message.memory.map(Into::into),
            quantization: message.quantization.map(Into::into),
            calibration: message.calibration.map(Into::into),
            field_indexes: each("field_indexes", message.field_indexes)?,
            recall: each("recall", message.recall)?,
        })
    }
}
