//! `connector`: the components at hand, and what one asks for. None of their code runs here.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use clap::Subcommand;
use credenza_sandbox::{Digests, Manifest};
use serde::Serialize;

use super::Session;
use crate::connectors::Component;
use crate::failure::{Exit, Failure};
use crate::report::printable;

/// What can be done with connectors.
#[derive(Debug, Subcommand)]
pub(crate) enum ConnectorCommand {
    /// Print the connectors at hand.
    List,
    /// Print what a connector is, which settings it has and what it may reach.
    Inspect {
        /// Its name, or the path of a component.
        #[arg(value_name = "NAME|PATH")]
        name_or_path: String,
    },
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "connector")]
struct ConnectorLine<'a> {
    name: &'a str,
    version: &'a str,
    summary: &'a str,
    roles: Vec<&'static str>,
    schemes: &'a [String],
    origin: String,
}

impl<'a> ConnectorLine<'a> {
    fn new(component: &'a Component) -> Self {
        let manifest = &component.manifest;
        Self {
            name: &manifest.name,
            version: &manifest.version,
            summary: &manifest.summary,
            roles: manifest.roles.iter().map(|role| role.name()).collect(),
            schemes: &manifest.schemes,
            origin: component.origin.to_string(),
        }
    }
}

impl Display for ConnectorLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let schemes: Vec<String> = self.schemes.iter().map(|scheme| format!("{scheme}://")).collect();
        write!(
            f,
            "{} {}  {}  ({})",
            printable(self.name),
            printable(self.version),
            printable(&schemes.join(" ")),
            self.roles.join(", ")
        )?;
        write!(f, "  {}", printable(&self.origin))
    }
}

#[derive(Serialize)]
struct ConnectorDetails<'a> {
    #[serde(flatten)]
    line: ConnectorLine<'a>,
    licence: &'a str,
    api: &'a str,
    sha256: String,
    settings: BTreeMap<&'a str, SettingOut<'a>>,
    secrets: BTreeMap<&'a str, SecretOut<'a>>,
    endpoints: BTreeMap<&'a str, EndpointOut<'a>>,
    presets: &'a BTreeMap<String, BTreeMap<String, String>>,
}

#[derive(Serialize)]
struct SettingOut<'a> {
    help: &'a str,
    required: bool,
    default: Option<&'a str>,
    values: &'a [String],
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
    /// Other addresses, which some settings lead to.
    variants: Vec<AddressOut<'a>>,
    allow: BTreeMap<&'static str, Vec<String>>,
}

#[derive(Serialize)]
struct AddressOut<'a> {
    url: &'a str,
    path: &'a str,
}

impl<'a> ConnectorDetails<'a> {
    fn new(component: &'a Component) -> Self {
        let manifest = &component.manifest;
        let sha256 = Digests::of(&component.bytes).sha256;
        Self {
            line: ConnectorLine::new(component),
            licence: &manifest.licence,
            api: &manifest.api,
            sha256: sha256.iter().map(|byte| format!("{byte:02x}")).collect(),
            settings: settings(manifest),
            secrets: manifest
                .secrets
                .iter()
                .map(|(name, s)| (name.as_str(), SecretOut { help: &s.help, env: &s.env }))
                .collect(),
            endpoints: endpoints(manifest),
            presets: &manifest.presets,
        }
    }
}

fn settings(manifest: &Manifest) -> BTreeMap<&str, SettingOut<'_>> {
    let out = manifest.settings.iter().map(|(name, spec)| {
        let default = spec.default.as_deref();
        (name.as_str(), SettingOut { help: &spec.help, required: spec.required, default, values: &spec.values })
    });
    out.collect()
}

fn endpoints(manifest: &Manifest) -> BTreeMap<&str, EndpointOut<'_>> {
    let out = manifest.endpoints.iter().map(|(label, endpoint)| {
        let verbs = endpoint.allow.iter();
        let allow = verbs.map(|(role, verbs)| (role.name(), verbs.iter().map(ToString::to_string).collect())).collect();
        let variants =
            endpoint.variants.iter().map(|other| AddressOut { url: &other.url, path: &other.path }).collect();
        (label.as_str(), EndpointOut { url: &endpoint.url, path: &endpoint.path, variants, allow })
    });
    out.collect()
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
        write!(f, "{}\n{}\nsha256 {}", self.line, printable(self.line.summary), self.sha256)?;
        f.write_str("\n\nsettings")?;
        for (name, setting) in &self.settings {
            write!(f, "\n  {:<22} {}", printable(name), printable(setting.help))?;
            match (setting.required, setting.default) {
                (true, _) => f.write_str(" (required)")?,
                (false, Some(default)) => write!(f, " (default {})", printable(default))?,
                (false, None) => {}
            }
        }
        f.write_str("\n\nsecrets, which stay outside of the connector")?;
        for (name, secret) in &self.secrets {
            write!(f, "\n  {:<22} {}", printable(name), printable(secret.help))?;
            if !secret.env.is_empty() {
                write!(f, " (or {})", printable(&secret.env.join(", ")))?;
            }
        }
        if !self.presets.is_empty() {
            f.write_str("\n\npresets, chosen by the setting `preset`")?;
        }
        for (name, settings) in self.presets {
            write!(f, "\n  {:<22} {}", printable(name), printable(&preset_text(settings)))?;
        }
        f.write_str("\n\nmay reach")?;
        for (label, endpoint) in &self.endpoints {
            write!(f, "\n  {:<22} {}{}", printable(label), printable(endpoint.url), printable(endpoint.path))?;
            for AddressOut { url, path } in &endpoint.variants {
                write!(f, "\n    or {}{}", printable(url), printable(path))?;
            }
            for (role, verbs) in &endpoint.allow {
                write!(f, "\n    as {role}: {}", printable(&verbs.join(", ")))?;
            }
        }
        Ok(())
    }
}

impl ConnectorCommand {
    pub(crate) fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        match self {
            Self::List => {
                for component in session.connectors().all()? {
                    session.reporter.result(&ConnectorLine::new(&component))?;
                }
            }
            Self::Inspect { name_or_path } => {
                let component = session.connectors().named(&name_or_path)?;
                session.reporter.result(&ConnectorDetails::new(&component))?;
            }
        }
        Ok(Exit::Done)
    }
}
