//! The keys that requests to one endpoint are signed with: given, or found by the machine and found again before they expire.
//!
//! Nothing is looked up before the first request is signed or [`Keys::find`] is called, and one look-up serves all that wait for it.
//! Kept: one set of keys per endpoint.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_smithy_runtime_api::client::identity::Identity;

use super::EgressError;
use crate::settings::{CredentialSource, CredentialsNotFound, FoundCredentials, Masker, SecretText};

/// Keys are looked up again so long before they expire, or in half their life when that is shorter: a request that is signed
/// just before the end may arrive after it.
const RENEW_BEFORE: Duration = Duration::from_secs(300);
/// After a look-up that failed, keys that still hold are used so long before the next.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// The keys of one endpoint.
pub(crate) enum Keys {
    /// Written by the user, or found in environment variables; they never change.
    Given { identity: Identity, origin: &'static str },
    /// Looked up by the machine.
    Found(Found),
}

/// Keys that are looked up, and the last that were found.
pub(crate) struct Found {
    source: Arc<dyn CredentialSource>,
    masker: Arc<Masker>,
    kept: tokio::sync::Mutex<Option<Kept>>,
}

#[derive(Clone)]
struct Kept {
    identity: Identity,
    origin: String,
    expires: Option<SystemTime>,
    renew_at: Option<SystemTime>,
}

impl Keys {
    /// Keys that `source` finds; their secrets are hidden by `masker` from then on.
    pub(crate) fn found_by(source: Arc<dyn CredentialSource>, masker: Arc<Masker>) -> Self {
        Self::Found(Found { source, masker, kept: tokio::sync::Mutex::default() })
    }

    /// The keys to sign with at a time.
    ///
    /// # Errors
    /// [`EgressError::Unreachable`] when there are none: where there once were, there may be some again.
    pub(crate) async fn identity(&self, now: SystemTime) -> Result<Identity, EgressError> {
        match self {
            Self::Given { identity, .. } => Ok(identity.clone()),
            Self::Found(found) => match found.current(now).await {
                Ok(kept) => Ok(kept.identity),
                Err(error) => {
                    Err(EgressError::Unreachable { reason: "egress.credentials", message: error.to_string() })
                }
            },
        }
    }

    /// Where the keys come from. They are looked up when that was not done yet.
    ///
    /// # Errors
    /// When there are none.
    pub(crate) async fn find(&self, now: SystemTime) -> Result<String, CredentialsNotFound> {
        match self {
            Self::Given { origin, .. } => Ok((*origin).to_owned()),
            Self::Found(found) => found.current(now).await.map(|kept| kept.origin),
        }
    }
}

impl Found {
    async fn current(&self, now: SystemTime) -> Result<Kept, CredentialsNotFound> {
        let mut place = self.kept.lock().await;
        let last = place.clone();
        if let Some(kept) = last.as_ref().filter(|kept| kept.renew_at.is_none_or(|at| now < at)) {
            return Ok(kept.clone());
        }
        let next = match (self.source.find().await, last) {
            (Ok(found), _) => self.keep(found, now),
            (Err(error), Some(kept)) if kept.expires.is_none_or(|end| now < end) => {
                tracing::warn!("credentials could not be renewed yet: {error}");
                Kept { renew_at: now.checked_add(RETRY_AFTER), ..kept }
            }
            (Err(error), _) => return Err(error),
        };
        Ok(place.insert(next).clone())
    }

    fn keep(&self, found: FoundCredentials, now: SystemTime) -> Kept {
        let FoundCredentials { credentials, origin } = found;
        self.masker.learn(SecretText::new(credentials.secret_access_key()));
        credentials.session_token().into_iter().for_each(|token| self.masker.learn(SecretText::new(token)));
        let expires = credentials.expiry();
        Kept { renew_at: expires.map(|end| renewal(end, now)), identity: credentials.into(), origin, expires }
    }
}

fn renewal(end: SystemTime, now: SystemTime) -> SystemTime {
    let life = end.duration_since(now).unwrap_or_default();
    end.checked_sub(RENEW_BEFORE.min(life / 2)).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::UNIX_EPOCH;

    use async_trait::async_trait;
    use aws_credential_types::Credentials;

    use super::*;

    /// Hands out keys that expire at the given seconds, one after the other; then fails.
    #[derive(Debug)]
    struct Script(Mutex<Vec<u64>>);

    #[async_trait]
    impl CredentialSource for Script {
        async fn find(&self) -> Result<FoundCredentials, CredentialsNotFound> {
            let mut ends = self.0.lock().unwrap();
            if ends.is_empty() {
                return Err(CredentialsNotFound("the script is at its end".to_owned()));
            }
            let end = ends.remove(0);
            let credentials = Credentials::new(format!("KEY{end}"), "secret-of-it", None, Some(at(end)), "test");
            Ok(FoundCredentials { credentials, origin: "script".to_owned() })
        }
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn keys(ends: &[u64]) -> (Keys, Arc<Masker>) {
        let masker = Arc::new(Masker::default());
        (Keys::found_by(Arc::new(Script(Mutex::new(ends.to_vec()))), Arc::clone(&masker)), masker)
    }

    async fn key_at(keys: &Keys, seconds: u64) -> Result<String, EgressError> {
        let identity = keys.identity(at(seconds)).await?;
        Ok(identity.data::<Credentials>().unwrap().access_key_id().to_owned())
    }

    #[tokio::test]
    async fn keys_are_renewed_before_they_expire() {
        let (keys, _) = keys(&[3600, 7200]);
        assert_eq!(key_at(&keys, 0).await.unwrap(), "KEY3600");
        assert_eq!(key_at(&keys, 3299).await.unwrap(), "KEY3600");
        assert_eq!(key_at(&keys, 3300).await.unwrap(), "KEY7200");
    }

    #[tokio::test]
    async fn keys_that_cannot_be_renewed_serve_until_they_expire() {
        let (keys, _) = keys(&[3600]);
        assert_eq!(key_at(&keys, 0).await.unwrap(), "KEY3600");
        assert_eq!(key_at(&keys, 3599).await.unwrap(), "KEY3600");
        assert!(key_at(&keys, 3700).await.unwrap_err().to_string().contains("at its end"));
    }

    #[tokio::test]
    async fn keys_of_a_short_life_are_not_looked_up_for_each_request() {
        let (keys, _) = keys(&[60]);
        assert_eq!(key_at(&keys, 0).await.unwrap(), "KEY60");
        assert_eq!(key_at(&keys, 29).await.unwrap(), "KEY60");
    }

    #[tokio::test]
    async fn a_secret_that_was_found_is_hidden_from_then_on() {
        let (keys, masker) = keys(&[3600]);
        assert_eq!(keys.find(at(0)).await.unwrap(), "script");
        assert_eq!(masker.mask("it is secret-of-it".to_owned()), "it is ***");
    }
}
