//! The conformance suite over the S3 component, in the sandbox, against the S3 server in memory; bare, as the wrappers
//! that stand before it in use must not be what makes it right.

#![allow(clippy::disallowed_methods, reason = "a test makes times of its own")]
#![allow(clippy::unwrap_used, reason = "a bed that cannot be made is a failed test")]

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use bytes::Bytes;
use credenza_connect::conformance::{
    CaseResult, DestinationBed, SourceBed, StoreBed, destination, require_all, source, store,
};
use credenza_connect::{Destination, Result, Source, Store};
use credenza_model::Key;
use credenza_s3_server::{Attributes, Options, Server};
use credenza_sandbox::{Configured, Connector, RawSettings, Role, Sandbox, SandboxOptions, SecretText, Surroundings};

/// A new seed for every run; a failure prints it.
fn seed() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |time| time.as_nanos() as u64)
}

fn connector() -> &'static Connector {
    static CONNECTOR: OnceLock<Connector> = OnceLock::new();
    CONNECTOR.get_or_init(|| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/connectors/s3.wasm");
        let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}; run cargo xtask guests", path.display()));
        Sandbox::new(SandboxOptions::default()).unwrap().load(&bytes).unwrap()
    })
}

/// A server with a bucket for each connector that is made.
struct Bed {
    server: Server,
    prefix: &'static str,
    made: AtomicU64,
}

impl Bed {
    fn new(prefix: &'static str) -> Self {
        Self { server: Server::start(Options::default()).unwrap(), prefix, made: AtomicU64::new(0) }
    }

    /// The bucket of the connector made last.
    fn bucket(&self) -> String {
        format!("bucket-{}", self.made.load(Relaxed))
    }

    fn object(&self, key: &Key) -> String {
        format!("{}{}", self.prefix, std::str::from_utf8(key.as_bytes()).unwrap())
    }

    fn put(&self, key: &Key, bytes: Bytes) {
        self.server.buckets.put_object(&self.bucket(), &self.object(key), bytes, Attributes::default());
    }

    async fn configured(&self, roles: &[Role]) -> Configured {
        self.made.fetch_add(1, Relaxed);
        match roles.contains(&Role::Store) {
            true => self.server.buckets.create_locking(&self.bucket()),
            false => self.server.buckets.create(&self.bucket()),
        }
        let prefix = self.prefix.trim_end_matches('/');
        let location = format!("s3://127.0.0.1:{}/{}/{prefix}", self.server.port, self.bucket());
        let settings = [
            ("location", location.trim_end_matches('/')),
            ("use_tls", "false"),
            ("access_key", &self.server.access_key),
            ("secret_access_key", &self.server.secret_key),
        ];
        let settings: RawSettings =
            settings.into_iter().map(|(name, value)| (name.to_owned(), SecretText::new(value))).collect();
        connector().configure(&settings, &Surroundings::none(), roles, "conformance").await.unwrap()
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
        Ok(self.server.buckets.get(&self.bucket(), &self.object(key)).map(|stored| stored.body()))
    }

    fn holds_any_bytes(&self) -> bool {
        false
    }

    fn key_bytes_max(&self) -> usize {
        1024 - self.prefix.len()
    }
}

/// Why what only another look into the destination could tell is skipped.
const NOT_SEEN: &str = "nothing else can look into it";

/// A whole bucket, and a part of one.
const PREFIXES: [&str; 2] = ["", "deep/er/"];

/// Runs one part of the suite on a bed for each prefix; the server of a bed has a runtime of its own, so that this cannot be
/// one itself.
fn conforms(skipped: &[&str], suite: impl AsyncFn(&Bed, u64) -> Vec<CaseResult>) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for prefix in PREFIXES {
        let (bed, seed) = (Bed::new(prefix), seed());
        let results = runtime.block_on(suite(&bed, seed));
        require_all(&results, skipped).unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
    }
}

#[test]
fn the_s3_store_conforms() {
    conforms(&["!retention"], async |bed, seed| store(bed, seed).await);
}

#[test]
fn the_s3_source_conforms() {
    // Servers differ in how they list, so that no order is claimed.
    conforms(&["!ranged-read", "ordered-scan"], async |bed, seed| source(bed, seed).await);
}

#[test]
fn the_s3_destination_conforms() {
    conforms(&["!attributes:http", "symlinks", NOT_SEEN], async |bed, seed| destination(bed, seed).await);
}
