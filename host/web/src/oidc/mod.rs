//! Logging in at an identity provider: the code flow of OpenID Connect with PKCE.
//!
//! Owned here: what is sent to the provider, and that its answer belongs to the login that this browser has begun. Refused here: who is a user (`door`), and
//! pages (`pages::oidc`). Nothing is kept of a login that is under way: what it needs follows from a secret in the browser's cookie and one of the process.
//! Own code instead of a crate: `openidconnect` brings 37 crates, among them RSA that leaks by its time (RUSTSEC-2023-0071); ring verifies both signatures that
//! providers use.
//!
//! Bound: [`ASKING_MAX`] logins at once ask the provider, each at most three times.

mod client;
mod token;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use credenza_engine::Moment;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use ring::digest::{SHA256, digest};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::session::{hexadecimal, random_bytes};
use client::{AskError, Client, address_of};
use token::{Expected, Keys, TokenFault, verified};

/// Logins that ask the provider at once.
const ASKING_MAX: usize = 4;
/// How long a login may take.
pub(crate) const LOGIN_MAX: Duration = Duration::from_mins(10);
/// Where the provider sends browsers back to.
pub(crate) const CALLBACK: &str = "/login/oidc/callback";
/// The claim that says whether the address of mail is the user's.
const EMAIL: &str = "email";

/// An identity provider that vouches for users.
#[derive(Clone)]
pub struct Provider {
    /// Its issuer, an https address.
    pub issuer: String,
    /// What this server is called there.
    pub client_id: String,
    /// What this server proves itself with there, if it does.
    pub client_secret: Option<Zeroizing<Vec<u8>>>,
    /// The claim that is the name of the user, such as `email`.
    pub claim: String,
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Provider")
            .field("issuer", &self.issuer)
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

/// Why nobody is logged in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoginFault {
    /// The provider does not give what it must.
    #[error("the identity provider does not help: {0}")]
    Provider(#[from] AskError),
    /// It says that it is another.
    #[error("the identity provider says that it is `{0}`")]
    Issuer(String),
    /// As many ask it as may.
    #[error("{ASKING_MAX} logins are under way at the identity provider, and no more may be at once")]
    Busy,
    /// What comes back is not of this browser, or too late.
    #[error("this browser has begun no such login, or did so more than ten minutes ago")]
    Foreign,
    /// The provider has refused.
    #[error("the identity provider has refused: {0}")]
    Refused(String),
    /// The token.
    #[error("the identity provider has sent a token that does not hold: {0}")]
    Token(#[from] TokenFault),
    /// The token does not name the user.
    #[error("the identity provider does not say `{0}` of the user, or has not verified it")]
    NoName(String),
}

/// Whom a provider vouches for.
pub(crate) struct Proven {
    /// The name of the user.
    pub(crate) name: String,
    /// Where the login there is ended (OpenID Connect RP-Initiated Logout), where the provider says so.
    pub(crate) leave: Option<String>,
}

/// What a browser sends back from the provider.
pub(crate) struct Answer<'a> {
    pub(crate) code: &'a str,
    pub(crate) state: &'a str,
    /// Who says so, where the provider adds it (RFC 9207).
    pub(crate) issuer: Option<&'a str>,
    /// Why it was refused.
    pub(crate) error: Option<&'a str>,
}

#[derive(Deserialize)]
struct Discovered {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    end_session_endpoint: Option<String>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: String,
}

/// Logins at one provider.
pub(crate) struct Oidc {
    provider: Provider,
    redirect: String,
    client: Client,
    key: [u8; 32],
    asking: Semaphore,
}

/// What belongs together in one login, each from the secret of the browser.
struct Login {
    state: String,
    nonce: String,
    verifier: String,
}

impl Oidc {
    /// Logins for a server that browsers ask for by this name.
    pub(crate) fn new(provider: Provider, host: &str) -> Result<Self> {
        let refused = |error: AskError| Error::Provider { issuer: provider.issuer.clone(), why: error.to_string() };
        address_of(&provider.issuer).map_err(refused)?;
        let client = Client::new().map_err(refused)?;
        let redirect = format!("https://{host}{CALLBACK}");
        Ok(Self { provider, redirect, client, key: random_bytes()?, asking: Semaphore::new(ASKING_MAX) })
    }

    /// The provider, for a person.
    pub(crate) fn name(&self) -> &str {
        self.provider.issuer.trim_start_matches("https://").trim_end_matches('/')
    }

    /// Begins a login: a secret for the cookie of the browser, and the address at the provider to go on to.
    pub(crate) async fn begin(&self, now: Moment) -> Result<(String, String), LoginFault> {
        let _turn = self.asking.try_acquire().map_err(|_| LoginFault::Busy)?;
        let found = self.discover().await?;
        let random: [u8; 16] = random_bytes().map_err(|error| LoginFault::Refused(error.to_string()))?;
        let cookie = format!("{}-{}", hexadecimal(&random), now.wall.seconds);
        let login = self.login(&cookie);
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, login.verifier.as_bytes()));
        let fields = [
            ("response_type", "code"),
            ("client_id", &self.provider.client_id),
            ("redirect_uri", &self.redirect),
            ("scope", "openid email profile"),
            ("state", &login.state),
            ("nonce", &login.nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        address_of(&found.authorization_endpoint)?;
        Ok((cookie, with_query(&found.authorization_endpoint, &fields)))
    }

    /// Ends a login: the user for whom the provider vouches.
    pub(crate) async fn finish(&self, cookie: &str, answer: &Answer<'_>, now: Moment) -> Result<Proven, LoginFault> {
        let began =
            cookie.rsplit_once('-').and_then(|(_, began)| began.parse::<i64>().ok()).ok_or(LoginFault::Foreign)?;
        let passed = now.wall.seconds.saturating_sub(began);
        let is_now = u64::try_from(passed).is_ok_and(|passed| passed < LOGIN_MAX.as_secs());
        let login = self.login(cookie);
        if !is_now || blake3::hash(login.state.as_bytes()) != blake3::hash(answer.state.as_bytes()) {
            return Err(LoginFault::Foreign);
        }
        if let Some(error) = answer.error {
            return Err(LoginFault::Refused(error.chars().take(200).collect()));
        }
        if let Some(other) = answer.issuer.filter(|issuer| *issuer != self.provider.issuer) {
            return Err(LoginFault::Issuer(other.chars().take(200).collect()));
        }
        let _turn = self.asking.try_acquire().map_err(|_| LoginFault::Busy)?;
        let found = self.discover().await?;
        let tokens = self.exchange(&found, answer.code, &login.verifier).await?;
        let keys: Keys = self.client.get(&found.jwks_uri).await?;
        let Provider { issuer, client_id, claim, .. } = &self.provider;
        let expected = Expected { issuer, client_id, nonce: &login.nonce, now: now.wall.seconds };
        let claims = verified(&tokens.id_token, &keys, &expected)?;
        let is_verified = claim != EMAIL || claims.get("email_verified") == Some(&Value::Bool(true));
        let name = claims.get(claim).and_then(Value::as_str).filter(|_| is_verified);
        let name = name.map(str::to_owned).ok_or_else(|| LoginFault::NoName(claim.clone()))?;
        Ok(Proven { name, leave: self.leave(&found) })
    }

    /// Where a login is ended. Without the token of the login, which nobody keeps, the provider asks the user whether that is meant.
    fn leave(&self, found: &Discovered) -> Option<String> {
        let address = found.end_session_endpoint.as_deref().filter(|address| address_of(address).is_ok())?;
        Some(with_query(address, &[("client_id", &self.provider.client_id)]))
    }

    async fn discover(&self) -> Result<Discovered, LoginFault> {
        let issuer = &self.provider.issuer;
        let address = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let found: Discovered = self.client.get(&address).await?;
        if found.issuer != *issuer {
            return Err(LoginFault::Issuer(found.issuer.chars().take(200).collect()));
        }
        Ok(found)
    }

    async fn exchange(&self, found: &Discovered, code: &str, verifier: &str) -> Result<Tokens, LoginFault> {
        let Provider { client_id, client_secret, .. } = &self.provider;
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.redirect),
            ("client_id", client_id),
            ("code_verifier", verifier),
        ];
        let secret = client_secret.as_ref().map(|secret| Zeroizing::new(String::from_utf8_lossy(secret).into_owned()));
        let methods = &found.token_endpoint_auth_methods_supported;
        let is_basic = methods.is_empty() || methods.iter().any(|method| method == "client_secret_basic");
        let proof = secret
            .as_ref()
            .filter(|_| is_basic)
            .map(|secret| format!("Basic {}", STANDARD.encode(format!("{}:{}", escaped(client_id), escaped(secret)))));
        if let Some(secret) = secret.as_ref().filter(|_| !is_basic) {
            fields.push(("client_secret", secret));
        }
        Ok(self.client.post(&found.token_endpoint, query(&fields), proof).await?)
    }

    fn login(&self, cookie: &str) -> Login {
        let of = |what: &str| blake3::keyed_hash(&self.key, format!("{what} {cookie}").as_bytes()).to_string();
        Login { state: of("state"), nonce: of("nonce"), verifier: of("verifier") }
    }
}

fn with_query(address: &str, fields: &[(&str, &str)]) -> String {
    let separator = if address.contains('?') { '&' } else { '?' };
    format!("{address}{separator}{}", query(fields))
}

fn query(fields: &[(&str, &str)]) -> String {
    fields.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect::<Vec<_>>().join("&")
}

fn escaped(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
