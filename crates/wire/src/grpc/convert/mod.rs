//! Domain types to messages and back, and what both contracts need for it.
//!
//! Towards the message is `From` and cannot fail. From the message is `TryFrom`, and what it refuses is
//! `invalid_argument` with the path of the field in the message.

mod alias;
mod batch;
mod browse;
mod catalog;
mod cluster;
mod examine;
mod placement;
mod query;
mod recall;
mod report;
mod settings;
mod snapshot;
mod text;
mod tune;
mod vectors;
mod worker_answer;
mod worker_request;
mod worker_status;

use std::sync::Arc;
use vectron_base::Fault;
use vectron_base::filter::{Filter, FilterLimits};

/// The value of a field that must be there.
fn required<T>(field: &str, value: Option<T>) -> Result<T, Fault> {
    value.ok_or_else(|| Fault::invalid(field, "is missing"))
}

/// The same refusal, one level further out.
fn within(outer: &str, fault: Fault) -> Fault {
    match fault.errors.into_iter().next() {
        Some(error) => Fault::invalid(format!("{outer}.{}", error.field), error.reason),
        None => Fault::invalid(outer, fault.detail),
    }
}

/// Converts the elements of a list field; a refusal says which element.
fn each<M, T: TryFrom<M, Error = Fault>>(field: &str, messages: Vec<M>) -> Result<Vec<T>, Fault> {
    let convert = |(at, message)| T::try_from(message).map_err(|f| within(&format!("{field}[{at}]"), f));
    messages.into_iter().enumerate().map(convert).collect()
}

/// The meaning of an enum field; `pick` gives none for the unspecified value.
fn choice<E: TryFrom<i32>, T>(
    field: &str,
    value: i32,
    pick: impl FnOnce(E) -> Option<T>,
) -> Result<T, Fault> {
    let known = E::try_from(value).ok().and_then(pick);
    known.ok_or_else(|| Fault::invalid(field, format!("has the value {value}, which has no meaning here")))
}

/// A choice without content is sent as `true`; `false` would contradict itself.
fn marked<T>(field: &str, mark: bool, value: T) -> Result<T, Fault> {
    if mark { Ok(value) } else { Err(Fault::invalid(field, "must be true when it is given")) }
}

/// A count as this machine counts.
fn size(field: &str, value: u64) -> Result<usize, Fault> {
    usize::try_from(value).map_err(|_| Fault::invalid(field, format!("is {value}, too large to count to")))
}

/// Numbers as little-endian bytes, four for each.
fn bytes_of(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// Numbers from little-endian bytes.
fn numbers<C: FromIterator<f32>>(field: &str, bytes: &[u8]) -> Result<C, Fault> {
    let (numbers, rest) = bytes.as_chunks();
    if !rest.is_empty() {
        let reason = format!("has {} bytes, expected four for each number", bytes.len());
        return Err(Fault::invalid(field, reason));
    }
    Ok(numbers.iter().map(|number| f32::from_le_bytes(*number)).collect())
}

/// A filter from its canonical text. The gateway's limits held when it was accepted.
fn filter(field: &str, text: &str) -> Result<Filter, Fault> {
    Filter::parse(text, &FilterLimits::REPLICATED).map_err(|error| {
        let inner = error.path.strip_prefix("filter").unwrap_or(&error.path);
        Fault::invalid(format!("{field}{inner}"), error.reason)
    })
}

/// The optional filter of a read.
fn read_filter(text: Option<String>) -> Result<Option<Arc<Filter>>, Fault> {
    text.map(|text| filter("filter", &text).map(Arc::new)).transpose()
}
