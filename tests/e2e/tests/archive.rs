//! Objects in an archive, which cannot be read at once: named, recorded without their content, or asked for, as the user wishes.

use anyhow::{Result, ensure};
use credenza_e2e::{Report, Setup, memory_server_of_pages, number};
use credenza_s3_server::{Attributes, Operation, Server};
use serde_json::Value;
use std::fs;

/// A bucket with one object that can be read and two that cannot.
fn start() -> Result<(Server, Setup)> {
    let (server, endpoint) = memory_server_of_pages(900)?;
    let setup = Setup::with_local_repository()?;
    for (key, class) in [("at hand", None), ("cold", Some("GLACIER")), ("colder", Some("DEEP_ARCHIVE"))] {
        let storage_class = class.map(str::to_owned);
        server.buckets.put_object("source", key, key, Attributes { storage_class, ..Attributes::default() });
    }
    setup.add("source", "live", &endpoint, "source")?;
    Ok((server, setup))
}

/// A backup under a policy, which ends with that code: its summary, and what it named.
fn backup(setup: &Setup, policy: &str, more: &[&str], code: i32) -> Result<(Value, Vec<Value>)> {
    let setting = format!("archived={policy}");
    let words = [&["--json", "backup", "-o", &setting, "@live"], more].concat();
    let outcome = setup.credenza.run(words)?.expect_code(code)?;
    Ok((outcome.summary()?, outcome.lines_of("entry_failed")?))
}

fn reads(server: &Server) -> u64 {
    server.log().count("source", Operation::GetObject).requests
}

#[test]
fn what_is_archived_is_treated_as_the_user_wishes() {
    let mut report = Report::default();
    report.scenario("named, and the run is incomplete", || {
        let (_server, setup) = start()?;
        let (summary, named) = backup(&setup, "report", &[], 3)?;
        assert_eq!((number(&summary, &["errors"])?, named.len()), (2, 2), "{summary}");
        ensure!(named.iter().all(|line| line["reason"].as_str().is_some_and(|reason| reason.contains("archived"))));
        Ok(())
    });
    report.scenario("recorded without its content, and asked for again only with all metadata", || {
        let (server, setup) = start()?;
        let (summary, named) = backup(&setup, "reference", &[], 0)?;
        assert_eq!((number(&summary, &["referenced"])?, named.len()), (2, 0), "{summary}");
        let entries = setup.credenza.ok(["--json", "ls", "-R", "latest"])?.lines_of("entry")?;
        let recorded = entries.iter().filter(|entry| entry["status"] == "referenced").count();
        assert_eq!((entries.len(), recorded), (3, 2), "{entries:?}");
        server.log().clear();
        let (summary, _) = backup(&setup, "reference", &[], 0)?;
        assert_eq!((reads(&server), number(&summary, &["referenced"])?), (0, 2), "{summary}");
        backup(&setup, "reference", &["--metadata", "full"], 0)?;
        assert_eq!(reads(&server), 3);
        setup.check()?.expect_code(0)?;
        setup.credenza.run(["cat", "latest:cold"])?.expect_code(1)?.expect_message(&["cold", "archived"])?;
        let target = setup.path("target");
        let words = ["--json", "restore", "latest", "--accept-loss", "--to", &target.to_string_lossy()];
        let restored = setup.credenza.run(words)?.expect_code(3)?;
        assert_eq!(number(&restored.summary()?, &["unread"])?, 2);
        assert_eq!((fs::read_dir(&target)?.count(), restored.lines_of("entry_failed")?.len()), (1, 2));
        Ok(())
    });
    report.scenario("asked for, and backed up when it is there", || {
        let (server, setup) = start()?;
        let (_, named) = backup(&setup, "request", &[], 3)?;
        assert_eq!(server.log().count("source", Operation::RestoreObject).requests, 2);
        ensure!(named.iter().all(|line| line["reason"].as_str().is_some_and(|reason| reason.contains("asked for"))));
        let (summary, _) = backup(&setup, "request", &[], 0)?;
        assert_eq!((number(&summary, &["read"])?, number(&summary, &["unchanged"])?), (2, 1), "{summary}");
        Ok(())
    });
    report.finish();
}
