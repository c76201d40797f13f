//! Whether a passphrase is too weak to protect a repository.
//!
//! Refused here: a figure in bits, which nobody can know. What is said is only said when it is surely bad.

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
