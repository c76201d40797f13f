//! `ls`: the snapshots of a repository, or the entries of one.

use std::ffi::OsString;
use std::fmt::{self, Display};

use clap::Args;
use credenza_app::SnapshotPath;
use credenza_engine::SnapshotHandle;
use credenza_format::PublicKey;
use credenza_model::{SnapshotId, Timestamp};
use indicatif::HumanBytes;
use serde::Serialize;

use super::Session;
use super::newest::{Newest, tell_ahead};
use crate::failure::{Exit, Failure};
use crate::report::{EntryLine, printable};

/// List the snapshots, or what is in one.
#[derive(Debug, Args)]
pub(crate) struct Ls {
    /// `latest` or the beginning of a snapshot's id; behind a colon, a key to list what lies at or under it.
    #[arg(value_name = "SNAPSHOT[:KEY]")]
    snapshot: Option<OsString>,

    #[command(flatten)]
    newest: Newest,

    /// Show kind, size and time of entries; with --json, their attributes too.
    #[arg(short, long)]
    long: bool,
}

/// A snapshot in the list.
#[derive(Serialize)]
#[serde(tag = "type", rename = "snapshot")]
pub(super) struct SnapshotLine<'a> {
    id: SnapshotId,
    time: Timestamp,
    source: &'a str,
    entries: u64,
    bytes: u64,
    errors: u64,
    tags: &'a [String],
    host: &'a str,
    user: &'a str,
    /// Whose signature was verified; none for an unsigned one. One whose signature does not fit is damaged.
    signer: Option<PublicKey>,
}

impl<'a> SnapshotLine<'a> {
    /// The time is the store's where there is one, for the clocks of writers differ.
    pub(super) fn new(handle: &'a SnapshotHandle) -> Self {
        let snapshot = &handle.snapshot;
        Self {
            id: snapshot.id,
            time: handle.time().unwrap_or(snapshot.finished),
            source: &snapshot.source.location,
            entries: snapshot.statistics.entries,
            bytes: snapshot.statistics.bytes,
            errors: snapshot.statistics.errors,
            tags: &snapshot.tags,
            host: &snapshot.host,
            user: &snapshot.user,
            signer: snapshot.signer,
        }
    }
}

impl Display for SnapshotLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = Timestamp { nanoseconds: 0, ..self.time };
        write!(
            f,
            "{}  {time}  {:>9} entries  {:>10}  {}",
            self.id,
            self.entries,
            HumanBytes(self.bytes).to_string(),
            printable(self.source)
        )?;
        if !self.tags.is_empty() {
            write!(f, "  [{}]", printable(&self.tags.join(", ")))?;
        }
        if self.errors > 0 {
            write!(f, "  ({} errors)", self.errors)?;
        }
        Ok(())
    }
}

impl Ls {
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        match &self.snapshot {
            None => list_snapshots(session).await,
            Some(word) => list_entries(&SnapshotPath::parse(word)?, &self, session).await,
        }
    }
}

async fn list_snapshots(session: &Session<'_>) -> Result<Exit, Failure> {
    let open = session.open_for_reading().await?;
    let snapshots = open.repository.snapshots().await?;
    for handle in &snapshots.whole {
        session.reporter.result(&SnapshotLine::new(handle))?;
    }
    tell_ahead(&snapshots, session);
    match snapshots.damaged.into_iter().next() {
        Some(unread) => Err(credenza_engine::Error::from(unread.damage).into()),
        None => Ok(Exit::Done),
    }
}

async fn list_entries(
    path: &SnapshotPath,
    Ls { newest, long, .. }: &Ls,
    session: &Session<'_>,
) -> Result<Exit, Failure> {
    let open = session.open_for_reading().await?;
    let snapshot = newest.find(&open, &path.snapshot, session).await?;
    let mut records = open.repository.view().await?.records(&snapshot, path.prefix());
    let mut found = path.prefix().is_empty();
    while let Some(record) = records.next().await? {
        if record.entry.key.is_under(path.prefix()) {
            found = true;
            session.reporter.result(&EntryLine::new(&record.entry, &record.status, *long))?;
        }
    }
    let missing = || credenza_engine::Error::NoEntry {
        snapshot: snapshot.snapshot.id.to_string(),
        key: path.key.clone().unwrap_or_default().to_string(),
    };
    if found { Ok(Exit::Done) } else { Err(missing().into()) }
}
