//! Requests that are odd and not forbidden: each has an answer or an error, and none is a fault of the connector.

use credenza_connect::conformance::{Miss, Told, ensure};
use credenza_connect::{ByteRange, Error, ErrorClass, Payload, PutOptions, ScanOptions};
use credenza_model::{AttributeValue, Entry, EntryKind, Key, StoreKey};
use credenza_sandbox::{ConfigureError, Role};

use super::{Yard, exercise};

/// A key that many things may be done with wrongly.
const KEYS: [&[u8]; 14] = [
    b".",
    b"..",
    b"a/../b",
    b"a/./b",
    b"/",
    b"//",
    b"/a",
    b"a\0b",
    b"\xff\xfe",
    b"a\r\nhost: x",
    b"%2e%2e/%2F",
    b"?query#fragment",
    b"\x1b[2J",
    &[b'k'; 2000],
];

fn unusable(error: ConfigureError) -> Miss {
    Miss::Failed(error.to_string())
}

fn no_fault<T>(act: impl std::fmt::Display, answer: credenza_connect::Result<T>) -> Told {
    let fault = answer.err().filter(|error: &Error| error.class == ErrorClass::Internal);
    ensure(fault.is_none(), || format!("{act}: {}", fault.map(|error| error.to_string()).unwrap_or_default()))
}

fn file(key: &[u8]) -> Entry {
    Entry::new(Key::new(key), EntryKind::File)
}

pub(super) async fn source(yard: &Yard, role: Role) -> Told {
    let folder = yard.folder();
    exercise::fill(yard, &folder, role);
    let source = yard.at(&folder, role).await?.source().map_err(unusable)?;
    for key in KEYS {
        let entry = file(key);
        no_fault(format!("read of `{}`", entry.key), source.read(&entry, None, None).await)?;
        no_fault(format!("describe of `{}`", entry.key), source.describe(std::slice::from_ref(&entry)).await)?;
        let options = ScanOptions { prefix: key.to_vec(), ..ScanOptions::default() };
        if let Ok(mut scanner) = source.scan(&options).await {
            no_fault(format!("scan under `{}`", key.escape_ascii()), scanner.next(10).await)?;
        }
    }
    let range = Some(ByteRange { offset: u64::MAX - 1, length: Some(u64::MAX) });
    no_fault("read of a range far away", source.read(&file(b"a"), range, None).await)?;
    let odd = source.read(&file(b"a"), None, Some("\"odd\", *\r\nx: y")).await;
    no_fault("read with an odd fingerprint", odd)?;
    let mut scanner = match source.scan(&ScanOptions::default()).await {
        Ok(scanner) => scanner,
        Err(error) => return no_fault("scan", Err::<(), _>(error)),
    };
    no_fault("next of four thousand million", scanner.next(u32::MAX as usize).await)
}

pub(super) async fn store(yard: &Yard, role: Role) -> Told {
    let store = yard.at(&yard.folder(), role).await?.store().map_err(unusable)?;
    let key = StoreKey::new("data/a").map_err(|error| error.to_string())?;
    let payload = || Payload::from(b"x".to_vec());
    no_fault("put", store.put(&key, payload(), &PutOptions::default()).await)?;
    for odd in ["\"odd\", *", "a\r\nx: y", "", "\u{1f980}", "../..", "none"] {
        let swap = PutOptions { if_match: Some(odd.to_owned()), ..PutOptions::default() };
        no_fault(format!("put with the tag `{}`", odd.escape_debug()), store.put(&key, payload(), &swap).await)?;
        no_fault(format!("get of the version `{}`", odd.escape_debug()), store.get(&key, None, Some(odd)).await)?;
        no_fault(format!("list under `{}`", odd.escape_debug()), store.list(odd, None, 10).await)?;
    }
    let range = Some(ByteRange { offset: u64::MAX - 1, length: Some(u64::MAX) });
    no_fault("get of a range far away", store.get(&key, range, None).await)?;
    let hint = PutOptions { hint: "an odd\r\nhint".to_owned(), ..PutOptions::default() };
    no_fault("put with an odd hint", store.put(&key, payload(), &hint).await)?;
    no_fault("list of four thousand million", store.list("", None, u32::MAX as usize).await)
}

pub(super) async fn destination(yard: &Yard, role: Role) -> Told {
    let destination = yard.at(&yard.folder(), role).await?.destination().map_err(unusable)?;
    for key in KEYS {
        let mut entry = file(key);
        no_fault(format!("stat of `{}`", entry.key), destination.stat(&entry.key).await)?;
        for kind in [EntryKind::File, EntryKind::Directory, EntryKind::Symlink, EntryKind::Other] {
            entry.kind = kind;
            let created = destination.create(&entry, false).await;
            if let Ok(Some(writer)) = created {
                writer.abort().await;
            } else {
                no_fault(format!("create of the {} `{}`", kind.name(), entry.key), created)?;
            }
        }
        no_fault(
            format!("set-metadata of `{}`", entry.key),
            destination.set_metadata(std::slice::from_ref(&entry)).await,
        )?;
    }
    let mut entry = file(b"attributed");
    entry.attributes = [("http.content-type", "a\r\nx: y"), ("user.\u{1f980} odd: name", "\u{1f980}"), ("x", "")]
        .map(|(name, text)| (name.to_owned(), AttributeValue::Text(text.to_owned())))
        .to_vec();
    let created = destination.create(&entry, false).await;
    match created {
        Ok(Some(mut writer)) => {
            no_fault("finish with odd attributes", writer.finish(Payload::from(b"x".to_vec())).await)?;
        }
        other => no_fault("create with odd attributes", other)?,
    }
    no_fault("set-metadata with odd attributes", destination.set_metadata(&[entry]).await)
}
