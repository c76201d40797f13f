//! What a bucket refuses, in plain words: parts of it that cannot be read are recorded, and a bucket that goes away ends the run.

use anyhow::{Result, ensure};
use credenza_e2e::{Report, Setup, bucket, memory_server, number};
use credenza_s3_server::{Attributes, Fault, Operation, Rule, Server};

/// A bucket of two pages, of which a few objects lie below `private/`.
const OBJECTS: u64 = 1100;

fn start() -> Result<(Server, Setup)> {
    let (server, endpoint) = memory_server()?;
    bucket::fill_many(&server.buckets, "source", OBJECTS);
    for name in ["private/a", "private/b"] {
        let attributes = Attributes { tags: [("owner".to_owned(), "me".to_owned())].into(), ..Attributes::default() };
        server.buckets.put_object("source", name, "for few eyes", attributes);
    }
    let setup = Setup::with_local_repository()?;
    setup.add("source", "live", &endpoint, "source")?;
    Ok((server, setup))
}

#[test]
fn what_alone_cannot_be_read_is_recorded_and_the_rest_is_backed_up() {
    let private = |fault| Rule::new(fault).in_bucket("source").under("private/");
    let cases = [
        ("access denied to a part", private(Fault::AccessDenied), "refuses it to this access key"),
        ("a key that only its owner has", private(Fault::CustomerKey), "SSE-C"),
        (
            "a server that answers a listing for tags",
            private(Fault::ListingForAnything).on(&[Operation::GetObjectTagging]),
            "instead of",
        ),
    ];
    let mut report = Report::default();
    for (name, rule, words) in cases {
        report.scenario(name, || {
            let (server, setup) = start()?;
            server.faults().add(rule);
            let outcome = setup.credenza.run(["--json", "backup", "@live"])?.expect_code(3)?;
            ensure!(outcome.stdout.contains(words) || outcome.stderr.contains(words), "{}", outcome.whole());
            ensure!(number(&outcome.summary()?, &["errors"])? == 2, "{}", outcome.whole());
            let entries = setup.credenza.ok(["--json", "ls", "-R", "latest"])?.lines_of("entry")?;
            ensure!(entries.len() as u64 >= OBJECTS, "only {} entries", entries.len());
            Ok(())
        });
    }
    report.finish();
}

#[test]
fn a_bucket_that_goes_away_ends_the_run_and_leaves_no_shorter_snapshot() {
    let gone = || Rule::new(Fault::NoSuchBucket).in_bucket("source");
    let cases =
        [("between two pages", gone().on_lists().every(2)), ("behind the listing", gone().on(&[Operation::GetObject]))];
    let mut report = Report::default();
    for (name, rule) in cases {
        report.scenario(name, || {
            let (server, setup) = start()?;
            server.faults().add(rule);
            setup.credenza.run(["backup", "@live"])?.expect_code(1)?.expect_message(&["does not exist"])?;
            ensure!(server.faults().struck() > 0, "the fault never struck");
            let snapshots = setup.credenza.ok(["--json", "ls"])?.lines_of("snapshot")?;
            ensure!(snapshots.is_empty(), "{snapshots:?}");
            Ok(())
        });
    }
    report.finish();
}

/// The steps that a check printed, and whether each holds.
fn steps(setup: &Setup, kind: &str, code: i32) -> Result<Vec<(String, bool)>> {
    let outcome = setup.credenza.run(["--json", kind, "check", "live"])?.expect_code(code)?;
    let lines = outcome.lines_of("check")?;
    let step = |line: &serde_json::Value| {
        (line["name"].as_str().unwrap_or_default().to_owned(), line["ok"].as_bool().unwrap_or_default())
    };
    Ok(lines.iter().map(step).collect())
}

#[test]
fn a_check_says_of_each_step_whether_it_works() {
    const WAY: [&str; 5] = ["address", "connect", "tls", "clock", "credentials"];
    const PROVEN: [&str; 3] = ["signature", "region", "bucket"];
    let expected = |own: &[&str]| -> Vec<(String, bool)> {
        WAY.iter().chain(&PROVEN).chain(own).map(|name| ((*name).to_owned(), true)).collect()
    };
    let mut report = Report::default();
    report.scenario("all steps of each kind of place, which leaves nothing behind", || {
        let (server, endpoint) = memory_server()?;
        bucket::fill_many(&server.buckets, "source", 3);
        server.buckets.create("empty");
        let setup = Setup::new()?;
        setup.add("source", "live", &endpoint, "source")?;
        setup.add("destination", "live", &endpoint, "empty")?;
        setup.add("repository", "live", &endpoint, "empty")?;
        assert_eq!(steps(&setup, "source", 0)?, expected(&["list", "read", "conditions", "versions"]));
        assert_eq!(steps(&setup, "destination", 0)?, expected(&["write", "read"]));
        let abilities = ["list", "read", "write", "if-absent", "versions", "retention", "delete"];
        assert_eq!(steps(&setup, "repository", 0)?, expected(&abilities));
        assert_eq!(server.buckets.keys("empty"), [""; 0]);
        assert_eq!(server.buckets.uploads("empty"), []);
        Ok(())
    });
    let refusals = [
        ("another region", Fault::WrongRegion { region: "eu-west-9".to_owned() }, "region"),
        ("a clock that is wrong", Fault::TimeTooSkewed, "signature"),
        ("HTML of a proxy", Fault::Html, "list"),
        ("no right to list", Fault::AccessDenied, "list"),
    ];
    for (name, fault, step) in refusals {
        report.scenario(name, || {
            let (server, setup) = start()?;
            server.faults().add(Rule::new(fault).in_bucket("source").on_lists());
            let found = steps(&setup, "source", 1)?;
            assert_eq!(found.last(), Some(&(step.to_owned(), false)), "{found:?}");
            Ok(())
        });
    }
    report.scenario("conditions that are ignored are reported", || {
        let (server, setup) = start()?;
        server.faults().add(Rule::new(Fault::ConditionsIgnored));
        setup.credenza.ok(["source", "check", "live"]).and_then(|outcome| {
            ensure!(outcome.stdout.contains("ignored by the server"), "{}", outcome.whole());
            Ok(())
        })
    });
    report.scenario("a server without TLS where TLS is wanted", || {
        let (_server, setup) = start()?;
        setup.credenza.ok(["source", "set", "live", "use_tls=true"])?;
        assert_eq!(steps(&setup, "source", 1)?.last(), Some(&("tls".to_owned(), false)));
        Ok(())
    });
    report.finish();
}
