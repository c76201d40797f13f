//! The component for Azure Blob Storage, against Azurite: at the root of a container, and below a prefix that is written with
//! escapes. `tests/servers/install.sh azurite` installs it.

use std::io::Write;
use std::process::{Command, Stdio};

use async_trait::async_trait;
use base64::prelude::{BASE64_STANDARD, Engine};
use bytes::Bytes;
use credenza_connect::conformance::{CaseResult, Choice, destination, source, store};
use credenza_model::Key;
use credenza_sandbox::{Configured, Role};
use ring::hmac;

use super::bed::{Bed, Component, NO_CLOCK, NOT_SEEN, Server, Service, conforms, escaped};

/// The longest name of a blob, less the longest prefix of a bed.
const NAME_BYTES_MAX: usize = 1000;

impl Server {
    /// A signature for everything that the account has
    /// (<https://learn.microsoft.com/rest/api/storageservices/create-account-sas>).
    fn signature(&self) -> String {
        let text = format!("{}\nrwdlacutf\nb\nsco\n\n2099-12-31T00:00:00Z\n\n\n2019-12-12\n", self.user);
        let key = hmac::Key::new(hmac::HMAC_SHA256, &BASE64_STANDARD.decode(&self.secret).unwrap());
        let signature = BASE64_STANDARD.encode(hmac::sign(&key, text.as_bytes()));
        let signature = escaped(signature.as_bytes()).replace('/', "%2F");
        format!("sv=2019-12-12&ss=b&srt=sco&sp=rwdlacutf&se=2099-12-31T00%3A00%3A00Z&sig={signature}")
    }

    /// By another client than the connector: status and body.
    fn ask(&self, method: &str, path: &[u8], query: &str, body: &[u8]) -> (String, Vec<u8>) {
        let url = format!("http://{}/{}/{}?{query}{}", self.host, self.user, escaped(path), self.signature());
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

/// An emulator with a container for each connector that is made.
struct Containers {
    server: Server,
    component: Component,
    prefix: &'static str,
}

impl Containers {
    fn new(prefix: &'static str) -> Self {
        Self { server: Server::start("azurite"), component: Component::of("azure"), prefix }
    }

    /// The place of the connector made last.
    fn place(&self) -> String {
        format!("{}{}", self.component.place(), self.prefix)
    }

    fn path(&self, key: &Key) -> Vec<u8> {
        [self.place().as_bytes(), b"/", key.as_bytes()].concat()
    }
}

#[async_trait]
impl Service for Containers {
    async fn configured(&self, roles: &[Role]) -> Configured {
        let (status, reported) =
            self.server.ask("PUT", self.component.next_place().as_bytes(), "restype=container&", b"");
        assert_eq!(status, "201", "{}", String::from_utf8_lossy(&reported));
        let location = format!("azure://{}/{}", self.server.user, self.place());
        let settings = [
            ("location", location.as_str()),
            ("host", &self.server.host),
            ("account_in_path", "yes"),
            ("account_key", &self.server.secret),
        ];
        self.component.configured(roles, &settings).await
    }

    fn put(&self, key: &Key, bytes: Bytes) {
        let (status, reported) = self.server.ask("PUT", &self.path(key), "", &bytes);
        assert_eq!(status, "201", "{key}: {}", String::from_utf8_lossy(&reported));
    }

    fn get(&self, key: &Key) -> Option<Bytes> {
        let (status, bytes) = self.server.ask("GET", &self.path(key), "", b"");
        (status == "200").then(|| Bytes::from(bytes))
    }

    /// Azure resolves `.` and `..`, takes no control characters, and `\` for `/`.
    fn lists(&self, key: &Key) -> bool {
        let is_plain = |segment: &[u8]| !matches!(segment, b"." | b"..");
        let is_other = |byte: &u8| byte.is_ascii_control() || *byte == b'\\';
        key.as_bytes().split(|byte| *byte == b'/').all(is_plain) && !key.as_bytes().iter().any(is_other)
    }

    fn key_bytes_max(&self) -> usize {
        NAME_BYTES_MAX
    }
}

/// What Azure promises and Azurite lacks: recorded exchanges of the connector show them.
const LACKING: [&str; 2] = ["versions", "retention"];
/// Why cases are skipped then.
const LACKS: [&str; 2] =
    ["what stands in for the service has no `versions`", "what stands in for the service has no `retention`"];

/// Runs one part of the suite on each bed.
fn azure(skipped: &[&str], suite: impl AsyncFn(&Bed<Containers>, Choice) -> Vec<CaseResult>) {
    for prefix in ["", "/deep er/p\u{fc}r%"] {
        let bed = Bed(Containers::new(prefix));
        conforms(skipped, async |seed| {
            let mut results =
                suite(&bed, Choice { seed, lacking: LACKING.map(str::to_owned).to_vec(), only: None }).await;
            // Azurite takes blocks that no list has made a blob of for one.
            results.retain(|result| result.id != "destination.abort.again");
            results
        });
    }
}

#[test]
fn the_azure_store_conforms() {
    azure(&["!retention", LACKS[0], LACKS[1]], async |bed, choice| store(bed, choice).await);
}

#[test]
fn the_azure_source_conforms() {
    azure(&["!ranged-read", "ordered-scan", "start-after", NO_CLOCK], async |bed, choice| source(bed, choice).await);
}

#[test]
fn the_azure_destination_conforms() {
    let kinds = ["!attributes:http", "attributes:posix", "attributes:s3", "history", "symlinks", "raw-names", NOT_SEEN];
    azure(&kinds, async |bed, choice| destination(bed, choice).await);
}
