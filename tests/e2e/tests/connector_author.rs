//! What the author of a connector does: start one outside of this tree, build it, test it, and be reported what is wrong with it.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use credenza_e2e::author::environment;
use credenza_e2e::{Outcome, Setup};

/// A user with a compiler. What is compiled anyway for the connectors of this tree is not compiled once more: all build into one folder, so that connectors of
/// tests that run at the same time need names of their own.
fn author() -> Setup {
    let mut setup = Setup::new().unwrap();
    for (name, value) in environment().unwrap() {
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
    // In one step, as editors do: whoever watches sees no half of a file.
    let whole = path.with_extension("new~");
    fs::write(&whole, text.replace(from, to)).unwrap();
    fs::rename(whole, path).unwrap();
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
    let is_claim = |reason: &&str| {
        ["it does not claim `", "it claims `", "it tells no clock"].iter().any(|start| reason.starts_with(start))
    };
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
    let folder = setup.path("forgetful");
    let words = ["connector", "new", "forgetful", "--roles", "source", "--folder", &word(&folder)];
    setup.credenza.ok(words).unwrap();
    setup.credenza.run(words).unwrap().expect_code(2).unwrap().expect_message(&["is there already"]).unwrap();

    let manifest = folder.join("Cargo.toml");
    edit(&manifest, "crate-type = [\"cdylib\", \"rlib\"]", "");
    let reported = build(&setup, &folder).expect_code(1).unwrap();
    let lib = fs::read_to_string(&manifest).unwrap().lines().position(|line| line == "[lib]").unwrap() + 1;
    assert!(reported.stderr.contains(&format!("Cargo.toml, line {lib}")), "{}", reported.stderr);
    assert!(reported.stderr.contains("crate-type = [\"cdylib\", \"rlib\"]"), "{}", reported.stderr);
    edit(&manifest, "[lib]", "[lib]\ncrate-type = [\"cdylib\", \"rlib\"]");

    edit(&folder.join("src/lib.rs"), "credenza_sdk::export!(Files: source);", "");
    let reported = build(&setup, &folder).expect_code(1).unwrap();
    assert!(
        reported.stderr.contains("exports no role") && reported.stderr.contains("credenza_sdk::export!"),
        "{}",
        reported.stderr
    );
    edit(
        &folder.join("src/lib.rs"),
        "impl Connector for Files",
        "credenza_sdk::export!(Files: source);\n\nimpl Connector for Files",
    );

    edit(&folder.join("connector.toml"), "roles = [\"source\"]", "roles = [\"source\", \"store\"]");
    let reported = build(&setup, &folder).expect_code(1).unwrap();
    assert!(reported.stderr.contains("claims the role store"), "{}", reported.stderr);
    edit(&folder.join("connector.toml"), "summary = ", "sumary = ");
    let reported = build(&setup, &folder).expect_code(1).unwrap();
    assert!(reported.stderr.contains("line 6") && reported.stderr.contains("sumary"), "{}", reported.stderr);
}

#[test]
fn a_connector_in_javascript_is_started_and_built_in_a_folder_of_its_own() {
    let setup = author();
    let folder = setup.path("my-index");
    let words = ["connector", "new", "my-index", "--language", "javascript", "--folder", &word(&folder)];
    setup.credenza.ok(words).unwrap();
    let built = build(&setup, &folder).expect_code(0).unwrap();
    assert!(built.stdout.contains("my-index 0.1.0"), "{}", built.stdout);
    let inspected = setup.credenza.ok(["connector", "inspect", &word(&folder.join("my-index.wasm"))]).unwrap();
    for part in ["my-index://", "will run here", "WASI that reaches nothing"] {
        assert!(inspected.stdout.contains(part), "{part}: {}", inspected.stdout);
    }

    // What is wrong is reported with its place, and nothing of an earlier build passes for it.
    edit(&folder.join("source.js"), "class Session {", "class Session { {");
    let reported = build(&setup, &folder).expect_code(1).unwrap();
    assert!(reported.stderr.contains("source.js") && reported.stderr.contains("does not build"), "{}", reported.stderr);
    edit(&folder.join("source.js"), "class Session { {", "class Session {");
    edit(&folder.join("connector.toml"), "summary = ", "sumary = ");
    let reported = build(&setup, &folder).expect_code(1).unwrap();
    assert!(reported.stderr.contains("line 4") && reported.stderr.contains("sumary"), "{}", reported.stderr);

    let words = ["connector", "new", "x", "--language", "javascript", "--roles", "store", "--folder", "x"];
    let reported = setup.credenza.run(words).unwrap().expect_code(2).unwrap();
    assert!(
        reported.stderr.contains("no store to start from") && reported.stderr.contains("--language rust"),
        "{}",
        reported.stderr
    );
}

#[test]
fn each_change_of_a_file_leads_to_another_round() {
    let setup = author();
    let folder = setup.path("restless");
    setup.credenza.run(["connector", "dev", &word(&setup.path(""))]).unwrap().expect_code(2).unwrap();
    let words = ["connector", "new", "restless", "--roles", "source", "--folder", &word(&folder)];
    setup.credenza.ok(words).unwrap();
    let mut command = setup.credenza.command(["--json", "connector", "dev", &word(&folder)]);
    let mut dev = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(dev.stdout.take().unwrap()).lines();
    let mut round = || {
        let mut rounds = lines.by_ref().map(|line| serde_json::from_str::<serde_json::Value>(&line.unwrap()).unwrap());
        rounds.find(|line| line["type"] == "connector_round").unwrap()
    };
    let first = round();
    assert_eq!(
        (&first["round"], &first["outcome"], &first["failed"]),
        (&1.into(), &"tested".into(), &0.into()),
        "{first}"
    );
    assert!(first.get("changed").is_none() && first["passed"].as_u64().unwrap() > 5, "{first}");

    let (source, walk) = (folder.join("src/source.rs"), folder.join("src/dav.rs"));
    edit(&source, "impl Source for Files", "impl Sauce for Files");
    let broken = round();
    assert_eq!((&broken["round"], &broken["outcome"]), (&2.into(), &"not_built".into()), "{broken}");
    assert_eq!(broken["changed"], "src/source.rs", "{broken}");
    edit(&source, "impl Sauce for Files", "impl Source for Files");
    let mended = round();
    assert_eq!((&mended["round"], &mended["outcome"], &mended["failed"]), (&3.into(), &"tested".into(), &0.into()));

    edit(&walk, "members.sort_by(|a, b| a.name.cmp(&b.name))", "members.sort_by(|a, b| b.name.cmp(&a.name))");
    let flawed = round();
    assert!(flawed["round"] == 4 && flawed["failed"].as_u64().unwrap() > 0, "{flawed}");

    let pid = rustix::process::Pid::from_raw(i32::try_from(dev.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(dev.wait().unwrap().code(), Some(130));
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
