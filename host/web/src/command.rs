//! The command that says the same as a page.
//!
//! Owned here: words of it that hold any bytes. Refused here: quoting of texts (`credenza_app::shell`).

use credenza_app::PlaceLabel;
use credenza_app::shell::{label_word, shell_word};

use crate::shown::is_visible;

/// A command of `credenza` at a repository; `words` stand there as they are given.
pub(crate) fn at(repository: &PlaceLabel, words: &str) -> String {
    let place = match &repository.name {
        Some(_) => label_word(repository),
        None => word(&repository.location),
    };
    format!("credenza at {place} {words}")
}

/// `SNAPSHOT:KEY` as one word.
pub(crate) fn in_snapshot(snapshot: &str, key: &[u8]) -> String {
    match key {
        [] => snapshot.to_owned(),
        key => bytes_word(&[snapshot.as_bytes(), b":", key].concat()),
    }
}

/// A key as one word.
pub(crate) fn key(key: &[u8]) -> String {
    bytes_word(key)
}

/// A text as one word.
pub(crate) fn word(text: &str) -> String {
    bytes_word(text.as_bytes())
}

/// Any bytes as one word; those that are no visible text as bash, zsh and most others read them behind a `$`.
fn bytes_word(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.chars().all(is_visible) => shell_word(text),
        _ => {
            let escaped = bytes.iter().map(|byte| match byte {
                b'\'' | b'\\' => format!("\\{}", char::from(*byte)),
                b' '..=b'~' => char::from(*byte).to_string(),
                _ => format!("\\x{byte:02x}"),
            });
            format!("$'{}'", escaped.collect::<String>())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_key_is_one_word_without_what_cannot_be_seen() {
        for (key, word) in [
            (&b"a/b.txt"[..], "12ab:a/b.txt"),
            (b"", "12ab"),
            (b"my file", "'12ab:my file'"),
            (b"\xff'\\", "$'12ab:\\xff\\'\\\\'"),
            (b"a\nb", "$'12ab:a\\x0ab'"),
            ("a\u{202e}b".as_bytes(), "$'12ab:a\\xe2\\x80\\xaeb'"),
        ] {
            assert_eq!(in_snapshot("12ab", key), word);
        }
    }
}
