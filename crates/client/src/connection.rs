//! The connection: address, credentials, deadlines, and the one path that every call takes.

use crate::error::Error;
use crate::retry::{RetryPolicy, RetryWatch, Rules};
use std::time::Duration;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};
use vectron_base::random::{Random, SystemRandom};
use vectron_base::{Code, Outcome};
use vectron_wire::proto::public::vectron_service_client::VectronServiceClient;

/// The generated client, ready for one call.
pub(crate) type Stub = VectronServiceClient<Channel>;

/// How a client behaves.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Time for establishing the connection.
    pub connect_timeout: Duration,
    /// Time for one attempt of one call.
    pub timeout: Duration,
    /// What to do after a retryable fault.
    pub retry: RetryPolicy,
    /// Largest message either way.
    pub max_message_bytes: usize,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(30),
            retry: RetryPolicy::default(),
            max_message_bytes: 256 << 20,
        }
    }
}

/// A connection to Vectron. Cheap to clone; clones share the connection.
#[derive(Clone)]
pub struct Client {
    stub: Stub,
    credentials: Option<MetadataValue<Ascii>>,
    pub(crate) options: ClientOptions,
    watch: Option<RetryWatch>,
}

/// Whether a call may be sent again when nobody knows what became of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// It reads, or carries an idempotency key, or comes to the same.
    Safely,
    /// Only when the server says that it had no effect.
    IfNotApplied,
}

impl Client {
    /// Connects to `http://HOST:PORT` with an optional key or token, and the default options.
    pub async fn connect(url: &str, key: Option<&str>) -> Result<Self, Error> {
        Self::connect_with(url, key, ClientOptions::default()).await
    }

    /// Connects with options of your own.
    pub async fn connect_with(url: &str, key: Option<&str>, options: ClientOptions) -> Result<Self, Error> {
        let channel = endpoint(url, &options)?.connect().await.map_err(|error| {
            let detail =
                format!("cannot reach {url}: {}; is `vectron up` running there?", root_cause(&error));
            Error::local(Code::Unavailable, detail)
        })?;
        let credentials = key.map(bearer).transpose()?;
        let stub = VectronServiceClient::new(channel)
            .max_decoding_message_size(options.max_message_bytes)
            .max_encoding_message_size(options.max_message_bytes);
        Ok(Self { stub, credentials, options, watch: None })
    }

    /// The same connection with another retry policy.
    pub fn with_retry(&self, retry: RetryPolicy) -> Self {
        let mut client = self.clone();
        client.options.retry = retry;
        client
    }

    /// The same connection, telling `watch` of every pause before another attempt.
    pub fn with_retry_watch(&self, watch: RetryWatch) -> Self {
        let mut client = self.clone();
        client.watch = Some(watch);
        client
    }

    /// One call: message, deadline, credentials, retries.
    pub(crate) async fn call<M, A, F>(
        &self,
        message: M,
        timeout_ms: Option<u64>,
        repeat: Repeat,
        method: impl Fn(Stub, Request<M>) -> F,
    ) -> Result<A, Error>
    where
        M: Clone,
        F: Future<Output = Result<Response<A>, Status>>,
    {
        self.call_until(message, timeout_ms, repeat, &|_| None, method).await
    }

    /// The same, repeated also after an answer that `unfinished` finds a fault in.
    pub(crate) async fn call_until<M, A, F>(
        &self,
        message: M,
        timeout_ms: Option<u64>,
        repeat: Repeat,
        unfinished: &(dyn Fn(&A) -> Option<Error> + Sync),
        method: impl Fn(Stub, Request<M>) -> F,
    ) -> Result<A, Error>
    where
        M: Clone,
        F: Future<Output = Result<Response<A>, Status>>,
    {
        // The server's own deadline comes first, so that its answer says what became of the request.
        let deadline = timeout_ms.map_or(self.options.timeout, |ms| {
            Duration::from_millis(ms).saturating_add(Duration::from_secs(1))
        });
        let may_retry = |error: &Error| {
            error.retryable() && (repeat == Repeat::Safely || error.outcome() == Outcome::NotApplied)
        };
        let attempt = |_| {
            let mut request = Request::new(message.clone());
            request.set_timeout(deadline);
            if let Some(credentials) = &self.credentials {
                request.metadata_mut().insert("authorization", credentials.clone());
            }
            let call = method(self.stub.clone(), request);
            async move { call.await.map(Response::into_inner).map_err(|status| Error::from_status(&status)) }
        };
        let rules = Rules { may_retry: &may_retry, unfinished, watch: self.watch.as_ref() };
        self.options.retry.run_by(rules, attempt).await
    }
}

fn endpoint(url: &str, options: &ClientOptions) -> Result<Endpoint, Error> {
    let wrong = |reason: &str| {
        Error::local(
            Code::InvalidArgument,
            format!("'{url}' {reason}; give an address such as http://127.0.0.1:8080"),
        )
    };
    if url.starts_with("https://") {
        return Err(wrong("asks for TLS, which this client does not speak; put a TLS proxy in front"));
    }
    if !url.starts_with("http://") {
        return Err(wrong("does not start with http://"));
    }
    let endpoint = Endpoint::from_shared(url.to_string()).map_err(|_| wrong("is not an address"))?;
    Ok(endpoint
        .connect_timeout(options.connect_timeout)
        .tcp_nodelay(true)
        .http2_adaptive_window(true)
        .http2_keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10)))
}

fn bearer(key: &str) -> Result<MetadataValue<Ascii>, Error> {
    let mut value: MetadataValue<Ascii> = format!("Bearer {}", key.trim()).parse().map_err(|_| {
        Error::local(Code::InvalidArgument, "the key holds characters that cannot travel in a header")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// The innermost cause, which is the one that says something ("connection refused").
pub(crate) fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// A fresh idempotency key.
pub(crate) fn idempotency_key() -> String {
    format!("{:016x}{:016x}", SystemRandom.next_u64(), SystemRandom.next_u64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn wrong_addresses_and_closed_ports_are_told_apart() {
        for url in ["https://127.0.0.1:1", "127.0.0.1:8080", "http://[", ""] {
            let error = Client::connect(url, None).await.err().unwrap();
            assert_eq!(error.code(), Code::InvalidArgument, "{url}");
        }
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let error = Client::connect(&format!("http://{address}"), None).await.err().unwrap();
        assert_eq!(error.code(), Code::Unavailable);
        assert!(error.fault.detail.contains("refused"), "{error}");
    }

    #[test]
    fn keys_are_hidden_and_checked() {
        assert!(bearer("abc\n").unwrap().is_sensitive());
        assert!(bearer("a\u{0}b").is_err());
        assert_ne!(idempotency_key(), idempotency_key());
    }
}
