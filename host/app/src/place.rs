//! A place that a program works with: a location with the settings that belong to it.
//!
//! Owned here: what `@name` stands for, and that a path in the configuration does not depend on where one stands. Refused here: reaching the
//! place (`open`), and which settings were given beside it (the program).

use std::ffi::OsStr;
use std::fmt::{self, Display};
use std::path::PathBuf;

use credenza_sandbox::{BOOLEANS, SecretText, parse_boolean};
use serde::Serialize;

use crate::configuration::{
    Configuration, ConfigurationError, Kind, PlaceName, Settings, is_boolean, is_command, is_path,
};
use crate::home::{self, HomeError};
use crate::location::{Location, LocationError};

/// A place that cannot be meant.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// No word, no variable and no default names a repository.
    #[error("no repository is named")]
    NoRepositoryNamed,
    /// The configuration.
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    /// A text that is no location.
    #[error(transparent)]
    Location(#[from] LocationError),
    /// A `~` that stands for nothing.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// An entry of the configuration that nobody has given a location yet.
    #[error("the {kind} `{name}` has no location yet")]
    NoLocation {
        /// What it is.
        kind: Kind,
        /// What it is called.
        name: String,
    },
    /// An entry of the configuration whose location is the name of another.
    #[error("the location of the {kind} `{name}` is the name `@{other}`")]
    LocationIsName {
        /// What it is.
        kind: Kind,
        /// What it is called.
        name: String,
        /// The other's name.
        other: String,
    },
    /// A path in the configuration that depends on where one stands: somebody has edited the file.
    #[error("the `{setting}` of the {kind} `{name}` in {} is the path `{}`, which means another place wherever one stands", file.display(), value.escape_debug())]
    RelativePath {
        /// What it is.
        kind: Kind,
        /// What it is called.
        name: String,
        /// Which setting.
        setting: String,
        /// The path.
        value: String,
        /// The file of the configuration.
        file: PathBuf,
    },
    /// The configuration names a command to run, and others than its owner can change it.
    #[error("the configuration names a command to run, `{setting}`, and others can change {}", open.display())]
    ForeignCommand {
        /// Which setting.
        setting: String,
        /// The file or folder that others can change.
        open: PathBuf,
    },
    /// A setting that is true or false is something else.
    #[error("the setting `{setting}` is `{}`: it must be {BOOLEANS}", value.escape_debug())]
    NotBoolean {
        /// Which setting.
        setting: String,
        /// What it is.
        value: String,
    },
    /// A name was not looked up.
    #[error("{location} is no location")]
    Unresolved {
        /// What stands for one.
        location: String,
    },
}

/// What a place is called: enough to name it to a person or in a command, without its settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlaceLabel {
    /// Its name in the configuration, if it is from there.
    pub name: Option<String>,
    /// Its location; a path is whole.
    pub location: String,
}

impl Display for PlaceLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.location)
    }
}

/// A location, never a name, and its settings, which may be secret: only their names are shown when it is formatted for a developer.
#[derive(Clone)]
pub struct Place {
    /// What it is called in the configuration, if it is from there.
    name: Option<String>,
    /// Where it is.
    pub location: Location,
    /// Settings by name, without `location`.
    pub settings: Settings,
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings: Vec<&String> = self.settings.keys().collect();
        f.debug_struct("Place").field("label", &self.label()).field("settings", &settings).finish()
    }
}

impl Place {
    /// The place that a word stands for, with the settings given beside it.
    ///
    /// # Errors
    /// When the word is no location, or what the configuration says of it cannot be used.
    pub(crate) fn resolve(
        kind: Kind,
        word: &OsStr,
        settings: Settings,
        configuration: &Configuration,
    ) -> Result<Self, PlaceError> {
        match Location::parse(word)? {
            Location::Named(name) => Self::named(kind, &PlaceName::new(kind, &name)?, settings, configuration),
            location => Self { name: None, location, settings }.checked(),
        }
    }

    /// A place of the configuration; settings given beside it go before those kept there.
    ///
    /// # Errors
    /// When there is none of that name, or what is kept there cannot be used.
    pub fn named(
        kind: Kind,
        name: &PlaceName,
        settings: Settings,
        configuration: &Configuration,
    ) -> Result<Self, PlaceError> {
        let mut all = configuration.settings(kind, name)?;
        require_own_commands(&all, configuration)?;
        for (setting, value) in &mut all {
            expand(setting, value)?;
            if is_path(setting, value.expose()) && !value.expose().starts_with('/') {
                return Err(relative(kind, name, setting, value.expose(), configuration));
            }
        }
        all.extend(settings);
        let without_location = || PlaceError::NoLocation { kind, name: name.to_string() };
        let location = Location::parse(all.remove("location").ok_or_else(without_location)?.expose().as_ref())?;
        match location {
            Location::Named(other) => Err(PlaceError::LocationIsName { kind, name: name.to_string(), other }),
            Location::Folder(path) if path.is_relative() => {
                Err(relative(kind, name, "location", &path.to_string_lossy(), configuration))
            }
            location => Self { name: Some(name.to_string()), location, settings: all }.checked(),
        }
    }

    fn checked(self) -> Result<Self, PlaceError> {
        self.settings.iter().try_for_each(|(setting, value)| require_boolean(setting, value.expose()))?;
        Ok(self)
    }

    /// The location for messages and records.
    #[must_use]
    pub fn text(&self) -> String {
        self.location.text()
    }

    /// The texts by which it is known ([`Location::spellings`]).
    #[must_use]
    pub fn spellings(&self) -> Vec<String> {
        self.location.spellings()
    }

    /// What it is called in the configuration, if it is from there.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// What it is called.
    #[must_use]
    pub fn label(&self) -> PlaceLabel {
        PlaceLabel { name: self.name.clone(), location: self.text() }
    }

    /// Whether the location takes no settings but those that open a repository.
    #[must_use]
    pub fn is_folder(&self) -> bool {
        matches!(self.location, Location::Folder(_))
    }
}

/// Puts the home folder in the place of a `~` before the value of a setting, where that is a path.
///
/// # Errors
/// When the `~` stands for nothing known.
pub fn expand(setting: &str, value: &mut SecretText) -> Result<(), LocationError> {
    if is_path(setting, value.expose()) {
        let path = home::expand(value.expose().as_ref())?.into_os_string();
        let text = path.into_string().map_err(|path| LocationError::NotText(path.display().to_string()))?;
        *value = SecretText::new(text);
    }
    Ok(())
}

/// Refuses what is neither true nor false for a setting of the host that is one or the other. Those of connectors are in their manifests.
///
/// # Errors
/// [`PlaceError::NotBoolean`].
pub fn require_boolean(setting: &str, value: &str) -> Result<(), PlaceError> {
    match !is_boolean(setting) || parse_boolean(value).is_some() {
        true => Ok(()),
        false => Err(PlaceError::NotBoolean { setting: setting.to_owned(), value: value.to_owned() }),
    }
}

fn relative(kind: Kind, name: &PlaceName, setting: &str, value: &str, configuration: &Configuration) -> PlaceError {
    PlaceError::RelativePath {
        kind,
        name: name.to_string(),
        setting: setting.to_owned(),
        value: value.to_owned(),
        file: configuration.path().to_owned(),
    }
}

/// Refuses to run what others may have written into the configuration.
fn require_own_commands(settings: &Settings, configuration: &Configuration) -> Result<(), PlaceError> {
    let Some(setting) = settings.keys().find(|setting| is_command(setting)) else { return Ok(()) };
    match configuration.writable_by_others() {
        None => Ok(()),
        Some(open) => Err(PlaceError::ForeignCommand { setting: setting.clone(), open }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured(text: &str) -> Result<Place, PlaceError> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.toml"), format!("[repository.a]\n{text}\n")).unwrap();
        let configuration = Configuration::read(folder.path()).unwrap();
        Place::resolve(Kind::Repository, OsStr::new("@a"), Settings::new(), &configuration)
    }

    #[test]
    fn settings_are_named_and_not_shown_to_a_developer() {
        // Nobody here knows what a connector's settings are.
        let place = configured("location = '/b'\npassphrase = 'hunter2'\nof_connector = ['hunter2', 'x']").unwrap();
        for shown in [format!("{place:?}"), format!("{:?}", place.settings)] {
            assert!(shown.contains("passphrase") && shown.contains("of_connector"), "{shown}");
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn a_path_in_the_configuration_means_one_place_wherever_one_stands() {
        let home = home::folder().unwrap();
        let place = configured("location = '~/b'\nkey_file = '~/k'").unwrap();
        assert_eq!(place.location, Location::Folder(home.join("b")));
        assert_eq!(place.settings["key_file"].expose(), home.join("k").to_str().unwrap());
        for relative in ["location = 'b'", "location = '/b'\nkey_file = 'k'", "location = '~bob/b'"] {
            let refused = configured(relative).unwrap_err();
            assert!(matches!(refused, PlaceError::RelativePath { .. } | PlaceError::Location(_)), "{relative}");
        }
    }
}
