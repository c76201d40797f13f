//! The cases of a source.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use credenza_model::{Entry, EntryKind, Key};

use super::keys::{hard_keys, tree_keys};
use super::{Case, CaseResult, OrSay, Verdict, ensure, expect_class, run, unopened};
use crate::random::Dice;
use crate::{Batches, ByteRange, ErrorClass, Found, Result, ScanOptions, Source};

/// Makes sources to test, and changes what is in them.
#[async_trait]
pub trait SourceBed: Send + Sync {
    /// A source that holds exactly these objects, and whatever folders they need.
    ///
    /// # Errors
    /// Whatever keeps it from being made.
    async fn filled(&self, objects: &[(Key, Bytes)]) -> Result<Arc<dyn Source>>;

    /// Gives an object of the source made last another content, of any length.
    ///
    /// # Errors
    /// Whatever keeps it from being changed.
    async fn replace(&self, key: &Key, bytes: Bytes) -> Result<()>;

    /// Whether a key can be held, beside what is said below (Azure knows no segment `..`).
    fn holds(&self, _key: &Key) -> bool {
        true
    }

    /// Whether keys that are not UTF-8 can be held (S3 cannot).
    fn holds_any_bytes(&self) -> bool {
        true
    }

    /// The longest key that can be held (S3: 1,024 bytes, less the prefix of the location).
    fn key_bytes_max(&self) -> usize {
        1024
    }
}

/// Runs all cases of a source; the seed repeats the random contents.
pub async fn source(bed: &(dyn SourceBed + 'static), seed: u64) -> Vec<CaseResult> {
    let info = match bed.filled(&[]).await {
        Ok(source) => source.info().await,
        Err(error) => Err(error),
    };
    match info {
        Ok(info) => {
            let claims = [info.traits, vec![info.namespace]].concat();
            run(bed, seed, claims, &CASES).await
        }
        Err(error) => unopened("source.open", &error),
    }
}

type Bed = dyn SourceBed;

const CASES: [Case<Bed>; 12] = [
    Case {
        id: "source.scan",
        why: "every object is listed once, with its size",
        needs: None,
        run: |bed, _| Box::pin(scan_complete(bed)),
    },
    Case {
        id: "source.batches",
        why: "small batches find the same as large ones, in the same order",
        needs: None,
        run: |bed, _| Box::pin(batches(bed)),
    },
    Case {
        id: "source.ordered-scan",
        why: "an incremental run is a merge of two sorted streams",
        needs: Some("ordered-scan"),
        run: |bed, _| Box::pin(ordered(bed)),
    },
    Case {
        id: "source.start-after",
        why: "a listing can be split by keys and resumed",
        needs: Some("start-after"),
        run: |bed, _| Box::pin(start_after(bed)),
    },
    Case {
        id: "source.prefix",
        why: "a prefix is bytes, not path segments",
        needs: None,
        run: |bed, _| Box::pin(prefix(bed)),
    },
    Case {
        id: "source.one-level",
        why: "browsing shows what lies below as folders",
        needs: None,
        run: |bed, _| Box::pin(one_level(bed)),
    },
    Case {
        id: "source.read",
        why: "what is read is what is there, also when it is empty or large",
        needs: None,
        run: |bed, seed| Box::pin(read_back(bed, seed)),
    },
    Case {
        id: "source.not-found",
        why: "an object that vanished is told apart from one that cannot be read",
        needs: None,
        run: |bed, _| Box::pin(not_found(bed)),
    },
    Case {
        id: "source.ranged-read",
        why: "a read that broke off goes on where it stopped",
        needs: Some("ranged-read"),
        run: |bed, seed| Box::pin(ranged_read(bed, seed)),
    },
    Case {
        id: "source.fingerprints",
        why: "equal fingerprints promise equal content, and if-match holds a read to them",
        needs: Some("fingerprints"),
        run: |bed, _| Box::pin(fingerprints(bed)),
    },
    Case {
        id: "source.describe",
        why: "each entry has its answer",
        needs: None,
        run: |bed, _| Box::pin(describe(bed)),
    },
    Case {
        id: "source.hard-keys",
        why: "keys that look alike are different objects",
        needs: Some("flat"),
        run: |bed, _| Box::pin(hard(bed)),
    },
];

fn own_name(key: &Key) -> (Key, Bytes) {
    (key.clone(), Bytes::copy_from_slice(key.as_bytes()))
}

async fn tree(bed: &Bed) -> std::result::Result<Arc<dyn Source>, String> {
    let objects: Vec<(Key, Bytes)> = tree_keys().iter().map(own_name).collect();
    bed.filled(&objects).await.or_say("filling a source")
}

async fn scan(source: &dyn Source, options: &ScanOptions, max: usize) -> std::result::Result<Vec<Entry>, String> {
    let mut batches = Batches::new(source.scan(options).await.or_say("scan")?);
    let mut entries = Vec::new();
    while let Some(batch) = batches.next(max).await.or_say("next")? {
        ensure(batch.len() <= max, || format!("a batch of at most {max} holds {}", batch.len()))?;
        ensure(entries.len() < 10_000, || "the scan never ends".to_owned())?;
        for found in batch {
            match found {
                Found::Entry(entry) => entries.push(entry),
                Found::Skipped(skipped) => return Err(format!("`{}` was skipped: {}", skipped.key, skipped.reason)),
            }
        }
    }
    Ok(entries)
}

async fn scan_all(source: &dyn Source) -> std::result::Result<Vec<Entry>, String> {
    scan(source, &ScanOptions::default(), 1000).await
}

fn keys(entries: &[Entry]) -> Vec<&Key> {
    entries.iter().map(|entry| &entry.key).collect()
}

fn find<'a>(entries: &'a [Entry], key: &Key) -> std::result::Result<&'a Entry, String> {
    entries.iter().find(|entry| entry.key == *key).ok_or_else(|| format!("`{key}` is not listed"))
}

async fn read(source: &dyn Source, entry: &Entry, range: Option<ByteRange>) -> std::result::Result<Bytes, String> {
    let opened = source.read(entry, range, entry.fingerprint.as_deref()).await.or_say("read")?;
    opened.body.read_all(1 << 30).await.or_say("reading")
}

async fn scan_complete(bed: &Bed) -> Verdict {
    let source = tree(bed).await?;
    let entries = scan_all(&*source).await?;
    let unique: BTreeSet<&Key> = keys(&entries).into_iter().collect();
    ensure(unique.len() == entries.len(), || "a key is listed twice".to_owned())?;
    let files: BTreeSet<Key> =
        entries.iter().filter(|entry| entry.kind == EntryKind::File).map(|entry| entry.key.clone()).collect();
    let expected: BTreeSet<Key> = tree_keys().into_iter().collect();
    ensure(files == expected, || format!("listed are {files:?} instead of {expected:?}"))?;
    for entry in entries.iter().filter(|entry| entry.kind == EntryKind::File) {
        let length = entry.key.as_bytes().len() as u64;
        ensure(entry.size.is_none_or(|size| size == length), || format!("`{}` has a wrong size", entry.key))?;
        let sorted = entry.attributes.is_sorted_by(|(a, _), (b, _)| a < b);
        ensure(sorted, || format!("the attributes of `{}` are not sorted", entry.key))?;
    }
    let folders = entries.iter().filter(|entry| entry.kind == EntryKind::Directory);
    let mut named = folders.map(|entry| entry.key.as_bytes());
    ensure(named.all(|key| key.is_empty() || key.ends_with(b"/")), || "a folder's key lacks its `/`".to_owned())
}

async fn batches(bed: &Bed) -> Verdict {
    let source = tree(bed).await?;
    let all = scan_all(&*source).await?;
    for max in [1, 2, 3] {
        let small = scan(&*source, &ScanOptions::default(), max).await?;
        ensure(small == all, || format!("batches of {max} give {:?}", keys(&small)))?;
    }
    Ok(())
}

async fn ordered(bed: &Bed) -> Verdict {
    let source = tree(bed).await?;
    let entries = scan_all(&*source).await?;
    let found = keys(&entries);
    ensure(found.is_sorted_by(|a, b| a < b), || format!("keys do not strictly increase: {found:?}"))
}

async fn start_after(bed: &Bed) -> Verdict {
    let source = tree(bed).await?;
    let all = scan_all(&*source).await?;
    let foreign = [Key::from("b/c"), Key::from("b/c/d0"), Key::from("zz")];
    for after in all.iter().map(|entry| &entry.key).chain(&foreign) {
        let options = ScanOptions { start_after: Some(after.as_bytes().to_vec()), ..ScanOptions::default() };
        let rest = scan(&*source, &options, 100).await?;
        let expected: Vec<&Key> = keys(&all).into_iter().filter(|key| *key > after).collect();
        ensure(keys(&rest) == expected, || format!("after `{after}` come {:?}, not {expected:?}", keys(&rest)))?;
    }
    Ok(())
}

const PREFIXES: [&str; 9] = ["", "b", "b/", "b/c", "b/c/", "b/c/e/f", "x", "b//", "a/"];

async fn prefix(bed: &Bed) -> Verdict {
    let source = tree(bed).await?;
    let all = scan_all(&*source).await?;
    for prefix in PREFIXES {
        let options = ScanOptions { prefix: prefix.into(), ..ScanOptions::default() };
        let found = scan(&*source, &options, 100).await?;
        let found: BTreeSet<&Key> = keys(&found).into_iter().collect();
        let has = |key: &&Key| key.as_bytes().starts_with(prefix.as_bytes());
        let expected: BTreeSet<&Key> = keys(&all).into_iter().filter(has).collect();
        ensure(found == expected, || format!("`{prefix}` finds {found:?} instead of {expected:?}"))?;
    }
    Ok(())
}

async fn one_level(bed: &Bed) -> Verdict {
    let source = tree(bed).await?;
    let all = scan_all(&*source).await?;
    for prefix in PREFIXES {
        let options = ScanOptions { prefix: prefix.into(), one_level: true, ..ScanOptions::default() };
        let entries = scan(&*source, &options, 100).await?;
        let found: BTreeSet<&[u8]> = entries.iter().map(|entry| entry.key.as_bytes()).collect();
        ensure(found.len() == entries.len(), || format!("`{prefix}` shows a key twice"))?;
        let expected: BTreeSet<&[u8]> =
            all.iter().filter_map(|entry| shown(entry.key.as_bytes(), prefix.as_bytes())).collect();
        ensure(found == expected, || format!("`{prefix}` shows {:?}", keys(&entries)))?;
    }
    Ok(())
}

/// How a key appears one level below a prefix: itself, or the folder it lies in.
fn shown<'a>(key: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let rest = key.strip_prefix(prefix)?;
    match rest.iter().position(|byte| *byte == b'/') {
        Some(end) => key.get(..prefix.len().saturating_add(end).saturating_add(1)),
        None => Some(key),
    }
}

async fn read_back(bed: &Bed, seed: u64) -> Verdict {
    let mut dice = Dice::new(seed);
    let mut objects = Vec::new();
    for length in [0, 1, 70_000, 3 << 20] {
        objects.push((Key::from(format!("read/{length}").as_str()), Bytes::from(dice.bytes(length))));
    }
    let source = bed.filled(&objects).await.or_say("filling a source")?;
    let entries = scan_all(&*source).await?;
    for (key, bytes) in &objects {
        let read = read(&*source, find(&entries, key)?, None).await?;
        ensure(read == *bytes, || format!("`{key}` holds {} bytes, other {} were read", bytes.len(), read.len()))?;
    }
    Ok(())
}

async fn not_found(bed: &Bed) -> Verdict {
    let source = tree(bed).await?;
    for missing in ["b/missing", "missing", "a/below-a-file"] {
        let entry = Entry::new(Key::from(missing), EntryKind::File);
        expect_class(source.read(&entry, None, None).await, ErrorClass::NotFound, &format!("reading `{missing}`"))?;
    }
    Ok(())
}

async fn ranged_read(bed: &Bed, seed: u64) -> Verdict {
    let bytes = Bytes::from(Dice::new(seed).bytes(10_000));
    let source = bed.filled(&[(Key::from("a"), bytes.clone())]).await.or_say("filling a source")?;
    let entries = scan_all(&*source).await?;
    let entry = find(&entries, &Key::from("a"))?;
    for (offset, length) in [(0, Some(1)), (17, Some(4096)), (9999, Some(1)), (5000, None), (9000, Some(5000))] {
        let read = read(&*source, entry, Some(ByteRange { offset, length })).await?;
        let expected = bytes.iter().skip(offset as usize).take(length.unwrap_or(u64::MAX) as usize);
        ensure(read.iter().eq(expected), || format!("bytes {offset} and {length:?} more came back wrong"))?;
    }
    Ok(())
}

async fn fingerprints(bed: &Bed) -> Verdict {
    let source = tree(bed).await?;
    let (first, again) = (scan_all(&*source).await?, scan_all(&*source).await?);
    let changed = Key::from("b/a");
    for entry in first.iter().filter(|entry| entry.kind == EntryKind::File) {
        ensure(entry.fingerprint.is_some(), || format!("`{}` has no fingerprint", entry.key))?;
        let same = find(&again, &entry.key)?.fingerprint == entry.fingerprint;
        ensure(same, || format!("the fingerprint of `{}` changed by itself", entry.key))?;
    }
    bed.replace(&changed, Bytes::from_static(b"B/a")).await.or_say("replacing an object")?;
    let before = find(&first, &changed)?;
    let answer = source.read(before, None, before.fingerprint.as_deref()).await;
    expect_class(answer, ErrorClass::Precondition, "reading a changed object")?;
    let later = scan_all(&*source).await?;
    let after = find(&later, &changed)?;
    ensure(after.fingerprint != before.fingerprint, || "the fingerprint outlived the content".to_owned())?;
    let read = read(&*source, after, None).await?;
    ensure(read == b"B/a"[..], || "the changed object reads as something else".to_owned())
}

async fn describe(bed: &Bed) -> Verdict {
    let source = tree(bed).await?;
    let entries = scan_all(&*source).await?;
    let answers = source.describe(&entries).await.or_say("describe")?;
    ensure(answers.len() == entries.len(), || format!("{} entries have {} answers", entries.len(), answers.len()))
}

async fn hard(bed: &Bed) -> Verdict {
    let mut keys = hard_keys(bed.holds_any_bytes(), bed.key_bytes_max());
    keys.retain(|key| bed.holds(key));
    let objects: Vec<(Key, Bytes)> = keys.iter().map(own_name).collect();
    let source = bed.filled(&objects).await.or_say("filling a source")?;
    let entries = scan_all(&*source).await?;
    for (key, bytes) in &objects {
        let read = read(&*source, find(&entries, key)?, None).await.map_err(|wrong| format!("`{key}`: {wrong}"))?;
        ensure(read == *bytes, || format!("`{key}` holds the content of `{}`", read.escape_ascii()))?;
    }
    ensure(entries.len() == objects.len(), || format!("{} keys are listed as {}", objects.len(), entries.len()))
}
