//! Where the label of an endpoint leads: origin, base path, permitted verbs and credentials, fixed when a connector is configured.

use std::sync::Arc;

use http::uri::{Authority, Scheme};

use super::contact::Contact;
use super::sign::Signer;
use crate::manifest::{Auth, Endpoint, HeaderRule, Role, Verb, When};
use crate::settings::{Masker, Settings, SettingsError};

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
    pub(crate) verbs: Vec<Verb>,
    /// The same of the headers.
    pub(crate) headers: Vec<HeaderRule>,
    /// For messages.
    pub(crate) roles: Vec<Role>,
    pub(crate) signer: Signer,
    pub(crate) contact: Contact,
    /// Paths are names of objects, byte by byte, so that `..` in them is data (object stores).
    pub(crate) opaque_paths: bool,
}

impl Route {
    pub(crate) fn new(
        label: &str,
        endpoint: &Endpoint,
        settings: &Settings,
        roles: &[Role],
        masker: &Arc<Masker>,
    ) -> Result<Self, SettingsError> {
        let holds = |when: &std::collections::BTreeMap<String, String>| {
            when.iter().all(|(name, value)| settings.texts.get(name) == Some(value))
        };
        let variant = endpoint.variants.iter().find(|variant| holds(&variant.when));
        let (url, path) = variant.map_or((&endpoint.url, &endpoint.path), |v| (&v.url, &v.path));
        let (scheme, authority) = origin(label, &settings.expand(url, str::to_owned))?;
        let is_met = |when: Option<&When>| when.is_none_or(|when| settings.has(&when.setting, &when.value));
        let verbs = roles.iter().filter_map(|role| endpoint.allow.get(role)).flatten();
        let headers = roles.iter().filter_map(|role| endpoint.headers.get(role)).flatten();
        Ok(Self {
            label: label.to_owned(),
            scheme,
            authority,
            base_path: settings.expand(path, encode_segment),
            below: folder(settings.expand(&endpoint.below, str::to_owned)),
            below_parameter: endpoint.below_parameter.clone(),
            verbs: verbs.filter(|verb| is_met(verb.when())).cloned().collect(),
            headers: headers.filter(|rule| is_met(rule.when())).cloned().collect(),
            roles: roles.to_vec(),
            signer: Signer::new(label, &endpoint.auth, settings, masker)?,
            contact: Contact::default(),
            opaque_paths: matches!(endpoint.auth, Auth::AwsSigv4 { .. }),
        })
    }
}

fn origin(label: &str, address: &str) -> Result<(Scheme, Authority), SettingsError> {
    let invalid =
        |cause: String| SettingsError::Address { endpoint: label.to_owned(), address: address.to_owned(), cause };
    let (scheme, authority) = address.split_once("://").ok_or_else(|| invalid("it has no scheme".to_owned()))?;
    let scheme: Scheme = scheme.parse().map_err(|e| invalid(format!("{e}")))?;
    if authority.contains('@') {
        return Err(invalid("a name and password do not belong there".to_owned()));
    }
    let authority: Authority = authority.trim_end_matches('/').parse().map_err(|e| invalid(format!("{e}")))?;
    if authority.host().is_empty()
        || (authority.as_str().contains(':') && authority.port_u16().is_none() && !authority.as_str().ends_with(']'))
    {
        return Err(invalid("host or port is missing or wrong".to_owned()));
    }
    // The default port is left out of the `host` header and of the signature, so of the address too.
    let default_port = if scheme == Scheme::HTTPS { ":443" } else { ":80" };
    let without_port = authority.as_str().strip_suffix(default_port).and_then(|host| host.parse().ok());
    Ok((scheme, without_port.unwrap_or(authority)))
}

/// A path as a folder: with a `/` at its end, unless it is empty.
fn folder(path: String) -> String {
    if path.is_empty() || path.ends_with('/') { path } else { path + "/" }
}

/// The text as one or more path segments: everything but RFC 3986 "unreserved" and `/` is escaped.
pub(crate) fn encode_segment(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                encoded.push(char::from(byte))
            }
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
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
        Route::new("bucket", &manifest.endpoints["bucket"], &settings, &[Role::Source], &Arc::default())
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
