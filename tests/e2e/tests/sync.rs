//! Snapshots carried between a folder and a bucket of the in-memory server.

use anyhow::{Result, ensure};
use credenza_e2e::{Precious, Setup, memory_server_of_pages, number, tree};

/// What sync asks of scripts: one summary a direction.
fn counts(summary: &serde_json::Value) -> Result<[u64; 3]> {
    Ok([number(summary, &["copied"])?, number(summary, &["skipped"])?, number(summary, &["failed"])?])
}

#[test]
fn snapshots_go_from_a_folder_to_a_bucket_and_back() -> Result<()> {
    let (server, endpoint) = memory_server_of_pages(200)?;
    server.buckets.create("bucket");
    let precious = Precious::new(Setup::with_local_repository()?)?;
    let credenza = &precious.setup.credenza;
    precious.setup.add("repository", "s3", &endpoint, "bucket")?;
    let here = precious.setup.path("repository").to_string_lossy().into_owned();

    let early = credenza.run(["at", &here, "sync", "to", "@s3"])?.expect_code(10)?;
    early.expect_message(&["no repository", "create --like"])?;
    credenza.ok(["at", "@s3", "create", "--like", &here])?;
    credenza.ok(["at", &here, "sync", "to", "@s3"])?;
    let again = credenza.ok(["--json", "at", &here, "sync", "to", "@s3"])?.summary()?;
    ensure!(counts(&again)? == [0, 1, 0] && number(&again, &["bytes"])? == 0, "{again}");
    ensure!(number(&again, &["requests", "from"])? == 0 && number(&again, &["requests", "to"])? > 0, "{again}");

    let target = precious.setup.path("from the bucket");
    credenza.ok(["at", "@s3", "restore", precious.snapshot(), "--to", &target.to_string_lossy()])?;
    tree::compare(precious.source(), &target)?;
    credenza.ok(["at", "@s3", "check", "--read-data"])?;

    let third = precious.setup.path("third").to_string_lossy().into_owned();
    credenza.ok(["at", &third, "create"])?;
    let back = credenza.ok(["--json", "at", &third, "sync", "from", "@s3", precious.snapshot()])?;
    ensure!(back.lines_of("copied")?.len() == 1 && counts(&back.summary()?)? == [1, 0, 0], "{}", back.whole());
    let digests = |repository: &str| -> Result<serde_json::Value> {
        credenza.ok(["--json", "at", repository, "digest", precious.snapshot()])?.summary()
    };
    ensure!(digests(&here)?["digest"] == digests(&third)?["digest"], "other keys, the same content");
    Ok(())
}

#[test]
fn each_side_gives_the_other_what_it_lacks() -> Result<()> {
    let precious = Precious::new(Setup::with_local_repository()?)?;
    let credenza = &precious.setup.credenza;
    let other = precious.setup.path("other").to_string_lossy().into_owned();
    credenza.ok(["at", &other, "create"])?;
    let source = precious.setup.path("precious/deep").to_string_lossy().into_owned();
    credenza.ok(["at", &other, "backup", &source])?;
    let both = credenza.ok(["--json", "sync", "with", &other])?.lines_of("summary")?;
    let both = both.iter().map(counts).collect::<Result<Vec<_>>>()?;
    ensure!(both == [[1, 0, 0], [1, 1, 0]], "{both:?}");
    for repository in [precious.setup.path("repository").to_string_lossy().into_owned(), other] {
        let listed = credenza.ok(["--json", "at", &repository, "ls"])?.lines_of("snapshot")?;
        ensure!(listed.len() == 2, "{listed:?}");
        credenza.ok(["at", &repository, "check", "--read-data"])?;
    }
    Ok(())
}

#[test]
fn each_repository_has_a_passphrase_of_its_own() -> Result<()> {
    let precious = Precious::new(Setup::with_local_repository()?)?;
    let credenza = &precious.setup.credenza;
    let other = precious.setup.path("other").to_string_lossy().into_owned();
    let file = |name: &str, text: &str| -> Result<String> {
        std::fs::write(precious.setup.path(name), text)?;
        Ok(precious.setup.path(name).to_string_lossy().into_owned())
    };
    let right = file("right", "another passphrase, quite unlike the first, 1848")?;
    let wrong = file("wrong", "nobody ever chose this one")?;
    credenza.ok(["at", &other, "create", "--passphrase-file", &right])?;
    let setting = |path: &str| format!("passphrase_file={path}");
    credenza.run(["sync", "to", &other, "-o", &setting(&wrong)])?.expect_code(12)?.expect_message(&["passphrase"])?;
    credenza.run(["sync", "to", &other])?.expect_code(12)?;
    credenza.ok(["sync", "to", &other, "-o", &setting(&right)])?;
    let plain = precious.setup.path("plain").to_string_lossy().into_owned();
    credenza.ok(["at", &plain, "create", "--plaintext"])?;
    let refused = credenza.run(["sync", "to", &plain])?;
    ensure!(refused.code != Some(0), "{}", refused.whole());
    credenza.ok(["sync", "to", &plain, "--allow-plaintext"])?;
    Ok(())
}

#[test]
fn a_damaged_snapshot_is_named_and_ends_with_20() -> Result<()> {
    let (server, endpoint) = memory_server_of_pages(201)?;
    server.buckets.create("bucket");
    let precious = Precious::new(Setup::with_s3_repository(&endpoint, "bucket")?)?;
    let credenza = &precious.setup.credenza;
    let other = precious.setup.path("other").to_string_lossy().into_owned();
    credenza.ok(["at", &other, "create"])?;
    let pack = server.buckets.keys("bucket").into_iter().find(|key| key.starts_with("data/")).expect("a data pack");
    server.buckets.flip("bucket", &pack, 300);
    let outcome = credenza.run(["--json", "sync", "to", &other])?.expect_code(20)?;
    let damage = outcome.lines_of("damage")?;
    ensure!(damage.iter().any(|line| line["object"] == pack.as_str()), "{}", outcome.whole());
    ensure!(damage[0]["affects"][0] == precious.snapshot() && counts(&outcome.summary()?)? == [0, 0, 1]);
    ensure!(credenza.ok(["--json", "at", &other, "ls"])?.lines_of("snapshot")?.is_empty(), "nothing was committed");
    Ok(())
}
