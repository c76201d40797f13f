//! `config repository|source|destination …` and the short forms `repository …`, `source …`, `destination …`: places in the configuration.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::{self, Display};
use std::path::Path;

use clap::Subcommand;
use credenza_app::{
    Configuration, Connectors, HOST_SETTINGS, HostSetting, Kind, Known, Location, LocationError, Place, PlaceName,
    SecretText, Settings, home, is_path, is_secret, require_boolean, suggestion,
};
use credenza_sandbox::Manifest;
use serde::Serialize;

use super::Session;
use crate::failure::{Exit, Failure};
use crate::passphrase;
use crate::report::{CheckLine, printable};
use crate::settings::{SettingWord, parse_settings};

const HIDDEN: &str = "***";

/// What can be done with repositories in the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum RepositoryCommand {
    #[command(flatten)]
    Place(PlaceCommand),
    /// Use this repository when a command names none.
    Default {
        /// Its name.
        name: String,
    },
    /// Forget which repository was at a location, so that the next command takes what is there then.
    Forget {
        /// A folder, a location such as s3://host/bucket, or @name.
        location: OsString,
    },
}

/// What can be done with a place in the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum PlaceCommand {
    /// Make an empty entry, to be filled with `set`.
    Create {
        /// A name for it: letters, digits, `_`, `-` and `.`.
        name: String,
    },
    /// Make an entry with its location and settings.
    Add {
        /// A name for it: letters, digits, `_`, `-` and `.`.
        name: String,
        /// A folder or scheme://…
        location: OsString,
        /// Settings, as key=value.
        #[arg(value_name = "KEY=VALUE")]
        settings: Vec<SettingWord>,
    },
    /// Change settings.
    #[command(after_help = settings_help())]
    Set {
        /// The name of the entry.
        name: String,
        /// KEY VALUE, or key=value as often as you like, or KEY alone to be asked for a secret.
        #[arg(required = true, value_name = "SETTING")]
        settings: Vec<SettingWord>,
    },
    /// Remove settings.
    Unset {
        /// The name of the entry.
        name: String,
        /// Names of settings.
        #[arg(required = true, value_name = "KEY")]
        settings: Vec<String>,
    },
    /// Print the settings of an entry, without its secrets.
    Show {
        /// The name of the entry.
        name: String,
    },
    /// Remove an entry from the configuration; what is at the location stays.
    Remove {
        /// The name of the entry.
        name: String,
    },
    /// Print all entries.
    List,
    /// Reach the location and try what it is needed for, step by step.
    Check {
        /// The name of the entry.
        name: String,
    },
}

impl RepositoryCommand {
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        match self {
            Self::Place(command) => command.run(Kind::Repository, session).await,
            Self::Default { name } => {
                let name = PlaceName::new(Kind::Repository, &name)?;
                edit(session, |configuration| Ok(configuration.set_default_repository(&name)?))
            }
            Self::Forget { location } => forget(&location, session),
        }
    }
}

impl PlaceCommand {
    pub(crate) async fn run(self, kind: Kind, session: &Session<'_>) -> Result<Exit, Failure> {
        match self {
            Self::Create { name } => {
                let name = PlaceName::new(kind, &name)?;
                edit(session, |configuration| Ok(configuration.create(kind, &name)?))
            }
            Self::Add { name, location, settings } => add(kind, &name, &location, &settings, session),
            Self::Set { name, settings } => set(kind, &name, &settings, session),
            Self::Unset { name, settings } => {
                let name = PlaceName::new(kind, &name)?;
                edit(session, |configuration| {
                    settings.iter().try_for_each(|setting| Ok(configuration.unset(kind, &name, setting)?))
                })
            }
            Self::Show { name } => show(kind, &name, session),
            Self::Remove { name } => {
                let name = PlaceName::new(kind, &name)?;
                edit(session, |configuration| Ok(configuration.remove(kind, &name)?))
            }
            Self::List => list(kind, session),
            Self::Check { name } => check(kind, &name, session).await,
        }
    }
}

/// Reaches a place step by step and prints each; fails where one has.
async fn check(kind: Kind, name: &str, session: &Session<'_>) -> Result<Exit, Failure> {
    let name = PlaceName::new(kind, name)?;
    let place = Place::named(kind, &name, Settings::new(), &session.app.configuration()?)?;
    let mut steps = session.app.check_place(kind, &place);
    while let Some(check) = steps.next().await? {
        session.reporter.result(&CheckLine::from(&check))?;
    }
    let steps = match steps.failed() {
        0 => return Ok(Exit::Done),
        1 => "a step".to_owned(),
        failed => format!("{failed} steps"),
    };
    Err(Failure::new(format!("{steps} of the check of {} failed", place.text())))
}

fn forget(location: &OsString, session: &Session<'_>) -> Result<Exit, Failure> {
    let location = session.lone_place(Kind::Repository, location, Settings::new())?.text();
    if !Known::forget(session.app.configuration_folder()?, &location)? {
        session.reporter.note(format!("note: this machine knew of no repository in {location}"));
    }
    Ok(Exit::Done)
}

fn edit(
    session: &Session<'_>,
    change: impl FnOnce(&mut Configuration) -> Result<(), Failure>,
) -> Result<Exit, Failure> {
    Configuration::edit(session.app.configuration_folder()?, change)?;
    Ok(Exit::Done)
}

fn add(
    kind: Kind,
    name: &str,
    location: &OsString,
    settings: &[SettingWord],
    session: &Session<'_>,
) -> Result<Exit, Failure> {
    let name = PlaceName::new(kind, name)?;
    let settings = parse_settings(settings)?;
    let location = location.to_str().ok_or_else(|| LocationError::NotText(location.display().to_string()))?;
    edit(session, |configuration| {
        configuration.create(kind, &name)?;
        let location = [("location".to_owned(), SecretText::new(location))];
        store_settings(kind, &name, location.into_iter().chain(settings), configuration, session)
    })
}

fn set(kind: Kind, name: &str, words: &[SettingWord], session: &Session<'_>) -> Result<Exit, Failure> {
    let name = PlaceName::new(kind, name)?;
    let settings = settings_to_set(words)?;
    edit(session, |configuration| store_settings(kind, &name, settings.into_iter(), configuration, session))
}

/// `KEY VALUE`, `KEY` for which the value is asked, or any number of `KEY=VALUE`.
fn settings_to_set(words: &[SettingWord]) -> Result<Settings, Failure> {
    let texts: Vec<&str> = words.iter().map(SettingWord::text).collect::<Result<_, _>>()?;
    match texts.as_slice() {
        [key] if !key.contains('=') => {
            let value = passphrase::ask_secret(&format!("{key}: "))?;
            Ok([((*key).to_owned(), value)].into())
        }
        [key, value] if !key.contains('=') => Ok([((*key).to_owned(), SecretText::new(*value))].into()),
        _ => parse_settings(words),
    }
}

fn store_settings(
    kind: Kind,
    name: &PlaceName,
    settings: impl Iterator<Item = (String, SecretText)>,
    configuration: &mut Configuration,
    session: &Session<'_>,
) -> Result<(), Failure> {
    let connectors = session.app.connectors();
    for (setting, value) in settings {
        let present = configuration.settings(kind, name)?;
        let value = match setting.as_str() {
            "location" => SecretText::new(storable_location(value.expose(), connectors, &present)?),
            _ if is_path(&setting, value.expose()) => SecretText::new(absolute(value.expose().as_ref())?),
            _ => value,
        };
        require_boolean(&setting, value.expose())?;
        require_known(kind, &setting, &present, connectors, session)?;
        configuration.set(kind, name, &setting, value.expose())?;
    }
    Ok(())
}

/// A location as it is kept: a path is made absolute, and a remote one must be what its connector understands.
fn storable_location(text: &str, connectors: &Connectors, present: &Settings) -> Result<String, Failure> {
    match Location::parse(text.as_ref())? {
        Location::Folder(path) => absolute(&path),
        Location::Remote { scheme, text } => {
            if let Ok(component) = connectors.serving(&scheme, present) {
                let understood = component.manifest.settings_from_location(&text);
                understood.map_err(|error| Failure::usage(error.to_string()))?;
            }
            Ok(text)
        }
        Location::Named(name) => Err(Failure::usage(format!("`@{name}` is a name, not a location"))),
    }
}

/// A path as it is kept: it means the same wherever one stands.
fn absolute(path: &Path) -> Result<String, Failure> {
    let absolute = std::path::absolute(home::expand(path)?);
    let absolute = absolute
        .map_err(|error| Failure::usage(format!("`{}` is no path", path.display())).because(error.to_string()))?;
    let text = absolute.into_os_string().into_string();
    text.map_err(|path| LocationError::NotText(path.display().to_string()).into())
}

/// Refuses a setting that nothing would ever use. Where no connector is at hand that could tell, it is kept.
fn require_known(
    kind: Kind,
    setting: &str,
    present: &Settings,
    connectors: &Connectors,
    session: &Session<'_>,
) -> Result<(), Failure> {
    let of_host = || HOST_SETTINGS.iter().filter(|known| known.fits(kind));
    if of_host().any(|known| known.name == setting) {
        return Ok(());
    }
    let manifests = manifests_for(present, connectors)?;
    let of_connectors = || manifests.iter().flat_map(names_of);
    if of_connectors().any(|known| known == setting) {
        return Ok(());
    }
    if manifests.is_empty() && !is_folder(present) {
        session.reporter.note(format!(
            "note: there is no connector here to say whether `{setting}` is one of its settings; it is kept"
        ));
        return Ok(());
    }
    let names: Vec<&str> = of_host().map(|known| known.name).chain(of_connectors()).collect();
    let failure = Failure::usage(format!("there is no setting `{}`", setting.escape_debug()));
    Err(match suggestion(setting, names.iter().copied()) {
        Some(name) => failure.hint(format!("did you mean `{name}`?")),
        None => failure.hint(format!("known here: {}", names.join(", "))),
    })
}

/// The manifest that explains the settings of a place: that of its scheme's connector; without a location, of all at hand.
fn manifests_for(present: &Settings, connectors: &Connectors) -> Result<Vec<Manifest>, Failure> {
    let location = present.get("location").map(|text| Location::parse(text.expose().as_ref())).transpose()?;
    Ok(match location {
        Some(Location::Remote { scheme, .. }) => {
            connectors.serving(&scheme, present).map(|component| component.manifest).into_iter().collect()
        }
        Some(_) => Vec::new(),
        None => connectors.all()?.into_iter().flatten().map(|component| component.manifest).collect(),
    })
}

fn is_folder(present: &Settings) -> bool {
    present
        .get("location")
        .is_some_and(|text| matches!(Location::parse(text.expose().as_ref()), Ok(Location::Folder(_))))
}

fn names_of(manifest: &Manifest) -> impl Iterator<Item = &str> {
    manifest.settings.keys().chain(manifest.secrets.keys()).map(String::as_str)
}

/// The settings that need no connector, for `set --help`.
fn settings_help() -> String {
    let line = |known: &HostSetting| {
        let only = if known.repository_only { " (repositories only)" } else { "" };
        format!("\n  {:<24}{}{only}", known.name, known.help)
    };
    let lines: String = HOST_SETTINGS.iter().map(line).collect();
    format!("Settings of every location:{lines}\nThose of a connector: credenza connector inspect NAME")
}

/// A place in a list, or by itself.
#[derive(Serialize)]
struct PlaceLine<'a> {
    #[serde(rename = "type")]
    kind: Kind,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    default: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    settings: Option<BTreeMap<String, String>>,
}

impl Display for PlaceLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(settings) = &self.settings else {
            let mark = if self.default == Some(true) { " (default)" } else { "" };
            return write!(
                f,
                "{:<20} {}{mark}",
                self.name,
                printable(self.location.as_deref().unwrap_or("no location yet"))
            );
        };
        write!(f, "{} {}", self.kind, self.name)?;
        settings.iter().try_for_each(|(name, value)| write!(f, "\n  {} = {}", printable(name), printable(value)))
    }
}

fn list(kind: Kind, session: &Session<'_>) -> Result<Exit, Failure> {
    let configuration = session.app.configuration()?;
    let default = configuration.default_repository()?.filter(|_| kind == Kind::Repository);
    for name in configuration.names(kind)? {
        let settings = configuration.settings(kind, &PlaceName::new(kind, &name)?)?;
        let is_default = (kind == Kind::Repository).then_some(default.as_deref() == Some(name.as_str()));
        let location = settings.get("location").map(|location| location.expose().to_owned());
        session.reporter.result(&PlaceLine { kind, name: &name, location, default: is_default, settings: None })?;
    }
    Ok(Exit::Done)
}

fn show(kind: Kind, name: &str, session: &Session<'_>) -> Result<Exit, Failure> {
    let name = PlaceName::new(kind, name)?;
    let settings = session.app.configuration()?.settings(kind, &name)?;
    let manifests = manifests_for(&settings, session.app.connectors()).unwrap_or_default();
    let open = |setting: &str| manifests.iter().any(|manifest| manifest.settings.contains_key(setting));
    let secret = |setting: &str| manifests.iter().any(|manifest| manifest.secrets.contains_key(setting));
    let hidden = |setting: &str| secret(setting) || (is_secret(setting) && !open(setting));
    let shown = settings.iter().map(|(setting, value)| {
        let value = if hidden(setting) { HIDDEN } else { value.expose() };
        (setting.clone(), value.to_owned())
    });
    let settings = shown.collect();
    let line = PlaceLine { kind, name: name.as_str(), location: None, default: None, settings: Some(settings) };
    session.reporter.result(&line)?;
    Ok(Exit::Done)
}
