//! The OpenAPI description: what the handlers say of themselves, and what is true of all of them.

use super::described;
use crate::api::Filter;
use utoipa::PartialSchema;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, SchemaType, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ContentBuilder, InfoBuilder, OpenApi, PathItem, Ref, RefOr, ResponseBuilder, Schema, Tag,
};
use vectron_base::{Code, Fault};
use vectron_wire::fault_table::{row_of, to_problem, type_url};

/// The description that `/openapi.json` serves.
pub fn openapi() -> OpenApi {
    let (_, mut api) = described().split_for_parts();
    api.info = InfoBuilder::new()
        .title("Vectron")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Vectors with payloads: write points, search by nearness and filter. Scores are higher for closer \
             under every distance. What was acknowledged is found by the next read unless a weaker consistency \
             is asked for by name. The same calls are served over gRPC on the same port.",
        ))
        .build();
    let tag = |name: &str, about: &str| {
        let mut tag = Tag::new(name);
        tag.description = Some(about.into());
        tag
    };
    api.tags = Some(vec![
        tag("collections", "Sets of points with one dimension and distance."),
        tag("indexes", "Payload indexes, which make filters fast."),
        tag("points", "Writing, reading and searching."),
        tag("system", "For probes and monitoring."),
        tag("admin", "For operators."),
    ]);
    let components = api.components.get_or_insert_default();
    components.schemas.insert("Problem".into(), problem_schema().into());
    components.schemas.insert("Filter".into(), Filter::schema());
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer);
    let bearer = bearer.description(Some("The operator's key. Not needed on a server without one.")).build();
    components.security_schemes.insert("bearer".into(), SecurityScheme::Http(bearer).into());
    api.security = Some(vec![SecurityRequirement::new("bearer", Vec::<String>::new())]);
    for (path, item) in &mut api.paths.paths {
        for (method, operation) in operations(item) {
            codes_of(method, path).iter().for_each(|code| add_problem(operation, *code));
        }
    }
    api
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    let all = [("get", &mut item.get), ("post", &mut item.post), ("delete", &mut item.delete)];
    all.into_iter().filter_map(|(method, operation)| operation.as_mut().map(|operation| (method, operation)))
}

/// The codes that one operation answers with, in the order of the contract.
fn codes_of(method: &str, path: &str) -> Vec<Code> {
    const POINTS: &str = "/v1/collections/{collection}/points";
    let everywhere = [Code::Unauthenticated, Code::Forbidden, Code::Overloaded, Code::Internal];
    let listing = [Code::Unavailable, Code::DeadlineExceeded];
    let named = [Code::InvalidArgument, Code::NotFound, Code::Unavailable, Code::DeadlineExceeded];
    let own: &[&[Code]] = match (method, path) {
        (_, "/healthz") => return Vec::new(),
        (_, "/readyz") => return vec![Code::Unavailable],
        ("get", "/v1/collections") => &[&listing],
        ("post", "/v1/collections") => {
            &[&listing, &[Code::InvalidArgument, Code::AlreadyExists, Code::DiskFull, Code::TooLarge]]
        }
        ("post", POINTS) => {
            let own = [Code::VersionMismatch, Code::IdempotencyKeyReused, Code::DiskFull, Code::TooLarge];
            return in_order(&[&everywhere, &named, &own]);
        }
        ("post", path) if path.ends_with("/points/payload") || path.ends_with("/points/batch") => {
            let own = [Code::VersionMismatch, Code::IdempotencyKeyReused, Code::DiskFull, Code::TooLarge];
            return in_order(&[&everywhere, &named, &own]);
        }
        ("post", path) if path.ends_with("/points/delete") => {
            &[&named, &[Code::VersionMismatch, Code::IdempotencyKeyReused, Code::DiskFull, Code::TooLarge]]
        }
        ("delete", path) if path.starts_with(POINTS) => {
            &[&named, &[Code::VersionMismatch, Code::IdempotencyKeyReused, Code::DiskFull]]
        }
        ("get", path) if path.starts_with(POINTS) => &[&named, &[Code::StalenessUnmet]],
        ("post", path) if path.starts_with(POINTS) => &[&named, &[Code::StalenessUnmet, Code::TooLarge]],
        ("post", path) if path.ends_with("/tune") => &[&named, &[Code::StalenessUnmet, Code::TooLarge]],
        ("post", path) if path.ends_with("/indexes") => {
            &[&named, &[Code::AlreadyExists, Code::DiskFull, Code::TooLarge]]
        }
        (_, path) if path.starts_with("/v1/collections/") => &[&named],
        _ => &[],
    };
    in_order(&[&[&everywhere[..]], own].concat())
}

fn in_order(lists: &[&[Code]]) -> Vec<Code> {
    Code::ALL.into_iter().filter(|code| lists.iter().any(|list| list.contains(code))).collect()
}

/// Adds a problem under its status; several codes may share one.
fn add_problem(operation: &mut Operation, code: Code) {
    let row = row_of(code);
    let example = to_problem(&Fault::new(code, "What was expected and what was got."), Some("5f1c"));
    let status = row.http.to_string();
    let said = format!("{} (`{}`)", row.title, code.as_str());
    if let Some(RefOr::T(response)) = operation.responses.responses.get_mut(&status) {
        response.description = format!("{}; {said}", response.description);
        return;
    }
    let problem = RefOr::<Schema>::Ref(Ref::from_schema_name("Problem"));
    let content = ContentBuilder::new().schema(Some(problem)).example(Some(example)).build();
    let response =
        ResponseBuilder::new().description(said).content("application/problem+json", content).build();
    operation.responses.responses.insert(status, response.into());
}

fn problem_schema() -> Schema {
    let string = || ObjectBuilder::new().schema_type(SchemaType::new(Type::String));
    let integer = || ObjectBuilder::new().schema_type(SchemaType::new(Type::Integer));
    let optional = |kind: Type| ObjectBuilder::new().schema_type(SchemaType::from_iter([kind, Type::Null]));
    let field = ObjectBuilder::new()
        .property("field", string().description(Some("A path such as points[7].vector.")))
        .property("reason", string())
        .required("field")
        .required("reason");
    ObjectBuilder::new()
        .description(Some("An error, as RFC 9457 has it."))
        .property("type", string().examples([type_url(Code::InvalidArgument)]))
        .property("title", string())
        .property("status", integer())
        .property("detail", string())
        .property("code", string().enum_values(Some(Code::ALL.map(|code| code.as_str()))))
        .property("outcome", string().enum_values(Some(["applied", "not_applied", "unknown"])))
        .property("retryable", ObjectBuilder::new().schema_type(SchemaType::new(Type::Boolean)))
        .property("retry_after_ms", optional(Type::Integer))
        .property("errors", ArrayBuilder::new().items(field))
        .property("request_id", optional(Type::String))
        .property("current_version", integer().description(Some("Of version_mismatch.")))
        .required("type")
        .required("title")
        .required("status")
        .required("detail")
        .required("code")
        .required("outcome")
        .required("retryable")
        .required("errors")
        .into()
}
