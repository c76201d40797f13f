//! What credentials that were stolen, or are few, can and cannot do to a repository in a bucket: locks, versions, rights.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use credenza_e2e::s3::{Endpoint, S3};
use credenza_e2e::{Credenza, Outcome, Precious, Report, Setup, memory_server_of_pages, workspace};
use credenza_s3_server::{Attributes, Operation, Policy, Server};
use serde_json::Value;

const BUCKET: &str = "bucket";

/// The policy that is shipped for a role, for the bucket of these tests.
fn policy(role: &str) -> Result<Policy> {
    let path = workspace().join("plugins/s3/iam").join(format!("{role}.json"));
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    Ok(Policy::parse(&text.replace("BUCKET", BUCKET))?)
}

/// A user who has configured `@store` as the default and not made it yet.
fn configured(endpoint: &Endpoint) -> Result<Setup> {
    let mut setup = Setup::new()?;
    setup.add("repository", "store", endpoint, BUCKET)?;
    setup.credenza.set("CREDENZA_REPOSITORY", "@store");
    Ok(setup)
}

fn packs(server: &Server) -> Vec<String> {
    let keys = server.buckets.keys(BUCKET).into_iter();
    keys.filter(|key| key.starts_with("data/") || key.starts_with("meta/")).collect()
}

fn holds(outcome: &Outcome, name: &str) -> Result<bool> {
    let created = outcome.lines_of("created")?.into_iter().next().context("nothing was created")?;
    let guarantees = created.get("guarantees").and_then(Value::as_array).cloned().unwrap_or_default();
    let found = guarantees
        .iter()
        .find(|one| one.get("name").is_some_and(|found| found == name))
        .and_then(|one| one.get("holds")?.as_bool());
    found.with_context(|| format!("no guarantee {name} in {created}"))
}

#[test]
fn a_store_is_tried_and_described_when_a_repository_is_made() {
    let mut report = Report::default();
    report.scenario("a plain bucket, one with versions and one with locks differ", || {
        for (kind, expected) in [("plain", [false, false]), ("versioned", [true, false]), ("locking", [true, true])] {
            let (server, endpoint) = memory_server_of_pages(500)?;
            match kind {
                "plain" => server.buckets.create(BUCKET),
                "versioned" => server.buckets.create_versioned(BUCKET),
                _ => server.buckets.create_locking(BUCKET),
            }
            let setup = configured(&endpoint)?;
            let created = setup.credenza.ok(["--json", "create"])?;
            let found = [holds(&created, "versions")?, holds(&created, "retention")?];
            ensure!(found == expected, "{kind}: {}", created.whole());
            ensure!(holds(&created, "if-absent")? && holds(&created, "delete")?, "{kind}: {}", created.whole());
            let info = setup.credenza.ok(["info"])?;
            ensure!(info.stdout.contains("retention") && info.stdout.contains("delete"), "{}", info.whole());
        }
        Ok(())
    });
    report.scenario("locks that a bucket does not have are not promised", || {
        let (server, endpoint) = memory_server_of_pages(501)?;
        server.buckets.create_versioned(BUCKET);
        let refused = configured(&endpoint)?.credenza.run(["create", "--retain", "30d"])?;
        refused.expect_code(1)?.expect_message(&["cannot lock", "Object Lock"])?;
        ensure!(server.buckets.get(BUCKET, "config").is_none(), "a repository was made all the same");
        Ok(())
    });
    report.finish();
}

/// The time of the newest snapshot, once its second is over.
fn time_of_snapshot(credenza: &Credenza) -> Result<String> {
    let snapshots = credenza.ok(["--json", "ls"])?.lines_of("snapshot")?;
    let time = snapshots.last().and_then(|snapshot| snapshot["time"].as_str()).context("a snapshot without time")?;
    std::thread::sleep(Duration::from_millis(1100));
    Ok(time.to_owned())
}

#[test]
fn what_is_written_stays_as_it_was_written() {
    let mut report = Report::default();
    report.scenario("packs that were overwritten or deleted are restored by their versions", || {
        let (server, endpoint) = memory_server_of_pages(502)?;
        server.buckets.create_versioned(BUCKET);
        let precious = Precious::new(Setup::with_s3_repository(&endpoint, BUCKET)?)?;
        let s3 = S3::new(endpoint)?;
        let packs = packs(&server);
        for (number, pack) in packs.iter().enumerate() {
            match number % 2 {
                0 => server.buckets.put_object(BUCKET, pack, "ransom note", Attributes::default()),
                _ => s3.delete(BUCKET, pack)?,
            }
        }
        precious.expect_intact()?;
        let check = precious.setup.check()?.expect_code(20)?;
        let hidden = check.lines_of("damage")?.iter().filter(|line| line["kind"] == "hidden").count();
        ensure!(hidden == packs.len() && check.lines_of("damage")?.len() == hidden, "{}", check.whole());
        Ok(())
    });
    report.scenario("a repository that was ruined altogether is read as it was", || {
        let (server, endpoint) = memory_server_of_pages(503)?;
        server.buckets.create_versioned(BUCKET);
        let precious = Precious::new(Setup::with_s3_repository(&endpoint, BUCKET)?)?;
        let before = time_of_snapshot(&precious.setup.credenza)?;
        let s3 = S3::new(endpoint)?;
        for (number, key) in server.buckets.keys(BUCKET).into_iter().enumerate() {
            match number % 2 {
                0 => server.buckets.put_object(BUCKET, &key, "ransom note", Attributes::default()),
                _ => s3.delete(BUCKET, &key)?,
            }
        }
        let credenza = &precious.setup.credenza;
        credenza.forget_cache()?;
        let ruined = credenza.run(["ls"])?;
        ensure!(ruined.code != Some(0), "{}", ruined.whole());
        server.set_policy(Some(policy("reader")?));
        let past = format!("as_of={before}");
        let target = precious.setup.path("as it was");
        let to = target.to_string_lossy();
        credenza.ok(["-o", &past, "restore", precious.snapshot(), "--accept-loss", "--to", &to])?;
        credenza_e2e::tree::compare(precious.source(), &target)?;
        credenza.ok(["-o", &past, "check", "--read-data"])?;
        credenza.run(["-o", &past, "backup", &to])?.expect_code(1)?.expect_message(&["as it was", "as_of"])?;
        Ok(())
    });
    report.scenario("locked objects outlive whoever may destroy every version", || {
        let (server, endpoint) = memory_server_of_pages(504)?;
        server.buckets.create_locking(BUCKET);
        let setup = configured(&endpoint)?;
        setup.credenza.ok(["create", "--retain", "30d"])?;
        let precious = Precious::new(setup)?;
        precious.setup.backup(&precious.source().to_string_lossy())?;
        let extended = server.log().count(BUCKET, Operation::PutObjectRetention).requests;
        precious.setup.backup(&precious.source().to_string_lossy())?;
        let again = server.log().count(BUCKET, Operation::PutObjectRetention).requests;
        ensure!(again == extended, "{} locks were extended that last", again - extended);
        server.buckets.destroy_unlocked(BUCKET);
        precious.expect_intact()?;
        precious.setup.check()?.expect_code(0)?;
        Ok(())
    });
    report.finish();
}

#[test]
fn every_role_works_with_its_rights_and_no_others() {
    let mut report = Report::default();
    report.scenario("a writer adds, extends locks, and neither deletes nor replaces", || {
        let (server, endpoint) = memory_server_of_pages(505)?;
        server.buckets.create_locking(BUCKET);
        let setup = configured(&endpoint)?;
        server.set_policy(Some(policy("maintainer")?));
        setup.credenza.ok(["create", "--retain", "30d"])?;
        server.set_policy(Some(policy("writer")?));
        let precious = Precious::new(setup)?;
        let second = precious.setup.credenza.ok(["--json", "backup", &precious.source().to_string_lossy()])?;
        ensure!(second.summary()?["intents_left"] == 1, "{}", second.whole());
        ensure!(second.stderr.contains("may not delete"), "{}", second.whole());
        ensure!(server.buckets.keys(BUCKET).iter().any(|key| key.starts_with("intent/")), "no intent stays");
        precious.expect_intact()?;
        let s3 = S3::new(endpoint)?;
        ensure!(s3.put(BUCKET, "config", "mine", &[]).is_err(), "the config was replaced");
        ensure!(s3.delete(BUCKET, "config").is_err(), "the config was deleted");
        let removal = precious.setup.credenza.run(["rm", precious.snapshot()])?;
        ensure!(removal.code != Some(0), "{}", removal.whole());
        precious.expect_intact()?;
        server.set_policy(Some(policy("maintainer")?));
        precious.setup.credenza.ok(["maintain"])?;
        precious.setup.check()?.expect_code(0)?;
        Ok(())
    });
    report.scenario("a reader restores and checks, and writes nothing", || {
        let (server, endpoint) = memory_server_of_pages(506)?;
        server.buckets.create_versioned(BUCKET);
        let precious = Precious::new(Setup::with_s3_repository(&endpoint, BUCKET)?)?;
        server.set_policy(Some(policy("reader")?));
        precious.expect_intact()?;
        precious.setup.check()?.expect_code(0)?;
        precious.setup.credenza.ok(["audit"])?;
        let refused = precious.setup.credenza.run(["backup", &precious.source().to_string_lossy()])?;
        refused.expect_code(1)?.expect_message(&["policy"])?;
        precious.expect_only_snapshot()
    });
    report.scenario("a bucket is backed up with all that is said of it by rights to read alone", || {
        let (server, endpoint) = memory_server_of_pages(507)?;
        server.buckets.create_versioned(BUCKET);
        credenza_e2e::bucket::fill_odd(&server.buckets, BUCKET);
        let setup = Setup::with_local_repository()?;
        setup.add("source", "live", &endpoint, BUCKET)?;
        server.set_policy(Some(policy("source")?));
        let summary = setup.backup("@live")?;
        ensure!(summary["errors"] == 0, "{summary}");
        let info = setup.credenza.ok(["--json", "info", "latest"])?.lines_of("snapshot")?;
        let info = info.first().context("no snapshot is described")?;
        ensure!(info["as_of"].is_string(), "{info}");
        let names = |document: &Value| document["text"].is_string() && document["name"] == "s3.versioning";
        ensure!(info["documents"].as_array().is_some_and(|all| all.iter().any(names)), "{info}");
        Ok(())
    });
    report.scenario("a writer that may not even read adds with its own keys", || {
        let (server, endpoint) = memory_server_of_pages(508)?;
        server.buckets.create_locking(BUCKET);
        let mut setup = configured(&endpoint)?;
        setup.credenza.ok(["create", "--retain", "30d"])?;
        let file = setup.path("writer.key");
        std::fs::write(&file, [7; 32])?;
        setup.credenza.ok(["key", "add", "--writer", "--new-key-file", &file.to_string_lossy()])?;
        let precious_folder = setup.path("folder");
        credenza_e2e::tree::build_odd(&precious_folder)?;
        server.set_policy(Some(policy("writer-add-only")?));
        setup.credenza.forget_cache()?;
        setup.credenza.unset("CREDENZA_PASSPHRASE");
        let folder = precious_folder.to_string_lossy();
        let words = ["--key-file", &file.to_string_lossy(), "--json", "backup", &folder];
        setup.credenza.ok(words)?;
        let second: Value = setup.credenza.ok(words)?.summary()?;
        ensure!(second["bytes_added"].as_u64() < Some(100_000), "nothing was known: {second}");
        server.set_policy(Some(policy("reader")?));
        setup.credenza.set("CREDENZA_PASSPHRASE", credenza_e2e::PASSPHRASE);
        let target = setup.restore("latest", "target")?;
        credenza_e2e::tree::compare(&precious_folder, &target)
    });
    report.finish();
}
