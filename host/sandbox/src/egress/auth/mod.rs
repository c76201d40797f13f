//! What proves who sends a request, put on it by the host after the guest has finished it.
//!
//! Owned here: each scheme of a manifest, and finding, renewing and masking what it takes (`keys`). Refused here: what may be sent at all (`policy`),
//! and where secrets are written down (the caller of the sandbox). Called by `egress` for each request, by `route` when a connector is configured.
//! Kept: one set of keys per endpoint.

mod assertion;
mod azure;
mod device;
mod keys;
mod query;
mod text;
mod token;
mod v4;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use base64::prelude::{BASE64_STANDARD, Engine};
use credenza_connect::Payload;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use super::EgressError;
use super::address::{encode_segment, origin};
use crate::manifest::{Auth, Oauth2, OauthGrant, expand, template_names};
use crate::settings::{Masker, SecretText, Settings, SettingsError};
use assertion::ServiceKey;
use azure::SharedKey;
pub use device::{DeviceCode, DeviceLogin, LoginError};
use keys::{Keys, OfAws};
use query::Added;
use text::set_secret;
use token::{Refresh, Shown, TokenServer};
use v4::Dialect;

/// A shorter proof is an ordinary word.
const PROOF_BYTES_MIN: usize = 12;

/// The credentials of one endpoint.
pub(crate) enum Signer {
    /// No credentials: anonymous requests.
    Anonymous,
    /// Headers with secret values.
    Headers { headers: HeaderMap, origin: &'static str },
    /// Parameters with secret values.
    Query(Added),
    /// Signature Version 4 in headers.
    V4 { dialect: &'static Dialect, keys: Keys<Credentials>, region: String, service: String },
    /// Shared Key of Azure's blobs.
    SharedKey(Box<SharedKey>),
    /// A bearer token that a server hands out.
    Token(Keys<SecretText>),
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Anonymous => "Anonymous",
            Self::Headers { .. } => "Headers(***)",
            Self::Query(_) => "Query(***)",
            Self::V4 { .. } => "V4(***)",
            Self::SharedKey(_) => "SharedKey(***)",
            Self::Token(_) => "Token(***)",
        })
    }
}

impl Signer {
    /// The signer of an endpoint; anonymous when the user gave none of its secrets and none are looked for.
    ///
    /// # Errors
    /// [`SettingsError`] when some of what belongs together is missing, or cannot be what it should be.
    pub(crate) fn new(
        label: &str,
        auth: &Auth,
        settings: &Settings,
        masker: &Arc<Masker>,
    ) -> Result<Self, SettingsError> {
        Making { label, settings, masker }.signer(auth)
    }

    /// Adds what proves the credentials. The path stays as it is, and so does what the guest wrote of the query.
    ///
    /// # Errors
    /// [`EgressError`] when there are no credentials, or the request cannot carry them.
    pub(crate) async fn sign(
        &self,
        request: http::Request<()>,
        payload: &Payload,
    ) -> Result<http::Request<()>, EgressError> {
        self.sign_at(request, payload, super::clock::now()).await
    }

    async fn sign_at(
        &self,
        mut request: http::Request<()>,
        payload: &Payload,
        now: SystemTime,
    ) -> Result<http::Request<()>, EgressError> {
        match self {
            Self::Anonymous => {}
            Self::Headers { headers, .. } => request.headers_mut().extend(headers.clone()),
            Self::Query(added) => added.add_to(&mut request)?,
            Self::V4 { dialect, keys, region, service } => {
                let keys = keys.at(now).await?;
                let (id, secret) = (keys.access_key_id(), keys.secret_access_key());
                let key = v4::Key { id, secret, token: keys.session_token(), region, service };
                v4::sign(dialect, &key, &mut request, payload, now)?;
            }
            Self::SharedKey(key) => key.sign(&mut request, payload, now)?,
            Self::Token(keys) => {
                let proof = SecretText::new(format!("{BEARER}{}", keys.at(now).await?.expose()));
                set_secret(request.headers_mut(), &AUTHORIZATION, proof.expose())?;
            }
        }
        Ok(request)
    }

    /// Whether a request that the remote answered with 401 is worth sending once more, because it can be signed with something else.
    pub(crate) async fn refused(&self, sent: &http::Request<()>) -> bool {
        let Self::Token(keys) = self else { return false };
        let proof = sent.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        match proof.and_then(|proof| proof.strip_prefix(BEARER)) {
            Some(token) => keys.refused(&SecretText::new(token), super::clock::now()).await,
            None => false,
        }
    }

    /// Where the credentials come from; they are looked up when that was not done yet.
    pub(crate) async fn origin(&self) -> Result<String, SettingsError> {
        let now = super::clock::now();
        let found = match self {
            Self::Anonymous => return Ok("nowhere: requests are anonymous".to_owned()),
            Self::Headers { origin, .. } => return Ok((*origin).to_owned()),
            Self::Query(added) => return Ok(added.origin.to_owned()),
            Self::SharedKey(key) => return Ok(key.origin.to_owned()),
            Self::V4 { keys, .. } => keys.find(now).await,
            Self::Token(keys) => keys.find(now).await,
        };
        found.map_err(|error| SettingsError::Credentials { cause: error.to_string() })
    }
}

/// What stands before a token (RFC 6750).
const BEARER: &str = "Bearer ";

/// The part of a signed request that an answer must not show to a guest: the signature, or the token.
pub(crate) fn proof_of(head: &http::Request<()>) -> Option<SecretText> {
    let value = head.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let of_shared_key = || value.strip_prefix("SharedKey ")?.rsplit_once(':');
    let proof = value.rsplit_once("Signature=").or_else(of_shared_key).or_else(|| value.rsplit_once(' '));
    let (_, proof) = proof?;
    (proof.len() >= PROOF_BYTES_MIN).then(|| SecretText::new(proof))
}

/// A signer in the making.
struct Making<'a> {
    label: &'a str,
    settings: &'a Settings,
    masker: &'a Arc<Masker>,
}

impl<'a> Making<'a> {
    fn signer(&self, auth: &Auth) -> Result<Signer, SettingsError> {
        Ok(match auth {
            Auth::None => Signer::Anonymous,
            Auth::Basic { user, password } => match self.all(&[user, password])?.as_deref() {
                Some([user, password]) => {
                    let pair = SecretText::new(format!("{user}:{password}"));
                    self.authorization(&format!("Basic {}", BASE64_STANDARD.encode(pair.expose())))?
                }
                _ => Signer::Anonymous,
            },
            Auth::Bearer { token } => match self.settings.credential(token) {
                Some(token) => self.authorization(&format!("{BEARER}{token}"))?,
                None => Signer::Anonymous,
            },
            Auth::Header { headers } => match self.filled(headers)? {
                Some(filled) => self.headers(&filled)?,
                None => Signer::Anonymous,
            },
            Auth::Query { parameters, signed } => self.query(parameters, signed.as_deref())?,
            Auth::AwsSigv4 { service, region, key, secret, token, .. } => {
                let token = token.as_deref().and_then(|name| self.settings.credential(name));
                match (self.keys(key, secret, token)?, self.settings.chain_for(auth)) {
                    (Some(keys), _) => self.v4(&v4::AWS, keys, region, service),
                    (None, Some(source)) => {
                        let keys = Keys::found_by(Arc::new(OfAws(source)), Arc::clone(self.masker));
                        self.v4(&v4::AWS, keys, region, service)
                    }
                    (None, None) => Signer::Anonymous,
                }
            }
            Auth::Goog4Hmac { key, secret, location } => match self.keys(key, secret, None)? {
                Some(keys) => self.v4(&v4::GOOGLE, keys, location, "storage"),
                None => Signer::Anonymous,
            },
            Auth::AzureSharedKey { account, key } => match self.settings.credential(key) {
                None => Signer::Anonymous,
                Some(text) => {
                    let account = self.settings.credential(account).ok_or_else(|| self.half(key, account))?;
                    let shared = SharedKey::new(account, text, self.settings.origin_of_secrets());
                    let shared = shared.ok_or_else(|| self.unusable(key, "is not Base64, as the portal shows it"))?;
                    Signer::SharedKey(Box::new(shared))
                }
            },
            Auth::Oauth2(oauth) => match self.shown(&oauth.grant)? {
                Some((shown, named)) => self.token(oauth, shown, named)?,
                None => Signer::Anonymous,
            },
        })
    }

    /// The values of names that belong together: of all, of none, or an error.
    fn all(&self, names: &[&'a str]) -> Result<Option<Vec<&'a str>>, SettingsError> {
        let given = |name: &&&str| self.settings.credential(name).is_some();
        let Some(first) = names.iter().find(given) else { return Ok(None) };
        match names.iter().find(|name| !given(name)) {
            Some(missing) => Err(self.half(first, missing)),
            None => Ok(Some(names.iter().filter_map(|name| self.settings.credential(name)).collect())),
        }
    }

    fn keys(
        &self,
        key: &'a str,
        secret: &'a str,
        token: Option<&str>,
    ) -> Result<Option<Keys<Credentials>>, SettingsError> {
        Ok(match self.all(&[key, secret])?.as_deref() {
            Some([key, secret]) => {
                let keys = Credentials::new(*key, *secret, token.map(str::to_owned), None, "credenza");
                Some(Keys::Given { keys, origin: self.settings.origin_of_secrets() })
            }
            _ => None,
        })
    }

    fn v4(&self, dialect: &'static Dialect, keys: Keys<Credentials>, region: &str, service: &str) -> Signer {
        Signer::V4 { dialect, keys, region: self.settings.expand(region, str::to_owned), service: service.to_owned() }
    }

    /// Templates with secrets and settings in them; `None` when a secret is named and none is given.
    fn filled<'t>(
        &self,
        templates: &'t BTreeMap<String, String>,
    ) -> Result<Option<Vec<(&'t str, String)>>, SettingsError> {
        let names = templates.values().flat_map(|template| template_names(template)).flatten();
        let (given, missing): (Vec<&str>, Vec<&str>) = names.partition(|name| self.settings.credential(name).is_some());
        if let Some(missing) = missing.first() {
            let secret = given.iter().find(|name| self.settings.secrets.contains_key(**name));
            return secret.map_or(Ok(None), |given| Err(self.half(given, missing)));
        }
        let filled = |template: &str| expand(template, |name| self.settings.credential(name).map(str::to_owned));
        Ok(Some(templates.iter().map(|(name, template)| (name.as_str(), filled(template))).collect()))
    }

    fn authorization(&self, value: &str) -> Result<Signer, SettingsError> {
        self.headers(&[(AUTHORIZATION.as_str(), value.to_owned())])
    }

    fn headers(&self, values: &[(&str, String)]) -> Result<Signer, SettingsError> {
        Ok(Signer::Headers { headers: self.header_map(values)?, origin: self.settings.origin_of_secrets() })
    }

    fn header_map(&self, values: &[(&str, String)]) -> Result<HeaderMap, SettingsError> {
        let mut headers = HeaderMap::new();
        for (name, value) in values {
            let unusable = || self.unusable(name, "is a header that cannot hold what it should");
            let name: HeaderName = name.parse().map_err(|_| unusable())?;
            let mut value = HeaderValue::from_str(value).map_err(|_| unusable())?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        Ok(headers)
    }

    fn query(&self, parameters: &BTreeMap<String, String>, signed: Option<&str>) -> Result<Signer, SettingsError> {
        let origin = self.settings.origin_of_secrets();
        if let Some(name) = signed {
            let Some(query) = self.settings.credential(name) else { return Ok(Signer::Anonymous) };
            let added = Added::signed(query, origin, self.masker);
            return Ok(Signer::Query(added.map_err(|why| self.unusable(name, &format!("is a text {why}")))?));
        }
        let Some(filled) = self.filled(parameters)? else { return Ok(Signer::Anonymous) };
        let added = Added::of(&filled, origin, self.masker);
        Ok(Signer::Query(added.map_err(|why| self.unusable("auth", &format!("makes a request {why}")))?))
    }

    /// What is shown for a token, and the settings that it is from.
    fn shown(&self, grant: &'a OauthGrant) -> Result<Option<(Shown, String)>, SettingsError> {
        Ok(match grant {
            OauthGrant::ClientCredentials { client_id, client_secret } => {
                self.all(&[client_id, client_secret])?.as_deref().and_then(|values| match values {
                    [id, secret] => {
                        let shown = Shown::Client { id: (*id).to_owned(), secret: SecretText::new(*secret) };
                        Some((shown, format!("`{client_id}` and `{client_secret}`")))
                    }
                    _ => None,
                })
            }
            OauthGrant::RefreshToken { client_id, client_secret, refresh_token, device_url } => {
                let given = |name: &str| self.settings.credential(name).is_some();
                if device_url.is_some() && given(client_id) && !given(refresh_token) {
                    let (endpoint, secret) = (self.label.to_owned(), refresh_token.clone());
                    return Err(SettingsError::NotLoggedIn { endpoint, secret });
                }
                let secret =
                    client_secret.as_deref().and_then(|name| self.settings.credential(name)).map(SecretText::new);
                self.all(&[client_id, refresh_token])?.as_deref().and_then(|values| match values {
                    [id, given] => {
                        let keeper = self.settings.token_keeper.clone();
                        let refresh = Refresh::new((*id).to_owned(), secret, SecretText::new(*given), keeper);
                        Some((Shown::Refresh(refresh), format!("`{client_id}` and `{refresh_token}`")))
                    }
                    _ => None,
                })
            }
            OauthGrant::ServiceAccount { key } => match self.settings.credential(key) {
                None => None,
                Some(document) => {
                    let read = ServiceKey::read(document).map_err(|why| self.unusable(key, why))?;
                    Some((Shown::Key(Box::new(read)), format!("`{key}`")))
                }
            },
            OauthGrant::Machine { headers } => {
                let headers: Vec<(&str, String)> =
                    headers.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
                Some((Shown::Machine(self.header_map(&headers)?), String::new()))
            }
        })
    }

    fn token(&self, oauth: &Oauth2, shown: Shown, named: String) -> Result<Signer, SettingsError> {
        let server = TokenServer {
            url: self.url(&oauth.token_url)?,
            scope: self.settings.expand(&oauth.scope, str::to_owned),
            shown,
            named,
            host: self.settings.host.clone(),
            masker: Arc::clone(self.masker),
        };
        Ok(Signer::Token(Keys::found_by(Arc::new(server), Arc::clone(self.masker))))
    }

    /// An address with settings in it; those in its path are percent-encoded.
    fn url(&self, template: &str) -> Result<Uri, SettingsError> {
        let (scheme, rest) = template.split_once("://").unwrap_or((template, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let server = self.settings.expand(&format!("{scheme}://{authority}"), str::to_owned);
        let (scheme, authority) = origin(self.label, &server)?;
        let path = format!("/{}", self.settings.expand(path, encode_segment));
        let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(path).build();
        uri.map_err(|cause| SettingsError::Address {
            endpoint: self.label.to_owned(),
            address: template.to_owned(),
            cause: cause.to_string(),
        })
    }

    fn half(&self, given: &str, missing: &str) -> SettingsError {
        let endpoint = self.label.to_owned();
        SettingsError::HalfASecret { endpoint, given: given.to_owned(), missing: missing.to_owned() }
    }

    fn unusable(&self, name: &str, why: &str) -> SettingsError {
        let endpoint = self.label.to_owned();
        SettingsError::Unusable { endpoint, name: name.to_owned(), why: why.to_owned() }
    }
}
