//! Random operations on a connector and on a map in memory, which have to agree.
//!
//! What goes wrong is reported with the seed's operations, as few of them as are still wrong on something fresh.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use credenza_model::{Entry, EntryKind, Key, StoreKey};
use futures_util::future::BoxFuture;

use super::destination::{expect_bytes, file, fresh as fresh_destination, write};
use super::operations::carry_out_all;
use super::source::{filled, keys, read, scan, shown};
use super::store::{IF_ABSENT, delete, fresh, get, key, put};
use super::{DestinationBed, OrSay, SourceBed, StoreBed, Told, ensure, expect_class};
use crate::random::Dice;
use crate::{ByteRange, Destination, ErrorClass, Pages, Payload, ScanOptions, Source, Store};

fn pick<'a>(dice: &mut Dice, from: &[&'a str]) -> &'a str {
    from.get(dice.below(from.len() as u64) as usize).copied().unwrap_or_default()
}

/// Bytes that a number and a length say.
fn content(number: u64, length: u64) -> Vec<u8> {
    Dice::new(number).bytes(length)
}

#[derive(Debug, Clone)]
enum Stored {
    Put(&'static str, u64, u64),
    Create(&'static str, u64),
    Get(&'static str, Option<(u64, u64)>),
    Stat(&'static str),
    Delete(&'static str, &'static str),
    List(&'static str, usize),
}

const NAMES: [&str; 10] =
    ["config", "data/00/a", "data/00/b", "data/01/a", "data-", "index/a", "index/b", "key/a", "usage/a", "usage/b"];

fn draw_stored(dice: &mut Dice, has_conditions: bool) -> Stored {
    let name = pick(dice, &NAMES);
    match dice.below(10) {
        0..3 => Stored::Put(name, dice.below(u64::MAX), dice.below(2000)),
        3 if has_conditions => Stored::Create(name, dice.below(u64::MAX)),
        4 => Stored::Get(name, None),
        5 => Stored::Get(name, Some((dice.below(2000), dice.below(500).saturating_add(1)))),
        6 => Stored::Stat(name),
        7 => Stored::Delete(name, pick(dice, &NAMES)),
        _ => Stored::List(pick(dice, &["", "data", "data/0", "index/", "u"]), dice.below(4).saturating_add(1) as usize),
    }
}

/// Operations on a store.
pub(super) async fn store(bed: &(dyn StoreBed + 'static), seed: u64) -> Told {
    let info = fresh(bed).await?.info().await.or_say("info")?;
    let mut dice = Dice::new(seed);
    let operations = (0..250).map(|_| draw_stored(&mut dice, info.has("if-absent"))).collect();
    let has_ranges = info.has("ranged-get");
    let carry_out = |operations: Vec<Stored>| -> BoxFuture<'_, Told> {
        Box::pin(async move {
            let (store, mut model) = (fresh(bed).await?, BTreeMap::new());
            for operation in &operations {
                let done = on_store(&*store, &mut model, operation, has_ranges).await;
                done.map_err(|miss| miss.at(format_args!("{operation:?}")))?;
            }
            Ok(())
        })
    };
    carry_out_all(operations, carry_out).await
}

async fn on_store(
    store: &dyn Store,
    model: &mut BTreeMap<&'static str, Vec<u8>>,
    operation: &Stored,
    has_ranges: bool,
) -> Told {
    match *operation {
        Stored::Put(name, number, length) => {
            put(store, name, &content(number, length)).await?;
            model.insert(name, content(number, length));
        }
        Stored::Create(name, number) => {
            let answer = store.put(&key(name)?, Payload::from(content(number, 10)), &IF_ABSENT).await;
            if model.contains_key(name) {
                return expect_class(answer, ErrorClass::Precondition, "creating it again");
            }
            answer.or_say("creating")?;
            model.insert(name, content(number, 10));
        }
        Stored::Get(name, range) => {
            let Some(bytes) = model.get(name) else {
                return expect_class(store.get(&key(name)?, None, None).await, ErrorClass::NotFound, "get");
            };
            let range = range.filter(|(offset, _)| has_ranges && *offset < bytes.len() as u64);
            let wanted = range.map(|(offset, length)| ByteRange { offset, length: Some(length) });
            let (skip, take) = range.map_or((0, usize::MAX), |(skip, take)| (skip as usize, take as usize));
            let read = get(store, name, wanted).await?;
            return ensure(read.iter().eq(bytes.iter().skip(skip).take(take)), || "it holds other bytes".to_owned());
        }
        Stored::Stat(name) => {
            let answer = store.stat(&key(name)?).await;
            let Some(bytes) = model.get(name) else {
                return expect_class(answer, ErrorClass::NotFound, "stat");
            };
            let size = answer.or_say("stat")?.size;
            return ensure(size == bytes.len() as u64, || format!("of {} bytes {size} are reported", bytes.len()));
        }
        Stored::Delete(one, other) => {
            delete(store, &[one, other]).await?;
            model.remove(one);
            model.remove(other);
        }
        Stored::List(prefix, max) => {
            let expected: Vec<&str> = model.keys().copied().filter(|key| key.starts_with(prefix)).collect();
            let listed = Pages::new(store, prefix).of(max).collect().await.or_say("list")?;
            let found: Vec<&str> = listed.iter().map(|object| StoreKey::as_str(&object.key)).collect();
            return ensure(found == expected, || format!("it lists {found:?} instead of {expected:?}"));
        }
    }
    Ok(())
}

#[derive(Debug, Clone)]
enum Scanned {
    Scan { prefix: String, after: Option<String>, max: usize },
    Level(String),
    Read(u64, Option<(u64, u64)>),
}

const SEGMENTS: [&str; 8] = ["a", "b", "a b", "a-", "B", "0", "\u{e9}", "ab"];

/// Paths of files of one tree: names of folders begin with `f`, which no file's does.
fn draw_paths(dice: &mut Dice) -> BTreeSet<String> {
    let path = |dice: &mut Dice| {
        let folders = (0..dice.below(4)).map(|_| format!("f{}/", pick(dice, &SEGMENTS))).collect::<String>();
        format!("{folders}{}{}", pick(dice, &SEGMENTS), dice.below(3))
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
pub(super) async fn source(bed: &(dyn SourceBed + 'static), seed: u64) -> Told {
    let mut dice = Dice::new(seed);
    let paths: Vec<String> = draw_paths(&mut dice).into_iter().collect();
    let objects: Vec<(Key, Bytes)> =
        paths.iter().map(|path| (Key::from(path.as_str()), content(path.len() as u64, 60).into())).collect();
    let source = filled(bed, &objects).await?;
    let info = source.info().await.or_say("info")?;
    let all = scan(&*source, &ScanOptions::default(), 1000).await?;
    let operations = (0..60).map(|_| draw_scanned(&mut dice, &paths)).collect();
    let world = World { source: &*source, all: &all, objects: &objects, info: &info };
    let carry_out = |operations: Vec<Scanned>| -> BoxFuture<'_, Told> {
        let world = &world;
        Box::pin(async move {
            for operation in &operations {
                world.expect(operation).await.map_err(|miss| miss.at(format_args!("{operation:?}")))?;
            }
            Ok(())
        })
    };
    carry_out_all(operations, carry_out).await
}

struct World<'a> {
    source: &'a dyn Source,
    all: &'a [Entry],
    objects: &'a [(Key, Bytes)],
    info: &'a crate::SourceInfo,
}

impl World<'_> {
    async fn expect(&self, operation: &Scanned) -> Told {
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

#[derive(Debug, Clone)]
enum Restored {
    Write(&'static str, u64, u64),
    Replace(&'static str, u64, u64),
    GiveUp(&'static str),
    Stat(&'static str),
    Describe(&'static str),
}

const FILES: [&str; 6] = ["a", "b/a", "b/c/a", "b/c/b", "d e/f", "z"];

fn draw_restored(dice: &mut Dice) -> Restored {
    let name = pick(dice, &FILES);
    match dice.below(7) {
        0 | 1 => Restored::Write(name, dice.below(u64::MAX), dice.below(3000)),
        2 | 3 => Restored::Replace(name, dice.below(u64::MAX), dice.below(3000)),
        4 => Restored::GiveUp(name),
        5 => Restored::Stat(name),
        _ => Restored::Describe(name),
    }
}

/// Operations on a destination.
pub(super) async fn destination(bed: &(dyn DestinationBed + 'static), seed: u64) -> Told {
    let mut dice = Dice::new(seed);
    let operations = (0..80).map(|_| draw_restored(&mut dice)).collect();
    let carry_out = |operations: Vec<Restored>| -> BoxFuture<'_, Told> {
        Box::pin(async move {
            let (destination, mut model) = (fresh_destination(bed).await?, BTreeMap::new());
            for operation in &operations {
                let done = on_destination(&*destination, &mut model, operation).await;
                done.map_err(|miss| miss.at(format_args!("{operation:?}")))?;
            }
            for (name, bytes) in &model {
                expect_bytes(bed, &Key::from(*name), bytes).await?;
            }
            Ok(())
        })
    };
    carry_out_all(operations, carry_out).await
}

async fn on_destination(
    destination: &dyn Destination,
    model: &mut BTreeMap<&'static str, Vec<u8>>,
    operation: &Restored,
) -> Told {
    match *operation {
        Restored::Write(name, number, length) if !model.contains_key(name) => {
            write(destination, &file(name), &content(number, length), false).await?;
            model.insert(name, content(number, length));
        }
        Restored::Write(name, number, length) => {
            let refused = match destination.create(&file(name), false).await {
                Ok(Some(mut writer)) => {
                    let finished = writer.finish(Payload::from(content(number, length))).await.map(drop);
                    writer.abort().await;
                    finished
                }
                other => other.map(drop),
            };
            return expect_class(refused, ErrorClass::Precondition, "writing what is there");
        }
        Restored::Replace(name, number, length) => {
            write(destination, &file(name), &content(number, length), true).await?;
            model.insert(name, content(number, length));
        }
        Restored::GiveUp(name) => {
            let is_there = model.contains_key(name);
            if let Some(writer) = destination.create(&file(name), true).await.or_say("creating")? {
                writer.abort().await;
            }
            let found = destination.stat(&Key::from(name)).await.or_say("stat")?;
            return ensure(found.is_some() == is_there, || "giving up changed what is there".to_owned());
        }
        Restored::Stat(name) => {
            let found = destination.stat(&Key::from(name)).await.or_say("stat")?;
            let (reported, expected) =
                (found.map(|entry| entry.size), model.get(name).map(|bytes| Some(bytes.len() as u64)));
            return ensure(reported == expected, || format!("it is reported as {reported:?} instead of {expected:?}"));
        }
        Restored::Describe(name) => {
            let entry = Entry::new(Key::from(name), EntryKind::File);
            let answers = destination.set_metadata(std::slice::from_ref(&entry)).await.or_say("set_metadata")?;
            ensure(answers.len() == 1, || format!("one entry has {} answers", answers.len()))?;
        }
    }
    Ok(())
}
