//! Bearer tokens that a server hands out (RFC 6749): asked for before the first request, and again before they end.
//!
//! Owned here: what is sent for each grant, what the answer means, and the one exchange with such a server. Refused here: when a token is renewed
//! (`keys`), how a person logs in (`device`), and where a refresh token is kept from one run to the next ([`TokenKeeper`]). The server is asked with
//! the TLS and the proxies of every endpoint; no connection is kept.
//! Held: at most [`ANSWER_BYTES_MAX`] of an answer. A look-up ends within [`TRIES`] times [`ANSWER_TIMEOUT`] and the pauses between, once it has its turn:
//! a refresh token is shown by one run at a time, because a server may take back what is shown twice.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use credenza_connect::Payload;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use serde::Deserialize;
use tokio::time::Instant;

use super::assertion::ServiceKey;
use super::keys::{Finder, Found, NotFound};
use super::text::form;
use crate::egress::client::Client;
use crate::egress::{Response, clock};
use crate::settings::{HostSettings, Masker, ProxySettings, Reserved, SecretText, SettingsError, TokenKeeper};

/// An answer is a token or two, of some kilobytes at most.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// A token is worth no longer wait.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a server that is away for a moment is asked, and how long is waited before it is asked again.
const TRIES: usize = 3;
const PAUSE: Duration = Duration::from_millis(500);
/// How often it is tried whether another run has done with a refresh token, and how long: longer than any look-up takes.
const TURN_PAUSE: Duration = Duration::from_millis(100);
const TURN_MAX: Duration = Duration::from_secs(120);
/// What of a server's sentence is reported.
pub(super) const SENTENCE_BYTES_MAX: usize = 300;

const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Who hands out tokens, and what is shown for one.
pub(crate) struct TokenServer {
    pub(crate) url: Uri,
    pub(crate) scope: String,
    pub(crate) shown: Shown,
    /// Settings that may be wrong when the server refuses: `client_id` and `client_secret`.
    pub(crate) named: String,
    pub(crate) host: HostSettings,
    pub(crate) masker: Arc<Masker>,
}

/// What is shown for a token.
pub(crate) enum Shown {
    Client { id: String, secret: SecretText },
    Refresh(Refresh),
    Key(Box<ServiceKey>),
    Machine(HeaderMap),
}

/// A refresh token and who it was given to.
pub(crate) struct Refresh {
    id: String,
    secret: Option<SecretText>,
    /// As the user gave it.
    given: SecretText,
    /// What the server put in its place in this run.
    newest: Mutex<Option<SecretText>>,
    keeper: Option<Arc<dyn TokenKeeper>>,
}

impl Refresh {
    pub(crate) fn new(
        id: String,
        secret: Option<SecretText>,
        given: SecretText,
        keeper: Option<Arc<dyn TokenKeeper>>,
    ) -> Self {
        Self { id, secret, given, newest: Mutex::default(), keeper }
    }

    /// What is kept outside goes first: another run may have got another since.
    fn current(&self) -> SecretText {
        let kept = self.keeper.as_ref().and_then(|keeper| keeper.newest(&self.given));
        let newest = || self.newest.lock().unwrap_or_else(PoisonError::into_inner).clone();
        kept.or_else(newest).unwrap_or_else(|| self.given.clone())
    }

    /// Waits until no other run shows a token in place of the given one; what is current is known then. Who cannot lock goes on without.
    async fn turn(&self) -> Result<Option<Reserved>, &'static str> {
        let Some(keeper) = &self.keeper else { return Ok(None) };
        let begun = Instant::now();
        loop {
            match keeper.reserve(&self.given) {
                Ok(Some(reserved)) => return Ok(Some(reserved)),
                Ok(None) if begun.elapsed() < TURN_MAX => tokio::time::sleep(TURN_PAUSE).await,
                Ok(None) => return Err("another run of this program renews the same token and does not get done"),
                Err(error) => {
                    tracing::warn!("nothing keeps another run from renewing the same token: {error}");
                    return Ok(None);
                }
            }
        }
    }

    /// Keeps what the server hands out in place of the one that was shown.
    fn replace(&self, shown: &SecretText, next: SecretText) {
        if next == *shown || next.is_empty() {
            return;
        }
        let kept = self.keeper.as_ref().map(|keeper| keeper.keep(&self.given, &next));
        match kept {
            Some(Ok(())) => {}
            Some(Err(error)) => {
                tracing::warn!("the refresh token that took the place of the given one is lost with this run: {error}")
            }
            None => tracing::warn!("the refresh token that took the place of the given one is lost with this run"),
        }
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = Some(next);
    }
}

/// What a server answers (RFC 6749 sections 5.1 and 5.2); some write numbers as texts.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Answer {
    access_token: Option<String>,
    token_type: Option<String>,
    expires_in: Option<Seconds>,
    refresh_token: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Seconds {
    Number(u64),
    Text(String),
}

impl Seconds {
    pub(super) fn count(&self) -> Option<u64> {
        match self {
            Self::Number(seconds) => Some(*seconds),
            Self::Text(text) => text.parse().ok(),
        }
    }
}

#[async_trait]
impl Finder<SecretText> for TokenServer {
    async fn find(&self) -> Result<Found<SecretText>, NotFound> {
        let _reserved = match &self.shown {
            Shown::Refresh(refresh) => refresh.turn().await.map_err(|why| self.none(why, false))?,
            _ => None,
        };
        let mut tries = 1;
        loop {
            match self.ask().await {
                Err(NotFound { is_final: false, .. }) if tries < TRIES => tries += 1,
                outcome => return outcome,
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

impl TokenServer {
    async fn ask(&self) -> Result<Found<SecretText>, NotFound> {
        let host = self.host();
        let asked = clock::now();
        let shown = match &self.shown {
            Shown::Refresh(refresh) => Some((refresh, refresh.current())),
            _ => None,
        };
        shown.iter().for_each(|(_, token)| self.masker.learn(token.clone()));
        let (head, body) = self.request(asked, shown.as_ref().map(|(_, token)| token))?;
        let (status, text) = match exchange(&host, head, body).await {
            Ok(answer) => answer,
            Err(Unanswered::Settings(error)) => return Err(self.none(&error.to_string(), true)),
            Err(Unanswered::Server(why)) => return Err(self.none(&why, false)),
        };
        let mut answer: Answer = serde_json::from_str(text.expose()).unwrap_or_default();
        let token = answer.access_token.take().map(SecretText::new);
        let Some(token) = token.filter(|_| status == 200) else { return Err(self.refusal(status, &answer)) };
        let is_bearer = answer.token_type.as_deref().is_none_or(|kind| kind.eq_ignore_ascii_case("bearer"));
        if !is_bearer || token.is_empty() || !token.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(self.none("what it handed out is no bearer token", true));
        }
        let mut secrets = vec![token.clone()];
        if let (Some((refresh, shown)), Some(next)) = (&shown, answer.refresh_token.map(SecretText::new)) {
            secrets.push(next.clone());
            refresh.replace(shown, next);
        }
        let life = answer.expires_in.as_ref().and_then(Seconds::count).map(Duration::from_secs);
        let expires = life.and_then(|life| asked.checked_add(life));
        Ok(Found { keys: token, origin: format!("the token server {}", self.server()), secrets, expires })
    }

    /// Who runs this machine is beside it, and proxies look further than that.
    fn host(&self) -> HostSettings {
        match self.shown {
            Shown::Machine(_) => HostSettings { proxy: ProxySettings::default(), ..self.host.clone() },
            _ => self.host.clone(),
        }
    }

    fn request(
        &self,
        now: SystemTime,
        refresh_token: Option<&SecretText>,
    ) -> Result<(http::Request<()>, Payload), NotFound> {
        let mut request = http::Request::new(());
        *request.uri_mut() = self.url.clone();
        let assertion;
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        match &self.shown {
            Shown::Machine(headers) => {
                *request.headers_mut() = headers.clone();
                request.headers_mut().insert(ACCEPT, JSON);
                return Ok((request, Payload::default()));
            }
            Shown::Client { id, secret } => {
                pairs.extend([
                    ("grant_type", "client_credentials"),
                    ("client_id", id),
                    ("client_secret", secret.expose()),
                ]);
            }
            Shown::Refresh(refresh) => {
                let token = refresh_token.unwrap_or(&refresh.given);
                pairs.extend([
                    ("grant_type", "refresh_token"),
                    ("refresh_token", token.expose()),
                    ("client_id", &refresh.id),
                ]);
                pairs.extend(refresh.secret.iter().map(|secret| ("client_secret", secret.expose())));
            }
            Shown::Key(key) => {
                let signed = key.assertion(&self.url.to_string(), &self.scope, now);
                assertion = signed.map_err(|why| self.none(why, true))?;
                let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
                pairs.extend([("grant_type", grant), ("assertion", assertion.expose())]);
            }
        }
        // The assertion holds the scope already.
        if !self.scope.is_empty() && !matches!(self.shown, Shown::Key(_)) {
            pairs.push(("scope", &self.scope));
        }
        Ok(post(&self.url, &pairs))
    }

    fn refusal(&self, status: u16, answer: &Answer) -> NotFound {
        let words = [answer.error.as_deref(), answer.error_description.as_deref()].into_iter().flatten();
        let words = words.collect::<Vec<_>>().join(": ");
        let said = match words.is_empty() {
            true if status == 200 => " without a token".to_owned(),
            true => String::new(),
            false => format!(", `{}`", self.masker.clean(words, SENTENCE_BYTES_MAX)),
        };
        let passes = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
        let is_final = (300..500).contains(&status) && !passes.iter().any(|code| code.as_u16() == status);
        self.none(&format!("it answered {status}{said}"), is_final)
    }

    fn none(&self, why: &str, is_final: bool) -> NotFound {
        let advice = if is_final && !self.named.is_empty() { format!("; check {}", self.named) } else { String::new() };
        let message = format!("the token server {} handed out no token: {why}{advice}", self.server());
        NotFound { message: self.masker.mask(message), is_final }
    }

    fn server(&self) -> &str {
        self.url.authority().map_or("", Authority::as_str)
    }
}

/// Why there is no answer.
pub(super) enum Unanswered {
    /// Nothing was asked, because the settings of the host do not allow it.
    Settings(SettingsError),
    /// The server was asked in vain.
    Server(String),
}

/// A form for a server of tokens.
pub(super) fn post(url: &Uri, pairs: &[(&str, &str)]) -> (http::Request<()>, Payload) {
    let mut request = http::Request::new(());
    *request.uri_mut() = url.clone();
    *request.method_mut() = Method::POST;
    request.headers_mut().insert(CONTENT_TYPE, FORM);
    request.headers_mut().insert(ACCEPT, JSON);
    (request, Payload::from(form(pairs).into_bytes()))
}

/// Asks once, and answers with the status and the whole text. TLS is as the address says.
pub(super) async fn exchange(
    host: &HostSettings,
    head: http::Request<()>,
    body: Payload,
) -> Result<(u16, SecretText), Unanswered> {
    let host = HostSettings { use_tls: head.uri().scheme() == Some(&Scheme::HTTPS), ..host.clone() };
    let client = Client::new(&host, ANSWER_TIMEOUT, Arc::default()).map_err(Unanswered::Settings)?;
    let answer = async {
        let response = client.send(head, body).await.map_err(|fault| fault.to_string())?;
        let status = response.status;
        Ok((status, read(response).await?))
    };
    let answer = tokio::time::timeout(ANSWER_TIMEOUT, answer).await;
    let answer = answer.unwrap_or_else(|_| Err(format!("it did not answer within {} s", ANSWER_TIMEOUT.as_secs())));
    answer.map_err(Unanswered::Server)
}

/// The whole answer, if it is not too long.
async fn read(mut response: Response) -> Result<SecretText, String> {
    let mut bytes = zeroize::Zeroizing::new(Vec::new());
    while let Some(piece) = response.body.next().await.map_err(|error| error.message)? {
        if bytes.len().saturating_add(piece.len()) > ANSWER_BYTES_MAX {
            return Err(format!("its answer is longer than {ANSWER_BYTES_MAX} bytes"));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(SecretText::new(String::from_utf8_lossy(&bytes)))
}
