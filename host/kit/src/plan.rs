//! `kit.toml`: which stand-in takes the place of the service, and how the connector is pointed at it.
//!
//! ```toml
//! stand-in = "webdav"
//! location = "web://{address}/{folder}"
//!
//! [settings]
//! use_tls = "false"
//! ```

use std::collections::BTreeMap;

use credenza_sandbox::{RawSettings, SecretText};
use serde::Deserialize;

/// The server that a connector is tested against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StandInKind {
    /// Files and folders by WebDAV (RFC 4918), with partial puts.
    Webdav,
}

/// How a connector is tested.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Plan {
    /// The server.
    pub stand_in: StandInKind,
    /// A location; `{address}` is the server's host and port, `{folder}` one that is made for each case.
    pub location: String,
    /// Settings beside it, with the same words.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
    /// The longest key that the connector can hold.
    #[serde(default = "key_bytes_max")]
    pub key_bytes_max: usize,
    /// Verbs of the manifest, as it writes them, that the connector needs with a real service and that this server gives no cause for.
    #[serde(default)]
    pub not_provoked: Vec<String>,
    /// Whether the service wraps contents (in JSON, say), so that the connector must read what else it would hand on.
    #[serde(default)]
    pub reads_contents: bool,
}

const fn key_bytes_max() -> usize {
    1024
}

/// A text that is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PlanError(String);

impl Plan {
    /// Reads the text of a `kit.toml`.
    ///
    /// # Errors
    /// [`PlanError`] with line and column.
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        toml::from_str(text).map_err(|error| PlanError(error.to_string().trim_end().to_owned()))
    }

    /// The settings that point a connector at a folder of the server.
    pub(crate) fn settings(&self, address: &str, folder: &str) -> RawSettings {
        let fill = |text: &str| SecretText::new(text.replace("{address}", address).replace("{folder}", folder));
        let mut settings: RawSettings = self.settings.iter().map(|(name, text)| (name.clone(), fill(text))).collect();
        settings.insert("location".to_owned(), fill(&self.location));
        settings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_points_at_an_address_and_a_folder() {
        let plan =
            Plan::parse("stand-in = \"webdav\"\nlocation = \"x://{address}/{folder}\"\n[settings]\na = \"{folder}\"");
        let settings = plan.unwrap().settings("127.0.0.1:1", "f2");
        assert_eq!(settings["location"].expose(), "x://127.0.0.1:1/f2");
        assert_eq!(settings["a"].expose(), "f2");
    }

    #[test]
    fn what_is_no_plan_is_told_with_its_line() {
        for wrong in [
            "stand-in = \"gopher\"\nlocation = \"\"",
            "stand-in = \"webdav\"",
            "stand-in = \"webdav\"\nlocation = \"\"\nport = 1",
        ] {
            assert!(Plan::parse(wrong).unwrap_err().to_string().contains("line"), "{wrong}");
        }
    }
}
