//! `config repository|source|destination …` and the short forms `repository …`, `source …`, `destination …`: places in the configuration.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::{self, Display};

use clap::Subcommand;
use credenza_app::{
    Configuration, HOST_SETTINGS, HostSetting, Kind, Known, LocationError, Place, PlaceName, SecretText, Settings,
};
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
    let place = session.lone_place(Kind::Repository, location, Settings::new())?;
    if !Known::forget(session.app.configuration_folder()?, &place.spellings())? {
        session.reporter.note(format!("note: this machine knew of no repository in {}", place.text()));
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
        Ok(session.app.keep_settings(configuration, (kind, &name), location.into_iter().chain(settings))?)
    })
}

fn set(kind: Kind, name: &str, words: &[SettingWord], session: &Session<'_>) -> Result<Exit, Failure> {
    let name = PlaceName::new(kind, name)?;
    let settings = settings_to_set(words)?;
    edit(session, |configuration| Ok(session.app.keep_settings(configuration, (kind, &name), settings)?))
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
    let hidden = session.app.hidden_settings(&settings);
    let shown = settings.iter().map(|(setting, value)| {
        let value = if hidden.contains(setting) { HIDDEN } else { value.expose() };
        (setting.clone(), value.to_owned())
    });
    let settings = shown.collect();
    let line = PlaceLine { kind, name: name.as_str(), location: None, default: None, settings: Some(settings) };
    session.reporter.result(&line)?;
    Ok(Exit::Done)
}
