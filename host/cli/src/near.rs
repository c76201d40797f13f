//! Near words: what somebody meant who knows another program, or mistyped.
//!
//! Owned here: the words of other programs for these commands, `help COMMAND` and `version`, and where an option belongs that stands in the
//! wrong place. Refused here: typing errors, which clap finds by distance. Called by `arguments`.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// What other programs call these commands.
const MEANT: &[(&str, &[&str])] = &[
    ("cat-file", &["cat"]),
    ("cleanup", &["maintain"]),
    ("clone", &["sync"]),
    ("compact", &["maintain"]),
    ("copy", &["sync", "replicate"]),
    ("delete", &["rm"]),
    ("expire", &["prune"]),
    ("extract", &["restore"]),
    ("fix", &["repair"]),
    ("forget", &["rm", "prune"]),
    ("fsck", &["check"]),
    ("gc", &["maintain"]),
    ("heal", &["repair"]),
    ("init", &["create"]),
    ("keys", &["key"]),
    ("list", &["ls"]),
    ("passwd", &["key"]),
    ("recover", &["repair"]),
    ("remove", &["rm"]),
    ("remote", &["config"]),
    ("save", &["backup"]),
    ("show", &["info", "cat"]),
    ("snapshot", &["backup"]),
    ("snapshots", &["ls"]),
    ("stats", &["info"]),
    ("status", &["info"]),
    ("unlock", &["maintain"]),
    ("verify", &["check"]),
];

/// The words of a command line as clap knows them: `help COMMAND` is `COMMAND --help`, `version` is `--version`. `command` is the place of the first
/// word that is no option.
pub(crate) fn plain(mut words: Vec<OsString>, command: Option<usize>) -> Vec<OsString> {
    let Some(place) = command else { return words };
    match words.get(place).and_then(|word| word.to_str()) {
        Some("help") => {
            words.remove(place);
            words.push("--help".into());
        }
        Some("version") if words.len() == place + 1 => {
            words.remove(place);
            words.push("--version".into());
        }
        _ => {}
    }
    words
}

/// The same error, which names what may have been meant.
pub(crate) fn suggesting(mut error: clap::Error, command: Option<&str>) -> clap::Error {
    let meant = match (error.kind(), error.get(ContextKind::InvalidSubcommand)) {
        (ErrorKind::InvalidSubcommand, Some(ContextValue::String(word))) if Some(&**word) == command => {
            MEANT.iter().find(|(theirs, _)| theirs == word).map(|(_, ours)| *ours)
        }
        _ => None,
    };
    if let Some(meant) = meant {
        let names = meant.iter().map(|name| (*name).to_owned()).collect();
        error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(names));
    }
    error
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::arguments::{self, Arguments};

    fn answer(line: &str) -> String {
        arguments::parse(line.split(' ').map(OsString::from).collect()).unwrap_err().to_string()
    }

    #[test]
    fn every_word_of_another_program_leads_to_commands_that_there_are_and_is_none_itself() {
        let command = Arguments::command();
        for (theirs, ours) in MEANT {
            assert!(command.find_subcommand(*theirs).is_none(), "{theirs}");
            let shown = answer(&format!("credenza {theirs}"));
            for name in *ours {
                assert!(command.find_subcommand(name).is_some(), "{name}");
                assert!(shown.contains(&format!("'{name}'")), "{shown}");
            }
        }
    }

    #[test]
    fn what_is_mistyped_leads_to_what_is_near() {
        for (typed, meant) in [("restor", "restore"), ("bakcup", "backup"), ("maintian", "maintain"), ("chek", "check")]
        {
            assert!(answer(&format!("credenza at x {typed}")).contains(&format!("'{meant}'")), "{typed}");
        }
    }

    #[test]
    fn help_is_had_by_the_word_as_by_the_option() {
        for (word, option) in [
            ("credenza help", "credenza --help"),
            ("credenza help ls", "credenza ls --help"),
            ("credenza help key add", "credenza key add --help"),
            ("credenza at x help prune", "credenza at x prune --help"),
            ("credenza version", "credenza --version"),
        ] {
            assert_eq!(answer(word), answer(option), "{word}");
        }
        assert!(answer("credenza help init").contains("'create'"));
    }
}
