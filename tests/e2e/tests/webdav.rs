//! WebDAV, end to end, against two servers that differ: a repository on it, a folder of it backed up, a restore to it.

use std::path::Path;

use anyhow::{Result, ensure};
use credenza_e2e::servers::{DavKind, DavServer};
use credenza_e2e::{Precious, Report, Setup, scenario, snapshot_of, tree, workspace};

#[test]
fn rclone() -> Result<()> {
    run(DavKind::Rclone)
}

#[test]
fn wsgidav() -> Result<()> {
    run(DavKind::WsgiDav)
}

fn run(kind: DavKind) -> Result<()> {
    let server = DavServer::start(kind)?;
    let mut report = Report::default();
    report.scenario("a folder goes into a repository on WebDAV and comes back", || {
        let precious = Precious::new(repository(&server, "repository")?)?;
        precious.setup.check()?.expect_code(0)?;
        precious.expect_intact()
    });
    report.scenario("space is reclaimed and history is audited", || space(&server));
    report.scenario("two writers at once lose nothing", || scenario::two_writers(&repository(&server, "writers")?));
    report.scenario("a folder on WebDAV is backed up and comes back", || source(&server, kind));
    report.scenario("a folder is restored to WebDAV, and over what is there only when asked", || {
        destination(&server, kind)
    });
    report.scenario("wrong credentials and a missing folder are named", || wrong(&server));
    report.finish();
    Ok(())
}

fn repository(server: &DavServer, folder: &str) -> Result<Setup> {
    let mut setup = Setup::new()?;
    server.add(&setup, "repository", "store", folder)?;
    setup.credenza.set("CREDENZA_REPOSITORY", "@store");
    setup.credenza.ok(["create"])?;
    Ok(setup)
}

fn space(server: &DavServer) -> Result<()> {
    scenario::space(&repository(server, "space")?)?;
    let left = std::fs::read_dir(server.data().join("space/~credenza-partial"))?.count();
    ensure!(left == 0, "{left} objects were left on their way");
    Ok(())
}

/// Names that are easily mangled on the way through an address and a document.
const HARD: [&str; 12] =
    ["a b", "a+b", "a%20b", "100%", "#1", "what?", "ü", "u\u{308}", "&amp;<x>", "semi;colon", "~tilde", "deep/er/leaf"];

fn fill(folder: &Path) -> Result<()> {
    for (seed, name) in (0..).zip(HARD) {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(folder))?;
        std::fs::write(path, tree::noise(seed, 1000 + 100_000 * seed))?;
    }
    std::fs::create_dir_all(folder.join("empty folder"))?;
    std::fs::write(folder.join("empty"), b"")?;
    Ok(())
}

fn source(server: &DavServer, kind: DavKind) -> Result<()> {
    let live = server.data().join("live");
    fill(&live)?;
    let setup = Setup::with_local_repository()?;
    server.add(&setup, "source", "live", "live")?;
    let first = setup.backup("@live")?;
    let target = setup.restore(&snapshot_of(&first)?, "target")?;
    tree::compare_bytes(&live, &target)?;
    ensure!(target.join("empty folder").is_dir(), "an empty folder is lost");
    let seconds = |path: &Path| -> Result<u64> {
        Ok(path.metadata()?.modified()?.duration_since(std::time::UNIX_EPOCH)?.as_secs())
    };
    ensure!(seconds(&live.join("a+b"))? == seconds(&target.join("a+b"))?, "the time of a file is lost");
    // A second run reads what changed, and nothing else.
    std::fs::write(live.join("a+b"), tree::noise(77, 5000))?;
    if kind == DavKind::Rclone {
        std::fs::remove_file(live.join("100%"))?;
    }
    let second = setup.backup("@live")?;
    tree::compare_bytes(&live, &setup.restore(&snapshot_of(&second)?, "later")?)
}

fn destination(server: &DavServer, kind: DavKind) -> Result<()> {
    let setup = Setup::with_local_repository()?;
    let folder = setup.path("folder");
    fill(&folder)?;
    // Names that the server cannot hold, which is noticed and reported.
    let not_held: &[&str] = match kind {
        // It knows both forms of an umlaut as one name.
        DavKind::Rclone => &["u\u{308}"],
        // It cuts a name that it is told to move to.
        DavKind::WsgiDav => &["what?", "&amp;<x>", "semi;colon"],
    };
    not_held.iter().try_for_each(|name| std::fs::remove_file(folder.join(name)))?;
    let long_ago = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_234_567_890);
    std::fs::File::options().write(true).open(folder.join("a+b"))?.set_modified(long_ago)?;
    setup.backup(&folder.to_string_lossy())?;
    server.add(&setup, "destination", "copy", "copy")?;
    // Modes and owners have no home there, and that is reported.
    setup.credenza.run(["restore", "latest", "--to", "@copy"])?.expect_code(3)?;
    let copy = server.data().join("copy");
    tree::compare_bytes(&folder, &copy)?;
    ensure!(copy.join("empty folder").is_dir(), "an empty folder is lost");
    let names = std::fs::read_dir(&copy)?.map(|entry| Ok(entry?.file_name())).collect::<Result<Vec<_>>>()?;
    ensure!(names.iter().all(|name| !name.to_string_lossy().starts_with("~credenza")), "left behind: {names:?}");
    if kind == DavKind::Rclone {
        ensure!(copy.join("a+b").metadata()?.modified()? == long_ago, "the time of a file is lost");
    }
    std::fs::write(copy.join("a+b"), b"theirs")?;
    setup.credenza.run(["restore", "latest", "--to", "@copy"])?.expect_code(3)?;
    ensure!(std::fs::read(copy.join("a+b"))? == b"theirs", "a file was overwritten unasked");
    setup.credenza.run(["restore", "latest", "--overwrite", "--to", "@copy"])?.expect_code(3)?;
    tree::compare_bytes(&folder, &copy)
}

fn wrong(server: &DavServer) -> Result<()> {
    let setup = Setup::new()?;
    server.add(&setup, "source", "none", "no such folder")?;
    let reported = setup.credenza.run(["source", "check", "none"])?;
    ensure!(reported.code != Some(0) && reported.whole().contains("no such folder"), "{}", reported.whole());
    let words = ["source", "set", "none", "password=not-the-password-at-all"];
    setup.credenza.ok(words)?;
    let reported = setup.credenza.run(["source", "check", "none"])?;
    ensure!(reported.code != Some(0) && reported.whole().contains("set user and password"), "{}", reported.whole());
    ensure!(!reported.whole().contains("not-the-password-at-all"), "a secret was printed");
    Ok(())
}

fn files_below(folder: &Path) -> Result<usize> {
    let mut count = 0;
    for item in std::fs::read_dir(folder)? {
        let path = item?.path();
        count += if path.is_dir() { files_below(&path)? } else { 1 };
    }
    Ok(count)
}

#[test]
fn a_component_is_tested_at_a_live_server_and_no_file_is_left_there() -> Result<()> {
    let (server, setup) = (DavServer::start(DavKind::Rclone)?, Setup::new()?);
    let place = server.data().join("live");
    std::fs::create_dir_all(&place)?;
    let component = workspace().join("target/connectors/webdav.wasm").to_string_lossy().into_owned();
    let (location, (user, password)) = (format!("webdav://{}/live", server.host), &server.user);
    let (user, password) = (format!("user={user}"), format!("password={password}"));
    let base = [
        "--json",
        "connector",
        "test",
        &component,
        "--live",
        &location,
        "-o",
        "use_tls=false",
        "-o",
        &user,
        "-o",
        &password,
    ];
    let test = |more: &[&str]| setup.credenza.run([&base[..], more].concat());
    let unasked = test(&["--only", "store.put"])?.expect_code(2)?;
    ensure!(unasked.stderr.contains("--yes"), "{}", unasked.stderr);
    ensure!(std::fs::read_dir(&place)?.next().is_none(), "something was written before anybody agreed");
    for only in [
        "store.put",
        "store.list.prefix",
        "source.scan.all",
        "source.read",
        "destination.write",
        "destination.overwrite",
    ] {
        let tested = test(&["--yes", "--only", only])?.expect_code(0)?;
        let cases = tested.lines_of("connector_case")?;
        ensure!(cases.iter().any(|case| case["outcome"] == "passed"), "{only}: {}", tested.stdout);
        ensure!(tested.stderr.contains("credenza-kit-"), "{}", tested.stderr);
        ensure!(files_below(&place)? == 0, "{only} left files in {}", place.display());
    }
    std::fs::write(place.join("My Own File.txt"), "precious")?;
    let full = test(&["--yes", "--only", "store.put"])?.expect_code(2)?;
    ensure!(full.stderr.contains("is not empty"), "{}", full.stderr);
    ensure!(files_below(&place)? == 1, "what was there was touched");
    Ok(())
}
