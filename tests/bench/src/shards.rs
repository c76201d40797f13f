//! What it costs to share a backup: a bucket by one process, and by several at once and the merge of their parts, in turn.
//!
//! Each first backup goes to a repository of its own in a folder. Pairs run with the order changed each time, and the median of the ratios is what counts.
//! What each process does for itself (it derives the key, looks for its borders, lists its range) is the same whatever objects hold: so small ones are told,
//! and larger ones are held to the limit.

use anyhow::{Result, ensure};
use credenza_e2e::{Setup, number};

use crate::cpu::{Cost, cost_of};
use crate::report::{median, seconds, verdict, write};
use crate::server::Server;

const OBJECTS: u64 = 20_000;
/// Told, and held to the limit.
const OBJECT_BYTES: [u64; 2] = [16 * 1024, 256 * 1024];
const PROCESSES: u32 = 4;
const PAIRS: usize = 3;
/// CPU of all processes and of the merge over that of one process.
const RATIO_MAX: f64 = 1.1;
/// What the processes call their backup.
const GROUP: &str = "night";

/// Measures, prints the pairs, and says whether the median of the larger objects holds.
pub(crate) fn measure() -> Result<bool> {
    let [small, large] = OBJECT_BYTES;
    write(&format!("  median ratio {:.3}", median(&mut ratios(small)?)?))?;
    verdict("median ratio", median(&mut ratios(large)?)?, RATIO_MAX, "")
}

/// The ratio of each pair for objects of so many bytes.
fn ratios(object_bytes: u64) -> Result<Vec<f64>> {
    let server = Server::start(OBJECTS, object_bytes)?;
    let setup = Setup::new()?;
    let mut bucket = ["source", "add", "bucket"].map(str::to_owned).to_vec();
    bucket.extend(server.settings().into_iter().map(|setting| setting.trim_start_matches("location=").to_owned()));
    setup.credenza.ok(bucket)?;
    write(&format!(
        "First backup of {OBJECTS} objects of {object_bytes} bytes: by one process, and by {PROCESSES} at once and a merge"
    ))?;
    // Fills the cache of compiled code.
    setup.credenza.ok(["browse", "@bucket"])?;
    write("  pair       one: CPU       wall   shared: CPU       wall   ratio of CPU")?;
    let mut ratios = Vec::new();
    for pair in 0..PAIRS {
        let (one, shared) = if pair % 2 == 0 {
            let one = backed_up(&setup, alone)?;
            (one, backed_up(&setup, shared)?)
        } else {
            let shared = backed_up(&setup, shared)?;
            (backed_up(&setup, alone)?, shared)
        };
        let ratio = shared.cpu.as_secs_f64() / one.cpu.as_secs_f64();
        let costs = [one.cpu, one.wall, shared.cpu, shared.wall].map(seconds).join("   ");
        write(&format!("  {:<4} {costs}   {ratio:.3}", pair + 1))?;
        ratios.push(ratio);
    }
    Ok(ratios)
}

/// What a way to back the bucket up costs, into a repository that is gone afterwards.
fn backed_up(setup: &Setup, way: fn(&Setup, &str) -> Result<u64>) -> Result<Cost> {
    let folder = tempfile::tempdir()?;
    let repository = folder.path().join("repository").to_string_lossy().into_owned();
    setup.credenza.ok(["at", &repository, "create"])?;
    let (entries, cost) = cost_of(|| way(setup, &repository))?;
    ensure!(entries == OBJECTS, "{entries} of {OBJECTS} objects are in the snapshot");
    Ok(cost)
}

/// By one process; the entries of its snapshot.
fn alone(setup: &Setup, repository: &str) -> Result<u64> {
    let done = setup.credenza.ok(["--json", "at", repository, "backup", "@bucket"])?.summary()?;
    number(&done, &["entries"])
}

/// By several at once, and by the process that merges their parts.
fn shared(setup: &Setup, repository: &str) -> Result<u64> {
    let start = |number: u32| {
        let shard = format!("{number}/{PROCESSES}");
        setup.credenza.start(["at", repository, "backup", "@bucket", "--shard", &shard, "--group", GROUP])
    };
    let runs = (0..PROCESSES).map(start).collect::<Result<Vec<_>>>()?;
    runs.into_iter().try_for_each(|run| run.wait()?.expect_code(0).map(drop))?;
    let merged = setup.credenza.ok(["--json", "at", repository, "merge", GROUP])?.summary()?;
    ensure!(number(&merged, &["parts"])? == u64::from(PROCESSES), "{merged}");
    number(&merged, &["entries"])
}
