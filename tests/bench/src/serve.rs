//! What clients of S3 get of small objects: from a snapshot that is served, and from the SeaweedFS that they were backed up from, in turn.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use credenza_e2e::front::Front;
use credenza_e2e::s3::Endpoint;
use credenza_e2e::servers::{Kind, RealServer, program};
use credenza_e2e::{Setup, tree};

use crate::copy::{SOURCE, fill};
use crate::report::{median, seconds, verdict, write};

const OBJECTS: u64 = 10_000;
const PAIRS: usize = 3;
/// Time of fetching all from the snapshot over that from SeaweedFS.
const RATIO_MAX: f64 = 2.0;

/// Measures, prints the pairs, and says whether the median holds.
pub(crate) fn measure() -> Result<bool> {
    let server = RealServer::start(Kind::SeaweedFs)?;
    fill(&server.s3, OBJECTS)?;
    let setup = Setup::with_local_repository()?;
    setup.add("source", "from", server.s3.endpoint(), SOURCE)?;
    setup.backup("@from")?;
    let front = Front::start(&setup.credenza, &["s3", "latest"])?;
    write(&format!("{OBJECTS} objects by rclone: from SeaweedFS, and from a snapshot"))?;
    let mut ratios = Vec::new();
    for pair in 0..PAIRS {
        let there = || fetch(&setup, server.s3.endpoint(), SOURCE, "there");
        let here = || fetch(&setup, &front.endpoint(), front.text("bucket"), "here");
        let (there, here) = if pair % 2 == 0 {
            let there = there()?;
            (there, here()?)
        } else {
            let here = here()?;
            (there()?, here)
        };
        let ratio = here.as_secs_f64() / there.as_secs_f64();
        write(&format!("  {:<4} {}   {}   {ratio:.2}", pair + 1, seconds(there), seconds(here)))?;
        ratios.push(ratio);
    }
    tree::compare_bytes(&setup.path("there"), &setup.path("here"))?;
    front.end()?;
    verdict("median ratio", median(&mut ratios)?, RATIO_MAX, "")
}

fn fetch(setup: &Setup, endpoint: &Endpoint, bucket: &str, to: &str) -> Result<Duration> {
    let to = setup.path(to);
    if to.exists() {
        fs::remove_dir_all(&to)?;
    }
    let mut command = Command::new(program("rclone", "rclone"));
    command.args(["--config=/dev/null", "copy", "--transfers=16", "--checkers=16", &format!("from:{bucket}")]).arg(&to);
    let settings = [
        ("TYPE", "s3"),
        ("PROVIDER", "Other"),
        ("ENDPOINT", &endpoint.url),
        ("ACCESS_KEY_ID", &endpoint.access_key),
        ("SECRET_ACCESS_KEY", &endpoint.secret_key),
        ("REGION", &endpoint.region),
    ];
    command.envs(settings.map(|(name, value)| (format!("RCLONE_CONFIG_FROM_{name}"), value)));
    let begun = Instant::now();
    let outcome = command.output().with_context(|| format!("cannot run {command:?}"))?;
    let took = begun.elapsed();
    ensure!(outcome.status.success(), "{command:?}: {}", String::from_utf8_lossy(&outcome.stderr));
    Ok(took)
}
