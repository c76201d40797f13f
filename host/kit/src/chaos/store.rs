//! A store at a hostile server: nothing is lost, nothing is half written, and what is read is what was written.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use credenza_connect::conformance::StoreBed;
use credenza_connect::random::Dice;
use credenza_connect::wrap::Retry;
use credenza_connect::{ByteRange, Pages, Payload, PutOptions, Result, Store};
use credenza_model::StoreKey;

use super::Scene;
use super::verdict::{Verdict, ensure, honestly};
use crate::peer::Liberty;

/// A content that does not fit a packet.
const LARGE_BYTES: u64 = 150_000;
const READ_BYTES_MAX: u64 = 1 << 20;
const LARGE: &str = "data/large";
const REPLACED: &str = "index/replaced";
const NEW: &str = "snapshot/new";
const DELETED: &str = "data/3";

/// What an object may hold after a write: one of these, and if `None` is among them, it may be missing.
type States = BTreeMap<StoreKey, Vec<Option<Bytes>>>;

pub(super) async fn play(scene: &Scene) -> Verdict {
    let mut dice = Dice::new(scene.seed);
    let bare = honestly("making a store", StoreBed::fresh(&scene.bed).await)?;
    let mut there = BTreeMap::new();
    let small = (0..7).map(|number| (format!("data/{number}"), 60)).chain([(REPLACED.to_owned(), 60)]);
    for (name, length) in small.chain([(LARGE.to_owned(), LARGE_BYTES)]) {
        let bytes = Bytes::from(dice.bytes(length));
        honestly("a put", bare.put(&key(&name)?, bytes.clone().into(), &PutOptions::default()).await)?;
        there.insert(key(&name)?, bytes);
    }
    let store = Retry::new(Arc::clone(&bare), scene.policy);
    scene.begin();
    look(scene, &store, &there).await?;
    let states = change(scene, &store, &there, &mut dice).await?;
    scene.bed.server().peer().behave();
    hold(&*bare, &states).await
}

fn key(text: &str) -> std::result::Result<StoreKey, String> {
    StoreKey::new(text).map_err(|error| error.to_string())
}

/// Everything that reads.
async fn look(scene: &Scene, store: &Retry<dyn Store>, there: &BTreeMap<StoreKey, Bytes>) -> Verdict {
    if let Some(listed) = scene.read("a listing", Pages::new(store, "").of(3).collect().await)? {
        let reported: Vec<(&StoreKey, u64)> = listed.iter().map(|object| (&object.key, object.size)).collect();
        let real: Vec<(&StoreKey, u64)> = there.iter().map(|(key, bytes)| (key, bytes.len() as u64)).collect();
        ensure(reported == real, || format!("a listing that succeeds tells {reported:?} instead of {real:?}"))?;
    }
    for (key, bytes) in there {
        if let Some(found) = scene.read(&format!("looking at {key}"), store.stat(key).await)? {
            ensure(found.size == bytes.len() as u64, || format!("{key} is said to have {} bytes", found.size))?;
        }
        let range = ByteRange { offset: 7, length: Some(11) };
        if let Some(read) = scene.read(&format!("reading a part of {key}"), read(store, key, Some(range)).await)? {
            ensure(read == bytes.slice(7..18), || format!("reading a part of {key} gives {} other bytes", read.len()))?;
        }
        // The end of a whole object that is said to be shorter is found by what the repository knows of it alone.
        if scene.mood.liberty == Liberty::LengthTooShort {
            continue;
        }
        if let Some(read) = scene.read(&format!("reading {key}"), read(store, key, None).await)? {
            ensure(read == *bytes, || format!("reading {key} gives {} other bytes", read.len()))?;
        }
    }
    Ok(())
}

async fn read(store: &dyn Store, key: &StoreKey, range: Option<ByteRange>) -> Result<Bytes> {
    store.get(key, range, None).await?.read_all(READ_BYTES_MAX).await
}

/// Everything that writes, and what may be there afterwards.
async fn change(
    scene: &Scene,
    store: &Retry<dyn Store>,
    there: &BTreeMap<StoreKey, Bytes>,
    dice: &mut Dice,
) -> std::result::Result<States, String> {
    let mut states: States = there.iter().map(|(key, bytes)| (key.clone(), vec![Some(bytes.clone())])).collect();
    let if_absent = PutOptions { if_absent: true, ..PutOptions::default() };
    for (name, options) in [(NEW, if_absent), (REPLACED, PutOptions::default())] {
        let (key, bytes) = (key(name)?, Bytes::from(dice.bytes(90)));
        let put = store.put(&key, Payload::from(bytes.clone()), &options).await;
        let is_done = scene.write(&format!("writing {key}"), put)?.is_some();
        let before = there.get(&key).cloned();
        states.insert(key, if is_done { vec![Some(bytes)] } else { vec![before, Some(bytes)] });
    }
    let gone = key(DELETED)?;
    let outcomes = store.delete(std::slice::from_ref(&gone)).await;
    let outcome = match scene.write("deleting", outcomes)? {
        Some(mut outcomes) if outcomes.len() == 1 => outcomes.pop().transpose(),
        Some(outcomes) => return Err(format!("deleting one object has {} outcomes", outcomes.len())),
        None => Ok(None),
    };
    let is_done = scene.write("deleting", outcome)?.flatten().is_some();
    let before = there.get(&gone).cloned();
    states.insert(gone, if is_done { vec![None] } else { vec![before, None] });
    Ok(states)
}

/// Looks, at a server that is honest again, whether everything is as it may be.
async fn hold(store: &dyn Store, states: &States) -> Verdict {
    let listed = honestly("a listing", Pages::new(store, "").collect().await)?;
    for (key, allowed) in states {
        let is_there = listed.iter().any(|object| object.key == *key);
        let held = if is_there { Some(honestly("a get", read(store, key, None).await)?) } else { None };
        ensure(allowed.contains(&held), || match &held {
            Some(bytes) => format!("afterwards {key} holds {} bytes that it should not", bytes.len()),
            None => format!("afterwards {key} is lost"),
        })?;
    }
    match listed.iter().find(|object| !states.contains_key(&object.key)) {
        Some(stray) => Err(format!("afterwards there is {}, which nobody wrote", stray.key)),
        None => Ok(()),
    }
}
