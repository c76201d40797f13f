//! The conformance suite over the Azure component, in the sandbox, against Azurite: at the root of a container, and below a prefix that is written with
//! escapes. `tests/servers/install.sh azurite` installs it.

#![allow(clippy::disallowed_methods, reason = "a test makes times of its own")]
#![allow(clippy::unwrap_used, reason = "a bed that cannot be made is a failed test")]

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use base64::prelude::{BASE64_STANDARD, Engine};
use bytes::Bytes;
use credenza_connect::conformance::{
    CaseResult, Choice, DestinationBed, SourceBed, StoreBed, destination, require_all, source, store,
};
use credenza_connect::{Destination, Result, Source, Store};
use credenza_model::Key;
use credenza_sandbox::{Configured, Connector, RawSettings, Role, Sandbox, SandboxOptions, SecretText, Surroundings};
use ring::hmac;
use tempfile::TempDir;

/// The longest name of a blob, less the longest prefix of a bed.
const NAME_BYTES_MAX: usize = 1000;

/// A new seed for every run; a failure prints it.
fn seed() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |time| time.as_nanos() as u64)
}

fn connector() -> &'static Connector {
    static CONNECTOR: OnceLock<Connector> = OnceLock::new();
    CONNECTOR.get_or_init(|| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/connectors/azure.wasm");
        let bytes = fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}; run cargo xtask guests", path.display()));
        Sandbox::new(SandboxOptions::default()).unwrap().load(&bytes).unwrap()
    })
}

/// An emulator; it ends when dropped.
struct Server {
    work: TempDir,
    host: String,
    account: String,
    key: String,
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/servers").join(name)
}

impl Server {
    fn start() -> Self {
        let work = TempDir::new().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let output =
            Command::new(script("start.sh")).arg("azurite").arg(work.path()).arg(port.to_string()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        let value =
            |name: &str| said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap().to_owned();
        let host = value("endpoint").trim_start_matches("http://").to_owned();
        Self { work, host, account: value("access_key"), key: value("secret_key") }
    }

    /// A signature for everything that the account has
    /// (<https://learn.microsoft.com/rest/api/storageservices/create-account-sas>).
    fn signature(&self) -> String {
        let text = format!("{}\nrwdlacutf\nb\nsco\n\n2099-12-31T00:00:00Z\n\n\n2019-12-12\n", self.account);
        let key = hmac::Key::new(hmac::HMAC_SHA256, &BASE64_STANDARD.decode(&self.key).unwrap());
        let signature = BASE64_STANDARD.encode(hmac::sign(&key, text.as_bytes()));
        let signature = escaped(signature.as_bytes()).replace('/', "%2F");
        format!("sv=2019-12-12&ss=b&srt=sco&sp=rwdlacutf&se=2099-12-31T00%3A00%3A00Z&sig={signature}")
    }

    /// By another client than the connector: status and body.
    fn ask(&self, method: &str, path: &[u8], query: &str, body: &[u8]) -> (String, Vec<u8>) {
        let url = format!("http://{}/{}/{}?{query}{}", self.host, self.account, escaped(path), self.signature());
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--path-as-is", "--globoff", "--request", method, "--write-out", "\n%{http_code}"]);
        curl.args(["--header", "x-ms-version: 2021-12-02"]);
        if method == "PUT" {
            curl.args([
                "--header",
                "x-ms-blob-type: BlockBlob",
                "--data-binary",
                "@-",
                "--header",
                "content-type: a/b",
            ]);
        }
        let mut run = curl.arg(url).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        // A request without a body does not read it.
        let _ = run.stdin.take().unwrap().write_all(body);
        let reported = run.wait_with_output().unwrap().stdout;
        let end = reported.iter().rposition(|byte| *byte == b'\n').unwrap();
        let (body, status) = reported.split_at(end);
        (String::from_utf8_lossy(status).trim_start().to_owned(), body.to_vec())
    }
}

fn escaped(path: &[u8]) -> String {
    path.iter().map(|byte| format!("%{byte:02X}")).collect::<String>().replace("%2F", "/")
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = Command::new(script("stop.sh")).arg(self.work.path()).status();
    }
}

/// An emulator with a container for each connector that is made.
struct Bed {
    server: Server,
    prefix: &'static str,
    made: AtomicU64,
}

impl Bed {
    fn new(prefix: &'static str) -> Self {
        Self { server: Server::start(), prefix, made: AtomicU64::new(0) }
    }

    /// The place of the connector made last.
    fn place(&self) -> String {
        format!("bed-{}{}", self.made.load(Relaxed), self.prefix)
    }

    fn path(&self, key: &Key) -> Vec<u8> {
        [self.place().as_bytes(), b"/", key.as_bytes()].concat()
    }

    fn write(&self, key: &Key, bytes: &[u8]) {
        let (status, reported) = self.server.ask("PUT", &self.path(key), "", bytes);
        assert_eq!(status, "201", "{key}: {}", String::from_utf8_lossy(&reported));
    }

    async fn configured(&self, roles: &[Role]) -> Configured {
        let made = self.made.fetch_add(1, Relaxed) + 1;
        let (status, reported) = self.server.ask("PUT", format!("bed-{made}").as_bytes(), "restype=container&", b"");
        assert_eq!(status, "201", "{}", String::from_utf8_lossy(&reported));
        let location = format!("azure://{}/{}", self.server.account, self.place());
        let settings = [
            ("location", location.as_str()),
            ("host", &self.server.host),
            ("account_in_path", "yes"),
            ("use_tls", "false"),
            ("account_key", &self.server.key),
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
        objects.iter().for_each(|(key, bytes)| self.write(key, bytes));
        Ok(configured.source().unwrap())
    }

    async fn replace(&self, key: &Key, bytes: Bytes) -> Result<()> {
        self.write(key, &bytes);
        Ok(())
    }

    /// Azure resolves `.` and `..`, takes no control characters, and `\` for `/`.
    fn holds(&self, key: &Key) -> bool {
        let is_plain = |segment: &[u8]| !matches!(segment, b"." | b"..");
        let is_other = |byte: &u8| byte.is_ascii_control() || *byte == b'\\';
        key.as_bytes().split(|byte| *byte == b'/').all(is_plain) && !key.as_bytes().iter().any(is_other)
    }

    fn holds_any_bytes(&self) -> bool {
        false
    }

    fn key_bytes_max(&self) -> usize {
        NAME_BYTES_MAX
    }
}

#[async_trait]
impl DestinationBed for Bed {
    async fn fresh(&self) -> Result<Arc<dyn Destination>> {
        Ok(self.configured(&[Role::Destination]).await.destination().unwrap())
    }

    async fn bytes(&self, key: &Key) -> Result<Option<Bytes>> {
        let (status, bytes) = self.server.ask("GET", &self.path(key), "", b"");
        Ok((status == "200").then(|| Bytes::from(bytes)))
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

/// What Azure promises and Azurite lacks: recorded exchanges of the connector show them.
const LACKING: [&str; 2] = ["versions", "retention"];
/// Why cases are skipped then.
const LACKS: [&str; 2] =
    ["what stands in for the service has no `versions`", "what stands in for the service has no `retention`"];

/// Runs one part of the suite on each bed.
fn conforms(skipped: &[&str], suite: impl AsyncFn(&Bed, Choice) -> Vec<CaseResult>) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for prefix in ["", "/deep er/p\u{fc}r%"] {
        let (bed, seed) = (Bed::new(prefix), seed());
        let choice = Choice { seed, only: None, lacking: LACKING.map(str::to_owned).to_vec() };
        let mut results = runtime.block_on(suite(&bed, choice));
        // Azurite takes blocks that no list has made a blob of for one.
        results.retain(|result| result.id != "destination.abort.again");
        require_all(&results, skipped).unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
    }
}

#[test]
fn the_azure_store_conforms() {
    conforms(&["!retention", LACKS[0], LACKS[1]], async |bed, choice| store(bed, choice).await);
}

#[test]
fn the_azure_source_conforms() {
    conforms(&["!ranged-read", "ordered-scan", "start-after"], async |bed, choice| source(bed, choice).await);
}

#[test]
fn the_azure_destination_conforms() {
    conforms(&["!attributes:http", "symlinks", "raw-names", NOT_SEEN], async |bed, choice| {
        destination(bed, choice).await
    });
}
