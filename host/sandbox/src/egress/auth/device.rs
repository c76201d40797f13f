//! Logging in for a connector on a machine without a browser (RFC 8628): the server hands out a code, a person enters it in a browser somewhere, and
//! the server hands out a refresh token.
//!
//! Owned here: which endpoint takes a login, what is asked, how often, and what each answer means. Refused here: telling the person, and keeping the
//! token (the caller). Called by `app`. Asked: once for the code, then no oftener than the server says and [`INTERVAL_MIN`] allows, until the code ends
//! or [`LIFE_MAX`] has passed. Held: an answer, as `token` bounds it.

use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use http::uri::Authority;
use serde::Deserialize;
use tokio::time::Instant;

use super::Making;
use super::token::{SENTENCE_BYTES_MAX, Seconds, Unanswered, exchange, post};
use crate::manifest::{Auth, Manifest, Oauth2, OauthGrant};
use crate::settings::{HostSettings, Masker, RawSettings, SecretText, Settings, SettingsError, Surroundings};

/// Between two questions, where the server says nothing of it (RFC 8628 section 3.2).
const INTERVAL: Duration = Duration::from_secs(5);
/// What a server that is asked too often wants added to it (section 3.5).
const SLOWER: Duration = Duration::from_secs(5);
/// A server that says 0 is asked four times a second.
const INTERVAL_MIN: Duration = Duration::from_millis(250);
/// A person who has logged in waits no longer than this for it to be noticed.
const INTERVAL_MAX: Duration = Duration::from_mins(1);
/// Nobody waits longer, whatever the server says.
const LIFE_MAX: Duration = Duration::from_hours(1);
/// Codes are typed, addresses too.
const CODE_BYTES_MAX: usize = 64;
const ADDRESS_BYTES_MAX: usize = 1024;

const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// A login that did not come about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// The settings of the place cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// No endpoint of the connector is logged in to.
    #[error("the connector {connector} has no login, as these settings are")]
    None {
        /// The connector.
        connector: String,
    },
    /// The server did not answer.
    #[error("{server} could not be asked: {why}")]
    Unreachable {
        /// The server.
        server: String,
        /// Why, for a person.
        why: String,
    },
    /// The server answered that it lets nobody log in so.
    #[error("{server} begins no login: it answered {said}")]
    Refused {
        /// The server.
        server: String,
        /// Status and, where it has one, its sentence.
        said: String,
        /// Settings that may be wrong.
        settings: Vec<String>,
    },
    /// The answer is none of the protocol.
    #[error("what {server} answered is no answer to a login: {why}")]
    Answer {
        /// The server.
        server: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The person said no.
    #[error("the login was refused in the browser")]
    Denied,
    /// The person said nothing while the code held.
    #[error("nobody entered the code while it held")]
    Expired,
    /// The server handed out a token that ends, and nothing to renew it with.
    #[error("{server} handed out no refresh token, so that the login would end with its first token")]
    NoRefreshToken {
        /// The server.
        server: String,
    },
}

/// What a person does: open an address, enter a code.
#[derive(Debug, Clone)]
pub struct DeviceCode {
    /// What to enter; one line of at most 64 bytes.
    pub user_code: String,
    /// Where to enter it: an address of HTTP.
    pub verification_uri: String,
    /// The same address with the code in it, where the server offers one.
    pub verification_uri_complete: Option<String>,
    /// How long the code holds, at most an hour.
    pub expires_in: Duration,
    device_code: SecretText,
    interval: Duration,
}

/// The login of one place.
pub struct DeviceLogin {
    device_url: Uri,
    token_url: Uri,
    scope: String,
    client_id: String,
    client_secret: Option<SecretText>,
    /// Names of what may be wrong when the server refuses.
    settings: Vec<String>,
    secret: String,
    host: HostSettings,
    masker: Arc<Masker>,
}

/// What a server answers (RFC 8628 section 3.2); Google's names the address otherwise.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Begun {
    device_code: Option<String>,
    user_code: Option<String>,
    #[serde(alias = "verification_url")]
    verification_uri: Option<String>,
    #[serde(alias = "verification_url_complete")]
    verification_uri_complete: Option<String>,
    expires_in: Option<Seconds>,
    interval: Option<Seconds>,
}

/// What it answers when it is asked for the token (RFC 6749 section 5, RFC 8628 section 3.5).
#[derive(Deserialize, Default)]
#[serde(default)]
struct Outcome {
    access_token: Option<String>,
    refresh_token: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

impl DeviceLogin {
    /// The login of the first endpoint that takes one, with these settings. No refresh token need be among them; one that is, is not used.
    ///
    /// # Errors
    /// [`LoginError::Settings`] when the settings cannot be used, [`LoginError::None`] where no endpoint takes a login.
    pub fn new(manifest: &Manifest, raw: &RawSettings, surroundings: &Surroundings<'_>) -> Result<Self, LoginError> {
        let settings = Settings::resolve(manifest, raw, surroundings)?;
        let masker = Arc::new(settings.masker(manifest));
        for (label, endpoint) in &manifest.endpoints {
            let Auth::Oauth2(Oauth2 { token_url, scope, grant }) = settings.auth_of(endpoint) else { continue };
            let OauthGrant::RefreshToken { client_id, client_secret, refresh_token, device_url: Some(url) } = grant
            else {
                continue;
            };
            let making = Making { label, settings: &settings, masker: &masker };
            let id = settings.credential(client_id);
            let id = id.ok_or_else(|| making.unusable(client_id, "is not given, and names who logs in"))?;
            let secret = client_secret.as_deref().and_then(|name| settings.credential(name)).map(SecretText::new);
            return Ok(Self {
                device_url: making.url(url)?,
                token_url: making.url(token_url)?,
                scope: settings.expand(scope, str::to_owned),
                client_id: id.to_owned(),
                client_secret: secret,
                settings: std::iter::once(client_id).chain(client_secret).cloned().collect(),
                secret: refresh_token.clone(),
                host: settings.host.clone(),
                masker,
            });
        }
        Err(LoginError::None { connector: manifest.name.clone() })
    }

    /// The secret that the refresh token is, by its name in the settings.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// Asks for a code.
    ///
    /// # Errors
    /// When the server is not reached, refuses, or answers with something else.
    pub async fn begin(&self) -> Result<DeviceCode, LoginError> {
        let mut pairs = vec![("client_id", self.client_id.as_str())];
        pairs.extend((!self.scope.is_empty()).then_some(("scope", self.scope.as_str())));
        let (status, text) = self.ask(&self.device_url, &pairs).await?;
        let begun: Begun = serde_json::from_str(text.expose()).unwrap_or_default();
        if status != 200 {
            let outcome: Outcome = serde_json::from_str(text.expose()).unwrap_or_default();
            return Err(self.refusal(&self.device_url, status, &outcome));
        }
        let wrong = |why| LoginError::Answer { server: server(&self.device_url).to_owned(), why };
        let device_code = begun.device_code.filter(|code| !code.is_empty());
        let device_code = device_code.map(SecretText::new).ok_or_else(|| wrong("it holds no device code"))?;
        let user_code =
            self.clean(begun.user_code, CODE_BYTES_MAX).ok_or_else(|| wrong("it holds no code to enter"))?;
        let address = self.clean(begun.verification_uri, ADDRESS_BYTES_MAX).filter(|address| is_address(address));
        let seconds = |seconds: Option<Seconds>| seconds.as_ref().and_then(Seconds::count).map(Duration::from_secs);
        self.masker.learn(device_code.clone());
        Ok(DeviceCode {
            user_code,
            verification_uri: address.ok_or_else(|| wrong("it holds no address at which to enter a code"))?,
            verification_uri_complete: self
                .clean(begun.verification_uri_complete, ADDRESS_BYTES_MAX)
                .filter(|address| is_address(address)),
            expires_in: seconds(begun.expires_in).unwrap_or(LIFE_MAX).min(LIFE_MAX),
            device_code,
            interval: seconds(begun.interval).unwrap_or(INTERVAL),
        })
    }

    /// Asks until the person has decided, and answers with the refresh token.
    ///
    /// # Errors
    /// When the person says no, or nothing while the code holds; and when the server refuses or hands out no refresh token.
    pub async fn finish(&self, code: &DeviceCode) -> Result<SecretText, LoginError> {
        let mut pairs = vec![
            ("grant_type", GRANT),
            ("device_code", code.device_code.expose()),
            ("client_id", self.client_id.as_str()),
        ];
        pairs.extend(self.client_secret.iter().map(|secret| ("client_secret", secret.expose())));
        let begun = Instant::now();
        let mut pace = Pace::new(code.interval);
        let mut unreachable = None;
        loop {
            let left = code.expires_in.saturating_sub(begun.elapsed());
            let Some(pause) = pace.pause(left) else { return Err(unreachable.unwrap_or(LoginError::Expired)) };
            tokio::time::sleep(pause).await;
            let (status, text) = match self.ask(&self.token_url, &pairs).await {
                Ok(answer) => answer,
                Err(error @ LoginError::Unreachable { .. }) => {
                    pace.unanswered();
                    unreachable = Some(error);
                    continue;
                }
                Err(error) => return Err(error),
            };
            unreachable = None;
            let outcome: Outcome = serde_json::from_str(text.expose()).unwrap_or_default();
            if status == 200 && outcome.access_token.is_some() {
                let token = outcome.refresh_token.filter(|token| !token.is_empty()).map(SecretText::new);
                return token.ok_or_else(|| LoginError::NoRefreshToken { server: server(&self.token_url).to_owned() });
            }
            // By the word and not by the status, which differs between servers.
            match outcome.error.as_deref() {
                Some("authorization_pending") => {}
                Some("slow_down") => pace.slow_down(),
                Some("access_denied") => return Err(LoginError::Denied),
                Some("expired_token") => return Err(LoginError::Expired),
                None if status == 429 || status >= 500 => pace.unanswered(),
                _ => return Err(self.refusal(&self.token_url, status, &outcome)),
            }
        }
    }

    async fn ask(&self, url: &Uri, pairs: &[(&str, &str)]) -> Result<(u16, SecretText), LoginError> {
        let (head, body) = post(url, pairs);
        exchange(&self.host, head, body).await.map_err(|fault| match fault {
            Unanswered::Settings(error) => LoginError::Settings(error),
            Unanswered::Server(why) => {
                let why = self.masker.clean(why, SENTENCE_BYTES_MAX);
                LoginError::Unreachable { server: server(url).to_owned(), why }
            }
        })
    }

    fn refusal(&self, url: &Uri, status: u16, outcome: &Outcome) -> LoginError {
        let words = [outcome.error.as_deref(), outcome.error_description.as_deref()].into_iter().flatten();
        let words = words.collect::<Vec<_>>().join(": ");
        let said = match words.is_empty() {
            true => status.to_string(),
            false => format!("{status}, `{}`", self.masker.clean(words, SENTENCE_BYTES_MAX)),
        };
        LoginError::Refused { server: server(url).to_owned(), said, settings: self.settings.clone() }
    }

    /// A text of the server that a person is shown: all of it or none.
    fn clean(&self, text: Option<String>, bytes_max: usize) -> Option<String> {
        let text = text.filter(|text| !text.is_empty() && text.len() <= bytes_max)?;
        Some(self.masker.clean(text, bytes_max.saturating_mul(8)))
    }
}

/// When the server is asked next.
struct Pace {
    interval: Duration,
}

impl Pace {
    fn new(interval: Duration) -> Self {
        Self { interval: interval.clamp(INTERVAL_MIN, INTERVAL_MAX) }
    }

    fn slow_down(&mut self) {
        self.interval = self.interval.saturating_add(SLOWER).min(INTERVAL_MAX);
    }

    fn unanswered(&mut self) {
        self.interval = self.interval.saturating_mul(2).min(INTERVAL_MAX);
    }

    /// How long to wait; `None` where the code ends before.
    fn pause(&self, left: Duration) -> Option<Duration> {
        (self.interval <= left).then_some(self.interval)
    }
}

fn server(url: &Uri) -> &str {
    url.authority().map_or("", Authority::as_str)
}

fn is_address(text: &str) -> bool {
    text.starts_with("https://") || text.starts_with("http://")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(pace: &Pace) -> f64 {
        pace.interval.as_secs_f64()
    }

    #[test]
    fn the_server_sets_the_pace_within_bounds() {
        assert_eq!(seconds(&Pace::new(Duration::from_secs(7))), 7.0);
        assert_eq!(seconds(&Pace::new(Duration::ZERO)), 0.25);
        assert_eq!(seconds(&Pace::new(Duration::MAX)), 60.0);
        let mut pace = Pace::new(INTERVAL);
        pace.slow_down();
        pace.slow_down();
        assert_eq!(seconds(&pace), 15.0, "each adds five seconds for good");
        pace.unanswered();
        assert_eq!(seconds(&pace), 30.0);
        for _ in 0..100 {
            pace.unanswered();
            pace.slow_down();
        }
        assert_eq!(pace.interval, INTERVAL_MAX);
    }

    #[test]
    fn no_question_comes_after_the_code_has_ended() {
        let pace = Pace::new(INTERVAL);
        assert_eq!(pace.pause(Duration::from_secs(5)), Some(INTERVAL));
        assert_eq!(pace.pause(Duration::from_secs(4)), None);
    }
}
