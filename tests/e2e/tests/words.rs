//! What is said to a person: commands that work as printed, and what a step costs before it is taken.

use anyhow::{Context, Result, ensure};
use credenza_e2e::{Setup, tree};
use std::fs;
use std::process::Command;

/// The command of a hint, as a person would copy it.
fn hinted(stderr: &str) -> Result<String> {
    let hint = stderr.lines().find(|line| line.starts_with("hint: ")).context("no hint")?;
    let command = hint.split_once("credenza ").context("no command")?.1;
    Ok(command.to_owned())
}

#[test]
fn what_a_hint_tells_to_run_runs_as_it_is_printed() -> Result<()> {
    let mut setup = Setup::new()?;
    let repository = setup.path("my repository");
    let repository = repository.to_string_lossy().into_owned();
    let source = setup.path("source");
    fs::create_dir(&source)?;
    fs::write(source.join("a"), "a")?;
    setup.credenza.ok(["at", &repository, "create"])?;
    setup.credenza.ok(["at", &repository, "backup", &source.to_string_lossy()])?;
    for wrong in [&["cat", "latest:nothing"] as &[&str], &["info", "feedbeef"]] {
        let failed = setup.credenza.run([&["at", &repository], wrong].concat())?.expect_code(1)?;
        let command = hinted(&failed.stderr)?;
        ensure!(!command.contains("REPOSITORY") && !command.contains("SNAPSHOT"), "{command}");
        let run = Command::new("sh").args(["-c", &format!("printf '%s\\n' {command}")]).output()?;
        let words: Vec<&str> = std::str::from_utf8(&run.stdout)?.lines().collect();
        setup.credenza.ok(words)?;
    }
    setup.credenza.set("CREDENZA_REPOSITORY", &repository);
    let failed = setup.credenza.run(["info", "feedbeef"])?.expect_code(1)?;
    ensure!(failed.stderr.contains("my repository' ls"), "{}", failed.stderr);
    Ok(())
}

#[test]
fn a_rotation_says_what_maintain_will_have_to_seal_anew() -> Result<()> {
    let setup = Setup::with_local_repository()?;
    let source = setup.path("source");
    fs::create_dir(&source)?;
    fs::write(source.join("large"), tree::noise(1, 400_000))?;
    setup.backup(&source.to_string_lossy())?;
    let rotated = setup.credenza.ok(["key", "rotate"])?;
    ensure!(rotated.stderr.contains("up to 2 packs, 39"), "{}", rotated.stderr);
    ensure!(rotated.stderr.contains("in some 4 requests"), "{}", rotated.stderr);
    Ok(())
}

#[test]
fn a_repository_made_where_another_is_known_takes_its_place_and_that_is_said() -> Result<()> {
    let setup = Setup::with_local_repository()?;
    let repository = setup.path("repository");
    fs::remove_dir_all(&repository)?;
    let made = setup.credenza.ok(["create"])?;
    ensure!(made.stderr.contains("this machine knows another repository"), "{}", made.stderr);
    setup.credenza.ok(["ls"])?;
    Ok(())
}

#[test]
fn an_option_beside_a_location_is_that_locations_and_a_wrong_one_tells_where_it_belongs() -> Result<()> {
    let setup = Setup::with_local_repository()?;
    let source = setup.path("source");
    fs::create_dir(&source)?;
    let source = source.to_string_lossy().into_owned();
    for words in [
        &["backup", &source, "--source-option", "versions=true"] as &[&str],
        &["backup", &source, "-o", "versions=true"],
        &["-o", "versions=true", "backup", &source],
    ] {
        setup.credenza.run(words)?.expect_code(2)?.expect_message(&["no setting `versions`", "--source-option"])?;
    }
    setup.credenza.run(["-o", "plaintext=perhaps", "ls"])?.expect_code(2)?.expect_message(&["true or false"])?;
    Ok(())
}
