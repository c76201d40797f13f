//! The component for S3, against the S3 server in memory.

use async_trait::async_trait;
use bytes::Bytes;
use credenza_connect::conformance::{CaseResult, destination, source, store};
use credenza_model::Key;
use credenza_s3_server::{Attributes, Options, Server};
use credenza_sandbox::{Configured, Role};

use super::bed::{Bed, Component, NO_CLOCK, NOT_SEEN, Service, conforms};

/// A server with a bucket for each connector that is made.
struct Buckets {
    server: Server,
    component: Component,
    prefix: &'static str,
}

impl Buckets {
    fn new(prefix: &'static str) -> Self {
        Self { server: Server::start(Options::default()).unwrap(), component: Component::of("s3"), prefix }
    }

    fn object(&self, key: &Key) -> String {
        format!("{}{}", self.prefix, std::str::from_utf8(key.as_bytes()).unwrap())
    }
}

#[async_trait]
impl Service for Buckets {
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

    fn put(&self, key: &Key, bytes: Bytes) {
        self.server.buckets.put_object(&self.component.place(), &self.object(key), bytes, Attributes::default());
    }

    fn get(&self, key: &Key) -> Option<Bytes> {
        self.server.buckets.get(&self.component.place(), &self.object(key)).map(|stored| stored.body())
    }

    fn key_bytes_max(&self) -> usize {
        1024 - self.prefix.len()
    }
}

/// A whole bucket, and a part of one.
const PREFIXES: [&str; 2] = ["", "deep/er/"];

/// Runs one part of the suite on a bed for each prefix; the server of a bed has a runtime of its own, so that this cannot be
/// one itself.
fn s3(skipped: &[&str], suite: impl AsyncFn(&Bed<Buckets>, u64) -> Vec<CaseResult>) {
    for prefix in PREFIXES {
        let bed = Bed(Buckets::new(prefix));
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
