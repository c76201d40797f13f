//! Buckets into a repository and back, on the in-memory server: exact keys, all metadata, few requests.

use anyhow::{Context, Result, ensure};
use credenza_e2e::bucket::{self, ODD_KEYS, TAME_KEYS};
use credenza_e2e::s3::Endpoint;
use credenza_e2e::{Report, Setup, memory_server, number, requests_of, tree};
use credenza_s3_server::{Attributes, Operation, Server};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The most memory that any command may hold, in bytes.
const MEMORY_BYTES_MAX: u64 = 200 * 1000 * 1000;

fn with_source(fill: impl FnOnce(&Server)) -> Result<(Server, Setup)> {
    let (server, endpoint) = memory_server()?;
    fill(&server);
    let setup = Setup::with_local_repository()?;
    setup.add("source", "live", &endpoint, "source")?;
    server.buckets.create("copy");
    setup.add("destination", "copy", &endpoint, "copy")?;
    setup.add("source", "restored", &endpoint, "copy")?;
    Ok((server, setup))
}

fn endpoint_of(server: &Server, region: &str) -> Endpoint {
    Endpoint {
        url: server.endpoint.clone(),
        access_key: server.access_key.clone(),
        secret_key: server.secret_key.clone(),
        region: region.to_owned(),
        ca_file: None,
    }
}

#[test]
fn buckets_come_back() {
    let mut report = Report::default();
    report.scenario("bucket to repository to bucket keeps keys, bodies and metadata", || {
        let (server, setup) = with_source(|server| bucket::fill_odd(&server.buckets, "source"))?;
        setup.backup("@live")?;
        setup.credenza.ok(["restore", "latest", "--to", "@copy"])?;
        bucket::compare(&server.buckets, "source", "copy")?;
        assert_eq!(server.buckets.uploads("copy"), []);
        Ok(())
    });
    report.scenario("tags that changed without a trace are kept when all metadata is read", || {
        let (server, setup) = with_source(|server| bucket::fill_many(&server.buckets, "source", 30))?;
        setup.backup("@live")?;
        let key = "dir-000/object-000007";
        let stored = server.buckets.get("source", key).context(key)?;
        let tags = bucket::full_attributes().tags;
        server.buckets.put_object("source", key, stored.body(), Attributes { tags, ..stored.attributes().clone() });
        let summary = setup.credenza.ok(["--json", "backup", "--metadata", "full", "@live"])?.summary()?;
        ensure!(number(&summary, &["errors"])? == 0, "{summary}");
        setup.credenza.ok(["restore", "latest", "--to", "@copy"])?;
        bucket::compare(&server.buckets, "source", "copy")
    });
    report.scenario("a bucket to restore to is created only when that is asked for", || {
        let (server, setup) = with_source(|server| bucket::fill_many(&server.buckets, "source", 5))?;
        let endpoint = endpoint_of(&server, "eu-central-9");
        setup.add("destination", "new", &endpoint, "not-there-yet")?;
        setup.backup("@live")?;
        let refused = setup.credenza.run(["restore", "latest", "--to", "@new"])?.expect_code(1)?;
        refused.expect_message(&["not-there-yet", "does not exist"])?;
        let preview = ["restore", "latest", "--dry-run", "--to", "@new", "-o", "create_bucket=true"];
        let refused = setup.credenza.run(preview)?.expect_code(1)?;
        refused.expect_message(&["a dry run changes nothing", "PUT"])?;
        let still = setup.credenza.run(["restore", "latest", "--to", "@new"])?.expect_code(1)?;
        still.expect_message(&["not-there-yet", "does not exist"])?;
        for _ in 0..2 {
            setup.credenza.ok(["restore", "latest", "--overwrite", "--to", "@new", "-o", "create_bucket=true"])?;
            bucket::compare(&server.buckets, "source", "not-there-yet")?;
        }
        Ok(())
    });
    report.scenario("a snapshot is compared with the bucket as it is now, and a bucket with another", || {
        let (server, setup) = with_source(|server| bucket::fill_many(&server.buckets, "source", 30))?;
        setup.backup("@live")?;
        setup.credenza.ok(["restore", "latest", "--to", "@copy"])?;
        let changes = |before: &str, after: &str| -> Result<Vec<String>> {
            let lines = setup.credenza.ok(["--json", "diff", before, after])?.lines_of("change")?;
            Ok(lines.iter().map(|line| format!("{} {}", line["change"], line["key"]).replace('"', "")).collect())
        };
        assert_eq!(changes("latest", "@live")?, [""; 0]);
        assert_eq!(changes("@live", "@restored")?, [""; 0]);
        server.buckets.put_object("source", "dir-000/object-000007", "new", Attributes::default());
        server.buckets.remove("source", "dir-000/object-000008");
        let expected = ["content dir-000/object-000007", "removed dir-000/object-000008"];
        assert_eq!(changes("latest", "@live")?, expected);
        assert_eq!(changes("@restored", "@live")?, expected);
        Ok(())
    });
    report.finish();
}

#[test]
fn keys_of_a_bucket_are_listed_and_become_files_inside_the_target() {
    let mut report = Report::default();
    report.scenario("a snapshot lists exactly the keys of the bucket", || {
        let (server, setup) = with_source(|server| bucket::fill_odd(&server.buckets, "source"))?;
        setup.backup("@live")?;
        let entries = setup.credenza.ok(["--json", "ls", "-R", "latest"])?.lines_of("entry")?;
        let keys: BTreeSet<String> =
            entries.iter().filter_map(|entry| entry["key"].as_str()).map(str::to_owned).collect();
        assert_eq!(keys, server.buckets.keys("source").into_iter().collect());
        Ok(())
    });
    report.scenario("tame keys become files of the same names", || {
        let (server, setup) = with_source(|server| {
            for (seed, key) in (0..).zip(TAME_KEYS) {
                server.buckets.put_object("source", key, tree::noise(seed, 1000), Attributes::default());
            }
        })?;
        setup.backup("@live")?;
        let target = setup.restore("latest", "target")?;
        for key in TAME_KEYS {
            let stored = server.buckets.get("source", key).context(key)?;
            assert_eq!(fs::read(target.join(key))?, stored.body(), "{key}");
        }
        Ok(())
    });
    report.scenario("odd keys become files inside the target, none lost", || {
        let (server, setup) = with_source(|server| {
            for key in ODD_KEYS {
                let body = format!("body of {key:?}").into_bytes();
                server.buckets.put_object("source", key, body, Attributes::default());
            }
        })?;
        setup.backup("@live")?;
        let around = setup.path("around");
        fs::create_dir_all(&around)?;
        let target = around.join("target");
        let words = ["--json", "restore", "latest", "--to", &target.to_string_lossy()];
        let outcome = setup.credenza.run(words)?.expect_code(3)?;
        let unrestored = outcome.summary()?["unrestored"].to_string();
        ensure!(unrestored.contains("name (restored as"), "what was renamed is not reported: {unrestored}");
        assert_eq!(fs::read_dir(&around)?.count(), 1, "something was written beside the target");
        let expected: BTreeSet<Vec<u8>> =
            ODD_KEYS.iter().filter_map(|key| Some(server.buckets.get("source", key)?.body().to_vec())).collect();
        assert_eq!(bodies(&target)?, expected);
        Ok(())
    });
    report.scenario("a prefix is a folder, not the beginning of a name", || {
        let (server, setup) = with_source(|server| {
            for key in ["foo/1", "foo/deep/2", "foobar/3", "foo"] {
                server.buckets.put_object("source", key, "x", Attributes::default());
            }
        })?;
        let endpoint = endpoint_of(&server, "us-east-1");
        setup.add("source", "part", &endpoint, "source/foo")?;
        setup.backup("@part")?;
        let entries = setup.credenza.ok(["--json", "ls", "-R", "latest"])?.lines_of("entry")?;
        let keys: Vec<&str> = entries.iter().filter_map(|entry| entry["key"].as_str()).collect();
        assert_eq!(keys, ["1", "deep/2"]);
        Ok(())
    });
    report.finish();
}

#[test]
fn of_a_bucket_only_what_changed_is_read_and_what_cannot_be_is_told() {
    let mut report = Report::default();
    report.scenario("an object that may not be read makes the run incomplete", || {
        let (server, setup) = with_source(|server| bucket::fill_many(&server.buckets, "source", 50))?;
        let denied = credenza_s3_server::Rule::new(credenza_s3_server::Fault::AccessDenied);
        server.faults().add(denied.on(&[Operation::GetObject]).under("dir-000/object-000007"));
        let outcome = setup.credenza.run(["--json", "backup", "@live"])?.expect_code(3)?;
        let summary = outcome.summary()?;
        assert_eq!((number(&summary, &["entries"])?, number(&summary, &["errors"])?), (50, 1), "{summary}");
        Ok(())
    });
    report.scenario("only what changed is read again", || {
        let (server, setup) = with_source(|server| bucket::fill_many(&server.buckets, "source", 300))?;
        setup.backup("@live")?;
        server.buckets.put_object("source", "dir-000/object-000007", "new", Attributes::default());
        server.buckets.put_object("source", "fresh", "new", Attributes::default());
        server.buckets.remove("source", "dir-000/object-000008");
        server.log().clear();
        setup.backup("@live")?;
        assert_eq!(server.log().count("source", Operation::GetObject).requests, 2);
        setup.credenza.ok(["restore", "latest", "--to", "@copy"])?;
        bucket::compare(&server.buckets, "source", "copy")
    });
    report.finish();
}

#[test]
fn twenty_thousand_objects_cost_few_requests_and_little_memory() -> Result<()> {
    const OBJECTS: u64 = 20_000;
    const PAGES: u64 = OBJECTS / 1000;
    let (server, endpoint) = memory_server()?;
    bucket::fill_many(&server.buckets, "source", OBJECTS);
    let keys = server.buckets.keys("source");
    let bytes: u64 = keys.iter().filter_map(|key| Some(server.buckets.get("source", key)?.bytes())).sum();
    server.buckets.create("repository");
    let setup = Setup::with_s3_repository(&endpoint, "repository")?;
    setup.add("source", "live", &endpoint, "source")?;
    let log = server.log();
    let gets = || log.count("repository", Operation::GetObject).requests;
    let mut report = Report::default();

    log.clear();
    report.scenario("the first backup reads each object once and writes large objects", || {
        let first = setup.credenza.ok(["--json", "backup", "@live"])?.expect_memory_below(MEMORY_BYTES_MAX)?;
        let reads = log.count("source", Operation::GetObject).requests;
        assert_eq!(reads, OBJECTS);
        assert_eq!(log.count("source", Operation::HeadObject).requests, 0);
        let puts = log.count("repository", Operation::PutObject).requests;
        ensure!(puts <= bytes / (32 * 1024 * 1024) + 8, "{puts} PUTs for {bytes} bytes");
        let counted = requests_of(&first.summary()?)?;
        // After it the configuration of the machine is kept, once: two listings and a note.
        let counted = (counted.0, counted.1 + 3);
        assert_eq!(counted, (log.requests("source"), log.requests("repository")), "the summary's own count");
        Ok(())
    });

    log.clear();
    report.scenario("an unchanged bucket costs its listing and a dozen requests", || {
        setup.credenza.ok(["backup", "@live"])?.expect_memory_below(MEMORY_BYTES_MAX)?;
        let requests = log.requests("source") + log.requests("repository");
        ensure!(requests <= PAGES + 12, "{requests} requests:\n{}", log.lines().join("\n"));
        let added = log.count("repository", Operation::PutObject).bytes_in;
        ensure!(added <= 4096, "{added} bytes were added");
        Ok(())
    });

    report.scenario("the same without a cache", || {
        setup.credenza.forget_cache()?;
        log.clear();
        setup.backup("@live")?;
        assert_eq!(log.count("source", Operation::GetObject).requests, 0);
        Ok(())
    });

    log.clear();
    report.scenario("a restore reads packs, not objects", || {
        let target = setup.path("target");
        let restore = setup.credenza.ok(["restore", "latest", "--accept-loss", "--to", &target.to_string_lossy()])?;
        restore.expect_memory_below(MEMORY_BYTES_MAX)?;
        ensure!(gets() <= 50, "{} GETs", gets());
        for key in &keys {
            let stored = server.buckets.get("source", key).context("seeded")?;
            ensure!(fs::read(target.join(key))? == stored.body(), "{key} has other bytes");
        }
        Ok(())
    });

    log.clear();
    report.scenario("a full check reads packs, not objects", || {
        setup.check()?.expect_code(0)?.expect_memory_below(MEMORY_BYTES_MAX)?;
        ensure!(gets() <= 50, "{} GETs", gets());
        Ok(())
    });
    report.finish();
    Ok(())
}

fn bodies(folder: &Path) -> Result<BTreeSet<Vec<u8>>> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(bodies(&path)?);
        } else {
            found.insert(fs::read(&path)?);
        }
    }
    Ok(found)
}
