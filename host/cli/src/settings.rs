//! The settings of a command line, `-o key=value`.
//!
//! Owned here: reading them, and to which location each goes. Refused here: what they mean (`credenza-app`, connectors). Called by
//! `commands`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use credenza_app::{Kind, Place, Settings, expand, is_for_repositories};

use crate::failure::Failure;

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
    use credenza_app::Configuration;

    use super::*;

    fn place(word: &str) -> Place {
        Place::resolve(Kind::Source, word.as_ref(), Settings::new(), &Configuration::default()).unwrap()
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

    #[test]
    fn a_wrong_setting_is_refused_without_being_repeated() {
        let error = parse_settings(&["hunter2".into()]).unwrap_err();
        assert!(!format!("{error:?}").contains("hunter2"));
        let home = credenza_app::home::folder().unwrap();
        assert_eq!(settings("key_file=~/k")["key_file"], home.join("k").to_str().unwrap());
        assert_eq!(settings("a=b=c").get("a").map(String::as_str), Some("b=c"));
    }
}
