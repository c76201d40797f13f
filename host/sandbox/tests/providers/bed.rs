//! What the beds of all providers share: the connector, a server of `tests/servers`, settings, and the run of the suite. Each bed says where its places are
//! and how they are looked into by another way than the connector's.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use credenza_connect::conformance::{CaseResult, require_all};
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
    /// It is compiled once.
    pub(crate) fn of(name: &'static str) -> Self {
        static LOADED: Mutex<BTreeMap<&str, Arc<Connector>>> = Mutex::new(BTreeMap::new());
        let mut loaded = LOADED.lock().unwrap();
        let connector = loaded.entry(name).or_insert_with(|| {
            let path = here().join("../../target/connectors").join(name).with_extension("wasm");
            let bytes = fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}; run cargo xtask guests", path.display()));
            Arc::new(Sandbox::new(SandboxOptions::default()).unwrap().load(&bytes).unwrap())
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
