//! How hard contents are compressed, as a person writes it: a level of zstd, or a word.

use credenza_format::{COMPRESSION_LEVELS, NO_COMPRESSION};

/// Words for levels. `better` takes some five times the time of `fast`, `max` a hundred times.
const WORDS: [(&str, Option<i32>); 5] = [
    ("none", Some(NO_COMPRESSION)),
    ("fast", Some(*COMPRESSION_LEVELS.start())),
    ("default", None),
    ("better", Some(7)),
    ("max", Some(*COMPRESSION_LEVELS.end())),
];

/// A level, or that of the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Compression(pub(super) Option<i32>);

/// A level, or one of the [`WORDS`].
pub(super) fn parse_compression(text: &str) -> Result<Compression, String> {
    if let Some((_, level)) = WORDS.iter().find(|(word, _)| *word == text) {
        return Ok(Compression(*level));
    }
    let level = text.parse().ok().filter(|level| COMPRESSION_LEVELS.contains(level));
    level.map(|level| Compression(Some(level))).ok_or_else(|| {
        let words: Vec<&str> = WORDS.iter().map(|(word, _)| *word).collect();
        format!(
            "write a level from {} to {}, or one of {}",
            COMPRESSION_LEVELS.start(),
            COMPRESSION_LEVELS.end(),
            words.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_words_are_read_and_what_is_out_of_range_is_told_the_range() {
        for (text, level) in [
            ("1", Some(1)),
            ("19", Some(19)),
            ("none", Some(0)),
            ("fast", Some(1)),
            ("max", Some(19)),
            ("default", None),
        ] {
            assert_eq!(parse_compression(text), Ok(Compression(level)), "{text}");
        }
        for wrong in ["0", "20", "-1", "best", ""] {
            assert!(parse_compression(wrong).unwrap_err().contains("from 1 to 19"), "{wrong}");
        }
    }
}
