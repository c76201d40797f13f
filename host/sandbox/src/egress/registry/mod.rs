//! Components in registries of containers (OCI distribution 1.1): fetched by tag or digest, and published.
//!
//! Owned here: the requests, and that nothing is taken whose digest is another than the one that was asked for. Refused here: who signed a component and
//! what it may do (the caller, as for a file), and where passwords are kept (`app`). A password is shown to the registry, and to the one that the
//! registry names for tokens, with TLS; without TLS on this machine alone. It does not go along where a registry redirects to another server.
//! Held are a component, at most as long as the caller allows, and a manifest, at most [`MANIFEST_BYTES_MAX`].

mod artifact;
mod challenge;
mod login;
mod reference;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, LOCATION, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Method, Request, Uri};

pub use artifact::ArtifactNotes;
pub use login::{InvalidLogin, RegistryLogin};
pub use reference::{ImageReference, InvalidReference, OCI};

use super::exchange::{ExchangeError, Reply, absolute, exchange, server_of};
use crate::settings::{SecretText, Surroundings};
use artifact::{Artifact, MANIFEST, digest_of, layer_of};
use challenge::{Challenge, token_address};

/// Manifests have some kilobytes; registries take no more than this.
const MANIFEST_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Longest answer that holds a token, or says what is wrong.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// Redirects that are followed: registries have one, to where they keep what is large.
const REDIRECTS_MAX: usize = 5;

/// What a registry did not do.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// No answer, or one that is too long.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// There is none.
    #[error("the registry {server} has no {name} in {repository}")]
    Missing {
        /// Host and port.
        server: String,
        /// The repository.
        repository: String,
        /// Tag or digest.
        name: String,
    },
    /// It wants to know who asks, or does not let them.
    #[error("the registry {server} {}", if *is_known { "does not let this name and password do that" } else { "wants a name and a password" })]
    Denied {
        /// Host and port.
        server: String,
        /// Whether a name and a password were given.
        is_known: bool,
    },
    /// It wants a password to be shown where anybody could read it, or something that is not known here.
    #[error("the registry {server} asks who it is in a way that is not safe, or not known")]
    Unsafe {
        /// Host and port.
        server: String,
    },
    /// Another answer than there may be.
    #[error("the registry {server} answered {status}{}", said.as_ref().map(|said| format!(": {said}")).unwrap_or_default())]
    Status {
        /// Host and port.
        server: String,
        /// The status.
        status: u16,
        /// What it says of it.
        said: Option<String>,
    },
    /// It sends other bytes than were asked for.
    #[error("what the registry {server} sends has the digest {found}, and {expected} was asked for")]
    Digest {
        /// Host and port.
        server: String,
        /// What was asked for.
        expected: String,
        /// What it has.
        found: String,
    },
    /// It is something else than a component.
    #[error("what lies there is no component: {why}")]
    Layout {
        /// What it is.
        why: &'static str,
    },
    /// To publish is to give a name.
    #[error("it names no tag, and says nothing of what is to be published by a digest")]
    NoTag,
}

/// The component that a registry has, at most `bytes_max` bytes; `surroundings` are asked for proxies.
///
/// # Errors
/// [`RegistryError`] says what the registry did not do.
pub async fn fetch_artifact(
    reference: &ImageReference,
    login: Option<&RegistryLogin>,
    bytes_max: usize,
    surroundings: &Surroundings<'_>,
) -> Result<Vec<u8>, RegistryError> {
    let mut session = Session { reference, login, surroundings, actions: "pull", proof: None };
    let manifest = session.get(&session.manifest(), MANIFEST_BYTES_MAX).await?;
    if let Some(expected) = &reference.digest {
        session.require_digest(expected, &manifest)?;
    }
    let layer = layer_of(&manifest).map_err(|why| RegistryError::Layout { why })?;
    let too_large = || ExchangeError::TooLarge { server: reference.server.clone(), bytes_max };
    if usize::try_from(layer.size).is_ok_and(|size| size > bytes_max) {
        return Err(too_large().into());
    }
    let component = session.get(&session.blob(&layer.digest), bytes_max).await?;
    session.require_digest(&layer.digest, &component)?;
    Ok(component)
}

/// Publishes a component under the tag of the reference, which must have no digest; answers the digest of its manifest.
///
/// # Errors
/// [`RegistryError`] says what the registry did not do.
pub async fn publish_artifact(
    reference: &ImageReference,
    login: Option<&RegistryLogin>,
    component: &[u8],
    notes: &ArtifactNotes,
    surroundings: &Surroundings<'_>,
) -> Result<String, RegistryError> {
    if reference.tag.is_none() || reference.digest.is_some() {
        return Err(RegistryError::NoTag);
    }
    let mut session = Session { reference, login, surroundings, actions: "pull,push", proof: None };
    let Artifact { config, manifest } = Artifact::of(component, notes);
    session.put_blob(component).await?;
    session.put_blob(&config).await?;
    let digest = digest_of(&manifest);
    let kind = [(CONTENT_TYPE, MANIFEST)];
    let to = session.manifest();
    let reply = session.ask(Method::PUT, &to, &kind, manifest.into(), ANSWER_BYTES_MAX).await?;
    session.require(reply, &[201]).map(|_| digest)
}

/// What is asked of one repository.
struct Session<'a> {
    reference: &'a ImageReference,
    login: Option<&'a RegistryLogin>,
    surroundings: &'a Surroundings<'a>,
    /// What a token is to allow.
    actions: &'static str,
    /// The value of `authorization`, once the registry has asked for it.
    proof: Option<SecretText>,
}

impl Session<'_> {
    fn address(&self, rest: &str) -> String {
        let ImageReference { server, repository, .. } = self.reference;
        format!("{}://{server}/v2/{repository}/{rest}", self.reference.scheme())
    }

    fn manifest(&self) -> String {
        self.address(&format!("manifests/{}", self.reference.name()))
    }

    fn blob(&self, digest: &str) -> String {
        self.address(&format!("blobs/{digest}"))
    }

    /// The bytes at an address, and behind what it redirects to.
    async fn get(&mut self, from: &str, bytes_max: usize) -> Result<Vec<u8>, RegistryError> {
        let mut address = from.to_owned();
        for _ in 0..=REDIRECTS_MAX {
            let accept = [(ACCEPT, if from.contains("/manifests/") { MANIFEST } else { "*/*" })];
            let reply = self.ask(Method::GET, &address, &accept, Bytes::new(), bytes_max).await?;
            match (reply.status, reply.header(&LOCATION)) {
                (300..=399, Some(to)) => address = self.behind(&address, to)?,
                _ => return self.require(reply, &[200]).map(|reply| reply.body),
            }
        }
        Err(self.status(508, None))
    }

    /// Where a registry leads: with TLS, unless it is on this machine itself.
    fn behind(&self, from: &str, to: &str) -> Result<String, RegistryError> {
        let to = absolute(to, &self.uri(from)?);
        let is_near = self.reference.scheme() == "http" && reference::is_loopback(&server_of(&self.uri(&to)?));
        match to.starts_with("https://") || is_near {
            true => Ok(to),
            false => Err(RegistryError::Unsafe { server: self.reference.server.clone() }),
        }
    }

    /// Uploads a blob in one piece, unless it is there.
    async fn put_blob(&mut self, bytes: &[u8]) -> Result<(), RegistryError> {
        let digest = digest_of(bytes);
        let there = self.ask(Method::HEAD, &self.blob(&digest), &[], Bytes::new(), ANSWER_BYTES_MAX).await?;
        if there.status == 200 {
            return Ok(());
        }
        let begin = self.address("blobs/uploads/");
        let begun = self.ask(Method::POST, &begin, &[], Bytes::new(), ANSWER_BYTES_MAX).await?;
        let begun = self.require(begun, &[202])?;
        let to = begun.header(&LOCATION).ok_or_else(|| self.status(begun.status, None))?;
        let to = self.behind(&begin, to)?;
        let separator = if to.contains('?') { '&' } else { '?' };
        let to = format!("{to}{separator}digest={digest}");
        let kind = [(CONTENT_TYPE, "application/octet-stream")];
        let reply = self.ask(Method::PUT, &to, &kind, Bytes::copy_from_slice(bytes), ANSWER_BYTES_MAX).await?;
        self.require(reply, &[201]).map(drop)
    }

    /// Sends a request, and once more when the registry wants to know who asks.
    async fn ask(
        &mut self,
        method: Method,
        to: &str,
        headers: &[(HeaderName, &str)],
        body: Bytes,
        bytes_max: usize,
    ) -> Result<Reply, RegistryError> {
        let to = self.uri(to)?;
        let mut has_proven = false;
        loop {
            let mut request = Request::builder().method(&method).uri(&to);
            for (name, value) in headers {
                request = request.header(name, *value);
            }
            // Nobody but the registry is reported who asks.
            if let Some(proof) = self.proof.as_ref().filter(|_| server_of(&to) == self.reference.server) {
                request = request.header(AUTHORIZATION, sensitive(proof));
            }
            let request = request.body(body.clone()).map_err(|_| self.status(0, None))?;
            let reply = exchange(request, bytes_max, self.surroundings).await?;
            if reply.status != 401 || has_proven || server_of(&to) != self.reference.server {
                return Ok(reply);
            }
            has_proven = true;
            self.prove(&reply).await?;
        }
    }

    /// Finds what the registry wants to see.
    async fn prove(&mut self, refused: &Reply) -> Result<(), RegistryError> {
        let challenge = refused.header(&WWW_AUTHENTICATE).and_then(Challenge::parse);
        self.proof = Some(match challenge {
            Some(Challenge::Basic) => self.login.ok_or_else(|| self.denied())?.basic(),
            Some(Challenge::Bearer { realm, service, scope }) => {
                let scope =
                    scope.unwrap_or_else(|| format!("repository:{}:{}", self.reference.repository, self.actions));
                let address = token_address(&realm, service.as_deref(), &scope).ok_or_else(|| self.not_safe())?;
                self.token(&address).await?
            }
            None => return Err(self.not_safe()),
        });
        Ok(())
    }

    /// Asks for a token.
    async fn token(&self, from: &Uri) -> Result<SecretText, RegistryError> {
        let is_near = self.reference.scheme() == "http" && reference::is_loopback(&server_of(from));
        if from.scheme_str() != Some("https") && !is_near {
            return Err(self.not_safe());
        }
        let mut request = Request::get(from);
        if let Some(login) = self.login {
            request = request.header(AUTHORIZATION, sensitive(&login.basic()));
        }
        let request = request.body(Bytes::new()).map_err(|_| self.not_safe())?;
        let reply = self.require(exchange(request, ANSWER_BYTES_MAX, self.surroundings).await?, &[200])?;
        let document: serde_json::Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        let token = document.get("token").or_else(|| document.get("access_token")).and_then(|token| token.as_str());
        token.map(|token| SecretText::new(format!("Bearer {token}"))).ok_or_else(|| self.not_safe())
    }

    /// An answer of one of these statuses, and else what is wrong.
    fn require(&self, reply: Reply, wanted: &[u16]) -> Result<Reply, RegistryError> {
        let ImageReference { server, repository, .. } = self.reference.clone();
        match reply.status {
            status if wanted.contains(&status) => Ok(reply),
            401 | 403 => Err(self.denied()),
            404 => Err(RegistryError::Missing { server, repository, name: self.reference.name().to_owned() }),
            status => Err(self.status(status, said(&reply.body))),
        }
    }

    fn require_digest(&self, expected: &str, bytes: &[u8]) -> Result<(), RegistryError> {
        let found = digest_of(bytes);
        match found == expected {
            true => Ok(()),
            false => {
                let server = self.reference.server.clone();
                Err(RegistryError::Digest { server, expected: expected.to_owned(), found })
            }
        }
    }

    fn uri(&self, address: &str) -> Result<Uri, RegistryError> {
        address.parse().map_err(|_| self.not_safe())
    }

    fn denied(&self) -> RegistryError {
        RegistryError::Denied { server: self.reference.server.clone(), is_known: self.login.is_some() }
    }

    fn not_safe(&self) -> RegistryError {
        RegistryError::Unsafe { server: self.reference.server.clone() }
    }

    fn status(&self, status: u16, said: Option<String>) -> RegistryError {
        RegistryError::Status { server: self.reference.server.clone(), status, said }
    }
}

/// A header that no log shows. Where it cannot be one, the registry asks again, and it is reported so.
fn sensitive(proof: &SecretText) -> HeaderValue {
    let value = HeaderValue::from_str(proof.expose());
    let mut value = value.unwrap_or_else(|_| HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

/// What a registry says of an error, on one line of letters that are shown as they are.
fn said(body: &[u8]) -> Option<String> {
    let document: serde_json::Value = serde_json::from_slice(body).ok()?;
    let message = document.get("errors")?.get(0)?.get("message")?.as_str()?;
    Some(message.chars().take(200).collect::<String>().escape_debug().to_string())
}
