//! Borders: keys that cut a source without a snapshot before into ranges of about equally many entries, by probes of its listing.
//!
//! A probe asks for the keys behind a point. Its page tells how close keys lie there, by how they are spelled (`spelling`), and so how many may lie
//! between it and the next page. Every other probe looks for what nobody has seen: behind the folder that a page ends in, behind all that begins as the last
//! key does, behind characters at places where no other was seen. The others look where the most keys are expected, and last where few are.
//! Borders are right however wrong that is: then some machines have more to do than others.
//!
//! Every process finds the same where it is told the same. All points are made of characters that keys have, and of those next to them.
//!
//! Owned here: that. Refused here: whether the ranges met in the end (`merge`), and ranges by a snapshot (`share`). Called by `shards`.
//!
//! Bound: the keys of [`PROBES`] pages and one, and the borders.

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
const PROBES: usize = 192;
/// Entries asked for by one probe.
const PROBE_ENTRIES: usize = 1000;
/// The part of a page at either end that tells how it goes on there: the rest may be of other folders.
const END_PARTS: usize = 8;
/// Of a page one key of so many tells how keys are spelled.
const SPELLED: usize = 5;
/// Where fewer keys are expected, it is looked last.
const EXPECTED_MIN: f64 = 10.0;
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
    let mut known = Known::begin(page(source, options, None).await?);
    for probe in 0..PROBES {
        let Some((at, point)) = known.next(probe) else { break };
        let keys = page(source, options, Some(point.as_bytes().to_vec())).await?;
        known.note(at, point, keys);
    }
    Ok(known.cut(of))
}

/// The keys that come behind one.
async fn page(source: &dyn Source, options: &ScanOptions, start_after: Option<Vec<u8>>) -> Result<Vec<Key>> {
    let options = ScanOptions { start_after, excludes: options.excludes.fresh(), ..options.clone() };
    let scanner = source.scan(&options).await.map_err(Error::source("listing the source"))?;
    let found = Batches::new(scanner).next(PROBE_ENTRIES).await.map_err(Error::source("listing the source"))?;
    let mut keys: Vec<Key> = found.unwrap_or_default().iter().map(|found| found.key().clone()).collect();
    keys.dedup();
    Ok(keys)
}

/// What a probe told: all keys behind `from`, up to the last of these.
struct Page {
    from: Key,
    keys: Vec<Key>,
    /// Probes behind it since then that found nothing.
    vain: u32,
    /// The probe that could come next behind it.
    look: Option<Look>,
}

impl Page {
    const fn new(from: Key, keys: Vec<Key>) -> Self {
        Self { from, keys, vain: 0, look: None }
    }

    fn last(&self) -> &Key {
        self.keys.last().unwrap_or(&self.from)
    }

    /// Its last keys.
    fn end(&self) -> &[Key] {
        self.keys.get(self.keys.len() / END_PARTS * (END_PARTS - 1)..).unwrap_or_default()
    }

    /// Its first keys.
    fn start(&self) -> &[Key] {
        self.keys.get(..self.keys.len().div_ceil(END_PARTS)).unwrap_or_default()
    }
}

/// Between which keys nothing is known, and how many keys are expected there.
struct Gap {
    from: Vec<char>,
    to: Vec<char>,
    expected: f64,
}

/// A probe that could come next.
struct Look {
    point: Key,
    /// Characters that the ends of the gap share.
    shared: usize,
    expected: f64,
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

/// What is known of a listing.
struct Known {
    /// In order; never empty.
    pages: Vec<Page>,
    /// No key lies behind it.
    end: Key,
    spelling: Spelling,
}

impl Known {
    fn begin(keys: Vec<Key>) -> Self {
        let end = if keys.len() < PROBE_ENTRIES { keys.last().cloned().unwrap_or_default() } else { key_of(&[END]) };
        let mut known = Self { pages: Vec::new(), end, spelling: Spelling::default() };
        known.learn(&keys);
        known.pages.push(Page::new(Key::default(), keys));
        known.look_again(0..1);
        known
    }

    /// Whether anything of how they are spelled is new.
    fn learn(&mut self, keys: &[Key]) -> bool {
        self.spelling.learn(keys.iter().step_by(SPELLED).chain(keys.last()).map(characters))
    }

    /// Notes what could come next behind some pages.
    fn look_again(&mut self, pages: Range<usize>) {
        for at in pages {
            let look = self.look(at);
            if let Some(page) = self.pages.get_mut(at) {
                page.look = look;
            }
        }
    }

    /// How many keys there are for each unit of distance, from a key to the last of these.
    fn density(&self, from: &Key, keys: &[Key]) -> Option<f64> {
        let width = self.spelling.distance(&characters(from), &characters(keys.last()?));
        (width > 0.0).then(|| keys.len() as f64 / width)
    }

    /// What lies behind a page; none where the next begins there.
    fn gap(&self, at: usize) -> Option<Gap> {
        let (page, next) = (self.pages.get(at)?, self.pages.get(at.saturating_add(1)));
        let (from, to) = (page.last(), next.map_or(&self.end, |next| &next.from));
        if from >= to {
            return None;
        }
        let before = page.end().first().and_then(|first| self.density(first, page.end()));
        let after = next.and_then(|next| self.density(&next.from, next.start()));
        // They may be of folders of other depths, and differ by orders of magnitude.
        let density = match (before, after) {
            (Some(before), Some(after)) => (before * after).sqrt(),
            (one, other) => one.or(other).unwrap_or(0.0),
        };
        let (from, to) = (characters(from), characters(to));
        let expected = self.spelling.distance(&from, &to) * density;
        Some(Gap { from, to, expected })
    }

    /// Where to look in a gap first.
    fn look(&self, at: usize) -> Option<Look> {
        let Gap { from, to, expected } = self.gap(at)?;
        let page = self.pages.get(at)?;
        let shared_by_ends = shared(&from, &to);
        let look = |point: Vec<char>| Look { point: key_of(&point), shared: shared_by_ends, expected, aim: Aim::Unseen };
        let skip = |place: usize| behind(&from, place).filter(|point| from < *point && *point < to);
        // All of the page's end lies in this folder: what comes behind it?
        let in_folder = page.end().first().map_or(0, |first| shared(&characters(first), &from));
        let slash = (shared_by_ends..in_folder).find(|place| from.get(*place) == Some(&'/'));
        if let Some(point) = slash.and_then(skip) {
            return Some(look(point));
        }
        if to == [END]
            && let Some(point) = skip(shared_by_ends)
        {
            return Some(look(point));
        }
        let alone = self.spelling.only_one_seen(&from, shared_by_ends.saturating_add(1));
        let points: Vec<Vec<char>> = alone.into_iter().filter_map(skip).collect();
        if let Some(point) = points.get(points.len() / 2) {
            return Some(look(point.clone()));
        }
        let aim = if expected < EXPECTED_MIN { Aim::Rest } else { Aim::Expected };
        let is_middle = aim == Aim::Expected && page.vain < VAIN_MAX;
        let middle = if is_middle { self.spelling.between(&from, &to, 0.5) } else { None };
        let point = middle.map_or_else(|| page.last().clone(), |middle| key_of(&middle));
        Some(Look { point, shared: shared_by_ends, expected, aim })
    }

    /// The probe of that number: behind which page, and behind which key.
    fn next(&self, probe: usize) -> Option<(usize, Key)> {
        let looks = |aim: Aim| {
            let all = self.pages.iter().enumerate().filter_map(|(at, page)| Some((at, page.look.as_ref()?)));
            all.filter(move |(_, look)| look.aim == aim)
        };
        // What is shared least may hide most.
        let widest = |aim: Aim| looks(aim).min_by_key(|(at, look)| (look.shared, *at));
        let fullest = looks(Aim::Expected).max_by(|(_, a), (_, b)| a.expected.total_cmp(&b.expected));
        let chosen = match probe % 2 {
            0 => widest(Aim::Unseen).or(fullest),
            _ => fullest.or_else(|| widest(Aim::Unseen)),
        };
        let chosen = chosen.or_else(|| widest(Aim::Rest));
        chosen.map(|(at, look)| (at, look.point.clone()))
    }

    /// Takes the keys that come behind a point in the gap behind a page.
    fn note(&mut self, at: usize, point: Key, mut keys: Vec<Key>) {
        let is_short = keys.len() < PROBE_ENTRIES;
        let next = self.pages.get(at.saturating_add(1));
        let limit = next.map_or(&self.end, |next| &next.from);
        let beyond = keys.iter().position(|key| key > limit);
        keys.truncate(beyond.unwrap_or(keys.len()));
        let is_new = self.learn(&keys);
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
                if let (None, true, Some(last)) = (next, is_short, keys.last()) {
                    self.end = last.clone();
                }
                self.pages.insert(at.saturating_add(1), Page::new(point, keys));
            }
        }
        self.look_again(if is_new { 0..self.pages.len() } else { at..at.saturating_add(2) });
    }

    /// What lies behind each page. Where nobody has looked yet for what is unseen, as much is expected as elsewhere.
    fn gaps(&self) -> Vec<Option<Gap>> {
        let is_unseen = |page: &Page| page.look.as_ref().is_some_and(|look| look.aim == Aim::Unseen);
        let looks = self.pages.iter().filter(|page| !is_unseen(page)).filter_map(|page| page.look.as_ref());
        let expected: Vec<f64> = looks.map(|look| look.expected).collect();
        let usual = expected.iter().sum::<f64>() / expected.len().max(1) as f64;
        let gap = |(at, page)| {
            let gap = self.gap(at)?;
            let expected = if is_unseen(page) { gap.expected.min(usual) } else { gap.expected };
            Some(Gap { expected, ..gap })
        };
        self.pages.iter().enumerate().map(gap).collect()
    }

    /// The keys that cut all into shares of about the same number.
    fn cut(&self, of: u32) -> Vec<Key> {
        let gaps = self.gaps();
        let told: usize = self.pages.iter().map(|page| page.keys.len()).sum();
        let guessed: f64 = gaps.iter().flatten().map(|gap| gap.expected).sum();
        let share = (told as f64 + guessed) / f64::from(of);
        let mut cuts: Vec<Key> = Vec::new();
        let mut before = 0.0;
        for (page, gap) in self.pages.iter().zip(gaps) {
            // How far behind what was passed the next border lies.
            let wanted =
                |cuts: &[Key], before: f64| (cuts.len() + 1 < of as usize).then(|| share * (cuts.len() + 1) as f64 - before);
            let keys = page.keys.len() as f64;
            while let Some(place) = wanted(&cuts, before).filter(|place| *place <= keys)
                && let Some(key) = page.keys.get((place as usize).saturating_sub(1))
            {
                cuts.push(key.clone());
            }
            before += keys;
            let Some(Gap { from, to, expected }) = gap else { continue };
            while let Some(place) = wanted(&cuts, before).filter(|place| *place <= expected) {
                let between = self.spelling.between(&from, &to, (place / expected.max(1.0)).min(1.0));
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
