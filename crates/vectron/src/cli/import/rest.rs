//! Upserts over plain HTTP and JSON.

use crate::cli::http::{Http, escaped, not_understood, parse};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::Method;
use serde_json::Value;
use std::fmt::Write;
use std::sync::Arc;
use vectron_base::Code;
use vectron_client::{
    Batch, Collection, Consistency, Error, IndexSettings, RetryPolicy, RetryWatch, Sink, UpsertAnswer,
};

/// A server behind REST.
#[derive(Clone)]
pub struct Rest {
    http: Http,
    watch: Option<RetryWatch>,
}

impl Rest {
    /// Checks that a server answers at `url`.
    pub async fn connect(url: &str, key: Option<&str>) -> Result<Self, Error> {
        let http = Http::new(url, key)?;
        http.send(Method::GET, "/healthz", None).await?;
        Ok(Self { http, watch: None })
    }

    /// The same server, telling `watch` of every pause before another attempt.
    pub fn with_retry_watch(&self, watch: RetryWatch) -> Self {
        Self { watch: Some(watch), ..self.clone() }
    }

    /// A collection's settings.
    pub async fn collection(&self, name: &str) -> Result<Collection, Error> {
        let answer = self.http.send(Method::GET, &format!("/v1/collections/{}", escaped(name)), None).await?;
        collection(&parse(&answer)?)
    }

    /// Creates a collection.
    pub async fn create(&self, name: &str, dimension: u32, distance: &str) -> Result<Collection, Error> {
        let body = serde_json::json!({ "name": name, "dimension": dimension, "distance": distance });
        let answer = self.http.send(Method::POST, "/v1/collections", Some(body.to_string())).await?;
        let answer = parse(&answer)?;
        collection(answer.get("collection").unwrap_or(&answer))
    }
}

impl Sink for Rest {
    fn send(&self, batch: Arc<Batch>) -> BoxFuture<'static, Result<UpsertAnswer, Error>> {
        let rest = self.clone();
        async move {
            let path = format!("/v1/collections/{}/points", escaped(&batch.collection));
            let body = body(&batch)?;
            let attempt = |_| async {
                let answer = rest.http.send(Method::POST, &path, Some(body.clone())).await?;
                serde_json::from_slice(&answer).map_err(|error| not_understood(&error))
            };
            RetryPolicy::patient().run_upsert(rest.watch.as_ref(), attempt).await
        }
        .boxed()
    }
}

/// The JSON of a batch. Payloads go in as the text they came as.
fn body(batch: &Batch) -> Result<String, Error> {
    let quoted = |text: &str| serde_json::to_string(text).map_err(|error| not_understood(&error));
    let mut json = format!("{{\"idempotency_key\":{},\"points\":[", quoted(&batch.key)?);
    for (position, point) in batch.points.iter().enumerate() {
        if position > 0 {
            json.push(',');
        }
        let bytes: Vec<u8> = point.vector.iter().flat_map(|number| number.to_le_bytes()).collect();
        json.push_str("{\"id\":");
        json.push_str(&quoted(&point.id)?);
        json.push_str(",\"vector_b64\":\"");
        BASE64_STANDARD.encode_string(bytes, &mut json);
        json.push('"');
        if let Some(payload) = &point.payload {
            json.push_str(",\"payload\":");
            json.push_str(payload.as_str());
        }
        if let Some(version) = point.if_version {
            let _ = write!(json, ",\"if_version\":{version}");
        }
        json.push('}');
    }
    json.push_str("]}");
    Ok(json)
}

fn collection(answer: &Value) -> Result<Collection, Error> {
    let lacking = |name: &str| {
        Error::local(Code::Internal, format!("the server's description of the collection has no '{name}'"))
    };
    let number = |name: &str| answer.get(name).and_then(Value::as_u64);
    let text = |name: &str| answer.get(name).and_then(Value::as_str).map(str::to_string);
    let small = |name: &str| number(name).and_then(|n| u32::try_from(n).ok());
    Ok(Collection {
        name: text("name").ok_or_else(|| lacking("name"))?,
        dimension: small("dimension").ok_or_else(|| lacking("dimension"))?,
        distance: text("distance").ok_or_else(|| lacking("distance"))?,
        shards: small("shards").unwrap_or(1),
        replication_factor: small("replication_factor").unwrap_or(1),
        read_policy: Consistency::Linearizable,
        quantization: text("quantization").unwrap_or_default(),
        storage: text("storage").unwrap_or_default(),
        index: IndexSettings::default(),
        ttl_ms: number("ttl_ms"),
        created_at_ms: number("created_at_ms").unwrap_or(0),
        incarnation: number("incarnation").unwrap_or(0),
        changeable: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use vectron_client::{Payload, PointInput};

    #[test]
    fn a_batch_is_json_with_exact_payloads() {
        let payload = Payload::from_json(r#"{"n":9007199254740993}"#.into()).unwrap();
        let batch = Batch {
            collection: "docs".into(),
            points: vec![
                PointInput::new("a\"b", vec![1.0]).payload(payload),
                PointInput::new("c", vec![2.0]).if_version(0),
            ],
            key: "k".into(),
        };
        assert_eq!(
            body(&batch).unwrap(),
            r#"{"idempotency_key":"k","points":[{"id":"a\"b","vector_b64":"AACAPw==","payload":{"n":9007199254740993}},{"id":"c","vector_b64":"AAAAQA==","if_version":0}]}"#
        );
    }
}
