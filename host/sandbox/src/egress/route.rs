//! Where the label of an endpoint leads: origin, base path, permitted verbs and credentials, fixed when a connector is configured.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use http::uri::{Authority, Scheme};

use super::address::{encode_segment, origin};
use super::auth::Signer;
use super::contact::Contact;
use crate::manifest::{Endpoint, HeaderRule, Paths, Role, Verb, When};
use crate::settings::{Masker, Settings, SettingsError};

/// A verb that is granted, and whether a request was of its kind.
#[derive(Debug)]
pub(crate) struct GrantedVerb {
    pub(crate) verb: Verb,
    used: AtomicBool,
}

impl GrantedVerb {
    const fn new(verb: Verb) -> Self {
        Self { verb, used: AtomicBool::new(false) }
    }

    pub(crate) fn notice(&self) {
        self.used.store(true, Relaxed);
    }

    pub(crate) fn was_used(&self) -> bool {
        self.used.load(Relaxed)
    }
}

/// What a connector is let out for.
#[derive(Debug, Clone, Copy)]
pub struct Permit<'a> {
    /// Their verbs are granted.
    pub roles: &'a [Role],
    /// Of those verbs only the ones that change nothing.
    pub is_preview: bool,
}

impl<'a> Permit<'a> {
    /// For all that roles may ask.
    #[must_use]
    pub const fn of(roles: &'a [Role]) -> Self {
        Self { roles, is_preview: false }
    }
}

/// A resolved endpoint.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) label: String,
    pub(crate) scheme: Scheme,
    pub(crate) authority: Authority,
    /// Empty, or begins with `/` and does not end in it.
    pub(crate) base_path: String,
    /// The folder that requests stay in, decoded: empty, or with a `/` at its end.
    pub(crate) below: String,
    /// Parameter of the query that must begin with it.
    pub(crate) below_parameter: Option<String>,
    /// Union of the verbs of all granted roles, without those whose condition does not hold.
    pub(crate) verbs: Vec<GrantedVerb>,
    /// The same of the headers.
    pub(crate) headers: Vec<HeaderRule>,
    /// For messages.
    pub(crate) roles: Vec<Role>,
    pub(crate) signer: Signer,
    pub(crate) contact: Contact,
    /// Headers that the host sets here, in lower case.
    pub(crate) owned: Vec<String>,
    pub(crate) paths: Paths,
    /// Only verbs that change nothing are left.
    pub(crate) is_preview: bool,
}

impl Route {
    pub(crate) fn new(
        label: &str,
        endpoint: &Endpoint,
        settings: &Settings,
        permit: Permit<'_>,
        masker: &Arc<Masker>,
    ) -> Result<Self, SettingsError> {
        let Permit { roles, is_preview } = permit;
        let (url, path) = settings.address_of(endpoint);
        let auth = settings.auth_of(endpoint);
        let (scheme, authority) = origin(label, &settings.expand(url, str::to_owned))?;
        let is_met = |when: Option<&When>| when.is_none_or(|when| settings.has(&when.setting, &when.value));
        let verbs = roles.iter().filter_map(|role| endpoint.allow.get(role)).flatten();
        let verbs = verbs.filter(|verb| is_met(verb.when()) && (!is_preview || verb.is_safe()));
        let headers = roles.iter().filter_map(|role| endpoint.headers.get(role)).flatten();
        Ok(Self {
            label: label.to_owned(),
            scheme,
            authority,
            base_path: settings.expand(path, encode_segment),
            below: folder(settings.expand(&endpoint.below, str::to_owned)),
            below_parameter: endpoint.below_parameter.clone(),
            verbs: verbs.cloned().map(GrantedVerb::new).collect(),
            headers: headers.filter(|rule| is_met(rule.when())).cloned().collect(),
            roles: roles.to_vec(),
            owned: auth.owned_headers().iter().map(|name| name.to_ascii_lowercase()).collect(),
            signer: Signer::new(label, auth, settings, masker)?,
            contact: Contact::default(),
            paths: endpoint.paths,
            is_preview,
        })
    }
}

/// A path as a folder: with a `/` at its end, unless it is empty.
fn folder(path: String) -> String {
    if path.is_empty() || path.ends_with('/') { path } else { path + "/" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Manifest;
    use crate::settings::{RawSettings, SecretText, Surroundings};

    const S3: &str = crate::settings::S3_MANIFEST;

    fn route(pairs: &[(&str, &str)]) -> Result<Route, SettingsError> {
        let manifest = Manifest::parse(S3).unwrap();
        let raw: RawSettings = pairs.iter().map(|(n, t)| ((*n).to_owned(), SecretText::new(*t))).collect();
        let settings = Settings::resolve(&manifest, &raw, &Surroundings::none())?;
        Route::new("bucket", &manifest.endpoints["bucket"], &settings, Permit::of(&[Role::Source]), &Arc::default())
    }

    #[test]
    fn addressing_chooses_host_and_path() {
        let path = route(&[("location", "s3://localhost:9000/photos"), ("use_tls", "false")]).unwrap();
        assert_eq!(
            (path.scheme.as_str(), path.authority.as_str(), path.base_path.as_str()),
            ("http", "localhost:9000", "/photos")
        );
        let virtual_host = route(&[("location", "s3://s3.example.com/photos"), ("addressing", "virtual")]).unwrap();
        assert_eq!((virtual_host.authority.as_str(), virtual_host.base_path.as_str()), ("photos.s3.example.com", ""));
    }

    #[test]
    fn a_default_port_is_left_out_and_any_other_kept() {
        for (host, expected) in
            [("h.x:443", "h.x"), ("h.x:80", "h.x:80"), ("h.x:4430", "h.x:4430"), ("[::1]:443", "[::1]")]
        {
            assert_eq!(route(&[("bucket", "b"), ("host", host)]).unwrap().authority.as_str(), expected);
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for host in ["a b", "user@host", "host:port", "host/../x", ""] {
            let pairs = [("bucket", "b"), ("host", host)];
            assert!(matches!(route(&pairs), Err(SettingsError::Address { .. })), "{host}");
        }
    }

    #[test]
    fn half_of_a_key_pair_is_an_error_and_none_is_anonymous() {
        assert!(route(&[("bucket", "b")]).is_ok());
        let half = route(&[("bucket", "b"), ("access_key", "K")]);
        assert!(matches!(half, Err(SettingsError::HalfASecret { missing, .. }) if missing == "secret_access_key"));
    }
}
