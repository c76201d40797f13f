//! What a copy of a bucket of small objects costs: through a backup and a restore, and by `rclone sync`, in turn against one SeaweedFS.
//!
//! The copy of credenza leaves a repository with a snapshot behind, and is whole at the end; that of rclone goes through the client as well, since
//! its two remotes are not the same. Pairs run in one go with the order changed each time, and the median of the ratios is what counts.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use credenza_e2e::s3::S3;
use credenza_e2e::servers::{Kind, RealServer};
use credenza_e2e::{Setup, tree, workspace};

use crate::report::{median, seconds, verdict, write};

const OBJECTS: u64 = 5000;
const OBJECT_BYTES: u64 = 2048;
const PAIRS: usize = 3;
/// Time of backup and restore over time of the sync.
const RATIO_MAX: f64 = 1.0;
pub(crate) const SOURCE: &str = "source";
const WRITERS: u64 = 16;

/// Measures, prints the pairs, and says whether the medians hold.
pub(crate) fn measure() -> Result<bool> {
    let server = RealServer::start(Kind::SeaweedFs)?;
    fill(&server.s3, OBJECTS)?;
    write(&format!("Copy of {OBJECTS} objects of {OBJECT_BYTES} bytes: backup and restore, and rclone sync"))?;
    let as_it_comes = compare(&server, "as it comes", &[])?;
    let alike = compare(&server, "with 32 transfers", &["--transfers=32", "--checkers=32"])?;
    Ok(as_it_comes && alike)
}

/// Makes the bucket, with so many objects.
pub(crate) fn fill(s3: &S3, objects: u64) -> Result<()> {
    s3.create_bucket(SOURCE)?;
    std::thread::scope(|scope| {
        let put = |writer: u64| -> Result<()> {
            let own = (0..objects).filter(|number| number % WRITERS == writer);
            own.into_iter().try_for_each(|number| s3.put(SOURCE, &key(number), tree::noise(number, OBJECT_BYTES), &[]))
        };
        let writers: Vec<_> = (0..WRITERS).map(|writer| scope.spawn(move || put(writer))).collect();
        writers.into_iter().try_for_each(|writer| writer.join().map_err(|_| anyhow::anyhow!("a writer panicked"))?)
    })
}

fn key(number: u64) -> String {
    format!("{:02}/object-{number:05}", number % 50)
}

fn compare(server: &RealServer, name: &str, flags: &[&str]) -> Result<bool> {
    write(&format!("  pair    rclone sync {name}      credenza   ratio"))?;
    let mut ratios = Vec::new();
    for pair in 0..PAIRS {
        let (rclone, credenza) = if pair % 2 == 0 {
            let rclone = sync(server, flags)?;
            (rclone, copy(server)?)
        } else {
            let credenza = copy(server)?;
            (sync(server, flags)?, credenza)
        };
        let ratio = credenza.as_secs_f64() / rclone.as_secs_f64();
        write(&format!("  {:<4} {}   {}   {ratio:.2}", pair + 1, seconds(rclone), seconds(credenza)))?;
        ratios.push(ratio);
    }
    verdict(&format!("median ratio against rclone {name}"), median(&mut ratios)?, RATIO_MAX, "")
}

/// A bucket of its own for each copy: what is overwritten costs otherwise.
fn fresh_bucket(s3: &S3) -> Result<String> {
    let instant = std::time::UNIX_EPOCH.elapsed()?.as_nanos();
    let bucket = format!("copy-{instant}");
    s3.create_bucket(&bucket)?;
    Ok(bucket)
}

fn copy(server: &RealServer) -> Result<Duration> {
    let bucket = fresh_bucket(&server.s3)?;
    let setup = Setup::with_local_repository()?;
    setup.add("source", "from", server.s3.endpoint(), SOURCE)?;
    setup.add("destination", "to", server.s3.endpoint(), &bucket)?;
    let begun = Instant::now();
    setup.credenza.ok(["backup", "@from"])?;
    setup.credenza.ok(["restore", "latest", "--to", "@to"])?;
    let took = begun.elapsed();
    expect_copied(&server.s3, &bucket)?;
    Ok(took)
}

fn sync(server: &RealServer, flags: &[&str]) -> Result<Duration> {
    let bucket = fresh_bucket(&server.s3)?;
    let mut command = Command::new(rclone()?);
    let endpoint = server.s3.endpoint();
    command.args(["--config=/dev/null", "sync", &format!("from:{SOURCE}"), &format!("to:{bucket}")]).args(flags);
    for remote in ["FROM", "TO"] {
        let settings = [
            ("TYPE", "s3"),
            ("PROVIDER", "SeaweedFS"),
            ("ENDPOINT", &endpoint.url),
            ("ACCESS_KEY_ID", &endpoint.access_key),
            ("SECRET_ACCESS_KEY", &endpoint.secret_key),
            ("REGION", &endpoint.region),
        ];
        command.envs(settings.map(|(name, value)| (format!("RCLONE_CONFIG_{remote}_{name}"), value)));
    }
    let begun = Instant::now();
    let outcome = command.output().with_context(|| format!("cannot run {command:?}"))?;
    let took = begun.elapsed();
    ensure!(outcome.status.success(), "{command:?}: {}", String::from_utf8_lossy(&outcome.stderr));
    expect_copied(&server.s3, &bucket)?;
    Ok(took)
}

/// Where `tests/servers/install.sh` put it.
fn rclone() -> Result<PathBuf> {
    let script = "source \"$0\"; program_of rclone rclone";
    let library = workspace().join("tests/servers/lib.sh");
    let outcome = Command::new("bash").arg("-c").arg(script).arg(library).output()?;
    ensure!(outcome.status.success(), "{}", String::from_utf8_lossy(&outcome.stderr));
    Ok(String::from_utf8_lossy(&outcome.stdout).trim().into())
}

fn expect_copied(s3: &S3, bucket: &str) -> Result<()> {
    let objects = s3.keys(bucket, "")?.len() as u64;
    ensure!(objects == OBJECTS, "{objects} of {OBJECTS} objects were copied");
    Ok(())
}
