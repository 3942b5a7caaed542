//! What a text search asks for.

use super::shown;
use crate::api::{SearchParams, SearchRequest};
use crate::knobs::GatewayKnobs;
use vectron_base::Fault;
use vectron_base::filter::FieldType;
use vectron_wire::placement::Collection;
use vectron_wire::worker::{TextOperator, TextQuery};

/// The text that is asked for, against a field of the collection.
pub(super) fn text_query(
    text: &str,
    request: &SearchRequest,
    collection: &Collection,
    knobs: &GatewayKnobs,
) -> Result<TextQuery, Fault> {
    if request.vector.is_some() || request.vector_b64.is_some() {
        return Err(Fault::invalid("text", "stands in place of a vector; give one of them"));
    }
    let limit = knobs.text_query_bytes;
    if text.len() as u64 > limit {
        return Err(Fault::invalid("text", format!("has {} bytes, the limit is {limit}", text.len())));
    }
    let field = text_index(request.using.as_deref(), collection)?;
    let params = request.params.clone().unwrap_or_default();
    for (given, name) in [(params.ef.is_some(), "ef"), (params.recall_target.is_some(), "recall_target")] {
        if given {
            let reason = "is for vectors; a text search always finds the true best";
            return Err(Fault::invalid(format!("params.{name}"), reason));
        }
    }
    let operator = match params.operator.as_deref() {
        None | Some("or") => TextOperator::Or,
        Some("and") => TextOperator::And,
        Some(other) => {
            return Err(Fault::invalid(
                "params.operator",
                format!("must be or or and, got {}", shown(other)),
            ));
        }
    };
    let within = |name: &str, asked: Option<f32>, default: f32, most: f32| match asked {
        Some(value) if !(0.0..=most).contains(&value) => {
            Err(Fault::invalid(format!("params.{name}"), format!("must be from 0 to {most}, got {value}")))
        }
        asked => Ok(asked.unwrap_or(default)),
    };
    Ok(TextQuery {
        field,
        text: text.into(),
        operator,
        k1: within("k1", params.k1, 1.2, 100.0)?,
        b: within("b", params.b, 0.75, 1.0)?,
    })
}

/// Refuses what only a text has.
pub(super) fn check_without_text(params: &SearchParams) -> Result<(), Fault> {
    let given = [
        (params.operator.is_some(), "params.operator"),
        (params.k1.is_some(), "params.k1"),
        (params.b.is_some(), "params.b"),
    ];
    match given.into_iter().find(|(given, _)| *given) {
        Some((_, name)) => Err(Fault::invalid(name, "is for a search by text")),
        None => Ok(()),
    }
}

/// The field that a text is looked for in: the one that is named, or the only one with a text index.
pub fn text_index(using: Option<&str>, collection: &Collection) -> Result<String, Fault> {
    let texts = collection.field_indexes.iter().filter(|index| matches!(index.kind, FieldType::Text(_)));
    let fields: Vec<&str> = texts.map(|index| index.field.as_str()).collect();
    let create =
        || format!("create one: POST /v1/collections/{}/indexes with type text", collection.spec.name);
    match (using, fields.as_slice()) {
        (Some(field), fields) if fields.contains(&field) => Ok(field.into()),
        (Some(field), []) => {
            Err(Fault::invalid("using", format!("{} has no text index; {}", shown(field), create())))
        }
        (Some(field), fields) => {
            let reason = format!("{} has no text index; {} has", shown(field), fields.join(", "));
            Err(Fault::invalid("using", reason))
        }
        (None, [only]) => Ok((*only).into()),
        (None, []) => Err(Fault::invalid("text", format!("there is no text index; {}", create()))),
        (None, fields) => {
            let reason = format!("must name one of the fields with a text index: {}", fields.join(", "));
            Err(Fault::invalid("using", reason))
        }
    }
}
