//! The settings of a command line, `-o key=value`.
//!
//! Owned here: reading them. Before the command they are the repository's, behind it those of the location that the command names, where each
//! has a long name, too (`--source-option`). Refused here: what they mean (`credenza-app`, connectors). Called by `commands`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use credenza_app::{Settings, expand, require_boolean};

use crate::failure::Failure;

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
        require_boolean(key, &value)?;
        Ok((key.to_owned(), value))
    };
    words.iter().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Exit;

    fn settings(text: &str) -> Settings {
        parse_settings(&text.split_whitespace().map(OsString::from).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn what_is_neither_true_nor_false_is_refused_with_what_is_allowed() {
        for value in ["true", "no", "ON", "1", "off", "0", "yes", "False"] {
            assert!(parse_settings(&[format!("plaintext={value}").into()]).is_ok(), "{value}");
        }
        for value in ["", "ja", "2", "truth"] {
            let refused = parse_settings(&[format!("use_tls={value}").into()]).unwrap_err();
            assert!(refused.exit == Exit::Usage && refused.what.contains("true or false"), "{}", refused.what);
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
