//! What looking into a mounted snapshot costs, against the disk and against reading without a mount, and what it holds in memory.

use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use credenza_e2e::{Run, Setup, can_mount, tree};

use crate::cpu::{Cost, cost_of};
use crate::report::{seconds, verdict, write};

const FILES: u64 = 100_000;
/// CPU of a warm `find`, its own and the server's, over that of the same on the disk.
const FIND_RATIO_MAX: f64 = 3.0;
const LARGE_BYTES: u64 = 1 << 30;
/// CPU of reading a file through the mount over that of `credenza cat`.
const READ_RATIO_MAX: f64 = 2.0;
/// Entries that the kernel is shown when memory is looked at.
const ENTRIES: u64 = 1_000_000;
const ENTRIES_IN_FOLDER: u64 = 1000;
const MEMORY_MAX: f64 = 150.0;

/// Measures, prints the figures, and says whether they hold.
pub(crate) fn measure() -> Result<bool> {
    if !can_mount() {
        return Ok(true);
    }
    Ok(find()? & read()? & memory()?)
}

/// A run of `mount`, which ends when it is dropped.
struct Mounted {
    run: Option<Run>,
    folder: String,
}

impl Mounted {
    fn start(setup: &Setup) -> Result<Self> {
        let folder = setup.path("mounted");
        fs::create_dir_all(&folder)?;
        let folder = folder.to_string_lossy().into_owned();
        let mut run = setup.credenza.start(["mount", &folder, "latest"])?;
        run.printed("\n")?;
        Ok(Self { run: Some(run), folder })
    }

    fn run(&self) -> Result<&Run> {
        self.run.as_ref().context("it runs")
    }

    /// What a program costs that looks into it, with what the server spends on it.
    fn cost(&self, program: &str, words: &[&str]) -> Result<Cost> {
        let before = self.run()?.cpu()?;
        let cost = cost(program, words)?;
        Ok(Cost { cpu: cost.cpu + (self.run()?.cpu()?.saturating_sub(before)), wall: cost.wall })
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Some(run) = self.run.take() {
            // What is gone needs no end.
            let _ = run.signal(rustix::process::Signal::TERM);
            let _ = run.wait();
        }
    }
}

fn cost(program: &str, words: &[&str]) -> Result<Cost> {
    let run = || -> Result<()> {
        let status = Command::new(program).args(words).stdout(Stdio::null()).status()?;
        ensure!(status.success(), "{program} {words:?}: {status}");
        Ok(())
    };
    Ok(cost_of(run)?.1)
}

fn find() -> Result<bool> {
    let setup = Setup::with_local_repository()?;
    let source = setup.path("source");
    tree::build_many(&source, FILES)?;
    setup.backup(&source.to_string_lossy())?;
    let mounted = Mounted::start(&setup)?;
    write(&format!("`find -size` over {FILES} files: CPU of find and server"))?;
    let source = source.to_string_lossy().into_owned();
    let words = |folder| [folder, "-type", "f", "-size", "+1k"];
    cost("find", &words(&source))?;
    let cold = mounted.cost("find", &words(&mounted.folder))?;
    let mut sums = (Duration::ZERO, Duration::ZERO);
    for _ in 0..5 {
        sums.0 += cost("find", &words(&source))?.cpu;
        sums.1 += mounted.cost("find", &words(&mounted.folder))?.cpu;
    }
    write(&format!("  cold {}   warm {}   disk {}", seconds(cold.cpu), seconds(sums.1 / 5), seconds(sums.0 / 5)))?;
    verdict("warm over the disk", ratio(sums.1, sums.0), FIND_RATIO_MAX, "")
}

fn read() -> Result<bool> {
    let setup = Setup::with_local_repository()?;
    let source = setup.path("source");
    fs::create_dir_all(&source)?;
    let mut file = File::create(source.join("large"))?;
    for seed in 0..LARGE_BYTES >> 24 {
        std::io::Write::write_all(&mut file, &tree::noise(seed, 1 << 24))?;
    }
    setup.backup(&source.to_string_lossy())?;
    write(&format!("A file of {LARGE_BYTES} bytes: CPU of reader and server, and time"))?;
    let mut sums = (Duration::ZERO, Duration::ZERO);
    for _ in 0..3 {
        let (_, plain) = cost_of(|| {
            let mut command = setup.credenza.command(["cat", "latest:large"]);
            ensure!(command.stdout(Stdio::null()).status()?.success());
            Ok(())
        })?;
        let mounted = Mounted::start(&setup)?;
        let there = mounted.cost("cat", &[&format!("{}/large", mounted.folder)])?;
        let line = |name: &str, cost: Cost| format!("{name} {} {}", seconds(cost.cpu), seconds(cost.wall));
        write(&format!("  {}   {}", line("credenza cat", plain), line("mount", there)))?;
        sums = (sums.0 + plain.cpu, sums.1 + there.cpu);
    }
    verdict("mount over credenza cat", ratio(sums.1, sums.0), READ_RATIO_MAX, "")
}

fn memory() -> Result<bool> {
    let setup = Setup::with_local_repository()?;
    let source = setup.path("source");
    for number in 0..ENTRIES {
        let folder = source.join(format!("{:04}", number / ENTRIES_IN_FOLDER));
        if number % ENTRIES_IN_FOLDER == 0 {
            fs::create_dir_all(&folder)?;
        }
        File::create(folder.join(format!("file-{number:07}")))?;
    }
    setup.backup(&source.to_string_lossy())?;
    let mounted = Mounted::start(&setup)?;
    let before = mounted.run()?.memory()?;
    let cost = mounted.cost("find", &[&mounted.folder, "-size", "+1k"])?;
    let after = mounted.run()?.memory()?;
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    write(&format!(
        "Memory of a mount of {ENTRIES} entries: {:.0} MiB before `find`, {} of CPU",
        mib(before),
        seconds(cost.cpu)
    ))?;
    verdict("after `find`", mib(after), MEMORY_MAX, " MiB")
}

fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64().max(f64::MIN_POSITIVE)
}
