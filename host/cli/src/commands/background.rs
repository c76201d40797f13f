//! `--daemon`: what is shown goes on in the background once it is there.
//!
//! A second process of the program does it: the first passes on what that one says until snapshots are shown, and ends. A secret is asked for as
//! usual meanwhile, and a failure ends both with its exit code.
//!
//! Owned here: the two processes. Refused here: what is shown. Called by `mount` and `serve`.

use std::ffi::OsString;
use std::fmt::{self, Display};
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use clap::Args;
use serde::Serialize;

use super::Session;
use crate::failure::{Exit, Failure};

/// The option that the first process was given, and the one that the second has in its place.
const DAEMON: &str = "--daemon";
const DETACHED: &str = "--detached";

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
    /// When it cannot be started. Where it fails, this process ends with its exit code.
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
        if let Some(mut errors) = child.stderr.take() {
            // It ends with this process.
            std::thread::spawn(move || io::copy(&mut errors, &mut io::stderr()));
        }
        let printed = child.stdout.take().map(BufReader::new).into_iter().flat_map(BufRead::lines);
        for printed in printed {
            let printed = printed.map_err(failed)?;
            writeln!(io::stdout(), "{printed}").map_err(failed)?;
            if last.contains(&printed) {
                return Ok(Exit::Done);
            }
        }
        let ended = child.wait().map_err(failed)?;
        // It has said why.
        std::process::exit(ended.code().unwrap_or(1));
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
        }
        Ok(())
    }
}
