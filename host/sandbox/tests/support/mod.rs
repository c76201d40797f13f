//! What the tests of the sandbox share: the probe as a component, and a server that answers by script and remembers every byte of what was asked.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use credenza_sandbox::{ConfigureError, Configured, Role, Sandbox, SandboxOptions, SecretText, Surroundings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The manifest of the probe.
pub(crate) const MANIFEST: &str = r#"
name = "probe"
version = "1.0.0"
api = "0.1"
roles = ["source", "store", "destination"]
schemes = ["probe"]
location = ["host?", "bucket"]
[settings.host]
type = "string"
default = "localhost"
[settings.bucket]
type = "string"
required = true
[settings.behaviour]
type = "string"
default = ""
[secrets.access_key]
[secrets.secret_access_key]
[endpoints.bucket]
url = "{scheme}://{host}"
path = "/{bucket}"
paths = "opaque"
auth = { scheme = "aws-sigv4", service = "s3", region = "r1", key = "access_key", secret = "secret_access_key" }
[endpoints.bucket.allow]
source = ["GET /*", "GET ?list", "HEAD /*", "POST /* ?restore"]
store = ["GET /*", "GET ?list", "HEAD /*", "PUT /*", "PUT /* ?retention"]
prune = ["DELETE /*"]
destination = ["PUT /*", "PUT /* ?part"]
[endpoints.bucket.headers]
source = ["x-mine"]
"#;

/// The probe with a manifest.
pub(crate) fn component(manifest: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/guests/probe.core.wasm");
    let module = std::fs::read(&path)
        .unwrap_or_else(|e| panic!("{}: {e}; run host/sandbox/tests/probe/build.sh", path.display()));
    let encoder = wit_component::ComponentEncoder::default().module(&module).unwrap().validate(true);
    let mut component = { encoder }.encode().unwrap();
    let name = "credenza:manifest";
    let mut content = vec![name.len() as u8];
    content.extend_from_slice(name.as_bytes());
    content.extend_from_slice(manifest.as_bytes());
    component.push(0);
    let mut length = content.len();
    while length >= 0x80 {
        component.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    component.push(length as u8);
    component.extend_from_slice(&content);
    component
}

/// One engine for all tests of a file.
pub(crate) fn sandbox() -> &'static Sandbox {
    static SANDBOX: OnceLock<Sandbox> = OnceLock::new();
    SANDBOX.get_or_init(|| Sandbox::new(SandboxOptions::default()).unwrap())
}

/// The probe against a server, with further settings.
pub(crate) async fn configure(
    server: &Server,
    roles: &[Role],
    settings: &[(&str, &str)],
) -> Result<Configured, ConfigureError> {
    static COMPONENT: OnceLock<Vec<u8>> = OnceLock::new();
    configure_component(COMPONENT.get_or_init(|| component(MANIFEST)), server, roles, settings).await
}

/// Any component against a server, with further settings.
pub(crate) async fn configure_component(
    component: &[u8],
    server: &Server,
    roles: &[Role],
    settings: &[(&str, &str)],
) -> Result<Configured, ConfigureError> {
    let connector = sandbox().load(component).unwrap();
    let mut raw = BTreeMap::from([
        ("location".to_owned(), SecretText::new(format!("probe://{}/photos", server.address))),
        ("use_tls".to_owned(), SecretText::new("false")),
    ]);
    raw.extend(settings.iter().map(|(name, text)| ((*name).to_owned(), SecretText::new(*text))));
    connector.configure(&raw, &Surroundings::none(), roles, "conformance").await
}

/// An answer by script.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: String,
    pub(crate) body: Vec<u8>,
    /// What `content-length` says, when it is not the truth.
    pub(crate) claimed_length: Option<usize>,
}

impl Answer {
    pub(crate) fn ok(body: &[u8]) -> Self {
        Self { status: 200, headers: String::new(), body: body.to_vec(), claimed_length: None }
    }

    pub(crate) fn status(status: u16) -> Self {
        Self { status, ..Self::ok(b"") }
    }
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// `GET /photos/x HTTP/1.1` and the headers, raw.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Asked {
    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap_or("")
    }
}

type Script = dyn Fn(&Asked, usize) -> Answer + Send + Sync;

/// A plain HTTP/1.1 server on the loopback interface.
pub(crate) struct Server {
    pub(crate) address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// Answers by a script that sees the request and how many came before it.
    pub(crate) async fn start(script: impl Fn(&Asked, usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (script, log): (Arc<Script>, _) = (Arc::new(script), Arc::clone(&asked));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&script), Arc::clone(&log)));
            }
        });
        Self { address, asked }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, script: Arc<Script>, log: Arc<Mutex<Vec<Asked>>>) {
    let mut buffer = Vec::new();
    while let Some(asked) = receive(&mut stream, &mut buffer).await {
        let head_only = asked.head.starts_with("HEAD");
        let answer = {
            let mut log = log.lock().unwrap();
            let answer = script(&asked, log.len());
            log.push(asked);
            answer
        };
        let length = answer.claimed_length.unwrap_or(answer.body.len());
        let head = format!("HTTP/1.1 {} X\r\ncontent-length: {length}\r\n{}\r\n", answer.status, answer.headers);
        let body = if head_only { &[][..] } else { &answer.body };
        if stream.write_all(&[head.as_bytes(), body].concat()).await.is_err() || answer.claimed_length.is_some() {
            return;
        }
    }
}

async fn receive(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Asked> {
    let end = loop {
        if let Some(end) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(buffer.drain(..end + 4).collect()).unwrap();
    let length = head.lines().find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let length: usize = length.unwrap_or(0);
    while buffer.len() < length {
        stream.read_buf(buffer).await.ok()?;
    }
    Some(Asked { head, body: buffer.drain(..length).collect() })
}
