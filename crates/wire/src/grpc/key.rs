//! The key that processes of one cluster share, and show each other with every call.
//!
//! It keeps strangers and processes of other clusters out of the internal services. It is sent as it is: on a
//! network that others can listen to, it needs an encrypted transport underneath.

use crate::fault_table::to_internal_status;
use futures::future::{Either, Ready, ready};
use http::{HeaderMap, Request, Response};
use std::fmt;
use std::task::{Context, Poll};
use subtle::ConstantTimeEq;
use tonic::metadata::{Ascii, MetadataMap, MetadataValue};
use tower::{Layer, Service};
use vectron_base::{Code, Fault};

/// Where the key stands in the metadata of a call.
const HEADER: &str = "vectron-cluster-key";
/// Shortest and longest key, in bytes.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 16..=512;

/// A key of a cluster. Not shown in debug form.
#[derive(Clone)]
pub struct ClusterKey(MetadataValue<Ascii>);

impl ClusterKey {
    /// A key of 16 to 512 printable ASCII characters without spaces; else why it is not one.
    pub fn parse(text: &str) -> Result<Self, String> {
        if !KEY_BYTES.contains(&text.len()) {
            return Err(format!("has {} bytes, give 16 to 512", text.len()));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("has a character that is not printable ASCII, or a space".into());
        }
        let mut value: MetadataValue<Ascii> =
            text.parse().map_err(|_| "cannot be sent in a header".to_string())?;
        // Kept out of header compression and of debug output.
        value.set_sensitive(true);
        Ok(Self(value))
    }

    pub(super) fn attach(&self, metadata: &mut MetadataMap) {
        metadata.insert(HEADER, self.0.clone());
    }

    /// Its bytes, for a greeting.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_encoded_bytes()
    }

    /// Whether this is what was shown. Takes the same time for every wrong key of its length.
    pub(crate) fn is(&self, shown: &[u8]) -> bool {
        bool::from(shown.ct_eq(self.bytes()))
    }

    /// Whether a call shows this key, and shows it once.
    fn shown_in(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(HEADER).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return false };
        self.is(value.as_bytes())
    }
}

impl fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterKey")
    }
}

/// What a caller without the key is told.
pub(crate) fn not_shown() -> Fault {
    let why = "the call does not show the key of this cluster; start every process with the same one";
    Fault::new(Code::Unauthenticated, why)
}

/// A layer under all internal services that refuses calls without the key as `unauthenticated`, before anything of
/// them is read. Without a key it lets everything through.
#[derive(Clone, Debug)]
pub struct RequireKey(Option<ClusterKey>);

impl RequireKey {
    /// The layer for this key.
    pub fn new(key: Option<ClusterKey>) -> Self {
        Self(key)
    }
}

impl<S> Layer<S> for RequireKey {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { inner, key: self.0.clone() }
    }
}

/// A service behind [`RequireKey`].
#[derive(Clone, Debug)]
pub struct Guarded<S> {
    inner: S,
    key: Option<ClusterKey>,
}

impl<S, Q, A> Service<Request<Q>> for Guarded<S>
where
    S: Service<Request<Q>, Response = Response<A>>,
    A: Default,
{
    type Response = Response<A>;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Response<A>, S::Error>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        if self.key.as_ref().is_none_or(|key| key.shown_in(request.headers())) {
            return Either::Left(self.inner.call(request));
        }
        let refused = to_internal_status(&not_shown());
        Either::Right(ready(Ok(refused.into_http())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_of_a_sensible_length_and_can_be_sent() {
        for bad in [
            "",
            "short",
            "has spaces in between",
            "käse-käse-käse-käse",
            "line\nline-line-line",
            &"x".repeat(513),
        ] {
            assert!(ClusterKey::parse(bad).is_err(), "{bad}");
        }
        let key = ClusterKey::parse("0123456789abcdef").unwrap();
        assert_eq!(format!("{key:?}"), "ClusterKey");
        assert!(!format!("{:?}", key.0).contains("0123"));
    }

    #[test]
    fn a_key_is_shown_once_and_exactly() {
        let key = ClusterKey::parse("0123456789abcdef").unwrap();
        let shown = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(HEADER, value.parse().unwrap());
            }
            key.shown_in(&headers)
        };
        assert!(shown(&["0123456789abcdef"]));
        for wrong in [&[][..], &[""], &["0123456789abcdeF"], &["0123456789abcdef0"], &["0123456789abcde"]] {
            assert!(!shown(wrong), "{wrong:?}");
        }
        assert!(!shown(&["0123456789abcdef", "0123456789abcdef"]));
    }
}
