//! What runs cost: estimates against what the server counted of the run that followed, and budgets that are kept.

#![allow(clippy::indexing_slicing, reason = "what fails here is a failed test")]

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use credenza_e2e::{Report, Setup, memory_server, number, tree};
use credenza_s3_server::{Attributes, Log, Operation, Server};
use serde_json::Value;

/// What a server counted of a bucket, in the classes and the order of an estimate.
const CLASSES: [&str; 7] = ["list", "get", "head", "put", "delete", "bytes_up", "bytes_down"];

fn counted(log: &Log, bucket: &str) -> [u64; CLASSES.len()] {
    let of = |wanted: &dyn Fn(Operation) -> bool| log.sum(bucket, wanted).requests;
    let all = log.sum(bucket, |operation| !operation.is_list() && !is_delete(operation));
    let is_get = |operation| operation == Operation::GetObject;
    let is_put = |operation| matches!(operation, Operation::PutObject | Operation::PutObjectRetention);
    [
        of(&Operation::is_list),
        of(&is_get),
        // What a connector asks beside its calls, such as how a bucket is configured, is told as looks.
        of(&|operation| !operation.is_list() && !is_get(operation) && !is_put(operation) && !is_delete(operation)),
        of(&is_put),
        of(&is_delete),
        all.bytes_in,
        all.bytes_out,
    ]
}

fn is_delete(operation: Operation) -> bool {
    matches!(operation, Operation::DeleteObject | Operation::DeleteObjects)
}

/// Listings by which the first run of a machine looks for the configuration that it keeps beside its snapshots; no estimate tells of that.
const LISTED_FOR_CONFIGURATION: u64 = 2;

/// Estimates a command, runs it, and holds the one against the other for each place that is a bucket.
fn hold(setup: &Setup, server: &Server, command: &[&str], places: &[(&str, &str)]) -> Result<Value> {
    hold_beside(setup, server, (command, 0), places)
}

/// The same of a command that lists so many times for something else.
fn hold_beside(
    setup: &Setup,
    server: &Server,
    (command, listed): (&[&str], u64),
    places: &[(&str, &str)],
) -> Result<Value> {
    server.log().clear();
    let estimated = setup.credenza.ok([&["--json"], command, &["--estimate"]].concat())?;
    let estimate = estimated.lines_of("estimate")?.pop().context("no estimate")?;
    for (_, bucket) in places {
        let writes = |operation| is_delete(operation) || operation == Operation::PutObject;
        ensure!(server.log().sum(bucket, writes).requests == 0, "an estimate wrote to {bucket}");
    }
    server.log().clear();
    setup.credenza.ok(command)?;
    for (role, bucket) in places {
        let told = estimate["places"].as_array().into_iter().flatten().find(|place| place["role"] == **role);
        let told = told.with_context(|| format!("no {role} in {estimate}"))?;
        for (class, real) in CLASSES.into_iter().zip(counted(server.log(), bucket)) {
            let real = if class == "list" { real.saturating_sub(listed) } else { real };
            let (low, high) = (number(told, &["low", class])?, number(told, &["high", class])?);
            // A tenth; and a request or a few bytes where that is less.
            let leave = (real / 10).max(if class.starts_with("bytes") { 4096 } else { 1 });
            let is_near = low <= real + leave && real <= high + leave;
            ensure!(is_near, "{command:?}, {role}: {class}: {low} to {high} estimated, {real} counted\n{told}");
        }
    }
    server.log().clear();
    Ok(estimate)
}

fn fill(folder: &Path, seed: u64, large: u64) -> Result<()> {
    fs::create_dir_all(folder.join("small"))?;
    fs::write(folder.join("large"), tree::noise(seed, large))?;
    for name in 0..40 {
        fs::write(folder.join(format!("small/{name:02}")), tree::noise(seed * 100 + name, 20_000 + name * 500))?;
    }
    Ok(())
}

#[test]
fn what_is_estimated_is_what_the_server_counts() -> Result<()> {
    let (server, endpoint) = memory_server()?;
    ["repository", "second", "source"].iter().for_each(|bucket| server.buckets.create(bucket));
    let setup = Setup::with_s3_repository(&endpoint, "repository")?;
    setup.add("repository", "second", &endpoint, "second")?;
    setup.add("source", "live", &endpoint, "source")?;
    let (source, target) = (setup.path("source"), setup.path("target"));
    fill(&source, 1, 34_000_000)?;
    let (from, to) = (source.to_string_lossy().into_owned(), target.to_string_lossy().into_owned());
    let repository = [("repository", "repository")];
    let mut report = Report::default();
    report.scenario("a first, an unchanged and a changed backup", || {
        hold_beside(&setup, &server, (&["backup", &from], LISTED_FOR_CONFIGURATION), &repository)?;
        hold(&setup, &server, &["backup", &from], &repository)?;
        fs::write(source.join("large"), tree::noise(2, 5_000_000))?;
        fs::write(source.join("small/new"), tree::noise(3, 50_000))?;
        hold(&setup, &server, &["backup", &from], &repository).map(drop)
    });
    report.scenario("a restore of a part and of all", || {
        let part = format!("latest:{from}/small");
        hold(&setup, &server, &["restore", &part, "--to", &to], &repository)?;
        let whole = setup.path("whole").to_string_lossy().into_owned();
        hold(&setup, &server, &["restore", "latest", "--to", &whole], &repository).map(drop)
    });
    report.scenario("a check without data and with", || {
        hold(&setup, &server, &["check"], &repository)?;
        hold(&setup, &server, &["check", "--read-data"], &repository).map(drop)
    });
    report.scenario("a sync to an empty repository and to one that has nearly all", || {
        setup.credenza.ok(["at", "@second", "create", "--like", "@store"])?;
        let places = [("from", "repository"), ("to", "second")];
        hold(&setup, &server, &["sync", "to", "@second"], &places)?;
        fs::write(source.join("small/newer"), tree::noise(4, 50_000))?;
        setup.backup(&from)?;
        hold(&setup, &server, &["sync", "to", "@second"], &places).map(drop)
    });
    report.scenario("a removal, and a maintenance after it", || {
        hold(&setup, &server, &["prune", "--keep-last", "1", "--apply", "--force"], &repository)?;
        hold(&setup, &server, &["maintain"], &repository).map(drop)
    });
    report.scenario("a bucket", || {
        for number in 0..60 {
            let body = tree::noise(number, 30_000 + number * 20_000);
            server.buckets.put_object("source", &format!("key-{number:02}"), body, Attributes::default());
        }
        let places = [("repository", "repository"), ("source", "source")];
        hold(&setup, &server, &["backup", "@live"], &places)?;
        hold(&setup, &server, &["backup", "@live"], &places).map(drop)
    });
    report.finish();
    Ok(())
}

const PRICES: &str = "version = 1\ndate = \"2026-01-31\"\ncurrency = \"EUR\"\n[[place]]\nname = \"ours\"\npage = \"the contract\"\n\
    hosts = [\"127.0.0.1\", \"localhost\"]\nlist = \"1\"\nget = \"1\"\nhead = \"1\"\nput = \"1\"\ndelete = \"1\"\nstored = \"0\"\negress = \"0\"\n";

#[test]
fn a_budget_is_kept_and_the_next_run_goes_on() -> Result<()> {
    let (server, endpoint) = memory_server()?;
    server.buckets.create("repository");
    let setup = Setup::with_s3_repository(&endpoint, "repository")?;
    let source = setup.path("source");
    fill(&source, 1, 80_000_000)?;
    let from = source.to_string_lossy().into_owned();
    let mut report = Report::default();
    report.scenario("a backup ends before it sends more, and what it sent is not sent again", || {
        server.log().clear();
        let ended = setup.credenza.run(["backup", &from, "--budget", "bytes=60MB"])?.expect_code(4)?;
        ended.expect_message(&["the budget is spent", "60000000 bytes", "run the same command again"])?;
        let sent = counted(server.log(), "repository")[5];
        ensure!(sent <= 60_000_000 && sent > 30_000_000, "{sent} bytes were sent");
        setup.credenza.ok(["check"])?;
        server.log().clear();
        setup.backup(&from)?;
        let rest = counted(server.log(), "repository")[5];
        ensure!(rest < 84_000_000 - sent / 2, "{rest} bytes were sent after {sent}");
        Ok(())
    });
    report.scenario("a check ends, and what it read is on record", || {
        server.log().clear();
        let ended = setup.credenza.run(["check", "--read-data=older-than:30d", "--budget", "bytes=72MB"])?;
        ended.expect_code(4)?;
        let read = counted(server.log(), "repository")[6];
        ensure!(read <= 72_000_000, "{read} bytes were read");
        server.log().clear();
        setup.credenza.ok(["check", "--read-data=older-than:30d"])?;
        let rest = counted(server.log(), "repository")[6];
        ensure!(rest < 60_000_000, "{rest} bytes were read after {read}");
        Ok(())
    });
    report.scenario("requests and money are bounded, too, and money only where a price is known", || {
        server.log().clear();
        setup.credenza.run(["check", "--read-data", "--budget", "requests=20"])?.expect_code(4)?;
        ensure!(server.log().requests("repository") <= 20, "{}", server.log().lines().join("\n"));
        let unknown = setup.credenza.run(["check", "--budget", "money=1"])?.expect_code(2)?;
        unknown.expect_message(&["no price is known", "prices.toml"])?;
        fs::write(setup.path("user").join("config/prices.toml"), PRICES)?;
        server.log().clear();
        let ended = setup.credenza.run(["check", "--read-data", "--budget", "money=0.02"])?.expect_code(4)?;
        ended.expect_message(&["0.02 in money"])?;
        ensure!(server.log().requests("repository") <= 20, "{}", server.log().lines().join("\n"));
        let estimate = setup.credenza.ok(["check", "--estimate"])?;
        ensure!(estimate.whole().contains("EUR (ours, prices of 2026-01-31)"), "{}", estimate.whole());
        Ok(())
    });
    report.finish();
    Ok(())
}
