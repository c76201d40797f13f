//! Components that were compiled when the contract was frozen (`tests/golden/components`): they load and work, with this build and every later one.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use credenza_e2e::servers::{DavKind, DavServer};
use credenza_e2e::{Setup, bucket, index_server, memory_server, snapshot_of, tree, workspace};

const FOLDER: &str = "tests/golden/components";
/// All of them: who clones the repository pays for it.
const BYTES_MAX: u64 = 6_000_000;

fn golden(name: &str) -> String {
    workspace().join(FOLDER).join(name).with_extension("wasm").to_string_lossy().into_owned()
}

/// A user for whom a golden component serves its schemes, once what it asks for was agreed to.
fn user_of(name: &str) -> Setup {
    let setup = Setup::new().unwrap();
    setup.credenza.ok(["connector", "install", &golden(name), "--yes", "--override"]).unwrap();
    setup
}

/// A folder with small files, an empty one and one of several parts.
fn files(setup: &Setup) -> PathBuf {
    let folder = setup.path("files");
    fs::create_dir_all(folder.join("deep/er")).unwrap();
    for (seed, (name, bytes)) in (0..).zip([("a b", 3000), ("deep/er/one", 20), ("empty", 0), ("large", 9_000_000)]) {
        fs::write(folder.join(name), tree::noise(seed, bytes)).unwrap();
    }
    folder
}

/// A repository at a location, of which what goes in comes out again.
fn keeps(setup: &mut Setup, location: &str, settings: &[&str]) {
    let words = [&["repository", "add", "store", location, "use_tls=false"], settings].concat();
    setup.credenza.ok(words).unwrap();
    setup.credenza.set("CREDENZA_REPOSITORY", "@store");
    setup.credenza.ok(["create"]).unwrap();
    let folder = files(setup);
    let first = snapshot_of(&setup.backup(&folder.to_string_lossy()).unwrap()).unwrap();
    let gone = snapshot_of(&setup.backup(&folder.join("deep").to_string_lossy()).unwrap()).unwrap();
    setup.credenza.ok(["rm", &gone]).unwrap();
    setup.credenza.ok(["maintain"]).unwrap();
    setup.check().unwrap().expect_code(0).unwrap();
    setup.credenza.forget_cache().unwrap();
    tree::compare_bytes(&folder, &setup.restore(&first, "restored").unwrap()).unwrap();
}

#[test]
fn the_golden_components_are_the_bytes_that_they_were() {
    let sums = fs::read_to_string(workspace().join(FOLDER).join("SHA256SUMS")).unwrap();
    let mut known = BTreeMap::new();
    let mut bytes = 0;
    for line in sums.lines() {
        let (digest, name) = line.split_once("  ").unwrap();
        let content = fs::read(workspace().join(FOLDER).join(name)).unwrap();
        let found = ring::digest::digest(&ring::digest::SHA256, &content);
        let found: String = found.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(found, digest, "{name}");
        bytes += content.len() as u64;
        known.insert(name.to_owned(), ());
    }
    let there = fs::read_dir(workspace().join(FOLDER)).unwrap().map(|entry| entry.unwrap().file_name());
    let components = there.map(|name| name.to_string_lossy().into_owned()).filter(|name| name.ends_with(".wasm"));
    assert!(components.into_iter().all(|name| known.contains_key(&name)), "a component has no digest");
    assert!(bytes <= BYTES_MAX, "{bytes}");
}

#[test]
fn the_golden_s3_component_stores_reads_and_restores() {
    let (server, endpoint) = memory_server().unwrap();
    let mut setup = user_of("s3");
    server.buckets.create("repository");
    let keys = [format!("access_key={}", endpoint.access_key), format!("secret_access_key={}", endpoint.secret_key)];
    keeps(&mut setup, &endpoint.location("repository"), &[&keys[0], &keys[1]]);
    bucket::fill_odd(&server.buckets, "live");
    server.buckets.create("copy");
    setup.add("source", "live", &endpoint, "live").unwrap();
    setup.add("destination", "copy", &endpoint, "copy").unwrap();
    let summary = setup.backup("@live").unwrap();
    assert_eq!(summary["errors"], 0, "{summary}");
    setup.credenza.ok(["restore", &snapshot_of(&summary).unwrap(), "--to", "@copy"]).unwrap();
    bucket::compare(&server.buckets, "live", "copy").unwrap();
}

#[test]
fn the_golden_webdav_component_stores_reads_and_restores() {
    let server = DavServer::start(DavKind::Rclone).unwrap();
    let (user, password) = &server.user;
    let login = [format!("user={user}"), format!("password={password}"), "use_tls=false".to_owned()];
    let mut setup = user_of("webdav");
    keeps(&mut setup, &format!("webdav://{}/repository", server.host), &[&login[0], &login[1]]);
    for (kind, name, folder) in [("source", "live", "live"), ("destination", "copy", "copy")] {
        let location = format!("webdav://{}/{folder}", server.host);
        let words = [&[kind, "add", name, &location], login.each_ref().map(String::as_str).as_slice()].concat();
        setup.credenza.ok(words).unwrap();
    }
    let live = server.data().join("live");
    fs::create_dir_all(live.join("deep")).unwrap();
    fs::write(live.join("deep/one"), tree::noise(1, 70_000)).unwrap();
    fs::write(live.join("two"), b"two").unwrap();
    let snapshot = snapshot_of(&setup.backup("@live").unwrap()).unwrap();
    setup.credenza.ok(["restore", &snapshot, "--to", "@copy", "--accept-loss"]).unwrap();
    tree::compare_bytes(&live, &server.data().join("copy")).unwrap();
}

#[test]
fn the_golden_template_in_rust_stores_and_reads() {
    let server = DavServer::start(DavKind::Rclone).unwrap();
    let (user, password) = &server.user;
    let login = [format!("user={user}"), format!("password={password}")];
    let mut setup = user_of("template-rust");
    fs::create_dir_all(server.data().join("repository")).unwrap();
    keeps(&mut setup, &format!("template://{}/repository", server.host), &[&login[0], &login[1]]);
    let live = server.data().join("live");
    fs::create_dir_all(live.join("deep")).unwrap();
    fs::write(live.join("deep/one"), tree::noise(1, 70_000)).unwrap();
    let location = format!("template://{}/live", server.host);
    setup.credenza.ok(["source", "add", "live", &location, "use_tls=false", &login[0], &login[1]]).unwrap();
    let snapshot = snapshot_of(&setup.backup("@live").unwrap()).unwrap();
    tree::compare_bytes(&live, &setup.restore(&snapshot, "of the template").unwrap()).unwrap();
}

#[test]
fn the_golden_component_in_javascript_reads() {
    let files =
        BTreeMap::from([("a b.txt", b"a space".to_vec()), ("empty", Vec::new()), ("large", vec![7; 1_000_000])]);
    let (address, _) = index_server::serve(files.clone()).unwrap();
    let setup = Setup::with_local_repository().unwrap();
    setup.credenza.ok(["connector", "install", &golden("template-javascript"), "--yes"]).unwrap();
    let location = format!("index://{address}/files");
    let summary = setup.credenza.ok(["--json", "backup", &location, "-o", "use_tls=false"]).unwrap().summary().unwrap();
    let restored = setup.restore(&snapshot_of(&summary).unwrap(), "restored").unwrap();
    for (key, body) in &files {
        assert!(fs::read(restored.join(key)).unwrap() == *body, "{key}");
    }
}

#[test]
fn the_golden_hostile_component_runs_and_is_held_to_its_contract() {
    let setup = Setup::with_local_repository().unwrap();
    setup.credenza.ok(["connector", "install", &golden("hostile"), "--yes"]).unwrap();
    for (behaviour, code) in [
        ("well", 0),
        ("panics", 21),
        ("eats-memory", 21),
        ("escapes-verb", 21),
        ("disordered-keys", 21),
        ("hoards-bodies", 21),
    ] {
        let outcome = setup.credenza.run(["backup", &format!("hostile://localhost:1/{behaviour}")]).unwrap();
        assert_eq!(outcome.code, Some(code), "{behaviour}: {}", outcome.whole());
    }
}
