//! A source at a hostile server: what is listed is all that is there, and what is read is what was listed.

use std::collections::BTreeMap;

use bytes::Bytes;
use credenza_connect::conformance::SourceBed;
use credenza_connect::random::Dice;
use credenza_connect::wrap::Retry;
use credenza_connect::{Batches, ByteRange, Found, Result, ScanOptions, Source, Verifier};
use credenza_model::{Entry, EntryKind, Key};

use super::Scene;
use super::verdict::{Verdict, ensure, honestly};

/// A content that does not fit a packet.
const LARGE_BYTES: u64 = 200_000;
/// No listing of so few names is longer.
const ENTRIES_MAX: usize = 10_000;

pub(super) async fn play(scene: &Scene) -> Verdict {
    let there = contents(scene.seed);
    let objects: Vec<(Key, Bytes)> = there.iter().map(|(key, bytes)| (key.clone(), bytes.clone())).collect();
    let bare = honestly("filling a source", scene.bed.filled(&objects).await)?;
    let source = Retry::new(bare, scene.policy);
    let info = honestly("asking what it is", source.info().await)?;
    let known = honestly("a scan", scan(&source).await)?.0;
    scene.begin();
    if let Some((entries, skipped)) = scene.read("a scan", scan(&source).await)? {
        compare(&there, &entries, &skipped)?;
    }
    for entry in known.iter().filter(|entry| entry.kind == EntryKind::File) {
        let act = format!("reading `{}`", entry.key);
        let whole = there.get(&entry.key).cloned().unwrap_or_default();
        if let Some(read) = scene.read(&act, read(&source, entry, None).await)? {
            ensure(read == whole, || format!("{act} gives {} other bytes instead of {}", read.len(), whole.len()))?;
        }
        if info.has("ranged-read") && whole.len() > 10 {
            let range = ByteRange { offset: 3, length: Some(5) };
            if let Some(read) = scene.read(&act, read(&source, entry, Some(range)).await)? {
                ensure(read == whole.slice(3..8), || format!("{act} in part gives {} other bytes", read.len()))?;
            }
        }
    }
    Ok(())
}

/// What is there: names that need escaping, an empty content, small ones, and one that comes in pieces.
fn contents(seed: u64) -> BTreeMap<Key, Bytes> {
    let mut dice = Dice::new(seed);
    let few = ["a", "b/c/d & <e>", "b/caf\u{e9} x", "z/y"].map(str::to_owned);
    let many = (0..9).map(|number| format!("many/{number}"));
    let small = few.into_iter().chain(many).map(|name| (name, 40));
    let names = small.chain([("b/empty".to_owned(), 0), ("large".to_owned(), LARGE_BYTES)]);
    names.map(|(name, length)| (Key::from(name.as_str()), Bytes::from(dice.bytes(length)))).collect()
}

/// Everything that a scan finds, and what it says of what it passes over.
async fn scan(source: &Retry<dyn Source>) -> Result<(Vec<Entry>, Vec<String>)> {
    let mut batches = Batches::new(source.scan(&ScanOptions::default()).await?);
    let (mut entries, mut skipped) = (Vec::new(), Vec::new());
    while let Some(batch) = batches.next(5).await? {
        for found in batch {
            match found {
                Found::Entry(entry) => entries.push(entry),
                Found::Skipped(entry) => skipped.push(entry.reason),
            }
        }
        if entries.len() > ENTRIES_MAX {
            break;
        }
    }
    Ok((entries, skipped))
}

fn compare(there: &BTreeMap<Key, Bytes>, entries: &[Entry], skipped: &[String]) -> Verdict {
    let is_told = skipped.iter().all(|reason| !reason.trim().is_empty());
    ensure(is_told, || "a scan passes over a name without a word".to_owned())?;
    let mut listed = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.kind == EntryKind::File) {
        let is_new = listed.insert(&entry.key, entry).is_none();
        ensure(is_new, || format!("a scan lists `{}` twice", entry.key))?;
        let real = there.get(&entry.key);
        let Some(real) = real else { return Err(format!("a scan lists `{}`, which is not there", entry.key)) };
        let is_right = entry.size.is_none_or(|size| size == real.len() as u64);
        ensure(is_right, || format!("a scan lists `{}` with a size that it has not", entry.key))?;
    }
    let missing = there.keys().find(|key| !listed.contains_key(key));
    match missing.filter(|_| skipped.is_empty()) {
        Some(key) => Err(format!("a scan that succeeds does not list `{key}`")),
        None => Ok(()),
    }
}

/// Reads as a backup does: under the condition of the listing, and held against the checksum that is stated.
async fn read(source: &Retry<dyn Source>, entry: &Entry, range: Option<ByteRange>) -> Result<Bytes> {
    let opened = source.read(entry, range, entry.fingerprint.as_deref()).await?;
    let verifier = Verifier::new(&opened.entry.checksums).filter(|_| range.is_none());
    let body = match verifier {
        Some(verifier) => opened.body.verified(verifier),
        None => opened.body,
    };
    body.read_all(LARGE_BYTES.saturating_mul(2)).await
}
