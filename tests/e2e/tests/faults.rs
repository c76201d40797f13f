//! Servers that fail: each fault has a message and an exit code, and an earlier snapshot survives all of them.

use anyhow::{Context, Result, ensure};
use credenza_e2e::s3::{Endpoint, S3};
use credenza_e2e::{Precious, Report, Setup, bucket, memory_server_of_pages, snapshot_of, tree};
use credenza_s3_server::{Fault, Hold, Operation, Rule, Server};

/// A repository and a source on one server; the repository holds a good snapshot.
fn start() -> Result<(Server, Endpoint, Precious)> {
    let (server, endpoint) = memory_server_of_pages(700)?;
    server.buckets.create("repository");
    bucket::fill_many(&server.buckets, "source", 60);
    let precious = Precious::new(Setup::with_s3_repository(&endpoint, "repository")?)?;
    precious.setup.add("source", "live", &endpoint, "source")?;
    Ok((server, endpoint, precious))
}

/// Faults of a source that end the run: what strikes, the exit code, and what the message must say.
fn fatal_faults() -> Vec<(&'static str, Rule, i32, Vec<&'static str>)> {
    let region = || Fault::WrongRegion { region: "eu-west-9".to_owned() };
    vec![
        ("clock skew", Rule::new(Fault::TimeTooSkewed), 1, vec!["clock"]),
        ("403 on LIST", Rule::new(Fault::AccessDenied).on_lists(), 1, vec!["denied", "403"]),
        ("another region", Rule::new(region()), 1, vec!["eu-west-9"]),
        ("HTML", Rule::new(Fault::Html).on_lists(), 1, vec!["not s3", "html", "xml"]),
        ("malformed XML", Rule::new(Fault::MalformedXml).on_lists(), 1, vec!["xml"]),
        ("an endless listing", Rule::new(Fault::ListingEndless), 1, vec!["listing", "key"]),
    ]
}

#[test]
fn a_failing_source_is_named_and_loses_nothing() {
    let mut report = Report::default();
    for (name, rule, code, message) in fatal_faults() {
        report.scenario(name, || {
            let (server, _, precious) = start()?;
            server.faults().add(rule.in_bucket("source"));
            precious.setup.credenza.run(["backup", "@live"])?.expect_code(code)?.expect_message(&message)?;
            ensure!(server.faults().struck() > 0, "the fault never struck");
            precious.expect_only_snapshot()?;
            precious.expect_intact()
        });
    }
    report.scenario("a wrong secret", || {
        let (_server, endpoint, precious) = start()?;
        let thief = Endpoint { secret_key: "guessed".to_owned(), ..endpoint };
        precious.setup.add("source", "bad", &thief, "source")?;
        let outcome = precious.setup.credenza.run(["backup", "@bad"])?;
        outcome.expect_code(1)?.expect_message(&["secret", "signature"])?;
        precious.expect_only_snapshot()
    });
    report.scenario("a missing bucket", || {
        let (_server, endpoint, precious) = start()?;
        precious.setup.add("source", "bad", &endpoint, "nowhere-to-be-found")?;
        let outcome = precious.setup.credenza.run(["backup", "@bad"])?;
        outcome.expect_code(1)?.expect_message(&["nowhere-to-be-found"])?;
        precious.expect_only_snapshot()
    });
    report.scenario("an endpoint that nobody listens on", || {
        let (_server, endpoint, precious) = start()?;
        // A port that no server is ever given by the system.
        let port = 1;
        let nobody = Endpoint { url: format!("http://127.0.0.1:{port}"), ..endpoint };
        precious.setup.add("source", "bad", &nobody, "source")?;
        let outcome = precious.setup.credenza.run(["backup", "@bad"])?;
        outcome.expect_code(1)?.expect_message(&[&format!("127.0.0.1:{port}")])?;
        precious.expect_only_snapshot()
    });
    report.finish();
}

#[test]
fn what_only_a_person_can_mend_is_asked_for_once_and_told_with_what_to_do() {
    let nothing = |_: &Server, endpoint: &Endpoint| endpoint.clone();
    let faulty = |fault: Fault| {
        move |server: &Server, endpoint: &Endpoint| {
            server.faults().add(Rule::new(fault.clone()));
            endpoint.clone()
        }
    };
    type Change = Box<dyn Fn(&Server, &Endpoint) -> Endpoint>;
    let cases: [(&str, &str, Change, &[&str]); 5] = [
        (
            "another region",
            "source",
            Box::new(faulty(Fault::WrongRegion { region: "eu-west-9".to_owned() })),
            &["is in region `eu-west-9`; set region to it"],
        ),
        (
            "a clock that is wrong",
            "source",
            Box::new(faulty(Fault::TimeTooSkewed)),
            &["the clock of this machine", "set it"],
        ),
        (
            "a bucket that there is not",
            "nowhere-to-be-found",
            Box::new(nothing),
            &["does not exist; check its name and the host"],
        ),
        (
            "a wrong secret",
            "source",
            Box::new(|_, endpoint| Endpoint { secret_key: "guessed".to_owned(), ..endpoint.clone() }),
            &["check secret_access_key and region"],
        ),
        (
            "an unknown access key",
            "source",
            Box::new(|_, endpoint| Endpoint { access_key: "NOBODY".to_owned(), ..endpoint.clone() }),
            &["does not know the access key; check access_key"],
        ),
    ];
    let mut report = Report::default();
    for (name, bucket, change, words) in &cases {
        report.scenario(name, || {
            let (server, endpoint) = memory_server_of_pages(700)?;
            bucket::fill_many(&server.buckets, "source", 3);
            let setup = Setup::new()?;
            let endpoint = change(&server, &endpoint);
            for (kind, command) in [("source", ["browse", "@it"].as_slice()), ("repository", &["at", "@it", "ls"])] {
                setup.add(kind, "it", &endpoint, bucket)?;
                server.log().clear();
                let outcome = setup.credenza.run(command)?.expect_code(1)?;
                for words in *words {
                    ensure!(outcome.stderr.contains(words), "`{words}` is missing\n{}", outcome.whole());
                }
                ensure!(server.log().requests(bucket) == 1, "{:?}\n{}", server.log().lines(), outcome.whole());
            }
            Ok(())
        });
    }
    report.finish();
}

/// Backs up and restores a bucket of so many objects under each fault: nothing may be missing, and nothing may be reported.
fn ride_out(objects: u64, rules: Vec<(&str, Rule)>) {
    let mut report = Report::default();
    for (name, rule) in rules {
        report.scenario(name, || {
            let (server, _, precious) = start()?;
            bucket::fill_many(&server.buckets, "source", objects);
            server.faults().add(rule);
            let snapshot = snapshot_of(&precious.setup.backup("@live")?)?;
            let target = precious.setup.restore(&snapshot, "target")?;
            ensure!(server.faults().struck() > 0, "the fault never struck");
            server.faults().clear();
            for key in server.buckets.keys("source") {
                let stored = server.buckets.get("source", &key).context("just listed")?;
                ensure!(std::fs::read(target.join(&key))? == stored.body(), "{key} has other bytes");
            }
            precious.setup.check()?.expect_code(0)?;
            precious.expect_intact()
        });
    }
    report.finish();
}

#[test]
fn servers_that_refuse_for_a_while_are_ridden_out() {
    let slow = |retry_after_s| Rule::new(Fault::SlowDown { retry_after_s });
    ride_out(
        150,
        vec![
            // Ten tries of one request must not all fall into the storm by chance.
            ("a storm of 503", slow(None).share(300, 1).per_key(4)),
            ("503 with Retry-After", slow(Some(1)).next(3)),
            ("500 now and then", Rule::new(Fault::InternalError).every(5)),
        ],
    );
}

#[test]
fn answers_that_break_off_are_ridden_out() {
    let gets = |fault| Rule::new(fault).on(&[Operation::GetObject]);
    ride_out(
        150,
        vec![
            ("resets", Rule::new(Fault::Reset).every(7)),
            ("truncated bodies", gets(Fault::Truncated { keep_bytes: 100 }).every(5)),
            ("lost answers to PUT", Rule::new(Fault::LostAnswer).every(3).on(&[Operation::PutObject])),
        ],
    );
}

#[test]
fn bytes_that_the_checksum_of_their_object_contradicts_are_read_again() {
    let flipped = Rule::new(Fault::Flipped).on(&[Operation::GetObject]).in_bucket("source");
    ride_out(150, vec![("flipped bytes", flipped.every(50))]);
}

#[test]
fn a_body_that_stalls_is_ridden_out() {
    let stall = Rule::new(Fault::Stalled { keep_bytes: 100 }).next(1).on(&[Operation::GetObject]);
    ride_out(60, vec![("a body that stalls", stall)]);
}

/// Restores a bucket of small objects and one in parts to another bucket under each fault, which strikes writes to that: nothing may be
/// missing, and nothing may be left behind.
fn ride_out_writing(rules: Vec<(&str, Rule)>) {
    let mut report = Report::default();
    for (name, rule) in rules {
        report.scenario(name, || {
            let (server, endpoint, precious) = start()?;
            server.buckets.create("copy");
            precious.setup.add("destination", "copy", &endpoint, "copy")?;
            let large = tree::noise(5, 40 * 1024 * 1024);
            let parts: Vec<_> = large.chunks(8 * 1024 * 1024).map(bytes::Bytes::copy_from_slice).collect();
            S3::new(endpoint)?.put_parts("source", b"large", &parts, &[])?;
            precious.setup.backup("@live")?;
            server.faults().add(rule.in_bucket("copy"));
            precious.setup.credenza.ok(["restore", "latest", "--source", "@live", "--to", "@copy"])?;
            ensure!(server.faults().struck() > 0, "the fault never struck");
            bucket::compare(&server.buckets, "source", "copy")?;
            ensure!(server.buckets.uploads("copy").is_empty(), "an upload is left behind");
            precious.expect_intact()
        });
    }
    report.finish();
}

#[test]
fn writes_to_a_bucket_that_fail_for_a_while_are_ridden_out() {
    let writes =
        |fault| Rule::new(fault).on(&[Operation::PutObject, Operation::CreateMultipartUpload, Operation::UploadPart]);
    ride_out_writing(vec![
        ("500 now and then", writes(Fault::InternalError).every(3)),
        ("503 for a while", writes(Fault::SlowDown { retry_after_s: None }).next(20)),
        ("resets", writes(Fault::Reset).every(3)),
    ]);
}

#[test]
fn writes_whose_outcome_is_not_known_are_ridden_out() {
    // The id of an upload that was begun for nobody is lost with the answer: only the lifecycle of a bucket can end it.
    let writes = |fault| Rule::new(fault).on(&[Operation::PutObject, Operation::UploadPart]);
    let completions = |fault| Rule::new(fault).next(1).on(&[Operation::CompleteMultipartUpload]);
    ride_out_writing(vec![
        ("lost answers", writes(Fault::LostAnswer).every(3)),
        ("a completion that fails", completions(Fault::InternalError)),
        ("a completion that fails behind status 200", completions(Fault::ErrorInOk)),
        ("a completion whose answer is lost", completions(Fault::LostAnswer)),
    ]);
}

#[test]
fn what_a_server_refuses_with_its_checksum_is_written_without_and_that_is_told() -> Result<()> {
    let (server, endpoint, precious) = start()?;
    let s3 = S3::new(endpoint.clone())?;
    for number in 0..40 {
        // The CRC-32 of no bytes.
        s3.put("source", &format!("checked/{number}"), "", &[("x-amz-checksum-crc32", "AAAAAA==")])?;
    }
    let parts = [0, 1].map(|seed| bytes::Bytes::from(tree::noise(seed, 8 * 1024 * 1024)));
    s3.put_parts("source", b"large", &parts, &[("x-amz-checksum-algorithm", "CRC32")])?;
    server.buckets.create("copy");
    precious.setup.add("destination", "copy", &endpoint, "copy")?;
    precious.setup.backup("@live")?;
    server.faults().add(Rule::new(Fault::ChecksumsRefused).in_bucket("copy"));
    let restored = precious
        .setup
        .credenza
        .run(["--json", "restore", "latest", "--source", "@live", "--to", "@copy"])?
        .expect_code(3)?;
    let summary = restored.summary()?;
    let lost = summary.get("unrestored").map(ToString::to_string).unwrap_or_default();
    assert_eq!(lost, "{\"s3.checksum-algorithm\":41}", "{summary}");
    bucket::compare(&server.buckets, "source", "copy")
}

#[test]
fn servers_that_list_or_write_in_their_own_way_are_put_up_with() {
    // More than one page.
    ride_out(
        1100,
        vec![
            ("an unordered listing", Rule::new(Fault::ListingUnordered).in_bucket("source")),
            ("keys repeated across pages", Rule::new(Fault::ListingRepeats).in_bucket("source")),
        ],
    );
    ride_out(60, vec![("ignored conditions", Rule::new(Fault::ConditionsIgnored))]);
}

#[test]
fn what_a_server_leaves_out_of_its_listing_of_versions_is_backed_up_all_the_same() -> Result<()> {
    let (server, _, precious) = start()?;
    server.buckets.create_versioned("source");
    bucket::fill_many(&server.buckets, "source", 900);
    server.faults().add(Rule::new(Fault::VersionsLeftOut).in_bucket("source").on(&[Operation::ListObjectVersions]));
    for option in [&[][..], &["-o", "versions=true"]] {
        let run = precious.setup.credenza.run([&["--json", "backup", "@live"], option].concat())?;
        let snapshot = snapshot_of(&run.expect_code(0)?.summary()?)?;
        let target = precious.setup.restore(&snapshot, &format!("target {}", option.len()))?;
        ensure!(server.faults().struck() > 0, "the fault never struck");
        for key in server.buckets.keys("source") {
            let stored = server.buckets.get("source", &key).context("just listed")?;
            ensure!(std::fs::read(target.join(&key))? == stored.body(), "{key} has other bytes");
        }
    }
    precious.expect_intact()
}

#[test]
fn a_storm_of_503_lowers_the_requests_in_flight_and_they_recover() -> Result<()> {
    let (server, _, precious) = start()?;
    bucket::fill_many(&server.buckets, "source", 600);
    let on_get = |fault| Rule::new(fault).in_bucket("source").on(&[Operation::GetObject]);
    // The first rule that strikes decides: of all requests, 100 pass, as many come to the gate before the storm, 40 are struck by it, 300 pass, and the
    // rest comes to the gate behind it.
    let (before, behind) = (Hold::default(), Hold::default());
    server.faults().add(on_get(Fault::Held(before.clone())).after(100).next(100));
    server.faults().add(on_get(Fault::SlowDown { retry_after_s: None }).after(100).next(40));
    server.faults().add(on_get(Fault::Held(behind.clone())).after(400));
    let mut run = precious.setup.credenza.start(["backup", "@live"])?;
    run.held(&before, 10)?;
    before.release();
    run.held(&behind, 10)?;
    behind.release();
    run.wait()?.expect_code(0)?;
    let crowds = server.log().crowds("source", Operation::GetObject);
    let lowest = crowds.get(240..260).and_then(|part| part.iter().max().copied());
    ensure!(lowest.is_some_and(|most| most <= 8), "{lowest:?} requests were in flight after the storm: {crowds:?}");
    precious.expect_intact()
}

#[test]
fn a_lying_store_never_yields_wrong_bytes() {
    let rules: Vec<(&str, Rule)> = vec![
        ("flipped bytes on the way", Rule::new(Fault::Flipped).on(&[Operation::GetObject])),
        ("ignored ranges", Rule::new(Fault::RangeIgnored)),
        ("HTML instead of objects", Rule::new(Fault::Html).on(&[Operation::GetObject])),
        ("an error document with status 200", Rule::new(Fault::ErrorInOk).on(&[Operation::GetObject])),
        ("an endless listing", Rule::new(Fault::ListingEndless)),
        ("an unordered listing", Rule::new(Fault::ListingUnordered)),
    ];
    let mut report = Report::default();
    for (name, rule) in rules {
        report.scenario(name, || {
            let (server, _, precious) = start()?;
            precious.setup.credenza.forget_cache()?;
            server.faults().add(rule.in_bucket("repository"));
            let target = precious.setup.path("target");
            let words = ["restore", precious.snapshot(), "--to", &target.to_string_lossy()];
            let outcome = precious.setup.credenza.run(words)?;
            match outcome.code {
                Some(0) => tree::compare(precious.source(), &target)?,
                Some(_) => ensure!(!outcome.stderr.trim().is_empty(), "no message"),
                None => anyhow::bail!("crashed\n{}", outcome.whole()),
            }
            server.faults().clear();
            precious.expect_intact()
        });
    }
    report.scenario("a failed commit is never taken for one", || {
        let (server, _, precious) = start()?;
        server.faults().add(Rule::new(Fault::AccessDenied).on(&[Operation::PutObject]).under("snapshot/"));
        precious.setup.credenza.run(["backup", "@live"])?.expect_code(1)?;
        server.faults().clear();
        precious.expect_only_snapshot()?;
        precious.setup.check()?.expect_code(0)?;
        precious.expect_intact()
    });
    report.scenario("an upload that only claims to be complete is not believed", || {
        let (server, endpoint, precious) = start()?;
        server.buckets.create("copy");
        precious.setup.add("destination", "copy", &endpoint, "copy")?;
        let large = tree::noise(5, 20 * 1024 * 1024);
        server.buckets.put_object("source", "large", large, credenza_s3_server::Attributes::default());
        precious.setup.backup("@live")?;
        server.faults().add(Rule::new(Fault::ErrorInOk).next(1).on(&[Operation::CompleteMultipartUpload]));
        let outcome = precious.setup.credenza.run(["restore", "latest", "--source", "@live", "--to", "@copy"])?;
        match outcome.code {
            Some(0) => bucket::compare(&server.buckets, "source", "copy"),
            _ => outcome.expect_message(&["large"]).map(drop),
        }
    });
    report.finish();
}
