//! Folders into buckets and back, and buckets into folders and back, on the in-memory server: what one cannot hold of the other is kept
//! beside it and comes back, or is reported.

use anyhow::{Context, Result, ensure};
use credenza_e2e::{Report, Setup, bucket, memory_server_of_pages, snapshot_of, tree};
use credenza_s3_server::{Attributes, Server};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// A user who knows the buckets `source` and `copy` of a server, as a source and as a destination each.
fn start() -> Result<(Server, Setup)> {
    let (server, endpoint) = memory_server_of_pages(400)?;
    let setup = Setup::with_local_repository()?;
    for name in ["source", "copy"] {
        server.buckets.create(name);
        setup.add("source", name, &endpoint, name)?;
        setup.add("destination", &format!("to-{name}"), &endpoint, name)?;
    }
    Ok((server, setup))
}

/// What the summary of a restore says was lost, as JSON; the restore must end with 3 when that is anything, and with 0 when it is not.
fn lost_by(setup: &Setup, words: &[&str]) -> Result<Value> {
    let outcome = setup.credenza.run([&["--json", "restore"], words].concat())?;
    let summary = outcome.summary()?;
    let lost = summary.get("unrestored").cloned().unwrap_or_default();
    let is_whole = lost.as_object().is_none_or(serde_json::Map::is_empty);
    outcome.expect_code(if is_whole { 0 } else { 3 })?;
    Ok(lost)
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// A folder with one of everything, but for rights of others, which are not taken from a bucket.
fn build(folder: &Path) -> Result<()> {
    tree::build_odd(folder)?;
    Ok(fs::set_permissions(folder.join("script.sh"), fs::Permissions::from_mode(0o755))?)
}

/// Files need them to keep what a bucket is.
#[allow(clippy::print_stdout, reason = "a test that is left out says so")]
fn files_have_attributes() -> Result<bool> {
    let have = tree::keeps_attributes(&std::env::temp_dir())?;
    if !have {
        println!("left out: files here have no extended attributes, which is what a bucket is kept in");
    }
    Ok(have)
}

#[test]
fn folders_and_buckets_come_back_from_each_other() -> Result<()> {
    if !files_have_attributes()? {
        return Ok(());
    }
    let mut report = Report::default();
    report.scenario("a folder comes back from a bucket with all that it was", || {
        let (server, setup) = start()?;
        let (folder, back) = (setup.path("folder"), setup.path("back"));
        build(&folder)?;
        setup.backup(&text(&folder))?;
        let lost = lost_by(&setup, &["latest", "--to", "@to-copy"])?;
        assert_eq!(lost, json!({ "name (restored as not utf-8 %FF%FE)": 1 }));
        for key in ["plain.txt", "empty folder/", "link", "deep/er/and/deeper/leaf"] {
            ensure!(server.buckets.get("copy", key).is_some(), "no {key} in {:?}", server.buckets.keys("copy"));
        }
        setup.backup("@copy")?;
        assert_eq!(lost_by(&setup, &["latest", "--source", "@copy", "--to", &text(&back)])?, json!({}));
        tree::forget_bucket(&back)?;
        tree::compare(&folder, &back)
    });
    report.scenario("a bucket comes back from a folder with exactly its keys and attributes", || {
        let (server, setup) = start()?;
        bucket::fill_odd(&server.buckets, "source");
        // Marks of folders: with something in them, with nothing, beside an object of their name, and without a name.
        for key in ["size/", "alone/", "plain/", "c/", "x//", "/"] {
            server.buckets.put_object("source", key, "", Attributes::default());
        }
        server.buckets.put_object("source", "marked/", "", bucket::full_attributes());
        let folder = setup.path("folder");
        setup.backup("@source")?;
        let lost = lost_by(&setup, &["latest", "--to", &text(&folder)])?;
        let renamed = |name: &String| name.starts_with("name (restored as ");
        ensure!(lost.as_object().is_some_and(|names| names.keys().all(renamed)), "{lost}");
        ensure!(folder.join("alone").is_dir() && folder.join("marked").is_dir(), "a mark of a folder is no folder");
        setup.backup(&text(&folder))?;
        assert_eq!(lost_by(&setup, &["latest", "--path", &text(&folder), "--to", "@to-copy"])?, json!({}));
        bucket::compare(&server.buckets, "source", "copy")
    });
    report.scenario("two names of one file that became two objects are two files then", || {
        let (server, setup) = start()?;
        let (folder, back) = (setup.path("folder"), setup.path("back"));
        fs::create_dir(&folder)?;
        fs::write(folder.join("a"), "one")?;
        fs::hard_link(folder.join("a"), folder.join("b"))?;
        setup.backup(&text(&folder))?;
        setup.credenza.ok(["restore", "latest", "--to", "@to-copy"])?;
        let stored = server.buckets.get("copy", "b").context("b")?;
        server.buckets.put_object("copy", "b", "another", stored.attributes().clone());
        let second = snapshot_of(&setup.backup("@copy")?)?;
        setup.restore(&second, "back")?;
        assert_eq!((fs::read(back.join("a"))?, fs::read(back.join("b"))?), (b"one".to_vec(), b"another".to_vec()));
        Ok(())
    });
    report.finish();
    Ok(())
}

#[test]
fn parts_of_folders_and_buckets_go_to_each_other_and_what_is_lost_is_told() -> Result<()> {
    if !files_have_attributes()? {
        return Ok(());
    }
    let mut report = Report::default();
    report.scenario("one folder of a folder, and one file, are restored to a bucket", || {
        let (server, setup) = start()?;
        let folder = setup.path("folder");
        build(&folder)?;
        setup.backup(&text(&folder))?;
        setup.credenza.ok(["restore", "latest:deep/er", "--to", "@to-copy"])?;
        assert_eq!(
            server.buckets.keys("copy"),
            ["deep/er/", "deep/er/and/", "deep/er/and/deeper/", "deep/er/and/deeper/leaf"]
        );
        setup.credenza.ok(["restore", "latest:plain.txt", "--to", "@to-source"])?;
        assert_eq!(server.buckets.keys("source"), ["plain.txt"]);
        Ok(())
    });
    report.scenario("one prefix of a bucket, and one key, are restored to a bucket and to a folder", || {
        let (server, setup) = start()?;
        for key in ["a/1", "a/2/3", "a", "ab", "b/1"] {
            server.buckets.put_object("source", key, key, Attributes::default());
        }
        setup.backup("@source")?;
        let (folder, one) = (setup.path("folder"), setup.path("one"));
        setup.credenza.ok(["restore", "latest:a/", "--to", "@to-copy"])?;
        assert_eq!(server.buckets.keys("copy"), ["a/1", "a/2/3"]);
        setup.credenza.ok(["restore", "latest:b/1", "--to", "@to-copy"])?;
        assert_eq!(server.buckets.keys("copy"), ["a/1", "a/2/3", "b/1"]);
        setup.credenza.ok(["restore", "latest:a/", "--to", &text(&folder)])?;
        assert_eq!(
            (fs::read(folder.join("a/1"))?, fs::read(folder.join("a/2/3"))?),
            (b"a/1".to_vec(), b"a/2/3".to_vec())
        );
        setup.credenza.ok(["restore", "latest:ab", "--to", &text(&one)])?;
        assert_eq!((fs::read_dir(&one)?.count(), fs::read(one.join("ab"))?), (1, b"ab".to_vec()));
        Ok(())
    });
    report.scenario("what a bucket cannot hold of a folder is reported, and incomplete unless accepted", || {
        let (_server, setup) = start()?;
        let folder = setup.path("folder");
        tree::build_many(&folder, 5)?;
        tree::attach(&folder.join("00/0000/file-0000001"), "user.note", &tree::noise(1, 3000))?;
        setup.backup(&text(&folder))?;
        assert_eq!(lost_by(&setup, &["latest", "--to", "@to-copy"])?, json!({ "tree.xattr.user.note": 1 }));
        setup.credenza.ok(["restore", "latest", "--accept-loss", "--overwrite", "--to", "@to-copy"])?;
        Ok(())
    });
    report.scenario("rights are not taken from whoever may write to a bucket", || {
        let (server, setup) = start()?;
        let text_of = |text: &str| text.to_owned();
        let metadata = [("credenza-posix.mode", "i2541"), ("credenza-xattr.security.capability", "bAQID")];
        let metadata = metadata.map(|(name, value)| (text_of(name), text_of(value))).into();
        server.buckets.put_object("source", "x", "#!", Attributes { metadata, ..Attributes::default() });
        setup.backup("@source")?;
        let folder = setup.path("folder");
        let lost = lost_by(&setup, &["latest", "--to", &text(&folder)])?;
        assert_eq!(lost, json!({ "posix.mode": 1, "xattr.security.capability": 1 }));
        assert_eq!(fs::metadata(folder.join("x"))?.permissions().mode() & 0o7777, 0o755);
        Ok(())
    });
    report.finish();
    Ok(())
}
