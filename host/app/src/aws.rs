//! What the tools of AWS would use on this machine: region and credentials of the environment, the profile files, a process, a web
//! identity, the container and the instance.
//!
//! Owned here: which sources there are, their order and names, and what to do when none has credentials. Refused here: their formats and
//! protocols (`aws-config`), renewal and signing (`credenza-sandbox`). Called by `open`. Nothing is asked before credentials are needed.

use std::time::Duration;

use crate::profiles;
use async_trait::async_trait;
use aws_config::ecs::EcsCredentialsProvider;
use aws_config::environment::{EnvironmentVariableCredentialsProvider, EnvironmentVariableRegionProvider};
use aws_config::imds;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::meta::region::ProvideRegion;
use aws_config::profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider};
use aws_config::provider_config::ProviderConfig;
use aws_config::web_identity_token::WebIdentityTokenCredentialsProvider;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_types::region::Region;
use credenza_sandbox::{CredentialSource, CredentialsNotFound, FoundCredentials, LookupClient};

/// Instances answer within milliseconds; elsewhere nobody does.
const INSTANCE_TIMEOUT: Duration = Duration::from_secs(1);
/// Where the token service is asked when no region is named anywhere.
const REGION_DEFAULT: &str = "us-east-1";

/// The region of the environment, else of the profile; the named one, else that of `AWS_PROFILE`, else `default`.
pub(crate) async fn region(profile: Option<&str>) -> Option<String> {
    let of_profile = match profile {
        Some(name) => ProfileFileRegionProvider::builder().profile_name(name).build(),
        None => ProfileFileRegionProvider::new(),
    };
    let region = match EnvironmentVariableRegionProvider::new().region().await {
        Some(region) => Some(region),
        None => of_profile.region().await,
    };
    region.map(|region| region.as_ref().to_owned())
}

/// Sources of credentials in the order in which they are asked.
#[derive(Debug)]
pub(crate) struct Chain {
    sources: Vec<(String, SharedCredentialsProvider)>,
}

impl Chain {
    /// The named profile alone, or else everything that the tools of AWS ask; `region` is where the token service is asked, by `client`.
    pub(crate) fn new(profile: Option<&str>, region: Option<&str>, client: LookupClient) -> Self {
        let region = Region::new(region.unwrap_or(REGION_DEFAULT).to_owned());
        let config = ProviderConfig::without_region().with_http_client(client).with_region(Some(region));
        let of_profile = ProfileFileCredentialsProvider::builder().configure(&config).profile_files(profiles::files());
        if let Some(name) = profile {
            let provider = SharedCredentialsProvider::new(of_profile.profile_name(name).build());
            return Self { sources: vec![(format!("profile `{name}` of AWS's files"), provider)] };
        }
        let web_identity = WebIdentityTokenCredentialsProvider::builder().configure(&config).build();
        let container = EcsCredentialsProvider::builder().configure(&config).build();
        let sources = [
            ("AWS_ACCESS_KEY_ID", SharedCredentialsProvider::new(EnvironmentVariableCredentialsProvider::new())),
            ("the default profile of AWS's files", SharedCredentialsProvider::new(of_profile.build())),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", SharedCredentialsProvider::new(web_identity)),
            ("AWS_CONTAINER_CREDENTIALS", SharedCredentialsProvider::new(container)),
            ("the metadata of the instance", SharedCredentialsProvider::new(of_instance(&config))),
        ];
        Self { sources: sources.into_iter().map(|(name, provider)| (name.to_owned(), provider)).collect() }
    }
}

/// Asked once and briefly: on most machines nobody is there.
fn of_instance(config: &ProviderConfig) -> ImdsCredentialsProvider {
    let client = imds::Client::builder()
        .configure(config)
        .max_attempts(1)
        .connect_timeout(INSTANCE_TIMEOUT)
        .read_timeout(INSTANCE_TIMEOUT)
        .build();
    ImdsCredentialsProvider::builder().configure(config).imds_client(client).build()
}

#[async_trait]
impl CredentialSource for Chain {
    async fn find(&self) -> Result<FoundCredentials, CredentialsNotFound> {
        let mut tried = Vec::new();
        for (name, provider) in &self.sources {
            match provider.provide_credentials().await {
                Ok(credentials) => return Ok(FoundCredentials { credentials, origin: name.clone() }),
                Err(error @ CredentialsError::CredentialsNotLoaded(_)) => {
                    tried.push(format!("{name} ({})", why(&error)))
                }
                Err(error) => return Err(CredentialsNotFound(format!("{name} gave no credentials: {}", why(&error)))),
            }
        }
        Err(CredentialsNotFound(format!(
            "there are no credentials: tried {}; set access_key and secret_access_key, or profile, or anonymous=true for requests without credentials",
            tried.join(", ")
        )))
    }
}

/// The innermost cause, which is the one that names a file, variable or address.
fn why(error: &CredentialsError) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
