//! Spelling: how keys are spelled, by those that were seen, so that it can be said how far apart two others are, and which lies between them.
//!
//! Keys are numbers between 0 and 1 whose digits are the characters that were seen at a place: the depth of a folder, and how far behind its slash. So a folder
//! with a counter is as evenly filled as one with digests, and letters of any script are as close to each other as digits are. At a place of which little
//! was seen there may be what was seen behind it in names of its depth, and whatever was seen anywhere between its first and last character.
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

/// A place in a key: the depth of the folder, and how far behind its slash.
type Place = (usize, usize);

/// The characters of keys, by their places.
#[derive(Default)]
pub(super) struct Spelling {
    seen: BTreeMap<Place, BTreeSet<char>>,
    /// Where keys end.
    ends: BTreeSet<Place>,
    anywhere: BTreeSet<char>,
    /// What is taken to be possible.
    digits: BTreeMap<Place, Vec<char>>,
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
    /// Takes in how more keys are spelled. Whether any of that is new.
    pub(super) fn learn(&mut self, keys: impl Iterator<Item = Vec<char>>) -> bool {
        let mut is_new = false;
        for key in keys {
            for (place, character) in places(&key) {
                is_new |= match character {
                    Some(character) => {
                        self.anywhere.insert(character);
                        self.seen.entry(place).or_default().insert(character)
                    }
                    None => self.ends.insert(place),
                };
            }
        }
        if is_new {
            self.allow();
        }
        is_new
    }

    /// What is possible, by what was seen.
    fn allow(&mut self) {
        self.digits.clear();
        let (mut behind, mut depth) = (BTreeSet::new(), None);
        for (place, own) in self.seen.iter().rev() {
            if depth.replace(place.0) != Some(place.0) {
                behind.clear();
            }
            let mut all: BTreeSet<char> = match (own.first(), own.last()) {
                (Some(first), Some(last)) => self.anywhere.range(*first..=*last).copied().collect(),
                _ => BTreeSet::new(),
            };
            all.extend(behind.iter());
            behind.clone_from(&all);
            behind.remove(&'/');
            self.digits.insert(*place, all.into_iter().collect());
        }
    }

    /// Of a key the characters from one on at whose places nothing else was seen, by their numbers.
    pub(super) fn only_one_seen(&self, key: &[char], from: usize) -> Vec<usize> {
        let is_alone = |place: &Place| self.seen.get(place).is_none_or(|seen| seen.len() <= 1);
        let all = places(key).take(key.len()).enumerate().skip(from);
        all.filter(|(_, (place, _))| is_alone(place)).map(|(at, _)| at).collect()
    }

    /// What is possible at a place, and 1 if the end of a key is, which comes before it.
    fn possible(&self, place: Place) -> (&[char], usize) {
        (self.digits.get(&place).map_or(&[], Vec::as_slice), usize::from(self.ends.contains(&place)))
    }

    fn base(&self, place: Place) -> usize {
        let (digits, end) = self.possible(place);
        digits.len().saturating_add(end).max(1)
    }

    /// The key behind so many characters, as a number.
    fn number(&self, key: &[char], from: usize) -> f64 {
        let (mut number, mut unit) = (0.0, 1.0);
        for (place, character) in places(key).skip(from).take(DIGITS) {
            unit /= self.base(place) as f64;
            let (digits, end) = self.possible(place);
            let rank = character.map_or(0, |own| digits.partition_point(|digit| *digit < own).saturating_add(end));
            number += unit * rank as f64;
        }
        number
    }

    /// How far apart two keys are.
    pub(super) fn distance(&self, from: &[char], to: &[char]) -> f64 {
        let shared = shared(from, to);
        let unit: f64 = places(from).take(shared).map(|(place, _)| 1.0 / self.base(place) as f64).product();
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
            let Some(digit) = rank.checked_sub(end).and_then(|rank| digits.get(rank)) else { break };
            key.push(*digit);
            if is_between(&key) && rest < REST {
                break;
            }
        }
        is_between(&key).then_some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Vec<char> {
        text.chars().collect()
    }

    #[test]
    fn in_a_folder_with_a_counter_keys_are_as_far_apart_as_their_numbers() {
        let mut spelling = Spelling::default();
        spelling.learn((0..1000).map(|number| key(&format!("folder/{number:06}"))));
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
    fn what_is_behind_a_beginning_is_behind_all_that_begins_so() {
        let text = |at| behind(&key("a/\u{d7ff}~"), at).map(|key| key.into_iter().collect::<String>());
        assert_eq!(text(1).unwrap(), "a0");
        assert_eq!(text(2).unwrap(), "a/\u{e000}");
        assert_eq!(text(3).unwrap(), "a/\u{d7ff}\u{a0}");
        assert_eq!(text(4), None);
    }
}
