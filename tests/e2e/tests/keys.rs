//! What opens a repository, from the command line: added, listed, changed, removed, rotated; and writers.

use anyhow::{Result, ensure};
use credenza_e2e::{Precious, Report, Setup, snapshot_of};
use std::fs;
use std::path::PathBuf;

const NEW_PASSPHRASE: &str = "quite another credenza, 0815";

/// A repository with a snapshot whose owner may also give new passphrases.
fn precious() -> Result<Precious> {
    let mut precious = Precious::new(Setup::with_local_repository()?)?;
    precious.setup.credenza.set("CREDENZA_NEW_PASSPHRASE", NEW_PASSPHRASE);
    Ok(precious)
}

/// Forgets the passphrase and sets another variable instead.
fn open_by(precious: &mut Precious, variable: &str, value: &str) {
    for known in ["CREDENZA_PASSPHRASE", "CREDENZA_KEY_FILE", "CREDENZA_IDENTITY", "CREDENZA_RECOVERY_CODE"] {
        precious.setup.credenza.unset(known);
    }
    precious.setup.credenza.set(variable, value);
}

fn field(outcome: &credenza_e2e::Outcome, kind: &str, name: &str) -> Result<String> {
    let lines = outcome.lines_of(kind)?;
    let value = lines.first().and_then(|line| line[name].as_str()).map(str::to_owned);
    value.ok_or_else(|| anyhow::anyhow!("no `{name}` of a `{kind}`\n{}", outcome.whole()))
}

/// A new key pair: the file of the secret key, and the public key.
fn key_pair(precious: &Precious, name: &str) -> Result<(PathBuf, String)> {
    let file = precious.setup.path(name);
    let made = precious.setup.credenza.ok(["--json", "key", "generate", &file.to_string_lossy()])?;
    Ok((file, field(&made, "identity", "public_key")?))
}

#[test]
fn keys_open_what_they_should() {
    let mut report = Report::default();
    report.scenario("a changed passphrase replaces the old one", || {
        let mut precious = precious()?;
        precious.setup.credenza.ok(["key", "passwd"])?;
        precious.setup.credenza.run(["ls"])?.expect_code(12)?;
        open_by(&mut precious, "CREDENZA_PASSPHRASE", NEW_PASSPHRASE);
        precious.expect_intact()
    });
    report.scenario("a weak new passphrase is refused and nothing changes", || {
        let mut precious = precious()?;
        precious.setup.credenza.set("CREDENZA_NEW_PASSPHRASE", "password1");
        precious.setup.credenza.run(["key", "add"])?.expect_code(1)?.expect_message(&["too weak"])?;
        precious.setup.credenza.run(["key", "passwd"])?.expect_code(1)?.expect_message(&["too weak"])?;
        precious.expect_intact()
    });
    report.scenario("a recovery code is shown once and opens", || {
        let mut precious = precious()?;
        let added = precious.setup.credenza.ok(["--json", "key", "add", "--recovery-code"])?;
        let code = field(&added, "recovery_code", "code")?;
        open_by(&mut precious, "CREDENZA_RECOVERY_CODE", &code.to_lowercase());
        precious.expect_intact()?;
        let listed = precious.setup.credenza.ok(["key", "list"])?;
        ensure!(!listed.stdout.contains(&code), "{}", listed.whole());
        Ok(())
    });
    report.scenario("create makes a recovery code at once", || {
        let mut setup = Setup::new()?;
        setup.credenza.set("CREDENZA_REPOSITORY", &setup.path("repository").to_string_lossy());
        let created = setup.credenza.ok(["--json", "create", "--recovery-code"])?;
        let code = field(&created, "recovery_code", "code")?;
        setup.credenza.unset("CREDENZA_PASSPHRASE");
        setup.credenza.set("CREDENZA_RECOVERY_CODE", &code);
        setup.credenza.ok(["ls"]).map(drop)
    });
    report.scenario("a key file and a recipient open, by option and by variable", || {
        let mut precious = precious()?;
        let key_file = precious.setup.path("key");
        fs::write(&key_file, [7; 64])?;
        let key_file = key_file.to_string_lossy().into_owned();
        precious.setup.credenza.ok(["key", "add", "--new-key-file", &key_file])?;
        let (identity, public_key) = key_pair(&precious, "identity")?;
        precious.setup.credenza.ok(["key", "add", "--recipient", &public_key])?;
        let identity = identity.to_string_lossy().into_owned();
        precious.setup.credenza.run(["key", "generate", &identity])?.expect_code(1)?;
        precious.setup.credenza.unset("CREDENZA_PASSPHRASE");
        precious.setup.credenza.ok(["--key-file", &key_file, "ls"])?;
        precious.setup.credenza.ok(["ls", "--identity", &identity])?;
        open_by(&mut precious, "CREDENZA_IDENTITY", &identity);
        precious.expect_intact()
    });
    report.scenario("a hybrid recipient opens, whose public key is shown in part", || {
        let mut precious = precious()?;
        let file = precious.setup.path("hybrid");
        let made = precious.setup.credenza.ok(["--json", "key", "generate", "--hybrid", &file.to_string_lossy()])?;
        let public_key = field(&made, "identity", "public_key")?;
        precious.setup.credenza.ok(["key", "add", "--recipient", &public_key])?;
        let listed = precious.setup.credenza.ok(["key", "list"])?;
        ensure!(
            listed.stdout.contains(&public_key[..60]) && !listed.stdout.contains(&public_key),
            "{}",
            listed.whole()
        );
        open_by(&mut precious, "CREDENZA_IDENTITY", &file.to_string_lossy());
        precious.expect_intact()
    });
    report.finish();
}

#[test]
fn keys_are_listed_proven_and_removed() {
    let mut report = Report::default();
    report.scenario("keys are proven with a secret and unproven without", || {
        let mut precious = precious()?;
        let proven = |listed: &credenza_e2e::Outcome| -> Result<bool> {
            Ok(listed.lines_of("key")?.iter().all(|line| line["proven"] == true))
        };
        ensure!(proven(&precious.setup.credenza.ok(["--json", "key", "list"])?)?, "they are not verified");
        precious.setup.credenza.unset("CREDENZA_PASSPHRASE");
        ensure!(!proven(&precious.setup.credenza.ok(["--json", "key", "list"])?)?, "nothing verifies them");
        let listed = precious.setup.credenza.ok(["key", "list"])?;
        ensure!(listed.stdout.contains("(unproven)"), "{}", listed.whole());
        Ok(())
    });
    report.scenario(
        "a lost config is reported by every command, which does its work and ends with 20, until it is repaired",
        || {
            let precious = precious()?;
            fs::remove_file(precious.setup.path("repository/config"))?;
            precious.setup.credenza.run(["ls"])?.expect_code(20)?.expect_message(&["`config`", "repair --apply"])?;
            precious.setup.credenza.run(["repair", "--apply"])?.expect_code(0)?;
            precious.setup.credenza.run(["ls"])?.expect_code(0)?;
            precious.expect_intact()
        },
    );
    report.scenario("keys are listed without a secret, and removed but for the last", || {
        let mut precious = precious()?;
        let added = precious.setup.credenza.ok(["--json", "key", "add", "--label", "second"])?;
        let id = field(&added, "key", "id")?;
        precious.setup.credenza.unset("CREDENZA_PASSPHRASE");
        let listed = precious.setup.credenza.ok(["--json", "key", "list"])?.lines_of("key")?;
        ensure!(listed.len() == 2 && listed.iter().any(|key| key["label"] == "second"), "{listed:?}");
        let other = listed.iter().find_map(|key| key["id"].as_str().filter(|other| *other != id)).unwrap_or_default();
        open_by(&mut precious, "CREDENZA_PASSPHRASE", NEW_PASSPHRASE);
        precious.setup.credenza.ok(["key", "remove", other])?.expect_message(&["key rotate"])?;
        precious.setup.credenza.run(["key", "remove", &id])?.expect_code(1)?.expect_message(&["last"])?;
        precious.expect_intact()
    });
    report.finish();
}

#[test]
fn rotation_and_writers_keep_their_promises() {
    let mut report = Report::default();
    report.scenario("a rotation names what it cannot renew, and removes it only when told", || {
        let mut precious = precious()?;
        precious.setup.credenza.ok(["key", "add", "--label", "laptop"])?;
        precious.setup.credenza.run(["key", "rotate"])?.expect_code(1)?.expect_message(&["laptop"])?;
        let rotated =
            precious.setup.credenza.ok(["--json", "key", "rotate", "--remove-others"])?.lines_of("rotated")?;
        ensure!(rotated.first().is_some_and(|line| line["epoch"] == 1), "{rotated:?}");
        precious.setup.backup(&precious.source().to_string_lossy())?;
        precious.expect_intact()?;
        precious.setup.check()?.expect_code(0)?;
        open_by(&mut precious, "CREDENZA_PASSPHRASE", NEW_PASSPHRASE);
        precious.setup.credenza.run(["ls"])?.expect_code(12).map(drop)
    });
    report.scenario("a writer backs up and reads nothing, and a reader restores what it wrote", || {
        let mut precious = precious()?;
        let (identity, public_key) = key_pair(&precious, "identity")?;
        precious.setup.credenza.ok(["key", "add", "--writer", "--recipient", &public_key])?;
        open_by(&mut precious, "CREDENZA_IDENTITY", &identity.to_string_lossy());
        fs::write(precious.source().join("added"), "by the writer")?;
        let snapshot = snapshot_of(&precious.setup.backup(&precious.source().to_string_lossy())?)?;
        let target = precious.setup.path("target").to_string_lossy().into_owned();
        for refused in [
            &["ls"][..],
            &["ls", &snapshot],
            &["cat", "latest:added"],
            &["restore", "latest", "--to", &target],
            &["check"],
            &["check", "--read-data"],
            &["key", "add"],
            &["key", "rotate", "--remove-others"],
        ] {
            precious.setup.credenza.run(refused)?.expect_code(12)?.expect_message(&["may add and not read"])?;
        }
        open_by(&mut precious, "CREDENZA_PASSPHRASE", credenza_e2e::PASSPHRASE);
        let cat = precious.setup.credenza.ok(["cat", &format!("{snapshot}:added")])?;
        ensure!(cat.stdout == "by the writer", "{}", cat.whole());
        let restored = precious.setup.restore(&snapshot, "target")?;
        credenza_e2e::tree::compare(precious.source(), &restored)?;
        precious.setup.check()?.expect_code(0).map(drop)
    });
    report.finish();
}
