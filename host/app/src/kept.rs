//! Settings as the configuration keeps them.
//!
//! Owned here: that a path means the same wherever one stands, that a location is one, that a setting is one that something uses, and which
//! values are never shown. Refused here: the file (`configuration`), asking for values, and printing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use credenza_sandbox::{Manifest, SecretText, SettingsError};

use crate::app::App;
use crate::configuration::{Configuration, HOST_SETTINGS, HostSetting, Kind, PlaceName, Settings, is_path, is_secret};
use crate::error::Result;
use crate::home;
use crate::location::{Location, LocationError};
use crate::mistaken;
use crate::notice::Notice;
use crate::place::require_boolean;

/// A setting that is not kept.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// Nothing would ever use it.
    #[error("there is no setting `{}`", setting.escape_debug())]
    Unknown {
        /// The setting.
        setting: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// A name where a location is wanted.
    #[error("`@{name}` is a name, not a location")]
    Name {
        /// Without its `@`.
        name: String,
    },
    /// A location that its connector does not understand.
    #[error(transparent)]
    Location(#[from] SettingsError),
    /// A setting that must be given and is not.
    #[error("`{setting}` is needed")]
    Missing {
        /// The setting.
        setting: String,
    },
    /// A place whose component was chosen by whoever has a shell.
    #[error("the setting `connector` names the component that reaches it, which no form knows")]
    Chosen,
    /// Secrets that would go along with settings that whoever gave them has not seen.
    #[error("a secret goes with the settings that it was given for, and must be given again with others: {}", secrets.join(", "))]
    Again {
        /// The settings.
        secrets: Vec<String>,
    },
    /// The same of a secret that is in a file, or comes from a command.
    #[error("the setting `{setting}` says where a secret is, which would go along with what was changed")]
    Elsewhere {
        /// The setting.
        setting: String,
    },
    /// Values that are no parts of a location.
    #[error("no location can be made of {}: one of them is read as another", parts.join(", "))]
    Parts {
        /// The settings.
        parts: Vec<String>,
    },
    /// A path that cannot be made absolute.
    #[error("`{}` is no path", path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl App {
    /// Puts settings of a place into the configuration, its `location` among them; each is judged by those before it.
    ///
    /// # Errors
    /// [`KeepError`]; and when a location is none, or the place is not in the configuration.
    pub fn keep_settings(
        &self,
        configuration: &mut Configuration,
        (kind, name): (Kind, &PlaceName),
        settings: impl IntoIterator<Item = (String, SecretText)>,
    ) -> Result<()> {
        for (setting, value) in settings {
            let present = configuration.settings(kind, name)?;
            let value = match setting.as_str() {
                "location" => SecretText::new(self.location_to_keep(kind, value.expose(), &present)?),
                _ if is_path(&setting, value.expose()) => SecretText::new(absolute(value.expose().as_ref())?),
                _ => value,
            };
            require_boolean(&setting, value.expose())?;
            self.require_known(kind, &setting, &present)?;
            configuration.set(kind, name, &setting, value.expose())?;
        }
        Ok(())
    }

    /// The names of the settings of a place whose values are never shown: what its connector says is secret, and what is called so where it says
    /// nothing of it.
    #[must_use]
    pub fn hidden_settings(&self, settings: &Settings) -> BTreeSet<String> {
        let manifests = self.manifests_for(settings).unwrap_or_default();
        let open = |setting: &str| manifests.iter().any(|manifest| manifest.settings.contains_key(setting));
        let secret = |setting: &str| {
            let is_sensitive = |manifest: &Manifest| manifest.settings.get(setting).is_some_and(|spec| spec.sensitive);
            manifests.iter().any(|manifest| manifest.secrets.contains_key(setting) || is_sensitive(manifest))
        };
        let is_hidden = |setting: &&String| secret(setting) || (is_secret(setting) && !open(setting));
        settings.keys().filter(is_hidden).cloned().collect()
    }

    /// A location as it is kept: a path is made absolute, and a remote one must be what its connector understands.
    fn location_to_keep(&self, kind: Kind, text: &str, present: &Settings) -> Result<String> {
        // Names do not count here: the place that is called as its folder is to be may be this one.
        mistaken::require_folder(kind, text.as_ref(), &Configuration::default(), self.connectors())?;
        match Location::parse(text.as_ref())? {
            Location::Folder(path) => absolute(&path),
            Location::Remote { scheme, text } => {
                if let Ok(component) = self.connectors().serving(&scheme, present) {
                    component.manifest.settings_from_location(&text).map_err(KeepError::from)?;
                }
                Ok(text)
            }
            Location::Named(name) => Err(KeepError::Name { name }.into()),
        }
    }

    /// Refuses a setting that nothing would ever use. Where no connector is at hand that could tell, it is kept.
    fn require_known(&self, kind: Kind, setting: &str, present: &Settings) -> Result<()> {
        let of_host = || HOST_SETTINGS.iter().filter(|known: &&HostSetting| known.fits(kind)).map(|known| known.name);
        if of_host().any(|known| known == setting) {
            return Ok(());
        }
        let manifests = self.manifests_for(present)?;
        let of_connectors = || manifests.iter().flat_map(names_of);
        let is_secret_source = manifests.iter().any(|manifest| manifest.is_secret_source(setting));
        if is_secret_source || of_connectors().any(|known| known == setting) {
            return Ok(());
        }
        if manifests.is_empty() && !is_folder(present) {
            self.notice(Notice::UnjudgedSetting { setting: setting.to_owned() });
            return Ok(());
        }
        let known = of_host().chain(of_connectors()).map(str::to_owned).collect();
        Err(KeepError::Unknown { setting: setting.to_owned(), known }.into())
    }

    /// The manifest that explains the settings of a place: that of its scheme's connector; without a location, of all at hand.
    fn manifests_for(&self, present: &Settings) -> Result<Vec<Manifest>> {
        let location = present.get("location").map(|text| Location::parse(text.expose().as_ref())).transpose()?;
        Ok(match location {
            Some(Location::Remote { scheme, .. }) => {
                self.connectors().serving(&scheme, present).map(|component| component.manifest).into_iter().collect()
            }
            Some(_) => Vec::new(),
            None => self.connectors().all()?.into_iter().flatten().map(|component| component.manifest).collect(),
        })
    }
}

/// A path as it is kept: it means the same wherever one stands.
fn absolute(path: &Path) -> Result<String> {
    let absolute = std::path::absolute(home::expand(path)?);
    let absolute = absolute.map_err(|source| KeepError::Path { path: path.to_owned(), source })?;
    let text = absolute.into_os_string().into_string();
    Ok(text.map_err(|path| LocationError::NotText(path.display().to_string()))?)
}

fn is_folder(present: &Settings) -> bool {
    present
        .get("location")
        .is_some_and(|text| matches!(Location::parse(text.expose().as_ref()), Ok(Location::Folder(_))))
}

fn names_of(manifest: &Manifest) -> impl Iterator<Item = &str> {
    manifest.settings.keys().chain(manifest.secrets.keys()).map(String::as_str)
}
