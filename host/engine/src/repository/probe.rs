//! What a store can do, tried instead of believed: servers differ, and some ignore what they do not know.
//!
//! Called by `create`, which keeps the answer in the config, and by checks of a place. Leaves an object behind that is locked for [`LOCK_SECONDS`], where the store can lock,
//! and all objects where it does not let them be deleted; collectors clear them away.

use credenza_connect::{ByteRange, ErrorClass, Payload, PutOptions, Store, Stored, ability};
use credenza_model::{StoreKey, Timestamp};

use super::locks::{PROBE, probe_key};
use crate::{Error, Result};

/// Of many creates of one name, one after the other and at the same moment, one succeeds.
pub(crate) const IF_ABSENT: &str = ability::IF_ABSENT;
/// What was written is read by its version, also in part, after something else was put over it.
pub(crate) const VERSIONS: &str = ability::VERSIONS;
/// A lock is there when it was asked for, and can be extended.
pub(crate) const RETENTION: &str = ability::RETENTION;
/// Objects can be deleted, or hidden where versions are kept.
pub(crate) const DELETE: &str = "delete";

/// Writers of one name in the race that shows whether conditions hold at the same moment.
const RACERS: usize = 8;
/// How long an object is locked to try it.
const LOCK_SECONDS: i64 = 60;
/// Names tried for an object. A store that loses a tenth of its answers would spoil four in one of 10⁴ creations, eight in one of 10⁸.
const FIRST_TRIES_MAX: usize = 8;
const FIRST: &[u8] = b"credenza";

/// Tries everything that `create` relies on; the abilities that hold.
///
/// # Errors
/// When a first object cannot be written.
pub async fn probe(store: &dyn Store) -> Result<Vec<String>> {
    let (plain, first) = fresh(store, None).await?.map_err(Error::connector("writing a first object to the store"))?;
    let raced = probe_key()?;
    let second = put(store, &plain, FIRST, true, None).await;
    let refused = second.is_err_and(|cause| cause.class == ErrorClass::Precondition);
    let has_one_winner = refused && has_one_winner(store, &raced).await;
    // One that found out meanwhile that it cannot is believed: luck in a race is no proof.
    let if_absent = has_one_winner && store.info().await.is_ok_and(|info| info.has(IF_ABSENT));
    let versions = keeps_versions(store, &plain, &first).await;
    let (locked, retention) = locks(store, first.modified).await?;
    let keys: Vec<StoreKey> = [plain, raced].into_iter().chain(locked).collect();
    let deletes = deletes(store, &keys).await;
    let tried = [(IF_ABSENT, if_absent), (VERSIONS, versions), (RETENTION, retention), (DELETE, deletes)];
    Ok(tried.into_iter().filter(|(_, holds)| *holds).map(|(name, _)| name.to_owned()).collect())
}

/// A new object and its name. Where an earlier try of the same has arrived, what it left is not known, and another name is tried.
async fn fresh(
    store: &dyn Store,
    retain_until: Option<Timestamp>,
) -> Result<credenza_connect::Result<(StoreKey, Stored)>> {
    let mut tries = 1;
    loop {
        let key = probe_key()?;
        match put(store, &key, FIRST, true, retain_until).await {
            Err(cause) if cause.class == ErrorClass::Precondition && tries < FIRST_TRIES_MAX => tries += 1,
            answer => return Ok(answer.map(|stored| (key, stored))),
        }
    }
}

async fn put(
    store: &dyn Store,
    key: &StoreKey,
    bytes: &[u8],
    if_absent: bool,
    retain_until: Option<Timestamp>,
) -> credenza_connect::Result<Stored> {
    let options = PutOptions { if_absent, if_match: None, retain_until, hint: PROBE.to_owned() };
    store.put(key, Payload::from(bytes.to_vec()), &options).await
}

/// A server may look first and write afterwards, which lets several win. An outcome that is unknown counts as a win.
async fn has_one_winner(store: &dyn Store, key: &StoreKey) -> bool {
    let race = (0..RACERS).map(|_| put(store, key, FIRST, true, None));
    let ends = futures_util::future::join_all(race).await;
    let lost = |end: &credenza_connect::Result<Stored>| {
        end.as_ref().is_err_and(|cause| cause.class == ErrorClass::Precondition)
    };
    ends.iter().filter(|end| !lost(end)).count() == 1
}

async fn keeps_versions(store: &dyn Store, key: &StoreKey, first: &Stored) -> bool {
    let Some(version) = &first.version else { return false };
    if put(store, key, b"over it", false, None).await.is_err() {
        return false;
    }
    // Packs are read in parts, and some servers ignore a range where a version is named.
    let (from, to) = (2, 6);
    let range = ByteRange { offset: from as u64, length: Some((to - from) as u64) };
    let read = async { store.get(key, Some(range), Some(version)).await?.read_all(FIRST.len() as u64).await }.await;
    read.is_ok_and(|bytes| FIRST.get(from..to) == Some(&*bytes))
}

/// The object that was tried, and whether its lock holds.
async fn locks(store: &dyn Store, now: Option<Timestamp>) -> Result<(Option<StoreKey>, bool)> {
    let Some(now) = now else { return Ok((None, false)) };
    let end = |seconds: i64| Timestamp { seconds: now.seconds.saturating_add(seconds), nanoseconds: 0 };
    let Ok((key, stored)) = fresh(store, Some(end(LOCK_SECONDS))).await? else { return Ok((None, false)) };
    let longer = end(LOCK_SECONDS + 1);
    let holds = store.retain(&key, stored.version.as_deref(), longer).await.is_ok()
        && store.stat(&key).await.is_ok_and(|found| found.retain_until >= Some(longer));
    Ok((Some(key), holds))
}

/// Whether the first can be deleted; another may be locked.
async fn deletes(store: &dyn Store, keys: &[StoreKey]) -> bool {
    let results = store.delete(keys).await;
    results.is_ok_and(|results| results.first().is_some_and(Result::is_ok))
}
