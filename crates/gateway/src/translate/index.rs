//! Payload indexes: what may be asked for, and what a filter finds of them.

use super::shown;
use crate::api;
use crate::knobs::{FilterWithoutIndex, GatewayKnobs};
use std::collections::BTreeMap;
use vectron_base::Fault;
use vectron_base::filter::{FieldIndex, FieldType, Filter, FilterLimits, Language, TextAnalysis};
use vectron_wire::placement::Collection;

/// Longest path of an indexed field, in bytes.
const FIELD_MAX_BYTES: usize = 512;

/// The payload index that is asked for.
pub fn field_index(request: &api::CreateIndexRequest) -> Result<FieldIndex, Fault> {
    check_field(&request.field)?;
    let kind = FieldType::parse(&request.kind).ok_or_else(|| {
        let known = FieldType::ALL.map(FieldType::as_str).join(", ");
        Fault::invalid("type", format!("must be one of {known}, got {}", shown(&request.kind)))
    })?;
    let kind = match kind {
        FieldType::Text(_) => FieldType::Text(analysis("", request.language.as_deref(), request.stemming)?),
        kind if request.language.is_none() && request.stemming.is_none() => kind,
        kind => {
            let field = if request.language.is_some() { "language" } else { "stemming" };
            return Err(Fault::invalid(
                field,
                format!("is for the type text only, not for {}", kind.as_str()),
            ));
        }
    };
    Ok(FieldIndex { field: request.field.clone(), kind })
}

/// The text indexes that a new collection shall have.
pub fn text_indexes(fields: &BTreeMap<String, api::TextFieldRequest>) -> Result<Vec<FieldIndex>, Fault> {
    let index = |(field, asked): (&String, &api::TextFieldRequest)| {
        check_field(field).map_err(|fault| {
            Fault::invalid(format!("text_fields.{field}"), fault.errors.first().map_or("", |e| &e.reason))
        })?;
        let at = format!("text_fields.{field}.");
        let kind = FieldType::Text(analysis(&at, asked.language.as_deref(), asked.stemming)?);
        Ok(FieldIndex { field: field.clone(), kind })
    };
    fields.iter().map(index).collect()
}

/// How words are made; `at` leads to the members.
fn analysis(at: &str, language: Option<&str>, stemming: Option<bool>) -> Result<TextAnalysis, Fault> {
    let parse = |name: &str| {
        Language::parse(name).ok_or_else(|| {
            let known: Vec<&str> = Language::ALL.iter().map(|language| language.as_str()).collect();
            let reason = format!("must be one of {}, got {}", known.join(", "), shown(name));
            Fault::invalid(format!("{at}language"), reason)
        })
    };
    let language = language.map(parse).transpose()?;
    TextAnalysis::new(language, stemming)
        .ok_or_else(|| Fault::invalid(format!("{at}stemming"), "needs a language, such as english"))
}

/// The language and stemming of a text index as they are shown.
pub fn shown_analysis(kind: FieldType) -> (Option<String>, Option<bool>) {
    let analysis = kind.analysis();
    (analysis.map(|a| a.language.as_str().into()), analysis.map(|a| a.stemming))
}

/// Refuses what no filter could name, by asking the filter language itself.
pub fn check_field(field: &str) -> Result<(), Fault> {
    if field.len() > FIELD_MAX_BYTES {
        let reason = format!("has {} bytes, the limit is {FIELD_MAX_BYTES}", field.len());
        return Err(Fault::invalid("field", reason));
    }
    let text = serde_json::json!({ field: { "$exists": true } }).to_string();
    match Filter::parse(&text, &FilterLimits::default()) {
        Ok(Filter::Field { path, .. }) if path == field => Ok(()),
        Ok(_) => Err(Fault::invalid("field", "is not the path of a field, such as section or size.width")),
        Err(error) => Err(Fault::invalid("field", error.reason)),
    }
}

/// Refuses a filter on fields without an index, where the server wants that, before any shard is asked.
pub fn check_indexed(
    filter: Option<&Filter>,
    collection: &Collection,
    knobs: &GatewayKnobs,
) -> Result<(), Fault> {
    if knobs.filter_without_index() == FilterWithoutIndex::Allow {
        return Ok(());
    }
    let fields = filter.map_or_else(Vec::new, Filter::fields);
    match fields.into_iter().find(|field| collection.field_index(field).is_none()) {
        Some(field) => Err(Fault::invalid(
            format!("filter.{field}"),
            format!(
                "has no index, and this server refuses filters without one (gateway.filter_without_index); \
                 create it: POST /v1/collections/{}/indexes",
                collection.spec.name
            ),
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(field: &str, kind: &str) -> Result<FieldIndex, String> {
        asked_for(field, kind, None, None)
    }

    fn asked_for(
        field: &str,
        kind: &str,
        language: Option<&str>,
        stemming: Option<bool>,
    ) -> Result<FieldIndex, String> {
        let (collection, language) = ("docs".into(), language.map(str::to_string));
        let (field, kind) = (field.into(), kind.into());
        let request = api::CreateIndexRequest { collection, field, kind, language, stemming };
        field_index(&request).map_err(|fault| fault.errors[0].field.clone())
    }

    #[test]
    fn a_language_is_for_texts_and_stems_are_of_a_language() {
        let kind = |language, stemming| asked_for("t", "text", language, stemming).map(|index| index.kind);
        let text = |language, stemming| Ok(FieldType::Text(TextAnalysis { language, stemming }));
        assert_eq!(kind(None, None), text(Language::None, false));
        assert_eq!(kind(Some("german"), None), text(Language::German, true));
        assert_eq!(kind(Some("german"), Some(false)), text(Language::German, false));
        assert_eq!(kind(None, Some(true)), Err("stemming".into()));
        assert_eq!(kind(Some("klingon"), None), Err("language".into()));
        assert_eq!(asked_for("t", "keyword", Some("german"), None), Err("language".into()));
        assert_eq!(asked_for("t", "geo", None, Some(false)), Err("stemming".into()));
        let fields = |json: &str| {
            let fields: BTreeMap<String, api::TextFieldRequest> = serde_json::from_str(json).unwrap();
            text_indexes(&fields).map_err(|fault| fault.errors[0].field.clone())
        };
        assert_eq!(fields(r#"{"a.b":{"language":"english"},"c":{}}"#).unwrap().len(), 2);
        assert_eq!(fields(r#"{"$a":{}}"#), Err("text_fields.$a".into()));
        assert_eq!(fields(r#"{"a":{"language":"x"}}"#), Err("text_fields.a.language".into()));
    }

    #[test]
    fn fields_are_those_that_a_filter_can_name() {
        let deep = ["a"; 32].join(".");
        for field in ["n", "a.b", "größe", "with space", "a/b", deep.as_str()] {
            assert_eq!(asked(field, "integer").map(|index| index.field), Ok(field.into()), "{field}");
        }
        let (deeper, long) = (["a"; 33].join("."), "x".repeat(513));
        for field in ["", ".", "a.", ".a", "a..b", "$and", "$not", "$x", &deeper, &long] {
            assert_eq!(asked(field, "integer"), Err("field".into()), "{field}");
        }
    }

    #[test]
    fn types_are_those_of_the_contract_and_no_others() {
        for kind in FieldType::ALL {
            assert_eq!(asked("n", kind.as_str()).map(|index| index.kind), Ok(kind));
        }
        for kind in ["Text", "int", "Keyword", ""] {
            assert_eq!(asked("n", kind), Err("type".into()), "{kind}");
        }
    }
}
