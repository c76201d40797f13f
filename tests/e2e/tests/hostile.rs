//! Connectors that misbehave: one behaviour each of the component in `tests/guests`, and what the user sees.

use anyhow::{Result, ensure};
use credenza_e2e::{Precious, Report, Setup, workspace};

/// A behaviour, the exit codes that are right for it, and what the message must say (one of).
///
/// 21 says that the connector broke its contract, 3 that some entries could not be read, 0 that the host put up
/// with it and kept everything.
const BEHAVIOURS: [(&str, &[i32], &[&str]); 12] = [
    ("panics", &[21], &["panic"]),
    ("loops", &[21], &["cpu", "answer"]),
    ("eats-memory", &[21], &["mib", "memory"]),
    ("leaks-handles", &[21], &["handle"]),
    ("floods-log", &[0], &[""]),
    ("huge-list", &[21], &["mib", "large", "bytes"]),
    ("endless-listing", &[21], &["listing", "key", "end"]),
    ("lying-size", &[3, 21], &["size", "bytes"]),
    ("disordered-keys", &[21], &["order", "key"]),
    ("escapes-verb", &[1, 3, 21], &["refused", "allow", "grant"]),
    ("escapes-endpoint", &[1, 3, 21], &["refused", "allow", "grant"]),
    ("escapes-path", &[1, 3, 21], &["refused", "allow", "grant"]),
];

#[test]
fn a_hostile_source_is_named_and_loses_nothing() {
    let mut report = Report::default();
    for (behaviour, codes, message) in BEHAVIOURS {
        report.scenario(behaviour, || run(behaviour, codes, message));
    }
    report.finish();
}

fn run(behaviour: &str, codes: &[i32], message: &[&str]) -> Result<()> {
    let guest = workspace().join("target/guests/hostile.wasm");
    ensure!(guest.is_file(), "{} is missing: run `cargo xtask guests`", guest.display());
    let precious = Precious::new(Setup::with_local_repository()?)?;
    let connector = format!("connector={}", guest.display());
    let location = format!("hostile://localhost:1/{behaviour}");
    precious.setup.credenza.ok(["source", "add", "bad", &location, &connector])?;
    let outcome = precious.setup.credenza.run(["backup", "@bad"])?;
    ensure!(outcome.code.is_some_and(|code| codes.contains(&code)), "expected {codes:?}\n{}", outcome.whole());
    ensure!(outcome.stderr.len() < 1024 * 1024, "the user was flooded: {} bytes", outcome.stderr.len());
    outcome.expect_message(message)?;
    precious.setup.check()?.expect_code(0)?;
    precious.expect_intact()
}
