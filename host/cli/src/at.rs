//! The words `at REPOSITORY` before the command.
//!
//! Owned here: finding them among the words of a command line, and taking them out, so that the rest is an ordinary
//! command line. Refused here: what a repository may be (`location`), every other argument (`arguments`).

use std::ffi::{OsStr, OsString};

/// The word that names a repository.
const AT: &str = "at";

/// A command line without `at REPOSITORY`, and the repository.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Split {
    pub(crate) repository: Option<OsString>,
    pub(crate) rest: Vec<OsString>,
}

/// `at` stands last, or before an option.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`at` needs a repository after it: a folder, a location such as s3://host/bucket, or @name")]
pub(crate) struct MissingRepository;

/// Takes `at REPOSITORY` out of a command line, program name included.
///
/// Only the first word that is neither an option nor an option's value can be `at`: what stands behind a command is the command's.
pub(crate) fn split(words: Vec<OsString>, options: &clap::Command) -> Result<Split, MissingRepository> {
    let Some(place) =
        first_plain_word(&words, options).filter(|place| words.get(*place).is_some_and(|word| word == AT))
    else {
        return Ok(Split { repository: None, rest: words });
    };
    let mut rest = words;
    let mut after = rest.split_off(place).into_iter().skip(1);
    let repository = after.next().filter(|word| !is_option(word)).ok_or(MissingRepository)?;
    rest.extend(after);
    Ok(Split { repository: Some(repository), rest })
}

/// The place of the first word that is neither an option nor an option's value.
pub(crate) fn first_plain_word(words: &[OsString], options: &clap::Command) -> Option<usize> {
    let mut skip_next = false;
    for (place, word) in words.iter().enumerate().skip(1) {
        if std::mem::take(&mut skip_next) {
            continue;
        }
        if word == "--" {
            return None;
        }
        if !is_option(word) {
            return Some(place);
        }
        skip_next = expects_value_next(word, options);
    }
    None
}

fn is_option(word: &OsStr) -> bool {
    word.as_encoded_bytes().starts_with(b"-")
}

/// Whether the value of this option is the next word, as in `--connector x.wasm` and `-vo key=value`.
fn expects_value_next(word: &OsStr, options: &clap::Command) -> bool {
    let Some(text) = word.to_str() else { return false };
    let takes_value = |found: &clap::Arg| found.get_action().takes_values();
    if let Some(long) = text.strip_prefix("--") {
        return options.get_arguments().any(|option| option.get_long() == Some(long) && takes_value(option));
    }
    let mut letters = text.trim_start_matches('-').chars();
    let taking = letters.find(|letter| {
        options.get_arguments().any(|option| option.get_short() == Some(*letter) && takes_value(option))
    });
    taking.is_some() && letters.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Arguments;
    use clap::CommandFactory;

    fn words(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(OsString::from).collect()
    }

    fn split_text(text: &str) -> Result<Split, MissingRepository> {
        split(words(text), &Arguments::command())
    }

    #[test]
    fn the_repository_is_found_behind_options_and_their_values() {
        for before in ["", "--json", "-v -q", "--connector at", "-o at", "-vo at", "-oat=1", "--passphrase-file=x"] {
            let found = split_text(&format!("credenza {before} at @s3 ls latest")).unwrap();
            assert_eq!(found.repository, Some("@s3".into()), "{before}");
            assert_eq!(found.rest, words(&format!("credenza {before} ls latest")), "{before}");
        }
    }

    #[test]
    fn an_at_that_belongs_to_a_command_stays() {
        for line in ["credenza ls at", "credenza backup at", "credenza -- at x ls", "credenza", "credenza --json"] {
            assert_eq!(split_text(line), Ok(Split { repository: None, rest: words(line) }), "{line}");
        }
    }

    #[test]
    fn an_at_without_a_repository_is_refused() {
        for line in ["credenza at", "credenza at --json ls"] {
            assert_eq!(split_text(line), Err(MissingRepository), "{line}");
        }
    }
}
