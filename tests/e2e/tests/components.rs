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
    let outcome =
        setup.credenza.ok(["--connector", &guest, "--allow-unpinned", "backup", "hostile://localhost:1/well"]).unwrap();
    let reported = outcome.stderr.lines().find(|line| line.contains("connector hostile 0.1.0")).unwrap();
    assert!(reported.contains(&*guest) && reported.contains("sha256 "), "{reported}");
}

#[test]
fn connectors_run_where_nothing_can_be_cached() {
    let mut setup = Setup::with_local_repository().unwrap();
    let file = setup.path("a-file");
    std::fs::write(&file, "").unwrap();
    setup.credenza.set("CREDENZA_CACHE", &file.join("cache").to_string_lossy());
    let guest = built("guests/hostile.wasm");
    let words = ["--connector", &guest.to_string_lossy(), "--allow-unpinned", "backup", "hostile://localhost:1/well"];
    let outcome = setup.credenza.ok(words).unwrap();
    assert_eq!(outcome.stderr.matches("compiled again at every start").count(), 1, "{}", outcome.stderr);
}

#[test]
fn what_a_connector_is_at_is_told_to_who_looks_closely() {
    let setup = Setup::with_local_repository().unwrap();
    let guest = built("guests/hostile.wasm");
    let words =
        ["-v", "--connector", &guest.to_string_lossy(), "--allow-unpinned", "backup", "hostile://localhost:1/well"];
    let outcome = setup.credenza.ok(words).unwrap();
    assert!(outcome.stderr.contains("telling what there is"), "{}", outcome.stderr);
}
