//! What a connector is, where its secrets come from and go, and what it may reach: what decides whether it is trusted comes first.
//!
//! All texts are the connector's own, so each is one line, cut, without what could pass for another line.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use credenza_app::Component;
use credenza_sandbox::{Ambient, Auth, Manifest, Role};
use serde::Serialize;

use super::ConnectorLine;
use crate::report::brief;

#[derive(Serialize)]
pub(super) struct ConnectorDetails<'a> {
    #[serde(flatten)]
    line: ConnectorLine<'a>,
    licence: &'a str,
    api: &'a str,
    sha256: String,
    secrets: BTreeMap<&'a str, SecretOut<'a>>,
    endpoints: BTreeMap<&'a str, EndpointOut<'a>>,
    settings: BTreeMap<&'a str, SettingOut<'a>>,
    presets: &'a BTreeMap<String, BTreeMap<String, String>>,
}

#[derive(Serialize)]
struct SettingOut<'a> {
    help: &'a str,
    required: bool,
    default: Option<&'a str>,
    values: &'a [String],
    /// Taken from the machine when nothing else says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    ambient: Option<&'static str>,
}

#[derive(Serialize)]
struct SecretOut<'a> {
    help: &'a str,
    env: &'a [String],
}

#[derive(Serialize)]
struct EndpointOut<'a> {
    url: &'a str,
    path: &'a str,
    below: &'a str,
    /// Other addresses, which some settings lead to.
    variants: Vec<AddressOut<'a>>,
    /// How it proves who it is: one of these, as settings choose.
    auth: Vec<AuthOut<'a>>,
    allow: BTreeMap<&'static str, Vec<String>>,
    headers: BTreeMap<&'static str, Vec<String>>,
}

#[derive(Serialize)]
struct AddressOut<'a> {
    url: &'a str,
    path: &'a str,
}

#[derive(Serialize)]
struct AuthOut<'a> {
    scheme: &'static str,
    /// Secrets that are sent, or signed with.
    secrets: Vec<&'a str>,
    /// Credentials that this machine offers, used when none are given.
    #[serde(skip_serializing_if = "Option::is_none")]
    machine_credentials: Option<&'static str>,
    /// Who hands out tokens, and is shown the secrets for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens_from: Option<&'a str>,
}

impl<'a> AuthOut<'a> {
    fn new(auth: &'a Auth, manifest: &Manifest) -> Self {
        let either = auth.secrets_or_settings().into_iter().filter(|name| manifest.secrets.contains_key(*name));
        let mut secrets: Vec<&str> = either.chain(auth.secrets()).collect();
        secrets.sort_unstable();
        secrets.dedup();
        Self {
            scheme: auth.scheme(),
            secrets,
            machine_credentials: auth.machine_credentials(),
            tokens_from: auth.token_url(),
        }
    }
}

impl<'a> ConnectorDetails<'a> {
    pub(super) fn new(component: &'a Component) -> Self {
        let manifest = &component.manifest;
        Self {
            line: ConnectorLine::new(component),
            licence: &manifest.licence,
            api: &manifest.api,
            sha256: component.sha256(),
            secrets: manifest
                .secrets
                .iter()
                .map(|(name, s)| (name.as_str(), SecretOut { help: &s.help, env: &s.env }))
                .collect(),
            endpoints: endpoints(manifest),
            settings: settings(manifest),
            presets: &manifest.presets,
        }
    }
}

fn settings(manifest: &Manifest) -> BTreeMap<&str, SettingOut<'_>> {
    let out = manifest.settings.iter().map(|(name, spec)| {
        let default = spec.default.as_deref();
        let ambient = spec.ambient.map(|ambient| match ambient {
            Ambient::AwsRegion => "aws-region",
            Ambient::AwsEndpoint => "aws-endpoint",
        });
        (
            name.as_str(),
            SettingOut { help: &spec.help, required: spec.required, default, values: &spec.values, ambient },
        )
    });
    out.collect()
}

fn endpoints(manifest: &Manifest) -> BTreeMap<&str, EndpointOut<'_>> {
    let out = manifest.endpoints.iter().map(|(label, endpoint)| {
        let variants = endpoint.addresses().skip(1).map(|(url, path)| AddressOut { url, path }).collect();
        let out = EndpointOut {
            url: &endpoint.url,
            path: &endpoint.path,
            below: &endpoint.below,
            variants,
            auth: endpoint.auths().map(|auth| AuthOut::new(auth, manifest)).collect(),
            allow: by_role(&endpoint.allow),
            headers: by_role(&endpoint.headers),
        };
        (label.as_str(), out)
    });
    out.collect()
}

fn by_role<T: ToString>(granted: &BTreeMap<Role, Vec<T>>) -> BTreeMap<&'static str, Vec<String>> {
    granted.iter().map(|(role, what)| (role.name(), what.iter().map(ToString::to_string).collect())).collect()
}

/// `region=auto, host to be given`.
fn preset_text(settings: &BTreeMap<String, String>) -> String {
    let text = |(name, value): (&String, &String)| match value.is_empty() {
        true => format!("{name} to be given"),
        false => format!("{name}={value}"),
    };
    settings.iter().map(text).collect::<Vec<_>>().join(", ")
}

impl Display for ConnectorDetails<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\nsha256 {}", self.line, self.sha256)?;
        self.write_credentials(f)?;
        self.write_endpoints(f)?;
        write!(f, "\n\nwhat it says of itself\n  {}", brief(self.line.summary))?;
        self.write_settings(f)
    }
}

impl ConnectorDetails<'_> {
    /// Which credentials leave this machine with its requests.
    fn write_credentials(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\n\nsends, but never sees")?;
        for (label, endpoint) in &self.endpoints {
            for auth in &endpoint.auth {
                write!(f, "\n  to {:<19} {}", brief(label), auth.scheme)?;
                if !auth.secrets.is_empty() {
                    write!(f, " with {}", brief(&auth.secrets.join(", ")))?;
                }
                if let Some(url) = auth.tokens_from {
                    write!(f, "\n    by tokens that {} hands out for them", brief(url))?;
                }
                if let Some(credentials) = auth.machine_credentials {
                    write!(f, "\n    or, when none are given, {credentials}")?;
                }
            }
        }
        for (name, secret) in self.secrets.iter().filter(|(_, secret)| !secret.env.is_empty()) {
            write!(f, "\n  {:<22} from the environment: {}", brief(name), brief(&secret.env.join(", ")))?;
        }
        let ambient = self.settings.iter().filter_map(|(name, setting)| Some((name, setting.ambient?)));
        ambient.into_iter().try_for_each(|(name, ambient)| {
            let what = if ambient == "aws-region" { "region" } else { "server" };
            write!(f, "\n  {:<22} from the environment: the {what} of AWS's tools", brief(name))
        })
    }

    fn write_endpoints(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\n\nmay reach")?;
        for (label, endpoint) in &self.endpoints {
            write!(f, "\n  {:<22} {}{}", brief(label), brief(endpoint.url), brief(endpoint.path))?;
            for AddressOut { url, path } in &endpoint.variants {
                write!(f, "\n    or {}{}", brief(url), brief(path))?;
            }
            if !endpoint.below.is_empty() {
                write!(f, "\n    there only what lies below {}", brief(endpoint.below))?;
            }
            for (role, verbs) in &endpoint.allow {
                write!(f, "\n    as {role}")?;
                verbs.iter().try_for_each(|verb| write!(f, "\n      {}", brief(verb)))?;
                let headers = endpoint.headers.get(role).filter(|headers| !headers.is_empty());
                headers.into_iter().flatten().try_for_each(|header| write!(f, "\n      header {}", brief(header)))?;
            }
        }
        Ok(())
    }

    fn write_settings(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\n\nsettings")?;
        for (name, setting) in &self.settings {
            write!(f, "\n  {:<22} {}", brief(name), brief(setting.help))?;
            match (setting.required, setting.default) {
                (true, _) => f.write_str(" (required)")?,
                (false, Some(default)) => write!(f, " (default {})", brief(default))?,
                (false, None) => {}
            }
        }
        f.write_str("\n\nsecrets, which stay outside of the connector")?;
        self.secrets
            .iter()
            .try_for_each(|(name, secret)| write!(f, "\n  {:<22} {}", brief(name), brief(secret.help)))?;
        if !self.presets.is_empty() {
            f.write_str("\n\npresets, chosen by the setting `preset`")?;
        }
        self.presets
            .iter()
            .try_for_each(|(name, settings)| write!(f, "\n  {:<22} {}", brief(name), brief(&preset_text(settings))))?;
        f.write_str("\n\nsettings of every connector: use_tls, tls_insecure_no_verify, ca_file, proxy")
    }
}

#[cfg(test)]
mod tests {
    use credenza_app::Origin;

    use super::*;

    const FORGED: &str = r#"
name = "forged"
version = "1"
summary = "harmless\n\nmay reach\n  nothing\u202e"
api = "0.1"
roles = ["source"]
[settings.profile]
type = "string"
default = ""
help = "x\n\nmay reach\n  bucket                 https://good.example.com"
[secrets.key]
env = ["AWS_ACCESS_KEY_ID\nPATH"]
[secrets.secret]
help = "\u001b[2J\r"
[endpoints."a\nb"]
url = "https://evil.example.com/\n"
auth = { scheme = "aws-sigv4", service = "s3", region = "r", key = "key", secret = "secret", profile = "profile" }
[endpoints."a\nb".allow]
source = ["GET /*"]
"#;

    fn shown(manifest: &str) -> String {
        let manifest = Manifest::parse(manifest).unwrap();
        let component = Component { origin: Origin::Embedded, manifest, bytes: Vec::new().into() };
        ConnectorDetails::new(&component).to_string()
    }

    #[test]
    fn no_text_of_a_manifest_can_pass_for_a_section_or_push_one_away() {
        let shown = shown(FORGED);
        let sections: Vec<&str> =
            shown.lines().filter(|line| !line.is_empty() && !line.starts_with(' ')).skip(2).collect();
        let expected = [
            "sends, but never sees",
            "may reach",
            "what it says of itself",
            "settings",
            "secrets, which stay outside of the connector",
            "settings of every connector: use_tls, tls_insecure_no_verify, ca_file, proxy",
        ];
        assert_eq!(sections, expected, "{shown}");
        assert!(!shown.contains(['\u{1b}', '\r', '\u{202e}']), "{shown}");
        let place = |text: &str| shown.find(text).unwrap();
        assert!(place("https://evil.example.com") < place("https://good.example.com"), "{shown}");
        let long = FORGED.replace("harmless", &"x".repeat(5000));
        assert!(super::tests::shown(&long).lines().all(|line| line.chars().count() < 700));
    }

    #[test]
    fn credentials_of_the_machine_and_variables_are_told_first() {
        let shown = shown(FORGED);
        let head = shown.split("may reach").next().unwrap();
        for part in [
            "aws-sigv4 with key, secret",
            "the AWS credentials of this machine",
            "from the environment: AWS_ACCESS_KEY_ID",
        ] {
            assert!(head.contains(part), "{part}: {shown}");
        }
    }
}
