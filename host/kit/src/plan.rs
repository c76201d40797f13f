//! `kit.toml`: which stand-in takes the place of the service, and how the connector is pointed at it.
//!
//! ```toml
//! stand-in = "webdav"
//! location = "web://{address}/{folder}"
//!
//! [settings]
//! use_tls = "false"
//! ```
//!
//! `stand-in` is `webdav`, `s3` (one bucket, `kit`), `azure-blob` (one container, `kit`), `gcs` (one bucket, `kit`) or `http`.

use std::collections::BTreeMap;

use credenza_sandbox::{RawSettings, SecretText};
use serde::Deserialize;

use crate::stand_in::StandInKind;

/// What keys can be at a service.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Names {
    pub(crate) key_bytes_max: usize,
    /// Not only UTF-8.
    pub(crate) any_bytes: bool,
}

/// How a connector is tested.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Plan {
    /// The server.
    pub stand_in: StandInKind,
    /// A location; `{address}` is the server's host and port, `{folder}` one that is made for each case.
    pub location: String,
    /// Settings beside it, with the same words, and made-up secrets by their names: no stand-in verifies them.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
    /// The longest key that the connector can hold.
    #[serde(default = "key_bytes_max")]
    pub key_bytes_max: usize,
    /// Whether keys may be any bytes, not only UTF-8.
    #[serde(default = "any_bytes")]
    pub any_bytes: bool,
    /// Verbs of the manifest, as it writes them, that the connector needs with a real service and that this server gives no cause for.
    #[serde(default)]
    pub not_provoked: Vec<String>,
    /// Claims of the connector that hold with the real service, and that the stand-in has nothing of.
    #[serde(default)]
    pub lacking: Vec<String>,
    /// Whether the service wraps contents (in JSON, say) or takes them whole only, so that the connector must read what else it would hand on.
    #[serde(default)]
    pub reads_contents: bool,
}

const fn any_bytes() -> bool {
    true
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

    /// What keys can be there.
    pub(crate) const fn names(&self) -> Names {
        Names { key_bytes_max: self.key_bytes_max, any_bytes: self.any_bytes }
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
