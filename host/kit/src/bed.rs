//! Makes connectors for the cases, each at a folder of its own, and looks into it by another way than the connector's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use async_trait::async_trait;
use bytes::Bytes;
use credenza_connect::conformance::{DestinationBed, SourceBed, StoreBed};
use credenza_connect::{Destination, Error, ErrorClass, Result, Source, Store};
use credenza_model::Key;
use credenza_sandbox::{Configured, Connector, Role, Surroundings};

use crate::plan::Plan;
use crate::stand_in::WebDav;

/// A connector and the server that it is pointed at.
pub(crate) struct Bed {
    connector: Arc<Connector>,
    plan: Plan,
    server: WebDav,
    made: AtomicU64,
}

impl Bed {
    pub(crate) fn new(connector: Arc<Connector>, plan: Plan, server: WebDav) -> Self {
        Self { connector, plan, server, made: AtomicU64::new(0) }
    }

    /// The folder of the connector made last.
    fn folder(&self) -> String {
        format!("case-{}", self.made.load(Relaxed))
    }

    fn path(&self, key: &Key) -> Vec<u8> {
        [self.folder().as_bytes(), b"/", key.as_bytes()].concat()
    }

    /// The connector at a new, empty folder.
    pub(crate) async fn configured(&self, roles: &[Role]) -> Result<Configured> {
        self.made.fetch_add(1, Relaxed);
        self.server.make_folder(&self.folder());
        let settings = self.plan.settings(self.server.address(), &self.folder());
        let configured = self.connector.configure(&settings, &Surroundings::none(), roles, "conformance").await;
        configured.map_err(refused)
    }
}

fn refused(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorClass::Configuration, "kit.settings", error.to_string())
}

#[async_trait]
impl StoreBed for Bed {
    async fn fresh(&self) -> Result<Arc<dyn Store>> {
        self.configured(&[Role::Store, Role::Prune]).await?.store().map_err(refused)
    }
}

#[async_trait]
impl SourceBed for Bed {
    async fn filled(&self, objects: &[(Key, Bytes)]) -> Result<Arc<dyn Source>> {
        let configured = self.configured(&[Role::Source]).await?;
        objects.iter().for_each(|(key, bytes)| self.server.put(&self.path(key), bytes.clone()));
        configured.source().map_err(refused)
    }

    async fn replace(&self, key: &Key, bytes: Bytes) -> Result<()> {
        self.server.put(&self.path(key), bytes);
        Ok(())
    }

    fn key_bytes_max(&self) -> usize {
        self.plan.key_bytes_max
    }
}

#[async_trait]
impl DestinationBed for Bed {
    async fn fresh(&self) -> Result<Arc<dyn Destination>> {
        self.configured(&[Role::Destination]).await?.destination().map_err(refused)
    }

    async fn bytes(&self, key: &Key) -> Result<Option<Bytes>> {
        Ok(self.server.get(&self.path(key)))
    }

    async fn held(&self) -> Result<Option<Vec<Key>>> {
        Ok(Some(self.server.names_below(&self.folder()).into_iter().map(Key::new).collect()))
    }

    fn key_bytes_max(&self) -> usize {
        self.plan.key_bytes_max
    }
}
