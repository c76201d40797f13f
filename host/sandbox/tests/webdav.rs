//! The conformance suite over the WebDAV component, in the sandbox, against two servers that differ: `rclone serve webdav` and WsgiDAV,
//! each over a folder that the tests look into. `tests/servers/install.sh rclone wsgidav` installs them.

#![allow(clippy::disallowed_methods, reason = "a test makes times of its own")]
#![allow(clippy::unwrap_used, reason = "a bed that cannot be made is a failed test")]

use std::fs;
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use bytes::Bytes;
use credenza_connect::conformance::{
    CaseResult, DestinationBed, SourceBed, StoreBed, destination, require_all, source, store,
};
use credenza_connect::wrap::{Retry, RetryPolicy};
use credenza_connect::{Destination, Result, Source, Store};
use credenza_model::Key;
use credenza_sandbox::{Configured, Connector, RawSettings, Role, Sandbox, SandboxOptions, SecretText, Surroundings};
use tempfile::TempDir;

/// The longest name of the file systems below the servers, less what a file on its way is called besides.
const NAME_BYTES_MAX: usize = 200;

/// A new seed for every run; a failure prints it.
fn seed() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |time| time.as_nanos() as u64)
}

fn connector() -> &'static Connector {
    static CONNECTOR: OnceLock<Connector> = OnceLock::new();
    CONNECTOR.get_or_init(|| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/connectors/webdav.wasm");
        let bytes = fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}; run cargo xtask guests", path.display()));
        Sandbox::new(SandboxOptions::default()).unwrap().load(&bytes).unwrap()
    })
}

/// A server over a folder; it ends when dropped.
struct Server {
    work: TempDir,
    host: String,
    user: String,
    password: String,
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/servers").join(name)
}

impl Server {
    fn start(kind: &str) -> Self {
        let work = TempDir::new().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let output =
            Command::new(script("start.sh")).arg(kind).arg(work.path()).arg(port.to_string()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{kind}: {said}{}", String::from_utf8_lossy(&output.stderr));
        let value =
            |name: &str| said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap().to_owned();
        let host = value("endpoint").trim_start_matches("http://").to_owned();
        Self { work, host, user: value("access_key"), password: value("secret_key") }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = Command::new(script("stop.sh")).arg(self.work.path()).status();
    }
}

/// A server with a folder for each connector that is made.
struct Bed {
    server: Server,
    prefix: &'static str,
    made: AtomicU64,
}

impl Bed {
    fn new(kind: &str, prefix: &'static str) -> Self {
        Self { server: Server::start(kind), prefix, made: AtomicU64::new(0) }
    }

    /// The place of the connector made last, below the root of the server.
    fn place(&self) -> String {
        format!("bed-{}{}", self.made.load(Relaxed), self.prefix)
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.server.work.path().join("data").join(self.place()).join(std::ffi::OsStr::from_bytes(key.as_bytes()))
    }

    fn write(&self, key: &Key, bytes: &[u8]) {
        let path = self.path(key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // Another file in its place: what keeps its times in seconds is told apart by its number.
        let beside = path.with_extension("beside");
        fs::write(&beside, bytes).unwrap();
        fs::rename(&beside, &path).unwrap();
        // A server may remember for a while what was there before.
        let is_there = (0..TRIES_MAX).any(|_| self.served(key) == bytes);
        assert!(is_there, "the server does not show `{key}`");
    }

    /// What the server answers for a key.
    fn served(&self, key: &Key) -> Vec<u8> {
        let path = [self.place().as_bytes(), b"/", key.as_bytes()].concat();
        let escaped: String = path.iter().map(|byte| format!("%{byte:02X}")).collect();
        let escaped = escaped.replace("%2F", "/");
        let url = format!("http://{}/{escaped}", self.server.host);
        let user = format!("{}:{}", self.server.user, self.server.password);
        Command::new("curl").args(["--silent", "--user", &user, &url]).output().unwrap().stdout
    }

    /// Whether the server knows of the folder by now.
    fn shows_folder(&self) -> bool {
        let place: String = self.place().bytes().map(|byte| format!("%{byte:02X}")).collect();
        let url = format!("http://{}/{}", self.server.host, place.replace("%2F", "/"));
        let user = format!("{}:{}", self.server.user, self.server.password);
        let asked = ["--silent", "--request", "PROPFIND", "--header", "depth: 0", "--user", &user, &url];
        let answer = Command::new("curl").args(asked).output().unwrap().stdout;
        String::from_utf8_lossy(&answer).contains("multistatus")
    }

    async fn configured(&self, roles: &[Role]) -> Configured {
        self.made.fetch_add(1, Relaxed);
        // The connector makes the folder itself, where it writes; not what lies above it.
        let place = self.path(&Key::from(""));
        let there = if roles.contains(&Role::Source) { place.as_path() } else { place.parent().unwrap() };
        fs::create_dir_all(there).unwrap();
        let location = format!("webdav://{}/{}", self.server.host, self.place());
        let settings = [
            ("location", location.as_str()),
            ("use_tls", "false"),
            ("user", &self.server.user),
            ("password", &self.server.password),
        ];
        let settings: RawSettings =
            settings.into_iter().map(|(name, value)| (name.to_owned(), SecretText::new(value))).collect();
        connector().configure(&settings, &Surroundings::none(), roles, "conformance").await.unwrap()
    }
}

/// rclone takes a letter with its accent behind it for the letter that has one. Documents of XML hold no control characters.
fn is_served(key: &Key) -> bool {
    let is_folded = key.as_bytes().windows(2).any(|pair| pair == "\u{308}".as_bytes());
    !is_folded && !key.as_bytes().iter().any(u8::is_ascii_control)
}

#[async_trait]
impl StoreBed for Bed {
    async fn fresh(&self) -> Result<Arc<dyn Store>> {
        let store = self.configured(&[Role::Store, Role::Prune]).await.store().unwrap();
        // Who moves to a name while another does waits for its lock on some servers.
        Ok(Arc::new(Retry::new(store, RetryPolicy::default())))
    }
}

#[async_trait]
impl SourceBed for Bed {
    async fn filled(&self, objects: &[(Key, Bytes)]) -> Result<Arc<dyn Source>> {
        let configured = self.configured(&[Role::Source]).await;
        assert!((0..TRIES_MAX).any(|_| self.shows_folder()), "the server does not show `{}`", self.place());
        objects.iter().for_each(|(key, bytes)| self.write(key, bytes));
        Ok(configured.source().unwrap())
    }

    async fn replace(&self, key: &Key, bytes: Bytes) -> Result<()> {
        self.write(key, &bytes);
        Ok(())
    }

    fn holds_any_bytes(&self) -> bool {
        false
    }

    fn holds(&self, key: &Key) -> bool {
        is_served(key)
    }

    fn key_bytes_max(&self) -> usize {
        NAME_BYTES_MAX
    }
}

#[async_trait]
impl DestinationBed for Bed {
    async fn fresh(&self) -> Result<Arc<dyn Destination>> {
        let destination = self.configured(&[Role::Destination]).await.destination().unwrap();
        Ok(Arc::new(Retry::new(destination, RetryPolicy::default())))
    }

    async fn bytes(&self, key: &Key) -> Result<Option<Bytes>> {
        Ok(fs::read(self.path(key)).ok().map(Bytes::from))
    }

    fn holds(&self, key: &Key) -> bool {
        is_served(key)
    }

    fn holds_any_bytes(&self) -> bool {
        false
    }

    fn key_bytes_max(&self) -> usize {
        NAME_BYTES_MAX
    }
}

/// Why what only another look into the destination could tell is skipped.
const NOT_SEEN: &str = "nothing else can look into it";

/// Each server, once with the folder at its root and once deeper down, under a name that is written with escapes.
const BEDS: [(&str, &str); 2] = [("rclone-webdav", ""), ("wsgidav", "/deep er/p\u{fc}r%")];

/// Times that a server is asked for what lies in its folder.
const TRIES_MAX: usize = 1000;

/// Runs one part of the suite on each bed.
fn conforms(skipped: &[&str], suite: impl AsyncFn(&Bed, u64) -> Vec<CaseResult>) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for (kind, prefix) in BEDS {
        let (bed, seed) = (Bed::new(kind, prefix), seed());
        let results = runtime.block_on(suite(&bed, seed));
        require_all(&results, skipped).unwrap_or_else(|wrong| panic!("{kind}, seed {seed}: {wrong}"));
    }
}

#[test]
fn the_webdav_store_conforms() {
    conforms(&["if-match", "versions", "retention"], async |bed, seed| store(bed, seed).await);
}

#[test]
fn the_webdav_source_conforms() {
    conforms(&["!ranged-read", "flat"], async |bed, seed| source(bed, seed).await);
}

#[test]
fn the_webdav_destination_conforms() {
    conforms(&["attributes:http", "symlinks", "raw-names", NOT_SEEN], async |bed, seed| destination(bed, seed).await);
}
