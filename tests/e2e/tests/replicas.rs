//! A repository with replicas and the real binary: what is damaged is read from a replica and mended from it, and where the repository is gone a
//! replica is read in its place.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use credenza_e2e::front::Front;
use credenza_e2e::{Setup, memory_server, tree};

/// `@main`, the default of every command, with a snapshot and its replica `@paris`, alike or of other keys.
fn with_replica(alike: bool) -> Result<Setup> {
    let mut setup = Setup::new()?;
    let path = |name: &str| setup.path(name).to_string_lossy().into_owned();
    let (main, paris, source) = (path("main"), path("paris"), path("source"));
    setup.credenza.ok(["repository", "add", "main", &main, "replicas=@lost, @paris"])?;
    setup.credenza.ok(["repository", "add", "paris", &paris])?;
    setup.credenza.ok(["repository", "add", "lost", &path("lost")])?;
    setup.credenza.set("CREDENZA_REPOSITORY", "@main");
    fs::create_dir_all(Path::new(&source).join("folder"))?;
    fs::write(Path::new(&source).join("large"), tree::noise(1, 5_000_000))?;
    for number in 0..40 {
        fs::write(Path::new(&source).join(format!("folder/{number}")), tree::noise(number, 30_000))?;
    }
    setup.credenza.ok(["create"])?;
    setup.backup(&source)?;
    match alike {
        true => setup.credenza.ok(["at", "@paris", "create", "--like", "@main"])?,
        false => setup.credenza.ok(["at", "@paris", "create"])?,
    };
    setup.credenza.ok(["sync", "to", "@paris"])?;
    Ok(setup)
}

/// Every pack of content of `@main`.
fn packs(setup: &Setup) -> Result<Vec<PathBuf>> {
    let mut packs = Vec::new();
    for folder in fs::read_dir(setup.path("main").join("data"))? {
        packs.extend(fs::read_dir(folder?.path())?.map(|pack| Ok(pack?.path())).collect::<Result<Vec<_>>>()?);
    }
    Ok(packs)
}

fn spoil_packs(setup: &Setup) -> Result<()> {
    for pack in packs(setup)? {
        let mut bytes = fs::read(&pack)?;
        bytes.iter_mut().skip(1000).for_each(|byte| *byte = 0);
        fs::remove_file(&pack)?;
        fs::write(&pack, bytes)?;
    }
    Ok(())
}

#[test]
fn a_damaged_repository_is_read_by_its_replica_and_mended_from_it() -> Result<()> {
    for alike in [true, false] {
        let setup = with_replica(alike)?;
        spoil_packs(&setup)?;
        let source = setup.path("source");
        let restored = setup.path("restored").to_string_lossy().into_owned();
        let restore = setup.credenza.run(["restore", "latest", "--to", &restored])?.expect_code(20)?;
        tree::compare_bytes(&source, Path::new(&restored))?;
        ensure!(restore.stdout.contains("were read from a replica"), "{}", restore.stdout);
        let told = &restore.stderr;
        ensure!(told.contains("the replica @lost is passed over"), "{told}");
        ensure!(told.contains("it is read from @paris instead"), "{told}");
        ensure!(told.contains("credenza at @main repair --from @paris --apply"), "{told}");
        setup.credenza.run(["cat", "latest:folder/7"])?.expect_code(20)?;
        let check = setup.credenza.run(["check"])?.expect_code(20)?;
        ensure!(check.stdout.contains("has not been read whole since"), "not on record: {}", check.stdout);
        let has = "@paris has 1 of 1 snapshots that this affects: credenza at @main repair --from @paris --apply";
        ensure!(check.stdout.contains(has), "{}", check.stdout);

        setup.credenza.run(["repair", "--from", "@paris"])?.expect_code(20)?;
        let repair = setup.credenza.ok(["repair", "--from", "@paris", "--apply"])?;
        ensure!(repair.stdout.contains("nothing is lost"), "{}", repair.stdout);
        setup.credenza.ok(["check", "--read-data"])?;
        fs::remove_dir_all(setup.path("paris"))?;
        fs::remove_dir_all(&restored)?;
        setup.credenza.ok(["restore", "latest", "--to", &restored])?;
        tree::compare_bytes(&source, Path::new(&restored))?;
    }
    Ok(())
}

#[test]
fn a_reader_of_what_is_served_gets_what_a_replica_has() -> Result<()> {
    let setup = with_replica(false)?;
    spoil_packs(&setup)?;
    let front = Front::start(&setup.credenza, &["http"])?;
    let url = format!("{}/latest/large", front.text("endpoint").trim_end_matches('/'));
    let user = format!("{}:{}", front.text("user"), front.text("password"));
    let got = Command::new("curl").args(["--silent", "--fail", "--location", "--user", &user, &url]).output();
    let got = got.context("cannot run curl")?;
    ensure!(got.stdout == fs::read(setup.path("source").join("large"))?, "{} bytes from {url}", got.stdout.len());
    Ok(())
}

#[test]
fn a_replica_is_read_where_the_repository_is_gone_and_never_written_in_its_place() -> Result<()> {
    let mut setup = with_replica(true)?;
    let source = setup.path("source");
    fs::rename(setup.path("main"), setup.path("away"))?;
    let restored = setup.path("restored").to_string_lossy().into_owned();
    let restore = setup.credenza.ok(["restore", "latest", "--to", &restored])?;
    tree::compare_bytes(&source, Path::new(&restored))?;
    ensure!(restore.stderr.contains("@paris is read instead, its newest snapshot is"), "{}", restore.stderr);
    for words in [&["ls"][..], &["cat", "latest:folder/7"], &["find", "7"], &["info"]] {
        let looked = setup.credenza.ok(words)?;
        ensure!(looked.stderr.contains("@paris is read instead"), "{words:?}: {}", looked.stderr);
    }
    for words in [&["backup", "/etc/hostname"][..], &["rm", "latest", "--apply"], &["check"], &["repair"]] {
        let refused = setup.credenza.run(words)?;
        ensure!(refused.code != Some(0) && !refused.stderr.contains("instead"), "{words:?}: {}", refused.whole());
    }

    // Another repository in its place, and a wrong passphrase, are told and not passed over.
    setup.credenza.ok(["at", &setup.path("other").to_string_lossy(), "create"])?;
    fs::rename(setup.path("other"), setup.path("main"))?;
    let swapped = setup.credenza.run(["ls"])?;
    ensure!(swapped.code != Some(0) && !swapped.stderr.contains("instead"), "{}", swapped.whole());
    fs::remove_dir_all(setup.path("main"))?;
    fs::rename(setup.path("away"), setup.path("main"))?;
    setup.credenza.set("CREDENZA_PASSPHRASE", "not the passphrase");
    let wrong = setup.credenza.run(["ls"])?;
    ensure!(wrong.code != Some(0) && !wrong.stderr.contains("instead"), "{}", wrong.whole());
    Ok(())
}

#[test]
fn a_bucket_that_was_deleted_is_read_in_a_folder() -> Result<()> {
    let (server, endpoint) = memory_server()?;
    server.buckets.create("bucket");
    let mut setup = with_replica(true)?;
    setup.add("repository", "s3", &endpoint, "bucket")?;
    setup.credenza.ok(["repository", "set", "s3", "replicas=@paris"])?;
    setup.credenza.ok(["at", "@s3", "create", "--like", "@main"])?;
    setup.credenza.ok(["sync", "to", "@s3"])?;
    setup.credenza.set("CREDENZA_REPOSITORY", "@s3");
    ensure!(!setup.credenza.ok(["ls"])?.stderr.contains("instead"), "it is there");
    setup.credenza.ok(["repository", "set", "s3", &format!("location={}", endpoint.location("deleted"))])?;
    let listed = setup.credenza.ok(["ls"])?;
    ensure!(listed.stderr.contains("@paris is read instead"), "{}", listed.stderr);
    Ok(())
}
