//! The cases of a destination.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use credenza_model::{Entry, EntryKind, Key, Timestamp};

use super::keys::{hard_keys, tree_keys};
use super::{Case, CaseResult, OrSay, Verdict, ensure, expect_class, run, unopened};
use crate::random::Dice;
use crate::{Destination, ErrorClass, Payload, Result, Writer};

/// Makes destinations to test, and looks into them by another way than theirs.
#[async_trait]
pub trait DestinationBed: Send + Sync {
    /// A destination that holds nothing, independent of those made before.
    ///
    /// # Errors
    /// Whatever keeps it from being made.
    async fn fresh(&self) -> Result<Arc<dyn Destination>>;

    /// The bytes that the destination made last holds under a key; `None` when there is no such file.
    ///
    /// # Errors
    /// Whatever keeps it from being read.
    async fn bytes(&self, key: &Key) -> Result<Option<Bytes>>;

    /// Whether keys that are not UTF-8 can be held (S3 cannot).
    fn holds_any_bytes(&self) -> bool {
        true
    }

    /// The longest key that can be held (S3: 1,024 bytes, less the prefix of the location).
    fn key_bytes_max(&self) -> usize {
        1024
    }
}

/// Runs all cases of a destination; the seed repeats the random contents.
pub async fn destination(bed: &(dyn DestinationBed + 'static), seed: u64) -> Vec<CaseResult> {
    let info = match bed.fresh().await {
        Ok(destination) => destination.info().await,
        Err(error) => Err(error),
    };
    match info {
        Ok(info) => run(bed, seed, info.traits, &CASES).await,
        Err(error) => unopened("destination.open", &error),
    }
}

type Bed = dyn DestinationBed;

const CASES: [Case<Bed>; 10] = [
    Case {
        id: "destination.write",
        why: "what is restored is what was written, also when it is empty or in parts",
        needs: None,
        run: |bed, seed| Box::pin(write_back(bed, seed)),
    },
    Case {
        id: "destination.stat",
        why: "the overwrite policy needs to know what is there",
        needs: None,
        run: |bed, _| Box::pin(stat(bed)),
    },
    Case {
        id: "destination.no-overwrite",
        why: "nothing that was there is lost unless asked",
        needs: None,
        run: |bed, _| Box::pin(no_overwrite(bed)),
    },
    Case {
        id: "destination.overwrite",
        why: "overwriting replaces the whole content",
        needs: None,
        run: |bed, _| Box::pin(overwrite(bed)),
    },
    Case {
        id: "destination.atomic-finish",
        why: "a restore that dies leaves no file that looks whole",
        needs: Some("atomic-finish"),
        run: |bed, _| Box::pin(atomic_finish(bed)),
    },
    Case {
        id: "destination.abort",
        why: "what is given up leaves nothing behind",
        needs: None,
        run: |bed, _| Box::pin(abort(bed)),
    },
    Case {
        id: "destination.folders",
        why: "files come back whether or not their folders were restored first",
        needs: None,
        run: |bed, _| Box::pin(folders(bed)),
    },
    Case {
        id: "destination.symlinks",
        why: "a link comes back as a link, wherever it points",
        needs: Some("symlinks"),
        run: |bed, _| Box::pin(symlinks(bed)),
    },
    Case {
        id: "destination.metadata",
        why: "each entry has its answer, and a time that was not set is told",
        needs: None,
        run: |bed, _| Box::pin(metadata(bed)),
    },
    Case {
        id: "destination.hard-keys",
        why: "keys that look alike are restored as different files, or refused",
        needs: None,
        run: |bed, _| Box::pin(hard(bed)),
    },
];

fn file(key: &str) -> Entry {
    Entry::new(Key::from(key), EntryKind::File)
}

async fn fresh(bed: &Bed) -> std::result::Result<Arc<dyn Destination>, String> {
    bed.fresh().await.or_say("making a destination")
}

async fn begin(
    destination: &dyn Destination,
    entry: &Entry,
    overwrite: bool,
) -> std::result::Result<Box<dyn Writer>, String> {
    let writer = destination.create(entry, overwrite).await.or_say(&format!("creating `{}`", entry.key))?;
    writer.ok_or_else(|| format!("`{}` is a file and got no writer", entry.key))
}

/// Writes in parts of the size that the destination wants.
async fn write(destination: &dyn Destination, entry: &Entry, bytes: &[u8], overwrite: bool) -> Verdict {
    let mut writer = begin(destination, entry, overwrite).await?;
    let part_bytes = usize::try_from(writer.part_bytes().unwrap_or(1 << 20)).unwrap_or(usize::MAX).max(1);
    let mut left = bytes;
    while let Some((part, rest)) = left.split_at_checked(part_bytes).filter(|(_, rest)| !rest.is_empty()) {
        writer.write(Payload::from(part.to_vec())).await.or_say("write")?;
        left = rest;
    }
    writer.finish(Payload::from(left.to_vec())).await.or_say(&format!("finishing `{}`", entry.key)).map(drop)
}

async fn expect_bytes(bed: &Bed, key: &Key, expected: &[u8]) -> Verdict {
    match bed.bytes(key).await.or_say("looking into the destination")? {
        Some(bytes) if bytes == expected => Ok(()),
        Some(bytes) => Err(format!("`{key}` holds other bytes than were written ({})", bytes.len())),
        None => Err(format!("`{key}` is not there")),
    }
}

async fn write_back(bed: &Bed, seed: u64) -> Verdict {
    let destination = fresh(bed).await?;
    let mut dice = Dice::new(seed);
    for length in [0, 1, 70_000, (2 << 20) + 5] {
        let (entry, bytes) = (file(&format!("w/{length}")), dice.bytes(length));
        write(&*destination, &entry, &bytes, false).await?;
        expect_bytes(bed, &entry.key, &bytes).await?;
    }
    Ok(())
}

async fn stat(bed: &Bed) -> Verdict {
    let destination = fresh(bed).await?;
    write(&*destination, &file("s/a"), b"12345", false).await?;
    for missing in ["s/b", "t/a", "s/a/b", "u"] {
        let found = destination.stat(&Key::from(missing)).await.or_say("stat")?;
        ensure(found.is_none(), || format!("`{missing}` was never made and is told to be there"))?;
    }
    let found = destination.stat(&Key::from("s/a")).await.or_say("stat")?.ok_or("a restored file is not found")?;
    ensure((found.kind, found.size) == (EntryKind::File, Some(5)), || "a file is described wrongly".to_owned())
}

async fn no_overwrite(bed: &Bed) -> Verdict {
    let destination = fresh(bed).await?;
    write(&*destination, &file("a"), b"first", false).await?;
    let second = async {
        let Some(mut writer) = destination.create(&file("a"), false).await? else { return Ok(Vec::new()) };
        writer.finish(Payload::from(b"second".to_vec())).await
    };
    expect_class(second.await, ErrorClass::Precondition, "creating what is there")?;
    expect_bytes(bed, &Key::from("a"), b"first").await
}

async fn overwrite(bed: &Bed) -> Verdict {
    let destination = fresh(bed).await?;
    write(&*destination, &file("a"), b"a longer first content", false).await?;
    write(&*destination, &file("a"), b"second", true).await?;
    expect_bytes(bed, &Key::from("a"), b"second").await
}

async fn atomic_finish(bed: &Bed) -> Verdict {
    let destination = fresh(bed).await?;
    write(&*destination, &file("old"), b"old", false).await?;
    let (mut new, mut old) =
        (begin(&*destination, &file("new"), false).await?, begin(&*destination, &file("old"), true).await?);
    let part_bytes = new.part_bytes().and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(7);
    let changed = vec![b'c'; part_bytes];
    for writer in [&mut new, &mut old] {
        writer.write(Payload::from(changed.clone())).await.or_say("write")?;
    }
    let changed = [changed, b"hanged".to_vec()].concat();
    let early = destination.stat(&Key::from("new")).await.or_say("stat")?;
    ensure(early.is_none(), || "a file is visible before it is whole".to_owned())?;
    expect_bytes(bed, &Key::from("old"), b"old").await?;
    for writer in [&mut new, &mut old] {
        writer.finish(Payload::from(b"hanged".to_vec())).await.or_say("finish")?;
    }
    expect_bytes(bed, &Key::from("new"), &changed).await?;
    expect_bytes(bed, &Key::from("old"), &changed).await
}

async fn abort(bed: &Bed) -> Verdict {
    let destination = fresh(bed).await?;
    let mut writer = begin(&*destination, &file("a"), false).await?;
    let part_bytes = writer.part_bytes().and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(4);
    writer.write(Payload::from(vec![b'h'; part_bytes])).await.or_say("write")?;
    writer.abort().await;
    let left = destination.stat(&Key::from("a")).await.or_say("stat")?;
    ensure(left.is_none(), || "an aborted file is there".to_owned())?;
    write(&*destination, &file("a"), b"whole", false).await?;
    expect_bytes(bed, &Key::from("a"), b"whole").await
}

async fn folders(bed: &Bed) -> Verdict {
    let destination = fresh(bed).await?;
    for key in ["", "b/", "b/"] {
        let folder = Entry::new(Key::from(key), EntryKind::Directory);
        let writer = destination.create(&folder, false).await.or_say("creating a folder")?;
        ensure(writer.is_none(), || "a folder got a writer".to_owned())?;
    }
    for key in tree_keys() {
        write(&*destination, &Entry::new(key.clone(), EntryKind::File), key.as_bytes(), false).await?;
    }
    for key in tree_keys() {
        expect_bytes(bed, &key, key.as_bytes()).await?;
    }
    Ok(())
}

async fn symlinks(bed: &Bed) -> Verdict {
    let destination = fresh(bed).await?;
    for (key, target) in [("l/up", "../../outside"), ("l/none", "no such file"), ("l/root", "/")] {
        let mut link = Entry::new(Key::from(key), EntryKind::Symlink);
        link.link_target = Some(target.into());
        let writer = destination.create(&link, false).await.or_say("creating a link")?;
        ensure(writer.is_none(), || "a link got a writer".to_owned())?;
        let found = destination.stat(&link.key).await.or_say("stat")?.ok_or("a restored link is not found")?;
        ensure((found.kind, &found.link_target) == (EntryKind::Symlink, &link.link_target), || {
            format!("the link `{key}` came back as {found:?}")
        })?;
    }
    Ok(())
}

async fn metadata(bed: &Bed) -> Verdict {
    let destination = fresh(bed).await?;
    let has_own_times = destination.info().await.or_say("info")?.has("own-times");
    let mut entries = [file("m/a"), file("m/b"), Entry::new(Key::from("m/"), EntryKind::Directory)];
    for entry in &mut entries {
        entry.modified = Some(Timestamp { seconds: 1_234_567_890, nanoseconds: 123_000_000 });
    }
    let [a, b, folder] = &entries;
    destination.create(folder, false).await.or_say("creating a folder")?;
    write(&*destination, a, b"a", false).await?;
    write(&*destination, b, b"b", false).await?;
    let answers = destination.set_metadata(&entries).await.or_say("set_metadata")?;
    ensure(answers.len() == entries.len(), || format!("3 entries have {} answers", answers.len()))?;
    for (entry, answer) in entries.iter().zip(answers) {
        let missed = answer.or_say(&format!("setting the metadata of `{}`", entry.key))?;
        // A bucket holds no folders.
        let Some(found) = destination.stat(&entry.key).await.or_say("stat")? else {
            ensure(entry.kind == EntryKind::Directory, || format!("`{}` was restored and is not found", entry.key))?;
            continue;
        };
        let named = missed.iter().any(|name| name == "modified");
        let told = found.modified == entry.modified || has_own_times || named;
        ensure(told, || format!("the time of `{}` was not set, and nobody said so", entry.key))?;
    }
    expect_bytes(bed, &a.key, b"a").await
}

async fn hard(bed: &Bed) -> Verdict {
    let destination = fresh(bed).await?;
    let holds_all = destination.info().await.or_say("info")?.has("raw-names");
    let mut held = Vec::new();
    for key in hard_keys(bed.holds_any_bytes(), bed.key_bytes_max()) {
        let entry = Entry::new(key, EntryKind::File);
        match destination.create(&entry, false).await {
            Ok(Some(mut writer)) => {
                let bytes = Payload::from(entry.key.as_bytes().to_vec());
                writer.finish(bytes).await.or_say(&format!("finishing `{}`", entry.key))?;
                held.push(entry.key);
            }
            Err(error) if error.class == ErrorClass::Unsupported && !holds_all => {}
            Ok(None) => return Err(format!("`{}` got no writer", entry.key)),
            Err(error) => return Err(format!("`{}` was not created: {error}", entry.key)),
        }
    }
    for key in held {
        expect_bytes(bed, &key, key.as_bytes()).await?;
        let found = destination.stat(&key).await.or_say("stat")?;
        ensure(found.is_some_and(|found| found.key == key), || format!("`{key}` was written and is not found"))?;
    }
    Ok(())
}
