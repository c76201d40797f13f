//! A small S3 client for tests: raw path bytes, own Signature Version 4, blocking calls.
//!
//! It shares no code with the connector or the egress under test, so that a mistake there shows as a difference
//! here. No retries: a test wants to see what the server said. Signing follows
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>.

mod listing;
mod upload;
pub mod xml;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use ring::{digest, hmac};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::runtime::Runtime;

pub use listing::ListedVersion;

/// Where a server listens and who may talk to it.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// `http://host:port` or `https://host:port`, without a path.
    pub url: String,
    /// Access key.
    pub access_key: String,
    /// Its secret.
    pub secret_key: String,
    /// Region that requests are signed for.
    pub region: String,
    /// PEM file of the authority that signed the server's certificate.
    pub ca_file: Option<String>,
}

impl Endpoint {
    /// `s3://host:port/BUCKET[/PREFIX]`, as credenza takes it.
    pub fn location(&self, bucket_and_prefix: &str) -> String {
        format!("s3://{}/{bucket_and_prefix}", self.authority())
    }

    fn authority(&self) -> &str {
        self.url.split("//").nth(1).unwrap_or_default()
    }
}

/// An answer with its whole body in memory.
#[derive(Debug)]
pub struct Answer {
    /// Status code.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

impl Answer {
    /// The answer itself when its status says success, else an error with the body's text.
    ///
    /// # Errors
    /// When the status is not 2xx.
    pub fn success(self) -> Result<Self> {
        ensure!(self.status.is_success(), "{}: {}", self.status, String::from_utf8_lossy(&self.body));
        Ok(self)
    }

    /// The value of a header; what is not UTF-8 in it is replaced.
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    }
}

/// A client of one server.
#[derive(Debug)]
pub struct S3 {
    endpoint: Endpoint,
    runtime: Runtime,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl S3 {
    /// A client that trusts the endpoint's CA file and nothing else.
    ///
    /// # Errors
    /// When the CA file cannot be read.
    pub fn new(endpoint: Endpoint) -> Result<Self> {
        let mut roots = rustls::RootCertStore::empty();
        if let Some(file) = &endpoint.ca_file {
            roots.add(certificate(Path::new(file))?).context("the CA file holds no usable certificate")?;
        }
        let provider = rustls::crypto::ring::default_provider();
        let tls = rustls::ClientConfig::builder_with_provider(provider.into()).with_safe_default_protocol_versions()?;
        let tls = tls.with_root_certificates(roots).with_no_client_auth();
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        // A connection for each request: a server may close one that waits at the moment at which it is used again.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        Ok(Self { endpoint, runtime, client })
    }

    /// The server that this client talks to.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Sends a signed request about a bucket and a key in it, the empty one for the bucket itself. `query` holds names and values as they are, not yet encoded.
    ///
    /// # Errors
    /// When no answer arrives; a status that is no success is an answer.
    pub fn send(
        &self,
        method: Method,
        (bucket, key): (&str, impl AsRef<[u8]>),
        query: &[(&str, &str)],
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Answer> {
        let key = key.as_ref();
        let path = if key.is_empty() { format!("/{bucket}") } else { format!("/{bucket}/{}", encode(key, true)) };
        let query = canonical_query(query);
        let body = body.into();
        let mut signed = headers.iter().map(|(k, v)| (k.to_lowercase(), (*v).to_owned())).collect::<Vec<_>>();
        signed.push(("host".to_owned(), self.endpoint.authority().to_owned()));
        signed.push(("x-amz-content-sha256".to_owned(), hex(digest::digest(&digest::SHA256, &body).as_ref())));
        signed.push(("x-amz-date".to_owned(), amz_date(SystemTime::now())));
        signed.sort();
        let authorization = authorization(&self.endpoint, method.as_str(), &path, &query, &signed)?;
        let target = if query.is_empty() { path } else { format!("{path}?{query}") };
        let mut request = Request::builder().method(method).uri(format!("{}{target}", self.endpoint.url));
        for (name, value) in &signed {
            request = request.header(name, HeaderValue::from_bytes(value.as_bytes())?);
        }
        let request = request.header("authorization", authorization).body(Full::new(body))?;
        self.runtime.block_on(async {
            let (parts, body) = self.client.request(request).await?.into_parts();
            Ok(Answer { status: parts.status, headers: parts.headers, body: body.collect().await?.to_bytes() })
        })
    }

    /// Creates a bucket; one that is there already is fine.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn create_bucket(&self, bucket: &str) -> Result<()> {
        let answer = self.send(Method::PUT, (bucket, b""), &[], &[], "")?;
        match answer.status {
            StatusCode::CONFLICT => Ok(()),
            _ => answer.success().map(drop).with_context(|| format!("cannot create bucket {bucket}")),
        }
    }

    /// Stores an object with the given headers.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn put(&self, bucket: &str, key: &str, body: impl Into<Bytes>, headers: &[(&str, &str)]) -> Result<()> {
        let answer = self.send(Method::PUT, (bucket, key.as_bytes()), &[], headers, body)?;
        answer.success().map(drop).with_context(|| format!("cannot put {key:?} into {bucket}"))
    }

    /// Reads an object with its headers.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn get(&self, bucket: &str, key: &str) -> Result<Answer> {
        let answer = self.send(Method::GET, (bucket, key.as_bytes()), &[], &[], "")?;
        answer.success().with_context(|| format!("cannot get {key:?} from {bucket}"))
    }

    /// Deletes an object.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn delete(&self, bucket: &str, key: &str) -> Result<()> {
        self.send(Method::DELETE, (bucket, key.as_bytes()), &[], &[], "")?.success().map(drop)
    }
}

fn authorization(
    endpoint: &Endpoint,
    method: &str,
    path: &str,
    query: &str,
    headers: &[(String, String)],
) -> Result<String> {
    let value = |name: &str| headers.iter().find(|(k, _)| k == name).map(|(_, v)| v.as_str());
    let date = value("x-amz-date").context("x-amz-date is always set")?;
    let day = date.get(..8).context("x-amz-date begins with the day")?;
    let hash = value("x-amz-content-sha256").context("the hash is always set")?;
    // Spaces in a row count as one.
    let one_spaced = |text: &str| text.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    let lines: String = headers.iter().map(|(k, v)| format!("{k}:{}\n", one_spaced(v))).collect();
    let names = headers.iter().map(|(k, _)| k.as_str()).collect::<Vec<_>>().join(";");
    let canonical = format!("{method}\n{path}\n{query}\n{lines}\n{names}\n{hash}");
    let scope = format!("{day}/{}/s3/aws4_request", endpoint.region);
    let digest = hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{digest}");
    let secret = format!("AWS4{}", endpoint.secret_key).into_bytes();
    let words = [day, &endpoint.region, "s3", "aws4_request"];
    let key = words.iter().fold(secret, |key, word| sign(&key, word));
    let signature = hex(&sign(&key, &text));
    let credential = format!("{}/{scope}", endpoint.access_key);
    Ok(format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}"))
}

fn sign(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

fn canonical_query(query: &[(&str, &str)]) -> String {
    let encode = |text: &str| encode(text.as_bytes(), false);
    let mut pairs = query.iter().map(|(k, v)| format!("{}={}", encode(k), encode(v))).collect::<Vec<_>>();
    pairs.sort();
    pairs.join("&")
}

/// Percent-encodes all but the unreserved characters of RFC 3986, and `/` when it separates.
pub(crate) fn encode(bytes: &[u8], keep_slash: bool) -> String {
    let mut text = String::new();
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => text.push(char::from(*byte)),
            b'/' if keep_slash => text.push('/'),
            byte => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

/// What percent-encoded text says; `+` is a space.
pub fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let two = after.get(..2).and_then(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
        let (byte, skip) = match (first, two) {
            (b'%', Some(byte)) => (byte, 2),
            (b'+', _) => (b' ', 0),
            (byte, _) => (*byte, 0),
        };
        bytes.push(byte);
        rest = after.get(skip..).unwrap_or_default();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `YYYY-MM-DDTHH:MM:SSZ`.
pub fn iso_date(time: SystemTime) -> String {
    let mut text = amz_date(time);
    [(4, '-'), (7, '-'), (13, ':'), (16, ':')].into_iter().for_each(|(at, mark)| text.insert(at, mark));
    text
}

/// `YYYYMMDDTHHMMSSZ`; days to dates after Howard Hinnant, "chrono-compatible low-level date algorithms".
fn amz_date(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    let z = days + 719_468;
    let (era, of_era) = (z / 146_097, z % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z", of_day / 3600, of_day / 60 % 60, of_day % 60)
}

fn certificate(file: &Path) -> Result<rustls::pki_types::CertificateDer<'static>> {
    use rustls::pki_types::pem::PemObject;
    rustls::pki_types::CertificateDer::from_pem_file(file).with_context(|| format!("cannot read {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let at = |seconds| amz_date(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "19700101T000000Z");
        assert_eq!(at(951_827_696), "20000229T123456Z");
        assert_eq!(at(1_735_689_599), "20241231T235959Z");
        assert_eq!(iso_date(UNIX_EPOCH + Duration::from_secs(951_827_696)), "2000-02-29T12:34:56Z");
    }

    #[test]
    fn the_signature_equals_the_published_example() {
        let endpoint = Endpoint {
            url: "https://examplebucket.s3.amazonaws.com".into(),
            access_key: "AKIAIOSFODNN7EXAMPLE".into(),
            secret_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
            region: "us-east-1".into(),
            ca_file: None,
        };
        let empty = hex(digest::digest(&digest::SHA256, b"").as_ref());
        let headers = [
            ("host", "examplebucket.s3.amazonaws.com"),
            ("range", "bytes=0-9"),
            ("x-amz-content-sha256", empty.as_str()),
            ("x-amz-date", "20130524T000000Z"),
        ];
        let headers = headers.map(|(k, v)| (k.to_owned(), v.to_owned()));
        let header = authorization(&endpoint, "GET", "/test.txt", "", &headers).unwrap();
        assert!(header.ends_with("f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"), "{header}");
    }
}
