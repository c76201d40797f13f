//! The component for S3, against the S3 server in memory.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use credenza_connect::conformance::{CaseResult, DestinationBed, SourceBed, StoreBed, destination, source, store};
use credenza_connect::{Destination, Result, Source, Store};
use credenza_model::Key;
use credenza_s3_server::{Attributes, Options, Server};
use credenza_sandbox::{Configured, Role};

use super::bed::{Component, NO_CLOCK, NOT_SEEN, conforms};

/// A server with a bucket for each connector that is made.
struct Bed {
    server: Server,
    component: Component,
    prefix: &'static str,
}

impl Bed {
    fn new(prefix: &'static str) -> Self {
        Self { server: Server::start(Options::default()).unwrap(), component: Component::of("s3"), prefix }
    }

    fn object(&self, key: &Key) -> String {
        format!("{}{}", self.prefix, std::str::from_utf8(key.as_bytes()).unwrap())
    }

    fn put(&self, key: &Key, bytes: Bytes) {
        self.server.buckets.put_object(&self.component.place(), &self.object(key), bytes, Attributes::default());
    }

    async fn configured(&self, roles: &[Role]) -> Configured {
        let bucket = self.component.next_place();
        match roles.contains(&Role::Store) {
            true => self.server.buckets.create_locking(&bucket),
            false => self.server.buckets.create(&bucket),
        }
        let prefix = self.prefix.trim_end_matches('/');
        let location = format!("s3://127.0.0.1:{}/{bucket}/{prefix}", self.server.port);
        let settings = [
            ("location", location.trim_end_matches('/')),
            ("access_key", &self.server.access_key),
            ("secret_access_key", &self.server.secret_key),
        ];
        self.component.configured(roles, &settings).await
    }
}

#[async_trait]
impl StoreBed for Bed {
    async fn fresh(&self) -> Result<Arc<dyn Store>> {
        Ok(self.configured(&[Role::Store, Role::Prune]).await.store().unwrap())
    }
}

#[async_trait]
impl SourceBed for Bed {
    async fn filled(&self, objects: &[(Key, Bytes)]) -> Result<Arc<dyn Source>> {
        let configured = self.configured(&[Role::Source]).await;
        objects.iter().for_each(|(key, bytes)| self.put(key, bytes.clone()));
        Ok(configured.source().unwrap())
    }

    async fn replace(&self, key: &Key, bytes: Bytes) -> Result<()> {
        self.put(key, bytes);
        Ok(())
    }

    fn holds_any_bytes(&self) -> bool {
        false
    }

    fn key_bytes_max(&self) -> usize {
        1024 - self.prefix.len()
    }
}

#[async_trait]
impl DestinationBed for Bed {
    async fn fresh(&self) -> Result<Arc<dyn Destination>> {
        Ok(self.configured(&[Role::Destination]).await.destination().unwrap())
    }

    async fn bytes(&self, key: &Key) -> Result<Option<Bytes>> {
        Ok(self.server.buckets.get(&self.component.place(), &self.object(key)).map(|stored| stored.body()))
    }

    fn holds_any_bytes(&self) -> bool {
        false
    }

    fn key_bytes_max(&self) -> usize {
        1024 - self.prefix.len()
    }
}

/// A whole bucket, and a part of one.
const PREFIXES: [&str; 2] = ["", "deep/er/"];

/// Runs one part of the suite on a bed for each prefix; the server of a bed has a runtime of its own, so that this cannot be
/// one itself.
fn s3(skipped: &[&str], suite: impl AsyncFn(&Bed, u64) -> Vec<CaseResult>) {
    for prefix in PREFIXES {
        let bed = Bed::new(prefix);
        conforms(skipped, async |seed| suite(&bed, seed).await);
    }
}

#[test]
fn the_s3_store_conforms() {
    s3(&["!retention"], async |bed, seed| store(bed, seed).await);
}

#[test]
fn the_s3_source_conforms() {
    // Servers differ in how they list, so that no order is claimed.
    s3(&["!ranged-read", "ordered-scan", NO_CLOCK], async |bed, seed| source(bed, seed).await);
}

#[test]
fn the_s3_destination_conforms() {
    s3(
        &["!attributes:http", "!attributes:s3", "attributes:posix", "history", "symlinks", NOT_SEEN],
        async |bed, seed| destination(bed, seed).await,
    );
}
