//! What a read opens: whole objects, ranges, what changed, what is not there; and what is reported beside.

use bytes::Bytes;
use credenza_model::{Entry, EntryKind, Key};

use super::super::expect_class;
use super::super::keys::{hard_paths as paths, long_key};
use super::scan::hard_objects;
use super::{Bed, OrSay, Told, ensure, files, filled, find, own_name, read, scan_all, tree};
use crate::random::Dice;
use crate::{ByteRange, ErrorClass, Payload, Source, checksum_of};

/// An object of random bytes, its source and its entry.
async fn one(bed: &Bed, seed: u64, length: u64) -> Told<(std::sync::Arc<dyn Source>, Entry, Bytes)> {
    let (key, bytes) = (Key::from("one/object"), Bytes::from(Dice::new(seed).bytes(length)));
    let source = filled(bed, &[(key.clone(), bytes.clone())]).await?;
    let entry = find(&scan_all(&*source).await?, &key)?.clone();
    Ok((source, entry, bytes))
}

pub(super) async fn whole(bed: &Bed, seed: u64, length: u64) -> Told {
    let (source, entry, bytes) = one(bed, seed, length).await?;
    let opened = source.read(&entry, None, entry.fingerprint.as_deref()).await.or_say("read")?;
    let announced = opened.body.length;
    ensure(announced.is_none_or(|reported| reported == length), || {
        format!("{length} bytes are announced as {announced:?}")
    })?;
    let read = opened.body.read_all(1 << 30).await.or_say("reading")?;
    ensure(read == bytes, || format!("of {length} bytes {} other ones were read", read.len()))
}

pub(super) async fn entry(bed: &Bed) -> Told {
    let source = tree(bed).await?;
    let entries = scan_all(&*source).await?;
    for entry in files(&entries) {
        let opened = source.read(entry, None, None).await.or_say("read")?.entry;
        ensure((&opened.key, opened.kind) == (&entry.key, entry.kind), || {
            format!("asked for {entry:?}, got {opened:?}")
        })?;
        let length = entry.key.as_bytes().len() as u64;
        ensure(opened.size.is_none_or(|size| size == length), || {
            format!("`{}` is read as {:?}", entry.key, opened.size)
        })?;
    }
    Ok(())
}

pub(super) async fn again(bed: &Bed, seed: u64) -> Told {
    let (source, entry, bytes) = one(bed, seed, 5000).await?;
    for _ in 0..3 {
        ensure(read(&*source, &entry, None).await? == bytes, || "a later read yields other bytes".to_owned())?;
    }
    Ok(())
}

pub(super) async fn side_by_side(bed: &Bed, seed: u64) -> Told {
    let mut dice = Dice::new(seed);
    let objects: Vec<(Key, Bytes)> =
        (0..12_u64).map(|n| (Key::from(format!("side/{n:02}").as_str()), dice.bytes(20_000 + n).into())).collect();
    let source = filled(bed, &objects).await?;
    let entries = scan_all(&*source).await?;
    let reads = objects.iter().map(async |(key, bytes)| {
        let found = read(&*source, find(&entries, key)?, None).await?;
        ensure(found == *bytes, || format!("`{key}` holds other bytes when twelve are read at once"))
    });
    futures_util::future::join_all(reads).await.into_iter().collect()
}

pub(super) async fn given_up(bed: &Bed, seed: u64) -> Told {
    let (source, entry, bytes) = one(bed, seed, 300_000).await?;
    for _ in 0..40 {
        drop(source.read(&entry, None, None).await.or_say("read")?);
    }
    ensure(read(&*source, &entry, None).await? == bytes, || "after reads that were given up it reads wrong".to_owned())
}

pub(super) async fn missing(bed: &Bed, keys: &[&str]) -> Told {
    let source = tree(bed).await?;
    for missing in keys {
        let entry = Entry::new(Key::from(*missing), EntryKind::File);
        expect_class(source.read(&entry, None, None).await, ErrorClass::NotFound, &format!("reading `{missing}`"))?;
    }
    Ok(())
}

pub(super) async fn ranges(bed: &Bed, seed: u64, ranges: &[(u64, Option<u64>)]) -> Told {
    let (source, entry, bytes) = one(bed, seed, 10_000).await?;
    for &(offset, length) in ranges {
        let read = read(&*source, &entry, Some(ByteRange { offset, length })).await?;
        let expected = bytes.iter().skip(offset as usize).take(length.unwrap_or(u64::MAX) as usize);
        ensure(read.iter().eq(expected), || format!("bytes {offset} and {length:?} more came back wrong"))?;
    }
    Ok(())
}

pub(super) async fn range_entry(bed: &Bed, seed: u64) -> Told {
    let (source, entry, _) = one(bed, seed, 10_000).await?;
    let range = Some(ByteRange { offset: 100, length: Some(7) });
    let opened = source.read(&entry, range, None).await.or_say("read")?;
    let (size, announced) = (opened.entry.size, opened.body.length);
    ensure(size.is_none_or(|size| size == 10_000), || format!("an object of 10000 bytes is reported with {size:?}"))?;
    ensure(announced.is_none_or(|reported| reported == 7), || format!("7 bytes are announced as {announced:?}"))
}

pub(super) async fn nothing(bed: &Bed, seed: u64) -> Told {
    let (source, entry, _) = one(bed, seed, 100).await?;
    let Ok(opened) = source.read(&entry, Some(ByteRange { offset: 5, length: Some(0) }), None).await else {
        return Ok(());
    };
    match opened.body.read_all(1 << 20).await {
        Ok(bytes) => ensure(bytes.is_empty(), || format!("a range of no bytes yields {}", bytes.len())),
        Err(_) => Ok(()),
    }
}

pub(super) async fn unranged(bed: &Bed, seed: u64) -> Told {
    let (source, entry, bytes) = one(bed, seed, 100).await?;
    match source.read(&entry, Some(ByteRange { offset: 5, length: Some(10) }), None).await {
        Err(error) => ensure(error.class == ErrorClass::Unsupported, || format!("a range failed as {:?}", error.class)),
        Ok(opened) => {
            let read = opened.body.read_all(1 << 20).await.or_say("reading")?;
            ensure(bytes.get(5..15) == Some(&*read), || "a range that is not claimed yields other bytes".to_owned())
        }
    }
}

pub(super) async fn fingerprint_there(bed: &Bed) -> Told {
    let source = tree(bed).await?;
    let (first, again) = (scan_all(&*source).await?, scan_all(&*source).await?);
    for entry in files(&first) {
        ensure(entry.fingerprint.is_some(), || format!("`{}` has no fingerprint", entry.key))?;
        let same = find(&again, &entry.key)?.fingerprint == entry.fingerprint;
        ensure(same, || format!("the fingerprint of `{}` changed by itself", entry.key))?;
    }
    Ok(())
}

/// A source whose object `b/a` was replaced by one of the same length, with its entries before and after.
async fn changed(bed: &Bed) -> Told<(std::sync::Arc<dyn Source>, Entry, Entry)> {
    let (source, key) = (tree(bed).await?, Key::from("b/a"));
    let before = find(&scan_all(&*source).await?, &key)?.clone();
    bed.replace(&key, Bytes::from_static(b"B/a")).await.or_say("replacing an object")?;
    let after = find(&scan_all(&*source).await?, &key)?.clone();
    Ok((source, before, after))
}

pub(super) async fn fingerprint_changes(bed: &Bed) -> Told {
    let (_, before, after) = changed(bed).await?;
    ensure(after.fingerprint != before.fingerprint, || "the fingerprint outlived the content".to_owned())
}

pub(super) async fn fingerprint_of_read(bed: &Bed) -> Told {
    let (source, _, after) = changed(bed).await?;
    let reported = source.read(&after, None, None).await.or_say("read")?.entry.fingerprint;
    ensure(reported.is_none() || reported == after.fingerprint, || {
        format!("listed with fingerprint {:?}, read with {reported:?}", after.fingerprint)
    })
}

pub(super) async fn if_match_changed(bed: &Bed) -> Told {
    let (source, before, _) = changed(bed).await?;
    let answer = source.read(&before, None, before.fingerprint.as_deref()).await;
    expect_class(answer, ErrorClass::Precondition, "reading a changed object")
}

pub(super) async fn if_match_unchanged(bed: &Bed) -> Told {
    let (source, ..) = changed(bed).await?;
    let entries = scan_all(&*source).await?;
    for entry in files(&entries) {
        read(&*source, entry, None).await.map_err(|miss| miss.at(format_args!("`{}` did not change", entry.key)))?;
    }
    Ok(())
}

pub(super) async fn if_match_later(bed: &Bed) -> Told {
    let (source, _, after) = changed(bed).await?;
    ensure(read(&*source, &after, None).await? == b"B/a"[..], || "a changed object reads as something else".to_owned())
}

pub(super) async fn checksums(bed: &Bed, seed: u64) -> Told {
    let (source, entry, bytes) = one(bed, seed, 50_000).await?;
    let opened = source.read(&entry, None, None).await.or_say("read")?.entry;
    let payload = Payload::from(bytes);
    for stated in entry.checksums.iter().chain(&opened.checksums) {
        let right = checksum_of(&stated.algorithm, &payload).is_none_or(|sum| sum == stated.value);
        ensure(right, || format!("the stated {} is not that of the content", stated.algorithm))?;
    }
    Ok(())
}

pub(super) async fn describe(bed: &Bed) -> Told {
    let source = tree(bed).await?;
    let entries = scan_all(&*source).await?;
    let answers = source.describe(&entries).await.or_say("describe")?;
    ensure(answers.len() == entries.len(), || format!("{} entries have {} answers", entries.len(), answers.len()))?;
    for (answer, entry) in answers.into_iter().zip(&entries) {
        let reported = answer.or_say(&format!("describing `{}`", entry.key))?;
        let mut names: Vec<&str> = reported.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        ensure(names.is_sorted_by(|a, b| a < b), || format!("an attribute of `{}` is reported twice", entry.key))?;
    }
    Ok(())
}

pub(super) async fn describe_none(bed: &Bed) -> Told {
    let answers = tree(bed).await?.describe(&[]).await.or_say("describing nothing")?;
    ensure(answers.is_empty(), || format!("no entries have {} answers", answers.len()))
}

/// Most documents, and the bytes of one, as the contract has them.
const DOCUMENTS_MAX: usize = 64;
const DOCUMENT_BYTES_MAX: usize = 64 * 1024;

pub(super) async fn documents(bed: &Bed) -> Told {
    let documents = tree(bed).await?.documents().await.or_say("documents")?;
    ensure(documents.len() <= DOCUMENTS_MAX, || format!("there are {} documents", documents.len()))?;
    let mut names: Vec<&str> = documents.iter().map(|document| document.name.as_str()).collect();
    names.sort_unstable();
    ensure(names.is_sorted_by(|a, b| a < b), || "two documents have one name".to_owned())?;
    let mut texts = documents.iter().filter_map(|document| document.content.as_ref().ok());
    ensure(texts.all(|text| text.len() <= DOCUMENT_BYTES_MAX), || "a document is too long".to_owned())
}

async fn each_reads_as_itself(bed: &Bed, objects: &[(Key, Bytes)]) -> Told {
    let source = filled(bed, objects).await?;
    let entries = scan_all(&*source).await?;
    for (key, bytes) in objects {
        let read = read(&*source, find(&entries, key)?, None).await.map_err(|miss| miss.at(format_args!("`{key}`")))?;
        ensure(read == *bytes, || format!("`{key}` holds the content of `{}`", read.escape_ascii()))?;
    }
    Ok(())
}

pub(super) async fn hard(bed: &Bed) -> Told {
    each_reads_as_itself(bed, &hard_objects(bed)).await
}

pub(super) async fn hard_paths(bed: &Bed) -> Told {
    let keys = paths(bed.holds_any_bytes());
    let objects: Vec<(Key, Bytes)> = keys.iter().filter(|key| bed.holds(key)).map(own_name).collect();
    each_reads_as_itself(bed, &objects).await
}

pub(super) async fn longest(bed: &Bed) -> Told {
    each_reads_as_itself(bed, &[own_name(&long_key(bed.key_bytes_max()))]).await
}
