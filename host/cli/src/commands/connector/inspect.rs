//! What a connector is, whether it will run, and what it asks for: what decides whether it is trusted comes first.
//!
//! All texts are the connector's own, so each is one line, cut, without what could pass for another line.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use credenza_app::{Component, ConnectorsError};
use credenza_format::{Hex, PublicKey};
use credenza_sandbox::{Ambient, Auth, Grant, Manifest, Role};
use serde::Serialize;

use super::ConnectorLine;
use super::install::topics;
use crate::report::brief;

#[derive(Serialize)]
pub(super) struct ConnectorDetails<'a> {
    #[serde(flatten)]
    line: ConnectorLine<'a>,
    licence: &'a str,
    api: &'a str,
    sha256: String,
    /// Why it will not run, where it will not.
    refused: Option<String>,
    /// Who signed it; nobody, or a signature that is not of it.
    publisher: Option<PublicKey>,
    /// The hash of what it asks for, to agree to with `connector install --grant`.
    grant: Hex<[u8; 32]>,
    #[serde(skip)]
    asked: Grant,
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
    /// Where `credenza login` begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    login_at: Option<&'a str>,
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
            login_at: auth.device_url(),
        }
    }
}

impl<'a> ConnectorDetails<'a> {
    pub(super) fn new(component: &'a Component) -> Result<Self, ConnectorsError> {
        let manifest = &component.manifest;
        let asked = component.grant()?;
        Ok(Self {
            line: ConnectorLine::new(component),
            licence: &manifest.licence,
            api: &manifest.api,
            sha256: component.sha256(),
            refused: component.will_run().err().map(|error| why(&error)),
            publisher: component.publisher(),
            grant: Hex(asked.hash()),
            asked,
            secrets: manifest
                .secrets
                .iter()
                .map(|(name, s)| (name.as_str(), SecretOut { help: &s.help, env: &s.env }))
                .collect(),
            endpoints: endpoints(manifest),
            settings: settings(manifest),
            presets: &manifest.presets,
        })
    }
}

/// The innermost cause, which names what is refused.
fn why(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), why)
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
        match &self.refused {
            None => f.write_str("\nwill run here")?,
            Some(why) => write!(f, "\nwill not run here: {}", brief(why))?,
        }
        match &self.publisher {
            Some(key) => write!(f, "\nsigned by {key}")?,
            None => f.write_str("\nsigned by nobody")?,
        }
        write!(f, "\n{}\ngrant {}", topics(self.asked.lines()), self.grant)?;
        write!(f, "\n\nwhat it says of itself\n  {}", brief(self.line.summary))?;
        self.write_settings(f)
    }
}

impl ConnectorDetails<'_> {
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
    use credenza_app::{Origin, Trust};

    use super::*;

    const GRANT: &str = "grant …";
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

    /// A component of nothing but its manifest.
    fn shown(text: &str) -> String {
        let manifest = Manifest::parse(text).unwrap();
        let section = [b"\x11credenza:manifest", text.as_bytes()].concat();
        let length = [section.len() as u8 | 0x80, (section.len() >> 7) as u8 | 0x80, (section.len() >> 14) as u8];
        let bytes = [b"\0asm\x0d\0\x01\0\0".as_slice(), &length, &section].concat();
        let component = Component { origin: Origin::Embedded, manifest, bytes: bytes.into(), trust: Trust::Embedded };
        ConnectorDetails::new(&component).unwrap().to_string()
    }

    #[test]
    fn no_text_of_a_manifest_can_pass_for_a_section_or_push_one_away() {
        let shown = shown(FORGED);
        let sections: Vec<&str> =
            shown.lines().filter(|line| !line.is_empty() && !line.starts_with(' ')).skip(4).collect();
        let expected = [
            "sends, but never sees",
            "takes from this machine, when you give none",
            "reaches",
            "asks there, and nothing else",
            "where it leads when you say nothing",
            "is used as",
            GRANT,
            "what it says of itself",
            "settings",
            "secrets, which stay outside of the connector",
            "settings of every connector: use_tls, tls_insecure_no_verify, ca_file, proxy",
        ];
        let masked = |line: &str| if line.starts_with("grant ") { GRANT } else { line }.to_owned();
        assert_eq!(sections.into_iter().map(masked).collect::<Vec<_>>(), expected, "{shown}");
        assert!(!shown.contains(['\u{1b}', '\r', '\u{202e}']), "{shown}");
        let place = |text: &str| shown.find(text).unwrap();
        assert!(place("https://evil.example.com") < place("https://good.example.com"), "{shown}");
        assert!(shown.contains("will not run here: connector forged 1 claims the role source"), "{shown}");
        let long = FORGED.replace("harmless", &"x".repeat(5000));
        assert!(super::tests::shown(&long).lines().all(|line| line.chars().count() < 700));
    }

    #[test]
    fn credentials_of_the_machine_and_variables_are_told_first() {
        let shown = shown(FORGED);
        let head = shown.split("\nreaches\n").next().unwrap();
        for part in [
            "aws-sigv4 with key key, profile profile",
            "the AWS credentials of this machine",
            "key from the variable AWS_ACCESS_KEY_ID",
        ] {
            assert!(head.contains(part), "{part}: {shown}");
        }
    }
}
