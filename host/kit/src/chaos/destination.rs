//! A destination at a hostile server: what is claimed to be restored is there and whole, and nothing that was there is lost unasked.

use std::sync::Arc;

use bytes::Bytes;
use credenza_connect::conformance::DestinationBed;
use credenza_connect::random::Dice;
use credenza_connect::wrap::Retry;
use credenza_connect::{Destination, ErrorClass, Payload, Result};
use credenza_model::{Entry, EntryKind, Key};

use super::Scene;
use super::verdict::{Verdict, ensure, honestly};

/// Longest parts that are tried; a destination that wants longer ones gets what fits one.
const PART_BYTES_MAX: u64 = 6 << 20;
const WITHOUT_PARTS_BYTES: u64 = 100_000;
const NEW: &str = "new/folder/file & <name>";
const IN_PARTS: &str = "new/parts";
const REPLACED: &str = "there/replaced";
const KEPT: &str = "there/kept";

pub(super) async fn play(scene: &Scene) -> Verdict {
    let mut dice = Dice::new(scene.seed);
    let bare = honestly("making a destination", DestinationBed::fresh(&scene.bed).await)?;
    let info = honestly("asking what it is", bare.info().await)?;
    let old = Bytes::from(dice.bytes(50));
    for key in [KEPT, REPLACED] {
        let written = write(&*bare, &file(key), &old, false).await;
        honestly("writing", written)?.ok_or("a file got no writer")?;
    }
    let in_parts = longer_than_a_part(&*bare).await;
    let destination = Retry::new(Arc::clone(&bare), scene.policy);
    scene.begin();
    let act = format!("looking at `{KEPT}`");
    if let Some(found) = scene.read(&act, destination.stat(&Key::from(KEPT)).await)? {
        let found = found.ok_or_else(|| format!("{act} finds nothing, and there is a file"))?;
        ensure(found.size.is_none_or(|size| size == old.len() as u64), || format!("{act} tells a wrong size"))?;
    }
    let is_atomic = info.has("atomic-finish");
    for (name, overwrite) in [(NEW, false), (REPLACED, true), (IN_PARTS, true), (KEPT, false)] {
        let entry = file(name);
        let new = Bytes::from(dice.bytes(if name == IN_PARTS { in_parts } else { 70 }));
        let act = format!("writing `{name}`");
        let written = match write(&destination, &entry, &new, overwrite).await {
            Err(error) if name == KEPT && error.class == ErrorClass::Precondition => None,
            written => scene.write(&act, written)?,
        };
        let held = scene.bed.bytes(&entry.key).await.map_err(|error| error.to_string())?;
        if name == KEPT {
            ensure(written.is_none() && held.as_ref() == Some(&old), || format!("`{KEPT}` is replaced, unasked"))?;
            continue;
        }
        let is_new = held.as_ref() == Some(&new);
        if written.is_some() {
            let reported = held.map_or("nothing".to_owned(), |held| format!("{} other bytes", held.len()));
            ensure(is_new, || format!("{act} succeeds, and there is {reported}"))?;
        } else if is_atomic {
            let is_old = held.is_none() || held.as_ref() == Some(&old) && name == REPLACED;
            ensure(is_new || is_old, || format!("{act} fails, and what is there looks whole and is not"))?;
        }
    }
    Ok(())
}

fn file(key: &str) -> Entry {
    Entry::new(Key::from(key), EntryKind::File)
}

/// A length that needs two parts, where these are short.
async fn longer_than_a_part(destination: &dyn Destination) -> u64 {
    let begun = destination.create(&file(".kit-parts"), true).await;
    let Ok(Some(writer)) = begun else { return WITHOUT_PARTS_BYTES };
    let part_bytes = writer.part_bytes().filter(|bytes| *bytes <= PART_BYTES_MAX);
    writer.abort().await;
    part_bytes.map_or(WITHOUT_PARTS_BYTES, |bytes| bytes.saturating_add(1))
}

/// Writes in parts of the size that the destination wants; nothing where it wants no bytes.
async fn write(destination: &dyn Destination, entry: &Entry, bytes: &Bytes, overwrite: bool) -> Result<Option<()>> {
    let Some(mut writer) = destination.create(entry, overwrite).await? else { return Ok(None) };
    let part_bytes = usize::try_from(writer.part_bytes().unwrap_or(u64::MAX)).unwrap_or(usize::MAX).max(1);
    let mut rest = bytes.clone();
    while rest.len() > part_bytes {
        if let Err(error) = writer.write(Payload::from(rest.split_to(part_bytes))).await {
            writer.abort().await;
            return Err(error);
        }
    }
    match writer.finish(Payload::from(rest)).await {
        Ok(_) => Ok(Some(())),
        Err(error) => {
            writer.abort().await;
            Err(error)
        }
    }
}
