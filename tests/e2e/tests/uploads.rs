//! A restore to a bucket that does not come to its end leaves no upload behind, and the next one has all.

use anyhow::{Result, ensure};
use credenza_e2e::s3::S3;
use credenza_e2e::{Report, Setup, bucket, memory_server_of_pages, tree};
use credenza_s3_server::{Fault, Hold, Operation, Rule, Server};
use rustix::process::Signal;

/// Objects in several parts, some so large that they are written on their own, between small ones.
fn start() -> Result<(Server, Setup)> {
    let (server, endpoint) = memory_server_of_pages(300)?;
    let s3 = S3::new(endpoint.clone())?;
    bucket::fill_many(&server.buckets, "source", 20);
    for seed in 0..4 {
        let body = tree::noise(seed, (20 + 20 * (seed % 2)) * 1024 * 1024 + seed);
        let parts: Vec<_> = body.chunks(8 * 1024 * 1024).map(bytes::Bytes::copy_from_slice).collect();
        s3.put_parts("source", format!("large-{seed}").as_bytes(), &parts, &[])?;
    }
    let setup = Setup::with_local_repository()?;
    server.buckets.create("copy");
    setup.add("source", "live", &endpoint, "source")?;
    setup.add("destination", "copy", &endpoint, "copy")?;
    setup.backup("@live")?;
    Ok((server, setup))
}

fn on(operation: Operation, fault: Fault) -> Rule {
    Rule::new(fault).in_bucket("copy").on(&[operation])
}

fn expect_whole_after_another(server: &Server, setup: &Setup) -> Result<()> {
    server.faults().clear();
    setup.credenza.ok(["restore", "latest", "--overwrite", "--to", "@copy"])?;
    bucket::compare(&server.buckets, "source", "copy")
}

#[test]
fn a_restore_that_fails_leaves_no_upload_behind() {
    let mut report = Report::default();
    let refused = |operation| on(operation, Fault::AccessDenied);
    let rules = [
        ("a completion is refused", refused(Operation::CompleteMultipartUpload), 3),
        ("the third part is refused", refused(Operation::UploadPart).every(3), 3),
        (
            "the bucket goes while others are written",
            on(Operation::UploadPart, Fault::NoSuchBucket).after(5).next(1),
            1,
        ),
    ];
    for (name, rule, code) in rules {
        report.scenario(name, || {
            let (server, setup) = start()?;
            server.faults().add(rule);
            server.faults().add(on(Operation::UploadPart, Fault::Late { ms: 100 }));
            setup.credenza.run(["restore", "latest", "--to", "@copy"])?.expect_code(code)?;
            ensure!(server.faults().struck() > 0, "the fault never struck");
            assert_eq!(server.buckets.uploads("copy"), []);
            expect_whole_after_another(&server, &setup)
        });
    }
    report.finish();
}

#[test]
fn a_restore_that_is_interrupted_leaves_no_upload_behind() {
    let mut report = Report::default();
    let signals =
        [("SIGINT", Signal::INT, Some(130)), ("SIGTERM", Signal::TERM, Some(130)), ("SIGKILL", Signal::KILL, None)];
    for (name, signal, code) in signals {
        report.scenario(name, || {
            let (server, setup) = start()?;
            let hold = Hold::default();
            server.faults().add(on(Operation::UploadPart, Fault::AnswerHeld(hold.clone())).after(2));
            let mut run = setup.credenza.start(["restore", "latest", "--to", "@copy"])?;
            run.held(&hold, 1)?;
            run.signal(signal)?;
            hold.release();
            let outcome = run.wait()?;
            assert_eq!(outcome.code, code, "{}", outcome.whole());
            // Nobody is left to end them when the process is killed: the lifecycle of the bucket does.
            ensure!(signal == Signal::KILL || server.buckets.uploads("copy").is_empty(), "an upload is left behind");
            expect_whole_after_another(&server, &setup)
        });
    }
    report.finish();
}
