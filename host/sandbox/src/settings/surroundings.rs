//! What the machine offers where the settings leave something out. The caller reads it: this module knows neither environment nor files.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use aws_credential_types::Credentials;
use credenza_connect::{Rates, Waits};

use super::{AwsEndpoint, SecretText};

/// Variables, region and credentials of the machine, and who sits before it.
#[derive(Clone)]
pub struct Surroundings<'a> {
    /// Looks up an environment variable that a manifest names as the home of a secret.
    pub variable: &'a (dyn Fn(&str) -> Option<SecretText> + Sync),
    /// The region that the tools of AWS would use here.
    pub aws_region: Option<String>,
    /// The server that the tools of AWS would use here instead of Amazon's.
    pub aws_endpoint: Option<AwsEndpoint>,
    /// Finds the credentials that the tools of AWS would use here; without it, requests without keys are anonymous.
    pub aws_credentials: Option<Arc<dyn CredentialSource>>,
    /// Remembers refresh tokens from one run to the next; without it they are kept for this run.
    pub token_keeper: Option<Arc<dyn TokenKeeper>>,
    /// Somebody who hears what is waited for.
    pub waits: Waits,
    /// How many bytes a second may pass.
    pub rates: Rates,
    /// Nothing may be changed: requests whose method is not safe are refused, whatever the manifest grants.
    pub is_preview: bool,
}

impl Surroundings<'_> {
    /// A machine that offers nothing.
    #[must_use]
    pub fn none() -> Self {
        Self {
            variable: &|_| None,
            aws_region: None,
            aws_endpoint: None,
            aws_credentials: None,
            token_keeper: None,
            waits: Waits::default(),
            rates: Rates::default(),
            is_preview: false,
        }
    }
}

/// Somewhere to find credentials; asked again before they expire.
#[async_trait]
pub trait CredentialSource: Debug + Send + Sync {
    /// The credentials of this moment.
    ///
    /// # Errors
    /// A sentence with what was tried, why it failed and what to do.
    async fn find(&self) -> Result<FoundCredentials, CredentialsNotFound>;
}

/// Credentials and where they are from.
#[derive(Debug, Clone)]
pub struct FoundCredentials {
    /// Keys and their end; they print without their secrets.
    pub credentials: Credentials,
    /// For a person: ``profile `backup` ``.
    pub origin: String,
}

/// No credentials, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CredentialsNotFound(pub String);

/// Remembers the refresh tokens that servers hand out in place of the one that a user gave, which counts no more then.
pub trait TokenKeeper: Debug + Send + Sync {
    /// The newest token that took the place of the given one, if any did: in this run, an earlier one, or one beside.
    fn newest(&self, given: &SecretText) -> Option<SecretText>;

    /// Keeps other runs from renewing the given token until the answer is dropped; `None` while another run does so.
    ///
    /// # Errors
    /// A sentence with what could not be locked and why.
    fn reserve(&self, given: &SecretText) -> Result<Option<Reserved>, TokenNotKept>;

    /// Remembers the newest in place of the given one, for good before it returns.
    ///
    /// # Errors
    /// A sentence with where it should have gone and why it could not.
    fn keep(&self, given: &SecretText, newest: &SecretText) -> Result<(), TokenNotKept>;
}

/// Until it is dropped, one run alone renews a token.
pub type Reserved = Box<dyn Send>;

/// A refresh token that will be lost with this run, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TokenNotKept(pub String);
