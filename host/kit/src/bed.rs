//! Makes connectors for the cases, each at a folder of its own, and looks into it by another way than the connector's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use async_trait::async_trait;
use bytes::Bytes;
use credenza_connect::conformance::{DestinationBed, SourceBed, StoreBed};
use credenza_connect::{Destination, Result, Source, Store};
use credenza_model::Key;

use crate::plan::Names;
use crate::stand_in::StandIn;
use crate::subject::{Place, Subject};

/// A connector and the server that it is pointed at.
pub(crate) struct Bed {
    subject: Arc<dyn Subject>,
    names: Names,
    server: StandIn,
    made: AtomicU64,
}

impl Bed {
    pub(crate) fn new(subject: Arc<dyn Subject>, names: Names, server: StandIn) -> Self {
        Self { subject, names, server, made: AtomicU64::new(0) }
    }

    /// The folder of the connector made last.
    fn folder(&self) -> String {
        format!("case-{}", self.made.load(Relaxed))
    }

    fn path(&self, key: &Key) -> Vec<u8> {
        [self.folder().as_bytes(), b"/", key.as_bytes()].concat()
    }

    /// A new, empty folder.
    pub(crate) fn new_folder(&self) -> String {
        self.made.fetch_add(1, Relaxed);
        let folder = self.folder();
        self.server.make_folder(&folder);
        folder
    }

    pub(crate) fn server(&self) -> &StandIn {
        &self.server
    }

    fn place<'a>(&'a self, folder: &'a str) -> Place<'a> {
        Place { address: self.server.address(), folder }
    }
}

#[async_trait]
impl StoreBed for Bed {
    async fn fresh(&self) -> Result<Arc<dyn Store>> {
        self.subject.store(self.place(&self.new_folder())).await
    }
}

#[async_trait]
impl SourceBed for Bed {
    async fn filled(&self, objects: &[(Key, Bytes)]) -> Result<Arc<dyn Source>> {
        let source = self.subject.source(self.place(&self.new_folder())).await?;
        objects.iter().for_each(|(key, bytes)| self.server.put(&self.path(key), bytes.clone()));
        Ok(source)
    }

    async fn replace(&self, key: &Key, bytes: Bytes) -> Result<()> {
        self.server.put(&self.path(key), bytes);
        Ok(())
    }

    fn holds_any_bytes(&self) -> bool {
        self.names.any_bytes
    }

    /// Where there are folders, a key that ends in `/` is one of them.
    fn holds(&self, key: &Key) -> bool {
        !(self.server.has_folders() && key.as_bytes().ends_with(b"/"))
    }

    fn key_bytes_max(&self) -> usize {
        self.names.key_bytes_max
    }
}

#[async_trait]
impl DestinationBed for Bed {
    async fn fresh(&self) -> Result<Arc<dyn Destination>> {
        self.subject.destination(self.place(&self.new_folder())).await
    }

    async fn bytes(&self, key: &Key) -> Result<Option<Bytes>> {
        Ok(self.server.get(&self.path(key)))
    }

    async fn held(&self) -> Result<Option<Vec<Key>>> {
        Ok(Some(self.server.names_below(&self.folder()).into_iter().map(Key::new).collect()))
    }

    async fn versions(&self, key: &Key) -> Result<Option<Vec<Bytes>>> {
        Ok(Some(self.server.versions(&self.path(key))))
    }

    fn holds_any_bytes(&self) -> bool {
        self.names.any_bytes
    }

    fn key_bytes_max(&self) -> usize {
        self.names.key_bytes_max
    }
}
