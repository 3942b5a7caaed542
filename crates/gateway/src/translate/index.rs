//! Payload indexes: what may be asked for, and what a filter finds of them.

use super::shown;
use crate::api;
use crate::knobs::{FilterWithoutIndex, GatewayKnobs};
use vectron_base::Fault;
use vectron_base::filter::{FieldIndex, FieldType, Filter, FilterLimits};
use vectron_wire::placement::Collection;

/// Longest path of an indexed field, in bytes.
const FIELD_MAX_BYTES: usize = 512;

/// The payload index that is asked for.
pub fn field_index(request: &api::CreateIndexRequest) -> Result<FieldIndex, Fault> {
    check_field(&request.field)?;
    let kind = FieldType::parse(&request.kind).ok_or_else(|| {
        let known = FieldType::ALL.map(FieldType::as_str).join(", ");
        let reason = match request.kind.as_str() {
            later @ ("geo" | "text") => format!("{later} is not supported yet; use one of {known}"),
            other => format!("must be one of {known}, got {}", shown(other)),
        };
        Fault::invalid("type", reason)
    })?;
    Ok(FieldIndex { field: request.field.clone(), kind })
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
        let request =
            api::CreateIndexRequest { collection: "docs".into(), field: field.into(), kind: kind.into() };
        field_index(&request).map_err(|fault| fault.errors[0].field.clone())
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
        for kind in ["geo", "text", "int", "Keyword", ""] {
            assert_eq!(asked("n", kind), Err("type".into()), "{kind}");
        }
    }
}
