//! Parameters of paths without a body: each by its plain name, once, in our own words when it is wrong.

use super::json::unknown_field;
use crate::api;
use crate::translate::shown;
use axum::extract::{Query, Request};
use utoipa::IntoParams;
use vectron_base::Fault;

/// How to read one point.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct GetParameters {
    /// Default true.
    pub include_payload: Option<bool>,
    /// Default false.
    pub include_vector: Option<bool>,
    /// linearizable, eventual, bounded or session. Default: the collection's read policy.
    consistency: Option<String>,
    /// Belongs to bounded.
    max_staleness_ms: Option<u64>,
    /// Belongs to session.
    token: Option<String>,
    /// Default: the server's.
    pub timeout_ms: Option<u64>,
}

impl GetParameters {
    /// Those of a request.
    pub fn of(request: &Request) -> Result<Self, Fault> {
        let mut given = Given::of(
            request,
            &["include_payload", "include_vector", "consistency", "max_staleness_ms", "token", "timeout_ms"],
        )?;
        Ok(Self {
            include_payload: given.flag("include_payload")?,
            include_vector: given.flag("include_vector")?,
            consistency: given.text("consistency"),
            max_staleness_ms: given.number("max_staleness_ms")?,
            token: given.text("token"),
            timeout_ms: given.number("timeout_ms")?,
        })
    }

    /// The level with what belongs to it.
    pub fn consistency(&mut self) -> Result<Option<api::Consistency>, Fault> {
        let (max_staleness_ms, token) = (self.max_staleness_ms, self.token.take());
        match self.consistency.take() {
            Some(level) => Ok(Some(api::Consistency { level, max_staleness_ms, token })),
            None if max_staleness_ms.is_some() || token.is_some() => {
                Err(Fault::invalid("consistency", "is missing; name the level that the parameters belong to"))
            }
            None => Ok(None),
        }
    }
}

/// How to delete one point.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DeleteParameters {
    /// Delete only this version.
    pub if_version: Option<u64>,
    /// A retry with the same key applies exactly once (window 24 h).
    pub idempotency_key: Option<String>,
    /// Default: the server's.
    pub timeout_ms: Option<u64>,
}

impl DeleteParameters {
    /// Those of a request.
    pub fn of(request: &Request) -> Result<Self, Fault> {
        let mut given = Given::of(request, &["if_version", "idempotency_key", "timeout_ms"])?;
        Ok(Self {
            if_version: given.number("if_version")?,
            idempotency_key: given.text("idempotency_key"),
            timeout_ms: given.number("timeout_ms")?,
        })
    }
}

/// Parameters that are known, each once.
struct Given(Vec<(String, String)>);

impl Given {
    fn of(request: &Request, known: &[&str]) -> Result<Self, Fault> {
        let Ok(Query(pairs)) = Query::<Vec<(String, String)>>::try_from_uri(request.uri()) else {
            return Err(Fault::invalid("query", "is not a list of name=value, joined by &"));
        };
        for (at, (name, _)) in pairs.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                return Err(unknown_field("", name, known, ""));
            }
            if pairs[..at].iter().any(|(earlier, _)| earlier == name) {
                return Err(Fault::invalid(name, "is given twice"));
            }
        }
        Ok(Self(pairs))
    }

    fn text(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(given, _)| given == name)?;
        Some(self.0.swap_remove(at).1)
    }

    fn flag(&mut self, name: &str) -> Result<Option<bool>, Fault> {
        let Some(text) = self.text(name) else { return Ok(None) };
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" => Ok(Some(true)),
            "false" | "0" => Ok(Some(false)),
            _ => Err(Fault::invalid(name, format!("is {}, expected true or false", shown(&text)))),
        }
    }

    fn number(&mut self, name: &str) -> Result<Option<u64>, Fault> {
        let Some(text) = self.text(name) else { return Ok(None) };
        match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(Fault::invalid(name, format!("is {}, expected a whole number", shown(&text)))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn asked(query: &str) -> Result<GetParameters, (String, String)> {
        let request = Request::get(format!("/x?{query}")).body(Body::empty()).expect("request");
        GetParameters::of(&request).map_err(|fault| (fault.errors[0].field.clone(), fault.detail))
    }

    #[test]
    fn parameters_are_read_and_refused_by_name() {
        let read = asked("include_vector=TRUE&include_payload=0&timeout_ms=7&token=a%26b+c").expect("good");
        assert_eq!((read.include_vector, read.include_payload), (Some(true), Some(false)));
        assert_eq!((read.timeout_ms, read.token.as_deref()), (Some(7), Some("a&b c")));
        for (query, field, detail) in [
            ("include_vector=maybe", "include_vector", "include_vector is 'maybe', expected true or false"),
            ("include_payload=", "include_payload", "include_payload is '', expected true or false"),
            ("timeout_ms=1s", "timeout_ms", "timeout_ms is '1s', expected a whole number"),
            ("timeout_ms=-1", "timeout_ms", "timeout_ms is '-1', expected a whole number"),
            ("token=a&token=a", "token", "token is given twice"),
            (
                "include_vectors=1",
                "include_vectors",
                "include_vectors is not a known field; did you mean 'include_vector'?",
            ),
        ] {
            assert_eq!(asked(query).expect_err(query), (field.to_string(), detail.to_string()));
        }
    }
}
