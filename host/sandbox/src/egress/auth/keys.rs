//! What requests to one endpoint are signed with, or prove themselves by: given, or found and found again before it ends. The one mechanism for all
//! schemes: finding, renewing, masking.
//!
//! Nothing is looked up before the first request is signed or [`Keys::find`] is called, and one look-up serves all that wait for it. It is carried
//! to its end also when nobody waits any more: a server may have taken back what was valid before. Kept: one value per endpoint.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_credential_types::Credentials;

use crate::egress::EgressError;
use crate::settings::{CredentialSource, Masker, SecretText};

/// Keys are looked up again so long before they expire, or in half their life when that is shorter: a request that is signed
/// just before the end may arrive after it.
const RENEW_BEFORE: Duration = Duration::from_secs(300);
/// After a look-up that failed, keys that still hold are used so long before the next. So long, too, what was refused is not looked up once more:
/// a remote that refuses all there is would else have every request look up another.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// The keys of one endpoint.
pub(crate) enum Keys<T> {
    /// Written by the user, or found in environment variables; they never change.
    Given { keys: T, origin: &'static str },
    /// Looked up.
    Found(Renewed<T>),
}

/// Somewhere to look keys up; asked again before they expire.
#[async_trait]
pub(crate) trait Finder<T>: Send + Sync {
    /// The keys of this moment.
    async fn find(&self) -> Result<Found<T>, NotFound>;
}

/// Keys that were looked up.
pub(crate) struct Found<T> {
    pub(crate) keys: T,
    /// For a person.
    pub(crate) origin: String,
    /// What of them must not be seen.
    pub(crate) secrets: Vec<SecretText>,
    pub(crate) expires: Option<SystemTime>,
}

/// No keys: a sentence with where they were looked for, why in vain and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct NotFound {
    pub(crate) message: String,
    /// Another try would be in vain until somebody mends the settings.
    pub(crate) is_final: bool,
}

/// Keys that are looked up, and the last that were found.
pub(crate) struct Renewed<T> {
    finder: Arc<dyn Finder<T>>,
    masker: Arc<Masker>,
    state: tokio::sync::Mutex<State<T>>,
}

struct State<T> {
    kept: Option<Kept<T>>,
    /// When keys were looked up last because the remote refused those that there were.
    refused_at: Option<SystemTime>,
}

#[derive(Clone)]
struct Kept<T> {
    keys: T,
    origin: String,
    expires: Option<SystemTime>,
    renew_at: Option<SystemTime>,
}

impl<T: Clone + Send + 'static> Keys<T> {
    /// Keys that `finder` finds; their secrets are hidden by `masker` from then on.
    pub(crate) fn found_by(finder: Arc<dyn Finder<T>>, masker: Arc<Masker>) -> Self {
        let state = State { kept: None, refused_at: None };
        Self::Found(Renewed { finder, masker, state: tokio::sync::Mutex::new(state) })
    }

    /// The keys to sign with at a time.
    ///
    /// # Errors
    /// [`EgressError::Unreachable`] when there are none now: where there once were, there may be some again.
    /// [`EgressError::NeverAnswered`], which is final, when there will be none.
    pub(crate) async fn at(&self, now: SystemTime) -> Result<T, EgressError> {
        match self {
            Self::Given { keys, .. } => Ok(keys.clone()),
            Self::Found(found) => match found.current(now).await {
                Ok(kept) => Ok(kept.keys),
                Err(NotFound { message, is_final: false }) => {
                    Err(EgressError::Unreachable { reason: "egress.credentials", message })
                }
                Err(NotFound { message, is_final: true }) => {
                    Err(EgressError::NeverAnswered { reason: "egress.credentials", message, again_in: None })
                }
            },
        }
    }

    /// Where the keys come from. They are looked up when that was not done yet.
    ///
    /// # Errors
    /// When there are none.
    pub(crate) async fn find(&self, now: SystemTime) -> Result<String, NotFound> {
        match self {
            Self::Given { origin, .. } => Ok((*origin).to_owned()),
            Self::Found(found) => found.current(now).await.map(|kept| kept.origin),
        }
    }
}

impl<T: Clone + PartialEq + Send + 'static> Keys<T> {
    /// Notes that the remote refuses keys that should hold. Whether it is worth asking once more, with others.
    pub(crate) async fn refused(&self, refused: &T, now: SystemTime) -> bool {
        let Self::Found(found) = self else { return false };
        let mut state = found.state.lock().await;
        // Another request was quicker, and there are others already.
        if state.kept.as_ref().is_none_or(|kept| kept.keys != *refused) {
            return true;
        }
        let is_early = |at: SystemTime| at.checked_add(RETRY_AFTER).is_none_or(|end| now < end);
        if state.refused_at.is_some_and(is_early) {
            return false;
        }
        *state = State { kept: None, refused_at: Some(now) };
        true
    }
}

impl<T: Clone + Send + 'static> Renewed<T> {
    async fn current(&self, now: SystemTime) -> Result<Kept<T>, NotFound> {
        let mut state = self.state.lock().await;
        let last = state.kept.clone();
        if let Some(kept) = last.as_ref().filter(|kept| kept.renew_at.is_none_or(|at| now < at)) {
            return Ok(kept.clone());
        }
        let next = match (self.look_up().await, last) {
            (Ok(found), _) => self.keep(found, now),
            (Err(error), Some(kept)) if kept.expires.is_none_or(|end| now < end) => {
                tracing::warn!("credentials could not be renewed yet: {error}");
                Kept { renew_at: now.checked_add(RETRY_AFTER), ..kept }
            }
            (Err(error), _) => return Err(error),
        };
        Ok(state.kept.insert(next).clone())
    }

    async fn look_up(&self) -> Result<Found<T>, NotFound> {
        let finder = Arc::clone(&self.finder);
        let broken = |cause| NotFound { message: format!("credentials were not looked up: {cause}"), is_final: false };
        tokio::spawn(async move { finder.find().await }).await.unwrap_or_else(|cause| Err(broken(cause)))
    }

    fn keep(&self, found: Found<T>, now: SystemTime) -> Kept<T> {
        let Found { keys, origin, secrets, expires } = found;
        secrets.into_iter().for_each(|secret| self.masker.learn(secret));
        Kept { keys, origin, expires, renew_at: expires.map(|end| renewal(end, now)) }
    }
}

fn renewal(end: SystemTime, now: SystemTime) -> SystemTime {
    let life = end.duration_since(now).unwrap_or_default();
    end.checked_sub(RENEW_BEFORE.min(life / 2)).unwrap_or(now)
}

/// The credentials that the tools of AWS would find.
pub(crate) struct OfAws(pub(crate) Arc<dyn CredentialSource>);

#[async_trait]
impl Finder<Credentials> for OfAws {
    async fn find(&self) -> Result<Found<Credentials>, NotFound> {
        let found = self.0.find().await.map_err(|error| NotFound { message: error.to_string(), is_final: false })?;
        let keys = found.credentials;
        let secrets = std::iter::once(keys.secret_access_key()).chain(keys.session_token());
        let secrets = secrets.map(SecretText::new).collect();
        Ok(Found { expires: keys.expiry(), origin: found.origin, secrets, keys })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::UNIX_EPOCH;

    use crate::settings::{CredentialsNotFound, FoundCredentials};

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

    fn keys(ends: &[u64]) -> (Keys<Credentials>, Arc<Masker>) {
        let masker = Arc::new(Masker::default());
        let script = OfAws(Arc::new(Script(Mutex::new(ends.to_vec()))));
        (Keys::found_by(Arc::new(script), Arc::clone(&masker)), masker)
    }

    async fn key_at(keys: &Keys<Credentials>, seconds: u64) -> Result<String, EgressError> {
        Ok(keys.at(at(seconds)).await?.access_key_id().to_owned())
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

    #[tokio::test]
    async fn keys_that_are_refused_are_looked_up_once_more_and_not_for_each_request() {
        let (keys, _) = keys(&[3600, 7200, 9000]);
        let first = keys.at(at(0)).await.unwrap();
        assert!(keys.refused(&first, at(1)).await);
        let second = keys.at(at(1)).await.unwrap();
        assert_eq!(second.access_key_id(), "KEY7200");
        assert!(keys.refused(&first, at(2)).await, "another request was sent with the first");
        assert!(!keys.refused(&second, at(2)).await, "nothing that is found is accepted");
        assert!(keys.refused(&second, at(40)).await);
        assert_eq!(key_at(&keys, 40).await.unwrap(), "KEY9000");
    }
}
