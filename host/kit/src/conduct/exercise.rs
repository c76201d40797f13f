//! One exercise of each role: a bit of all that the host asks of it. What it answers is not judged here, only noted.

use bytes::Bytes;
use credenza_connect::conformance::{Miss, Told};
use credenza_connect::{
    Batches, Body, ByteRange, Check, Destination, Error, Found, Pages, Payload, PutOptions, Result, ScanOptions,
    Source, Store,
};
use credenza_model::{AttributeValue, Entry, EntryKind, Key, StoreKey, Timestamp};
use credenza_sandbox::{Configured, Granted, Role};

use super::Yard;

/// Bytes of the one large content; all others are small.
pub(super) const LARGE_BYTES: usize = 8 << 20;

/// What was noted.
#[derive(Debug, Default)]
pub(super) struct Observed {
    /// Every failure, and of what.
    pub(super) errors: Vec<(String, Error)>,
    /// Every text that the connector told.
    pub(super) texts: Vec<String>,
    /// Keys and attributes of all that it listed.
    pub(super) keys: Vec<String>,
    pub(super) granted: Vec<Granted>,
    pub(super) refused: u64,
    pub(super) read_by_guest: u64,
}

impl Observed {
    /// What was answered, if it was; the failure is noted.
    fn note<T>(&mut self, act: &str, answer: Result<T>) -> Option<T> {
        answer.map_err(|error| self.fail(act, error)).ok()
    }

    fn fail(&mut self, act: &str, error: Error) {
        self.texts.extend([error.message.clone(), error.reason.clone()]);
        self.errors.push((act.to_owned(), error));
    }

    fn note_entry(&mut self, entry: &Entry) {
        self.keys.push(String::from_utf8_lossy(entry.key.as_bytes()).into_owned());
        self.keys.extend(entry.attributes.iter().map(|(name, value)| match value {
            AttributeValue::Text(text) => format!("{name}={text}"),
            other => format!("{name}={other:?}"),
        }));
    }

    fn note_check(&mut self, lines: Vec<Check>) {
        for Check { name, outcome } in lines {
            self.texts.push(name.clone());
            let reported = self.note(&name, outcome);
            self.texts.extend(reported);
        }
    }

    async fn note_body(&mut self, act: &str, body: Option<Body>) {
        if let Some(body) = body {
            let read = body.read_all(1 << 30).await;
            self.note(act, read);
        }
    }
}

/// Exercises a role at a new place.
pub(super) async fn of(yard: &Yard, role: Role) -> Told<Observed> {
    let folder = yard.folder();
    fill(yard, &folder, role);
    observe(&yard.at(&folder, role).await?, role).await
}

/// Exercises a role that is configured.
pub(super) async fn observe(configured: &Configured, role: Role) -> Told<Observed> {
    let mut observed = Observed::default();
    let unusable = |error: credenza_sandbox::ConfigureError| Miss::Failed(error.to_string());
    match role {
        Role::Store => on_store(&*configured.store().map_err(unusable)?, &mut observed).await,
        Role::Destination => on_destination(&*configured.destination().map_err(unusable)?, &mut observed).await,
        _ => on_source(&*configured.source().map_err(unusable)?, &mut observed).await,
    }
    let traffic = configured.traffic();
    observed.granted = configured.granted();
    (observed.refused, observed.read_by_guest) = (traffic.refused(), traffic.bytes_read_by_guest());
    Ok(observed)
}

/// What a source is exercised on.
pub(super) fn fill(yard: &Yard, folder: &str, role: Role) {
    if role == Role::Source {
        for (name, bytes) in [("a", &b"a"[..]), ("b/c", b"bc"), ("b/d e", b"d e"), ("empty", b"")] {
            yard.server.put(format!("{folder}/{name}").as_bytes(), Bytes::from_static(bytes));
        }
        yard.server.put(format!("{folder}/large").as_bytes(), large());
    }
}

fn large() -> Bytes {
    Bytes::from(vec![b'L'; LARGE_BYTES])
}

async fn on_source(source: &dyn Source, observed: &mut Observed) {
    let info = observed.note("info", source.info().await).unwrap_or_default();
    observed.texts.extend([info.identity.clone(), info.namespace.clone()]);
    observed.note_check(source.check().await);
    observed.note("now", source.now().await);
    let mut options = vec![
        ScanOptions::default(),
        ScanOptions { prefix: b"b".to_vec(), ..ScanOptions::default() },
        ScanOptions { one_level: true, ..ScanOptions::default() },
    ];
    if info.has("start-after") {
        options.push(ScanOptions { start_after: Some(b"b".to_vec()), ..ScanOptions::default() });
    }
    let mut entries = Vec::new();
    for (number, options) in options.iter().enumerate() {
        let Some(scanner) = observed.note("scan", source.scan(options).await) else { continue };
        let mut batches = Batches::new(scanner);
        while let Some(found) = observed.note("next", batches.next(100).await).flatten() {
            for found in found {
                match found {
                    Found::Entry(entry) => {
                        observed.note_entry(&entry);
                        // The first scan tells all.
                        if number == 0 && entry.kind == EntryKind::File && entries.len() < 100 {
                            entries.push(entry);
                        }
                    }
                    Found::Skipped(skipped) => observed.texts.push(skipped.reason),
                }
            }
        }
    }
    for entry in &entries {
        let opened = observed.note("read", source.read(entry, None, entry.fingerprint.as_deref()).await);
        observed.note_body("reading", opened.map(|opened| opened.body)).await;
    }
    if let Some(entry) = entries.iter().find(|entry| entry.size.is_some_and(|size| size > 1)) {
        if info.has("ranged-read") {
            let range = Some(ByteRange { offset: 1, length: Some(1) });
            let opened = observed.note("read of a range", source.read(entry, range, None).await);
            observed.note_body("reading a range", opened.map(|opened| opened.body)).await;
        }
        let changed = source.read(entry, None, Some("another-fingerprint")).await;
        observed.note("read of what changed", changed);
    }
    let missing = Entry::new(Key::from("missing"), EntryKind::File);
    observed.note("read of what is missing", source.read(&missing, None, None).await);
    observed.note("describe", source.describe(&entries).await);
    observed.note("documents", source.documents().await);
}

async fn on_store(store: &dyn Store, observed: &mut Observed) {
    let info = observed.note("info", store.info().await).unwrap_or_default();
    observed.texts.push(info.identity.clone());
    observed.note_check(store.check().await);
    let names = ["data/a", "data/b", "data/large", "index/a", "usage/a"];
    let keys: Vec<StoreKey> = names.iter().filter_map(|name| StoreKey::new(*name).ok()).collect();
    let plain = PutOptions::default();
    let mut stored = None;
    for key in &keys {
        let bytes = if key.as_str().ends_with("large") { large() } else { Bytes::from_static(b"small") };
        stored = observed.note("put", store.put(key, Payload::from(bytes), &plain).await);
    }
    let (Some(first), Some(last)) = (keys.first(), keys.last()) else { return };
    let again = || Payload::from(b"again".to_vec());
    if info.has("if-absent") {
        let once = PutOptions { if_absent: true, ..PutOptions::default() };
        observed.note("put of what is there", store.put(first, again(), &once).await);
    }
    if let Some(tag) = stored.as_ref().and_then(|stored| stored.tag.clone()).filter(|_| info.has("if-match")) {
        let swap = PutOptions { if_match: Some(tag), ..PutOptions::default() };
        observed.note("swap", store.put(last, again(), &swap).await);
    }
    for key in &keys {
        let body = observed.note("get", store.get(key, None, None).await);
        observed.note_body("reading", body).await;
        observed.note("stat", store.stat(key).await);
    }
    if info.has("ranged-get") {
        let body = observed
            .note("get of a range", store.get(first, Some(ByteRange { offset: 1, length: Some(2) }), None).await);
        observed.note_body("reading a range", body).await;
    }
    if let Some(version) = stored.and_then(|stored| stored.version) {
        let body = observed.note("get of a version", store.get(last, None, Some(&version)).await);
        observed.note_body("reading a version", body).await;
    }
    if let Some(now) = observed.note("stat", store.stat(first).await).and_then(|found| found.modified)
        && info.has("retention")
    {
        let until = Timestamp { seconds: now.seconds.saturating_add(60), nanoseconds: 0 };
        let locked = PutOptions { retain_until: Some(until), ..PutOptions::default() };
        observed.note("put that locks", store.put(first, again(), &locked).await);
        observed.note("retain", store.retain(first, None, until).await);
    }
    if let Ok(missing) = StoreKey::new("data/missing") {
        observed.note("get of what is missing", store.get(&missing, None, None).await);
        observed.note("stat of what is missing", store.stat(&missing).await);
    }
    let listed = Pages::new(store, "data/").of(2).collect().await;
    let listed = observed.note("list", listed).unwrap_or_default();
    observed.keys.extend(listed.into_iter().map(|object| object.key.as_str().to_owned()));
    for outcome in observed.note("delete", store.delete(&keys).await).unwrap_or_default() {
        observed.note("delete of one key", outcome);
    }
}

async fn on_destination(destination: &dyn Destination, observed: &mut Observed) {
    let info = observed.note("info", destination.info().await).unwrap_or_default();
    observed.texts.extend([info.identity.clone(), info.namespace.clone()]);
    observed.note_check(destination.check().await);
    let folder = Entry::new(Key::from("d/"), EntryKind::Directory);
    observed.note("create of a folder", destination.create(&folder, false).await);
    let mut entry = Entry::new(Key::from("d/a"), EntryKind::File);
    entry.modified = Some(Timestamp { seconds: 1_700_000_000, nanoseconds: 0 });
    let text = |text: &str| AttributeValue::Text(text.to_owned());
    entry.attributes =
        vec![("http.content-type".to_owned(), text("text/plain")), ("user.kit".to_owned(), text("exercise"))];
    let large_file = Entry::new(Key::from("d/large"), EntryKind::File);
    for (entry, bytes, overwrite) in [
        (&entry, Bytes::from_static(b"small"), false),
        (&entry, Bytes::from_static(b"again"), false),
        (&entry, Bytes::from_static(b"again"), true),
        (&large_file, large().repeat(2).into(), false),
    ] {
        write(destination, observed, entry, &bytes, overwrite).await;
    }
    let given_up = Entry::new(Key::from("d/given-up"), EntryKind::File);
    if let Some(mut writer) = observed.note("create", destination.create(&given_up, false).await).flatten() {
        let part = usize::try_from(writer.part_bytes().unwrap_or(7)).unwrap_or(7);
        if part <= LARGE_BYTES {
            let written = writer.write(Payload::from(vec![b'x'; part])).await;
            observed.note("write", written);
        }
        writer.abort().await;
    }
    for key in ["d/a", "d/missing"] {
        observed.note("stat", destination.stat(&Key::from(key)).await);
    }
    let mut link = Entry::new(Key::from("d/link"), EntryKind::Symlink);
    link.link_target = Some(b"a".to_vec());
    observed.note("create of a link", destination.create(&link, false).await);
    let answers = destination.set_metadata(&[entry, folder]).await;
    for outcome in observed.note("set-metadata", answers).unwrap_or_default() {
        observed.note("set-metadata of one entry", outcome);
    }
}

/// Writes a file in the parts that the destination wants; gives it up where one fails.
async fn write(destination: &dyn Destination, observed: &mut Observed, entry: &Entry, bytes: &Bytes, overwrite: bool) {
    let created = destination.create(entry, overwrite).await;
    let Some(mut writer) = observed.note("create", created).flatten() else { return };
    let part = usize::try_from(writer.part_bytes().unwrap_or(1 << 20)).unwrap_or(usize::MAX).max(1);
    let mut left = bytes.clone();
    while left.len() > part {
        let written = writer.write(Payload::from(left.split_to(part))).await;
        if observed.note("write", written).is_none() {
            return writer.abort().await;
        }
    }
    let finished = writer.finish(Payload::from(left)).await;
    if observed.note("finish", finished).is_none() {
        writer.abort().await;
    }
}
