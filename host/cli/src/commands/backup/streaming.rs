//! A stream in the place of sources: standard input, or what a command writes.
//!
//! Called by `backup`.

use std::ffi::{OsStr, OsString};

use clap::Args;
use credenza_app::stream::Stream;

use crate::failure::Failure;

/// Which stream, and what its file is called.
#[derive(Debug, Args)]
pub(super) struct Streaming {
    /// Back up standard input, as the one file NAME of a snapshot.
    ///
    /// Whether a program before the pipe has failed cannot be seen here; --stdin-command sees it.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["sources", "stdin_command", "files_from"])]
    stdin: Option<OsString>,

    /// Back up what a command writes, as the one file NAME: `backup --stdin-command shop.sql -- pg_dump shop`.
    ///
    /// The command is run without a shell and with nothing on its standard input. If it fails there is no snapshot. A stream is read once: where the
    /// repository changes so that a backup would have to begin again, this one ends with 11.
    #[arg(long, value_name = "NAME", requires = "sources", conflicts_with = "files_from")]
    stdin_command: Option<OsString>,
}

impl Streaming {
    /// The name of the file, where a stream is to be backed up.
    pub(super) fn name(&self) -> Option<&OsStr> {
        self.stdin.as_deref().or(self.stdin_command.as_deref())
    }

    /// The stream; `words` are the command.
    pub(super) fn stream<'a>(&self, words: &'a [OsString]) -> Result<Stream<'a>, Failure> {
        match (&self.stdin_command, words) {
            (None, _) => Ok(Stream::StandardInput),
            (Some(_), [program, arguments @ ..]) => Ok(Stream::Command(program, arguments)),
            (Some(_), []) => Err(Failure::usage("--stdin-command names no command")),
        }
    }
}
