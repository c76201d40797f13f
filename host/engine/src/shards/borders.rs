//! Borders: keys that cut a source into ranges of about equally many entries.
//!
//! Owned here: finding them, the same wherever the same is seen. Refused here: whether the ranges met in the end (`merge`). Called by `shards`.
//!
//! With a snapshot before, its tree counts the entries below each node: a border costs one node a level. Without, the listing is probed: a page
//! of it tells how close keys lie there, and where the most keys are expected between two pages is probed next. Borders are right
//! however wrong that is: then some machines have more to do than others. Probes are printable ASCII, as every server takes it; what else
//! there is between two pages is not cut.
//!
//! Bound: the keys of [`PROBES`] pages and one, and the borders.

use credenza_connect::{Batches, ScanOptions, Source};
use credenza_model::Key;

use crate::share::{KeyRange, Share};
use crate::{Error, Result};

/// Pages of a listing that are looked at.
const PROBES: usize = 64;
/// Entries asked for by one probe.
const PROBE_ENTRIES: usize = 1000;
/// Bytes of two keys behind what they have in common by which the distance between them is taken.
const PLACE_BYTES: usize = 8;
/// Behind all keys: the last character there is.
const END: &str = "\u{10ffff}";

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
    let first = Page { from: Key::default(), keys: page(source, options, None).await? };
    let mut known = Known { pages: vec![first], end: Key::from(END) };
    for _ in 0..PROBES {
        let Some((at, point)) = known.next() else { break };
        let keys = page(source, options, Some(point.as_bytes().to_vec())).await?;
        known.note(at, point, keys);
    }
    let mut borders = known.cut(of);
    // They are what ranges are made of: in order, whatever was estimated.
    borders.sort();
    Ok(borders)
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
}

impl Page {
    fn last(&self) -> &Key {
        self.keys.last().unwrap_or(&self.from)
    }

    /// How close keys lie in its last half: what came before may be of another folder, far away.
    fn density_at_end(&self) -> Option<f64> {
        let half = self.keys.get(self.keys.len() / 2..)?;
        density(half.first()?, half)
    }

    /// How close keys lie in its first half and before that, where the probe found none.
    fn density_at_start(&self) -> Option<f64> {
        density(&self.from, self.keys.get(..self.keys.len().div_ceil(2))?)
    }
}

/// What is known of a listing.
struct Known {
    /// In order; never empty.
    pages: Vec<Page>,
    /// No key lies behind it.
    end: Key,
}

impl Known {
    /// Between which keys nothing is known behind a page, and how many keys are expected there.
    fn gap(&self, at: usize) -> Option<(&Key, &Key, f64)> {
        let (page, next) = (self.pages.get(at)?, self.pages.get(at.saturating_add(1)));
        let (from, to) = (page.last(), next.map_or(&self.end, |next| &next.from));
        let beside = [page.density_at_end(), next.and_then(Page::density_at_start)];
        let densities: Vec<f64> = beside.into_iter().flatten().collect();
        let density = densities.iter().sum::<f64>() / densities.len().max(1) as f64;
        Some((from, to, if from < to { distance(from, to) * density } else { 0.0 }))
    }

    /// Where to probe next, behind which page: where the most keys are expected.
    fn next(&self) -> Option<(usize, Key)> {
        let probable = (0..self.pages.len()).filter_map(|at| {
            let (from, to, keys) = self.gap(at)?;
            (keys > PROBE_ENTRIES as f64).then_some(())?;
            Some((at, between(from, to)?, keys))
        });
        probable.max_by(|(.., a), (.., b)| a.total_cmp(b)).map(|(at, point, _)| (at, point))
    }

    /// Takes the keys that come behind a point in the gap behind a page.
    fn note(&mut self, at: usize, point: Key, mut keys: Vec<Key>) {
        let next = self.pages.get(at.saturating_add(1));
        let limit = next.map_or(&self.end, |next| &next.from);
        let beyond = keys.iter().position(|key| key > limit);
        keys.truncate(beyond.unwrap_or(keys.len()));
        let meets_next = beyond.is_some() || keys.is_empty();
        match self.pages.get_mut(at.saturating_add(1)).filter(|_| meets_next) {
            Some(next) => {
                next.from = point;
                keys.append(&mut next.keys);
                next.keys = keys;
            }
            None if keys.is_empty() => self.end = point,
            None => self.pages.insert(at.saturating_add(1), Page { from: point, keys }),
        }
    }

    /// The keys that cut all into shares of about the same number.
    fn cut(&self, of: u32) -> Vec<Key> {
        let told: usize = self.pages.iter().map(|page| page.keys.len()).sum();
        let guessed: f64 = (0..self.pages.len()).filter_map(|at| self.gap(at)).map(|(.., keys)| keys).sum();
        let share = (told as f64 + guessed) / f64::from(of);
        let mut cuts = Vec::new();
        let mut before = 0.0;
        for (at, page) in self.pages.iter().enumerate() {
            let keys = page.keys.len() as f64;
            let wanted = |cuts: &Vec<Key>| (cuts.len() + 1 < of as usize).then_some(share * (cuts.len() + 1) as f64);
            while let Some(place) = wanted(&cuts).map(|wanted| wanted - before).filter(|place| *place <= keys)
                && let Some(key) = page.keys.get((place as usize).saturating_sub(1))
            {
                cuts.push(key.clone());
            }
            before += keys;
            let Some((from, to, keys)) = self.gap(at) else { break };
            while let Some(place) = wanted(&cuts).map(|wanted| wanted - before).filter(|place| *place <= keys) {
                cuts.push(point(from, to, (place / keys.max(1.0)).clamp(0.0, 1.0)).unwrap_or_else(|| from.clone()));
            }
            before += keys;
        }
        cuts
    }
}

/// How many first bytes two keys have in common.
fn shared(from: &Key, to: &Key) -> usize {
    from.as_bytes().iter().zip(to.as_bytes()).take_while(|(a, b)| a == b).count()
}

/// The bytes of a key from one on, as a number.
fn place(key: &Key, from: usize) -> u64 {
    let mut place = [0; PLACE_BYTES];
    let bytes = key.as_bytes().get(from..).unwrap_or_default();
    place.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    u64::from_be_bytes(place)
}

/// How far apart two keys are, where all keys are the numbers between 0 and 1 of which they are the digits.
fn distance(from: &Key, to: &Key) -> f64 {
    let shared = shared(from, to);
    let digits = i32::try_from(shared).unwrap_or(i32::MAX).min(100);
    place(to, shared).saturating_sub(place(from, shared)) as f64 * 256.0_f64.powi(-digits)
}

/// Keys for each unit of distance from a key to the last of these, where there is some.
fn density(from: &Key, keys: &[Key]) -> Option<f64> {
    let width = distance(from, keys.last()?);
    (width > 0.0).then(|| keys.len() as f64 / width)
}

/// A key between two that is printable ASCII behind what they share, if there is one: at a share of the distance.
fn point(from: &Key, to: &Key, share: f64) -> Option<Key> {
    let shared = shared(from, to);
    let prefix = from.as_bytes().get(..shared).filter(|prefix| prefix.is_ascii())?;
    let (low, high) = (place(from, shared), place(to, shared));
    let wanted = low.saturating_add((high.saturating_sub(low) as f64 * share) as u64);
    let mut key = prefix.to_vec();
    let mut is_capped = false;
    for byte in wanted.to_be_bytes() {
        is_capped |= byte > b'~';
        match byte {
            _ if is_capped => key.push(b'~'),
            b' '.. => key.push(byte),
            _ => break,
        }
    }
    Some(Key::new(key)).filter(|key| from < key && key < to)
}

/// Where to look between two keys. Of a long key in a folder whose neighbour is far away half of what they do not share is kept: so the folder in
/// which the keys end that lie close to it is found by few probes, however deep it is. Of a long name alone that would be right behind it.
fn between(from: &Key, to: &Key) -> Option<Key> {
    let shared = shared(from, to);
    let plain = from.as_bytes().iter().take_while(|byte| (b' '..b'~').contains(*byte)).count();
    let own = from.as_bytes().get(shared..plain).unwrap_or_default();
    let deep = (own.len() > PLACE_BYTES && own.contains(&b'/'))
        .then(|| from.as_bytes().get(..shared.saturating_add(own.len() / 2)))
        .flatten()
        .map(|kept| Key::new([kept, b"~"].concat()))
        .filter(|key| from < key && key < to);
    deep.or_else(|| point(from, to, 0.5))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_two_folders_tells_at_each_end_how_close_keys_lie_there() {
        let folders = ["data/a", "data/letters/of/a/long/name"];
        let keys = (0..20_usize)
            .map(|number| Key::new(format!("{}/{number:02}", folders[number / 10]).into_bytes()))
            .collect();
        let page = Page { from: Key::default(), keys };
        let across = density(&"data/a/00".into(), &page.keys);
        assert!(page.density_at_end() > across && page.density_at_start() < page.density_at_end());
    }

    #[test]
    fn behind_a_long_name_it_is_looked_far_away_and_behind_a_deep_folder_close_by() {
        let name: Key = "0290c5e1f7a84d53b6029c5e1f7a84d5".into();
        let point = between(&name, &"~".into()).unwrap();
        assert!(!point.as_bytes().starts_with(b"0"), "{point}");
        let deep: Key = "data/letters/of/a/long/name/00000667".into();
        let point = between(&deep, &END.into()).unwrap();
        assert!(point.as_bytes().starts_with(b"data/letters"), "{point}");
    }
}
