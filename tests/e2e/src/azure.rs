//! A small client of an Azure emulator for tests: raw path bytes, blocking calls, a signature of the account made once.
//!
//! It shares no code with the connector or the egress under test. It proves itself by an account SAS
//! (<https://learn.microsoft.com/rest/api/storageservices/create-account-sas>), which is a query.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use ring::hmac;
use tokio::runtime::Runtime;

use crate::Setup;
use crate::s3::{Answer, encode, xml};

/// Where an emulator listens, and its account.
#[derive(Debug, Clone)]
pub struct Account {
    /// Host and port.
    pub host: String,
    /// Name.
    pub name: String,
    /// In Base64.
    pub key: String,
}

impl Account {
    /// The settings that lead to a container and what lies below it, as credenza takes them, without what proves who asks.
    #[must_use]
    pub fn words(&self, container_and_prefix: &str) -> Vec<String> {
        vec![
            format!("azure://{}/{container_and_prefix}", self.name),
            format!("host={}", self.host),
            "account_in_path=true".to_owned(),
            "use_tls=false".to_owned(),
        ]
    }

    /// Configures `@name` for a container, with the key of the account; `role` is `repository`, `source` or `destination`.
    ///
    /// # Errors
    /// When the command fails.
    pub fn add(&self, setup: &Setup, role: &str, name: &str, container_and_prefix: &str) -> Result<()> {
        let mut words = [role, "add", name].map(str::to_owned).to_vec();
        words.extend(self.words(container_and_prefix));
        words.push(format!("account_key={}", self.key));
        setup.credenza.ok(words).map(drop)
    }

    /// A user with a fresh repository `@store` in a container.
    ///
    /// # Errors
    /// When it cannot be configured or created.
    pub fn with_repository(&self, container_and_prefix: &str) -> Result<Setup> {
        let mut setup = Setup::new()?;
        self.add(&setup, "repository", "store", container_and_prefix)?;
        setup.credenza.set("CREDENZA_REPOSITORY", "@store");
        setup.credenza.ok(["create"])?;
        Ok(setup)
    }

    /// A signature for everything that the account has, until the end of the century.
    ///
    /// # Errors
    /// When the key is not Base64.
    pub fn sas(&self) -> Result<String> {
        let (rights, services, kinds, ends, version) = ("rwdlacutf", "b", "sco", "2099-12-31T00:00:00Z", "2019-12-12");
        let text = format!("{}\n{rights}\n{services}\n{kinds}\n\n{ends}\n\n\n{version}\n", self.name);
        let key = hmac::Key::new(hmac::HMAC_SHA256, &BASE64.decode(&self.key).context("the key is no Base64")?);
        let signature = encode(BASE64.encode(hmac::sign(&key, text.as_bytes())).as_bytes(), false);
        let ends = encode(ends.as_bytes(), false);
        Ok(format!("sv={version}&ss={services}&srt={kinds}&sp={rights}&se={ends}&sig={signature}"))
    }
}

/// A client of one account.
#[derive(Debug)]
pub struct Azure {
    account: Account,
    sas: String,
    runtime: Runtime,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Azure {
    /// A client of an account.
    ///
    /// # Errors
    /// When its key is not Base64.
    pub fn new(account: Account) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        // The emulator ends idle connections without a word.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(HttpConnector::new());
        Ok(Self { sas: account.sas()?, account, runtime, client })
    }

    /// The account that this client talks to.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// Sends a request about a container and a blob in it, the empty one for the container itself. `query` is encoded already.
    ///
    /// # Errors
    /// When no answer arrives; a status that is no success is an answer.
    pub fn send(
        &self,
        method: Method,
        (container, blob): (&str, &str),
        query: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Answer> {
        let Account { host, name, .. } = &self.account;
        let blob = if blob.is_empty() { String::new() } else { format!("/{}", encode(blob.as_bytes(), true)) };
        let both = if query.is_empty() { self.sas.clone() } else { format!("{query}&{}", self.sas) };
        let mut request =
            Request::builder().method(method).uri(format!("http://{host}/{name}/{container}{blob}?{both}"));
        for (name, value) in headers.iter().chain(&[("x-ms-version", "2021-12-02")]) {
            request = request.header(*name, *value);
        }
        // A PUT without a length is refused, also an empty one.
        let body = body.into();
        let request = request.header("content-length", body.len()).body(Full::new(body))?;
        self.runtime.block_on(async {
            let (parts, body) = self.client.request(request).await?.into_parts();
            Ok(Answer { status: parts.status, headers: parts.headers, body: body.collect().await?.to_bytes() })
        })
    }

    /// Creates a container.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn create_container(&self, container: &str) -> Result<()> {
        self.send(Method::PUT, (container, ""), "restype=container", &[], "")?.success().map(drop)
    }

    /// Stores a blob with the given headers.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn put(&self, container: &str, blob: &str, body: impl Into<Bytes>, headers: &[(&str, &str)]) -> Result<()> {
        let headers = [&[("x-ms-blob-type", "BlockBlob")], headers].concat();
        let answer = self.send(Method::PUT, (container, blob), "", &headers, body)?;
        answer.success().map(drop).with_context(|| format!("cannot put {blob:?} into {container}"))
    }

    /// Reads a blob with its headers.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn get(&self, container: &str, blob: &str) -> Result<Answer> {
        let answer = self.send(Method::GET, (container, blob), "", &[], "")?;
        answer.success().with_context(|| format!("cannot get {blob:?} from {container}"))
    }

    /// The names below a prefix, in the server's order.
    ///
    /// # Errors
    /// When the server refuses, or its answer is no listing.
    pub fn names(&self, container: &str, prefix: &str) -> Result<Vec<String>> {
        let (mut names, mut marker) = (Vec::new(), String::new());
        loop {
            let (prefix, from) = (encode(prefix.as_bytes(), false), encode(marker.as_bytes(), false));
            let query = format!("restype=container&comp=list&prefix={prefix}&marker={from}");
            let page = self.send(Method::GET, (container, ""), &query, &[], "")?.success()?;
            let text = String::from_utf8(page.body.to_vec())?;
            ensure!(text.contains("<EnumerationResults"), "no listing: {text}");
            names.extend(xml::blocks(&text, "Blob").filter_map(|blob| xml::element(blob, "Name")));
            marker = xml::element(&text, "NextMarker").unwrap_or_default();
            if marker.is_empty() {
                return Ok(names);
            }
        }
    }

    /// The blobs below a prefix, by what follows it.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn read_all(&self, container: &str, prefix: &str) -> Result<BTreeMap<String, Bytes>> {
        let mut blobs = BTreeMap::new();
        for name in self.names(container, prefix)? {
            let body = self.get(container, &name)?.body;
            blobs.insert(name.strip_prefix(prefix).unwrap_or(&name).to_owned(), body);
        }
        Ok(blobs)
    }
}
