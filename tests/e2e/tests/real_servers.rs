//! The same round trips against real servers: a careful store, AWS-like semantics, a careless one, and TLS.

use anyhow::{Result, ensure};
use credenza_e2e::bucket::{put_tame, read_all};
use credenza_e2e::servers::{Kind, RealServer};
use credenza_e2e::{Precious, Report, Setup, number, race, scenario, snapshot_of, tree};
use std::os::unix::fs::PermissionsExt;

const BUCKET: &str = "credenza-tests";

#[test]
fn seaweedfs() -> Result<()> {
    run(Kind::SeaweedFs)
}

#[test]
fn seaweedfs_over_tls() -> Result<()> {
    run(Kind::SeaweedFsTls)
}

#[test]
fn ministack() -> Result<()> {
    run(Kind::MiniStack)
}

#[test]
fn rclone() -> Result<()> {
    run(Kind::Rclone)
}

fn run(kind: Kind) -> Result<()> {
    let server = RealServer::start(kind)?;
    server.s3.create_bucket(BUCKET)?;
    let mut report = Report::default();
    report.scenario("a folder goes into a repository in a bucket and comes back", || {
        let setup = Setup::with_s3_repository(server.s3.endpoint(), &format!("{BUCKET}/repository"))?;
        let precious = Precious::new(setup)?;
        precious.setup.check()?.expect_code(0)?;
        precious.expect_intact()
    });
    report.scenario("space is reclaimed and history is audited", || {
        scenario::space(&Setup::with_s3_repository(server.s3.endpoint(), &format!("{BUCKET}/space"))?)
    });
    if let Some(keys) = keys_raced_for(kind) {
        report.scenario("of twelve clients one creates each object", || {
            race::expect_one_winner_each(server.s3.endpoint(), BUCKET, keys)
        });
    }
    report.scenario("a bucket goes into a repository and comes back elsewhere", || buckets(&server));
    // A server on a file system takes no key that ends with `/`, and answers with a failure that may pass.
    if kind != Kind::Rclone {
        report.scenario("a folder goes into a bucket as objects and comes back", || folder_as_objects(&server));
    }
    report.scenario("a bucket of more than one page is read whole", || pages(&server));
    if kind == Kind::SeaweedFsTls {
        report.scenario("an unknown authority is refused", || unknown_authority(&server));
    }
    report.finish();
    Ok(())
}

/// None on a server that takes a create for an overwrite. SeaweedFS makes the losers wait for seconds.
fn keys_raced_for(kind: Kind) -> Option<u8> {
    match kind {
        Kind::Rclone => None,
        Kind::SeaweedFs | Kind::SeaweedFsTls => Some(3),
        Kind::MiniStack => Some(100),
    }
}

fn buckets(server: &RealServer) -> Result<()> {
    put_tame(&server.s3, BUCKET, "tame/")?;
    let setup = Setup::with_local_repository()?;
    setup.add("source", "live", server.s3.endpoint(), &format!("{BUCKET}/tame"))?;
    setup.add("destination", "copy", server.s3.endpoint(), &format!("{BUCKET}/copy"))?;
    setup.backup("@live")?;
    setup.credenza.ok(["restore", "latest", "--to", "@copy"])?;
    ensure!(read_all(&server.s3, BUCKET, "tame/")? == read_all(&server.s3, BUCKET, "copy/")?, "other objects");
    let headers = server.s3.get(BUCKET, "copy/plain")?.headers;
    let colour = headers.get("x-amz-meta-colour").and_then(|value| value.to_str().ok());
    ensure!(colour == Some("green"), "metadata is lost: {headers:?}");
    Ok(())
}

fn folder_as_objects(server: &RealServer) -> Result<()> {
    let setup = Setup::with_local_repository()?;
    let (folder, back) = (setup.path("folder"), setup.path("back"));
    tree::build_odd(&folder)?;
    // Rights of others are not taken from a bucket.
    std::fs::set_permissions(folder.join("script.sh"), std::fs::Permissions::from_mode(0o755))?;
    let place = format!("{BUCKET}/objects");
    setup.add("destination", "objects", server.s3.endpoint(), &place)?;
    setup.add("source", "objects", server.s3.endpoint(), &place)?;
    setup.backup(&folder.to_string_lossy())?;
    let reported =
        setup.credenza.run(["--json", "restore", "latest", "--to", "@objects"])?.expect_code(3)?.summary()?;
    let objects = snapshot_of(&setup.backup("@objects")?)?;
    setup.restore(&objects, "back")?;
    tree::forget_bucket(&back)?;
    match number(&reported, &["unrestored", "tree.kind"]) {
        // The server keeps nothing of a folder but that it is there, and that was reported.
        Ok(folders) => {
            ensure!(folders == 5, "{reported}");
            tree::compare_bytes(&folder, &back)
        }
        Err(_) => tree::compare(&folder, &back),
    }
}

fn pages(server: &RealServer) -> Result<()> {
    for number in 0..1100 {
        let key = format!("pages/{:02}/{number:05}", number % 7);
        server.s3.put(BUCKET, &key, tree::noise(number, 50), &[])?;
    }
    let setup = Setup::with_local_repository()?;
    setup.add("source", "live", server.s3.endpoint(), &format!("{BUCKET}/pages"))?;
    setup.backup("@live")?;
    let target = setup.restore("latest", "target")?;
    for number in 0..1100 {
        let name = format!("{:02}/{number:05}", number % 7);
        ensure!(std::fs::read(target.join(&name))? == tree::noise(number, 50), "{name} has other bytes");
    }
    Ok(())
}

fn unknown_authority(server: &RealServer) -> Result<()> {
    let setup = Setup::new()?;
    let endpoint = credenza_e2e::s3::Endpoint { ca_file: None, ..server.s3.endpoint().clone() };
    setup.add("repository", "store", &endpoint, &format!("{BUCKET}/other"))?;
    setup.credenza.run(["at", "@store", "create"])?.expect_code(1)?.expect_message(&["certificate", "ca_file"])?;
    Ok(())
}
