//! What the beds of all providers share: the connector, a server of `tests/servers`, settings, and the run of the suite. Each provider is a [`Service`], which
//! says where its places are and how they are looked into by another way than the connector's.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use credenza_connect::conformance::{CaseResult, DestinationBed, SourceBed, StoreBed, require_all};
use credenza_connect::wrap::{Retry, RetryPolicy};
use credenza_connect::{Destination, Result, Source, Store};
use credenza_model::Key;
use credenza_sandbox::{Configured, Connector, RawSettings, Role, Sandbox, SandboxOptions, SecretText, Surroundings};
use tempfile::TempDir;

/// Why what only another look into the destination could tell is skipped.
pub(crate) const NOT_SEEN: &str = "nothing else can look into it";

/// Why what a source showed at another time is not looked at.
pub(crate) const NO_CLOCK: &str = "it tells no clock";

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A component of `plugins`, and how many places were made for it.
pub(crate) struct Component {
    connector: Arc<Connector>,
    made: AtomicU64,
}

impl Component {
    /// It is compiled once for all tests of the workspace.
    pub(crate) fn of(name: &'static str) -> Self {
        static LOADED: Mutex<BTreeMap<&str, Arc<Connector>>> = Mutex::new(BTreeMap::new());
        let mut loaded = LOADED.lock().unwrap();
        let connector = loaded.entry(name).or_insert_with(|| {
            let path = here().join("../../target/connectors").join(name).with_extension("wasm");
            let bytes = fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}; run cargo xtask guests", path.display()));
            let compiled = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled");
            let options = SandboxOptions { cache_dir: Some(compiled), ..SandboxOptions::default() };
            Arc::new(Sandbox::new(options).unwrap().load(&bytes).unwrap())
        });
        Self { connector: Arc::clone(connector), made: AtomicU64::new(0) }
    }

    /// The name of another place than those before.
    pub(crate) fn next_place(&self) -> String {
        self.made.fetch_add(1, Relaxed);
        self.place()
    }

    /// The name of the place made last.
    pub(crate) fn place(&self) -> String {
        format!("bed-{}", self.made.load(Relaxed))
    }

    /// The connector with these settings, without TLS.
    pub(crate) async fn configured(&self, roles: &[Role], settings: &[(&str, &str)]) -> Configured {
        let all = [("use_tls", "false")].iter().chain(settings);
        let settings: RawSettings = all.map(|(name, text)| ((*name).to_owned(), SecretText::new(*text))).collect();
        self.connector.configure(&settings, &Surroundings::none(), roles, "conformance").await.unwrap()
    }
}

/// A server of `tests/servers`; it ends when dropped.
pub(crate) struct Server {
    pub(crate) work: TempDir,
    pub(crate) host: String,
    /// Whom it lets in: a user and a password, or an account and its key.
    pub(crate) user: String,
    pub(crate) secret: String,
}

fn script(name: &str) -> PathBuf {
    here().join("../../tests/servers").join(name)
}

impl Server {
    pub(crate) fn start(kind: &str) -> Self {
        let work = TempDir::new().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let output =
            Command::new(script("start.sh")).arg(kind).arg(work.path()).arg(port.to_string()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{kind}: {said}{}", String::from_utf8_lossy(&output.stderr));
        let value =
            |name: &str| said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap().to_owned();
        let host = value("endpoint").trim_start_matches("http://").to_owned();
        Self { work, host, user: value("access_key"), secret: value("secret_key") }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = Command::new(script("stop.sh")).arg(self.work.path()).status();
    }
}

/// Each byte of a path with its escape, but for `/`.
pub(crate) fn escaped(path: &[u8]) -> String {
    path.iter().map(|byte| format!("%{byte:02X}")).collect::<String>().replace("%2F", "/")
}

/// Runs one part of the suite with a new seed, which a failure prints: no case fails, and cases are skipped for these reasons and no others.
pub(crate) fn conforms(skipped: &[&str], suite: impl AsyncFnOnce(u64) -> Vec<CaseResult>) {
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |t| t.as_nanos() as u64);
    let results = tokio::runtime::Runtime::new().unwrap().block_on(suite(seed));
    require_all(&results, skipped).unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
}

/// What stands in for a provider, with a place for each connector that is made.
#[async_trait]
pub(crate) trait Service: Send + Sync {
    /// Whether what writes tries again: who moves to a name while another does waits for its lock on some servers.
    const RETRIES: bool = false;

    /// The connector with a new place.
    async fn configured(&self, roles: &[Role]) -> Configured;

    /// Puts an object into the place made last, by another client than the connector.
    fn put(&self, key: &Key, bytes: Bytes);

    /// What is there, by another client than the connector.
    fn get(&self, key: &Key) -> Option<Bytes>;

    /// Whether a source can have such a key.
    fn lists(&self, _key: &Key) -> bool {
        true
    }

    /// Whether a destination can take such a key.
    fn takes(&self, _key: &Key) -> bool {
        true
    }

    /// The longest key, in bytes.
    fn key_bytes_max(&self) -> usize;
}

/// The places of a service, for the suite.
pub(crate) struct Bed<S>(pub(crate) S);

#[async_trait]
impl<S: Service> StoreBed for Bed<S> {
    async fn fresh(&self) -> Result<Arc<dyn Store>> {
        let store = self.0.configured(&[Role::Store, Role::Prune]).await.store().unwrap();
        Ok(if S::RETRIES { Arc::new(Retry::new(store, RetryPolicy::default())) } else { store })
    }
}

#[async_trait]
impl<S: Service> SourceBed for Bed<S> {
    async fn filled(&self, objects: &[(Key, Bytes)]) -> Result<Arc<dyn Source>> {
        let configured = self.0.configured(&[Role::Source]).await;
        objects.iter().for_each(|(key, bytes)| self.0.put(key, bytes.clone()));
        Ok(configured.source().unwrap())
    }

    async fn replace(&self, key: &Key, bytes: Bytes) -> Result<()> {
        self.0.put(key, bytes);
        Ok(())
    }

    fn holds_any_bytes(&self) -> bool {
        false
    }

    fn holds(&self, key: &Key) -> bool {
        self.0.lists(key)
    }

    fn key_bytes_max(&self) -> usize {
        self.0.key_bytes_max()
    }
}

#[async_trait]
impl<S: Service> DestinationBed for Bed<S> {
    async fn fresh(&self) -> Result<Arc<dyn Destination>> {
        let destination = self.0.configured(&[Role::Destination, Role::Replay]).await.destination().unwrap();
        Ok(if S::RETRIES { Arc::new(Retry::new(destination, RetryPolicy::default())) } else { destination })
    }

    async fn bytes(&self, key: &Key) -> Result<Option<Bytes>> {
        Ok(self.0.get(key))
    }

    fn holds(&self, key: &Key) -> bool {
        self.0.takes(key)
    }

    fn holds_any_bytes(&self) -> bool {
        false
    }

    fn key_bytes_max(&self) -> usize {
        self.0.key_bytes_max()
    }
}
