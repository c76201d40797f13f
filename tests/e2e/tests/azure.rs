//! Azure Blob Storage, end to end, against Azurite: a repository on it, containers backed up and restored, faults, and a repository that moves
//! there from S3.
//!
//! What Azurite lacks (versions, immutable blobs, other proofs than key and signature) is shown by the recorded exchanges of `plugins/azure`. It answers
//! 500 to a listing of names with control characters, which Azure takes: no scenario uses any.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use credenza_e2e::azure::{Account, Azure};
use credenza_e2e::relay::{Relay, Strike};
use credenza_e2e::s3::xml;
use credenza_e2e::servers::AzureServer;
use credenza_e2e::{Precious, Report, Setup, memory_server_of_pages, number, requests_of, scenario, snapshot_of, tree};
use credenza_s3_server::Hold;
use http::Method;
use rustix::process::Signal;

const CONTAINER: &str = "tests";

fn start() -> Result<AzureServer> {
    let server = AzureServer::start()?;
    server.azure.create_container(CONTAINER)?;
    Ok(server)
}

/// Below a prefix of the container.
fn place(prefix: &str) -> String {
    format!("{CONTAINER}/{prefix}")
}

#[test]
fn a_repository_lives_on_azure() -> Result<()> {
    let server = start()?;
    let account = server.azure.account();
    let mut report = Report::default();
    report.scenario("a folder goes into a repository and comes back", || {
        let precious = Precious::new(account.with_repository(&place("repository"))?)?;
        precious.setup.check()?.expect_code(0)?;
        precious.expect_intact()
    });
    report.scenario("space is reclaimed and history is audited", || {
        scenario::space(&account.with_repository(&place("space"))?)
    });
    report.scenario("two writers at once lose nothing", || {
        scenario::two_writers(&account.with_repository(&place("writers"))?)
    });
    report.scenario("a container that is not there is named", || {
        let setup = Setup::new()?;
        account.add(&setup, "repository", "store", "not-there")?;
        setup.credenza.run(["at", "@store", "create"])?.expect_code(1)?.expect_message(&["`not-there`"]).map(drop)
    });
    report.scenario("every fault that passes is ridden out", || ride_out(account));
    report.scenario("a backup that is killed leaves the repository sound", || kill(account));
    report.finish();
    Ok(())
}

#[test]
fn a_container_is_backed_up_and_restored() -> Result<()> {
    let server = start()?;
    let azure = &server.azure;
    let mut report = Report::default();
    report.scenario("hard names and attributes come back in another container", || containers(azure));
    report.scenario("a folder goes into a container as blobs and comes back", || folder_as_blobs(azure));
    report.scenario("a container of more than one page is read whole, and only once", || pages(azure));
    report.scenario("snapshots are read as versions", || snapshots(azure));
    report.scenario("a large blob survives lost answers and is made of blocks", || large(azure));
    report.scenario("a restore that is killed publishes nothing that is not whole", || killed_restore(azure));
    report.scenario("a shared access signature is proof enough and is printed nowhere", || signature(azure));
    report.scenario("wrong credentials and a missing container are named", || wrong(azure));
    report.finish();
    Ok(())
}

#[test]
fn a_repository_moves_from_s3_to_azure_without_another_program() -> Result<()> {
    let server = start()?;
    let account = server.azure.account();
    let (s3, endpoint) = memory_server_of_pages(200)?;
    s3.buckets.create("bucket");
    let precious = Precious::new(Setup::with_s3_repository(&endpoint, "bucket")?)?;
    let credenza = &precious.setup.credenza;
    account.add(&precious.setup, "repository", "moved", &place("moved"))?;
    credenza.ok(["at", "@moved", "create", "--like", "@store"])?;
    credenza.ok(["sync", "to", "@moved"])?;
    // The configuration is all that changes: `@store` is what every command has named so far, and names Azure from now on.
    credenza.ok(["repository", "remove", "store"])?;
    let mut words = ["repository", "add", "store"].map(str::to_owned).to_vec();
    words.extend(account.words(&place("moved")));
    words.push(format!("account_key={}", account.key));
    credenza.ok(words)?;
    s3.log().clear();
    let source = precious.source().to_string_lossy().into_owned();
    std::fs::write(precious.source().join("written after the move"), tree::noise(7, 2_000_000))?;
    let after = precious.setup.backup(&source)?;
    ensure!(
        number(&after, &["bytes", "stored"]).unwrap_or(0) < 4_000_000,
        "what was there before was sent again: {after}"
    );
    let target = precious.setup.restore(&snapshot_of(&after)?, "after the move")?;
    tree::compare(precious.source(), &target)?;
    std::fs::remove_file(precious.source().join("written after the move"))?;
    precious.setup.check()?.expect_code(0)?;
    ensure!(s3.log().lines().is_empty(), "S3 was asked once more: {:?}", s3.log().lines());
    let listed = credenza.ok(["--json", "ls"])?.lines_of("snapshot")?;
    ensure!(listed.len() == 2, "history was lost: {listed:?}");
    Ok(())
}

/// A repository and a source behind a relay that strikes at every few requests.
fn ride_out(account: &Account) -> Result<()> {
    let relay = Relay::start(&account.host)?;
    let behind = Account { host: relay.host.clone(), ..account.clone() };
    let setup = behind.with_repository(&place("faults"))?;
    let folder = setup.path("folder");
    tree::build_many(&folder, 200)?;
    std::fs::write(folder.join("large"), tree::noise(5, 20_000_000))?;
    for (strike, words, every) in [
        (Strike::Busy, &["PUT"][..], 3),
        (Strike::LostAnswer, &["PUT"], 4),
        (Strike::Busy, &["GET"], 5),
        (Strike::LostAnswer, &["GET"], 7),
        (Strike::HalfAnswer, &["GET", "/data/"], 3),
    ] {
        relay.strike(strike, words, every);
    }
    let snapshot = snapshot_of(&setup.backup(&folder.to_string_lossy())?)?;
    let target = setup.restore(&snapshot, "target")?;
    ensure!(relay.struck() > 5, "the faults never struck: {:?}", relay.lines());
    tree::compare(&folder, &target)?;
    relay.clear();
    setup.check()?.expect_code(0).map(drop)
}

fn kill(account: &Account) -> Result<()> {
    let relay = Relay::start(&account.host)?;
    let behind = Account { host: relay.host.clone(), ..account.clone() };
    let precious = Precious::new(behind.with_repository(&place("killed"))?)?;
    let large = precious.setup.path("large");
    std::fs::create_dir(&large)?;
    for seed in 0..8 {
        std::fs::write(large.join(seed.to_string()), tree::noise(seed, 16 << 20))?;
    }
    relay.clear();
    let hold = Hold::default();
    relay.strike(Strike::AnswerHeld(hold.clone()), &["PUT", "/data/"], 2);
    let mut run = precious.setup.credenza.start(["backup", &large.to_string_lossy()])?;
    run.held(&hold, 1)?;
    run.signal(Signal::KILL)?;
    run.wait()?;
    hold.release();
    relay.clear();
    precious.expect_only_snapshot()?;
    precious.setup.check()?.expect_code(0)?;
    precious.expect_intact()?;
    let snapshot = snapshot_of(&precious.setup.backup(&large.to_string_lossy())?)?;
    tree::compare(&large, &precious.setup.restore(&snapshot, "large again")?)
}

/// Names that are easily mangled on the way through an address and a document.
const HARD: [&str; 19] = [
    "plain",
    "a",
    "a/",
    "a/b",
    "c//d",
    "trail/",
    "%2F",
    "%252F",
    "sp ace",
    " lead and trail ",
    "pl+us",
    "a&b=c?d#e",
    "quote\"'<>&amp;",
    "\u{fc}n\u{ef}code/\u{2602}/\u{1d11e}",
    "u\u{308}",
    "~tilde*(star)",
    "semi;colon,comma",
    "UPPER",
    "upper",
];

/// Everything that a blob keeps and Azurite knows.
const HEADERS: [(&str, &str); 9] = [
    ("x-ms-blob-content-type", "text/x-credenza; charset=utf-8"),
    ("x-ms-blob-content-encoding", "identity"),
    ("x-ms-blob-content-language", "de-CH"),
    ("x-ms-blob-content-disposition", "attachment; filename=\"x.txt\""),
    ("x-ms-blob-cache-control", "max-age=60"),
    ("x-ms-meta-colour", "green"),
    ("x-ms-meta-two_words", "a b c"),
    ("x-ms-tags", "team=blue&cost%20centre=4%2F7"),
    ("x-ms-access-tier", "Cool"),
];

/// What a blob shows of them.
fn shown(azure: &Azure, blob: &str) -> Result<BTreeMap<String, String>> {
    let answer = azure.send(Method::HEAD, (CONTAINER, blob), "", &[], "")?.success()?;
    let is_kept = |name: &str| {
        ["content-", "cache-control", "x-ms-meta-", "x-ms-access-tier", "x-ms-tag-count"]
            .iter()
            .any(|kept| name.starts_with(kept))
    };
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = answer.headers.iter().filter(|(name, _)| is_kept(name.as_str()));
    let mut kept: BTreeMap<String, String> = headers.map(|(name, value)| (name.to_string(), text(value))).collect();
    // When the tier was chosen is not the blob's to keep, Azurite does not say of blocks whether it was, and tags have no order.
    kept.retain(|name, _| !name.starts_with("x-ms-access-tier-"));
    let tags = azure.send(Method::GET, (CONTAINER, blob), "comp=tags", &[], "")?.success()?;
    let text = String::from_utf8(tags.body.to_vec())?;
    let mut tags: Vec<&str> = xml::blocks(&text, "Tag").collect();
    tags.sort_unstable();
    kept.insert("tags".to_owned(), tags.concat());
    Ok(kept)
}

fn containers(azure: &Azure) -> Result<()> {
    for (seed, name) in (0..).zip(HARD) {
        azure.put(CONTAINER, &format!("hard/{name}"), tree::noise(seed, 100 + seed), &[])?;
    }
    azure.put(CONTAINER, "hard/attributes", "with everything", &HEADERS)?;
    azure.put(CONTAINER, "hard/empty", "", &[])?;
    azure.put(CONTAINER, "hard/large", tree::noise(99, (8 << 20) + 1), &HEADERS)?;
    azure.put(CONTAINER, "harder/not asked for", "x", &[])?;
    let (setup, account) = (Setup::with_local_repository()?, azure.account());
    account.add(&setup, "source", "live", &place("hard"))?;
    account.add(&setup, "destination", "copy", &place("copy"))?;
    setup.credenza.ok(["source", "check", "live"])?;
    setup.credenza.ok(["destination", "check", "copy"])?;
    ensure!(azure.names(CONTAINER, "copy/")?.is_empty(), "the check left something behind");
    setup.backup("@live")?;
    setup.credenza.ok(["restore", "latest", "--to", "@copy"])?;
    let (live, copy) = (azure.read_all(CONTAINER, "hard/")?, azure.read_all(CONTAINER, "copy/")?);
    ensure!(live.len() == HARD.len() + 3, "{:?}", live.keys());
    ensure!(live == copy, "other blobs: {:?}\n{:?}", live.keys(), copy.keys());
    for name in ["attributes", "large", "plain"] {
        let (ours, theirs) = (shown(azure, &format!("hard/{name}"))?, shown(azure, &format!("copy/{name}"))?);
        ensure!(ours == theirs, "{name}:\n{ours:#?}\n{theirs:#?}");
    }
    // A container that is not there is made where that is wished for.
    account.add(&setup, "destination", "made", "made-by-us")?;
    setup.credenza.run(["restore", "latest", "--to", "@made"])?.expect_code(1)?.expect_message(&["`made-by-us`"])?;
    setup.credenza.ok(["destination", "set", "made", "create_container=true"])?;
    setup.credenza.ok(["restore", "latest", "--to", "@made"])?;
    ensure!(azure.read_all("made-by-us", "")? == live, "other blobs in a container of its own");
    // What is there is left alone, unless one asks for it.
    azure.put(CONTAINER, "copy/plain", "theirs", &[])?;
    setup.credenza.run(["restore", "latest", "--to", "@copy"])?.expect_code(3)?;
    ensure!(azure.get(CONTAINER, "copy/plain")?.body == "theirs", "a blob was overwritten unasked");
    setup.credenza.ok(["restore", "latest", "--overwrite", "--to", "@copy"])?;
    ensure!(live == azure.read_all(CONTAINER, "copy/")?, "other blobs after another restore");
    Ok(())
}

fn folder_as_blobs(azure: &Azure) -> Result<()> {
    let (setup, account) = (Setup::with_local_repository()?, azure.account());
    let folder = setup.path("folder");
    std::fs::create_dir_all(folder.join("empty folder"))?;
    std::fs::create_dir_all(folder.join("deep/er"))?;
    std::fs::write(folder.join("deep/er/leaf"), tree::noise(1, 1000))?;
    std::fs::write(folder.join("\u{fc}n\u{ef}code \u{2602}"), b"unicode name")?;
    std::fs::write(folder.join("empty"), b"")?;
    std::os::unix::fs::symlink("deep/er/leaf", folder.join("link"))?;
    account.add(&setup, "destination", "blobs", &place("objects"))?;
    account.add(&setup, "source", "blobs", &place("objects"))?;
    setup.backup(&folder.to_string_lossy())?;
    setup.credenza.ok(["restore", "latest", "--to", "@blobs"])?;
    let blobs = snapshot_of(&setup.backup("@blobs")?)?;
    let back = setup.restore(&blobs, "back")?;
    tree::forget_bucket(&back)?;
    tree::compare(&folder, &back)
}

fn pages(azure: &Azure) -> Result<()> {
    for number in 0..1100 {
        let name = format!("pages/{:02}/{number:05}", number % 7);
        azure.put(CONTAINER, &name, tree::noise(number, 50), &[])?;
    }
    let relay = Relay::start(&azure.account().host)?;
    let behind = Account { host: relay.host.clone(), ..azure.account().clone() };
    let setup = Setup::with_local_repository()?;
    behind.add(&setup, "source", "live", &place("pages"))?;
    let first = setup.backup("@live")?;
    // A read for each blob, two pages, and what is configured for the container.
    let (asked, _) = requests_of(&first)?;
    ensure!((1100..1120).contains(&asked), "{first}");
    let target = setup.restore("latest", "target")?;
    for number in 0..1100 {
        let name = format!("{:02}/{number:05}", number % 7);
        ensure!(std::fs::read(target.join(&name))? == tree::noise(number, 50), "{name} has other bytes");
    }
    azure.put(CONTAINER, "pages/00/00000", "changed", &[])?;
    relay.clear();
    let second = setup.backup("@live")?;
    let (asked, _) = requests_of(&second)?;
    ensure!(asked < 20 && asked == relay.lines().len() as u64, "{second}\n{:?}", relay.lines());
    let read: Vec<String> = relay.lines().into_iter().filter(|line| line.contains("/pages/")).collect();
    ensure!(read.len() == 1, "more was read than has changed: {read:?}");
    Ok(())
}

fn snapshots(azure: &Azure) -> Result<()> {
    azure.put(CONTAINER, "kept/blob", "first", &[])?;
    azure.send(Method::PUT, (CONTAINER, "kept/blob"), "comp=snapshot", &[], "")?.success()?;
    azure.put(CONTAINER, "kept/blob", "second", &[])?;
    azure.put(CONTAINER, "kept/other", "x", &[])?;
    let setup = Setup::with_local_repository()?;
    azure.account().add(&setup, "source", "kept", &place("kept"))?;
    let plain = setup.backup("@kept")?;
    ensure!(number(&plain, &["entries"])? == 2, "{plain}");
    setup.credenza.ok(["source", "set", "kept", "versions=true"])?;
    let all = setup.backup("@kept")?;
    ensure!(number(&all, &["entries"])? == 3, "{all}");
    let target = setup.restore("latest", "target")?;
    ensure!(std::fs::read(target.join("blob"))? == b"second", "the newest is what comes back");
    Ok(())
}

/// A blob of three blocks, whose list is carried out although its answer is lost.
fn large(azure: &Azure) -> Result<()> {
    let relay = Relay::start(&azure.account().host)?;
    let behind = Account { host: relay.host.clone(), ..azure.account().clone() };
    let setup = Setup::with_local_repository()?;
    let folder = setup.path("folder");
    std::fs::create_dir(&folder)?;
    std::fs::write(folder.join("large"), tree::noise(3, (16 << 20) + 5))?;
    behind.add(&setup, "destination", "copy", &place("large"))?;
    setup.backup(&folder.to_string_lossy())?;
    relay.strike(Strike::LostAnswer, &["PUT", "comp=block&"], 2);
    setup.credenza.ok(["restore", "latest", "--to", "@copy"])?;
    ensure!(relay.struck() > 0, "{:?}", relay.lines());
    let copy = azure.get(CONTAINER, "large/large")?;
    ensure!(copy.body == tree::noise(3, (16 << 20) + 5), "other bytes");
    let list =
        |name: &str| azure.send(Method::GET, (CONTAINER, name), "comp=blocklist&blocklisttype=all", &[], "")?.success();
    let blocks = String::from_utf8(list("large/large")?.body.to_vec())?;
    ensure!(blocks.matches("<Block>").count() == 3, "{blocks}");
    // The list whose answer is lost counts, and not as a name that somebody else has taken.
    let other = setup.path("other");
    std::fs::create_dir(&other)?;
    std::fs::write(other.join("lost"), tree::noise(4, (8 << 20) + 5))?;
    let other = snapshot_of(&setup.backup(&other.to_string_lossy())?)?;
    relay.clear();
    relay.strike_once(Strike::LostAnswer, &["PUT", "comp=blocklist"]);
    setup.credenza.ok(["restore", &other, "--to", "@copy"])?;
    ensure!(relay.struck() == 1, "{:?}", relay.lines());
    ensure!(azure.get(CONTAINER, "large/lost")?.body == tree::noise(4, (8 << 20) + 5), "other bytes");
    Ok(())
}

fn killed_restore(azure: &Azure) -> Result<()> {
    let relay = Relay::start(&azure.account().host)?;
    let behind = Account { host: relay.host.clone(), ..azure.account().clone() };
    let setup = Setup::with_local_repository()?;
    let folder = setup.path("folder");
    std::fs::create_dir(&folder)?;
    std::fs::write(folder.join("large"), tree::noise(3, 40 << 20))?;
    behind.add(&setup, "destination", "copy", &place("unfinished"))?;
    setup.backup(&folder.to_string_lossy())?;
    let hold = Hold::default();
    relay.strike(Strike::AnswerHeld(hold.clone()), &["comp=block&"], 2);
    let mut run = setup.credenza.start(["restore", "latest", "--to", "@copy"])?;
    run.held(&hold, 1)?;
    run.signal(Signal::KILL)?;
    run.wait()?;
    hold.release();
    ensure!(azure.names(CONTAINER, "unfinished/")?.is_empty(), "a part of a blob was published");
    relay.clear();
    setup.credenza.ok(["restore", "latest", "--to", "@copy"])?;
    ensure!(azure.get(CONTAINER, "unfinished/large")?.body == tree::noise(3, 40 << 20), "other bytes");
    Ok(())
}

/// What a wrong signature is reported as: Azurite says `AuthorizationFailure` where Azure says `AuthenticationFailed`, for which the connector names the
/// settings to check.
const REFUSED: &str = "refuses it; check what the credentials may do";

fn signature(azure: &Azure) -> Result<()> {
    let account = azure.account();
    azure.put(CONTAINER, "signed/blob", "x", &[])?;
    let mut setup = Setup::with_local_repository()?;
    let sas = account.sas()?;
    let mut words = ["source", "add", "signed"].map(str::to_owned).to_vec();
    words.extend(account.words(&place("signed")));
    words.push(format!("sas={sas}"));
    words.push("login=sas".to_owned());
    setup.credenza.ok(words)?;
    setup.backup("@signed")?;
    setup.credenza.set("RUST_LOG", "trace");
    let reported = setup.credenza.run(["-v", "source", "check", "signed"])?.expect_code(0)?;
    let proof = sas.split("sig=").nth(1).context("a signature")?.to_owned();
    ensure!(!reported.whole().contains(&proof), "a secret was printed");
    setup.credenza.ok(["source", "set", "signed", &format!("sas={}", sas.replace("sig=", "sig=AAAA"))])?;
    let reported = setup.credenza.run(["source", "check", "signed"])?;
    ensure!(reported.code != Some(0) && reported.whole().contains(REFUSED), "{}", reported.whole());
    ensure!(!reported.whole().contains(&proof), "a secret was printed");
    Ok(())
}

fn wrong(azure: &Azure) -> Result<()> {
    let account = azure.account();
    let setup = Setup::new()?;
    account.add(&setup, "source", "none", "no-such-container")?;
    let reported = setup.credenza.run(["source", "check", "none"])?;
    ensure!(
        reported.code != Some(0) && reported.whole().contains("`no-such-container` of account"),
        "{}",
        reported.whole()
    );
    let other = "bm90IHRoZSBrZXkgb2YgdGhlIGFjY291bnQgYXQgYWxsIQ==";
    setup.credenza.ok(["source", "set", "none", &format!("account_key={other}")])?;
    let reported = setup.credenza.run(["source", "check", "none"])?;
    ensure!(reported.code != Some(0) && reported.whole().contains(REFUSED), "{}", reported.whole());
    ensure!(!reported.whole().contains(other), "a secret was printed");
    Ok(())
}
