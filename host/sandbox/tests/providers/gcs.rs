//! The component for Google Cloud Storage, against a server in memory that keeps to the documentation; and what
//! the suite does not look at: attributes, histories, locks, and how many requests it costs. `tests/e2e/tests/gcs.rs` has an emulator of others.

use async_trait::async_trait;
use bytes::Bytes;
use credenza_connect::conformance::{CaseResult, destination, source, store};
use credenza_connect::{Batches, Destination, ErrorClass, Found, Payload, PutOptions, ScanOptions, Source};
use credenza_model::{Entry, Key, StoreKey, Timestamp};
use credenza_sandbox::{Configured, Role};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::bed::{Bed, Component, NOT_SEEN, Service, conforms};
use super::gcs_server::Server;

/// A server with a bucket for each connector that is made.
struct Buckets {
    server: Server,
    component: Component,
    prefix: &'static str,
}

impl Buckets {
    fn new(prefix: &'static str) -> Self {
        Self { server: Server::start(), component: component(), prefix }
    }

    fn object(&self, key: &Key) -> String {
        format!("{}{}", self.prefix, std::str::from_utf8(key.as_bytes()).unwrap())
    }
}

#[async_trait]
impl Service for Buckets {
    async fn configured(&self, roles: &[Role]) -> Configured {
        let bucket = self.component.next_place();
        self.server.make_bucket(&bucket, true);
        configure_at(&self.component, &self.server, (&bucket, self.prefix), roles, &[]).await
    }

    fn put(&self, key: &Key, bytes: Bytes) {
        self.server.put(&self.component.place(), &self.object(key), bytes, json!({}));
    }

    fn get(&self, key: &Key) -> Option<Bytes> {
        self.server.get(&self.component.place(), &self.object(key)).map(|(bytes, _)| bytes)
    }

    fn key_bytes_max(&self) -> usize {
        1024 - self.prefix.len()
    }
}

fn component() -> Component {
    Component::of("gcs")
}

async fn configure_at(
    component: &Component,
    server: &Server,
    (bucket, prefix): (&str, &str),
    roles: &[Role],
    settings: &[(&str, &str)],
) -> Configured {
    let location = format!("gs://{bucket}/{prefix}");
    let own = [
        ("location", location.trim_end_matches('/')),
        ("host", &server.host),
        ("login", "none"),
        // So that what the suite writes goes in several parts.
        ("part_size", "256KiB"),
    ];
    component.configured(roles, &[&own, settings].concat()).await
}

async fn configure(
    server: &Server,
    bucket: &str,
    prefix: &str,
    roles: &[Role],
    settings: &[(&str, &str)],
) -> Configured {
    configure_at(&component(), server, (bucket, prefix), roles, settings).await
}

/// A whole bucket, and a part of one.
const PREFIXES: [&str; 2] = ["", "deep/\u{fc} r/"];

/// Runs one part of the suite on a bed for each prefix; no upload is left behind.
fn gcs(skipped: &[&str], suite: impl AsyncFn(&Bed<Buckets>, u64) -> Vec<CaseResult>) {
    for prefix in PREFIXES {
        let bed = Bed(Buckets::new(prefix));
        conforms(skipped, async |seed| suite(&bed, seed).await);
        assert_eq!(bed.0.server.uploads_left(), 0, "uploads were left behind");
    }
}

#[test]
fn the_gcs_store_conforms() {
    gcs(&["!retention"], async |bed, seed| store(bed, seed).await);
}

#[test]
fn the_gcs_source_conforms() {
    gcs(&["!ranged-read"], async |bed, seed| source(bed, seed).await);
}

#[test]
fn the_gcs_destination_conforms() {
    let kinds = ["!attributes:http", "attributes:posix", "attributes:s3", "symlinks", "raw-names", NOT_SEEN];
    gcs(&kinds, async |bed, seed| destination(bed, seed).await);
}

async fn entries(source: &dyn Source, options: &ScanOptions) -> Vec<Entry> {
    let mut batches = Batches::new(source.scan(options).await.unwrap());
    let mut entries = Vec::new();
    while let Some(batch) = batches.next(100).await.unwrap() {
        entries.extend(batch.into_iter().map(|found| match found {
            Found::Entry(entry) => entry,
            Found::Skipped(skipped) => panic!("{skipped:?}"),
        }));
    }
    entries
}

/// Everything that an object can have.
fn full() -> Value {
    json!({
        "contentType": "text/html; charset=utf-8", "contentEncoding": "gzip", "contentLanguage": "de",
        "contentDisposition": "attachment; filename=\"\u{fc}\"", "cacheControl": "no-store",
        "customTime": "2024-01-01T00:00:00.123Z", "storageClass": "NEARLINE",
        "metadata": {"Owner": "J\u{fc}rgen", "owner": "another", "\u{fc} ": ""},
        "temporaryHold": true, "eventBasedHold": true,
        "retention": {"mode": "Unlocked", "retainUntilTime": "2099-01-01T00:00:00.500Z"},
    })
}

/// What is not of the place and moment.
fn own(resource: Value) -> Value {
    let mut object = resource.as_object().cloned().unwrap();
    for field in ["name", "generation", "metageneration", "size", "timeCreated"] {
        object.remove(field);
    }
    Value::Object(object)
}

async fn copy(source: &dyn Source, destination: &dyn Destination) -> Vec<Vec<String>> {
    let mut lost = Vec::new();
    for entry in entries(source, &ScanOptions::default()).await {
        let opened = source.read(&entry, None, entry.fingerprint.as_deref()).await.unwrap();
        let bytes = opened.body.read_all(1 << 20).await.unwrap();
        let mut writer = destination.create(&opened.entry, false).await.unwrap().unwrap();
        let late = writer.finish(Payload::from(bytes.to_vec())).await.unwrap();
        let reported = destination.set_metadata(std::slice::from_ref(&opened.entry)).await.unwrap();
        lost.push([late, reported.into_iter().next().unwrap().unwrap()].concat());
    }
    lost
}

#[test]
fn an_object_comes_back_with_everything_that_it_had() {
    let (server, runtime) = (Server::start(), Runtime::new().unwrap());
    let bytes = Bytes::from_static(b"packed bytes that nobody unpacks");
    server.make_bucket("from", false);
    server.put("from", "p/a", bytes.clone(), full());
    for (to, settings, lost) in [
        ("with-locks", &[("locks", "true")][..], &[][..]),
        ("without", &[], &["gcs.event-based-hold", "gcs.retain-until", "gcs.retention-mode", "gcs.temporary-hold"]),
    ] {
        server.make_bucket(to, false);
        let reported = runtime.block_on(async {
            let source = configure(&server, "from", "p", &[Role::Source], &[]).await.source().unwrap();
            let destination = configure(&server, to, "q", &[Role::Destination], settings).await.destination().unwrap();
            copy(&*source, &*destination).await
        });
        assert_eq!(reported, [lost]);
        let (there, resource) = server.get(to, "q/a").unwrap();
        let mut expected = full().as_object().cloned().unwrap();
        if to == "without" {
            expected.retain(|name, _| !["temporaryHold", "eventBasedHold", "retention"].contains(&name.as_str()));
        }
        assert_eq!((there, own(resource)), (bytes.clone(), Value::Object(expected)));
    }
}

#[test]
fn a_scan_costs_its_pages_and_a_copy_of_an_object_three_requests() {
    let (server, runtime) = (Server::start(), Runtime::new().unwrap());
    server.make_bucket("from", false);
    server.make_bucket("to", false);
    (0..20).for_each(|number| server.put("from", &format!("{number:02}"), Bytes::from_static(b"x"), json!({})));
    runtime.block_on(async {
        let source = configure(&server, "from", "", &[Role::Source], &[]).await.source().unwrap();
        let destination = configure(&server, "to", "", &[Role::Destination], &[]).await.destination().unwrap();
        copy(&*source, &*destination).await;
    });
    let asked = server.asked();
    let count =
        |beginning: &str, part: &str| asked.iter().filter(|l| l.starts_with(beginning) && l.contains(part)).count();
    assert_eq!(count("GET", "/b/from/o?"), 3, "twenty objects are three pages here: {asked:#?}");
    assert_eq!(count("GET", "alt=media"), 20);
    // The first look is for servers that ignore conditions.
    assert_eq!(count("GET", "/b/to/o/"), 20);
    assert_eq!((count("POST", "uploadType=resumable"), count("PUT", "upload_id")), (20, 20));
    assert_eq!(asked.len(), 83);
}

#[test]
fn a_history_is_told_newest_first_and_can_be_cut_at_a_time() {
    let (server, runtime) = (Server::start(), Runtime::new().unwrap());
    server.make_bucket("b", true);
    for body in ["one", "two", "three"] {
        server.put("b", "a", Bytes::from(body), json!({}));
        server.put("b", &format!("only-{body}"), Bytes::from(body), json!({}));
    }
    runtime.block_on(async {
        let store = configure(&server, "b", "", &[Role::Store, Role::Prune], &[]).await.store().unwrap();
        let key = StoreKey::new("only-one").unwrap();
        let gone = store.delete(std::slice::from_ref(&key)).await.unwrap();
        assert!(gone.iter().all(Result::is_ok));
        let with = async |settings: &[(&str, &str)]| {
            let source = configure(&server, "b", "", &[Role::Source], settings).await.source().unwrap();
            let options = ScanOptions { as_of: None, ..ScanOptions::default() };
            let mut reported = Vec::new();
            for entry in entries(&*source, &options).await {
                let version = entry.version.clone();
                let body = match version.as_ref().is_some_and(|version| version.deleted) {
                    true => "gone".to_owned(),
                    false => {
                        let opened = source.read(&entry, None, entry.fingerprint.as_deref()).await.unwrap();
                        String::from_utf8(opened.body.read_all(99).await.unwrap().to_vec()).unwrap()
                    }
                };
                reported.push(format!(
                    "{} {body}{}",
                    entry.key,
                    if version.is_some_and(|v| v.latest) { " *" } else { "" }
                ));
            }
            (reported, source.now().await.unwrap())
        };
        let (all, now) = with(&[("versions", "true")]).await;
        let expected =
            ["a three *", "a two", "a one", "only-one gone *", "only-one one", "only-three three *", "only-two two *"];
        assert_eq!(all, expected);
        assert!(now.is_some(), "the bucket keeps its generations");
        // A put of what is there ends one generation and begins another, each at a second of its own.
        let (then, now) = with(&[("as_of", "2026-01-01T00:00:04Z")]).await;
        assert_eq!(then, ["a two", "only-one one"]);
        assert_eq!(now.map(|now| now.seconds % 60), Some(4));
        let past =
            configure(&server, "b", "", &[Role::Store], &[("as_of", "2026-01-01T00:00:04Z")]).await.store().unwrap();
        let read = past.get(&key, None, None).await.unwrap().read_all(99).await.unwrap();
        assert_eq!(read, b"one"[..]);
        let put = past.put(&key, Payload::from(b"x".to_vec()), &PutOptions::default()).await;
        assert_eq!(put.unwrap_err().class, ErrorClass::Denied);
    });
}

#[test]
fn what_is_locked_stays_locked_until_its_time() {
    let (server, runtime) = (Server::start(), Runtime::new().unwrap());
    server.make_bucket("b", true);
    let end = |seconds: i64| Timestamp { seconds: 1_800_000_000 + seconds, nanoseconds: 0 };
    runtime.block_on(async {
        let store =
            configure(&server, "b", "r", &[Role::Store], &[("storage_class", "COLDLINE")]).await.store().unwrap();
        let key = StoreKey::new("data/a").unwrap();
        let options = PutOptions {
            if_absent: true,
            retain_until: Some(end(0)),
            hint: "data".to_owned(),
            ..PutOptions::default()
        };
        let stored = store.put(&key, Payload::from(b"x".to_vec()), &options).await.unwrap();
        let again = store.put(&key, Payload::from(b"y".to_vec()), &options).await;
        assert_eq!(again.unwrap_err().class, ErrorClass::Precondition);
        store.retain(&key, stored.version.as_deref(), end(9)).await.unwrap();
        store.retain(&key, stored.version.as_deref(), end(5)).await.unwrap();
        assert_eq!(store.stat(&key).await.unwrap().retain_until, Some(end(9)));
    });
    let (_, resource) = server.get("b", "r/data/a").unwrap();
    assert_eq!(resource.get("storageClass"), Some(&json!("COLDLINE")));
    assert_eq!(resource.pointer("/retention/mode"), Some(&json!("Locked")));
}

#[test]
fn a_missing_bucket_is_named_in_each_role() {
    let (server, runtime) = (Server::start(), Runtime::new().unwrap());
    runtime.block_on(async {
        let all = [Role::Source, Role::Store, Role::Destination];
        let lines = [
            configure(&server, "none", "", &all[..1], &[]).await.source().unwrap().check().await,
            configure(&server, "none", "", &all[1..2], &[]).await.store().unwrap().check().await,
            configure(&server, "none", "", &all[2..], &[]).await.destination().unwrap().check().await,
        ];
        for lines in lines {
            let failed =
                lines.iter().find_map(|line| line.outcome.as_ref().err().map(|error| (line.name.clone(), error)));
            let (name, error) = failed.unwrap();
            assert_eq!((name.as_str(), error.reason.as_str()), ("bucket", "gcs.no-such-bucket"), "{error}");
            assert!(error.to_string().contains("bucket `none`"), "{error}");
        }
    });
}
