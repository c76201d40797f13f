//! Shared Key of Azure's blobs, as of version 2015-02-21 of its protocol
//! (learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key).

use std::collections::BTreeMap;
use std::time::SystemTime;

use base64::prelude::{BASE64_STANDARD, Engine};
use credenza_connect::Payload;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use ring::hmac::{self, HMAC_SHA256};

use super::text::{http_date, percent_decoded, set_secret};
use crate::egress::EgressError;
use crate::manifest::Query;

static DATE: HeaderName = HeaderName::from_static("x-ms-date");
/// Headers of the service all begin so.
const OWN: &str = "x-ms-";
/// What is signed of HTTP's own headers behind the length of the body, in this order; `date` stays empty beside `x-ms-date`.
const BEHIND_LENGTH: [&str; 8] = [
    "content-md5",
    "content-type",
    "date",
    "if-modified-since",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "range",
];

/// An account and its key.
pub(crate) struct SharedKey {
    account: String,
    key: hmac::Key,
    pub(super) origin: &'static str,
}

impl SharedKey {
    /// `None` when the key is not Base64.
    pub(super) fn new(account: &str, key: &str, origin: &'static str) -> Option<Self> {
        let bytes = zeroize::Zeroizing::new(BASE64_STANDARD.decode(key.trim()).ok()?);
        Some(Self { account: account.to_owned(), key: hmac::Key::new(HMAC_SHA256, &bytes), origin })
    }

    /// Adds the date and the signature.
    pub(super) fn sign(
        &self,
        request: &mut http::Request<()>,
        payload: &Payload,
        now: SystemTime,
    ) -> Result<(), EgressError> {
        set_secret(request.headers_mut(), &DATE, &http_date(now))?;
        let signature = hmac::sign(&self.key, &self.to_sign(request, payload.length())?);
        let proof = format!("SharedKey {}:{}", self.account, BASE64_STANDARD.encode(signature.as_ref()));
        set_secret(request.headers_mut(), &AUTHORIZATION, &proof)
    }

    fn to_sign(&self, request: &http::Request<()>, length: u64) -> Result<Vec<u8>, EgressError> {
        let value = |name: &str| request.headers().get(name).map(trimmed).unwrap_or_default();
        let length = if length == 0 { String::new() } else { length.to_string() };
        let mut text =
            format!("{}\n{}\n{}\n{length}\n", request.method(), value("content-encoding"), value("content-language"));
        for name in BEHIND_LENGTH {
            text.push_str(&if name == "date" { String::new() } else { value(name) });
            text.push('\n');
        }
        let mut own: BTreeMap<Order<'_>, String> = BTreeMap::new();
        for (name, value) in request.headers().iter().filter(|(name, _)| name.as_str().starts_with(OWN)) {
            own.insert(Order(name.as_str()), trimmed(value));
        }
        own.iter().for_each(|(Order(name), value)| text.push_str(&format!("{name}:{value}\n")));
        text.push_str(&format!("/{}{}", self.account, request.uri().path()));
        let mut bytes = text.into_bytes();
        for (name, values) in parameters(request)? {
            bytes.extend_from_slice(format!("\n{name}:").as_bytes());
            bytes.extend_from_slice(&values.join(&b','));
        }
        Ok(bytes)
    }
}

/// A value as it is on the wire, without the spaces around it. The documentation would have each run of spaces outside of quotes signed as one (step 4 of
/// "Constructing the canonicalized headers string"); neither the service's own clients nor its emulator do so, and metadata with such runs is signed
/// by them as it is.
fn trimmed(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).trim_matches([' ', '\t']).to_owned()
}

/// The parameters by names in small letters, each with its decoded values in order.
fn parameters(request: &http::Request<()>) -> Result<BTreeMap<String, Vec<Vec<u8>>>, EgressError> {
    let unsigned = |why| EgressError::refused("egress.sign", format!("a request, {why}, cannot be signed"));
    let mut parameters: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
    for (name, value) in Query::read(request.uri().query()).map_err(unsigned)?.0 {
        let values = parameters.entry(name.to_ascii_lowercase()).or_default();
        values.push(percent_decoded(value.unwrap_or_default()));
        values.sort();
    }
    Ok(parameters)
}

/// The order in which the service puts its headers: that of a language, in which hyphens count last and `_` stands before digits and letters.
#[derive(PartialEq, Eq)]
struct Order<'a>(&'a str);

impl Order<'_> {
    fn weights(&self) -> impl Iterator<Item = (u8, u8)> {
        let kind = |byte: u8| if byte.is_ascii_alphanumeric() { 1 } else { 0 };
        self.0.bytes().filter(|byte| *byte != b'-').map(move |byte| (kind(byte), byte))
    }
}

impl Ord for Order<'_> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.weights().cmp(other.weights()).then_with(|| self.0.cmp(other.0))
    }
}

impl PartialOrd for Order<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    /// The well-known account of the service's emulator (learn.microsoft.com/azure/storage/common/storage-use-azurite).
    const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

    fn key(account: &str) -> SharedKey {
        SharedKey::new(account, KEY, "test").unwrap()
    }

    fn to_sign(request: http::request::Builder, length: u64) -> String {
        let text = key("myaccount").to_sign(&request.body(()).unwrap(), length).unwrap();
        String::from_utf8(text).unwrap()
    }

    /// The example of "Authorize with Shared Key", section "Blob, Queue, and File Services (Shared Key authorization)".
    #[test]
    fn the_published_example_is_signed_as_published() {
        let address = "https://myaccount.blob.core.windows.net/mycontainer?restype=container&comp=metadata&timeout=20";
        let request = http::Request::get(address)
            .header("x-ms-version", "2015-02-21")
            .header("x-ms-date", "Fri, 26 Jun 2015 23:39:12 GMT");
        assert_eq!(
            to_sign(request, 0),
            "GET\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\nx-ms-version:2015-02-21\n/myaccount/mycontainer\ncomp:metadata\nrestype:container\ntimeout:20"
        );
    }

    #[test]
    fn every_part_has_its_place() {
        let request = http::Request::put("http://h/devstoreaccount1/c/a%20b?Comp=block&blockid=QUFB%2B")
            .header("content-type", "text/plain")
            .header("content-encoding", "gzip")
            .header("content-language", "en")
            .header("content-md5", "bWQ1")
            .header("if-match", "\"e\"")
            .header("if-none-match", "*")
            .header("range", "bytes=0-1")
            .header("x-ms-blob-type", "BlockBlob")
            .header("x-ms-meta-a1", "  two   spaces ")
            .header("x-ms-meta-a_b", "")
            .header("x-ms-date", "D")
            .header("date", "never");
        assert_eq!(
            to_sign(request, 5),
            "PUT\ngzip\nen\n5\nbWQ1\ntext/plain\n\n\n\"e\"\n*\n\nbytes=0-1\nx-ms-blob-type:BlockBlob\nx-ms-date:D\nx-ms-meta-a_b:\nx-ms-meta-a1:two   spaces\n/myaccount/devstoreaccount1/c/a%20b\nblockid:QUFB+\ncomp:block"
        );
    }

    /// What Azurite, and the clients for JavaScript, Go and .NET, sign of such values.
    #[test]
    fn spaces_within_a_value_are_signed_as_they_are_sent() {
        for (value, signed) in [
            ("  two   spaces  ", "two   spaces"),
            ("attachment; filename=\"two  spaces\"", "attachment; filename=\"two  spaces\""),
            ("\ttab\there\t", "tab\there"),
            ("", ""),
        ] {
            let request = http::Request::put("http://h/c/b").header("x-ms-meta-a", value);
            let text = to_sign(request, 0);
            assert_eq!(text, format!("PUT\n\n\n\n\n\n\n\n\n\n\n\nx-ms-meta-a:{signed}\n/myaccount/c/b"), "{value}");
        }
    }

    #[test]
    fn the_signature_is_that_of_the_key() {
        let mut request = http::Request::get("http://127.0.0.1:10000/devstoreaccount1/c?comp=list&restype=container")
            .header("x-ms-version", "2021-12-02")
            .body(())
            .unwrap();
        let now = UNIX_EPOCH + Duration::from_secs(1_435_361_952);
        key("devstoreaccount1").sign(&mut request, &Payload::default(), now).unwrap();
        // By Python's hmac and hashlib, of the text that the protocol asks for.
        assert_eq!(
            request.headers()["authorization"],
            "SharedKey devstoreaccount1:J9Ekql7FEcwP+PSE0z5OdiehdyStFjKLrzBKJpJ0vOk="
        );
        assert!(request.headers()["authorization"].is_sensitive());
        assert!(SharedKey::new("a", "not base64!", "test").is_none());
    }

    #[test]
    fn headers_are_in_the_order_of_the_service() {
        let mut names =
            ["x-ms-meta-ab", "x-ms-meta-a_b", "x-ms-meta-a1", "x-ms-version", "x-ms-date", "x-ms-blob-type"].map(Order);
        names.sort();
        let names = names.map(|Order(name)| name);
        assert_eq!(
            names,
            ["x-ms-blob-type", "x-ms-date", "x-ms-meta-a_b", "x-ms-meta-a1", "x-ms-meta-ab", "x-ms-version"]
        );
    }
}
