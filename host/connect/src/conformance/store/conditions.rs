//! Puts that may be refused: only what is not there, only what was compared.

use super::super::expect_class;
use super::{Bed, IF_ABSENT, OrSay, Told, delete, ensure, fresh, get, key, put};
use crate::{ErrorClass, Payload, PutOptions, Result, Store, Stored};

async fn create(store: &dyn Store, name: &str, bytes: &[u8]) -> Told<Result<Stored>> {
    Ok(store.put(&key(name)?, Payload::from(bytes.to_vec()), &IF_ABSENT).await)
}

pub(super) async fn creates(bed: &Bed) -> Told {
    let store = fresh(bed).await?;
    create(&*store, "intent/a", b"first").await?.or_say("a create-only put of what is not there")?;
    create(&*store, "intent/b", b"").await?.or_say("a create-only put of an empty object")?;
    ensure(get(&*store, "intent/a", None).await? == b"first"[..], || "what was created holds other bytes".to_owned())
}

pub(super) async fn refuses(bed: &Bed) -> Told {
    let store = fresh(bed).await?;
    create(&*store, "intent/a", b"first").await?.or_say("the first create-only put")?;
    let second = create(&*store, "intent/a", b"second").await?;
    expect_class(second, ErrorClass::Precondition, "a second create-only put")?;
    put(&*store, "intent/plain", b"first").await?;
    let second = create(&*store, "intent/plain", b"second").await?;
    expect_class(second, ErrorClass::Precondition, "a create-only put over a plain one")
}

/// Whatever the refusal was.
pub(super) async fn keeps(bed: &Bed) -> Told {
    let store = fresh(bed).await?;
    put(&*store, "intent/a", b"first").await?;
    let _ = create(&*store, "intent/a", b"second").await?;
    let read = get(&*store, "intent/a", None).await?;
    ensure(read == b"first"[..], || "a create-only put changed what was there".to_owned())
}

pub(super) async fn after_delete(bed: &Bed) -> Told {
    let store = fresh(bed).await?;
    create(&*store, "intent/a", b"first").await?.or_say("a create-only put")?;
    delete(&*store, &["intent/a"]).await?;
    create(&*store, "intent/a", b"third").await?.or_say("a create-only put after a delete")?;
    ensure(get(&*store, "intent/a", None).await? == b"third"[..], || "what was created again is the old".to_owned())
}

pub(super) async fn race(bed: &Bed) -> Told {
    let store = fresh(bed).await?;
    let (name, options) = (key("intent/a")?, IF_ABSENT);
    let puts = (0..8_u8).map(|n| store.put(&name, Payload::from(vec![n; 100]), &options));
    let answers = futures_util::future::join_all(puts).await;
    let winners: Vec<usize> = answers.iter().enumerate().filter(|(_, a)| a.is_ok()).map(|(n, _)| n).collect();
    let [winner] = winners[..] else {
        return Err(format!("{} of 8 create-only puts succeeded", winners.len()).into());
    };
    for answer in answers.into_iter().filter(Result::is_err) {
        expect_class(answer, ErrorClass::Precondition, "a put that lost the race")?;
    }
    let read = get(&*store, "intent/a", None).await?;
    ensure(read.iter().all(|byte| usize::from(*byte) == winner), || "a loser's bytes are there".to_owned())
}

/// A store with an object `usage/a`, and the options of a put that swaps it.
async fn compared(bed: &Bed) -> Told<(std::sync::Arc<dyn Store>, PutOptions)> {
    let store = fresh(bed).await?;
    let tag = put(&*store, "usage/a", b"one").await?;
    let tag = tag.ok_or("a store that claims if-match returned no tag")?;
    Ok((store, PutOptions { if_match: Some(tag), ..PutOptions::default() }))
}

async fn swap(store: &dyn Store, name: &str, bytes: &[u8], options: &PutOptions) -> Told<Result<Stored>> {
    Ok(store.put(&key(name)?, Payload::from(bytes.to_vec()), options).await)
}

pub(super) async fn swaps(bed: &Bed) -> Told {
    let (store, options) = compared(bed).await?;
    let tag = swap(&*store, "usage/a", b"two", &options).await?.or_say("swapping")?.tag;
    let options = PutOptions { if_match: tag, ..PutOptions::default() };
    swap(&*store, "usage/a", b"three", &options).await?.or_say("swapping with the tag of the swap before")?;
    ensure(get(&*store, "usage/a", None).await? == b"three"[..], || {
        "after two swaps another content is there".to_owned()
    })
}

pub(super) async fn stale(bed: &Bed) -> Told {
    let (store, options) = compared(bed).await?;
    put(&*store, "usage/a", b"two").await?;
    let again = swap(&*store, "usage/a", b"three", &options).await?;
    expect_class(again, ErrorClass::Precondition, "swapping with a stale tag")?;
    ensure(get(&*store, "usage/a", None).await? == b"two"[..], || "the refused swap changed the object".to_owned())
}

/// Services differ in whether that is a missing object or a condition that does not hold.
pub(super) async fn swaps_no_missing(bed: &Bed) -> Told {
    let (store, options) = compared(bed).await?;
    let missing = swap(&*store, "usage/none", b"x", &options).await?;
    ensure(missing.is_err(), || "a missing object was swapped".to_owned())?;
    expect_class(store.stat(&key("usage/none")?).await, ErrorClass::NotFound, "stat of what was not swapped")
}
