//! `--daemon`: what is shown goes on in the background once it is there.
//!
//! A second process of the program does it: the first passes on what that one says until snapshots are shown, and ends. A secret is asked for as
//! usual meanwhile, and a failure ends both with its exit code.
//!
//! Owned here: the two processes. Refused here: what is shown. Called by `mount` and `serve`.

use std::ffi::OsString;
use std::fmt::{self, Display};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::Session;
use crate::failure::{Exit, Failure};

/// The option that the first process was given, and the one that the second has in its place.
const DAEMON: &str = "--daemon";
const DETACHED: &str = "--detached";

/// How long what the second process has said before it left may take to be passed on. What it has started may hold its standard error.
const PASSED_ON: Duration = Duration::from_secs(5);

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
}

impl Display for BackgroundLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "in the background; end: kill {}", self.pid)
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
        let line = BackgroundLine { pid: child.id() };
        let last = [line.to_string(), serde_json::to_string(&line).unwrap_or_default()];
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

    /// Leaves the terminal, in the process that is to. Nothing that is said afterwards is heard.
    ///
    /// # Errors
    /// When the line cannot be printed, or the terminal not be left.
    pub(super) fn leave(&self, session: &Session<'_>) -> Result<(), Failure> {
        if self.detached {
            rustix::process::setsid().map_err(|cause| {
                Failure::new("the terminal cannot be left").because(io::Error::from(cause).to_string())
            })?;
            session.reporter.at_once(&BackgroundLine { pid: std::process::id() })?;
            give_back_terminal()
                .map_err(|cause| Failure::new("the terminal cannot be left").because(cause.to_string()))?;
        }
        Ok(())
    }
}

/// Reads from and writes to nothing from now on, so that whoever waits for what is said knows that it is all.
fn give_back_terminal() -> io::Result<()> {
    let nothing = File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&nothing)?;
    rustix::stdio::dup2_stdout(&nothing)?;
    rustix::stdio::dup2_stderr(&nothing)?;
    Ok(())
}
