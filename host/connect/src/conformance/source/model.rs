//! Random operations on a source and on a map in memory, which have to agree.
//!
//! What goes wrong is reported with the seed's operations, as few of them as are still wrong on something fresh.

use std::collections::BTreeSet;

use async_trait::async_trait;
use bytes::Bytes;
use credenza_model::{Entry, Key};

use super::super::operations::{Model, agree, content, pick};
use super::super::{OrSay, Told, ensure};
use super::{SourceBed, filled, keys, read, scan, shown};
use crate::random::Dice;
use crate::{ByteRange, ScanOptions, Source};

#[derive(Debug, Clone)]
enum Scanned {
    Scan { prefix: String, after: Option<String>, max: usize },
    Level(String),
    Read(u64, Option<(u64, u64)>),
}

const SEGMENTS: [&str; 8] = ["a", "b", "a b", "a-", "B", "0", "\u{e9}", "ab"];

/// Paths of files of one tree: names of folders begin with `f`, which no file's does.
fn draw_paths(dice: &mut Dice, segments: &[&str]) -> BTreeSet<String> {
    let path = |dice: &mut Dice| {
        let folders = (0..dice.below(4)).map(|_| format!("f{}/", pick(dice, segments))).collect::<String>();
        format!("{folders}{}{}", pick(dice, segments), dice.below(3))
    };
    (0..40).map(|_| path(dice)).collect()
}

/// The front of a text up to so many characters.
fn front(text: &str, characters: u64) -> String {
    text.chars().take(characters as usize).collect()
}

fn draw_scanned(dice: &mut Dice, paths: &[String]) -> Scanned {
    let path = |dice: &mut Dice| paths.get(dice.below(paths.len() as u64) as usize).cloned().unwrap_or_default();
    let (one, other, length) = (path(dice), path(dice), dice.below(8));
    match dice.below(4) {
        0 => Scanned::Scan { prefix: front(&one, length), after: None, max: dice.below(9).saturating_add(1) as usize },
        1 => Scanned::Scan { prefix: front(&one, length / 3), after: Some(other), max: 5 },
        2 => Scanned::Level(front(&one, length)),
        _ => Scanned::Read(dice.below(paths.len() as u64), Some((dice.below(60), dice.below(60).saturating_add(1)))),
    }
}

/// Scans and reads of a source that holds random files.
pub(super) async fn model(bed: &(dyn SourceBed + 'static), seed: u64) -> Told {
    let mut dice = Dice::new(seed);
    let segments: Vec<&str> = SEGMENTS.into_iter().filter(|segment| bed.holds(&Key::from(*segment))).collect();
    let paths: Vec<String> = draw_paths(&mut dice, &segments).into_iter().collect();
    let objects: Vec<(Key, Bytes)> =
        paths.iter().map(|path| (Key::from(path.as_str()), content(path.len() as u64, 60).into())).collect();
    let source = filled(bed, &objects).await?;
    let info = source.info().await.or_say("info")?;
    let all = scan(&*source, &ScanOptions::default(), 1000).await?;
    let operations = (0..60).map(|_| draw_scanned(&mut dice, &paths)).collect();
    let world = World { source: &*source, all: &all, objects: &objects, info: &info };
    agree(operations, || Box::pin(async move { Ok(world) })).await
}

/// Nothing changes in it.
#[derive(Clone, Copy)]
struct World<'a> {
    source: &'a dyn Source,
    all: &'a [Entry],
    objects: &'a [(Key, Bytes)],
    info: &'a crate::SourceInfo,
}

#[async_trait]
impl Model<Scanned> for World<'_> {
    async fn expect(&mut self, operation: &Scanned) -> Told {
        match operation {
            Scanned::Scan { prefix, after, max } => {
                let after = after.as_ref().filter(|_| self.info.has("start-after"));
                let options = ScanOptions {
                    prefix: prefix.clone().into_bytes(),
                    start_after: after.map(|after| after.clone().into_bytes()),
                    ..ScanOptions::default()
                };
                let found = scan(self.source, &options, *max).await?;
                let is_wanted = |key: &&Key| {
                    key.as_bytes().starts_with(prefix.as_bytes())
                        && after.is_none_or(|after| key.as_bytes() > after.as_bytes())
                };
                let expected: BTreeSet<&Key> = keys(self.all).into_iter().filter(is_wanted).collect();
                let found: BTreeSet<&Key> = keys(&found).into_iter().collect();
                ensure(found == expected, || format!("it finds {found:?} instead of {expected:?}"))
            }
            Scanned::Level(prefix) => {
                let options =
                    ScanOptions { prefix: prefix.clone().into_bytes(), one_level: true, ..ScanOptions::default() };
                let entries = scan(self.source, &options, 100).await?;
                let found: BTreeSet<&[u8]> = entries.iter().map(|entry| entry.key.as_bytes()).collect();
                let expected: BTreeSet<&[u8]> =
                    self.all.iter().filter_map(|entry| shown(entry.key.as_bytes(), prefix.as_bytes())).collect();
                ensure(found == expected, || format!("it shows {:?}", keys(&entries)))
            }
            Scanned::Read(number, range) => {
                let Some((key, bytes)) = self.objects.get(*number as usize) else { return Ok(()) };
                let Some(entry) = self.all.iter().find(|entry| entry.key == *key) else {
                    return Err(format!("`{key}` is not listed").into());
                };
                let range = range.filter(|_| self.info.has("ranged-read"));
                let wanted = range.map(|(offset, length)| ByteRange { offset, length: Some(length) });
                let found = read(self.source, entry, wanted).await?;
                let (skip, take) = range.map_or((0, usize::MAX), |(skip, take)| (skip as usize, take as usize));
                let is_right = found.iter().eq(bytes.iter().skip(skip).take(take));
                ensure(is_right, || format!("`{key}` holds other bytes"))
            }
        }
    }
}
