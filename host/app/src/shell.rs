//! Words of a command that a person copies into a shell.
//!
//! Owned here: quoting, and how a place is named there. Refused here: which command it is (the program).

use crate::place::{Place, PlaceLabel};

/// A text as one word.
#[must_use]
pub fn shell_word(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-:@%+=,".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// A place as one word: by its name in the configuration, with which its settings come, else by its location.
#[must_use]
pub fn label_word(label: &PlaceLabel) -> String {
    shell_word(&label.name.as_ref().map_or_else(|| label.location.clone(), |name| format!("@{name}")))
}

/// The same of a place.
#[must_use]
pub fn place_word(place: &Place) -> String {
    label_word(&place.label())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_for_a_shell_is_quoted_where_it_must_be() {
        for (text, word) in [
            ("/mnt/my disk", "'/mnt/my disk'"),
            ("/it's", "'/it'\\''s'"),
            ("$(reboot)", "'$(reboot)'"),
            ("~x", "'~x'"),
            ("", "''"),
            ("s3://h:9000/b/p", "s3://h:9000/b/p"),
            ("@s3", "@s3"),
        ] {
            assert_eq!(shell_word(text), word);
        }
    }
}
