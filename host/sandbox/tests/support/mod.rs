//! What the tests of the sandbox share: the probe as a component, and the server that it is configured for.

mod server;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

pub(crate) use server::{Answer, Asked, Server};

use credenza_sandbox::{ConfigureError, Configured, Role, Sandbox, SandboxOptions, SecretText, Surroundings};

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

/// What components compile to, once for all tests of the workspace.
pub(crate) fn compiled() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled")
}

/// One engine for all tests of a file.
pub(crate) fn sandbox() -> &'static Sandbox {
    static SANDBOX: OnceLock<Sandbox> = OnceLock::new();
    SANDBOX.get_or_init(|| {
        Sandbox::new(SandboxOptions { cache_dir: Some(compiled()), ..SandboxOptions::default() }).unwrap()
    })
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
