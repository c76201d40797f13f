//! The scripts of `tests/servers` and the independent client: each real server starts, serves and ends.

use anyhow::{Result, ensure};
use credenza_e2e::Report;
use credenza_e2e::bucket::{TAME_KEYS, put_tame, read_all};
use credenza_e2e::servers::{Kind, RealServer};

#[test]
fn real_servers_keep_tame_keys() {
    let mut report = Report::default();
    for kind in [Kind::SeaweedFs, Kind::SeaweedFsTls, Kind::MiniStack, Kind::Rclone] {
        report.scenario(&format!("{kind:?}"), || serves(kind));
    }
    report.finish();
}

fn serves(kind: Kind) -> Result<()> {
    let server = RealServer::start(kind)?;
    server.s3.create_bucket("tame")?;
    put_tame(&server.s3, "tame", "prefix/")?;
    let objects = read_all(&server.s3, "tame", "prefix/")?;
    ensure!(objects.len() == TAME_KEYS.len() + 1, "{:?}", objects.keys());
    ensure!(objects.values().all(|body| body.len() >= 1000));
    Ok(())
}
