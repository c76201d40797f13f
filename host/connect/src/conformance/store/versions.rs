//! What a store keeps of objects that were replaced, hidden or locked.

use std::sync::Arc;

use credenza_model::{StoreKey, Timestamp};

use super::super::expect_class;
use super::{Bed, IF_ABSENT, OrSay, Told, delete, ensure, fresh, key, list_all, put};
use crate::{ByteRange, ErrorClass, Payload, PutOptions, Store};

/// A store with an object, its name and its version.
async fn one(bed: &Bed) -> Told<(Arc<dyn Store>, StoreKey, String)> {
    let (store, name) = (fresh(bed).await?, key("data/a")?);
    let first = store.put(&name, Payload::from(b"first".to_vec()), &PutOptions::default()).await.or_say("put")?;
    let version = first.version.ok_or("a store that claims versions returned none")?;
    Ok((store, name, version))
}

async fn ensure_is_first(store: &dyn Store, name: &StoreKey, version: &str) -> Told {
    let whole = store.get(name, None, Some(version)).await.or_say("get of an older version")?;
    let whole = whole.read_all(1 << 20).await.or_say("reading an older version")?;
    ensure(whole == b"first"[..], || "a version holds other bytes than were put".to_owned())?;
    let range = Some(ByteRange { offset: 1, length: Some(3) });
    let part = store.get(name, range, Some(version)).await.or_say("get of a part of an older version")?;
    let part = part.read_all(1 << 20).await.or_say("reading a part of an older version")?;
    ensure(part == b"irs"[..], || "a part of a version holds other bytes than were put".to_owned())
}

pub(super) async fn overwritten(bed: &Bed) -> Told {
    let (store, name, version) = one(bed).await?;
    put(&*store, "data/a", b"second").await?;
    ensure_is_first(&*store, &name, &version).await
}

pub(super) async fn deleted(bed: &Bed) -> Told {
    let (store, name, version) = one(bed).await?;
    delete(&*store, &["data/a"]).await?;
    ensure_is_first(&*store, &name, &version).await?;
    expect_class(store.get(&name, None, None).await, ErrorClass::NotFound, "get of a deleted object")
}

pub(super) async fn stat(bed: &Bed) -> Told {
    let (store, name, version) = one(bed).await?;
    let found = store.stat(&name).await.or_say("stat")?.version;
    ensure(found.as_ref() == Some(&version), || format!("put names version {version}, stat {found:?}"))
}

/// A lock of the case lasts a minute by the store's clock: what it leaves behind can be removed soon.
async fn locked(bed: &Bed) -> Told<(Arc<dyn Store>, StoreKey, Option<String>, i64)> {
    let (store, name) = (fresh(bed).await?, key("data/a")?);
    put(&*store, "data/now", b"x").await?;
    let now = store.stat(&key("data/now")?).await.or_say("stat")?.modified.ok_or("a stat without a time")?.seconds;
    let options = PutOptions { retain_until: Some(after(now, 60)), ..IF_ABSENT };
    let stored = store.put(&name, Payload::from(b"x".to_vec()), &options).await.or_say("a put that locks")?;
    Ok((store, name, stored.version, now))
}

fn after(now: i64, seconds: i64) -> Timestamp {
    Timestamp { seconds: now.saturating_add(seconds), nanoseconds: 0 }
}

pub(super) async fn from_put(bed: &Bed) -> Told {
    let (store, name, _, now) = locked(bed).await?;
    let found = store.stat(&name).await.or_say("stat")?.retain_until;
    ensure(found >= Some(after(now, 60)), || format!("a lock of 60 s from {now} on is reported as {found:?}"))
}

pub(super) async fn later(bed: &Bed) -> Told {
    let (store, name, version, now) = locked(bed).await?;
    for (until, expected) in [(90, 90), (30, 90)] {
        store.retain(&name, version.as_deref(), after(now, until)).await.or_say("retain")?;
        let found = store.stat(&name).await.or_say("stat")?.retain_until;
        ensure(found >= Some(after(now, expected)), || format!("a lock until {expected} s is reported as {found:?}"))?;
    }
    Ok(())
}

pub(super) async fn missing(bed: &Bed) -> Told {
    let (store, _, _, now) = locked(bed).await?;
    let missing = store.retain(&key("data/missing")?, None, after(now, 60)).await;
    expect_class(missing, ErrorClass::NotFound, "retain of a missing object")
}

/// Later than any clock.
const LATER: i64 = 4_000_000_000;

pub(super) async fn unsupported(bed: &Bed) -> Told {
    let store = fresh(bed).await?;
    put(&*store, "data/a", b"x").await?;
    let answer = store.retain(&key("data/a")?, None, after(LATER, 0)).await;
    expect_class(answer, ErrorClass::Unsupported, "retain where it is not claimed")
}

pub(super) async fn put_unsupported(bed: &Bed) -> Told {
    let store = fresh(bed).await?;
    let options = PutOptions { retain_until: Some(after(LATER, 0)), ..PutOptions::default() };
    let answer = store.put(&key("data/a")?, Payload::from(b"x".to_vec()), &options).await;
    expect_class(answer, ErrorClass::Unsupported, "a put that locks where that is not claimed")?;
    let left = list_all(&*store, "").await?;
    ensure(left.is_empty(), || format!("a put that failed left {left:?}"))
}
