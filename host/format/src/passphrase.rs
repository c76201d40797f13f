//! The form in which a passphrase counts, and whether it is too weak to protect a repository.
//!
//! Refused here: a figure in bits, which nobody can know. What is said is only said when it is surely bad.

use unicode_normalization::{UnicodeNormalization, is_nfc};
use zeroize::Zeroizing;

/// What editors of some systems put before a text.
const BYTE_ORDER_MARK: char = '\u{feff}';
/// Bytes that one byte can become in NFC: <https://www.unicode.org/faq/normalization.html#12>.
const NFC_GROWTH_MAX: usize = 3;

/// Fewest characters of a passphrase: at the cost of a slot, shorter ones fall to patience alone.
const CHARACTERS_MIN: usize = 10;
/// Fewest different characters.
const DISTINCT_MIN: usize = 5;
/// Roots that published lists of leaked passwords begin with, in lower case, letters only.
const COMMON: [&str; 24] = [
    "password",
    "passwort",
    "passphrase",
    "qwerty",
    "qwertyuiop",
    "qwertz",
    "azerty",
    "asdfghjkl",
    "letmein",
    "welcome",
    "iloveyou",
    "admin",
    "administrator",
    "monkey",
    "dragon",
    "sunshine",
    "princess",
    "football",
    "baseball",
    "superman",
    "trustno",
    "changeme",
    "secret",
    "backup",
];
/// Rows of keyboards and counts that people run along.
const SEQUENCES: [&str; 5] = [
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890123456789",
    "qwertyuiopasdfghjklzxcvbnm",
    "qwertzuiopasdfghjklyxcvbnm",
    "azertyuiopqsdfghjklmwxcvbn",
];

/// The same passphrase as other systems may have typed or saved it: in Unicode's composed form (NFC), without a byte order mark before it.
/// `None` when it has that form already, or is no text.
#[must_use]
pub fn normal_passphrase(passphrase: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let text = std::str::from_utf8(passphrase).ok()?;
    let bare = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    if bare.len() == text.len() && is_nfc(text) {
        return None;
    }
    // Room for all of it at once: a buffer that grew would leave copies behind.
    let mut normal = Zeroizing::new(String::with_capacity(bare.len().saturating_mul(NFC_GROWTH_MAX)));
    normal.extend(bare.nfc());
    Some(Zeroizing::new(std::mem::take(&mut *normal).into_bytes()))
}

/// What makes a passphrase easy to guess, in a sentence for a person; `None` when nothing obvious does.
#[must_use]
pub fn passphrase_weakness(passphrase: &str) -> Option<String> {
    let characters: Vec<char> = passphrase.to_lowercase().chars().collect();
    let distinct: std::collections::BTreeSet<char> = characters.iter().copied().collect();
    if characters.len() < CHARACTERS_MIN {
        return Some(format!(
            "it has {} characters: use {CHARACTERS_MIN} or more, best four or five random words",
            characters.len()
        ));
    }
    if distinct.len() < DISTINCT_MIN {
        return Some(format!("it repeats only {} different characters: use more of them", distinct.len()));
    }
    if is_repetition(&characters) {
        return Some("it is one short piece repeated: use something longer that does not repeat".to_owned());
    }
    let word: String = plain_letters(&characters);
    if COMMON.iter().any(|common| word == *common || word == common.repeat(2)) {
        return Some("it is one of the commonest passwords with small changes: use several random words".to_owned());
    }
    let steps = characters
        .windows(2)
        .filter(|pair| pair.first().zip(pair.last()).is_some_and(|(a, b)| is_step(*a, *b)))
        .count();
    if steps * 4 >= characters.len() * 3 {
        return Some("it runs along the alphabet, the digits or a keyboard: use several random words".to_owned());
    }
    None
}

fn is_repetition(characters: &[char]) -> bool {
    (1..=characters.len() / 2)
        .filter(|period| *period < CHARACTERS_MIN)
        .any(|period| characters.iter().zip(characters.iter().skip(period)).all(|(a, b)| a == b))
}

/// The letters, with digits and signs that stand for letters read as these, and others left out.
fn plain_letters(characters: &[char]) -> String {
    let inner = characters.iter().rev().skip_while(|c| !c.is_alphabetic()).collect::<Vec<_>>();
    inner
        .into_iter()
        .rev()
        .filter_map(|character| match character {
            '0' => Some('o'),
            '1' | '!' => Some('i'),
            '3' => Some('e'),
            '4' | '@' => Some('a'),
            '5' | '$' => Some('s'),
            '7' => Some('t'),
            letter => letter.is_alphabetic().then_some(*letter),
        })
        .collect()
}

/// Whether two characters follow each other, forwards or backwards, in a sequence, or are the same.
fn is_step(a: char, b: char) -> bool {
    let adjacent = |sequence: &&str| {
        let pairs = sequence.chars().zip(sequence.chars().skip(1));
        pairs.into_iter().any(|pair| pair == (a, b) || pair == (b, a))
    };
    a == b || SEQUENCES.iter().any(adjacent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_passphrase_has_one_form_however_it_was_typed_or_saved() {
        let composed = "\u{fc}ber gr\u{f6}\u{df}e";
        let decomposed = "u\u{308}ber gro\u{308}\u{df}e";
        let marked = format!("\u{feff}{composed}");
        for other in [decomposed.to_owned(), marked, format!("\u{feff}{decomposed}")] {
            assert_eq!(normal_passphrase(other.as_bytes()).unwrap().as_slice(), composed.as_bytes());
        }
        for normal in [composed.as_bytes(), b"plain", b"", b"\xff not a text"] {
            assert!(normal_passphrase(normal).is_none());
        }
    }

    #[test]
    fn what_is_surely_weak_is_called_so() {
        for weak in [
            "",
            "short",
            "123456789",
            "aaaaaaaaaaaaaaaa",
            "abababababab",
            "Passw0rd1234",
            "P@ssw0rd!!!!",
            "abcdefghijkl",
            "qwertyuiop12",
            "0987654321098",
            "horsehorsehorse",
            "passwordpassword",
            "administrator",
            "letmein2026!!",
        ] {
            assert!(passphrase_weakness(weak).is_some(), "{weak}");
        }
    }

    #[test]
    fn what_is_not_surely_weak_is_left_alone() {
        for fine in [
            "correct horse battery staple",
            "kT9#vLq2$xWm",
            "drei Äpfel im Keller",
            "zu Hause steht ein Password-Schrank",
        ] {
            assert_eq!(passphrase_weakness(fine), None, "{fine}");
        }
    }
}
