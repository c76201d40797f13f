//! Runs the real binary as a user would: own configuration, own cache, own home, nothing of the environment.
//!
//! A run is watched for its peak memory and ended when it hangs; what it wrote is kept for the test.

use anyhow::{Context, Result, bail, ensure};
use credenza_s3_server::Hold;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::compiled;
use crate::process::{self, Memory, memory};

/// The passphrase that every run finds in its environment.
pub const PASSPHRASE: &str = "a credenza holds what is precious, 4711";

/// A run that takes longer hangs; the largest scenario needs about a minute.
const RUN_MAX: Duration = Duration::from_secs(600);

/// How often memory and exit are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The root of the workspace.
pub fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// The binary under test: `CREDENZA_BINARY`, else `target/debug/credenza`.
pub fn binary() -> PathBuf {
    std::env::var_os("CREDENZA_BINARY").map_or_else(|| workspace().join("target/debug/credenza"), PathBuf::from)
}

/// A user of credenza: a folder with configuration, cache and home.
#[derive(Debug)]
pub struct Credenza {
    home: PathBuf,
    environment: Vec<(String, String)>,
}

impl Credenza {
    /// A user whose files are all in `home`, who knows [`PASSPHRASE`].
    ///
    /// # Errors
    /// When the folder cannot be made, or there is no binary to run.
    pub fn new(home: &Path) -> Result<Self> {
        let binary = binary();
        ensure!(binary.is_file(), "{} is missing: run `cargo build --workspace`", binary.display());
        std::fs::create_dir_all(home)?;
        let folder = |name: &str| home.join(name).to_string_lossy().into_owned();
        let environment = vec![
            ("HOME".to_owned(), folder("home")),
            ("CREDENZA_CONFIG".to_owned(), folder("config")),
            ("CREDENZA_CACHE".to_owned(), folder("cache")),
            ("CREDENZA_PASSPHRASE".to_owned(), PASSPHRASE.to_owned()),
            ("LANG".to_owned(), "C.UTF-8".to_owned()),
        ];
        let user = Self { home: home.to_path_buf(), environment };
        compiled::lend(&user.compiled())?;
        Ok(user)
    }

    fn compiled(&self) -> PathBuf {
        self.home.join("cache/compiled")
    }

    /// Sets a variable of the environment of later runs.
    pub fn set(&mut self, name: &str, value: &str) {
        self.unset(name);
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Takes a variable out of the environment of later runs.
    pub fn unset(&mut self, name: &str) {
        self.environment.retain(|(known, _)| known != name);
    }

    /// Deletes all in the cache but for what was compiled, as any user may at any time.
    ///
    /// # Errors
    /// When it cannot be deleted.
    pub fn forget_cache(&self) -> Result<()> {
        let cache = self.home.join("cache");
        if cache.exists() {
            std::fs::remove_dir_all(cache).context("cannot delete the cache")?;
        }
        compiled::lend(&self.compiled())
    }

    /// Starts a run and leaves it running.
    ///
    /// # Errors
    /// When the binary cannot be started.
    pub fn start<I: IntoIterator<Item: AsRef<OsStr>>>(&self, arguments: I) -> Result<Run> {
        self.spawn(arguments, Stdio::null())
    }

    /// Starts a run that finds `input` on its standard input and leaves it running; the input ends when what is handed back beside it is dropped.
    ///
    /// # Errors
    /// When the binary cannot be started, or reads nothing.
    pub fn start_with<I: IntoIterator<Item: AsRef<OsStr>>>(
        &self,
        arguments: I,
        input: Vec<u8>,
    ) -> Result<(Run, JoinHandle<ChildStdin>)> {
        let mut run = self.spawn(arguments, Stdio::piped())?;
        let mut pipe = run.child.stdin.take().context("a run has a standard input")?;
        // A run may end before it has read all.
        let fed = std::thread::spawn(move || {
            let _ = pipe.write_all(&input);
            pipe
        });
        Ok((run, fed))
    }

    /// Runs to the end with `input` on standard input, whatever the exit code.
    ///
    /// # Errors
    /// When the binary cannot be started or hangs.
    pub fn feed<I: IntoIterator<Item: AsRef<OsStr>>>(&self, arguments: I, input: &[u8]) -> Result<Outcome> {
        let (run, fed) = self.start_with(arguments, input.to_vec())?;
        // Dropped as soon as it is written.
        let closed = std::thread::spawn(move || drop(fed.join()));
        let outcome = run.wait()?;
        let _ = closed.join();
        compiled::keep(&self.compiled())?;
        Ok(outcome)
    }

    /// The command as this user types it, for a test that listens while it runs.
    pub fn command<I: IntoIterator<Item: AsRef<OsStr>>>(&self, arguments: I) -> Command {
        let mut command = Command::new(binary());
        command.args(arguments).env_clear().envs(self.environment.iter().map(|(k, v)| (k, v)));
        command.current_dir(&self.home);
        command
    }

    fn spawn<I: IntoIterator<Item: AsRef<OsStr>>>(&self, arguments: I, input: Stdio) -> Result<Run> {
        let mut command = self.command(arguments);
        command.stdin(input);
        Run::of(command)
    }

    /// Runs to the end, whatever the exit code.
    ///
    /// # Errors
    /// When the binary cannot be started or hangs.
    pub fn run<I: IntoIterator<Item: AsRef<OsStr>>>(&self, arguments: I) -> Result<Outcome> {
        let outcome = self.start(arguments)?.wait()?;
        compiled::keep(&self.compiled())?;
        Ok(outcome)
    }

    /// Runs to the end and demands exit code 0.
    ///
    /// # Errors
    /// When it ends with another code.
    pub fn ok<I: IntoIterator<Item: AsRef<OsStr>>>(&self, arguments: I) -> Result<Outcome> {
        self.run(arguments)?.expect_code(0)
    }
}

/// A run that may go on; when dropped, it is killed, so that a test that fails leaves nothing at work.
#[derive(Debug)]
pub struct Run {
    child: Child,
    command: String,
    stdout: Option<Pipe>,
    stderr: Option<Pipe>,
    started: Instant,
    peak_rss_bytes: u64,
}

impl Run {
    /// Starts a command that a test has made, and collects what it writes.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn of(mut command: Command) -> Result<Self> {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        let stdout = child.stdout.take().map(collect);
        let stderr = child.stderr.take().map(collect);
        let started = Instant::now();
        Ok(Self { child, command: format!("{command:?}"), stdout, stderr, started, peak_rss_bytes: 0 })
    }

    /// Sends a signal to this process.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("a process id is positive")?;
        kill_process(pid, signal).with_context(|| format!("cannot signal {}", self.command))
    }

    /// What it has printed on standard output so far, as soon as that holds `text`.
    ///
    /// # Errors
    /// When the run ends without it, or hangs.
    pub fn printed(&mut self, text: &str) -> Result<String> {
        self.printed_when(&format!("{text:?}"), |printed| printed.contains(text))
    }

    /// The whole lines that it has printed on standard output so far, as soon as there are so many.
    ///
    /// # Errors
    /// When the run ends with fewer, or hangs.
    pub fn printed_lines(&mut self, number: usize) -> Result<Vec<String>> {
        let wanted = format!("{number} lines");
        let printed = self.printed_when(&wanted, |printed| printed.matches('\n').count() >= number)?;
        Ok(printed.lines().take(number).map(str::to_owned).collect())
    }

    fn printed_when(&mut self, wanted: &str, is_there: impl Fn(&str) -> bool) -> Result<String> {
        let printed = |run: &Self| run.stdout.as_ref().map(Pipe::so_far).unwrap_or_default();
        self.until_it(&format!("printing {wanted}"), |run| is_there(&printed(run)))?;
        Ok(printed(self))
    }

    /// Returns as soon as so many requests are held at a gate: it goes on from there when that is released.
    ///
    /// # Errors
    /// When the run ends without that, or hangs.
    pub fn held(&mut self, hold: &Hold, number: usize) -> Result<()> {
        self.until(&format!("being held at {number} requests"), || hold.held() >= number)
    }

    /// Returns as soon as something has come about that it does, named for the message. What passes by must be held, or it is missed.
    ///
    /// # Errors
    /// When the run ends without that, or hangs.
    pub fn until(&mut self, wanted: &str, is_so: impl Fn() -> bool) -> Result<()> {
        self.until_it(wanted, |_| is_so())
    }

    fn until_it(&mut self, wanted: &str, is_so: impl Fn(&Self) -> bool) -> Result<()> {
        let begun = Instant::now();
        loop {
            // Asked first: what came about just before the end is seen, too.
            let has_ended = self.look()?.is_some();
            if is_so(self) {
                return Ok(());
            }
            ensure!(!has_ended, "ended without {wanted}: {}", self.so_far());
            ensure!(begun.elapsed() <= RUN_MAX, "hangs without {wanted}: {}", self.so_far());
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Command and what was written until now, for a failure message.
    fn so_far(&self) -> String {
        let [stdout, stderr] =
            [&self.stdout, &self.stderr].map(|pipe| pipe.as_ref().map(Pipe::so_far).unwrap_or_default());
        format!("{}\n--- stdout\n{}\n--- stderr\n{}", self.command, tail(&stdout), tail(&stderr))
    }

    /// The bytes of memory that it holds now.
    ///
    /// # Errors
    /// When it has ended.
    pub fn memory(&self) -> Result<u64> {
        memory(self.child.id(), Memory::Now).with_context(|| format!("no memory was measured: {}", self.command))
    }

    /// The bytes of it that are no pages of files, which the machine takes back when it likes.
    ///
    /// # Errors
    /// When it has ended.
    pub fn own_memory(&self) -> Result<u64> {
        memory(self.child.id(), Memory::Own).with_context(|| format!("no memory was measured: {}", self.command))
    }

    /// How often its threads have waited for something: while it is idle, that does not grow.
    ///
    /// # Errors
    /// When it has ended.
    pub fn waits(&self) -> Result<u64> {
        let mut waits = 0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let status = std::fs::read_to_string(task?.path().join("status"))?;
            let number = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            waits += number.with_context(|| format!("nothing is told of {}", self.command))?.trim().parse::<u64>()?;
        }
        Ok(waits)
    }

    /// How many of its system calls have read: the server of a file system reads each question of the kernel by one.
    ///
    /// # Errors
    /// When it has ended.
    pub fn reads(&self) -> Result<u64> {
        let counts = std::fs::read_to_string(format!("/proc/{}/io", self.child.id()))?;
        let number = counts.lines().find_map(|line| line.strip_prefix("syscr:"));
        Ok(number.with_context(|| format!("nothing is told of {}", self.command))?.trim().parse::<u64>()?)
    }

    /// The CPU time that it has spent, in ticks of the kernel of 10 ms.
    ///
    /// # Errors
    /// When it has ended.
    pub fn cpu(&self) -> Result<Duration> {
        process::cpu(self.child.id())
    }

    /// Waits for the end and hands back all that was written.
    ///
    /// # Errors
    /// When the run hangs; it is killed then.
    pub fn wait(mut self) -> Result<Outcome> {
        let status = loop {
            if let Some(status) = self.look()? {
                break status;
            }
            ensure!(self.started.elapsed() <= RUN_MAX, "hangs: {}", self.command);
            std::thread::sleep(LOOK_EVERY);
        };
        let text = |pipe: Option<Pipe>| pipe.map(Pipe::all).unwrap_or_default();
        Ok(Outcome {
            code: status.code(),
            stdout: text(self.stdout.take()),
            stderr: text(self.stderr.take()),
            peak_rss_bytes: self.peak_rss_bytes,
            command: std::mem::take(&mut self.command),
        })
    }

    /// The kernel keeps the high-water mark while the process lives, so the last look before the end counts.
    fn look(&mut self) -> Result<Option<ExitStatus>> {
        self.peak_rss_bytes = self.peak_rss_bytes.max(memory(self.child.id(), Memory::Peak).unwrap_or(0));
        Ok(self.child.try_wait()?)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // One that has ended is left alone; a test that fails has more to say than what fails here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a run writes, as a thread collects it.
#[derive(Debug)]
struct Pipe {
    bytes: Arc<Mutex<Vec<u8>>>,
    reading: JoinHandle<()>,
}

impl Pipe {
    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    fn all(self) -> String {
        let Self { bytes, reading } = self;
        // What was read before a thread failed is there all the same.
        let _ = reading.join();
        let bytes = std::mem::take(&mut *bytes.lock().unwrap_or_else(PoisonError::into_inner));
        String::from_utf8(bytes).unwrap_or_else(|other| String::from_utf8_lossy(other.as_bytes()).into_owned())
    }
}

fn collect(mut pipe: impl Read + Send + 'static) -> Pipe {
    let bytes = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&bytes);
    let reading = std::thread::spawn(move || {
        let mut piece = [0; 64 * 1024];
        // A pipe that breaks has nothing more to say.
        while let Ok(read @ 1..) = pipe.read(&mut piece) {
            into.lock().unwrap_or_else(PoisonError::into_inner).extend(piece.iter().take(read));
        }
    });
    Pipe { bytes, reading }
}

/// What a run left behind.
#[derive(Debug)]
pub struct Outcome {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// All of stdout.
    pub stdout: String,
    /// All of stderr.
    pub stderr: String,
    /// The most memory it held, in bytes.
    pub peak_rss_bytes: u64,
    command: String,
}

impl Outcome {
    /// Demands an exit code.
    ///
    /// # Errors
    /// With all that was written, when it is another.
    pub fn expect_code(self, code: i32) -> Result<Self> {
        ensure!(self.code == Some(code), "expected exit code {code}\n{}", self.whole());
        Ok(self)
    }

    /// Demands that stderr holds one of `texts`, upper and lower case being the same.
    ///
    /// # Errors
    /// With all that was written, when it holds none.
    pub fn expect_message(self, texts: &[&str]) -> Result<Self> {
        let stderr = self.stderr.to_lowercase();
        let found = texts.iter().any(|text| stderr.contains(&text.to_lowercase()));
        ensure!(found, "expected a message with one of {texts:?}\n{}", self.whole());
        Ok(self)
    }

    /// Demands that no more than so many bytes of memory were held.
    ///
    /// # Errors
    /// When it was more.
    pub fn expect_memory_below(self, bytes: u64) -> Result<Self> {
        let peak = self.peak_rss_bytes;
        ensure!(peak > 0, "no memory was measured\n{}", self.whole());
        ensure!(peak <= bytes, "held {peak} bytes of memory, {bytes} are allowed\n{}", self.whole());
        Ok(self)
    }

    /// The lines of `--json`.
    ///
    /// # Errors
    /// When a line of stdout is no JSON object with a `type`.
    pub fn lines(&self) -> Result<Vec<Value>> {
        let lines = self.stdout.lines().map(|line| {
            let value: Value = serde_json::from_str(line).with_context(|| format!("no JSON: {line}"))?;
            ensure!(value.get("type").is_some_and(Value::is_string), "no type: {line}");
            Ok(value)
        });
        lines.collect::<Result<_>>().with_context(|| self.whole())
    }

    /// The lines of `--json` whose `type` is `kind`.
    ///
    /// # Errors
    /// See [`Outcome::lines`].
    pub fn lines_of(&self, kind: &str) -> Result<Vec<Value>> {
        Ok(self.lines()?.into_iter().filter(|line| line.get("type").is_some_and(|found| found == kind)).collect())
    }

    /// The one summary of `--json`.
    ///
    /// # Errors
    /// When there is none or more than one.
    pub fn summary(&self) -> Result<Value> {
        match self.lines_of("summary")?.as_slice() {
            [summary] => Ok(summary.clone()),
            summaries => bail!("{} summaries\n{}", summaries.len(), self.whole()),
        }
    }

    /// Command, code and all that was written, for a failure message.
    pub fn whole(&self) -> String {
        let Self { command, code, stdout, stderr, .. } = self;
        format!("{command}\nexit code {code:?}\n--- stdout\n{}\n--- stderr\n{}", tail(stdout), tail(stderr))
    }
}

/// The last lines of a text: a run with thousands of JSON lines must not bury its failure.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines.iter().skip(lines.len().saturating_sub(60)).copied().collect::<Vec<_>>().join("\n")
}

/// A number in a JSON line, by a path of names such as `["requests", "store"]`.
///
/// # Errors
/// When there is no such number.
pub fn number(line: &Value, path: &[&str]) -> Result<u64> {
    let found = path.iter().try_fold(line, |value, name| value.get(name));
    found.and_then(Value::as_u64).with_context(|| format!("no number {path:?} in {line}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::is_alive;

    #[test]
    fn a_run_that_is_dropped_is_killed_and_waited_for() {
        let mut command = Command::new("sleep");
        command.arg("1000").stdin(Stdio::null());
        let run = Run::of(command).unwrap();
        let id = run.child.id().to_string();
        assert!(is_alive(&id));
        drop(run);
        assert!(!Path::new("/proc").join(&id).exists());
    }
}
