//! The settings of a command line, `-o key=value`.
//!
//! Owned here: reading them, and that none is seen in what is printed for a developer: each may be a secret. Before the command they are the repository's, behind it those of the location that the command names, where each
//! has a long name, too (`--source-option`). Refused here: what they mean (`credenza-app`, connectors). Called by `commands`.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStringExt;

use credenza_app::{SecretText, Settings, expand, require_boolean};
use zeroize::Zeroizing;

use crate::failure::Failure;

/// A setting as it was typed, or a part of one: wiped when dropped, printed as `***`.
#[derive(Clone)]
pub(crate) struct SettingWord(Zeroizing<Vec<u8>>);

impl SettingWord {
    /// The word as a text.
    ///
    /// # Errors
    /// When it is not UTF-8.
    pub(crate) fn text(&self) -> Result<&str, Failure> {
        std::str::from_utf8(&self.0).map_err(|_| Failure::usage("a setting is not UTF-8, as each must be"))
    }
}

impl From<OsString> for SettingWord {
    fn from(word: OsString) -> Self {
        Self(Zeroizing::new(word.into_vec()))
    }
}

impl fmt::Debug for SettingWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Understands `key=value` words.
pub(crate) fn parse_settings(words: &[SettingWord]) -> Result<Settings, Failure> {
    let parse = |word: &SettingWord| {
        // The value may be a secret: a wrong word is not repeated.
        let (key, value) = word.text()?.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or_else(|| {
            Failure::usage("a setting is not of the form key=value").hint("for example: -o region=eu-west-1")
        })?;
        let mut value = SecretText::new(value);
        expand(key, &mut value)?;
        require_boolean(key, value.expose())?;
        Ok((key.to_owned(), value))
    };
    words.iter().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Exit;

    fn parse(word: &str) -> Result<Settings, Failure> {
        parse_settings(&[OsString::from(word).into()])
    }

    #[test]
    fn what_is_neither_true_nor_false_is_refused_with_what_is_allowed() {
        for value in ["true", "no", "ON", "1", "off", "0", "yes", "False"] {
            assert!(parse(&format!("plaintext={value}")).is_ok(), "{value}");
        }
        for value in ["", "ja", "2", "truth"] {
            let refused = parse(&format!("use_tls={value}")).unwrap_err();
            assert!(refused.exit == Exit::Usage && refused.what.contains("true or false"), "{}", refused.what);
        }
    }

    #[test]
    fn a_wrong_setting_is_refused_without_being_repeated() {
        let not_text = OsString::from_vec(b"hunter2=\xff".to_vec());
        for wrong in [OsString::from("hunter2"), OsString::from("=hunter2"), not_text] {
            let refused = parse_settings(&[wrong.into()]).unwrap_err();
            assert!(!format!("{refused:?}").contains("hunter2"), "{refused:?}");
        }
    }

    #[test]
    fn a_value_is_what_stands_behind_the_first_sign_and_a_path_may_begin_at_home() {
        let home = credenza_app::home::folder().unwrap();
        assert_eq!(parse("key_file=~/k").unwrap()["key_file"].expose(), home.join("k").to_str().unwrap());
        assert_eq!(parse("a=b=c").unwrap()["a"].expose(), "b=c");
    }
}
