//! Authentication, applied by the host after the guest has finished its request.

use std::sync::Arc;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_sigv4::sign::v4;
use credenza_connect::{Payload, checksum_of};
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};

use super::EgressError;
use super::keys::Keys;
use crate::manifest::Auth;
use crate::settings::{Masker, SecretText, Settings, SettingsError};

/// The credentials of one endpoint.
pub(crate) enum Signer {
    /// No credentials: anonymous requests.
    Anonymous,
    /// One header with a secret value.
    Header { name: HeaderName, value: HeaderValue, origin: &'static str },
    /// AWS Signature Version 4 in headers.
    Sigv4 { keys: Keys, region: String, service: String },
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Anonymous => "Anonymous",
            Self::Header { .. } => "Header(***)",
            Self::Sigv4 { .. } => "Sigv4(***)",
        })
    }
}

impl Signer {
    /// The signer of an endpoint; anonymous when the user gave none of its secrets and none are looked for.
    pub(crate) fn new(
        label: &str,
        auth: &Auth,
        settings: &Settings,
        masker: &Arc<Masker>,
    ) -> Result<Self, SettingsError> {
        let secret = |name: &str| settings.secrets.get(name).map(SecretText::expose);
        let pair = |first: &str, second: &str| match (secret(first), secret(second)) {
            (Some(a), Some(b)) => Ok(Some((a, b))),
            (None, None) => Ok(None),
            (Some(_), None) => Err(half(label, first, second)),
            (None, Some(_)) => Err(half(label, second, first)),
        };
        match auth {
            Auth::None => Ok(Self::Anonymous),
            Auth::Basic { user, password } => pair(user, password)?.map_or(Ok(Self::Anonymous), |(user, password)| {
                header(
                    settings,
                    label,
                    AUTHORIZATION,
                    &format!("Basic {}", base64(format!("{user}:{password}").as_bytes())),
                )
            }),
            Auth::Bearer { token } => secret(token).map_or(Ok(Self::Anonymous), |token| {
                header(settings, label, AUTHORIZATION, &format!("Bearer {token}"))
            }),
            Auth::Header { name, value } => secret(value).map_or(Ok(Self::Anonymous), |value| {
                let name = name.parse().map_err(|_| unusable(label, name))?;
                header(settings, label, name, value)
            }),
            Auth::AwsSigv4 { service, region, key, secret: secret_key, token, .. } => {
                let keys = match (pair(key, secret_key)?, settings.chain_for(auth)) {
                    (Some((key, secret_key)), _) => {
                        let token = token.as_deref().and_then(secret).map(str::to_owned);
                        let identity = Credentials::new(key, secret_key, token, None, "credenza").into();
                        Keys::Given { identity, origin: settings.origin_of_secrets() }
                    }
                    (None, Some(source)) => Keys::found_by(source, Arc::clone(masker)),
                    (None, None) => return Ok(Self::Anonymous),
                };
                Ok(Self::Sigv4 { keys, region: settings.expand(region, str::to_owned), service: service.clone() })
            }
        }
    }

    /// Adds what proves the credentials; the path and the query stay as they are.
    pub(crate) async fn sign(
        &self,
        request: http::Request<()>,
        payload: &Payload,
    ) -> Result<http::Request<()>, EgressError> {
        self.sign_at(request, payload, super::clock::now()).await
    }

    /// Where the credentials come from; they are looked up when that was not done yet.
    pub(crate) async fn origin(&self) -> Result<String, SettingsError> {
        match self {
            Self::Anonymous => Ok("nowhere: requests are anonymous".to_owned()),
            Self::Header { origin, .. } => Ok((*origin).to_owned()),
            Self::Sigv4 { keys, .. } => {
                let found = keys.find(super::clock::now()).await;
                found.map_err(|error| SettingsError::Credentials { cause: error.to_string() })
            }
        }
    }

    async fn sign_at(
        &self,
        mut request: http::Request<()>,
        payload: &Payload,
        now: SystemTime,
    ) -> Result<http::Request<()>, EgressError> {
        add_checksum(&mut request, payload)?;
        match self {
            Self::Anonymous => {}
            Self::Header { name, value, .. } => {
                request.headers_mut().insert(name.clone(), value.clone());
            }
            Self::Sigv4 { keys, region, service } => {
                let identity = keys.identity(now).await?;
                let params = v4::SigningParams::builder()
                    .identity(&identity)
                    .region(region)
                    .name(service)
                    .time(now)
                    .settings(sigv4_settings())
                    .build()
                    .map_err(|e| unsigned(&e))?;
                let instructions = {
                    let uri = request.uri().to_string();
                    let headers = request.headers().iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap_or("")));
                    let body = SignableBody::Precomputed(hex(&payload.sha256()));
                    let signable = SignableRequest::new(request.method().as_str(), uri, headers, body)
                        .map_err(|e| unsigned(&e))?;
                    sign(signable, &params.into()).map_err(|e| unsigned(&e))?.into_parts().0
                };
                for (name, value) in instructions.headers() {
                    let name: HeaderName = name.parse().map_err(|e| unsigned(&e))?;
                    let mut value: HeaderValue = value.parse().map_err(|e| unsigned(&e))?;
                    value.set_sensitive(true);
                    request.headers_mut().insert(name, value);
                }
            }
        }
        Ok(request)
    }
}

/// Adds the checksum that a guest asked for: S3 insists on one beside the signature where an object is locked, and a guest that hands a
/// body on has not seen its bytes (docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html).
fn add_checksum(request: &mut http::Request<()>, payload: &Payload) -> Result<(), EgressError> {
    let asked = request.headers().get("x-amz-sdk-checksum-algorithm").and_then(|algorithm| algorithm.to_str().ok());
    let Some(algorithm) = asked.map(str::to_ascii_lowercase) else { return Ok(()) };
    let value = match algorithm.as_str() {
        "sha256" => Some(payload.sha256().to_vec()),
        algorithm => checksum_of(algorithm, payload),
    };
    if let Some(value) = value {
        let name: HeaderName = format!("x-amz-checksum-{algorithm}").parse().map_err(|e| unsigned(&e))?;
        request.headers_mut().insert(name, base64(&value).parse().map_err(|e| unsigned(&e))?);
    }
    Ok(())
}

/// S3 takes paths as they are: neither encoded twice nor normalised, and wants the digest of the payload in a header
/// (docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html).
fn sigv4_settings() -> SigningSettings {
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    // Proxies and servers (Google's) rewrite it on the way.
    settings.excluded_headers.get_or_insert_default().push("accept-encoding".into());
    settings
}

fn header(settings: &Settings, label: &str, name: HeaderName, value: &str) -> Result<Signer, SettingsError> {
    let mut value = HeaderValue::from_str(value).map_err(|_| unusable(label, name.as_str()))?;
    value.set_sensitive(true);
    Ok(Signer::Header { name, value, origin: settings.origin_of_secrets() })
}

fn half(label: &str, given: &str, missing: &str) -> SettingsError {
    SettingsError::HalfASecret { endpoint: label.to_owned(), given: given.to_owned(), missing: missing.to_owned() }
}

fn unusable(label: &str, name: &str) -> SettingsError {
    SettingsError::Address {
        endpoint: label.to_owned(),
        address: name.to_owned(),
        cause: "the header for authentication cannot hold this name or value".to_owned(),
    }
}

fn unsigned(cause: &dyn std::error::Error) -> EgressError {
    EgressError::refused("egress.sign", format!("a request could not be signed: {cause}"))
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// RFC 4648 section 4.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let index = (bits >> (18 - 6 * place)) & 63;
            let letter = ALPHABET.get(index as usize).copied().unwrap_or(b'=');
            text.push(if place > chunk.len() { '=' } else { char::from(letter) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn example_signer() -> Signer {
        let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        Signer::Sigv4 {
            keys: Keys::Given {
                identity: Credentials::new("AKIAIOSFODNN7EXAMPLE", secret, None, None, "test").into(),
                origin: "test",
            },
            region: "us-east-1".to_owned(),
            service: "s3".to_owned(),
        }
    }

    async fn signature(request: http::Request<()>, payload: &Payload) -> String {
        // Fri, 24 May 2013 00:00:00 GMT, the time of the published examples.
        let now = UNIX_EPOCH + Duration::from_secs(1_369_353_600);
        let signed = example_signer().sign_at(request, payload, now).await.unwrap();
        signed.headers()["authorization"].to_str().unwrap().rsplit_once("Signature=").unwrap().1.to_owned()
    }

    /// The examples of "Authenticating Requests: Using the Authorization Header" in the Amazon S3 API reference.
    #[tokio::test]
    async fn the_published_examples_of_s3_get_their_published_signatures() {
        let get = http::Request::get("https://examplebucket.s3.amazonaws.com/test.txt").header("range", "bytes=0-9");
        assert_eq!(
            signature(get.body(()).unwrap(), &Payload::default()).await,
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        );
        let put = http::Request::put("https://examplebucket.s3.amazonaws.com/test%24file.text")
            .header("date", "Fri, 24 May 2013 00:00:00 GMT")
            .header("x-amz-storage-class", "REDUCED_REDUNDANCY");
        assert_eq!(
            signature(put.body(()).unwrap(), &Payload::from(b"Welcome to Amazon S3.".to_vec())).await,
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
        );
        let list = http::Request::get("https://examplebucket.s3.amazonaws.com/?max-keys=2&prefix=J");
        assert_eq!(
            signature(list.body(()).unwrap(), &Payload::default()).await,
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
        );
    }

    #[tokio::test]
    async fn a_path_with_dots_is_signed_as_it_is() {
        let sign = async |path: &str| {
            let request = http::Request::get(format!("https://h/b/{path}")).body(()).unwrap();
            signature(request, &Payload::default()).await
        };
        assert_ne!(sign("a/../c").await, sign("c").await);
        assert_ne!(sign("a//c").await, sign("a/c").await);
    }

    #[tokio::test]
    async fn a_checksum_is_added_where_a_guest_asks_for_it() {
        let sign = async |algorithm: &str| {
            let request = http::Request::put("https://h/b/k").header("x-amz-sdk-checksum-algorithm", algorithm);
            let signed =
                example_signer().sign(request.body(()).unwrap(), &Payload::from(b"abc".to_vec())).await.unwrap();
            let header = format!("x-amz-checksum-{}", algorithm.to_ascii_lowercase());
            signed.headers().get(header).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        // The SHA-256 of `abc` in FIPS 180-2, appendix B.1.
        assert_eq!(sign("SHA256").await.unwrap(), "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
        // The check value of CRC-32/ISO-HDLC is of other bytes; this is what `crc32` of any archive tool says of `abc`.
        assert_eq!(sign("CRC32").await.unwrap(), base64(&0x3524_41c2_u32.to_be_bytes()));
        assert_eq!(sign("CRC99").await, None);
    }

    #[test]
    fn base64_follows_the_vectors_of_rfc_4648() {
        for (plain, encoded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
    }
}
