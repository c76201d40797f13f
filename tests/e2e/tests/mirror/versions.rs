//! Mirrors of histories: the target's versions of a key become those of the source, in their order and each once.

use anyhow::{Result, ensure};
use credenza_e2e::s3::S3;
use credenza_e2e::servers::{Kind, RealServer};
use credenza_e2e::{Report, Setup, memory_server};
use credenza_s3_server::{Fault, Operation, Rule, Server};
use http::Method;

use super::{figures, mirror, policy, put, run};

/// Two buckets that keep versions, and a policy that mirrors them.
fn histories(more: &str) -> Result<(Server, S3, Setup)> {
    let (server, endpoint) = memory_server()?;
    server.buckets.create_versioned("source");
    server.buckets.create_versioned("copy");
    let setup = Setup::with_local_repository()?;
    setup.add("source", "a", &endpoint, "source")?;
    setup.add("destination", "b", &endpoint, "copy")?;
    policy(&setup, "@a", "@b", &format!("versions = true\n{more}"))?;
    let s3 = S3::new(endpoint)?;
    Ok((server, s3, setup))
}

/// The versions of a key, the oldest first; `-` is a delete marker.
fn history(server: &Server, bucket: &str, key: &str) -> Vec<String> {
    let text = |body: &[u8]| String::from_utf8_lossy(body).into_owned();
    let versions = server.buckets.versions(bucket, key);
    versions.iter().map(|one| if one.is_delete_marker() { "-".to_owned() } else { text(&one.body()) }).collect()
}

fn expect(server: &Server, key: &str, versions: &[&str]) -> Result<()> {
    let there = history(server, "copy", key);
    ensure!(there == versions, "`{key}` is {there:?}, and was to be {versions:?}");
    Ok(())
}

#[test]
fn older_versions_and_delete_markers_are_mirrored_in_their_order_and_once() {
    let mut report = Report::default();
    report.scenario("all at first, then what was added, then nothing", || {
        let (server, s3, setup) = histories("deletes = \"now\"")?;
        for body in ["one", "two", "three"] {
            put(&server, "source", "k", body);
        }
        put(&server, "source", "was", "here");
        s3.delete("source", "was")?;
        run(&setup, &[], 0)?;
        expect(&server, "k", &["one", "two", "three"])?;
        expect(&server, "was", &["here", "-"])?;
        // The same content again is another version.
        for body in ["four", "three"] {
            put(&server, "source", "k", body);
        }
        s3.delete("source", "k")?;
        put(&server, "source", "k", "five");
        put(&server, "source", "was", "back");
        run(&setup, &[], 0)?;
        expect(&server, "k", &["one", "two", "three", "four", "three", "-", "five"])?;
        expect(&server, "was", &["here", "-", "back"])?;
        let step = run(&setup, &[], 0)?;
        ensure!(figures(&step, ["new", "changed", "removed", "same"])? == [0, 0, 0, 2] && step["bytes"] == 0, "{step}");
        expect(&server, "k", &["one", "two", "three", "four", "three", "-", "five"])
    });
    report.scenario("what is deleted between two cuts has its versions before its marker; kept, it waits", || {
        let (server, s3, setup) = histories("deletes = \"keep\"")?;
        put(&server, "source", "k", "one");
        run(&setup, &[], 0)?;
        put(&server, "source", "k", "two");
        s3.delete("source", "k")?;
        let step = run(&setup, &[], 0)?;
        ensure!(step["kept"] == 1, "{step}");
        expect(&server, "k", &["one"])?;
        policy(&setup, "@a", "@b", "versions = true\ndeletes = \"now\"")?;
        let step = run(&setup, &[], 0)?;
        ensure!(step["removed"] == 1, "{step}");
        expect(&server, "k", &["one", "two", "-"])
    });
    report.finish();
}

#[test]
fn a_mirror_of_versions_goes_on_where_it_broke_off_and_notices_strangers() {
    let mut report = Report::default();
    report.scenario("a run that failed between two versions goes on behind the last", || {
        let (server, _, setup) = histories("deletes = \"now\"")?;
        for n in 0..5 {
            put(&server, "source", "k", format!("version {n}"));
            put(&server, "source", "other", format!("other {n}"));
        }
        let rule = Rule::new(Fault::AccessDenied).in_bucket("copy").under("k").on(&[Operation::PutObject]);
        server.faults().add(rule.every(3));
        let broken = mirror(&setup, &["run", "a"])?;
        ensure!(broken.code != Some(0), "{}", broken.whole());
        server.faults().clear();
        let before = history(&server, "copy", "k").len();
        ensure!((1..5).contains(&before), "{before} versions were written");
        run(&setup, &[], 0)?;
        let wanted: Vec<String> = (0..5).map(|n| format!("other {n}")).collect();
        ensure!(history(&server, "copy", "other") == wanted, "{:?}", history(&server, "copy", "other"));
        let there = history(&server, "copy", "k");
        ensure!(there.last().is_some_and(|last| last == "version 4"), "{there:?}");
        ensure!(there.iter().collect::<std::collections::BTreeSet<_>>().len() == there.len(), "twice: {there:?}");
        Ok(())
    });
    report.scenario("what somebody else has put on top is noticed", || {
        let (server, _, setup) = histories("deletes = \"now\"")?;
        put(&server, "source", "k", "one");
        run(&setup, &[], 0)?;
        put(&server, "copy", "k", "a stranger was here");
        put(&server, "source", "k", "two");
        let held = mirror(&setup, &["run", "a"])?.expect_code(3)?;
        ensure!(held.lines_of("step")?.iter().any(|step| step["held"] == "foreign"), "{}", held.whole());
        expect(&server, "k", &["one", "a stranger was here"])?;
        run(&setup, &["--overwrite"], 0)?;
        ensure!(history(&server, "copy", "k").last().is_some_and(|last| last == "two"));
        Ok(())
    });
    report.scenario(
        "a target that keeps no versions is refused before anything is written, and so is a folder",
        || {
            let (server, _, setup) = histories("")?;
            put(&server, "source", "k", "one");
            server.buckets.create("plain");
            let plain = setup.path("plain").display().to_string();
            policy(&setup, "@a", &plain, "versions = true")?;
            let file = setup.path("jobs.toml").display().to_string();
            let refused = setup.credenza.run(["jobs", "check", "--jobs", &file])?.expect_code(1)?;
            refused.expect_message(&["versions", "folder"])?;
            Ok(())
        },
    );
    report.finish();
}

#[test]
fn histories_are_mirrored_between_real_servers() -> Result<()> {
    let (from, to) = (RealServer::start(Kind::MiniStack)?, RealServer::start(Kind::SeaweedFs)?);
    let on = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    for server in [&from, &to] {
        server.s3.create_bucket("kept")?;
        server.s3.send(Method::PUT, ("kept", b""), &[("versioning", "")], &[], on)?.success()?;
    }
    let setup = Setup::with_local_repository()?;
    setup.add("source", "a", from.s3.endpoint(), "kept")?;
    setup.add("destination", "b", to.s3.endpoint(), "kept")?;
    policy(&setup, "@a", "@b", "versions = true\ndeletes = \"now\"")?;
    let written = |s3: &S3, key: &str| -> Result<Vec<bool>> {
        let all = s3.versions("kept")?;
        Ok(all.iter().filter(|one| one.key == key).map(|one| one.deleted).collect())
    };
    for body in ["one", "two, longer"] {
        from.s3.put("kept", "k", body, &[])?;
    }
    run(&setup, &[], 0)?;
    from.s3.delete("kept", "k")?;
    from.s3.put("kept", "k", "three, longer still", &[])?;
    for _ in 0..2 {
        run(&setup, &[], 0)?;
        ensure!(to.s3.get("kept", "k")?.body == "three, longer still");
        let mut there = written(&to.s3, "k")?;
        there.sort_unstable();
        ensure!(there == [false, false, false, true], "{there:?}");
    }
    Ok(())
}
