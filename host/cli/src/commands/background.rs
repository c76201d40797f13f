//! `--daemon`: what is shown goes on in the background once it is there.
//!
//! A second process of the program does it: the first passes on what that one says until snapshots are shown, and ends. A secret is asked for as
//! usual meanwhile, and a failure ends both with its exit code. What the second one says later is in a log of its own, in the folder of records;
//! where none can be written, it says so and goes on.
//!
//! Owned here: the two processes, and their logs. Refused here: what is shown. Called by `mount` and `serve`.
//!
//! Bound: a log for each process that runs, or has ended within [`LOGS_KEPT`]; a process says each thing once.

use std::ffi::OsString;
use std::fmt::{self, Display};
use std::fs::{self, DirBuilder, File};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use clap::Args;
use credenza_app::environment;
use credenza_app::shell::shell_word;
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use serde::Serialize;

use super::Session;
use crate::failure::{Exit, Failure};

/// The option that the first process was given, and the one that the second has in its place.
const DAEMON: &str = "--daemon";
const DETACHED: &str = "--detached";

/// How long what the second process has said before it left may take to be passed on. What it has started may hold its standard error.
const PASSED_ON: Duration = Duration::from_secs(5);

/// The folder of the logs, in that of records.
const LOGS: &str = "background";
/// How long the log of a process that has ended is kept.
const LOGS_KEPT: Duration = Duration::from_hours(7 * 24);

/// How the second process may fail.
const FAILURES: [Exit; 9] = [
    Exit::Failed,
    Exit::Usage,
    Exit::Incomplete,
    Exit::NoRepository,
    Exit::Conflict,
    Exit::WrongPassphrase,
    Exit::DamageFound,
    Exit::ContractBroken,
    Exit::Interrupted,
];

/// Whether it goes on in the background.
#[derive(Debug, Args)]
pub(crate) struct Background {
    /// Go on in the background as soon as snapshots are shown. How it ends is printed.
    #[arg(long)]
    daemon: bool,

    /// This is the process in the background.
    #[arg(long, hide = true, conflicts_with = "daemon")]
    detached: bool,
}

/// That it goes on in the background.
#[derive(Serialize)]
#[serde(tag = "type", rename = "background")]
struct BackgroundLine {
    pid: u32,
    /// What it says from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<String>,
}

impl BackgroundLine {
    fn of(pid: u32, log: Option<PathBuf>) -> Self {
        Self { pid, log: log.map(|path| path.to_string_lossy().into_owned()) }
    }
}

impl Display for BackgroundLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "in the background; end: kill {}", self.pid)?;
        match &self.log {
            Some(log) => write!(f, "   what its readers meet: cat {}", shell_word(log)),
            None => Ok(()),
        }
    }
}

impl Background {
    /// Whether another process is to do it.
    pub(super) const fn is_asked_for(&self) -> bool {
        self.daemon
    }

    /// Starts the other process, and passes on what it says until it has left.
    ///
    /// # Errors
    /// When it cannot be started. Where it fails, its exit code is that of both.
    pub(super) fn start() -> Result<Exit, Failure> {
        let failed =
            |cause: io::Error| Failure::new("nothing could be started in the background").because(cause.to_string());
        let words = std::env::args_os().skip(1);
        let words = words.map(|word| if word == DAEMON { OsString::from(DETACHED) } else { word });
        let program = std::env::current_exe().map_err(failed)?;
        let mut command = Command::new(program);
        let mut child = command.args(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(failed)?;
        let last = last_lines(child.id());
        let errors = child.stderr.take();
        let (passed_on, all_passed_on) = mpsc::channel();
        std::thread::spawn(move || {
            let _ = errors.map(|mut errors| io::copy(&mut errors, &mut io::stderr()));
            let _ = passed_on.send(());
        });
        let printed = child.stdout.take().map(BufReader::new).into_iter().flat_map(BufRead::lines);
        for printed in printed {
            let printed = printed.map_err(failed)?;
            writeln!(io::stdout(), "{printed}").map_err(failed)?;
            if last.contains(&printed) {
                let _ = all_passed_on.recv_timeout(PASSED_ON);
                return Ok(Exit::Done);
            }
        }
        let ended = child.wait().map_err(failed)?;
        // It has said why, once all is passed on.
        let _ = all_passed_on.recv();
        let same = |exit: &Exit| ended.code() == Some(*exit as i32);
        Ok(FAILURES.into_iter().chain([Exit::Done]).find(same).unwrap_or(Exit::Failed))
    }

    /// Leaves the terminal, in the process that is to. What is said afterwards is in its log, where there is one.
    ///
    /// # Errors
    /// When the line cannot be printed, or the terminal not be left.
    pub(super) fn leave(&self, session: &Session<'_>) -> Result<(), Failure> {
        if self.detached {
            rustix::process::setsid().map_err(|cause| {
                Failure::new("the terminal cannot be left").because(io::Error::from(cause).to_string())
            })?;
            let pid = std::process::id();
            let log = log_of(pid).and_then(|path| match open_log(&path) {
                Ok(log) => Some((log, path)),
                Err(cause) => {
                    session.reporter.warning(format!(
                        "what is said in the background is lost: its log {} cannot be written: {cause}",
                        path.display()
                    ));
                    None
                }
            });
            let (log, path) = log.unzip();
            session.reporter.at_once(&BackgroundLine::of(pid, path))?;
            give_back_terminal(log.as_ref())
                .map_err(|cause| Failure::new("the terminal cannot be left").because(cause.to_string()))?;
        }
        Ok(())
    }
}

/// Reads from nothing and writes to the log alone from now on, so that whoever waits for what is said knows that it is all.
fn give_back_terminal(log: Option<&File>) -> io::Result<()> {
    let nothing = File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&nothing)?;
    rustix::stdio::dup2_stdout(log.unwrap_or(&nothing))?;
    rustix::stdio::dup2_stderr(log.unwrap_or(&nothing))?;
    Ok(())
}

/// Where a process in the background writes what it says; none for a user without a home.
fn log_of(pid: u32) -> Option<PathBuf> {
    Some(environment::state_folder()?.join(LOGS).join(format!("{pid}.log")))
}

/// The log of this process, empty. Those of processes that ended long ago go, where they can.
fn open_log(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        remove_old_logs(folder);
    }
    // Several descriptors write to it, each at its end.
    fs::remove_file(path).or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })?;
    File::options().append(true).create_new(true).mode(0o600).open(path)
}

fn remove_old_logs(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let pid = path.file_stem().and_then(|pid| pid.to_str()?.parse().ok()).and_then(Pid::from_raw);
        let runs = pid.is_some_and(|pid| test_kill_process(pid) != Err(Errno::SRCH));
        let age =
            fs::metadata(&path).and_then(|status| status.modified()).map(|time| time.elapsed().unwrap_or_default());
        // Another process may be at the same.
        if !runs && age.is_ok_and(|age| age > LOGS_KEPT) {
            let _ = fs::remove_file(&path);
        }
    }
}

/// What a process prints last, with `--json` or without, and with a log or without.
fn last_lines(pid: u32) -> Vec<String> {
    let lines = [log_of(pid), None].map(|log| BackgroundLine::of(pid, log));
    lines.iter().flat_map(|line| [line.to_string(), serde_json::to_string(line).unwrap_or_default()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_can_write_no_log_says_so_and_is_heard_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "no folder").unwrap();
        assert!(open_log(&file.join("1.log")).is_err());
        let log = folder.path().join("logs/1.log");
        assert!(open_log(&log).is_ok() && log.is_file());
        let without = BackgroundLine::of(1, None);
        let last = last_lines(1);
        assert!(last.contains(&without.to_string()) && last.contains(&serde_json::to_string(&without).unwrap()));
        assert!(!without.to_string().contains("cat"), "{without}");
    }
}
