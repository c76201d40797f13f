//! A place that a command works with: a location with the settings that belong to it.
//!
//! Owned here: which repository is meant when none is named, what `@name` stands for, to which location each `-o` goes, and that a path
//! in the configuration does not depend on where one stands.
//! Refused here: reaching the place (`open`). Called by `commands`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;

use crate::configuration::{Configuration, Kind, PlaceName, Settings, is_for_repositories, is_path};
use crate::environment;
use crate::failure::Failure;
use crate::home;
use crate::location::{Location, LocationError, shell_word};

/// The setting that is a command.
const COMMAND: &str = "passphrase_cmd";

/// A location, never a name, and its settings.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// What it is called in the configuration, if it is from there.
    name: Option<String>,
    pub(crate) location: Location,
    /// Settings by name, without `location`.
    pub(crate) settings: Settings,
}

impl Place {
    /// A place as written on the command line, with the settings written beside it.
    pub(crate) fn resolve(
        kind: Kind,
        word: &OsStr,
        settings: Settings,
        configuration: &Configuration,
    ) -> Result<Self, Failure> {
        match Location::parse(word)? {
            Location::Named(name) => Self::named(kind, &PlaceName::new(kind, &name)?, settings, configuration),
            location => Ok(Self { name: None, location, settings }),
        }
    }

    /// A place of the configuration; settings given beside it go before those kept there.
    pub(crate) fn named(
        kind: Kind,
        name: &PlaceName,
        settings: Settings,
        configuration: &Configuration,
    ) -> Result<Self, Failure> {
        let mut all = configuration.settings(kind, name)?;
        require_own_commands(&all, configuration)?;
        for (setting, value) in &mut all {
            expand(setting, value)?;
            if is_path(setting, value) && !value.starts_with('/') {
                return Err(relative(kind, name, setting, value, configuration));
            }
        }
        all.extend(settings);
        let without_location = || {
            Failure::new(format!("the {kind} `{name}` has no location yet"))
                .hint(format!("credenza config {kind} set {name} location LOCATION"))
        };
        let location = Location::parse(all.remove("location").ok_or_else(without_location)?.as_ref())?;
        match location {
            Location::Named(other) => {
                Err(Failure::new(format!("the location of the {kind} `{name}` is the name `@{other}`"))
                    .hint("a configured location must be a folder or scheme://…"))
            }
            Location::Folder(path) if path.is_relative() => {
                Err(relative(kind, name, "location", &path.to_string_lossy(), configuration))
            }
            location => Ok(Self { name: Some(name.to_string()), location, settings: all }),
        }
    }

    /// The location for messages and records.
    pub(crate) fn text(&self) -> String {
        self.location.text()
    }

    /// What it is called in the configuration, if it is from there.
    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The place in a command that a person copies into a shell: by its name, with which its settings come.
    pub(crate) fn word(&self) -> String {
        shell_word(&self.name.as_ref().map_or_else(|| self.text(), |name| format!("@{name}")))
    }

    /// Whether the location takes settings: a folder has none but those that open a repository.
    fn is_folder(&self) -> bool {
        matches!(self.location, Location::Folder(_))
    }
}

/// Puts the home folder in the place of a `~` before a path.
fn expand(setting: &str, value: &mut String) -> Result<(), Failure> {
    if is_path(setting, value) {
        let path = home::expand(value.as_ref())?.into_os_string();
        *value = path.into_string().map_err(|path| LocationError::NotText(path.display().to_string()))?;
    }
    Ok(())
}

/// Somebody has edited the file: `set` keeps whole paths.
fn relative(kind: Kind, name: &PlaceName, setting: &str, value: &str, configuration: &Configuration) -> Failure {
    let value = value.escape_debug();
    let file = configuration.path().display();
    Failure::usage(format!("the `{setting}` of the {kind} `{name}` in {file} is the path `{value}`, which means another place wherever one stands"))
        .hint(format!("write the whole path, or begin it with ~/; this does it from the folder that is meant: credenza config {kind} set {name} {setting} {value}"))
}

/// Refuses to run what others may have written into the configuration.
fn require_own_commands(settings: &Settings, configuration: &Configuration) -> Result<(), Failure> {
    let Some(open) = configuration.writable_by_others().filter(|_| settings.contains_key(COMMAND)) else {
        return Ok(());
    };
    let what =
        format!("the configuration names a command to run, `{COMMAND}`, and others can change {}", open.display());
    Err(Failure::new(what).because("whoever can do that could run commands as you").hint(format!(
        "look at what it says, then close it: chmod go-w {open}; where it belongs to somebody else: chown $(id -u) {open}",
        open = open.display()
    )))
}

/// The word that names the repository: `at`, else the environment, else the configured default.
pub(crate) fn repository_word(at: Option<&OsStr>, configuration: &Configuration) -> Result<OsString, Failure> {
    if let Some(word) = at {
        return Ok(word.to_owned());
    }
    if let Some(word) = environment::variable(environment::REPOSITORY) {
        return Ok(word);
    }
    let default = configuration.default_repository()?;
    default.map(|name| format!("@{name}").into()).ok_or_else(|| {
        Failure::usage("no repository is named").hint(
            "write `credenza at REPOSITORY …`, set CREDENZA_REPOSITORY, or choose a default: credenza repository default NAME",
        )
    })
}

/// Gives each `-o` to the location it was written beside: before the command to the repository, behind it to the location
/// that the command names. A folder takes no settings but those that only a repository has, so those that one
/// cannot take go to the other location, if that takes any.
pub(crate) fn deal_settings(
    before: Settings,
    behind: Settings,
    repository: &mut Place,
    other: Option<(Kind, &mut Place)>,
) {
    let Some((kind, other)) = other else {
        repository.settings.extend(before);
        repository.settings.extend(behind);
        return;
    };
    let (own, foreign): (Settings, Settings) = before
        .into_iter()
        .partition(|(name, _)| !repository.is_folder() || other.is_folder() || is_for_repositories(name));
    let (others, rest): (Settings, Settings) = behind.into_iter().partition(|(name, _)| {
        !other.is_folder() || repository.is_folder() || kind == Kind::Repository && is_for_repositories(name)
    });
    repository.settings.extend(own.into_iter().chain(rest));
    other.settings.extend(foreign.into_iter().chain(others));
}

/// Understands `key=value` words.
pub(crate) fn parse_settings(words: &[OsString]) -> Result<Settings, Failure> {
    let parse = |word: &OsString| {
        let text = String::from_utf8(word.clone().into_vec())
            .map_err(|_| Failure::usage("a setting must be UTF-8").because(word.display().to_string()))?;
        // The value may be a secret: a wrong word is not repeated.
        let (key, value) = text.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or_else(|| {
            Failure::usage("a setting is not of the form key=value").hint("for example: -o region=eu-west-1")
        })?;
        let mut value = value.to_owned();
        expand(key, &mut value)?;
        Ok((key.to_owned(), value))
    };
    words.iter().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(word: &str) -> Place {
        let location = Location::parse(OsStr::new(word)).unwrap();
        Place { name: None, location, settings: Settings::new() }
    }

    fn settings(text: &str) -> Settings {
        parse_settings(&text.split_whitespace().map(OsString::from).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn a_setting_goes_to_the_location_it_stands_beside_or_to_the_one_that_takes_it() {
        let cases = [
            ("s3://r/b", Some("s3://s/b"), "region=1", "region=2"),
            ("/r", Some("s3://s/b"), "passphrase=x", "a=1 b=2"),
            ("s3://r/b", Some("/s"), "a=1 b=2", ""),
            ("s3://r/b", None, "a=1 b=2", ""),
        ];
        let given = [("region=1", "region=2"), ("a=1 passphrase=x", "b=2"), ("a=1", "b=2"), ("a=1", "b=2")];
        deal_all(Kind::Source, cases, given);
    }

    #[test]
    fn each_of_two_repositories_has_the_passphrase_written_beside_it() {
        let cases = [
            ("s3://r/b", Some("/s"), "a=1 b=2 passphrase=x", "passphrase=y"),
            ("/r", Some("s3://s/b"), "passphrase=x", "a=1 b=2 passphrase=y"),
            ("/r", Some("/s"), "passphrase=x", "passphrase=y"),
            ("s3://r/b", Some("s3://s/b"), "a=1 passphrase=x", "b=2 passphrase=y"),
        ];
        let given = [
            ("a=1 passphrase=x", "b=2 passphrase=y"),
            ("a=1 passphrase=x", "b=2 passphrase=y"),
            ("passphrase=x", "passphrase=y"),
            ("a=1 passphrase=x", "b=2 passphrase=y"),
        ];
        deal_all(Kind::Repository, cases, given);
    }

    fn deal_all(kind: Kind, cases: [(&str, Option<&str>, &str, &str); 4], given: [(&str, &str); 4]) {
        for ((repository, other, first, second), (before, behind)) in cases.into_iter().zip(given) {
            let mut repository = place(repository);
            let mut other = other.map(place);
            deal_settings(
                settings(before),
                settings(behind),
                &mut repository,
                other.as_mut().map(|other| (kind, other)),
            );
            assert_eq!(repository.settings, settings(first));
            assert_eq!(other.map_or_else(Settings::new, |other| other.settings), settings(second));
        }
    }

    fn configured(text: &str) -> Result<Place, Failure> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.toml"), format!("[repository.a]\n{text}\n")).unwrap();
        let configuration = Configuration::read(folder.path()).unwrap();
        Place::resolve(Kind::Repository, OsStr::new("@a"), Settings::new(), &configuration)
    }

    #[test]
    fn a_path_in_the_configuration_means_one_place_wherever_one_stands() {
        let home = environment::home_folder().unwrap();
        let place = configured("location = '~/b'\nkey_file = '~/k'").unwrap();
        assert_eq!(place.location, Location::Folder(home.join("b")));
        assert_eq!(place.settings["key_file"], home.join("k").to_str().unwrap());
        for relative in ["location = 'b'", "location = '/b'\nkey_file = 'k'", "location = '~bob/b'"] {
            assert_eq!(configured(relative).unwrap_err().exit, crate::failure::Exit::Usage, "{relative}");
        }
        assert_eq!(settings("key_file=~/k")["key_file"], home.join("k").to_str().unwrap());
    }

    #[test]
    fn a_wrong_setting_is_refused_without_being_repeated() {
        let error = parse_settings(&["hunter2".into()]).unwrap_err();
        assert!(!format!("{error:?}").contains("hunter2"));
        assert_eq!(settings("a=b=c").get("a").map(String::as_str), Some("b=c"));
    }
}
