//! The listing of a bucket that was backed up before: ranges of keys side by side, at the cost of one piece.

use anyhow::{Result, ensure};
use credenza_e2e::{Report, Setup, bucket, memory_server, number, requests_of};
use credenza_s3_server::{Attributes, Fault, Hold, Rule, Server};
use serde_json::Value;

const OBJECTS: u64 = 10_000;
const PAGES: u64 = OBJECTS / 1000;

/// A bucket that was backed up once.
fn backed_up() -> Result<(Server, Setup)> {
    let (server, endpoint) = memory_server()?;
    bucket::fill_many(&server.buckets, "source", OBJECTS);
    let setup = Setup::with_local_repository()?;
    setup.add("source", "live", &endpoint, "source")?;
    setup.backup("@live")?;
    server.log().clear();
    Ok((server, setup))
}

fn backup(setup: &Setup) -> Result<Value> {
    setup.credenza.ok(["--json", "backup", "@live"])?.summary()
}

fn expect_keys(server: &Server, setup: &Setup) -> Result<()> {
    let entries = setup.credenza.ok(["--json", "ls", "-R", "latest"])?.lines_of("entry")?;
    let kept: Vec<&str> = entries.iter().filter_map(|entry| entry["key"].as_str()).collect();
    ensure!(kept == server.buckets.keys("source"), "{} keys are in the snapshot", kept.len());
    Ok(())
}

#[test]
fn a_bucket_is_listed_in_ranges_side_by_side() -> Result<()> {
    let (server, setup) = backed_up()?;
    let log = server.log();
    let mut report = Report::default();
    report.scenario("an unchanged bucket costs the pages of one piece, four or more in flight", || {
        let hold = Hold::default();
        server.faults().add(Rule::new(Fault::Held(hold.clone())).on_lists());
        let mut run = setup.credenza.start(["--json", "backup", "@live"])?;
        run.held(&hold, 4)?;
        hold.release();
        let summary = run.wait()?.expect_code(0)?.summary()?;
        assert_eq!(requests_of(&summary)?.0, PAGES, "{summary}");
        assert_eq!((log.lists("source"), log.requests("source")), (PAGES, PAGES));
        Ok(())
    });
    report.scenario("many new and changed objects are read while ranges are listed", || {
        for number in 0..1500 {
            let key = format!("dir-{:03}/new-{number:06}", number % 50);
            server.buckets.put_object("source", &key, format!("{number}").into_bytes(), Attributes::default());
        }
        for number in 4000..4300 {
            server.buckets.remove("source", &format!("dir-020/object-{number:06}"));
        }
        // Some of them are read before all is listed.
        server.faults().clear();
        server.faults().add(Rule::new(Fault::Late { ms: 300 }).on_lists());
        let summary = backup(&setup)?;
        assert_eq!((number(&summary, &["errors"])?, number(&summary, &["read"])?), (0, 1500), "{summary}");
        expect_keys(&server, &setup)
    });
    report.scenario("a server that ignores where to begin is listed in one piece", || {
        server.faults().clear();
        server.faults().add(Rule::new(Fault::StartAfterIgnored).on_lists());
        log.clear();
        let summary = backup(&setup)?;
        assert_eq!(number(&summary, &["errors"])?, 0, "{summary}");
        ensure!(log.lists("source") <= 3 * PAGES, "{} pages", log.lists("source"));
        expect_keys(&server, &setup)
    });
    report.finish();
    Ok(())
}
