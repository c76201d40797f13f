//! Buckets whose listings come in pages of any size, as AWS may answer them: nothing is missed, and nothing that is needed is deleted.

use anyhow::{Context, Result, ensure};
use credenza_e2e::s3::{Endpoint, S3};
use credenza_e2e::{Setup, memory_server, memory_server_of_pages, tree};
use credenza_s3_server::{Attributes, Server};
use std::fs;

const BUCKET: &str = "repository";
const SNAPSHOTS: usize = 6;

/// A repository in a bucket with snapshots of a folder that grows by a file each time.
fn filled(endpoint: &Endpoint) -> Result<Setup> {
    let setup = Setup::with_s3_repository(endpoint, BUCKET)?;
    let source = setup.path("source");
    fs::create_dir(&source)?;
    for number in 0..SNAPSHOTS {
        fs::write(source.join(format!("file-{number}")), tree::noise(number as u64, 20_000))?;
        setup.backup(&source.to_string_lossy())?;
    }
    Ok(setup)
}

fn snapshots(setup: &Setup, options: &[&str]) -> Result<usize> {
    let words = [options, &["--json", "ls"]].concat();
    Ok(setup.credenza.ok(words)?.lines_of("snapshot")?.len())
}

#[test]
fn a_repository_is_seen_whole_however_its_listings_are_cut() -> Result<()> {
    for seed in 1..=3 {
        let (server, endpoint) = memory_server_of_pages(seed)?;
        server.buckets.create(BUCKET);
        let setup = filled(&endpoint)?;
        setup.credenza.forget_cache()?;
        ensure!(snapshots(&setup, &[])? == SNAPSHOTS, "seed {seed}");
        setup.credenza.ok(["maintain"])?;
        setup.check()?.expect_code(0)?;
        setup.credenza.ok(["prune", "--keep-last", "1", "--apply", "--force"])?;
        ensure!(snapshots(&setup, &[])? == 1, "seed {seed}");
        setup.credenza.ok(["maintain"])?;
        setup.credenza.forget_cache()?;
        let restored = setup.restore("latest", "restored")?;
        tree::compare(&setup.path("source"), &restored).with_context(|| format!("seed {seed}"))?;
        setup.check()?.expect_code(0)?;
    }
    Ok(())
}

#[test]
fn versions_that_fill_pages_hide_no_snapshot_of_the_past() -> Result<()> {
    for server in [memory_server(), memory_server_of_pages(4)] {
        let (server, endpoint) = server?;
        server.buckets.create_versioned(BUCKET);
        let setup = filled(&endpoint)?;
        let keys = server.buckets.keys(BUCKET);
        let listed: Vec<&String> = keys.iter().filter(|key| key.starts_with("snapshot/")).take(4).collect();
        for key in listed {
            let whole = server.buckets.get(BUCKET, key).context("just listed")?.body();
            for _ in 0..300 {
                server.buckets.put_object(BUCKET, key, whole.clone(), Attributes::default());
            }
        }
        setup.credenza.forget_cache()?;
        let past = ["-o", "as_of=2100-01-01T00:00:00Z"];
        ensure!(snapshots(&setup, &past)? == SNAPSHOTS, "some were passed over");
        let target = setup.path("as it was");
        let to = target.to_string_lossy();
        setup.credenza.ok([&past[..], &["restore", "latest", "--accept-loss", "--to", &to]].concat())?;
        tree::compare(&setup.path("source"), &target)?;
    }
    Ok(())
}

/// A bucket of which nine in ten keys were deleted, and their versions kept.
fn full_of_markers(server: &Server, endpoint: &Endpoint) -> Result<()> {
    server.buckets.create_versioned("source");
    let s3 = S3::new(endpoint.clone())?;
    for number in 0..300 {
        let key = format!("key-{number:04}");
        server.buckets.put_object("source", &key, key.clone().into_bytes(), Attributes::default());
        if number % 10 != 0 {
            s3.delete("source", &key)?;
        }
    }
    Ok(())
}

#[test]
fn a_bucket_is_backed_up_whole_however_its_listings_are_cut() -> Result<()> {
    for seed in 5..=7 {
        let (server, endpoint) = memory_server_of_pages(seed)?;
        full_of_markers(&server, &endpoint)?;
        let setup = Setup::with_local_repository()?;
        setup.add("source", "live", &endpoint, "source")?;
        for _ in 0..2 {
            setup.backup("@live")?;
            let entries = setup.credenza.ok(["--json", "ls", "-R", "latest"])?.lines_of("entry")?;
            let kept: Vec<&str> = entries.iter().filter_map(|entry| entry["key"].as_str()).collect();
            ensure!(kept == server.buckets.keys("source"), "seed {seed}: {kept:?}");
        }
        setup.credenza.ok(["config", "source", "set", "live", "versions=true"])?;
        setup.backup("@live")?;
        let all = setup.credenza.ok(["--json", "ls", "-R", "latest"])?.lines_of("entry")?.len();
        ensure!(all == 570, "seed {seed}: {all} versions and delete markers");
        setup.credenza.run(["cat", "latest:key-0001"])?.expect_code(1)?.expect_message(&["key-0001", "was deleted"])?;
        ensure!(setup.credenza.ok(["cat", "latest:key-0010"])?.stdout == "key-0010");
    }
    Ok(())
}
