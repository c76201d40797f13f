//! The independent reader of `tests/reader`, which knows the documents of the format and none of the code, on the golden repositories.

use anyhow::{Context, Result, ensure};
use credenza_e2e::{Report, workspace};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn fixture(name: &str) -> PathBuf {
    workspace().join("tests/fixtures").join(name)
}

fn read(repository: &Path, options: &[&str]) -> Result<Output> {
    let script = workspace().join("tests/reader/read.sh");
    Command::new(script).arg(repository).args(options).output().context("cannot run tests/reader/read.sh")
}

/// Demands that the reader lists exactly what the golden repository `name` restores to, and names each object that is hurt.
fn expect_as_recorded(name: &str, options: &[&str]) -> Result<()> {
    let output = read(&fixture(name).join("repository"), options)?;
    let (listed, reported) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    let findings = fs::read_to_string(fixture(name).join("FINDINGS"))?;
    ensure!(output.status.code() == Some(if findings.is_empty() { 0 } else { 20 }), "{}\n{reported}", output.status);
    ensure!(
        listed == fs::read_to_string(fixture(name).join("CONTENTS"))?,
        "it lists something else\n{listed}\n{reported}"
    );
    // Objects by their names; of an index segment that is gone, the pack that it described.
    let ids = findings.lines().filter_map(|line| line.split(' ').find(|word| word.contains('/') || word.len() == 32));
    for id in ids {
        ensure!(reported.contains(id), "{id} is not named\n{reported}");
    }
    Ok(())
}

#[test]
fn an_independent_reader_restores_the_golden_repositories() {
    let mut report = Report::default();
    let file = |name| fixture("encrypted").join(name).to_string_lossy().into_owned();
    report.scenario("encrypted, by passphrase", || {
        expect_as_recorded("encrypted", &["--passphrase-file", &file("passphrase")])
    });
    for recipient in ["recipient", "hybrid"] {
        report.scenario(&format!("encrypted, by the key of a {recipient}"), || {
            expect_as_recorded("encrypted", &["--identity-file", &file(recipient)])
        });
    }
    for name in [
        "plaintext",
        "hurt-data-pack",
        "hurt-metadata-pack",
        "hurt-index",
        "hurt-snapshot",
        "hurt-config",
        "hurt-with-parity",
    ] {
        report.scenario(name, || expect_as_recorded(name, &[]));
    }
    report.scenario("without the index that is lost", || {
        let output = read(&fixture("hurt-index").join("repository"), &["--without-index"])?;
        ensure!(output.stdout == fs::read(fixture("plaintext").join("CONTENTS"))?, "it lists something else");
        Ok(())
    });
    report.scenario("a writer's key reads nothing", || {
        let output = read(&fixture("encrypted").join("repository"), &["--identity-file", &file("writer")])?;
        ensure!(output.status.code() == Some(1) && output.stdout.is_empty(), "{}", output.status);
        Ok(())
    });
    report.finish();
}

#[test]
fn the_independent_reader_finds_a_flipped_byte_in_every_object() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let original = fixture("plaintext").join("repository");
    let copied = Command::new("cp").arg("-r").arg(&original).arg(folder.path()).status()?;
    ensure!(copied.success(), "cannot copy the repository");
    let mut report = Report::default();
    for object in objects(&folder.path().join("repository"))? {
        let name = object.strip_prefix(folder.path())?.to_string_lossy().into_owned();
        report.scenario(&name, || {
            let healthy = fs::read(&object)?;
            let mut flipped = healthy.clone();
            flipped[healthy.len() / 2] ^= 1;
            fs::write(&object, flipped)?;
            let output = read(&folder.path().join("repository"), &[])?;
            ensure!(!output.status.success() && !output.stderr.is_empty(), "it is not noticed");
            Ok(fs::write(&object, healthy)?)
        });
    }
    report.finish();
    Ok(())
}

fn objects(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for item in fs::read_dir(folder)? {
        let path = item?.path();
        // No object: an unfinished one, or the reserve.
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('~')) {
            continue;
        }
        if path.is_dir() { found.extend(objects(&path)?) } else { found.push(path) }
    }
    Ok(found)
}
