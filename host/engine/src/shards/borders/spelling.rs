//! Spelling: how the keys of one folder are spelled, by some that were seen, so that it can be said how far apart two others are, and which lies between them.
//!
//! Keys are numbers between 0 and 1 whose digits are the characters that were seen at a place: the depth of a folder, and how far behind its slash. So a folder
//! with a counter is as evenly filled as one with digests. At a place of which little was seen there may be what was seen behind it in names of its depth, and
//! whatever was seen anywhere between its first and last character. Of a script with thousands of letters few are ever seen: those between them are possible too.
//!
//! Called by `borders`. Bound: the characters of [`DEPTH_MAX`] depths of [`NAME_MAX`] places.

use std::collections::{BTreeMap, BTreeSet};

/// Deeper folders are taken for one.
const DEPTH_MAX: usize = 32;
/// Places in a name behind that are taken for one.
const NAME_MAX: usize = 128;
/// Characters behind those that two keys share by which they are told apart: a number of 64 bits knows no more.
const DIGITS: usize = 24;
/// A rest that is less is left out of a key between two.
const REST: f64 = 0.02;
/// Letters behind the controls that lie closer are of one script.
const SCRIPT: u32 = 512;

/// A place in a key: the depth of the folder, and how far behind its slash.
type Place = (usize, usize);

/// The characters of keys, by their places.
pub(super) struct Spelling {
    /// The first character by which keys are told apart: the slash that ends the folder, since what lies behind the folder ends before it.
    from: usize,
    seen: BTreeMap<Place, BTreeSet<char>>,
    /// Where keys end.
    ends: BTreeSet<Place>,
    /// What is taken to be possible.
    digits: BTreeMap<Place, Alphabet>,
}

/// Characters in their order, as runs without a gap.
#[derive(Default)]
struct Alphabet {
    runs: Vec<Run>,
    length: usize,
}

struct Run {
    first: char,
    last: char,
    /// How many are in the runs before.
    before: usize,
}

impl Run {
    fn length(&self) -> usize {
        u32::from(self.last).abs_diff(u32::from(self.first)) as usize + 1
    }
}

impl Alphabet {
    fn of(characters: &BTreeSet<char>) -> Self {
        let mut alphabet = Self::default();
        for character in characters.iter().copied() {
            match alphabet.runs.last_mut() {
                Some(run) if is_next(run.last, character) => run.last = character,
                _ => {
                    alphabet.length = alphabet.runs.last().map_or(0, |run| run.before + run.length());
                    alphabet.runs.push(Run { first: character, last: character, before: alphabet.length });
                }
            }
        }
        alphabet.length = alphabet.runs.last().map_or(0, |run| run.before + run.length());
        alphabet
    }

    /// How many of its characters come before one.
    fn rank(&self, character: char) -> usize {
        let at = self.runs.partition_point(|run| run.last < character);
        match self.runs.get(at) {
            None => self.length,
            Some(run) if character <= run.first => run.before,
            Some(run) => run.before + u32::from(character).abs_diff(u32::from(run.first)) as usize,
        }
    }

    /// The one that comes behind so many.
    fn get(&self, rank: usize) -> Option<char> {
        let at = self.runs.partition_point(|run| run.before + run.length() <= rank);
        let run = self.runs.get(at)?;
        char::from_u32(u32::from(run.first).checked_add(u32::try_from(rank.checked_sub(run.before)?).ok()?)?)
    }
}

/// Whether all between two characters is possible where both were seen.
fn is_next(one: char, other: char) -> bool {
    let apart = u32::from(other).abs_diff(u32::from(one));
    // Surrogates, which are no characters, are more.
    apart == 1 || one >= '\u{a0}' && apart < SCRIPT
}

/// The characters of a key and then its end, with their places.
fn places(key: &[char]) -> impl Iterator<Item = (Place, Option<char>)> {
    let mut place: Place = (0, 0);
    key.iter().copied().map(Some).chain([None]).map(move |character| {
        let own = place;
        place = match character {
            Some('/') => (place.0.saturating_add(1).min(DEPTH_MAX), 0),
            _ => (place.0, place.1.saturating_add(1).min(NAME_MAX)),
        };
        (own, character)
    })
}

/// How many characters two keys begin with together.
pub(super) fn shared(one: &[char], other: &[char]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

/// The least that is behind all that begins with as much of a key as comes before and at a place.
pub(super) fn behind(key: &[char], at: usize) -> Option<Vec<char>> {
    let next = match u32::from(*key.get(at)?).checked_add(1)? {
        // Servers may refuse controls, and keys have none.
        0x7f..=0x9f => 0xa0,
        0xd800..=0xdfff => 0xe000,
        next => next,
    };
    let mut behind = key.get(..at)?.to_vec();
    behind.push(char::from_u32(next)?);
    Some(behind)
}

impl Spelling {
    /// How these keys are spelled, which all lie in a folder of so many characters.
    pub(super) fn of(keys: &[Vec<char>], folder: usize) -> Self {
        let (mut seen, mut ends, mut anywhere) =
            (BTreeMap::<Place, BTreeSet<char>>::new(), BTreeSet::new(), BTreeSet::new());
        for (place, character) in keys.iter().flat_map(|key| places(key)) {
            match character {
                Some(character) => {
                    anywhere.insert(character);
                    seen.entry(place).or_default().insert(character);
                }
                None => {
                    ends.insert(place);
                }
            }
        }
        let digits = digits(&seen, &anywhere);
        Self { from: folder.saturating_sub(1), seen, ends, digits }
    }

    /// Of a name in a key, which begins with one of its characters, those at whose places nothing else was seen, by their numbers.
    pub(super) fn only_one_seen(&self, key: &[char], from: usize) -> Vec<usize> {
        let is_alone = |place: &Place| self.seen.get(place).is_none_or(|seen| seen.len() <= 1);
        let all = places(key).take(key.len()).enumerate().skip(from);
        let name = all.take_while(|(_, (_, character))| *character != Some('/'));
        name.filter(|(_, (place, _))| is_alone(place)).map(|(at, _)| at).collect()
    }

    /// What is possible at a place, and 1 if the end of a key is, which comes before it.
    fn possible(&self, place: Place) -> (Option<&Alphabet>, usize) {
        (self.digits.get(&place), usize::from(self.ends.contains(&place)))
    }

    fn base(&self, place: Place) -> usize {
        let (digits, end) = self.possible(place);
        digits.map_or(0, |digits| digits.length).saturating_add(end).max(1)
    }

    /// The key behind so many characters, as a number.
    fn number(&self, key: &[char], from: usize) -> f64 {
        let (mut number, mut unit) = (0.0, 1.0);
        for (place, character) in places(key).skip(from).take(DIGITS) {
            unit /= self.base(place) as f64;
            let (digits, end) = self.possible(place);
            let before = |own: char| digits.map_or(0, |digits| digits.rank(own)).saturating_add(end);
            number += unit * character.map_or(0, before) as f64;
        }
        number
    }

    /// How far apart two keys are, of all that may lie in the folder: a long folder would leave no number to tell it in.
    pub(super) fn distance(&self, from: &[char], to: &[char]) -> f64 {
        let shared = shared(from, to);
        let told_apart = places(from).take(shared).skip(self.from);
        let unit: f64 = told_apart.map(|(place, _)| 1.0 / self.base(place) as f64).product();
        (self.number(to, shared) - self.number(from, shared)).max(0.0) * unit
    }

    /// A key at a share of the way from one to another; none where there is none that is spelled so.
    pub(super) fn between(&self, from: &[char], to: &[char], share: f64) -> Option<Vec<char>> {
        let shared = shared(from, to);
        let (low, high) = (self.number(from, shared), self.number(to, shared));
        let mut rest = (high - low).mul_add(share, low);
        let mut key = from.get(..shared)?.to_vec();
        let is_between = |key: &[char]| from < key && key < to;
        for _ in 0..DIGITS {
            let (place, _) = places(&key).last()?;
            let (digits, end) = self.possible(place);
            rest *= self.base(place) as f64;
            let rank = (rest.max(0.0) as usize).min(self.base(place).saturating_sub(1));
            rest -= rank as f64;
            let Some(digit) = rank.checked_sub(end).and_then(|rank| digits?.get(rank)) else { break };
            key.push(digit);
            if is_between(&key) && rest < REST {
                break;
            }
        }
        is_between(&key).then_some(key)
    }
}

/// What is possible at each place, by what was seen there and anywhere.
fn digits(seen: &BTreeMap<Place, BTreeSet<char>>, anywhere: &BTreeSet<char>) -> BTreeMap<Place, Alphabet> {
    let (mut behind, mut depth) = (BTreeSet::<char>::new(), None);
    let possible = |(place, own): (&Place, &BTreeSet<char>)| {
        if depth.replace(place.0) != Some(place.0) {
            behind.clear();
        }
        if let (Some(first), Some(last)) = (own.first(), own.last()) {
            behind.extend(anywhere.range(*first..=*last));
        }
        let alphabet = Alphabet::of(&behind);
        behind.remove(&'/');
        (*place, alphabet)
    };
    seen.iter().rev().map(possible).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Vec<char> {
        text.chars().collect()
    }

    #[test]
    fn in_a_folder_with_a_counter_keys_are_as_far_apart_as_their_numbers() {
        let keys: Vec<Vec<char>> = (0..1000).map(|number| key(&format!("folder/{number:06}"))).collect();
        let spelling = Spelling::of(&keys, "folder/".len());
        let distance = |from: &str, to: &str| spelling.distance(&key(from), &key(to));
        let page = distance("folder/000000", "folder/000999") / 999.0;
        let far = distance("folder/000000", "folder/700000") / 700_000.0;
        assert!((page / far - 1.0).abs() < 0.01, "{page} {far}");
        let middle = spelling.between(&key("folder/000999"), &key("folder/999999"), 0.5).unwrap();
        let middle: String = middle.iter().collect();
        // As short as it may be.
        assert_eq!(middle, "folder/5");
        let half = distance("folder/000999", &middle) / distance("folder/000999", "folder/999999");
        assert!((half - 0.5).abs() < 0.01, "{half}");
    }

    #[test]
    fn in_a_long_folder_keys_are_as_far_apart_as_in_a_short_one() {
        let distance = |folder: &str| {
            let keys: Vec<Vec<char>> = (0..1000).map(|number| key(&format!("{folder}{number:06}"))).collect();
            Spelling::of(&keys, folder.len()).distance(&keys[100], &keys[900])
        };
        let (short, long) = (distance("documents-20/"), distance(&"documents-20/".repeat(31)));
        assert!(short > 0.0 && (short / long - 1.0).abs() < 0.01, "{short} {long}");
    }

    #[test]
    fn letters_of_a_script_are_possible_that_were_not_seen_and_others_are_not() {
        let alphabet = Alphabet::of(&"09az\u{4e00}\u{4f00}\u{9fa5}".chars().collect());
        assert_eq!((alphabet.length, alphabet.rank('9'), alphabet.rank('b'), alphabet.rank('z')), (262, 1, 3, 3));
        assert_eq!((alphabet.rank('\u{4e80}'), alphabet.rank('\u{9000}'), alphabet.rank('\u{ffff}')), (132, 261, 262));
        for rank in 0..262 {
            assert_eq!(alphabet.rank(alphabet.get(rank).unwrap()), rank);
        }
        assert_eq!(alphabet.get(262), None);
        let next = [('\u{d7ff}', '\u{e000}'), ('!', '#'), ('~', '\u{a0}')].map(|(one, other)| is_next(one, other));
        assert_eq!((next, is_next('a', 'b'), is_next('\u{4e00}', '\u{4e10}')), ([false; 3], true, true));
    }

    #[test]
    fn what_is_behind_a_beginning_is_behind_all_that_begins_so() {
        let text = |at| behind(&key("a/\u{d7ff}~"), at).map(|key| key.into_iter().collect::<String>());
        assert_eq!(text(1).unwrap(), "a0");
        assert_eq!(text(2).unwrap(), "a/\u{e000}");
        assert_eq!(text(3).unwrap(), "a/\u{d7ff}\u{a0}");
        assert_eq!(text(4), None);
    }
}
