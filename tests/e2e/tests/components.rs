//! Which component serves, and where it can run: what a person sees of a file in the place of a connector, and of surroundings without a cache.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::path::PathBuf;

use credenza_e2e::{Setup, workspace};

fn built(component: &str) -> PathBuf {
    let path = workspace().join("target").join(component);
    assert!(path.is_file(), "{} is missing: run `cargo xtask guests`", path.display());
    path
}

#[test]
fn a_component_from_a_file_is_named_with_its_digest() {
    let setup = Setup::with_local_repository().unwrap();
    let guest = built("guests/hostile.wasm");
    let guest = guest.to_string_lossy();
    let outcome = setup.credenza.ok(["--connector", &guest, "backup", "hostile://localhost:1/well"]).unwrap();
    let told = outcome.stderr.lines().find(|line| line.contains("connector hostile 0.1.0")).unwrap();
    assert!(told.contains(&*guest) && told.contains("sha256 "), "{told}");
}

#[test]
fn a_file_in_the_connectors_folder_does_not_take_the_place_of_the_embedded_one() {
    let setup = Setup::with_local_repository().unwrap();
    let folder = setup.path("user/config/connectors");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy(built("connectors/s3.wasm"), folder.join("aa.wasm")).unwrap();
    for words in [&["backup", "s3://127.0.0.1:1/bucket"][..], &["connector", "inspect", "s3"]] {
        let refused = setup.credenza.run(words).unwrap().expect_code(2).unwrap();
        refused.expect_message(&["would take the place of the embedded `s3`"]).unwrap();
    }
    setup.credenza.ok(["connector", "list"]).unwrap();
}

#[test]
fn connectors_run_where_nothing_can_be_cached() {
    let mut setup = Setup::with_local_repository().unwrap();
    let file = setup.path("a-file");
    std::fs::write(&file, "").unwrap();
    setup.credenza.set("CREDENZA_CACHE", &file.join("cache").to_string_lossy());
    let guest = built("guests/hostile.wasm");
    let words = ["--connector", &guest.to_string_lossy(), "backup", "hostile://localhost:1/well"];
    let outcome = setup.credenza.ok(words).unwrap();
    assert_eq!(outcome.stderr.matches("compiled again at every start").count(), 1, "{}", outcome.stderr);
}
