//! The server that an import writes to, over either transport.

use super::Transport;
use super::rest::Rest;
use crate::cli::args::Global;
use crate::cli::exit::Outcome;
use vectron_client::{
    Client, ClientOptions, Collection, CreateCollection, Importer, ImporterOptions, RetryPolicy, RetryWatch,
};

/// A server.
#[derive(Clone)]
pub enum Target {
    /// Over gRPC.
    Grpc(Box<Client>),
    /// Over REST.
    Rest(Box<Rest>),
}

impl Target {
    /// Connects as the global options say.
    pub async fn connect(transport: Transport, global: &Global) -> Outcome<Self> {
        let key = global.key();
        Ok(match transport {
            Transport::Grpc => {
                let client = Client::connect_with(&global.url, key, ClientOptions::default()).await?;
                Target::Grpc(Box::new(client))
            }
            Transport::Rest => Target::Rest(Box::new(Rest::connect(&global.url, key).await?)),
        })
    }

    /// A collection's settings.
    pub async fn collection(&self, name: &str) -> Outcome<Collection> {
        Ok(match self {
            Target::Grpc(client) => client.collection(name).await?,
            Target::Rest(rest) => rest.collection(name).await?,
        })
    }

    /// Creates a collection.
    pub async fn create(&self, name: &str, dimension: u32, distance: &str) -> Outcome<Collection> {
        Ok(match self {
            Target::Grpc(client) => {
                client.create_collection(CreateCollection::new(name, dimension, distance)).await?.collection
            }
            Target::Rest(rest) => rest.create(name, dimension, distance).await?,
        })
    }

    /// An importer that outlasts a restart of the server and waits while it is busy, telling `watch`.
    pub fn importer(&self, collection: &str, options: ImporterOptions, watch: RetryWatch) -> Importer {
        match self {
            Target::Grpc(client) => {
                let client = client.with_retry(RetryPolicy::patient()).with_retry_watch(watch);
                Importer::new(client, collection, options)
            }
            Target::Rest(rest) => Importer::new(rest.with_retry_watch(watch), collection, options),
        }
    }
}
