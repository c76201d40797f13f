//! Contents that are written, replaced, given up; and what is reported them.

use std::sync::Arc;

use credenza_model::{Entry, EntryKind, Key, Version};

use super::super::{expect_class, given};
use super::{Bed, OrSay, Told, begin, ensure, expect_bytes, file, fresh, write};
use crate::random::Dice;
use crate::{Destination, ErrorClass, Payload, Writer, ability};

/// Parts of what a case writes are no longer than this, whatever a destination asks for.
const PART_BYTES_MAX: u64 = 64 << 20;

pub(super) async fn back(bed: &Bed, seed: u64, length: u64) -> Told {
    let (destination, bytes) = (fresh(bed).await?, Dice::new(seed).bytes(length));
    let entry = file("w/file");
    write(&*destination, &entry, &bytes, false).await?;
    expect_bytes(bed, &entry.key, &bytes).await
}

fn part_bytes(writer: &dyn Writer, otherwise: u64) -> Told<u64> {
    let part = writer.part_bytes().unwrap_or(otherwise);
    ensure(part > 0, || "it wants parts of no bytes".to_owned())?;
    match part <= PART_BYTES_MAX {
        true => Ok(part),
        false => Err(super::super::Miss::Skipped(format!("it wants parts of {part} bytes"))),
    }
}

/// Some whole parts and a last one of so many bytes, or as long as the others.
pub(super) async fn parts(bed: &Bed, seed: u64, count: u64, last: u64) -> Told {
    let (destination, entry) = (fresh(bed).await?, file("w/parts"));
    let mut writer = begin(&*destination, &entry, false).await?;
    let part = part_bytes(&*writer, 70_000)?;
    let (mut dice, mut whole) = (Dice::new(seed), Vec::new());
    // Bytes that are drawn once for all parts, each of which begins elsewhere in them.
    let drawn = dice.bytes(4093);
    let bytes = |length: u64, number: u64| -> Vec<u8> {
        drawn.iter().copied().cycle().skip(number as usize).take(length as usize).collect()
    };
    for number in 0..count {
        let piece = bytes(part, number);
        whole.extend_from_slice(&piece);
        writer.write(Payload::from(piece)).await.or_say("write")?;
    }
    let piece = bytes(last.min(part), count);
    whole.extend_from_slice(&piece);
    writer.finish(Payload::from(piece)).await.or_say("finish")?;
    expect_bytes(bed, &entry.key, &whole).await
}

pub(super) async fn side_by_side(bed: &Bed, seed: u64) -> Told {
    let destination = fresh(bed).await?;
    let mut dice = Dice::new(seed);
    let files: Vec<(Entry, Vec<u8>)> =
        (0..12_u64).map(|n| (file(&format!("side/{}/{n}", n % 3)), dice.bytes(5000 + n))).collect();
    let writes = files.iter().map(|(entry, bytes)| write(&*destination, entry, bytes, false));
    futures_util::future::join_all(writes).await.into_iter().collect::<Told<Vec<_>>>()?;
    for (entry, bytes) in &files {
        expect_bytes(bed, &entry.key, bytes).await?;
    }
    Ok(())
}

pub(super) async fn stat_missing(bed: &Bed) -> Told {
    let destination = fresh(bed).await?;
    ensure(destination.stat(&Key::from("s/a")).await.or_say("stat")?.is_none(), || {
        "in an empty destination a file is told to be there".to_owned()
    })?;
    write(&*destination, &file("s/a"), b"12345", false).await?;
    for missing in ["s/b", "t/a", "s/a/b", "u", "s/aa"] {
        let found = destination.stat(&Key::from(missing)).await.or_say("stat")?;
        ensure(found.is_none(), || format!("`{missing}` was never made and is told to be there"))?;
    }
    Ok(())
}

pub(super) async fn stat_file(bed: &Bed) -> Told {
    let destination = fresh(bed).await?;
    write(&*destination, &file("s/a"), b"12345", false).await?;
    let found = destination.stat(&Key::from("s/a")).await.or_say("stat")?.ok_or("a restored file is not found")?;
    let reported = (found.key.as_bytes(), found.kind);
    ensure(reported == (&b"s/a"[..], EntryKind::File), || format!("a file is described as {found:?}"))
}

pub(super) async fn stat_size(bed: &Bed) -> Told {
    let destination = fresh(bed).await?;
    for length in [5_usize, 0, 9] {
        write(&*destination, &file("s/a"), &vec![b'x'; length], true).await?;
        let found = destination.stat(&Key::from("s/a")).await.or_say("stat")?.ok_or("a restored file is not found")?;
        let is_right = found.size == Some(length as u64);
        ensure(is_right, || format!("a file of {length} bytes is reported with {:?}", found.size))?;
    }
    Ok(())
}

/// What became of writing `a` without leave to overwrite it.
async fn second(destination: &dyn Destination) -> crate::Result<Vec<String>> {
    let Some(mut writer) = destination.create(&file("a"), false).await? else { return Ok(Vec::new()) };
    let finished = writer.finish(Payload::from(b"second".to_vec())).await;
    if finished.is_err() {
        writer.abort().await;
    }
    finished
}

pub(super) async fn no_overwrite(bed: &Bed) -> Told {
    let destination = fresh(bed).await?;
    write(&*destination, &file("a"), b"first", false).await?;
    expect_class(second(&*destination).await, ErrorClass::Precondition, "creating what is there")
}

/// Whatever the refusal was.
pub(super) async fn no_overwrite_keeps(bed: &Bed) -> Told {
    let destination = fresh(bed).await?;
    write(&*destination, &file("a"), b"first", false).await?;
    let _ = second(&*destination).await;
    expect_bytes(bed, &Key::from("a"), b"first").await
}

pub(super) async fn overwrite(bed: &Bed, first: &[u8], second: &[u8]) -> Told {
    let destination = fresh(bed).await?;
    write(&*destination, &file("o/a"), first, false).await?;
    write(&*destination, &file("o/a"), second, true).await?;
    expect_bytes(bed, &Key::from("o/a"), second).await
}

pub(super) async fn overwrite_nothing(bed: &Bed) -> Told {
    let destination = fresh(bed).await?;
    write(&*destination, &file("o/new"), b"new", true).await?;
    expect_bytes(bed, &Key::from("o/new"), b"new").await
}

/// A first part in a writer, its bytes, and the rest of them.
async fn half(destination: &dyn Destination, entry: &Entry, overwrite: bool) -> Told<(Box<dyn Writer>, Vec<u8>)> {
    let mut writer = begin(destination, entry, overwrite).await?;
    let part = vec![b'h'; usize::try_from(part_bytes(&*writer, 7)?).unwrap_or(7)];
    writer.write(Payload::from(part.clone())).await.or_say("write")?;
    Ok((writer, part))
}

pub(super) async fn atomic_new(bed: &Bed) -> Told {
    let destination = fresh(bed).await?;
    let (mut writer, part) = half(&*destination, &file("new"), false).await?;
    let early = destination.stat(&Key::from("new")).await.or_say("stat")?;
    ensure(early.is_none(), || "a file is visible before it is whole".to_owned())?;
    writer.finish(Payload::from(b"rest".to_vec())).await.or_say("finish")?;
    expect_bytes(bed, &Key::from("new"), &[&part[..], b"rest"].concat()).await
}

pub(super) async fn atomic_old(bed: &Bed) -> Told {
    let destination = fresh(bed).await?;
    write(&*destination, &file("old"), b"old", false).await?;
    let (mut writer, part) = half(&*destination, &file("old"), true).await?;
    expect_bytes(bed, &Key::from("old"), b"old").await?;
    writer.finish(Payload::from(b"rest".to_vec())).await.or_say("finish")?;
    expect_bytes(bed, &Key::from("old"), &[&part[..], b"rest"].concat()).await
}

/// Neither the file nor anything else that the bed can see.
async fn ensure_nothing(bed: &Bed, destination: &dyn Destination, key: &str) -> Told {
    let left = destination.stat(&Key::from(key)).await.or_say("stat")?;
    ensure(left.is_none(), || "a file that was given up is there".to_owned())?;
    let held = bed.held().await.or_say("looking into the destination")?.unwrap_or_default();
    ensure(held.is_empty(), || format!("what was given up left {held:?} behind"))
}

pub(super) async fn abort(bed: &Bed) -> Told {
    let destination = fresh(bed).await?;
    let (writer, _) = half(&*destination, &file("a"), false).await?;
    writer.abort().await;
    ensure_nothing(bed, &*destination, "a").await
}

pub(super) async fn abort_unwritten(bed: &Bed) -> Told {
    let destination = fresh(bed).await?;
    begin(&*destination, &file("a"), false).await?.abort().await;
    ensure_nothing(bed, &*destination, "a").await
}

pub(super) async fn abort_old(bed: &Bed) -> Told {
    let destination = fresh(bed).await?;
    write(&*destination, &file("a"), b"old", false).await?;
    let (writer, _) = half(&*destination, &file("a"), true).await?;
    writer.abort().await;
    expect_bytes(bed, &Key::from("a"), b"old").await
}

pub(super) async fn abort_again(bed: &Bed) -> Told {
    let destination = fresh(bed).await?;
    let (writer, _) = half(&*destination, &file("a"), false).await?;
    writer.abort().await;
    write(&*destination, &file("a"), b"whole", false).await?;
    expect_bytes(bed, &Key::from("a"), b"whole").await
}

/// A version of `h/a`, as a restore of a history writes it.
fn version(id: &str, deleted: bool) -> Entry {
    let version = Version { id: id.to_owned(), latest: deleted, deleted };
    Entry { version: Some(version), ..file("h/a") }
}

/// A destination with two versions of `h/a`.
async fn with_history(bed: &Bed) -> Told<Arc<dyn Destination>> {
    let destination = fresh(bed).await?;
    for (id, bytes) in [("1", &b"first"[..]), ("2", b"second")] {
        write(&*destination, &version(id, false), bytes, true).await?;
    }
    Ok(destination)
}

pub(super) async fn versions_kept(bed: &Bed) -> Told {
    let _destination = with_history(bed).await?;
    let held = bed.versions(&Key::from("h/a")).await.or_say("looking into the destination")?;
    let held = given(held, "nothing else can look into it")?;
    ensure(held == [&b"first"[..], b"second"], || format!("of two versions {held:?} are kept"))
}

pub(super) async fn version_deleted(bed: &Bed) -> Told {
    let destination = with_history(bed).await?;
    let writer = destination.create(&version("3", true), true).await.or_say("laying a delete marker")?;
    ensure(writer.is_none(), || "a delete marker got a writer".to_owned())?;
    let left = bed.bytes(&Key::from("h/a")).await.or_say("looking into the destination")?;
    ensure(left.is_none(), || "what was deleted is still there".to_owned())?;
    let held = bed.versions(&Key::from("h/a")).await.or_say("looking into the destination")?;
    ensure(held.is_none_or(|held| held.len() == 2), || "a deletion took versions with it".to_owned())
}

/// That something is deleted.
async fn remove(destination: &dyn Destination, entry: Entry) -> crate::Result<bool> {
    let version = Some(Version { id: String::new(), latest: true, deleted: true });
    destination.create(&Entry { version, ..entry }, true).await.map(|writer| writer.is_none())
}

pub(super) async fn removed(bed: &Bed) -> Told {
    let destination = fresh(bed).await?;
    for name in ["r/a", "r/a b"] {
        write(&*destination, &file(name), b"content", false).await?;
    }
    for _ in 0..2 {
        let is_complete = remove(&*destination, file("r/a")).await.or_say("removing")?;
        ensure(is_complete, || "a removal got a writer".to_owned())?;
        let found = destination.stat(&Key::from("r/a")).await.or_say("stat")?;
        let held = bed.bytes(&Key::from("r/a")).await.or_say("looking into the destination")?;
        ensure(found.is_none() && held.is_none(), || "what was removed is still there".to_owned())?;
    }
    expect_bytes(bed, &Key::from("r/a b"), b"content").await
}

/// A bucket has no folders, and passes over their removal.
pub(super) async fn folder_removed(bed: &Bed) -> Told {
    let destination = fresh(bed).await?;
    write(&*destination, &file("r/d/a"), b"content", false).await?;
    let folder = Entry::new(Key::from("r/d/"), EntryKind::Directory);
    let is_tree = destination.info().await.or_say("info")?.namespace == ability::TREE;
    let refused = remove(&*destination, folder.clone()).await;
    ensure(refused.is_err() || !is_tree, || "a folder was removed in which something lies".to_owned())?;
    expect_bytes(bed, &Key::from("r/d/a"), b"content").await?;
    remove(&*destination, file("r/d/a")).await.or_say("removing a file")?;
    remove(&*destination, folder.clone()).await.or_say("removing an empty folder")?;
    let left = destination.stat(&folder.key).await.or_say("stat")?;
    ensure(left.is_none() || !is_tree, || "an empty folder that was removed is there".to_owned())
}
