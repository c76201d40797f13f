//! What the author of a connector does: start one outside of this tree, build it, test it, and be told what is wrong with it.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use credenza_e2e::{Outcome, Setup, workspace};

/// A user with a compiler. What is compiled anyway for the connectors of this tree is not compiled once more.
fn author() -> Setup {
    let mut setup = Setup::new().unwrap();
    let home = PathBuf::from(std::env::var_os("HOME").unwrap());
    let folder = |name: &str, default: &str| {
        let set = std::env::var_os(name).map(PathBuf::from);
        set.unwrap_or_else(|| home.join(default)).to_string_lossy().into_owned()
    };
    for (name, value) in [
        ("PATH", std::env::var("PATH").unwrap()),
        ("CARGO_HOME", folder("CARGO_HOME", ".cargo")),
        ("RUSTUP_HOME", folder("RUSTUP_HOME", ".rustup")),
        ("CARGO_TARGET_DIR", workspace().join("plugins/target").to_string_lossy().into_owned()),
        ("CARGO_NET_OFFLINE", "true".to_owned()),
    ] {
        setup.credenza.set(name, &value);
    }
    setup
}

fn word(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn build(setup: &Setup, folder: &Path) -> Outcome {
    setup.credenza.run(["connector", "build", &word(folder)]).unwrap()
}

fn test(setup: &Setup, component: &Path) -> Outcome {
    setup.credenza.run(["--json", "connector", "test", &word(component)]).unwrap()
}

fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{}: {text}", path.display());
    fs::write(path, text.replace(from, to)).unwrap();
}

/// The ids of the cases that came out so.
fn cases(tested: &Outcome, outcome: &str) -> Vec<String> {
    let lines = tested.lines_of("connector_case").unwrap();
    let of = lines.iter().filter(|line| line["outcome"] == outcome);
    of.map(|line| line["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_connector_is_started_built_and_tested_in_a_folder_of_its_own() {
    let setup = author();
    let folder = setup.path("mine");
    setup.credenza.ok(["connector", "new", "mine", "--folder", &word(&folder)]).unwrap();
    let built = build(&setup, &folder).expect_code(0).unwrap();
    assert!(built.stdout.contains("mine 0.1.0"), "{}", built.stdout);
    let component = folder.join("mine.wasm");
    let inspected = setup.credenza.ok(["connector", "inspect", &word(&component)]).unwrap();
    assert!(inspected.stdout.contains("mine://"), "{}", inspected.stdout);

    let tested = test(&setup, &component).expect_code(0).unwrap();
    assert_eq!(cases(&tested, "failed"), Vec::<String>::new());
    let lines = tested.lines_of("connector_case").unwrap();
    let skipped = lines.iter().filter(|line| line["outcome"] == "skipped");
    let reasons: BTreeSet<&str> = skipped.map(|line| line["found"].as_str().unwrap()).collect();
    let is_claim = |reason: &&str| reason.starts_with("it does not claim `") || reason.starts_with("it claims `");
    assert!(reasons.iter().all(is_claim), "{reasons:?}");
    assert!(cases(&tested, "passed").len() >= 120, "{}", tested.stdout);

    // A flaw is found, explained, and can be repeated.
    edit(
        &folder.join("src/dav.rs"),
        "members.sort_by(|a, b| a.name.cmp(&b.name))",
        "members.sort_by(|a, b| b.name.cmp(&a.name))",
    );
    build(&setup, &folder).expect_code(0).unwrap();
    let flawed = test(&setup, &component).expect_code(21).unwrap();
    let failed = cases(&flawed, "failed");
    assert!(failed.iter().any(|id| id == "source.order"), "{failed:?}");
    let lines = flawed.lines_of("connector_case").unwrap();
    let line = lines.iter().find(|line| line["id"] == "source.order").unwrap();
    let repeat = line["repeat"].as_str().unwrap();
    assert!(repeat.contains("--seed ") && repeat.ends_with("--only source.order"), "{repeat}");
    let words: Vec<&str> = repeat.split(' ').skip(1).collect();
    let again = setup.credenza.run(words).unwrap().expect_code(21).unwrap();
    assert!(again.stdout.contains("FAILED   source.order"), "{}", again.stdout);
}

#[test]
fn a_connector_of_one_role_builds_and_passes() {
    let setup = author();
    let folder = setup.path("reader");
    setup.credenza.ok(["connector", "new", "reader", "--roles", "source", "--folder", &word(&folder)]).unwrap();
    build(&setup, &folder).expect_code(0).unwrap();
    let tested = test(&setup, &folder.join("reader.wasm")).expect_code(0).unwrap();
    let roles = ["store.", "destination."];
    assert!(!cases(&tested, "passed").iter().any(|id| roles.iter().any(|role| id.starts_with(role))));
}

#[test]
fn what_an_author_forgets_is_told_with_its_place_and_what_to_do() {
    let setup = author();
    build(&setup, &setup.path("")).expect_code(1).unwrap().expect_message(&["connector new"]).unwrap();
    let folder = setup.path("mine");
    let words = ["connector", "new", "mine", "--roles", "source", "--folder", &word(&folder)];
    setup.credenza.ok(words).unwrap();
    setup.credenza.run(words).unwrap().expect_code(2).unwrap().expect_message(&["is there already"]).unwrap();

    let manifest = folder.join("Cargo.toml");
    edit(&manifest, "crate-type = [\"cdylib\", \"rlib\"]", "");
    let told = build(&setup, &folder).expect_code(1).unwrap();
    let lib = fs::read_to_string(&manifest).unwrap().lines().position(|line| line == "[lib]").unwrap() + 1;
    assert!(told.stderr.contains(&format!("Cargo.toml, line {lib}")), "{}", told.stderr);
    assert!(told.stderr.contains("crate-type = [\"cdylib\", \"rlib\"]"), "{}", told.stderr);
    edit(&manifest, "[lib]", "[lib]\ncrate-type = [\"cdylib\", \"rlib\"]");

    edit(&folder.join("src/lib.rs"), "credenza_sdk::export!(Files: source);", "");
    let told = build(&setup, &folder).expect_code(1).unwrap();
    assert!(
        told.stderr.contains("exports no role") && told.stderr.contains("credenza_sdk::export!"),
        "{}",
        told.stderr
    );
    edit(
        &folder.join("src/lib.rs"),
        "impl Connector for Files",
        "credenza_sdk::export!(Files: source);\n\nimpl Connector for Files",
    );

    edit(&folder.join("connector.toml"), "roles = [\"source\"]", "roles = [\"source\", \"store\"]");
    let told = build(&setup, &folder).expect_code(1).unwrap();
    assert!(told.stderr.contains("claims the role store"), "{}", told.stderr);
    edit(&folder.join("connector.toml"), "summary = ", "sumary = ");
    let told = build(&setup, &folder).expect_code(1).unwrap();
    assert!(told.stderr.contains("line 6") && told.stderr.contains("sumary"), "{}", told.stderr);
}

#[test]
fn the_checks_are_told_without_a_component_and_can_be_chosen() {
    let setup = Setup::new().unwrap();
    let listed = setup.credenza.ok(["--json", "connector", "test", "--list"]).unwrap();
    let ids = |outcome: &Outcome| -> Vec<String> {
        let lines = outcome.lines_of("connector_check").unwrap();
        lines.iter().map(|line| line["id"].as_str().unwrap().to_owned()).collect()
    };
    let all = ids(&listed);
    for group in ["package.", "sandbox.", "source.", "store.", "destination."] {
        assert!(all.iter().any(|id| id.starts_with(group)), "{group}: {all:?}");
    }
    let some = setup.credenza.ok(["--json", "connector", "test", "--list", "--only", "store.list"]).unwrap();
    assert!(!ids(&some).is_empty() && ids(&some).iter().all(|id| id.starts_with("store.list.")), "{:?}", ids(&some));
    let none = setup.credenza.run(["connector", "test", "--list", "--only", "store.lis"]).unwrap();
    none.expect_code(2).unwrap().expect_message(&["no check `store.lis`", "connector test --list"]).unwrap();
    setup.credenza.run(["connector", "test"]).unwrap().expect_code(2).unwrap();
}
