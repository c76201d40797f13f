//! Google Cloud Storage, end to end, against the emulator of PyPI: a repository in a bucket, objects of it backed up, a restore to it.
//!
//! The emulator knows no conditions, generations, pages, offsets, `fields`, locks or gzip, has one thread, answers 500 to an empty upload of bytes alone, and takes `a//b`, `a/b` and `a/` for one
//! object. What it cannot show is shown in `host/sandbox/tests/providers` against a server that keeps to Google's documentation, and in the tests of `plugins/gcs`.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use credenza_e2e::relay::{Relay, Strike};
use credenza_e2e::servers::GcsServer;
use credenza_e2e::{Precious, Report, Setup, number, requests_of, snapshot_of, tree};
use credenza_s3_server::Hold;
use serde_json::{Value, json};

#[test]
fn emulator() -> Result<()> {
    let server = GcsServer::start()?;
    let mut report = Report::default();
    report.scenario("a folder goes into a repository in a bucket and comes back", || {
        let precious = Precious::new(repository(&server, "repository")?)?;
        precious.setup.check()?.expect_code(0)?;
        precious.expect_intact()
    });
    report.scenario("space is reclaimed and history is audited", || space(&server));
    report.scenario("objects are backed up and come back elsewhere with all that they have", || objects(&server));
    report.scenario("a folder goes into a bucket as objects and comes back", || folder_as_objects(&server));
    report.scenario("what is there is overwritten only when asked", || overwriting(&server));
    report.scenario("a run that is killed loses nothing and goes on", || killed(&server));
    report.scenario("a missing bucket and a key that is none are named", || wrong(&server));
    report.finish();
    Ok(())
}

fn repository(server: &GcsServer, prefix: &str) -> Result<Setup> {
    let mut setup = Setup::new()?;
    server.add(&setup, "repository", "store", prefix)?;
    setup.credenza.set("CREDENZA_REPOSITORY", "@store");
    setup.credenza.ok(["create"])?;
    Ok(setup)
}

fn space(server: &GcsServer) -> Result<()> {
    let setup = repository(server, "space")?;
    let source = setup.path("source");
    std::fs::create_dir(&source)?;
    let mut snapshots = Vec::new();
    for seed in 0..3 {
        std::fs::write(source.join("changes"), tree::noise(seed, 1_000_000))?;
        std::fs::write(source.join("stays"), tree::noise(99, 200_000))?;
        snapshots.push(snapshot_of(&setup.backup(&source.to_string_lossy())?)?);
    }
    let [first, _, third] = snapshots.as_slice() else { bail!("{snapshots:?}") };
    let summary = |words: &[&str]| setup.credenza.ok([&["--json"], words].concat())?.summary();
    setup.credenza.ok(["rm", first])?;
    setup.credenza.ok(["prune", "--keep-last", "1", "--apply"])?;
    let done = summary(&["maintain"])?;
    ensure!(number(&done, &["bytes_freed"])? > 2_000_000, "{done}");
    ensure!(number(&summary(&["audit"])?, &["snapshots"])? == 1, "the last is left");
    setup.check()?.expect_code(0)?;
    tree::compare(&source, &setup.restore(third, "target")?)
}

/// Names that are easily mangled on the way through an address and a document; those that the emulator takes for others are left out.
const HARD: [&str; 15] = [
    "a b",
    "a+b",
    "a%20b",
    "100%",
    "#1",
    "what?",
    "\u{fc}",
    "u\u{308}",
    "&amp;<x>",
    "semi;colon",
    "~tilde",
    "deep/er/leaf",
    "{\"json\": 1}",
    "control\u{1}\u{7f}",
    "[0]",
];

fn attributes() -> Value {
    json!({
        "contentType": "text/html; charset=utf-8", "contentLanguage": "de", "contentDisposition": "attachment",
        "cacheControl": "no-store", "customTime": "2024-01-01T00:00:00.123Z", "storageClass": "NEARLINE",
        "metadata": {"Owner": "J\u{fc}rgen", "owner": "another"},
    })
}

fn document(server: &GcsServer, name: &str) -> Result<Value> {
    let bytes = server.get(name, "json")?.with_context(|| format!("{name} is not there"))?;
    Ok(serde_json::from_slice(&bytes)?)
}

fn objects(server: &GcsServer) -> Result<()> {
    for (seed, name) in (1..).zip(HARD) {
        server.put(&format!("live/{name}"), &attributes(), &tree::noise(seed, 1000 * seed))?;
    }
    server.put("live/large", &attributes(), &tree::noise(77, 3_000_000))?;
    let setup = Setup::with_local_repository()?;
    server.add(&setup, "source", "live", "live")?;
    server.add(&setup, "destination", "copy", "copy")?;
    setup.credenza.ok(["source", "check", "live"])?;
    setup.credenza.ok(["destination", "check", "copy"])?;
    // In parts of the least size.
    setup.credenza.ok(["destination", "set", "copy", "part_size=256KiB"])?;
    setup.backup("@live")?;
    setup.credenza.ok(["restore", "latest", "--to", "@copy"])?;
    for name in HARD.into_iter().chain(["large"]) {
        let [from, to] = [format!("live/{name}"), format!("copy/{name}")];
        ensure!(server.get(&from, "media")? == server.get(&to, "media")?, "{name} has other bytes");
        let (from, to) = (document(server, &from)?, document(server, &to)?);
        let kept = attributes();
        let kept = kept.as_object().into_iter().flatten().map(|(field, _)| field.as_str());
        for field in kept.chain(["md5Hash", "crc32c"]) {
            ensure!(from.get(field) == to.get(field), "{field} of {name}: {from} {to}");
        }
    }
    // A run that finds nothing new lists, and reads nothing.
    let again = setup.backup("@live")?;
    let (asked, _) = requests_of(&again)?;
    ensure!(asked <= 6, "{asked} requests: {again}");
    Ok(())
}

fn folder_as_objects(server: &GcsServer) -> Result<()> {
    let setup = Setup::with_local_repository()?;
    let folder = setup.path("folder");
    std::fs::create_dir_all(folder.join("deep/er"))?;
    for (seed, name) in (0..).zip(["plain", "deep/er/leaf", "\u{fc} ?#%"]) {
        std::fs::write(folder.join(name), tree::noise(seed, 1000 + 300_000 * seed))?;
    }
    std::fs::write(folder.join("empty"), b"")?;
    std::os::unix::fs::symlink("plain", folder.join("link"))?;
    server.add(&setup, "destination", "objects", "objects")?;
    server.add(&setup, "source", "objects", "objects")?;
    setup.backup(&folder.to_string_lossy())?;
    setup.credenza.run(["restore", "latest", "--to", "@objects"])?;
    let objects = snapshot_of(&setup.backup("@objects")?)?;
    let back = setup.restore(&objects, "back")?;
    tree::compare_bytes(&folder, &back)?;
    ensure!(std::fs::read_link(back.join("link"))? == Path::new("plain"), "a link is no link any more");
    Ok(())
}

fn overwriting(server: &GcsServer) -> Result<()> {
    let setup = Setup::with_local_repository()?;
    let folder = setup.path("folder");
    std::fs::create_dir(&folder)?;
    std::fs::write(folder.join("a"), b"ours")?;
    setup.backup(&folder.to_string_lossy())?;
    server.add(&setup, "destination", "copy", "over")?;
    server.put("over/a", &json!({}), b"theirs")?;
    setup.credenza.run(["restore", "latest", "--to", "@copy"])?;
    ensure!(server.get("over/a", "media")?.as_deref() == Some(b"theirs"), "an object was overwritten unasked");
    setup.credenza.run(["restore", "latest", "--overwrite", "--to", "@copy"])?;
    ensure!(server.get("over/a", "media")?.as_deref() == Some(b"ours"), "an object was not overwritten");
    Ok(())
}

fn killed(server: &GcsServer) -> Result<()> {
    let precious = Precious::new(repository(server, "killed")?)?;
    let setup = &precious.setup;
    let large = setup.path("large");
    std::fs::create_dir(&large)?;
    std::fs::write(large.join("noise"), tree::noise(5, 60_000_000))?;
    // Something has arrived, and is not confirmed.
    let (relay, hold) = (Relay::start(&server.host)?, Hold::default());
    setup.credenza.ok(["repository", "set", "store", &format!("host={}", relay.host)])?;
    relay.strike_once(Strike::AnswerHeld(hold.clone()), &["POST", "killed%2Fdata%2F"]);
    let mut run = setup.credenza.start(["backup", &large.to_string_lossy()])?;
    run.held(&hold, 1).with_context(|| format!("{:#?}", relay.lines()))?;
    run.signal(rustix::process::Signal::KILL)?;
    run.wait()?;
    hold.release();
    precious.expect_intact()?;
    let snapshot = snapshot_of(&setup.backup(&large.to_string_lossy())?)?;
    tree::compare_bytes(&large, &setup.restore(&snapshot, "again")?)?;
    setup.check()?.expect_code(0).map(drop)
}

fn wrong(server: &GcsServer) -> Result<()> {
    let setup = Setup::new()?;
    server.add(&setup, "source", "none", "x")?;
    setup.credenza.ok(["source", "set", "none", "location=gs://no-such-bucket"])?;
    let reported = setup.credenza.run(["source", "check", "none"])?;
    ensure!(reported.code != Some(0) && reported.whole().contains("bucket `no-such-bucket`"), "{}", reported.whole());
    let words = ["source", "set", "none", "login=key", "key=not-the-document-of-a-key-at-all"];
    setup.credenza.ok(words)?;
    let reported = setup.credenza.run(["source", "check", "none"])?;
    ensure!(reported.code != Some(0) && reported.whole().contains("key"), "{}", reported.whole());
    ensure!(!reported.whole().contains("not-the-document-of-a-key-at-all"), "a secret was printed");
    Ok(())
}
