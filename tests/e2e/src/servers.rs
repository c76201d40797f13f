//! Real S3, WebDAV, Azure and Google Cloud Storage servers and a database, started by the scripts of `tests/servers` on free ports and ended with the test.
//!
//! One server serves all scenarios of a test, because starting takes seconds; scenarios take a prefix each.

use crate::azure::{Account, Azure};
use crate::process::is_alive;
use crate::s3::{Endpoint, S3};
use crate::{Setup, workspace};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// SeaweedFS listens on PORT … PORT+3 and on each of them + 10000.
const PORTS_ABOVE: [u16; 8] = [0, 1, 2, 3, 10_000, 10_001, 10_002, 10_003];
/// With those above them below 32768, where Linux begins to choose ports for connections.
const PORTS: std::ops::Range<u16> = 12_000..22_700;
/// Servers that find their port taken meanwhile.
const TRIES_MAX: u32 = 3;
/// It only ends a test that hangs: what was killed is gone as soon as the kernel gets to it.
const END_MAX: Duration = Duration::from_mins(2);

/// A server of the scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A real store: signatures, conditions, versions; but a tree of folders for a key space.
    SeaweedFs,
    /// The same behind TLS, with a certificate of an authority that nobody knows.
    SeaweedFsTls,
    /// AWS-like semantics in memory: every odd key.
    MiniStack,
    /// `rclone serve s3`: ignores conditions, answers ranges with status 200.
    Rclone,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::SeaweedFs | Self::SeaweedFsTls => "seaweedfs",
            Self::MiniStack => "ministack",
            Self::Rclone => "rclone",
        }
    }
}

/// A WebDAV server of the scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DavKind {
    /// `rclone serve webdav`, on the WebDAV of Go: ignores conditions on a PUT, takes times of files.
    Rclone,
    /// WsgiDAV: heeds conditions, takes no times.
    WsgiDav,
}

impl DavKind {
    fn name(self) -> &'static str {
        match self {
            Self::Rclone => "rclone-webdav",
            Self::WsgiDav => "wsgidav",
        }
    }
}

/// A running server; it ends when dropped.
#[derive(Debug)]
pub struct RealServer {
    process: Process,
    kind: Kind,
    /// A client of it.
    pub s3: S3,
}

/// A running WebDAV server over a folder; it ends when dropped.
#[derive(Debug)]
pub struct DavServer {
    process: Process,
    /// Host and port.
    pub host: String,
    /// Name and password of its user.
    pub user: (String, String),
}

impl DavServer {
    /// Starts a server and waits until it answers.
    ///
    /// # Errors
    /// When it is not installed or does not start; `tests/servers/install.sh` installs it.
    pub fn start(kind: DavKind) -> Result<Self> {
        let process = Process::start(kind.name(), &[])?;
        let host = process.value("endpoint")?.trim_start_matches("http://").to_owned();
        let user = (process.value("access_key")?, process.value("secret_key")?);
        Ok(Self { process, host, user })
    }

    /// The folder that it serves.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.process.folder.path().join("data")
    }

    /// Configures `@name` for a folder of it; `role` is `repository`, `source` or `destination`.
    ///
    /// # Errors
    /// When the command fails.
    pub fn add(&self, setup: &Setup, role: &str, name: &str, folder: &str) -> Result<()> {
        let (user, password) = &self.user;
        let words = [
            role.to_owned(),
            "add".to_owned(),
            name.to_owned(),
            format!("webdav://{}/{folder}", self.host),
            format!("user={user}"),
            format!("password={password}"),
            "use_tls=false".to_owned(),
        ];
        setup.credenza.ok(words).map(drop)
    }
}

/// A running server of mail that wants STARTTLS and a login; it ends when dropped.
#[derive(Debug)]
pub struct SmtpServer {
    process: Process,
    /// Host and port.
    pub host: String,
    /// Name and password of its user.
    pub user: (String, String),
}

impl SmtpServer {
    /// Starts a server and waits until it answers.
    ///
    /// # Errors
    /// When it is not installed or does not start; `tests/servers/install.sh` installs it.
    pub fn start() -> Result<Self> {
        let process = Process::start("aiosmtpd", &[])?;
        let host = process.value("endpoint")?.trim_start_matches("smtp://").to_owned();
        let user = (process.value("access_key")?, process.value("secret_key")?);
        Ok(Self { process, host, user })
    }

    /// The certificate that it is to be trusted by.
    ///
    /// # Errors
    /// When it said nothing of it.
    pub fn ca_file(&self) -> Result<String> {
        self.process.value("ca_file")
    }

    /// The letters that it took, in their order.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn letters(&self) -> Result<Vec<String>> {
        let folder = self.process.folder.path().join("data");
        let read = |number: usize| std::fs::read_to_string(folder.join(format!("{number}.eml")));
        (0..).map(read).take_while(Result::is_ok).map(|letter| letter.context("a letter is text")).collect()
    }
}

/// A running emulator of Azure's blobs; it ends when dropped.
#[derive(Debug)]
pub struct AzureServer {
    _process: Process,
    /// A client of it.
    pub azure: Azure,
}

impl AzureServer {
    /// Starts Azurite and waits until it answers.
    ///
    /// # Errors
    /// When it is not installed or does not start; `tests/servers/install.sh` installs it.
    pub fn start() -> Result<Self> {
        let process = Process::start("azurite", &[])?;
        let host = process.value("endpoint")?.trim_start_matches("http://").to_owned();
        let account = Account { host, name: process.value("access_key")?, key: process.value("secret_key")? };
        Ok(Self { _process: process, azure: Azure::new(account)? })
    }
}

/// The emulator of Google Cloud Storage of the scripts; it ends when dropped.
#[derive(Debug)]
pub struct GcsServer {
    _process: Process,
    /// Host and port.
    pub host: String,
}

impl GcsServer {
    /// The only bucket that it has.
    pub const BUCKET: &str = "bucket";

    /// Starts the emulator and waits until it answers.
    ///
    /// # Errors
    /// When it is not installed or does not start; `tests/servers/install.sh` installs it.
    pub fn start() -> Result<Self> {
        let process = Process::start("gcp-storage-emulator", &[])?;
        let host = process.value("endpoint")?.trim_start_matches("http://").to_owned();
        Ok(Self { _process: process, host })
    }

    /// Configures `@name` for what lies below a prefix of the bucket; `role` is `repository`, `source` or `destination`.
    ///
    /// # Errors
    /// When the command fails.
    pub fn add(&self, setup: &Setup, role: &str, name: &str, prefix: &str) -> Result<()> {
        let words = [
            role.to_owned(),
            "add".to_owned(),
            name.to_owned(),
            format!("gs://{}/{prefix}", Self::BUCKET),
            format!("host={}", self.host),
            "use_tls=false".to_owned(),
            "login=none".to_owned(),
        ];
        setup.credenza.ok(words).map(drop)
    }

    /// The names below a prefix.
    ///
    /// # Errors
    /// When `curl` cannot be run, or the answer is no listing.
    pub fn names(&self, prefix: &str) -> Result<Vec<String>> {
        let escaped: String = prefix.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let url = format!("http://{}/storage/v1/b/{}/o?prefix={escaped}", self.host, Self::BUCKET);
        let output = Command::new("curl").args(["--silent", "--fail", &url]).output().context("cannot run curl")?;
        let listed: Value = serde_json::from_slice(&output.stdout).context("it is no listing")?;
        let items = listed.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
        Ok(items.iter().filter_map(|item| item.get("name")?.as_str().map(str::to_owned)).collect())
    }

    /// The document or the bytes (`alt=media`) that it answers for an object; nothing when there is none.
    ///
    /// # Errors
    /// When `curl` cannot be run.
    pub fn get(&self, name: &str, alt: &str) -> Result<Option<Vec<u8>>> {
        let escaped: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let url = format!("http://{}/storage/v1/b/{}/o/{escaped}?alt={alt}", self.host, Self::BUCKET);
        let output = Command::new("curl").args(["--silent", "--fail", &url]).output().context("cannot run curl")?;
        Ok(output.status.success().then_some(output.stdout))
    }

    /// Makes an object with these fields, as another client of the service does.
    ///
    /// # Errors
    /// When the server does not take it.
    pub fn put(&self, name: &str, fields: &Value, bytes: &[u8]) -> Result<()> {
        let boundary = "a-line-that-is-in-no-object";
        let mut fields = fields.clone();
        fields.as_object_mut().context("fields are an object")?.insert("name".to_owned(), name.into());
        // It reads the document as ASCII.
        let escape = |c: char| if c.is_ascii() { c.to_string() } else { format!("\\u{:04x}", u32::from(c)) };
        let document: String = fields.to_string().chars().map(escape).collect();
        let kind = fields.get("contentType").and_then(Value::as_str).unwrap_or("application/octet-stream");
        let head = format!(
            "--{boundary}\r\nContent-Type: application/json\r\n\r\n{document}\r\n--{boundary}\r\nContent-Type: {kind}\r\n\r\n"
        );
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(&file, [head.as_bytes(), bytes, format!("\r\n--{boundary}--\r\n").as_bytes()].concat())?;
        let url = format!("http://{}/upload/storage/v1/b/{}/o?uploadType=multipart", self.host, Self::BUCKET);
        let mut command = Command::new("curl");
        command
            .args(["--silent", "--fail", "--header"])
            .arg(format!("Content-Type: multipart/related; boundary={boundary}"));
        command.arg("--data-binary").arg(format!("@{}", file.path().display())).arg(&url);
        let output = command.output().context("cannot run curl")?;
        ensure!(output.status.success(), "{name} was not taken: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }
}

/// A running PostgreSQL on a socket of its own; it ends when dropped.
#[derive(Debug)]
pub struct PostgresServer {
    _process: Process,
    /// The folder of its socket. Its user `postgres` needs no password there.
    pub socket: String,
}

impl PostgresServer {
    /// Starts one with an empty cluster and waits until it answers.
    ///
    /// # Errors
    /// When it is not installed or does not start; `cargo xtask test` installs it.
    pub fn start() -> Result<Self> {
        let process = Process::start("postgresql", &[])?;
        let socket = process.value("socket")?;
        Ok(Self { _process: process, socket })
    }

    /// What a statement answers in a database.
    ///
    /// # Errors
    /// When it fails.
    pub fn sql(&self, database: &str, statement: &str) -> Result<String> {
        let words =
            ["--no-psqlrc", "--quiet", "--tuples-only", "--set=ON_ERROR_STOP=1", "-d", database, "-c", statement];
        self.client("psql", &words)
    }

    /// What a program of its clients prints.
    ///
    /// # Errors
    /// When it fails.
    pub fn client(&self, program: &str, words: &[&str]) -> Result<String> {
        let output = self.client_output(program, &[words, &["-U", "postgres"]].concat())?;
        ensure!(output.status.success(), "{program} failed: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }

    /// The same, however it ends, as the user that the words name.
    ///
    /// # Errors
    /// When it cannot be run.
    pub fn client_output(&self, program: &str, words: &[&str]) -> Result<std::process::Output> {
        let output = Command::new(program).args(["-h", &self.socket]).args(words).output();
        output.with_context(|| format!("cannot run {program}"))
    }
}

/// Where `tests/servers/install.sh` has put a program of a server.
#[must_use]
pub fn program(server: &str, name: &str) -> PathBuf {
    let folder = std::env::var_os("CREDENZA_SERVERS").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/credenza-servers"),
        PathBuf::from,
    );
    folder.join(server).join("bin").join(name)
}

/// A running registry of containers that lets in one user; it ends when dropped.
#[derive(Debug)]
pub struct RegistryServer {
    process: Process,
    /// Host and port.
    pub host: String,
    /// Name and password of its user.
    pub user: (String, String),
}

impl RegistryServer {
    /// Starts one and waits until it answers.
    ///
    /// # Errors
    /// When it is not installed or does not start; `tests/servers/install.sh` installs it.
    pub fn start() -> Result<Self> {
        let process = Process::start("docker-registry", &[])?;
        let host = process.value("endpoint")?.trim_start_matches("http://").to_owned();
        let user = (process.value("access_key")?, process.value("secret_key")?);
        Ok(Self { process, host, user })
    }

    /// The file in which it keeps a blob, by the hexadecimal digits of its SHA-256.
    #[must_use]
    pub fn blob(&self, sha256: &str) -> PathBuf {
        let blobs = self.process.folder.path().join("data/docker/registry/v2/blobs/sha256");
        blobs.join(sha256.get(..2).unwrap_or_default()).join(sha256).join("data")
    }
}

impl RealServer {
    /// Starts a server and waits until it answers.
    ///
    /// # Errors
    /// When it is not installed or does not start; `tests/servers/install.sh` installs it.
    pub fn start(kind: Kind) -> Result<Self> {
        let tls = [("CREDENZA_SERVER_TLS", "1")];
        let process = Process::start(kind.name(), if kind == Kind::SeaweedFsTls { &tls } else { &[] })?;
        let endpoint = Endpoint {
            url: process.value("endpoint")?,
            access_key: process.value("access_key")?,
            secret_key: process.value("secret_key")?,
            region: process.value("region")?,
            ca_file: process.value("ca_file").ok(),
        };
        Ok(Self { process, kind, s3: S3::new(endpoint)? })
    }

    /// The folder in which it keeps what it was given.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.process.folder.path().join("data")
    }

    fn pid(&self) -> Result<String> {
        std::fs::read_to_string(self.process.folder.path().join("pid")).context("it was never started")
    }

    /// Sends a signal to its process, as `KILL`, `STOP` or `CONT`.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn signal(&self, name: &str) -> Result<()> {
        let pid = self.pid()?;
        let sent = Command::new("kill").args(["-s", name, pid.trim()]).status().context("cannot run kill")?;
        ensure!(sent.success(), "no signal {name} to process {}", pid.trim());
        Ok(())
    }

    /// Starts it again after it was killed, on the same port over the same folder.
    ///
    /// # Errors
    /// When it does not end, or not start.
    pub fn start_again(&mut self) -> Result<()> {
        let (begun, pid) = (Instant::now(), self.pid()?);
        // A signal is on its way before a process is gone and its port is free.
        while is_alive(&pid) {
            ensure!(begun.elapsed() < END_MAX, "process {} does not end", pid.trim());
            std::thread::sleep(Duration::from_millis(5));
        }
        let port = self.s3.endpoint().url.rsplit(':').next().unwrap_or_default().to_owned();
        let mut command = Command::new(script("start.sh"));
        let output = command.arg(self.kind.name()).arg(self.process.folder.path()).arg(port).output()?;
        ensure!(output.status.success(), "it did not start again: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }
}

/// A process of the scripts, with what start.sh said of it.
#[derive(Debug)]
struct Process {
    folder: TempDir,
    said: String,
}

impl Process {
    fn start(name: &str, environment: &[(&str, &str)]) -> Result<Self> {
        let mut tries = 1;
        loop {
            match Self::start_once(name, environment) {
                // Whoever looks for a free port may be too late.
                Err(cause) if tries < TRIES_MAX && format!("{cause:#}").contains("address already in use") => {
                    tries += 1
                }
                settled => return settled,
            }
        }
    }

    fn start_once(name: &str, environment: &[(&str, &str)]) -> Result<Self> {
        let folder = TempDir::with_prefix("credenza-server-")?;
        let port = free_port()?;
        let mut command = Command::new(script("start.sh"));
        command.arg(name).arg(folder.path()).arg(port.to_string()).envs(environment.iter().copied());
        let output = command.output().context("cannot run tests/servers/start.sh")?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            bail!("{name} did not start: {said}{}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(Self { folder, said })
    }

    /// What start.sh said under a name.
    fn value(&self, name: &str) -> Result<String> {
        let found = self.said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        found.map(str::to_owned).with_context(|| format!("start.sh said no {name}: {}", self.said))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A test that ends has nobody to tell; the script ends only what start.sh recorded.
        let _ = Command::new(script("stop.sh")).arg(self.folder.path()).status();
    }
}

fn script(name: &str) -> PathBuf {
    workspace().join("tests/servers").join(name)
}

/// A port whose neighbours are free as well, and that no other server of this process has taken; the process id
/// spreads tests that run at once. No connection takes it meanwhile: it is below those that the system chooses.
///
/// # Errors
/// When none is free.
pub fn free_port() -> Result<u16> {
    static GIVEN: Mutex<u16> = Mutex::new(0);
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let spread = u16::try_from(std::process::id() % 400).unwrap_or(0);
    let first = PORTS.start.saturating_add(spread.saturating_mul(25)).max(given.saturating_add(10));
    let candidates = (first..PORTS.end).step_by(10).take(500);
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let mut found = candidates.filter(|port| PORTS_ABOVE.iter().all(|above| free(port.saturating_add(*above))));
    *given = found.next().with_context(|| format!("no eight free ports from {first} on"))?;
    Ok(*given)
}
