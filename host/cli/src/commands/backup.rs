//! `backup`: a snapshot of each source.

use std::ffi::OsString;
use std::fmt::{self, Display};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use credenza_app::{Kind, Place, StoreUse, environment, patterns};
use credenza_connect::Patterns;
use credenza_engine::Repository;
use credenza_engine::backup::{self, BackupOptions, BackupReport, Dated};
use credenza_format::Provenance;
use credenza_model::Timestamp;
use indicatif::HumanBytes;
use serde::Serialize;

use super::{Session, check, source_name};
use crate::failure::{Exit, Failure};
use crate::globals::path_parser;
use crate::settings::{SettingWord, parse_settings};
use crate::shell::place_word;

/// Snapshots dated after now that are named; of more, the number is reported.
const AHEAD_TOLD_MAX: usize = 3;

/// Said once a snapshot, where the store does not let these credentials delete.
const NOT_DELETED: &str = "note: these credentials may not delete, so the record of what this run relied on stays behind; `maintain`, with credentials that may, clears it away when it is a week old";

/// Back up folders, buckets or configured sources, each into a snapshot of its own.
#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// Folders, locations such as s3://host/bucket, or @name; without any, the current folder.
    #[arg(value_name = "SOURCE")]
    sources: Vec<OsString>,

    /// Mark the snapshot; may be given several times.
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,

    /// Leave out what matches this pattern (gitignore syntax); may be given several times.
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<OsString>,

    /// Leave out what matches the patterns in this file, one a line, as in a .gitignore in the root of the source.
    #[arg(long, value_name = "FILE", value_parser = path_parser())]
    exclude_file: Vec<PathBuf>,

    /// Stay on the file system of the source: what is mounted below it is kept as an empty folder.
    #[arg(short = 'x', long)]
    one_file_system: bool,

    /// Read every content again, also where size and times say that nothing has changed.
    ///
    /// A program that writes into a mapped file (mmap), such as some databases, can change it without its times moving; so can a
    /// damaged disk. Such files are noticed by nothing but this.
    #[arg(long)]
    reread: bool,

    /// Record this name of the machine instead of its own: in containers, which are called otherwise at each run.
    ///
    /// The name is part of what a folder's history goes by: with the same one, a folder is the same source.
    #[arg(long, value_name = "NAME", value_parser = source_name::parse_host)]
    host: Option<String>,

    /// Call the source so, wherever it is: its history goes on under this name when it is moved or mounted elsewhere.
    ///
    /// `prune` groups by the machine's name too: where that changes as well, give --host with it.
    #[arg(long = "as", value_name = "NAME", value_parser = source_name::parse_source)]
    source_as: Option<String>,

    /// Whose metadata to read: of what is new or changed, or of everything, because tags and the like change without a trace.
    #[arg(long, value_enum, default_value_t = Metadata::Changed)]
    metadata: Metadata,

    /// Only say what would be read.
    #[arg(long)]
    dry_run: bool,

    /// Back up to a repository without encryption: whoever can read its location can read the backups.
    #[arg(long)]
    plaintext: bool,

    /// Verify the repository's structure afterwards.
    #[arg(long, conflicts_with = "dry_run")]
    check: bool,

    /// A setting of the sources, as key=value; may be given several times. One of the repository stands before the command.
    #[arg(short = 'o', long = "source-option", value_name = "KEY=VALUE")]
    settings: Vec<SettingWord>,
}

/// Whose metadata a backup reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Metadata {
    /// Of new and changed entries.
    Changed,
    /// Of all entries: one more request each where the listing does not tell it.
    Full,
}

/// What a backup did.
#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Summary {
    #[serde(flatten)]
    report: BackupReport,
    /// As `at` takes it.
    #[serde(skip)]
    repository: String,
    requests: Requests,
}

/// Requests that really went out, retries included.
#[derive(Serialize)]
struct Requests {
    source: u64,
    store: u64,
}

impl Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = &self.report;
        match &report.snapshot {
            Some(id) => write!(f, "snapshot {id}")?,
            None => f.write_str("dry run, nothing written")?,
        }
        write!(f, ": {} entries, {} read ({})", report.entries, report.read, HumanBytes(report.bytes_read))?;
        write!(f, ", {} unchanged, {} added", report.unchanged, HumanBytes(report.bytes_added))?;
        if self.requests.source + self.requests.store > 0 {
            write!(f, ", {} + {} requests (source + repository)", self.requests.source, self.requests.store)?;
        }
        if report.referenced > 0 {
            write!(f, "; {} entries are recorded without their content", report.referenced)?;
        }
        if report.changed > 0 {
            write!(f, "; {} entries changed at each read and may be kept torn", report.changed)?;
        }
        if report.errors > report.changed {
            write!(f, "; {} entries could not be read", report.errors - report.changed)?;
        }
        if !report.damages.is_empty() {
            write!(
                f,
                "\n{} objects of the repository are damaged, which this snapshot does without: see `check`",
                report.damages.len()
            )?;
        }
        report.ahead.iter().rev().take(AHEAD_TOLD_MAX).try_for_each(|dated| self.tell_ahead(dated, f))?;
        match report.ahead.len().saturating_sub(AHEAD_TOLD_MAX) {
            0 => Ok(()),
            more => write!(f, "\n{more} more snapshots are dated after now: credenza at {} ls", self.repository),
        }
    }
}

impl Summary {
    fn tell_ahead(&self, Dated { snapshot: id, time }: &Dated, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = Timestamp { nanoseconds: 0, ..*time };
        let place = &self.repository;
        match self.report.snapshot == Some(*id) {
            true => write!(
                f,
                "\nsnapshot {id} is dated {time} by the store's clock, after now by that of this machine: set right whichever is wrong"
            ),
            false => write!(
                f,
                "\nsnapshot {id} is dated {time}, after now by the clocks of the store and of this machine: if these are right it was made by a wrong one, and `latest` is refused while it may be the newest; remove it then with `credenza at {place} rm {id}`"
            ),
        }
    }
}

impl Backup {
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let words = if self.sources.is_empty() { vec![OsString::from(".")] } else { self.sources.clone() };
        if self.source_as.is_some() && words.len() > 1 {
            return Err(Failure::usage("--as gives one name to more than one source")
                .hint("back them up one by one, each with a name of its own"));
        }
        let settings = parse_settings(&self.settings)?;
        let excludes = patterns::gather(&self.exclude, &self.exclude_file)?;
        let places = words.iter().map(|word| session.places(Kind::Source, word, settings.clone()));
        let places = places.collect::<Result<Vec<(Place, Place)>, _>>()?;
        let Some((repository, _)) = places.first().cloned() else { return Ok(Exit::Done) };
        let signing_key = session.signing_key(&repository)?;
        let open = session.open_repository(repository, StoreUse::Write).await?;
        session.app.require_encryption(&open, self.plaintext)?;
        let mut exit = Exit::Done;
        // What opening the repository cost belongs to the first of the snapshots.
        let mut requests_told = 0;
        for (_, place) in places {
            let source = session.app.source(&place, self.host.as_deref()).await?;
            let options = BackupOptions {
                signing_key: signing_key.clone(),
                ..self.options(&place, &excludes, source.provenance.clone())
            };
            if !self.dry_run {
                session.app.keep_connector(&open.repository, &source).await?;
            }
            let report =
                backup::run(&open.repository, source.connector.clone(), &options, &session.run_context()).await?;
            let requests = Requests { source: source.requests(), store: open.store.requests() - requests_told };
            requests_told = open.store.requests();
            if report.errors > 0 {
                exit = exit.max(Exit::Incomplete);
            }
            session.reporter.despite(&report.damages, &place_word(&open.place));
            if report.intents_left > 0 {
                session.reporter.note(NOT_DELETED.to_owned());
            }
            if let Some(other) = &report.compared_with {
                session
                    .reporter
                    .note(source_name::begun_anew(other, &self.host.clone().unwrap_or_else(environment::host_name)));
            }
            let summary = Summary { report, repository: open.place.text(), requests };
            session.reporter.done_or_planned(!self.dry_run, &summary)?;
        }
        if self.check {
            exit = exit.max(self.verify(&open.repository, session).await?);
        }
        Ok(exit)
    }

    fn options(&self, place: &Place, excludes: &Patterns, provenance: Provenance) -> BackupOptions {
        BackupOptions {
            location: place.text(),
            tags: self.tag.clone(),
            excludes: excludes.clone(),
            one_file_system: self.one_file_system,
            reread: self.reread,
            metadata_of_all: self.reread || self.metadata == Metadata::Full,
            dry_run: self.dry_run,
            host: environment::host_name(),
            host_as: self.host.clone(),
            source_as: self.source_as.clone(),
            user: environment::user_name(),
            provenance,
            compression: None,
            signing_key: None,
        }
    }

    async fn verify(&self, repository: &Repository, session: &Session<'_>) -> Result<Exit, Failure> {
        check::verify(repository, None, session).await
    }
}
