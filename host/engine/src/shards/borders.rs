//! Borders: keys that cut a source without a snapshot before into ranges of about equally many entries, by probes of its listing.
//!
//! A probe asks for the keys behind a point. Its page tells how close keys lie there, by how those of the same folder are spelled (`spelling`), and so how many
//! may lie between it and the next page: other folders have other letters, and tell nothing of that. A probe that looks where nobody has looked goes behind the folder
//! that a page ends in, behind all that begins as the last key does, behind characters at places of a name where no other was seen; one that looks for keys goes to
//! the middle, or where hardly more than a page is expected to the begin. Most go where the most keys are expected, one in [`UNSEEN_EVERY`] to what is unseen in
//! the highest folder, the last where few keys are. They end early where all that is unknown lies in folders of names alone, of which either side tells the same.
//! Borders are right however wrong that is: then some machines have more to do than others.
//!
//! Every process finds the same where it is told the same. All points are made of characters that keys have, and of those next to them.
//!
//! Owned here: that. Refused here: whether the ranges met in the end (`merge`), and ranges by a snapshot (`share`). Called by `shards`.
//!
//! Bound: the keys of [`PROBES`] pages and one, how some of each page are spelled, and the borders.

mod spelling;
#[cfg(test)]
mod tests;

use std::ops::Range;

use credenza_connect::{Batches, ScanOptions, Source};
use credenza_model::Key;

use crate::share::{KeyRange, Share};
use crate::{Error, Result};
use spelling::{Spelling, behind, shared};

/// Pages of a listing that are looked at beside the first.
const PROBES: usize = 400;
/// Entries asked for by one probe: each process pays for all of them, and more pages tell more than longer ones.
const PROBE_ENTRIES: usize = 200;
/// The part of a page at either end that tells how it goes on there: the rest may be of other folders.
const END_PARTS: usize = 8;
/// And of one that has grown together of many no more than that.
const END_ENTRIES: usize = PROBE_ENTRIES / END_PARTS;
/// Keys of a page, spread over it, that tell how keys are spelled.
const SPELLED: usize = 50;
/// One probe of so many looks for what is unseen, however little is expected there.
const UNSEEN_EVERY: usize = 4;
/// Where fewer keys are expected, it is looked last.
const EXPECTED_MIN: f64 = 10.0;
/// Where no more pages than that are expected, the next lies right behind the last: one in the middle would list again what the one behind it has.
const PAGES_MIDDLE: f64 = 1.5;
/// The part of a share that all that is expected may be off by where the probes end.
const DOUBT_MAX: f64 = 0.125;
/// The part of a share that one gap may be expected to hold there.
const GAP_MAX: f64 = 0.125;
/// Probes in a gap that find nothing before the next looks right behind the page.
const VAIN_MAX: u32 = 3;
/// Behind all keys: the last character there is.
const END: char = '\u{10ffff}';

/// The keys that one process takes.
pub(super) async fn range(source: &dyn Source, options: &ScanOptions, share: Share) -> Result<KeyRange> {
    let borders = of_listing(source, options, share.of).await?;
    // Behind the last border that was found there is one range, and those before it are empty.
    let border = |number: u32| {
        let found = borders.get(usize::try_from(number).unwrap_or(usize::MAX));
        found.or_else(|| borders.last()).cloned().unwrap_or_default()
    };
    Ok(KeyRange {
        after: share.number.checked_sub(1).map(border),
        until: if share.is_last() { None } else { Some(border(share.number)) },
    })
}

/// The last keys of the first `of - 1` ranges; fewer where there are fewer keys.
async fn of_listing(source: &dyn Source, options: &ScanOptions, of: u32) -> Result<Vec<Key>> {
    let mut known = Known::begin(look(source, options, None).await?);
    for probe in 0..PROBES {
        let Some((at, point)) = known.next(probe).filter(|_| !known.is_enough(of)) else { break };
        let look = look(source, options, Some(point.as_bytes().to_vec())).await?;
        known.note(at, point, look);
    }
    Ok(known.cut(of))
}

/// What one probe sees.
struct Look {
    keys: Vec<Key>,
    /// Nothing comes behind them. A page with fewer keys than were asked for does not say so: a source may give them by ones.
    is_last: bool,
}

/// The keys that come behind one.
async fn look(source: &dyn Source, options: &ScanOptions, start_after: Option<Vec<u8>>) -> Result<Look> {
    let options = ScanOptions { start_after, excludes: options.excludes.fresh(), ..options.clone() };
    let scanner = source.scan(&options).await.map_err(Error::source("listing the source"))?;
    let mut batches = Batches::new(scanner);
    let found = batches.next(PROBE_ENTRIES).await.map_err(Error::source("listing the source"))?;
    let mut keys: Vec<Key> = found.unwrap_or_default().iter().map(|found| found.key().clone()).collect();
    keys.dedup();
    Ok(Look { keys, is_last: batches.is_ended() })
}

/// What a probe told: all keys behind `from`, up to the last of these.
struct Page {
    from: Key,
    keys: Vec<Key>,
    /// Probes behind it since then that found nothing.
    vain: u32,
    /// What lies behind it; none where the next begins there.
    gap: Option<Gap>,
}

impl Page {
    const fn new(from: Key, keys: Vec<Key>) -> Self {
        Self { from, keys, vain: 0, gap: None }
    }

    fn last(&self) -> &Key {
        self.keys.last().unwrap_or(&self.from)
    }

    /// Its last keys.
    fn end(&self) -> &[Key] {
        let keys = self.keys.len();
        let from = (keys / END_PARTS * (END_PARTS - 1)).max(keys.saturating_sub(END_ENTRIES));
        self.keys.get(from..).unwrap_or_default()
    }

    /// Of its last keys those in a folder that lie as deep as the last one: what lies elsewhere goes on in other ways.
    fn end_in(&self, folder: &[char]) -> Vec<Vec<char>> {
        let mut end = alike(self.end().iter().rev(), folder);
        end.reverse();
        end
    }

    /// Of its first keys those in a folder that lie as deep as the first one.
    fn start_in(&self, folder: &[char]) -> Vec<Vec<char>> {
        alike(self.keys.iter().take(self.keys.len().div_ceil(END_PARTS).min(END_ENTRIES)), folder)
    }

    /// Some of its keys in a folder, by which one sees how they are spelled.
    fn spelled_in(&self, folder: &[char]) -> impl Iterator<Item = Vec<char>> {
        let some = self.keys.iter().step_by(self.keys.len().div_ceil(SPELLED).max(1)).chain(self.keys.last());
        some.map(characters).filter(move |key| key.starts_with(folder))
    }
}

/// Keys in a folder, up to the first that lies elsewhere or not as deep as those before.
fn alike<'a>(keys: impl Iterator<Item = &'a Key>, folder: &[char]) -> Vec<Vec<char>> {
    let depth = |key: &[char]| key.iter().filter(|character| **character == '/').count();
    let mut wanted = None;
    keys.map(characters)
        .take_while(|key| key.starts_with(folder) && *wanted.get_or_insert_with(|| depth(key)) == depth(key))
        .collect()
}

/// Between which keys nothing is known, and how many keys are expected there.
struct Gap {
    from: Vec<char>,
    to: Vec<char>,
    /// How keys are spelled in the folder that it is in.
    spelling: Spelling,
    /// Folders above that.
    depth: usize,
    /// None where no page beside it tells.
    density: Option<f64>,
    expected: f64,
    /// How much the two sides differ in what is expected; infinite where they tell too little.
    doubt: f64,
    /// The probe that could come next.
    point: Key,
    aim: Aim,
}

/// What a probe is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Aim {
    /// To see what nobody has seen.
    Unseen,
    /// To see some of the many keys that are expected.
    Expected,
    /// To see that few are there where few are expected.
    Rest,
}

impl Gap {
    /// Where to look in it first, and what for.
    fn look(&self, page: &Page) -> (Key, Aim) {
        let Self { from, to, spelling, .. } = self;
        let shared_by_ends = shared(from, to);
        let skip = |place: usize| behind(from, place).filter(|point| from < point && point < to);
        // All of the page's end lies in this folder: what comes behind it?
        let in_folder = page.end().first().map_or(0, |first| shared(&characters(first), from));
        let slash = (shared_by_ends..in_folder).find(|place| from.get(*place) == Some(&'/'));
        let at_end = || (*to == [END]).then_some(shared_by_ends);
        if let Some(point) = slash.and_then(skip).or_else(|| at_end().and_then(skip)) {
            return (key_of(&point), Aim::Unseen);
        }
        let alone = spelling.only_one_seen(from, shared_by_ends.saturating_add(1));
        let points: Vec<Vec<char>> = alone.into_iter().filter_map(skip).collect();
        if let Some(point) = points.get(points.len() / 2) {
            return (key_of(point), Aim::Unseen);
        }
        let aim = match self.density {
            None => Aim::Unseen,
            Some(_) if self.expected < EXPECTED_MIN => Aim::Rest,
            Some(_) => Aim::Expected,
        };
        let is_short = self.density.is_some() && self.expected < PAGES_MIDDLE * PROBE_ENTRIES as f64;
        let is_middle = aim != Aim::Rest && page.vain < VAIN_MAX && !is_short;
        match is_middle.then(|| spelling.between(from, to, 0.5)).flatten() {
            Some(middle) => (key_of(&middle), aim),
            None if self.density.is_none() => (page.last().clone(), Aim::Rest),
            None => (page.last().clone(), aim),
        }
    }
}

/// How many characters of a key are the folder that all between it and another lies in.
fn folder_of(from: &[char], to: &[char]) -> usize {
    let shared = shared(from, to);
    let is_rest = from.get(shared) == Some(&'/') && behind(from, shared).is_some_and(|behind| behind == to);
    let until = if is_rest { shared.saturating_add(1) } else { shared };
    let slash = from.iter().take(until).rposition(|character| *character == '/');
    slash.map_or(0, |slash| slash.saturating_add(1))
}

/// What is known of a listing.
struct Known {
    /// In order; never empty.
    pages: Vec<Page>,
    /// No key lies behind it.
    end: Key,
}

impl Known {
    fn begin(look: Look) -> Self {
        let Look { keys, is_last } = look;
        let end = if is_last { keys.last().cloned().unwrap_or_default() } else { key_of(&[END]) };
        let mut known = Self { pages: vec![Page::new(Key::default(), keys)], end };
        known.look_again(0..1);
        known
    }

    /// Notes what lies behind some pages.
    fn look_again(&mut self, pages: Range<usize>) {
        for at in pages {
            let gap = self.gap(at);
            if let Some(page) = self.pages.get_mut(at) {
                page.gap = gap;
            }
        }
    }

    /// What lies behind a page, and where to look there first.
    fn gap(&self, at: usize) -> Option<Gap> {
        let (page, next) = (self.pages.get(at)?, self.pages.get(at.saturating_add(1)));
        let (from, to) = (page.last(), next.map_or(&self.end, |next| &next.from));
        if from >= to {
            return None;
        }
        let (from, to) = (characters(from), characters(to));
        let folder = from.get(..folder_of(&from, &to))?;
        let before = at.checked_sub(1).and_then(|before| self.pages.get(before));
        let beside = before.into_iter().chain([page]).chain(next);
        let spelled: Vec<Vec<char>> = beside.flat_map(|page| page.spelled_in(folder)).chain([from.clone()]).collect();
        let spelling = Spelling::of(&spelled, folder.len());
        let density = |from: &[char], keys: &[Vec<char>]| {
            let width = spelling.distance(from, keys.last().filter(|_| keys.len() > 1)?);
            (width > 0.0).then(|| keys.len() as f64 / width)
        };
        let end = page.end_in(folder);
        let before = end.first().and_then(|first| density(first, &end));
        let begin = next.map(|next| characters(&next.from)).filter(|begin| begin.starts_with(folder));
        let start = begin.as_ref().and(next).map(|next| next.start_in(folder)).unwrap_or_default();
        let after = begin.and_then(|begin| density(&begin, &start));
        let width = spelling.distance(&from, &to);
        // Of what lies in folders of its own two sides may be wrong alike.
        let is_flat = end.iter().chain(&start).all(|key| !key.iter().skip(folder.len()).any(|letter| *letter == '/'));
        let doubt = match (before, after) {
            (Some(before), Some(after)) if is_flat => (before - after).abs() * width,
            (Some(one), None) | (None, Some(one)) if is_flat => one * width,
            _ => f64::INFINITY,
        };
        // They may differ by orders of magnitude.
        let density = match (before, after) {
            (Some(before), Some(after)) => Some(before.sqrt() * after.sqrt()),
            (one, other) => one.or(other),
        };
        let expected = width * density.unwrap_or(0.0);
        let depth = folder.iter().filter(|character| **character == '/').count();
        let point = page.last().clone();
        let gap = Gap { from, to, spelling, depth, density, expected, doubt, point, aim: Aim::Rest };
        let (point, aim) = gap.look(page);
        Some(Gap { point, aim, ..gap })
    }

    /// Whether what is known cuts all into so many shares well enough.
    fn is_enough(&self, of: u32) -> bool {
        let gaps = || self.pages.iter().filter_map(|page| page.gap.as_ref());
        let told: usize = self.pages.iter().map(|page| page.keys.len()).sum();
        let share = (told as f64 + gaps().map(|gap| gap.expected).sum::<f64>()) / f64::from(of);
        // They differ by chance, each on its own.
        let doubt = gaps().map(|gap| gap.doubt * gap.doubt).sum::<f64>().sqrt();
        let is_small = |gap: &Gap| gap.aim != Aim::Unseen && gap.expected <= share * GAP_MAX;
        doubt <= share * DOUBT_MAX && gaps().all(is_small)
    }

    /// The probe of that number: behind which page, and behind which key.
    fn next(&self, probe: usize) -> Option<(usize, Key)> {
        let gaps = || self.pages.iter().enumerate().filter_map(|(at, page)| Some((at, page.gap.as_ref()?)));
        let fullest = |(_, one): &(usize, &Gap), (_, other): &(usize, &Gap)| one.expected.total_cmp(&other.expected);
        let highest =
            |one: &(usize, &Gap), other: &(usize, &Gap)| other.1.depth.cmp(&one.1.depth).then(fullest(one, other));
        let unseen = || gaps().filter(|(_, gap)| gap.aim == Aim::Unseen).max_by(highest);
        let chosen = if probe.is_multiple_of(UNSEEN_EVERY) { unseen() } else { None };
        let chosen = chosen.or_else(|| gaps().filter(|(_, gap)| gap.aim != Aim::Rest).max_by(fullest));
        // What is shared least may hide most.
        let chosen = chosen.or_else(|| gaps().min_by_key(|(at, gap)| (shared(&gap.from, &gap.to), *at)));
        chosen.map(|(at, gap)| (at, gap.point.clone()))
    }

    /// Takes the keys that come behind a point in the gap behind a page.
    fn note(&mut self, at: usize, point: Key, look: Look) {
        let Look { mut keys, is_last } = look;
        let next = self.pages.get(at.saturating_add(1));
        let limit = next.map_or(&self.end, |next| &next.from);
        let beyond = keys.iter().position(|key| key > limit);
        keys.truncate(beyond.unwrap_or(keys.len()));
        if let Some(page) = self.pages.get_mut(at) {
            page.vain = if keys.is_empty() { page.vain.saturating_add(1) } else { 0 };
        }
        let meets_next = beyond.is_some() || keys.is_empty();
        match self.pages.get_mut(at.saturating_add(1)) {
            Some(next) if meets_next => {
                next.from = point;
                keys.append(&mut next.keys);
                next.keys = keys;
            }
            None if keys.is_empty() => self.end = point,
            next => {
                if let (None, true, Some(last)) = (next, is_last, keys.last()) {
                    self.end = last.clone();
                }
                self.pages.insert(at.saturating_add(1), Page::new(point, keys));
            }
        }
        self.look_again(at..at.saturating_add(2));
    }

    /// How many keys are taken to lie behind each page. Where nobody has looked yet for what is unseen, no more than elsewhere; none where names are so long
    /// that no number tells.
    fn expected(&self) -> Vec<f64> {
        let gaps = || self.pages.iter().map(|page| page.gap.as_ref().filter(|gap| gap.expected.is_finite()));
        let seen: Vec<f64> = gaps().flatten().filter(|gap| gap.aim == Aim::Expected).map(|gap| gap.expected).collect();
        let usual = if seen.is_empty() { f64::INFINITY } else { seen.iter().sum::<f64>() / seen.len() as f64 };
        let of = |gap: &Gap| if gap.aim == Aim::Unseen { gap.expected.min(usual) } else { gap.expected };
        gaps().map(|gap| gap.map_or(0.0, of)).collect()
    }

    /// The keys that cut all into shares of about the same number.
    fn cut(&self, of: u32) -> Vec<Key> {
        let expected = self.expected();
        let told: usize = self.pages.iter().map(|page| page.keys.len()).sum();
        let guessed: f64 = expected.iter().sum();
        let share = (told as f64 + guessed) / f64::from(of);
        let mut cuts: Vec<Key> = Vec::new();
        let mut before = 0.0;
        for (page, expected) in self.pages.iter().zip(expected) {
            // How far behind what was passed the next border lies.
            let wanted = |cuts: &[Key], before: f64| {
                (cuts.len() + 1 < of as usize).then(|| share * (cuts.len() + 1) as f64 - before)
            };
            let keys = page.keys.len() as f64;
            while let Some(place) = wanted(&cuts, before).filter(|place| *place <= keys)
                && let Some(key) = page.keys.get((place as usize).saturating_sub(1))
            {
                cuts.push(key.clone());
            }
            before += keys;
            let Some(Gap { from, to, spelling, .. }) = &page.gap else { continue };
            while let Some(place) = wanted(&cuts, before).filter(|place| *place <= expected) {
                let between = spelling.between(from, to, (place / expected.max(1.0)).min(1.0));
                cuts.push(between.map_or_else(|| page.last().clone(), |key| key_of(&key)));
            }
            before += expected;
        }
        // They are what ranges are made of: in order, whatever was estimated.
        cuts.sort();
        cuts
    }
}

/// The characters of a key; bytes that are none are taken for one that is.
fn characters(key: &Key) -> Vec<char> {
    String::from_utf8_lossy(key.as_bytes()).chars().collect()
}

fn key_of(characters: &[char]) -> Key {
    Key::new(characters.iter().collect::<String>().into_bytes())
}
