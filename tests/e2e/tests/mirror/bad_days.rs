//! Bad days of a mirror: what fails in the midst is said, nothing of the target is lost, and the next run goes on.

use std::fs;

use anyhow::{Context, Result, ensure};
use credenza_e2e::relay::{Relay, Strike};
use credenza_e2e::s3::Endpoint;
use credenza_e2e::{Report, Setup, bucket, memory_server, number};
use credenza_s3_server::{Fault, Hold, Operation, Rule, Server};
use serde_json::Value;

use super::{MARKER, body, buckets, expect_mirrored, mirror, policy, put, run};

/// Two buckets, of which the target is behind a relay.
fn relayed() -> Result<(Server, Relay, Setup)> {
    let (server, endpoint) = memory_server()?;
    server.buckets.create("source");
    server.buckets.create("copy");
    let relay = Relay::start(endpoint.url.trim_start_matches("http://"))?;
    let setup = Setup::with_local_repository()?;
    setup.add("source", "a", &endpoint, "source")?;
    let there = Endpoint { url: format!("http://{}", relay.host), ..endpoint };
    setup.add("destination", "b", &there, "copy")?;
    policy(&setup, "@a", "@b", "deletes = \"now\"\nretry = { tries = 1 }")?;
    Ok((server, relay, setup))
}

fn marker(server: &Server) -> Result<Value> {
    Ok(serde_json::from_slice(&body(server, "copy", MARKER).context("no marker")?)?)
}

fn requests(outcome: &credenza_e2e::Outcome) -> Result<u64> {
    let steps = outcome.lines_of("step")?;
    let spent = steps.iter().find(|step| step["did"] == "spent").with_context(|| outcome.whole())?;
    let spent = spent["bill"]["spent"].as_object().context("no figures")?;
    let names = ["put", "get", "list", "head", "delete"];
    Ok(names.iter().filter_map(|name| spent.get(*name)?.as_u64()).sum())
}

#[test]
fn a_run_that_fails_in_the_midst_says_why_and_the_next_one_goes_on() {
    let mut report = Report::default();
    report.scenario("the target is full", || {
        let (server, relay, setup) = relayed()?;
        bucket::fill_many(&server.buckets, "source", 30);
        run(&setup, &[], 0)?;
        bucket::fill_many(&server.buckets, "source", 60);
        server.buckets.remove("source", "dir-000/object-000002");
        relay.strike(Strike::Status(507), &["PUT", "object-00004"], 1);
        let full = mirror(&setup, &["run", "a"])?;
        ensure!(full.code != Some(0) && full.whole().contains("full"), "{}", full.whole());
        ensure!(body(&server, "copy", "dir-000/object-000002").is_some(), "something was removed");
        ensure!(marker(&server)?["cut"].is_string(), "it forgot what it was");
        relay.clear();
        run(&setup, &[], 0)?;
        expect_mirrored(&server)
    });
    report.scenario("the credential is revoked in the midst", || {
        let (server, relay, setup) = relayed()?;
        bucket::fill_many(&server.buckets, "source", 30);
        run(&setup, &[], 0)?;
        let cut = marker(&server)?["cut"].clone();
        bucket::fill_many(&server.buckets, "source", 60);
        server.buckets.remove("source", "dir-000/object-000002");
        relay.strike(Strike::Status(403), &["object-00004"], 1);
        let denied = mirror(&setup, &["run", "a"])?;
        ensure!(matches!(denied.code, Some(1 | 3)), "{}", denied.whole());
        ensure!(body(&server, "copy", "dir-000/object-000002").is_some(), "something was removed");
        let marker = marker(&server)?;
        ensure!(marker["lacking"].as_u64() > Some(0) || marker["cut"] == cut, "it says that it is whole: {marker}");
        relay.clear();
        run(&setup, &[], 0)?;
        expect_mirrored(&server)
    });
    report.scenario("the source is written to while it is read: each object is of one moment", || {
        let (server, setup) = buckets("deletes = \"now\"")?;
        bucket::fill_many(&server.buckets, "source", 40);
        // Its body breaks off in the middle, and it is another when the rest is asked for.
        let (key, hold) = ("dir-000/object-000039", Hold::default());
        put(&server, "source", key, [b'a'; 8000]);
        let on_read = |fault| Rule::new(fault).in_bucket("source").under(key).on(&[Operation::GetObject]).next(1);
        server.faults().add(on_read(Fault::Truncated { keep_bytes: 4000 }));
        server.faults().add(on_read(Fault::Held(hold.clone())));
        let file = setup.path("jobs.toml").display().to_string();
        let mut running = setup.credenza.start(["mirror", "run", "a", "--jobs", &file])?;
        running.held(&hold, 1)?;
        put(&server, "source", key, [b'b'; 8000]);
        hold.release();
        running.wait()?;
        if let Some(copied) = body(&server, "copy", key) {
            let is_torn = copied.iter().any(|byte| Some(byte) != copied.first());
            ensure!(!is_torn && copied.len() == 8000, "it is of more than one moment");
        }
        server.faults().clear();
        run(&setup, &[], 0)?;
        expect_mirrored(&server)
    });
    report.finish();
}

#[test]
fn a_marker_that_is_gone_or_anothers_costs_nothing_of_the_target() {
    let mut report = Report::default();
    report.scenario(
        "the marker was removed: what is as the cut has it is taken over, what is not is asked for",
        || {
            let (server, setup) = buckets("deletes = \"now\"")?;
            bucket::fill_many(&server.buckets, "source", 10);
            put(&server, "copy", "theirs", "not ours");
            run(&setup, &[], 3)?;
            server.buckets.remove("copy", MARKER);
            put(&server, "source", "dir-000/object-000003", "changed, and of another size");
            let before = body(&server, "copy", "dir-000/object-000003");
            let held = mirror(&setup, &["run", "a"])?.expect_code(3)?;
            ensure!(held.lines_of("step")?.iter().any(|step| step["held"] == "foreign"), "{}", held.whole());
            ensure!(body(&server, "copy", "dir-000/object-000003") == before, "it was overwritten");
            let step = run(&setup, &["--overwrite"], 3)?;
            ensure!(number(&step, &["same"])? == 9 && number(&step, &["extra"])? == 1, "{step}");
            ensure!(body(&server, "copy", "theirs").is_some(), "what is nobody's was removed");
            server.buckets.remove("copy", "theirs");
            run(&setup, &[], 0)?;
            expect_mirrored(&server)
        },
    );
    report.scenario("the marker is damaged: nothing is done, and the message says what to do", || {
        let (server, setup) = buckets("deletes = \"now\"")?;
        bucket::fill_many(&server.buckets, "source", 4);
        run(&setup, &[], 0)?;
        put(&server, "copy", MARKER, "{ half of it");
        put(&server, "source", "dir-000/object-000003", "changed");
        let refused = mirror(&setup, &["run", "a"])?.expect_code(1)?;
        ensure!(refused.whole().contains("move it away"), "{}", refused.whole());
        ensure!(body(&server, "copy", "dir-000/object-000003") != Some(b"changed".to_vec()), "something was done");
        Ok(())
    });
    report.finish();
}

#[test]
fn a_run_is_billed_for_what_it_asks_of_its_source_and_its_target() -> Result<()> {
    let (server, setup) = buckets("deletes = \"now\"")?;
    bucket::fill_many(&server.buckets, "source", 10);
    server.log().clear();
    let outcome = mirror(&setup, &["run", "a"])?.expect_code(0)?;
    let asked = server.log().requests("source") + server.log().requests("copy");
    let billed = requests(&outcome)?;
    // The repository is a folder, which is charged nothing; what a connector asks beyond its calls is told as looks.
    ensure!(asked > 30 && billed == asked, "{billed} requests were billed, and {asked} came\n{}", outcome.whole());
    fs::remove_file(setup.path("jobs.toml"))?;
    Ok(())
}

#[test]
fn what_somebody_puts_there_while_a_run_is_under_way_is_not_removed() {
    let mut report = Report::default();
    report.scenario("an object that is gone at the source is written at the target behind the listing", || {
        let (server, setup) = buckets("deletes = \"now\"")?;
        bucket::fill_many(&server.buckets, "source", 5);
        run(&setup, &[], 0)?;
        let (gone, also) = ("dir-000/object-000002", "dir-000/object-000003");
        server.buckets.remove("source", gone);
        server.buckets.remove("source", also);
        // The run has listed all when it says that it is on its way, and waits there for the answer.
        let hold = Hold::default();
        let marked = Rule::new(Fault::AnswerHeld(hold.clone())).in_bucket("copy").on(&[Operation::PutObject]);
        server.faults().add(marked.next(1));
        let file = setup.path("jobs.toml").display().to_string();
        let mut going = setup.credenza.start(["--json", "mirror", "run", "a", "--jobs", &file])?;
        going.held(&hold, 1)?;
        ensure!(marker(&server)?["towards"] != serde_json::json!([]), "it does not say that it is on its way");
        put(&server, "copy", gone, "theirs");
        hold.release();
        let ended = going.wait()?;
        ensure!(body(&server, "copy", gone).as_deref() == Some(b"theirs"), "it was removed: {}", ended.whole());
        ensure!(body(&server, "copy", also).is_none(), "what nobody has touched goes: {}", ended.whole());
        Ok(())
    });
    report.finish();
}
