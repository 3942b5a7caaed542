//! The Rust client of Vectron, over gRPC.
//!
//! What it is. A hand-written surface over the generated messages of the public contract: requests with
//! defaults, answers as plain types, one [`Error`] with cause, outcome and request id, retries that cannot
//! apply twice, and an [`Importer`] for loading many points.
//!
//! ```no_run
//! use vectron_client::{Client, CreateCollection, PointInput, SearchRequest};
//! # async fn example() -> Result<(), vectron_client::Error> {
//! let client = Client::connect("http://127.0.0.1:8080", None).await?;
//! client.create_collection(CreateCollection::new("docs", 3, "cosine")).await?;
//! client.upsert("docs", vec![PointInput::new("a", vec![1.0, 0.0, 0.0])]).await?;
//! let answer = client.search(SearchRequest::new("docs", vec![1.0, 0.1, 0.0]).top_k(5)).await?;
//! println!("{}", answer.results[0].id);
//! # Ok(())
//! # }
//! ```
//!
//! How data flows through it. A call becomes a message, goes out with a deadline and credentials, and comes
//! back as an answer or an [`Error`]. Only faults that the server calls retryable are tried again, those of
//! single points in an upsert's answer included; every upsert and delete carries an idempotency key, so a retry
//! applies once. A write that carries none is repeated only when it certainly had no effect.
//!
//! What it must never know. How the server keeps or finds anything.

mod aliases;
mod answers;
mod collections;
mod connection;
mod consistency;
mod convert;
mod error;
mod figures;
mod importer;
mod indexes;
mod insight;
mod points;
mod query;
mod retry;
mod search;
mod vectors;
mod writes;

pub use aliases::{Alias, AliasAction};
pub use answers::{
    AnsweredShards, Calibration, Collection, CollectionStatus, CountAnswer, Created, DeleteAnswer, Delivered,
    Explain, FilterExplain, GetAnswer, IndexCreated, IndexSettings, ItemFailure, MemorySplit, Payload,
    PayloadIndex, Point, PointsAnswer, QuantizationStatus, ReadMeta, RecallFigure, Replica, ScoredPoint,
    ScrollAnswer, SearchAnswer, ShardExplain, ShardFailure, ShardStatus, Stage, UpsertAnswer,
};
pub use collections::CreateCollection;
pub use connection::{Client, ClientOptions};
pub use consistency::Consistency;
pub use error::{Error, Kind};
pub use importer::{Batch, Importer, ImporterOptions, Progress, RowFailure, Sink};
pub use insight::{FailedClause, FieldValue, TuneAnswer, TuneRung, WhyNotAnswer};
pub use points::{
    CountRequest, DeleteRequest, GetManyRequest, GetRequest, PointInput, ScrollRequest, UpsertRequest,
};
pub use query::{
    Example, FacetAnswer, FacetRequest, Leg, LegRank, MatrixAnswer, MatrixRequest, QueryAnswer, QueryGroup,
    QueryRequest, QueryResult, SampleAnswer, SampleRequest,
};
pub use retry::{RetryPolicy, RetryWatch};
pub use search::SearchRequest;
pub use vectors::FieldVector;
pub use vectron_base::{Code, Fault, FieldError, Outcome};
pub use writes::{
    BatchAnswer, BatchResult, PayloadAnswer, PayloadChange, PayloadRequest, PointCondition, WriteBatch,
};
