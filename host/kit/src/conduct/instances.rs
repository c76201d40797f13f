//! What holds across instances and runs: nothing is kept in the memory of one, opening changes nothing, an end is heeded.

use std::sync::Arc;

use bytes::Bytes;
use credenza_connect::conformance::{Miss, OrSay, Told, ensure};
use credenza_connect::{Batches, Destination, ErrorClass, Found, Payload, PutOptions, ScanOptions, Source, Store};
use credenza_model::{Entry, EntryKind, Key, StoreKey};
use credenza_sandbox::{ConfigureError, Configured, Role};

use super::{Yard, exercise};

fn unusable(error: ConfigureError) -> Miss {
    Miss::Failed(error.to_string())
}

fn source(configured: &Configured) -> Told<Arc<dyn Source>> {
    configured.source().map_err(unusable)
}

fn store(configured: &Configured) -> Told<Arc<dyn Store>> {
    configured.store().map_err(unusable)
}

fn destination(configured: &Configured) -> Told<Arc<dyn Destination>> {
    configured.destination().map_err(unusable)
}

fn key(text: &str) -> Told<StoreKey> {
    StoreKey::new(text).map_err(|error| error.to_string().into())
}

fn first_role(yard: &Yard) -> Role {
    yard.connector.manifest().roles.first().copied().unwrap_or(Role::Source)
}

pub(super) async fn settings_are_judged_alone(yard: &Yard) -> Told {
    let configured = yard.at(&yard.folder(), first_role(yard)).await?;
    let requests = configured.traffic().requests();
    ensure(requests == 0, || format!("to judge settings it sent {requests} requests"))
}

pub(super) async fn settings_are_judged_again(yard: &Yard) -> Told {
    let folder = yard.folder();
    for _ in 0..3 {
        yard.at(&folder, first_role(yard)).await?;
    }
    Ok(())
}

/// Identity and traits, as one line.
async fn shown(configured: &Configured, role: Role) -> Told<String> {
    Ok(match role {
        Role::Store => {
            let info = store(configured)?.info().await.or_say("info")?;
            format!("{} {:?} {:?}", info.identity, info.traits, info.object_bytes_max)
        }
        Role::Destination => {
            let info = destination(configured)?.info().await.or_say("info")?;
            format!("{} {} {:?}", info.identity, info.namespace, info.traits)
        }
        _ => {
            let info = source(configured)?.info().await.or_say("info")?;
            format!("{} {} {:?}", info.identity, info.namespace, info.traits)
        }
    })
}

pub(super) async fn opens(yard: &Yard, role: Role) -> Told {
    let folder = yard.folder();
    let mut first = None;
    for _ in 0..3 {
        let configured = yard.at(&folder, role).await?;
        let shown = shown(&configured, role).await?;
        let first = first.get_or_insert_with(|| shown.clone());
        ensure(*first == shown, || format!("opened once it is {first}, and once {shown}"))?;
        let changing = ["PUT", "POST", "DELETE"];
        let sent: u64 = configured
            .traffic()
            .requests_by_method()
            .into_iter()
            .filter(|(method, _)| changing.contains(method))
            .map(|(_, count)| count)
            .sum();
        ensure(sent == 0, || format!("to open it sent {sent} requests that change something"))?;
    }
    Ok(())
}

async fn entries(source: &dyn Source) -> Told<Vec<Entry>> {
    let mut batches = Batches::new(source.scan(&ScanOptions::default()).await.or_say("scan")?);
    let mut entries = Vec::new();
    while let Some(found) = batches.next(100).await.or_say("next")? {
        ensure(entries.len() < 1000, || "the scan never ends".to_owned())?;
        entries.extend(found.into_iter().filter_map(|found| match found {
            Found::Entry(entry) if entry.kind == EntryKind::File => Some(entry),
            _ => None,
        }));
    }
    Ok(entries)
}

pub(super) async fn read(yard: &Yard, role: Role) -> Told {
    let folder = yard.folder();
    exercise::fill(yard, &folder, role);
    let listed = entries(&*source(&yard.at(&folder, role).await?)?).await?;
    ensure(!listed.is_empty(), || "nothing is listed".to_owned())?;
    for entry in listed {
        let another = source(&yard.at(&folder, role).await?)?;
        let act = format!("reading `{}` with another instance", entry.key);
        let opened = another.read(&entry, None, entry.fingerprint.as_deref()).await.or_say(&act)?;
        opened.body.read_all(1 << 30).await.or_say(&act)?;
        let described = another.describe(std::slice::from_ref(&entry)).await.or_say("describe")?;
        described.into_iter().try_for_each(|answer| answer.map(drop).or_say("describe of one entry"))?;
    }
    Ok(())
}

async fn put(yard: &Yard, folder: &str, names: &[&str]) -> Told {
    for name in names {
        let store = store(&yard.at(folder, Role::Store).await?)?;
        let payload = Payload::from(Bytes::copy_from_slice(name.as_bytes()));
        store.put(&key(name)?, payload, &PutOptions::default()).await.or_say("put")?;
    }
    Ok(())
}

pub(super) async fn get(yard: &Yard, role: Role) -> Told {
    let folder = yard.folder();
    put(yard, &folder, &["data/a", "data/b"]).await?;
    let another = store(&yard.at(&folder, role).await?)?;
    let body = another.get(&key("data/a")?, None, None).await.or_say("getting what another instance has put")?;
    let bytes = body.read_all(1 << 20).await.or_say("reading")?;
    ensure(bytes == b"data/a"[..], || "another instance reads other bytes".to_owned())?;
    let found = store(&yard.at(&folder, role).await?)?.stat(&key("data/b")?).await;
    found.or_say("stat of what another instance has put").map(drop)
}

/// Each page is asked of an instance of its own.
pub(super) async fn cursor(yard: &Yard, role: Role) -> Told {
    let (folder, names) = (yard.folder(), ["data/a", "data/b", "data/c", "data/d"]);
    put(yard, &folder, &names).await?;
    let (mut found, mut cursor): (Vec<String>, Option<String>) = (Vec::new(), None);
    for _ in 0..20 {
        let another = store(&yard.at(&folder, role).await?)?;
        let page = another.list("data/", cursor.as_deref(), 1).await.or_say("list with another instance")?;
        found.extend(page.objects.iter().map(|object| object.key.as_str().to_owned()));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    found.sort_unstable();
    ensure(found == names, || format!("pages of one instance each join to {found:?} instead of {names:?}"))
}

pub(super) async fn stat(yard: &Yard, role: Role) -> Told {
    let (folder, entry) = (yard.folder(), Entry::new(Key::from("d/a"), EntryKind::File));
    let one = destination(&yard.at(&folder, role).await?)?;
    let writer = one.create(&entry, false).await.or_say("create")?;
    let mut writer = writer.ok_or("a file got no writer")?;
    writer.finish(Payload::from(b"content".to_vec())).await.or_say("finish")?;
    let another = destination(&yard.at(&folder, role).await?)?;
    let found = another.stat(&entry.key).await.or_say("stat with another instance")?;
    ensure(found.is_some(), || "what one instance has written another does not find".to_owned())?;
    let refused = match another.create(&entry, false).await {
        Ok(Some(mut writer)) => {
            let finished = writer.finish(Payload::from(b"other".to_vec())).await;
            writer.abort().await;
            finished.map(drop)
        }
        other => other.map(drop),
    };
    let is_refused = refused.is_err_and(|error| error.class == ErrorClass::Precondition);
    ensure(is_refused, || "what one instance has written another overwrites".to_owned())
}

pub(super) async fn cancelled(yard: &Yard, role: Role) -> Told {
    let folder = yard.folder();
    exercise::fill(yard, &folder, role);
    let configured = yard.at(&folder, role).await?.stopped_by(Arc::new(|| true));
    let observed = exercise::observe(&configured, role).await?;
    let fault = observed.errors.iter().find(|(_, error)| error.class == ErrorClass::Internal);
    ensure(fault.is_none(), || format!("in a run that is to end: {fault:?}"))
}
