//! Connectors that misbehave: one behaviour each of the component in `tests/guests`, and what the user sees.

use anyhow::{Result, ensure};
use credenza_e2e::{Precious, Report, Setup, workspace};

/// A behaviour, the exit code that is right for it, and what the message must say (one of).
///
/// 21 says that the connector broke its contract, 3 that some entries could not be read, 0 that the host put up
/// with it and kept everything. A size that is not the content's is reported of its one entry: a server may be at fault too,
/// and must not cost the user all the other entries.
const BEHAVIOURS: [(&str, i32, &[&str]); 19] = [
    ("panics", 21, &["panic"]),
    ("loops", 21, &["cpu", "answer"]),
    ("eats-memory", 21, &["mib", "memory"]),
    ("leaks-handles", 21, &["handle"]),
    ("floods-log", 0, &["lines suppressed"]),
    ("huge-list", 21, &["mib", "large", "bytes"]),
    ("endless-listing", 21, &["without end"]),
    ("idle-listing", 21, &["without end"]),
    ("lying-size", 3, &["size", "bytes"]),
    ("repeated-keys", 21, &["order", "key"]),
    ("disordered-keys", 21, &["order", "key"]),
    ("escapes-verb", 21, &["may only get"]),
    ("escapes-endpoint", 21, &["manifest does not name"]),
    ("escapes-path", 21, &["climbs out"]),
    ("escapes-parameters", 21, &["may only get /*, post /* ?restore"]),
    ("escapes-by-code", 21, &["encoded name"]),
    ("escapes-by-header", 21, &["does not grant"]),
    ("asks-in-vain", 21, &["of which 17 were refused"]),
    ("hoards-bodies", 21, &["still held"]),
];

#[test]
fn a_hostile_source_is_named_and_loses_nothing() {
    // One repository for all: each behaviour meets what the ones before have left.
    let precious = Setup::with_local_repository().and_then(Precious::new);
    let precious = precious.unwrap_or_else(|error| panic!("{error:#}"));
    let mut report = Report::default();
    for (behaviour, code, message) in BEHAVIOURS {
        report.scenario(behaviour, || run(&precious, behaviour, code, message));
    }
    report.finish();
}

fn run(precious: &Precious, behaviour: &str, code: i32, message: &[&str]) -> Result<()> {
    let guest = workspace().join("target/guests/hostile.wasm");
    ensure!(guest.is_file(), "{} is missing: run `cargo xtask guests`", guest.display());
    let credenza = &precious.setup.credenza;
    let location = format!("hostile://localhost:1/{behaviour}");
    let outcome = credenza
        .run(["--connector", &guest.to_string_lossy(), "--allow-unpinned", "backup", &location])?
        .expect_code(code)?;
    ensure!(outcome.stderr.len() < 1024 * 1024, "the user was flooded: {} bytes", outcome.stderr.len());
    outcome.expect_message(message)?;
    precious.setup.check()?.expect_code(0)?;
    precious.expect_intact()
}

/// Each page of the listing is empty and leads to one that was there before: nothing of that is taken for the end.
#[test]
fn a_store_whose_cursor_goes_in_a_circle_is_named() -> Result<()> {
    let setup = Setup::new()?;
    let guest = workspace().join("target/guests/hostile.wasm");
    ensure!(guest.is_file(), "{} is missing: run `cargo xtask guests`", guest.display());
    let guest = guest.to_string_lossy().into_owned();
    let location = "hostile://localhost:1/circling-cursor";
    // Of all commands it is the one that lists before it reads.
    let outcome =
        setup.credenza.run(["--connector", &guest, "--allow-unpinned", "at", location, "audit"])?.expect_code(21)?;
    outcome.expect_message(&["never ends: it came back to where it had been before"]).map(drop)
}
