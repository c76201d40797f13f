//! The cases of a store.

mod model;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use credenza_model::{StoreKey, Timestamp};

use super::{Case, CaseResult, OrSay, Verdict, ensure, expect_class, run, unopened};
use crate::random::Dice;
use crate::{ByteRange, ErrorClass, Page, Pages, Payload, PutOptions, Result, Store, StoredObject};

/// Makes stores to test.
#[async_trait]
pub trait StoreBed: Send + Sync {
    /// A store that holds nothing, independent of those made before.
    ///
    /// # Errors
    /// Whatever keeps it from being made.
    async fn fresh(&self) -> Result<Arc<dyn Store>>;
}

/// Runs all cases of a store; the seed repeats the random ones.
pub async fn store(bed: &(dyn StoreBed + 'static), seed: u64) -> Vec<CaseResult> {
    let info = match bed.fresh().await {
        Ok(store) => store.info().await,
        Err(error) => Err(error),
    };
    match info {
        Ok(info) => run(bed, seed, info.traits, &CASES).await,
        Err(error) => unopened("store.open", &error),
    }
}

type Bed = dyn StoreBed;

const CASES: [Case<Bed>; 16] = [
    Case {
        id: "store.put-get",
        why: "what is read is what was written, also when it is empty, large or in pieces",
        needs: None,
        run: |bed, seed| Box::pin(put_get(bed, seed)),
    },
    Case {
        id: "store.overwrite",
        why: "a plain put replaces, and its size with it",
        needs: None,
        run: |bed, _| Box::pin(overwrite(bed)),
    },
    Case {
        id: "store.not-found",
        why: "a missing object is an error of its own class, never an empty body",
        needs: None,
        run: |bed, _| Box::pin(not_found(bed)),
    },
    Case {
        id: "store.stat",
        why: "size, and a tag that changes with the object",
        needs: None,
        run: |bed, _| Box::pin(stat(bed)),
    },
    Case {
        id: "store.delete",
        why: "what is not there counts as deleted, each key has its result",
        needs: None,
        run: |bed, _| Box::pin(delete(bed)),
    },
    Case {
        id: "store.ranged-get",
        why: "a blob is read out of its pack by range",
        needs: Some("ranged-get"),
        run: |bed, seed| Box::pin(ranged_get(bed, seed)),
    },
    Case {
        id: "store.if-absent",
        why: "create-only puts are what keeps writers apart",
        needs: Some("if-absent"),
        run: |bed, _| Box::pin(if_absent(bed)),
    },
    Case {
        id: "store.if-absent-race",
        why: "of puts at the same time exactly one creates the object",
        needs: Some("if-absent"),
        run: |bed, _| Box::pin(if_absent_race(bed)),
    },
    Case {
        id: "store.if-match",
        why: "compare-and-swap swaps only what was compared",
        needs: Some("if-match"),
        run: |bed, _| Box::pin(if_match(bed)),
    },
    Case {
        id: "store.list-order",
        why: "listings are merged as sorted streams",
        needs: Some("ordered-list"),
        run: |bed, _| Box::pin(list_order(bed)),
    },
    Case {
        id: "store.list-pages",
        why: "pages join without gap or repetition, however many keys they hold, and only the last one is the end",
        needs: Some("ordered-list"),
        run: |bed, _| Box::pin(list_pages(bed)),
    },
    Case {
        id: "store.list-meanwhile",
        why: "a collector deletes what it has listed and goes on with the listing",
        needs: Some("ordered-list"),
        run: |bed, _| Box::pin(list_meanwhile(bed)),
    },
    Case {
        id: "store.list-after-write",
        why: "a commit that a later listing misses loses data",
        needs: Some("list-after-write"),
        run: |bed, _| Box::pin(list_after_write(bed)),
    },
    Case {
        id: "store.versions",
        why: "what was written can be read by its version, whatever is put over it or hides it",
        needs: Some("versions"),
        run: |bed, _| Box::pin(versions(bed)),
    },
    Case {
        id: "store.retain",
        why: "a lock is there from the put on, and only ever moves to a later time",
        needs: Some("retention"),
        run: |bed, _| Box::pin(retain(bed)),
    },
    Case {
        id: "store.model",
        why: "random operations agree with a map in memory",
        needs: Some("ordered-list"),
        run: |bed, seed| Box::pin(model::random_operations(bed, seed)),
    },
];

pub(super) fn key(text: &str) -> std::result::Result<StoreKey, String> {
    StoreKey::new(text).map_err(|e| e.to_string())
}

pub(super) const IF_ABSENT: PutOptions =
    PutOptions { if_absent: true, if_match: None, retain_until: None, hint: String::new() };

pub(super) async fn fresh(bed: &Bed) -> std::result::Result<Arc<dyn Store>, String> {
    bed.fresh().await.or_say("making a store")
}

pub(super) async fn put(store: &dyn Store, text: &str, bytes: &[u8]) -> std::result::Result<Option<String>, String> {
    let options = PutOptions { hint: text.split('/').next().unwrap_or_default().to_owned(), ..PutOptions::default() };
    let stored = store.put(&key(text)?, Payload::from(bytes.to_vec()), &options).await;
    Ok(stored.or_say(&format!("put {text}"))?.tag)
}

pub(super) async fn get(store: &dyn Store, text: &str, range: Option<ByteRange>) -> std::result::Result<Bytes, String> {
    let body = store.get(&key(text)?, range, None).await.or_say(&format!("get {text}"))?;
    body.read_all(1 << 30).await.or_say(&format!("reading {text}"))
}

async fn put_get(bed: &Bed, seed: u64) -> Verdict {
    let store = fresh(bed).await?;
    let mut dice = Dice::new(seed);
    for length in [0, 1, 4096, 3 << 20] {
        let bytes = Bytes::from(dice.bytes(length));
        let (head, tail) = (bytes.slice(..bytes.len() / 3), bytes.slice(bytes.len() / 3..));
        let name = key(&format!("data/{length}"))?;
        let payload = Payload::new(vec![head, Bytes::new(), tail]);
        store.put(&name, payload, &PutOptions::default()).await.or_say("put")?;
        let read = get(&*store, name.as_str(), None).await?;
        ensure(read == bytes, || format!("{length} bytes were written, and {} other bytes read", read.len()))?;
    }
    Ok(())
}

async fn overwrite(bed: &Bed) -> Verdict {
    let store = fresh(bed).await?;
    put(&*store, "usage/a", b"a longer first content").await?;
    put(&*store, "usage/a", b"second").await?;
    let read = get(&*store, "usage/a", None).await?;
    ensure(read == b"second"[..], || format!("after an overwrite the object holds {} bytes", read.len()))
}

async fn not_found(bed: &Bed) -> Verdict {
    let store = fresh(bed).await?;
    put(&*store, "data/aa", b"x").await?;
    for missing in ["data/a", "data/aaa", "none", "none/x"] {
        let name = key(missing)?;
        expect_class(store.get(&name, None, None).await, ErrorClass::NotFound, &format!("get {missing}"))?;
        expect_class(store.stat(&name).await, ErrorClass::NotFound, &format!("stat {missing}"))?;
    }
    Ok(())
}

async fn stat(bed: &Bed) -> Verdict {
    let store = fresh(bed).await?;
    let tag = put(&*store, "data/a", b"12345").await?;
    let first = store.stat(&key("data/a")?).await.or_say("stat")?;
    ensure(first.size == 5, || format!("5 bytes are described as {}", first.size))?;
    ensure(tag.is_none() || first.tag == tag, || "put and stat name different tags".to_owned())?;
    put(&*store, "data/a", b"67890").await?;
    let second = store.stat(&key("data/a")?).await.or_say("stat")?;
    ensure(first.tag.is_none() || first.tag != second.tag, || "the tag outlived the object it named".to_owned())
}

async fn delete(bed: &Bed) -> Verdict {
    let store = fresh(bed).await?;
    put(&*store, "data/a", b"x").await?;
    put(&*store, "data/b", b"x").await?;
    let keys = [key("data/a")?, key("data/missing")?, key("none/missing")?];
    for _ in 0..2 {
        let outcomes = store.delete(&keys).await.or_say("delete")?;
        ensure(outcomes.len() == 3, || format!("3 keys were deleted with {} results", outcomes.len()))?;
        for outcome in outcomes {
            outcome.or_say("delete of one key")?;
        }
    }
    expect_class(store.get(&keys[0], None, None).await, ErrorClass::NotFound, "get of a deleted object")?;
    get(&*store, "data/b", None).await.map(drop)
}

async fn ranged_get(bed: &Bed, seed: u64) -> Verdict {
    let store = fresh(bed).await?;
    let bytes = Dice::new(seed).bytes(10_000);
    put(&*store, "data/a", &bytes).await?;
    for (offset, length) in [(0, Some(1)), (17, Some(4096)), (9999, Some(1)), (5000, None), (9000, Some(5000))] {
        let read = get(&*store, "data/a", Some(ByteRange { offset, length })).await?;
        let expected = bytes.iter().skip(offset as usize).take(length.unwrap_or(u64::MAX) as usize);
        ensure(read.iter().eq(expected), || format!("bytes {offset} and {length:?} more came back wrong"))?;
    }
    let past = Some(ByteRange { offset: 10_001, length: Some(1) });
    match store.get(&key("data/a")?, past, None).await {
        Err(error) if !error.is_transient() && error.class != ErrorClass::NotFound => Ok(()),
        Err(error) => Err(format!("a range past the end failed as {:?}, which misleads", error.class)),
        Ok(_) => Err("a range past the end succeeded".to_owned()),
    }
}

async fn if_absent(bed: &Bed) -> Verdict {
    let store = fresh(bed).await?;
    let name = key("intent/a")?;
    store.put(&name, Payload::from(b"first".to_vec()), &IF_ABSENT).await.or_say("the first create-only put")?;
    let second = store.put(&name, Payload::from(b"second".to_vec()), &IF_ABSENT).await;
    expect_class(second, ErrorClass::Precondition, "a second create-only put")?;
    let read = get(&*store, "intent/a", None).await?;
    ensure(read == b"first"[..], || "the refused put changed the object".to_owned())?;
    store.delete(std::slice::from_ref(&name)).await.or_say("delete")?;
    store.put(&name, Payload::from(b"third".to_vec()), &IF_ABSENT).await.or_say("a create-only put after a delete")?;
    Ok(())
}

async fn if_absent_race(bed: &Bed) -> Verdict {
    let store = fresh(bed).await?;
    let name = key("intent/a")?;
    let options = IF_ABSENT;
    let puts = (0..8_u8).map(|n| store.put(&name, Payload::from(vec![n; 100]), &options));
    let answers = futures_util::future::join_all(puts).await;
    let winners: Vec<usize> = answers.iter().enumerate().filter(|(_, a)| a.is_ok()).map(|(n, _)| n).collect();
    let [winner] = winners[..] else { return Err(format!("{} of 8 create-only puts succeeded", winners.len())) };
    for answer in answers.into_iter().filter(Result::is_err) {
        expect_class(answer, ErrorClass::Precondition, "a put that lost the race")?;
    }
    let read = get(&*store, "intent/a", None).await?;
    ensure(read.iter().all(|byte| usize::from(*byte) == winner), || "a loser's bytes are there".to_owned())
}

async fn if_match(bed: &Bed) -> Verdict {
    let store = fresh(bed).await?;
    let tag = put(&*store, "usage/a", b"one").await?.ok_or("a store that claims if-match returned no tag")?;
    let swap = PutOptions { if_match: Some(tag), ..PutOptions::default() };
    store.put(&key("usage/a")?, Payload::from(b"two".to_vec()), &swap).await.or_say("swapping")?;
    let again = store.put(&key("usage/a")?, Payload::from(b"three".to_vec()), &swap).await;
    expect_class(again, ErrorClass::Precondition, "swapping with a stale tag")?;
    let missing = store.put(&key("usage/none")?, Payload::from(b"x".to_vec()), &swap).await;
    ensure(missing.is_err(), || "a missing object was swapped".to_owned())?;
    let read = get(&*store, "usage/a", None).await?;
    ensure(read == b"two"[..], || "the refused swap changed the object".to_owned())
}

/// Names whose order is easily got wrong where folders are involved.
const LISTED: [&str; 9] =
    ["config", "data-x", "data.y", "data/00/a", "data/00/b", "data/0f", "data/f0/a", "data0", "index/a"];

async fn filled(bed: &Bed) -> std::result::Result<Arc<dyn Store>, String> {
    let store = fresh(bed).await?;
    for name in LISTED.iter().rev() {
        put(&*store, name, name.as_bytes()).await?;
    }
    Ok(store)
}

async fn list_all(store: &dyn Store, prefix: &str) -> std::result::Result<Vec<StoredObject>, String> {
    Pages::new(store, prefix).collect().await.or_say("list")
}

async fn list_order(bed: &Bed) -> Verdict {
    let store = filled(bed).await?;
    for prefix in ["", "data", "data/", "data/0", "data/00/", "x", "config", "config/"] {
        let listed = list_all(&*store, prefix).await?;
        let expected: Vec<&str> = LISTED.into_iter().filter(|name| name.starts_with(prefix)).collect();
        let found: Vec<&str> = listed.iter().map(|object| object.key.as_str()).collect();
        ensure(found == expected, || format!("`{prefix}` lists {found:?} instead of {expected:?}"))?;
        let sizes = listed.iter().all(|object| object.size == object.key.as_str().len() as u64);
        ensure(sizes, || "a listing tells a wrong size".to_owned())?;
    }
    Ok(())
}

async fn list_pages(bed: &Bed) -> Verdict {
    let store = filled(bed).await?;
    for (prefix, max) in [("", 1), ("", 2), ("", 4), ("data/", 1), ("data", 3)] {
        let (mut found, mut cursor): (Vec<StoreKey>, Option<String>) = (Vec::new(), None);
        loop {
            let page = store.list(prefix, cursor.as_deref(), max).await.or_say("list")?;
            let again =
                store.list(prefix, cursor.as_deref(), max).await.or_say("list of a page that was listed before")?;
            ensure(keys_of(&page) == keys_of(&again), || "one cursor leads to two pages".to_owned())?;
            ensure(page.objects.len() <= max, || format!("a page of at most {max} holds {}", page.objects.len()))?;
            ensure(found.len() <= LISTED.len(), || "the listing never ends".to_owned())?;
            found.extend(keys_of(&page).into_iter().cloned());
            let Some(next) = page.next else { break };
            cursor = Some(next);
        }
        let expected: Vec<&str> = LISTED.into_iter().filter(|name| name.starts_with(prefix)).collect();
        let names: Vec<&str> = found.iter().map(StoreKey::as_str).collect();
        ensure(names == expected, || format!("pages of {max} of `{prefix}` join to {names:?}"))?;
    }
    Ok(())
}

fn keys_of(page: &Page) -> Vec<&StoreKey> {
    page.objects.iter().map(|object| &object.key).collect()
}

/// What is deleted between two pages costs none of the others its place.
async fn list_meanwhile(bed: &Bed) -> Verdict {
    let store = filled(bed).await?;
    let first = store.list("", None, 4).await.or_say("list")?;
    let Some(next) = &first.next else {
        return ensure(first.objects.len() == LISTED.len(), || "a page is the last".to_owned());
    };
    let told: Vec<StoreKey> = keys_of(&first).into_iter().cloned().collect();
    for outcome in store.delete(&told).await.or_say("delete")? {
        outcome.or_say("delete")?;
    }
    let (mut rest, mut cursor) = (Vec::new(), Some(next.clone()));
    while let Some(next) = cursor {
        let page = store.list("", Some(&next), 4).await.or_say("list")?;
        rest.extend(keys_of(&page).into_iter().cloned());
        cursor = page.next;
    }
    let expected = LISTED.into_iter().skip(told.len());
    ensure(rest.iter().map(StoreKey::as_str).eq(expected), || {
        format!("after a deletion the listing goes on with {rest:?}")
    })
}

async fn list_after_write(bed: &Bed) -> Verdict {
    let store = fresh(bed).await?;
    for n in 0..20 {
        let name = format!("snapshot/{n:02}");
        put(&*store, &name, b"x").await?;
        let listed = list_all(&*store, "snapshot/").await?;
        ensure(listed.iter().any(|object| object.key.as_str() == name), || {
            format!("{name} is written and not listed")
        })?;
        if n % 2 == 0 {
            store.delete(&[key(&name)?]).await.or_say("delete")?;
            let listed = list_all(&*store, "snapshot/").await?;
            ensure(listed.iter().all(|object| object.key.as_str() != name), || {
                format!("{name} is deleted and listed")
            })?;
        }
    }
    Ok(())
}

async fn versions(bed: &Bed) -> Verdict {
    let store = fresh(bed).await?;
    let name = key("data/a")?;
    let first = store.put(&name, Payload::from(b"first".to_vec()), &PutOptions::default()).await.or_say("put")?;
    let version = first.version.ok_or("a store that claims versions returned none")?;
    let found = store.stat(&name).await.or_say("stat")?;
    ensure(found.version.as_ref() == Some(&version), || "put and stat name different versions".to_owned())?;
    put(&*store, "data/a", b"second").await?;
    store.delete(std::slice::from_ref(&name)).await.or_say("delete")?;
    let range = Some(ByteRange { offset: 1, length: Some(3) });
    let read = store.get(&name, range, Some(&version)).await.or_say("get of a hidden version")?;
    let read = read.read_all(1 << 20).await.or_say("reading a hidden version")?;
    ensure(read == b"irs"[..], || "a version holds other bytes than were put".to_owned())?;
    expect_class(store.get(&name, None, None).await, ErrorClass::NotFound, "get of a deleted object")
}

/// A lock of the case lasts a minute by the store's clock: what it leaves behind can be removed soon.
async fn retain(bed: &Bed) -> Verdict {
    let store = fresh(bed).await?;
    let name = key("data/a")?;
    put(&*store, "data/now", b"x").await?;
    let now = store.stat(&key("data/now")?).await.or_say("stat")?.modified.ok_or("a stat without a time")?;
    let after = |seconds| Timestamp { seconds: now.seconds.saturating_add(seconds), nanoseconds: 0 };
    let locked = PutOptions { retain_until: Some(after(60)), ..IF_ABSENT };
    let stored = store.put(&name, Payload::from(b"x".to_vec()), &locked).await.or_say("a put that locks")?;
    for (until, expected) in [(None, 60), (Some(90), 90), (Some(30), 90)] {
        if let Some(until) = until {
            store.retain(&name, stored.version.as_deref(), after(until)).await.or_say("retain")?;
        }
        let found = store.stat(&name).await.or_say("stat")?.retain_until;
        ensure(found == Some(after(expected)), || format!("a lock until {expected} s is told as {found:?}"))?;
    }
    let missing = store.retain(&key("data/missing")?, None, after(60)).await;
    expect_class(missing, ErrorClass::NotFound, "retain of a missing object")
}
