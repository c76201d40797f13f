//! `dump`: a part of a snapshot as one archive.

use std::ffi::OsString;
use std::fmt::{self, Display};
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use credenza_app::{SnapshotPath, StoreUse};
use credenza_engine::Parts;
use credenza_engine::archive::{self, ArchiveFormat, ArchiveReport, Chosen};
use serde::Serialize;

use super::Session;
use super::newest::Newest;
use crate::failure::{Exit, Failure};
use crate::globals::path_parser;
use crate::report::{Bytes, Reporter, printable};

/// Write a snapshot, or what lies at or under a path in it, as a tar or zip; every byte is verified before it goes out.
///
/// Names that would lead elsewhere when they are unpacked, and keys that are no paths, are written as `%~…`, in the form in which a restore to a folder
/// writes them. Where something is damaged the archive ends there, no program takes it for whole, and the exit code is 20.
#[derive(Debug, Args)]
pub(crate) struct Dump {
    /// `latest` or the first digits of a snapshot's id; behind a colon, a path in it.
    #[arg(value_name = "SNAPSHOT[:PATH]")]
    snapshot: OsString,

    #[command(flatten)]
    newest: Newest,

    /// The form of the archive; by the end of --output's name, else tar.
    #[arg(long, value_enum)]
    format: Option<Format>,

    /// Write it to this new file, and not to standard output.
    #[arg(long, value_name = "FILE", value_parser = path_parser())]
    output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// With mode, owner, times, extended attributes, links and devices.
    Tar,
    /// For everybody: mode, owner, time to the second, links.
    Zip,
}

/// What was written to a file.
#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Summary {
    output: String,
    entries: u64,
    bytes: u64,
}

impl Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "wrote {} entries, {}, to {}", self.entries, Bytes(self.bytes), printable(&self.output))
    }
}

impl Dump {
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let path = SnapshotPath::parse(&self.snapshot)?;
        if self.output.is_none() && io::stdout().is_terminal() {
            return Err(Failure::usage("an archive is no text for a terminal")
                .hint("write it to a file: --output FILE.tar, or send it on: | tar -x -C FOLDER"));
        }
        let open = session.open_healthy(StoreUse::Read).await?;
        let snapshot = self.newest.find(&open, &path.snapshot, session).await?;
        let view = open.repository.view().await?;
        let located = path.locate(&view, &snapshot).await?;
        let format = match self.format() {
            Format::Tar => ArchiveFormat::Tar,
            Format::Zip => ArchiveFormat::Zip,
        };
        let mut out: Box<dyn Write + Send + '_> = match &self.output {
            None => Box::new(Standard(session.reporter)),
            Some(path) => Box::new(BufWriter::new(File::create_new(path).map_err(|error| {
                Failure::new(format!("{} cannot be made", path.display())).because(error.to_string())
            })?)),
        };
        let context = session.run_context();
        let chosen = Chosen { snapshot, parts: Parts::under(located.key) };
        let report = archive::write(&view, &[chosen], format, &mut *out, &context).await?;
        drop(out);
        tell(&report, session.reporter);
        if let Some(path) = &self.output {
            let output = path.to_string_lossy().into_owned();
            session.reporter.done(&Summary { output, entries: report.entries, bytes: report.bytes });
        }
        Ok(if report.unread > 0 { Exit::Incomplete } else { Exit::Done })
    }

    fn format(&self) -> Format {
        let is_zip = |path: &PathBuf| path.extension().is_some_and(|end| end.eq_ignore_ascii_case("zip"));
        self.format.unwrap_or(if self.output.as_ref().is_some_and(is_zip) { Format::Zip } else { Format::Tar })
    }
}

/// Standard output, as results go there.
struct Standard<'a>(&'a Reporter);

impl Write for Standard<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.bytes(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is not in the archive as it is in the snapshot.
fn tell(report: &ArchiveReport, reporter: &Reporter) {
    if report.renamed > 0 {
        reporter.note(format!("note: {} names are no relative paths and are written as `%~…`", report.renamed));
    }
    if report.unread > 0 {
        reporter.note(format!("note: {} entries are left out: the snapshot has no content of them", report.unread));
    }
    for (name, count) in &report.unkept {
        reporter.note(format!("note: not in the archive: {} of {count} entries", printable(name)));
    }
}
