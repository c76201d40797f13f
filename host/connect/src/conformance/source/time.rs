//! What a source shows as of a time by its own clock, whatever is written after it. A source without a clock keeps no history, and need not.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use credenza_model::{Entry, Key, Timestamp};

use super::super::{Miss, given};
use super::{Bed, OrSay, Told, ensure, find, keys, read, scan, scan_all, tree};
use crate::{ErrorClass, ScanOptions, Source};

/// How often a clock is looked at, and how long is waited in between: it goes on by itself at a service, and with each write at a stand-in.
const LOOKS_MAX: usize = 50;
const PAUSE: Duration = Duration::from_millis(100);
/// What is written to keep a clock going, and looked at by no case.
const PENDULUM: &str = "z/y";

async fn clock(source: &dyn Source) -> Told<Timestamp> {
    given(source.now().await.or_say("now")?, "it tells no clock")
}

/// What is shown as of a time. A listing that cannot be cut is no failure: the host scans without.
async fn then(source: &dyn Source, time: Timestamp) -> Told<Vec<Entry>> {
    let options = ScanOptions { as_of: Some(time), ..ScanOptions::default() };
    match source.scan(&options).await {
        Err(error) if error.class == ErrorClass::Unsupported => {
            Err(Miss::Skipped("its listing cannot be cut".to_owned()))
        }
        _ => scan(source, &options, 1000).await,
    }
}

/// A source in which `b/a` was replaced and `b/new` made after a time, and what is shown as of then.
async fn changed_since(bed: &Bed) -> Told<(Arc<dyn Source>, Vec<Entry>)> {
    let source = tree(bed).await?;
    let time = clock(&*source).await?;
    let mut looks = 0;
    while clock(&*source).await? <= time {
        looks += 1;
        given((looks < LOOKS_MAX).then_some(()), "its clock stands still")?;
        bed.replace(&Key::from(PENDULUM), Bytes::from_static(b"Z/Y")).await.or_say("replacing an object")?;
        tokio::time::sleep(PAUSE).await;
    }
    for key in ["b/a", "b/new"] {
        bed.replace(&Key::from(key), Bytes::from_static(b"later")).await.or_say("writing an object")?;
    }
    let entries = then(&*source, time).await?;
    Ok((source, entries))
}

pub(super) async fn added(bed: &Bed) -> Told {
    let (source, then) = changed_since(bed).await?;
    let now = scan_all(&*source).await?;
    find(&now, &Key::from("b/new"))?;
    let is_there = then.iter().any(|entry| entry.key == Key::from("b/new"));
    ensure(!is_there, || format!("as of a time `b/new` is listed, which was made after it: {:?}", keys(&then)))?;
    let missing = now.iter().find(|entry| entry.key != Key::from("b/new") && !then.iter().any(|e| e.key == entry.key));
    ensure(missing.is_none(), || format!("as of a time before it was replaced {missing:?} is not listed"))
}

pub(super) async fn replaced(bed: &Bed) -> Told {
    let (source, then) = changed_since(bed).await?;
    let (entry, now) = (find(&then, &Key::from("b/a"))?, scan_all(&*source).await?);
    ensure(entry.size.is_none_or(|size| size == 3), || {
        format!("`b/a` had 3 bytes then and is told with {:?}", entry.size)
    })?;
    let is_other = entry.fingerprint.is_none() || entry.fingerprint != find(&now, &Key::from("b/a"))?.fingerprint;
    ensure(is_other, || "what is there now has the fingerprint of what was there then".to_owned())
}

pub(super) async fn reads(bed: &Bed) -> Told {
    let (source, then) = changed_since(bed).await?;
    let found = read(&*source, find(&then, &Key::from("b/a"))?, None).await?;
    ensure(found == b"b/a"[..], || format!("`b/a` was replaced since and reads as `{}`", found.escape_ascii()))
}
