//! Signature Version 4 in headers, in its two dialects: that of AWS and that of Google Cloud Storage's XML API, which differ in words alone.
//!
//! Paths are signed as they are, neither encoded twice nor normalised, and the digest of the payload goes into a header, as S3 and GCS want it
//! (docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html, cloud.google.com/storage/docs/authentication/signatures).

use std::collections::BTreeMap;
use std::time::SystemTime;

use credenza_connect::Payload;
use credenza_model::Timestamp;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION};
use http::{HeaderName, HeaderValue};
use ring::digest::{SHA256, digest};
use ring::hmac::{self, HMAC_SHA256};

use super::text::{hex, percent_decoded, percent_encoded, set_secret};
use crate::egress::EgressError;
use crate::manifest::Query;

/// The words of a dialect.
#[derive(Debug)]
pub(crate) struct Dialect {
    algorithm: &'static str,
    /// What stands before the secret in the key of the first step.
    prefix: &'static str,
    /// The end of the scope.
    terminator: &'static str,
    date: HeaderName,
    digest: HeaderName,
    /// HMAC keys of Google come without a session.
    token: Option<HeaderName>,
}

pub(crate) static AWS: Dialect = Dialect {
    algorithm: "AWS4-HMAC-SHA256",
    prefix: "AWS4",
    terminator: "aws4_request",
    date: HeaderName::from_static("x-amz-date"),
    digest: HeaderName::from_static("x-amz-content-sha256"),
    token: Some(HeaderName::from_static("x-amz-security-token")),
};

pub(crate) static GOOGLE: Dialect = Dialect {
    algorithm: "GOOG4-HMAC-SHA256",
    prefix: "GOOG4",
    terminator: "goog4_request",
    date: HeaderName::from_static("x-goog-date"),
    digest: HeaderName::from_static("x-goog-content-sha256"),
    token: None,
};

/// Who signs what for.
pub(crate) struct Key<'a> {
    pub(crate) id: &'a str,
    pub(crate) secret: &'a str,
    pub(crate) token: Option<&'a str>,
    pub(crate) region: &'a str,
    pub(crate) service: &'a str,
}

/// Adds the headers of the signature.
pub(crate) fn sign(
    dialect: &Dialect,
    key: &Key<'_>,
    request: &mut http::Request<()>,
    payload: &Payload,
    now: SystemTime,
) -> Result<(), EgressError> {
    let time = timestamp(now);
    let day = time.get(..8).unwrap_or_default().to_owned();
    let headers = request.headers_mut();
    set_secret(headers, &dialect.date, &time)?;
    set_secret(headers, &dialect.digest, &hex(&payload.sha256()))?;
    if let (Some(name), Some(token)) = (&dialect.token, key.token) {
        set_secret(headers, name, token)?;
    }
    let (names, canonical) = canonical(request, &payload.sha256())?;
    let scope = format!("{day}/{}/{}/{}", key.region, key.service, dialect.terminator);
    let digest = hex(digest(&SHA256, canonical.as_bytes()).as_ref());
    let to_sign = format!("{}\n{time}\n{scope}\n{digest}", dialect.algorithm);
    let mut step = hmac::Key::new(HMAC_SHA256, format!("{}{}", dialect.prefix, key.secret).as_bytes());
    for word in [&day, key.region, key.service, dialect.terminator] {
        step = hmac::Key::new(HMAC_SHA256, hmac::sign(&step, word.as_bytes()).as_ref());
    }
    let signature = hex(hmac::sign(&step, to_sign.as_bytes()).as_ref());
    let proof =
        format!("{} Credential={}/{scope}, SignedHeaders={names}, Signature={signature}", dialect.algorithm, key.id);
    set_secret(request.headers_mut(), &AUTHORIZATION, &proof)
}

/// `20130524T000000Z`.
fn timestamp(now: SystemTime) -> String {
    let whole = Timestamp { nanoseconds: 0, ..Timestamp::from_system(now) };
    whole.to_string().replace(['-', ':'], "")
}

/// The names of the headers that are signed, and the text that is.
fn canonical(request: &http::Request<()>, digest: &[u8]) -> Result<(String, String), EgressError> {
    let mut headers: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let authority = request.uri().authority().map_or("", |authority| authority.as_str());
    headers.insert("host", vec![authority.to_owned()]);
    // Proxies and servers (Google's) rewrite that one on the way.
    for (name, value) in request.headers().iter().filter(|(name, _)| *name != ACCEPT_ENCODING) {
        headers.entry(name.as_str()).or_default().push(one_spaced(value));
    }
    let lines: String = headers.iter().map(|(name, values)| format!("{name}:{}\n", values.join(","))).collect();
    let names = headers.into_keys().collect::<Vec<_>>().join(";");
    let query = Query::read(request.uri().query())
        .map_err(|why| EgressError::refused("egress.sign", format!("a request, {why}, cannot be signed")))?;
    let encoded = |text: &str| percent_encoded(&percent_decoded(text));
    let mut parameters: Vec<(String, String)> =
        query.0.iter().map(|(name, value)| (encoded(name), encoded(value.unwrap_or_default()))).collect();
    parameters.sort();
    let query: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let (method, path) = (request.method(), request.uri().path());
    Ok((names.clone(), format!("{method}\n{path}\n{}\n{lines}\n{names}\n{}", query.join("&"), hex(digest))))
}

/// A value without spaces around it, and one where several are within.
fn one_spaced(value: &HeaderValue) -> String {
    let text = String::from_utf8_lossy(value.as_bytes());
    text.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn signed(dialect: &Dialect, mut request: http::Request<()>, payload: &Payload) -> String {
        // Fri, 24 May 2013 00:00:00 GMT, the time of the published examples.
        let now = UNIX_EPOCH + Duration::from_secs(1_369_353_600);
        let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        let key = Key { id: "AKIAIOSFODNN7EXAMPLE", secret, token: None, region: "us-east-1", service: "s3" };
        sign(dialect, &key, &mut request, payload, now).unwrap();
        request.headers()["authorization"].to_str().unwrap().to_owned()
    }

    fn signature(request: http::Request<()>, payload: &Payload) -> String {
        signed(&AWS, request, payload).rsplit_once("Signature=").unwrap().1.to_owned()
    }

    /// The examples of "Authenticating Requests: Using the Authorization Header" in the Amazon S3 API reference.
    #[test]
    fn the_published_examples_of_s3_get_their_published_signatures() {
        let get = http::Request::get("https://examplebucket.s3.amazonaws.com/test.txt").header("range", "bytes=0-9");
        assert_eq!(
            signature(get.body(()).unwrap(), &Payload::default()),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        );
        let put = http::Request::put("https://examplebucket.s3.amazonaws.com/test%24file.text")
            .header("date", "Fri, 24 May 2013 00:00:00 GMT")
            .header("x-amz-storage-class", "REDUCED_REDUNDANCY");
        assert_eq!(
            signature(put.body(()).unwrap(), &Payload::from(b"Welcome to Amazon S3.".to_vec())),
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
        );
        let lifecycle = http::Request::get("https://examplebucket.s3.amazonaws.com/?lifecycle");
        assert_eq!(
            signature(lifecycle.body(()).unwrap(), &Payload::default()),
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
        );
        let list = http::Request::get("https://examplebucket.s3.amazonaws.com/?max-keys=2&prefix=J");
        assert_eq!(
            signature(list.body(()).unwrap(), &Payload::default()),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
        );
    }

    /// Google publishes no secret with an example, so that only the words can be compared
    /// (cloud.google.com/storage/docs/authentication/signatures, "Structure").
    #[test]
    fn the_dialect_of_google_has_its_own_words() {
        let get = http::Request::get("https://storage.googleapis.com/bucket/k").body(()).unwrap();
        let proof = signed(&GOOGLE, get, &Payload::default());
        let begin = "GOOG4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/goog4_request, \
                     SignedHeaders=host;x-goog-content-sha256;x-goog-date, Signature=";
        // By Python's hmac and hashlib, of the same words.
        assert_eq!(proof, format!("{begin}08d8edf768f3f635aab86511a2271b738a31dbda7acfb44e0421ae142dc477a8"));
    }

    #[test]
    fn a_path_with_dots_is_signed_as_it_is() {
        let sign = |path: &str| {
            let request = http::Request::get(format!("https://h/b/{path}")).body(()).unwrap();
            signature(request, &Payload::default())
        };
        assert_ne!(sign("a/../c"), sign("c"));
        assert_ne!(sign("a//c"), sign("a/c"));
    }

    #[test]
    fn a_query_is_signed_by_what_it_means_in_the_order_of_its_names() {
        let sign = |query: &str| {
            let request = http::Request::get(format!("https://h/b?{query}")).body(()).unwrap();
            signature(request, &Payload::default())
        };
        assert_eq!(sign("prefix=a/b&delimiter=%2f"), sign("delimiter=%2F&prefix=a%2Fb"));
        assert_eq!(sign("acl"), sign("acl="));
        assert_ne!(sign("prefix=a%20b"), sign("prefix=a%2520b"));
    }
}
