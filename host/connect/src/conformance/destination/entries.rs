//! Folders, links, metadata, and names that are easily mistaken.

use credenza_model::{AttributeValue, Entry, EntryKind, Key, Timestamp};

use super::super::Miss;
use super::super::keys::{hard_keys, hard_paths as paths, tree_keys};
use super::{Bed, OrSay, Told, ensure, expect_bytes, file, fresh, write};
use crate::{Destination, ErrorClass, Payload};

fn folder(key: &str) -> Entry {
    Entry::new(Key::from(key), EntryKind::Directory)
}

async fn make(destination: &dyn Destination, entry: &Entry) -> Told {
    let writer = destination.create(entry, false).await.or_say(&format!("creating `{}`", entry.key))?;
    ensure(writer.is_none(), || format!("the {} `{}` got a writer", entry.kind.name(), entry.key))
}

pub(super) async fn folders(bed: &Bed) -> Told {
    let destination = fresh(bed).await?;
    for key in ["", "b/", "b/", "b/c/", "d/e/"] {
        make(&*destination, &folder(key)).await?;
    }
    Ok(())
}

pub(super) async fn implied_folders(bed: &Bed) -> Told {
    let destination = fresh(bed).await?;
    make(&*destination, &folder("b/")).await?;
    let keys = tree_keys(|key| bed.holds(key));
    for key in &keys {
        write(&*destination, &Entry::new(key.clone(), EntryKind::File), key.as_bytes(), false).await?;
    }
    for key in &keys {
        expect_bytes(bed, key, key.as_bytes()).await?;
    }
    Ok(())
}

pub(super) async fn folders_after(bed: &Bed) -> Told {
    let destination = fresh(bed).await?;
    write(&*destination, &file("b/c/d"), b"content", false).await?;
    for key in ["b/c/", "b/"] {
        make(&*destination, &folder(key)).await?;
    }
    expect_bytes(bed, &Key::from("b/c/d"), b"content").await
}

fn link(key: &str, target: &str) -> Entry {
    Entry { link_target: Some(target.into()), ..Entry::new(Key::from(key), EntryKind::Symlink) }
}

pub(super) async fn symlinks(bed: &Bed) -> Told {
    let destination = fresh(bed).await?;
    for (key, target) in [("l/up", "../../outside"), ("l/none", "no such file"), ("l/root", "/")] {
        let link = link(key, target);
        make(&*destination, &link).await?;
        let found = destination.stat(&link.key).await.or_say("stat")?.ok_or("a restored link is not found")?;
        ensure((found.kind, &found.link_target) == (EntryKind::Symlink, &link.link_target), || {
            format!("the link `{key}` came back as {found:?}")
        })?;
    }
    Ok(())
}

/// A bucket may keep what a link was as an object, which has a writer or is complete.
pub(super) async fn no_symlinks(bed: &Bed) -> Told {
    let destination = fresh(bed).await?;
    match destination.create(&link("l/up", "../up"), false).await {
        Err(error) => ensure(error.class == ErrorClass::Unsupported, || format!("a link failed as {:?}", error.class)),
        Ok(_) if destination.info().await.or_say("info")?.namespace == "flat" => Ok(()),
        Ok(_) => Err(Miss::Failed("it claims no links, and took one".to_owned())),
    }
}

const TIME: Timestamp = Timestamp { seconds: 1_234_567_890, nanoseconds: 123_000_000 };

/// Two files and a folder, written, and what is reported their metadata.
async fn described(bed: &Bed, destination: &dyn Destination) -> Told<Vec<(Entry, Vec<String>)>> {
    let mut entries = [file("m/a"), file("m/b"), folder("m/")];
    entries.iter_mut().for_each(|entry| entry.modified = Some(TIME));
    let [a, b, above] = &entries;
    make(destination, above).await?;
    write(destination, a, b"a", false).await?;
    write(destination, b, b"b", false).await?;
    let answers = destination.set_metadata(&entries).await.or_say("set_metadata")?;
    ensure(answers.len() == entries.len(), || format!("3 entries have {} answers", answers.len()))?;
    expect_bytes(bed, &a.key, b"a").await?;
    let reported = |(entry, answer): (&Entry, crate::Result<_>)| {
        Ok((entry.clone(), answer.or_say(&format!("setting the metadata of `{}`", entry.key))?))
    };
    entries.iter().zip(answers).map(reported).collect()
}

pub(super) async fn metadata_each(bed: &Bed) -> Told {
    described(bed, &*fresh(bed).await?).await.map(drop)
}

pub(super) async fn metadata_none(bed: &Bed) -> Told {
    let answers = fresh(bed).await?.set_metadata(&[]).await.or_say("set_metadata of nothing")?;
    ensure(answers.is_empty(), || format!("no entries have {} answers", answers.len()))
}

pub(super) async fn metadata_time(bed: &Bed) -> Told {
    let destination = fresh(bed).await?;
    let has_own_times = destination.info().await.or_say("info")?.has("own-times");
    for (entry, missed) in described(bed, &*destination).await? {
        // A bucket holds no folders.
        let Some(found) = destination.stat(&entry.key).await.or_say("stat")? else {
            ensure(entry.kind == EntryKind::Directory, || format!("`{}` was restored and is not found", entry.key))?;
            continue;
        };
        let named = missed.iter().any(|name| name == "modified");
        let reported = found.modified == entry.modified || has_own_times || named;
        ensure(reported, || format!("the time of `{}` was not set, and nobody said so", entry.key))?;
    }
    Ok(())
}

pub(super) async fn metadata_content(bed: &Bed) -> Told {
    let destination = fresh(bed).await?;
    described(bed, &*destination).await?;
    expect_bytes(bed, &Key::from("m/a"), b"a").await?;
    expect_bytes(bed, &Key::from("m/b"), b"b").await
}

pub(super) async fn metadata_names(bed: &Bed) -> Told {
    for (entry, missed) in described(bed, &*fresh(bed).await?).await? {
        // What an entry is may be lost, too: a bucket has no folders.
        let is_known =
            |name: &&String| *name == "modified" || name.starts_with("kind.") || entry.attribute(name).is_some();
        let other = missed.iter().find(|name| !is_known(name));
        ensure(other.is_none(), || format!("`{}` has no attribute {other:?}, which is reported as lost", entry.key))?;
    }
    Ok(())
}

/// An entry with an attribute, what is reported as lost, and what is found.
async fn attributed(bed: &Bed, name: &str, value: &AttributeValue) -> Told<(Vec<String>, Option<Entry>)> {
    let destination = fresh(bed).await?;
    let mut entry = file("m/attributed");
    entry.attributes = vec![(name.to_owned(), value.clone())];
    let mut missed = write(&*destination, &entry, b"content", false).await?;
    for answer in destination.set_metadata(std::slice::from_ref(&entry)).await.or_say("set_metadata")? {
        missed.extend(answer.or_say("setting metadata")?);
    }
    Ok((missed, destination.stat(&entry.key).await.or_say("stat")?))
}

pub(super) async fn claimed(bed: &Bed, name: &str, value: AttributeValue) -> Told {
    let (missed, found) = attributed(bed, name, &value).await?;
    ensure(!missed.iter().any(|one| one == name), || format!("`{name}` is claimed and reported as lost"))?;
    let reported = found.as_ref().and_then(|entry| entry.attribute(name));
    let is_right = reported.is_none_or(|reported| *reported == value);
    ensure(is_right, || format!("`{name}` was {value:?} and came back as {reported:?}"))
}

/// A destination that keeps everything it is given loses nothing.
pub(super) async fn unclaimed(bed: &Bed, name: &str, value: AttributeValue) -> Told {
    let (missed, found) = attributed(bed, name, &value).await?;
    let is_kept = found.is_some_and(|entry| entry.attribute(name).is_some());
    let is_told = missed.iter().any(|one| one == name);
    ensure(is_kept || is_told, || format!("`{name}` was neither kept nor told as lost"))
}

/// Writes each key with itself as its content, and answers those that were not refused: a tree has no `a/b` beside a file `a`.
async fn written(bed: &Bed, destination: &dyn Destination, keys: Vec<Key>) -> Told<Vec<Key>> {
    let holds_all = destination.info().await.or_say("info")?.has("raw-names");
    let mut held = Vec::new();
    for key in keys.into_iter().filter(|key| bed.holds(key)) {
        let entry = Entry::new(key, EntryKind::File);
        let outcome = match destination.create(&entry, false).await {
            Ok(Some(mut writer)) => {
                let finished = writer.finish(Payload::from(entry.key.as_bytes().to_vec())).await;
                if finished.is_err() {
                    writer.abort().await;
                }
                finished
            }
            Ok(None) => return Err(format!("`{}` got no writer", entry.key).into()),
            Err(error) => Err(error),
        };
        match outcome {
            Ok(_) => held.push(entry.key),
            Err(error) if matches!(error.class, ErrorClass::Unsupported | ErrorClass::Denied) && !holds_all => {}
            Err(error) => return Err(format!("`{}` was not written: {error} ({:?})", entry.key, error.class).into()),
        }
    }
    Ok(held)
}

fn all_hard(bed: &Bed) -> Vec<Key> {
    hard_keys(bed.holds_any_bytes(), bed.key_bytes_max())
}

pub(super) async fn hard(bed: &Bed) -> Told {
    let destination = fresh(bed).await?;
    for key in written(bed, &*destination, all_hard(bed)).await? {
        expect_bytes(bed, &key, key.as_bytes()).await?;
    }
    Ok(())
}

pub(super) async fn hard_found(bed: &Bed) -> Told {
    let destination = fresh(bed).await?;
    for key in written(bed, &*destination, all_hard(bed)).await? {
        let found = destination.stat(&key).await.or_say("stat")?;
        ensure(found.is_some_and(|found| found.key == key), || format!("`{key}` was written and is not found"))?;
    }
    Ok(())
}

pub(super) async fn raw(bed: &Bed) -> Told {
    let destination = fresh(bed).await?;
    let keys: Vec<Key> = all_hard(bed).into_iter().filter(|key| bed.holds(key)).collect();
    let held = written(bed, &*destination, keys.clone()).await?;
    ensure(held.len() == keys.len(), || format!("of {} keys {} were taken", keys.len(), held.len()))
}

pub(super) async fn hard_paths(bed: &Bed) -> Told {
    let destination = fresh(bed).await?;
    for key in written(bed, &*destination, paths(bed.holds_any_bytes())).await? {
        expect_bytes(bed, &key, key.as_bytes()).await?;
    }
    Ok(())
}
