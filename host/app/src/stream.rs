//! Standard input or the output of a command as something to back up.
//!
//! Owned here: what a command that is run for a backup inherits. Refused here: reading it ([`StreamSource`]).

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;

use credenza_connect::{Source, StreamSource};
use credenza_model::Key;

use crate::app::App;
use crate::environment;
use crate::error::{Error, Result};
use crate::open::Opened;

/// Where a stream comes from.
#[derive(Debug, Clone, Copy)]
pub enum Stream<'a> {
    /// The standard input of this program.
    StandardInput,
    /// What a program writes to its standard output, with its arguments.
    Command(&'a OsStr, &'a [OsString]),
    /// The same in a process group of its own, so that what it starts ends with it; it cannot ask anything at the terminal. It is told by variables.
    Group(&'a OsStr, &'a [OsString], &'a [(&'static str, String)]),
}

impl App {
    /// A stream as the one file of a source. `host` is the name of the machine that it is said to be of, where it is another than its own. A command is
    /// started when it is read, without a shell, and inherits none of our secrets.
    ///
    /// # Errors
    /// When the name is not that of a file.
    pub fn stream(&self, name: &OsStr, host: Option<&str>, stream: Stream<'_>) -> Result<Opened<dyn Source>> {
        let (name, host) = (name.as_bytes(), host.map_or_else(environment::host_name, str::to_owned));
        let source = match stream {
            Stream::StandardInput => StreamSource::of_reader(name, host, std::io::stdin()),
            Stream::Command(program, arguments) | Stream::Group(program, arguments, _) => {
                let mut command = Command::new(program);
                for name in environment::SECRETS {
                    command.env_remove(name);
                }
                if let Stream::Group(.., variables) = stream {
                    command.process_group(0).envs(variables.iter().map(|(name, value)| (name, value)));
                }
                command.args(arguments);
                StreamSource::of_command(name, host, command)
            }
        };
        let source = source.map_err(|cause| Error::Connector { doing: "naming the stream", cause })?;
        Ok(Opened::built_in("stream", Arc::new(source)))
    }
}

/// The text to show and to record as the location of a stream of that name.
#[must_use]
pub fn location(name: &OsStr) -> String {
    format!("stream:{}", Key::new(name.as_bytes()))
}
