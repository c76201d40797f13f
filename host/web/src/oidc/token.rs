//! An ID token of an identity provider: whether it is one, for this server, of this login, and still (OpenID Connect Core 1.0, section 3.1.3.7).
//!
//! Signatures are RS256 and ES256, by keys that the provider publishes. A token that is signed otherwise, or not at all, is refused.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey};
use serde::Deserialize;
use serde_json::{Map, Value};

/// How far the clocks of the provider and this machine may differ, in seconds.
const SKEW: i64 = 60;
/// Keys that are tried.
const KEYS_MAX: usize = 32;

/// Why a token is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenFault {
    /// It has another form.
    #[error("it is no signed token")]
    Form,
    /// It is signed in a way that is not taken.
    #[error("it is signed by `{0}`, and RS256 or ES256 is taken")]
    Algorithm(String),
    /// None of the keys of the provider has signed it.
    #[error("no key of the provider has signed it")]
    Signature,
    /// A claim is another than it must be.
    #[error("its `{0}` is not the one of this login")]
    Claim(&'static str),
    /// Its time is over, or has not come.
    #[error("it is not of this time: the clocks of both machines may differ by a minute")]
    Time,
}

/// The keys that a provider publishes.
#[derive(Debug, Deserialize)]
pub(crate) struct Keys {
    keys: Vec<Key>,
}

#[derive(Debug, Deserialize)]
struct Key {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
}

/// What a token must say.
pub(crate) struct Expected<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) client_id: &'a str,
    pub(crate) nonce: &'a str,
    /// Seconds since 1970.
    pub(crate) now: i64,
}

/// The claims of a token, verified.
pub(crate) fn verified(token: &str, keys: &Keys, expected: &Expected<'_>) -> Result<Map<String, Value>, TokenFault> {
    let parts: Vec<&str> = token.split('.').collect();
    let [head, body, signature] = parts.as_slice() else { return Err(TokenFault::Form) };
    let header: Header = serde_json::from_slice(&decode(head)?).map_err(|_| TokenFault::Form)?;
    let signed = token.get(..head.len() + 1 + body.len()).ok_or(TokenFault::Form)?.as_bytes();
    let signature = decode(signature)?;
    let is_by = match header.alg.as_str() {
        "RS256" => Key::has_signed_rsa,
        "ES256" => Key::has_signed_ec,
        other => return Err(TokenFault::Algorithm(other.chars().take(16).collect())),
    };
    let fits = |key: &&Key| {
        key.usage.as_deref().is_none_or(|usage| usage == "sig")
            && (header.kid.is_none() || key.kid.is_none() || key.kid == header.kid)
    };
    let mut fitting = keys.keys.iter().filter(fits).take(KEYS_MAX);
    if !fitting.any(|key| is_by(key, signed, &signature).is_some()) {
        return Err(TokenFault::Signature);
    }
    let claims: Map<String, Value> = serde_json::from_slice(&decode(body)?).map_err(|_| TokenFault::Form)?;
    require(&claims, expected)?;
    Ok(claims)
}

fn require(claims: &Map<String, Value>, expected: &Expected<'_>) -> Result<(), TokenFault> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let audiences: Vec<&str> = match claims.get("aud") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let is_for_us =
        text("azp").is_none_or(|party| party == expected.client_id) && (audiences.len() < 2 || text("azp").is_some());
    for (name, holds) in [
        ("iss", text("iss") == Some(expected.issuer)),
        ("aud", audiences.contains(&expected.client_id)),
        ("azp", is_for_us),
        ("nonce", text("nonce") == Some(expected.nonce)),
        ("sub", text("sub").is_some_and(|subject| !subject.is_empty())),
    ] {
        if !holds {
            return Err(TokenFault::Claim(name));
        }
    }
    let time =
        |name: &str| claims.get(name).and_then(|time| time.as_i64().or_else(|| time.as_f64().map(|time| time as i64)));
    let ends = time("exp").is_some_and(|end| end > expected.now.saturating_sub(SKEW));
    let has_begun = |name: &str| time(name).is_none_or(|begin| begin <= expected.now.saturating_add(SKEW));
    if ends && time("iat").is_some() && has_begun("iat") && has_begun("nbf") { Ok(()) } else { Err(TokenFault::Time) }
}

impl Key {
    fn has_signed_rsa(&self, signed: &[u8], signature: &[u8]) -> Option<()> {
        let (n, e) = (part(&self.n)?, part(&self.e)?);
        let key = RsaPublicKeyComponents { n, e };
        (self.kty == "RSA").then_some(())?;
        key.verify(&RSA_PKCS1_2048_8192_SHA256, signed, signature).ok()
    }

    fn has_signed_ec(&self, signed: &[u8], signature: &[u8]) -> Option<()> {
        (self.kty == "EC" && self.crv.as_deref() == Some("P-256")).then_some(())?;
        let point = [vec![4], part(&self.x)?, part(&self.y)?].concat();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed, signature).ok()
    }
}

fn part(text: &Option<String>) -> Option<Vec<u8>> {
    decode(text.as_deref()?).ok()
}

fn decode(text: &str) -> Result<Vec<u8>, TokenFault> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| TokenFault::Form)
}
