//! How requests to an endpoint are authenticated, as a manifest says it. `egress/auth` finds, renews and applies what is named here.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::template::template_names;

/// A scheme of authentication. Fields name secrets, except where a template is said. A `user`, an `account` and a `client_id` name somebody, and
/// may be settings: a setting is not masked.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(tag = "scheme", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Auth {
    /// Not at all.
    #[default]
    None,
    /// RFC 7617.
    Basic {
        /// Secret or setting with the user's name.
        user: String,
        /// Secret with the password.
        password: String,
    },
    /// RFC 6750.
    Bearer {
        /// Secret with the token.
        token: String,
    },
    /// Headers of its own.
    Header {
        /// By name, templates over secrets and settings: `Token {token}`.
        headers: BTreeMap<String, String>,
    },
    /// Parameters of the query, which are joined to those of the request.
    Query {
        /// By name, templates over secrets and settings.
        #[serde(default)]
        parameters: BTreeMap<String, String>,
        /// Secret with a query that was signed beforehand, such as a shared access signature.
        signed: Option<String>,
    },
    /// AWS Signature Version 4.
    AwsSigv4 {
        /// Name of the service, such as `s3`.
        service: String,
        /// Template of the region.
        region: String,
        /// Secret with the access key.
        key: String,
        /// Secret with the secret access key.
        secret: String,
        /// Secret with the session token.
        token: Option<String>,
        /// Setting with the name of a profile. Where it is said, the host looks for credentials as the tools of AWS do, when
        /// none are given.
        profile: Option<String>,
        /// Boolean setting that asks for requests without credentials.
        anonymous: Option<String>,
    },
    /// Shared Key of Azure's blobs, as of version 2015-02-21 of its protocol.
    AzureSharedKey {
        /// Secret or setting with the name of the account.
        account: String,
        /// Secret with the key, in Base64.
        key: String,
    },
    /// The V4 signature of Google Cloud Storage's XML API with an HMAC key.
    Goog4Hmac {
        /// Secret with the access id.
        key: String,
        /// Secret with the secret.
        secret: String,
        /// Template of the location that is signed for.
        #[serde(default = "any_location")]
        location: String,
    },
    /// A bearer token that a server hands out (RFC 6749), fetched again before it ends.
    Oauth2(Oauth2),
}

fn any_location() -> String {
    "auto".to_owned()
}

/// Where a bearer token comes from.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Oauth2 {
    /// Template of the address that hands out tokens; it begins as that of an endpoint does.
    pub token_url: String,
    /// Template of what the token is for.
    #[serde(default)]
    pub scope: String,
    /// What is shown for it.
    pub grant: OauthGrant,
}

/// What a token is handed out for.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum OauthGrant {
    /// The client's own id and secret (RFC 6749 section 4.4), in the body of the request.
    ClientCredentials {
        /// Secret or setting with the id.
        client_id: String,
        /// Secret with the secret.
        client_secret: String,
    },
    /// A refresh token (RFC 6749 section 6). Where the server hands out another with each token, that one is kept for the next run.
    RefreshToken {
        /// Secret or setting with the client's id.
        client_id: String,
        /// Secret with the client's secret, where it has one.
        client_secret: Option<String>,
        /// Secret with the refresh token.
        refresh_token: String,
        /// Template of the address at which a login begins that needs no browser on this machine (RFC 8628); it begins as that of an endpoint
        /// does. With one, `credenza login` fetches the refresh token.
        device_url: Option<String>,
    },
    /// The key of a service account, which signs an assertion (RFC 7523).
    ServiceAccount {
        /// Secret with the key as a JSON document: `client_email`, `private_key` (RSA, PKCS #8 in PEM) and perhaps `private_key_id`.
        key: String,
    },
    /// Nothing: the service that runs this machine knows it. It is asked without a proxy.
    Machine {
        /// Headers that it wants, such as `Metadata: true`.
        #[serde(default)]
        headers: BTreeMap<String, String>,
    },
}

impl OauthGrant {
    /// The word in manifests and messages.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::ClientCredentials { .. } => "client-credentials",
            Self::RefreshToken { .. } => "refresh-token",
            Self::ServiceAccount { .. } => "service-account",
            Self::Machine { .. } => "machine",
        }
    }
}

impl Auth {
    /// The word in manifests and messages.
    #[must_use]
    pub const fn scheme(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Basic { .. } => "basic",
            Self::Bearer { .. } => "bearer",
            Self::Header { .. } => "header",
            Self::Query { .. } => "query",
            Self::AwsSigv4 { .. } => "aws-sigv4",
            Self::AzureSharedKey { .. } => "azure-shared-key",
            Self::Goog4Hmac { .. } => "goog4-hmac",
            Self::Oauth2(_) => "oauth2",
        }
    }

    /// The secrets that it names where only a secret can stand.
    #[must_use]
    pub fn secrets(&self) -> Vec<&str> {
        match self {
            Self::None | Self::Header { .. } => vec![],
            Self::Basic { password: only, .. }
            | Self::Bearer { token: only }
            | Self::AzureSharedKey { key: only, .. } => {
                vec![only]
            }
            Self::Query { signed, .. } => signed.iter().map(String::as_str).collect(),
            Self::AwsSigv4 { key, secret, token, .. } => {
                [key, secret].into_iter().chain(token).map(String::as_str).collect()
            }
            Self::Goog4Hmac { key, secret, .. } => vec![key, secret],
            Self::Oauth2(oauth) => match &oauth.grant {
                OauthGrant::ClientCredentials { client_secret: only, .. }
                | OauthGrant::ServiceAccount { key: only } => {
                    vec![only]
                }
                OauthGrant::RefreshToken { client_secret, refresh_token, .. } => {
                    client_secret.iter().chain([refresh_token]).map(String::as_str).collect()
                }
                OauthGrant::Machine { .. } => vec![],
            },
        }
    }

    /// The names that it takes from secrets or settings, whichever has them.
    #[must_use]
    pub fn secrets_or_settings(&self) -> Vec<&str> {
        match self {
            Self::Header { headers: templates } | Self::Query { parameters: templates, .. } => {
                templates.values().flat_map(|template| template_names(template)).flatten().collect()
            }
            _ => self.identity().into_iter().filter(|name| !self.secrets().contains(name)).collect(),
        }
    }

    /// The name of who sends: no ordinary secret, as it may be an ordinary word.
    pub(crate) fn identity(&self) -> Option<&str> {
        match self {
            Self::Basic { user: name, .. }
            | Self::AwsSigv4 { key: name, .. }
            | Self::AzureSharedKey { account: name, .. }
            | Self::Goog4Hmac { key: name, .. } => Some(name),
            Self::Oauth2(Oauth2 { grant: OauthGrant::ClientCredentials { client_id, .. }, .. })
            | Self::Oauth2(Oauth2 { grant: OauthGrant::RefreshToken { client_id, .. }, .. }) => Some(client_id),
            _ => None,
        }
    }

    /// Its templates over settings, each with its field.
    pub(super) fn templates(&self) -> Vec<(&'static str, &str)> {
        match self {
            Self::AwsSigv4 { region, .. } => vec![("region", region)],
            Self::Goog4Hmac { location, .. } => vec![("location", location)],
            Self::Oauth2(oauth) => {
                let device_url = self.device_url().map(|url| ("device_url", url));
                [("token_url", oauth.token_url.as_str()), ("scope", &oauth.scope)]
                    .into_iter()
                    .chain(device_url)
                    .collect()
            }
            _ => vec![],
        }
    }

    /// Its templates over secrets.
    pub(super) fn secret_templates(&self) -> Vec<&str> {
        match self {
            Self::Header { headers: templates } | Self::Query { parameters: templates, .. } => {
                templates.values().map(String::as_str).collect()
            }
            _ => vec![],
        }
    }

    /// The names of headers that the manifest makes up.
    pub(super) fn header_names(&self) -> Vec<&str> {
        match self {
            Self::Header { headers } | Self::Oauth2(Oauth2 { grant: OauthGrant::Machine { headers }, .. }) => {
                headers.keys().map(String::as_str).collect()
            }
            _ => vec![],
        }
    }

    /// The headers of a request that the host alone sets, beside those that it sets everywhere.
    pub(crate) fn owned_headers(&self) -> Vec<&str> {
        match self {
            Self::Header { headers } => headers.keys().map(String::as_str).collect(),
            Self::AwsSigv4 { .. } => vec!["x-amz-content-sha256", "x-amz-date", "x-amz-security-token"],
            Self::AzureSharedKey { .. } => vec!["x-ms-date"],
            Self::Goog4Hmac { .. } => vec!["x-goog-content-sha256", "x-goog-date"],
            _ => vec![],
        }
    }

    /// The setting that names a profile of AWS, if there is one.
    #[must_use]
    pub fn profile_setting(&self) -> Option<&str> {
        match self {
            Self::AwsSigv4 { profile, .. } => profile.as_deref(),
            _ => None,
        }
    }

    /// The setting that asks for requests without credentials, if there is one.
    pub(crate) fn anonymous_setting(&self) -> Option<&str> {
        match self {
            Self::AwsSigv4 { anonymous, .. } => anonymous.as_deref(),
            _ => None,
        }
    }

    /// The address that hands out tokens, a template, if there is one: credentials go there too.
    #[must_use]
    pub fn token_url(&self) -> Option<&str> {
        match self {
            Self::Oauth2(oauth) => Some(&oauth.token_url),
            _ => None,
        }
    }

    /// The address at which a login begins, a template, if there is one: credentials go there too.
    #[must_use]
    pub fn device_url(&self) -> Option<&str> {
        match self {
            Self::Oauth2(Oauth2 { grant: OauthGrant::RefreshToken { device_url, .. }, .. }) => device_url.as_deref(),
            _ => None,
        }
    }

    /// The credentials that it takes from this machine when no secrets are given, for a person.
    #[must_use]
    pub fn machine_credentials(&self) -> Option<&'static str> {
        match self {
            Self::AwsSigv4 { profile: Some(_), .. } => {
                Some("the AWS credentials of this machine: profile, single sign-on, role of the instance")
            }
            Self::Oauth2(Oauth2 { grant: OauthGrant::Machine { .. }, .. }) => {
                Some("the identity that the service which runs this machine knows it by")
            }
            _ => None,
        }
    }
}
