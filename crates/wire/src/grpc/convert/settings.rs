//! Settings of collections and their payload indexes.

use super::text::analysis;
use super::{choice, required, within};
use crate::placement::{IndexSettings, Quantization, Storage};
use crate::proto::placement as pb;
use vectron_base::Fault;
use vectron_base::filter::{FieldIndex, FieldType, TextAnalysis};

impl From<Quantization> for pb::Quantization {
    fn from(quantization: Quantization) -> Self {
        match quantization {
            Quantization::Auto => pb::Quantization::Auto,
            Quantization::None => pb::Quantization::None,
            Quantization::EightBit => pb::Quantization::EightBit,
            Quantization::FourBit => pb::Quantization::FourBit,
        }
    }
}

pub(super) fn quantization(value: i32) -> Result<Quantization, Fault> {
    choice("quantization", value, |quantization| match quantization {
        pb::Quantization::Unspecified => None,
        pb::Quantization::Auto => Some(Quantization::Auto),
        pb::Quantization::None => Some(Quantization::None),
        pb::Quantization::EightBit => Some(Quantization::EightBit),
        pb::Quantization::FourBit => Some(Quantization::FourBit),
    })
}

impl From<Storage> for pb::Storage {
    fn from(storage: Storage) -> Self {
        match storage {
            Storage::Ram => pb::Storage::Ram,
            Storage::Mmap => pb::Storage::Mmap,
        }
    }
}

pub(super) fn storage(value: i32) -> Result<Storage, Fault> {
    choice("storage", value, |storage| match storage {
        pb::Storage::Unspecified => None,
        pb::Storage::Ram => Some(Storage::Ram),
        pb::Storage::Mmap => Some(Storage::Mmap),
    })
}

impl From<IndexSettings> for pb::IndexSettings {
    fn from(index: IndexSettings) -> Self {
        Self { degree: index.degree, ef_construction: index.ef_construction }
    }
}

pub(super) fn index_settings(message: Option<pb::IndexSettings>) -> Result<IndexSettings, Fault> {
    let pb::IndexSettings { degree, ef_construction } = required("index", message)?;
    Ok(IndexSettings { degree, ef_construction })
}

impl From<FieldIndex> for pb::FieldIndex {
    fn from(index: FieldIndex) -> Self {
        let kind = match index.kind {
            FieldType::Keyword => pb::FieldType::Keyword,
            FieldType::Integer => pb::FieldType::Integer,
            FieldType::Float => pb::FieldType::Float,
            FieldType::Bool => pb::FieldType::Bool,
            FieldType::Datetime => pb::FieldType::Datetime,
            FieldType::Geo => pb::FieldType::Geo,
            FieldType::Text(_) => pb::FieldType::Text,
        };
        let text = index.kind.analysis().map(|text| pb::TextAnalysis {
            language: text.language.as_str().into(),
            stemming: text.stemming,
        });
        Self { field: index.field, r#type: kind.into(), text }
    }
}

impl TryFrom<pb::FieldIndex> for FieldIndex {
    type Error = Fault;

    fn try_from(message: pb::FieldIndex) -> Result<Self, Fault> {
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
        Ok(Self { field: message.field, kind })
    }
}

/// A collection and the index it shall have.
impl From<(String, FieldIndex)> for pb::CreateIndexRequest {
    fn from((collection, index): (String, FieldIndex)) -> Self {
        Self { collection, index: Some(index.into()) }
    }
}

impl TryFrom<pb::CreateIndexRequest> for (String, FieldIndex) {
    type Error = Fault;

    fn try_from(message: pb::CreateIndexRequest) -> Result<Self, Fault> {
        let index = FieldIndex::try_from(required("index", message.index)?);
        Ok((message.collection, index.map_err(|fault| within("index", fault))?))
    }
}

/// Whether it is new.
impl From<bool> for pb::CreateIndexResponse {
    fn from(created: bool) -> Self {
        Self { created }
    }
}

impl TryFrom<pb::CreateIndexResponse> for bool {
    type Error = Fault;

    fn try_from(message: pb::CreateIndexResponse) -> Result<Self, Fault> {
        Ok(message.created)
    }
}

/// A collection and the field whose index shall go.
impl From<(String, String)> for pb::DeleteIndexRequest {
    fn from((collection, field): (String, String)) -> Self {
        Self { collection, field }
    }
}

impl TryFrom<pb::DeleteIndexRequest> for (String, String) {
    type Error = Fault;

    fn try_from(message: pb::DeleteIndexRequest) -> Result<Self, Fault> {
        Ok((message.collection, message.field))
    }
}

impl From<()> for pb::DeleteIndexResponse {
    fn from((): ()) -> Self {
        Self {}
    }
}

impl TryFrom<pb::DeleteIndexResponse> for () {
    type Error = Fault;

    fn try_from(_: pb::DeleteIndexResponse) -> Result<Self, Fault> {
        Ok(())
    }
}
