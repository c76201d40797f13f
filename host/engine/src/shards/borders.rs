//! Borders: keys that cut a source into ranges of about equally many entries.
//!
//! Owned here: finding them, the same wherever the same is seen. Refused here: whether the ranges met in the end (`merge`). Called by `shards`.
//!
//! With a snapshot before, its tree counts the entries below each node: a border costs one node a level. Without, the listing is probed: a page
//! of it tells how close keys lie there, and the widest stretch between two pages is probed next. That finds borders that are right
//! however wrong the estimate: then some machines have more to do than others.
//!
//! Bound: [`PROBES`] pages, of which two keys each are kept, and the borders.

use credenza_connect::{Batches, ScanOptions, Source};
use credenza_format::{Node, TreeRoot};
use credenza_model::Key;

use crate::blobs::BlobLoader;
use crate::{Damage, DamageKind, Error, Result};

/// Pages of a listing that are looked at.
const PROBES: usize = 64;
/// Entries asked for by one probe.
const PROBE_ENTRIES: usize = 1000;
/// Bytes of a key behind what all have in common that its place is taken from.
const PLACE_BYTES: usize = 8;
/// Behind every key that begins with what stands before it: the last character there is.
const BEHIND_ALL: &[u8] = "\u{10ffff}".as_bytes();
/// The last place that is probed. Whatever is not ASCII lies in the last range.
const LAST_PLACE: u64 = u64::from_be_bytes([b'~'; PLACE_BYTES]);

/// The last keys of the first `of - 1` ranges, by a snapshot; fewer where it has nothing.
pub(super) async fn of_tree(loader: &BlobLoader, root: &TreeRoot, of: u32) -> Result<Vec<Key>> {
    let mut borders = Vec::new();
    for number in 1..of {
        let share = u128::from(root.entries).saturating_mul(u128::from(number)) / u128::from(of);
        let entry = u64::try_from(share).unwrap_or(u64::MAX);
        match key_at(loader, root, entry.saturating_sub(1)).await? {
            Some(key) => borders.push(key),
            None => break,
        }
    }
    Ok(borders)
}

/// The key of the record of that number.
async fn key_at(loader: &BlobLoader, root: &TreeRoot, mut number: u64) -> Result<Option<Key>> {
    let (mut id, mut level) = (root.id, root.level);
    loop {
        let bytes = loader.load_one(id).await?;
        let node = Node::decode(&bytes, level)
            .map_err(|cause| Damage::of_chunk("tree", DamageKind::Invalid, id, cause.to_string()))?;
        match node {
            Node::Leaf(records) => {
                let place = usize::try_from(number).unwrap_or(usize::MAX);
                return Ok(records.into_iter().nth(place).map(|record| record.entry.key));
            }
            Node::Inner(children) => {
                let mut below = None;
                for child in children {
                    if number < child.entries {
                        below = Some(child.id);
                        break;
                    }
                    number -= child.entries;
                }
                let Some(below) = below else { return Ok(None) };
                (id, level) = (below, level.saturating_sub(1));
            }
        }
    }
}

/// The same by probes of the listing; fewer where it has fewer keys.
pub(super) async fn of_listing(source: &dyn Source, options: &ScanOptions, of: u32) -> Result<Vec<Key>> {
    let probe = Probe { source, options };
    let first = probe.behind(None).await?;
    let Some(lowest) = first.keys.first().filter(|_| of > 1) else { return Ok(Vec::new()) };
    if first.is_last {
        let share = |number: u32| (first.keys.len() as u64).saturating_mul(u64::from(number)) / u64::from(of);
        let key = |number: u32| first.keys.get(usize::try_from(share(number)).ok()?.saturating_sub(1)).cloned();
        return Ok((1..of).filter_map(key).collect());
    }
    let shared = shared_by_all(&probe, lowest).await?;
    let prefix = lowest.as_bytes().get(..shared).unwrap_or_default();
    let mut stretches = Stretches { known: vec![Stretch::of(&first.keys, shared)], end: LAST_PLACE };
    for _ in 0..PROBES {
        let Some((at, middle)) = stretches.widest() else { break };
        let page = probe.behind(Some(key_of(prefix, middle).into_bytes())).await?;
        stretches.note(at, middle, &page.keys, shared);
    }
    Ok(stretches.cut(of).into_iter().map(|place| key_of(prefix, place)).collect())
}

/// How many first bytes of the lowest key all keys begin with.
async fn shared_by_all(probe: &Probe<'_>, lowest: &Key) -> Result<usize> {
    let (mut shared, mut beyond) = (0, lowest.as_bytes().iter().take_while(|byte| byte.is_ascii()).count());
    while shared < beyond {
        let tried = shared + (beyond - shared).div_ceil(2);
        let behind = [lowest.as_bytes().get(..tried).unwrap_or_default(), BEHIND_ALL].concat();
        if probe.behind(Some(behind)).await?.keys.is_empty() {
            shared = tried;
        } else {
            beyond = tried.saturating_sub(1);
        }
    }
    Ok(shared)
}

struct Probe<'a> {
    source: &'a dyn Source,
    options: &'a ScanOptions,
}

/// A page of the listing.
struct Page {
    keys: Vec<Key>,
    /// Whether nothing follows, as far as the page tells.
    is_last: bool,
}

impl Probe<'_> {
    async fn behind(&self, start_after: Option<Vec<u8>>) -> Result<Page> {
        let options = ScanOptions { start_after, excludes: self.options.excludes.fresh(), ..self.options.clone() };
        let scanner = self.source.scan(&options).await.map_err(Error::source("listing the source"))?;
        let found = Batches::new(scanner).next(PROBE_ENTRIES).await.map_err(Error::source("listing the source"))?;
        let is_last = found.as_ref().is_none_or(|found| found.len() < PROBE_ENTRIES);
        let mut keys: Vec<Key> = found.unwrap_or_default().iter().map(|found| found.key().clone()).collect();
        keys.dedup();
        Ok(Page { keys, is_last })
    }
}

/// A stretch of keys that a page told.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    first: u64,
    last: u64,
    keys: u64,
}

impl Stretch {
    fn of(keys: &[Key], shared: usize) -> Self {
        let place = |key: Option<&Key>| key.map_or(0, |key| place_of(key, shared));
        Self { first: place(keys.first()), last: place(keys.last()), keys: keys.len() as u64 }
    }

    /// Keys for each place.
    fn density(self) -> f64 {
        self.keys as f64 / (self.last.saturating_sub(self.first).max(1)) as f64
    }
}

/// What is known of a listing, by the places of its keys.
struct Stretches {
    /// In order; never empty.
    known: Vec<Stretch>,
    /// No key lies here or behind.
    end: u64,
}

impl Stretches {
    /// The widest gap behind a stretch, by that stretch's number, and the middle of it.
    fn widest(&self) -> Option<(usize, u64)> {
        let nexts = self.known.iter().skip(1).map(|stretch| stretch.first).chain([self.end]);
        let gaps =
            self.known.iter().zip(nexts).map(|(stretch, next)| (stretch.last, next.saturating_sub(stretch.last)));
        let (at, (from, gap)) = gaps.enumerate().max_by_key(|(at, (_, gap))| (*gap, std::cmp::Reverse(*at)))?;
        // As a key of that place is understood.
        let middle = place_of(&key_of(&[], from.saturating_add(gap / 2)), 0);
        (middle > from).then_some((at, middle))
    }

    /// Takes what was told behind the middle of the gap behind a stretch.
    fn note(&mut self, at: usize, middle: u64, keys: &[Key], shared: usize) {
        let next = self.known.get(at.saturating_add(1)).copied();
        let limit = next.map_or(self.end, |next| next.first);
        let own: Vec<Key> = keys.iter().take_while(|key| place_of(key, shared) < limit).cloned().collect();
        let found = if own.is_empty() {
            // Nothing lies from the middle on.
            Stretch { first: middle, last: limit, keys: 0 }
        } else {
            // Nothing lies between the middle and the first of them.
            Stretch { first: middle, ..Stretch::of(&own, shared) }
        };
        match (own.is_empty(), next) {
            (true, None) => self.end = middle,
            _ => self.known.insert(at.saturating_add(1), found),
        }
    }

    /// The places that cut all into shares of about the same number of keys.
    fn cut(&self, of: u32) -> Vec<u64> {
        let mut pieces: Vec<(u64, u64, f64)> = Vec::new();
        for (at, stretch) in self.known.iter().enumerate() {
            pieces.push((stretch.first, stretch.last, stretch.keys as f64));
            let next = self.known.get(at.saturating_add(1));
            let (end, density) = match next {
                Some(next) => (next.first, f64::midpoint(stretch.density(), next.density())),
                None => (self.end, stretch.density()),
            };
            pieces.push((stretch.last, end, end.saturating_sub(stretch.last) as f64 * density));
        }
        let all: f64 = pieces.iter().map(|(.., keys)| keys).sum();
        let mut cuts = Vec::new();
        let mut before = 0.0;
        for (first, last, keys) in pieces {
            while cuts.len() + 1 < of as usize {
                let wanted = all * (cuts.len() + 1) as f64 / f64::from(of) - before;
                if wanted > keys || keys <= 0.0 {
                    break;
                }
                let width = last.saturating_sub(first) as f64;
                cuts.push(first.saturating_add((width * (wanted / keys)) as u64));
            }
            before += keys;
        }
        cuts
    }
}

/// Where a key lies among those that have its first bytes in common.
fn place_of(key: &Key, shared: usize) -> u64 {
    let mut place = [0; PLACE_BYTES];
    let bytes = key.as_bytes().get(shared..).unwrap_or_default();
    place.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    u64::from_be_bytes(place)
}

/// A key at a place, or as near before it as every server takes one: of printable ASCII behind the prefix. Of two places the later has no
/// earlier key.
fn key_of(prefix: &[u8], place: u64) -> Key {
    let mut key = prefix.to_vec();
    let mut is_capped = false;
    for byte in place.to_be_bytes() {
        is_capped |= byte > b'~';
        match byte {
            _ if is_capped => key.push(b'~'),
            b' '.. => key.push(byte),
            _ => break,
        }
    }
    Key::new(key)
}
