//! `ls`: the snapshots of a repository, or the entries of one.

use std::ffi::OsString;
use std::fmt::{self, Display};

use clap::Args;
use credenza_app::{Located, SnapshotPath, StoreUse};
use credenza_engine::flags::Flags;
use credenza_engine::tags::TagEdits;
use credenza_engine::view::{FolderItem, View};
use credenza_engine::{Error as EngineError, SnapshotHandle, Snapshots};
use credenza_format::PublicKey;
use credenza_model::{SnapshotId, Timestamp};
use serde::Serialize;

use super::Session;
use super::newest::{Newest, tell_ahead};
use crate::failure::{Exit, Failure};
use crate::report::{Bytes, ConnectorOut, EntryLine, PrefixLine, Zone, brief, printable};

/// Items of a folder that are read at once.
const PAGE_ITEMS: usize = 1000;

/// List the snapshots, or what is in one. With -v, also which connector read each snapshot, its digest, and what it was granted.
#[derive(Debug, Args)]
pub(crate) struct Ls {
    /// `latest`, `latest~1` (the one before it of the same source) or the first digits of a snapshot's id; behind a colon, a path in it: a key, or the
    /// path where the source was.
    #[arg(value_name = "SNAPSHOT[:PATH]")]
    snapshot: Option<OsString>,

    #[command(flatten)]
    newest: Newest,

    /// List also what lies in folders, and of a bucket with versions each of them.
    #[arg(short = 'R', long)]
    recursive: bool,

    /// Show mode, owner, size and time of entries; with --json, their attributes too.
    #[arg(short, long)]
    long: bool,

    /// Show times in UTC, as --json always does, and not in the zone of this machine.
    #[arg(long)]
    utc: bool,
}

/// A snapshot in the list.
#[derive(Serialize)]
#[serde(tag = "type", rename = "snapshot")]
struct SnapshotLine<'a> {
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
    connector: ConnectorOut<'a>,
    /// Why it is suspect, if it is.
    suspect: Option<&'a str>,
    #[serde(skip)]
    columns: &'a Columns,
}

/// How wide the columns are.
struct Columns {
    zone: Zone,
    /// Whether the connector stands below each.
    connector: bool,
    id: usize,
    time: usize,
    host: usize,
    source: usize,
}

impl Columns {
    fn of(snapshots: &Snapshots, zone: Zone, connector: bool) -> Self {
        let mut columns = Self { zone, connector, id: snapshots.short_id_digits(), time: 4, host: 4, source: 6 };
        for handle in &snapshots.whole {
            let width = |text: &str| printable(text).chars().count();
            columns.time = columns.time.max(columns.zone.minutes(time_of(handle)).len());
            columns.host = columns.host.max(width(&handle.snapshot.host));
            columns.source = columns.source.max(width(&handle.snapshot.source.location));
        }
        columns
    }

    fn heading(&self) -> String {
        let Self { id, time, host, source, .. } = self;
        format!(
            "{:id$}  {:time$}  {:host$}  {:source$}  {:>10}  {:>11}  TAGS",
            "ID", "TIME", "HOST", "SOURCE", "ENTRIES", "SIZE"
        )
    }
}

/// The time is the store's where there is one, for the clocks of writers differ.
fn time_of(handle: &SnapshotHandle) -> Timestamp {
    handle.time().unwrap_or(handle.snapshot.finished)
}

impl<'a> SnapshotLine<'a> {
    fn new(handle: &'a SnapshotHandle, flags: &'a Flags, columns: &'a Columns) -> Self {
        let snapshot = &handle.snapshot;
        Self {
            id: snapshot.id,
            time: time_of(handle),
            source: &snapshot.source.location,
            entries: snapshot.statistics.entries,
            bytes: snapshot.statistics.bytes,
            errors: snapshot.statistics.errors,
            tags: &snapshot.tags,
            host: &snapshot.host,
            user: &snapshot.user,
            signer: snapshot.signer,
            connector: ConnectorOut::new(&snapshot.connector),
            suspect: flags.suspicion(handle).map(|flag| &*flag.reason),
            columns,
        }
    }
}

impl Display for SnapshotLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Columns { zone, connector, id, time, host, source } = self.columns;
        let (digits, at) = (self.id.to_string(), zone.minutes(self.time));
        write!(
            f,
            "{digits:.id$}  {at:time$}  {:host$}  {:source$}  {:>10}  {:>11}",
            printable(self.host),
            printable(self.source),
            self.entries,
            Bytes(self.bytes)
        )?;
        if !self.tags.is_empty() {
            write!(f, "  {}", printable(&self.tags.join(", ")))?;
        }
        if self.errors > 0 {
            write!(f, "  ({} errors)", self.errors)?;
        }
        if let Some(reason) = self.suspect {
            write!(f, "  (SUSPECT: {})", brief(reason))?;
        }
        if *connector {
            write!(f, "\n{:id$}  read by {}", "", self.connector)?;
        }
        Ok(())
    }
}

impl Ls {
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        match &self.snapshot {
            None => self.list_snapshots(session).await,
            Some(word) => self.list_entries(&SnapshotPath::parse(word)?, session).await,
        }
    }

    async fn list_snapshots(&self, session: &Session<'_>) -> Result<Exit, Failure> {
        let open = session.open_healthy(StoreUse::Read).await?;
        let snapshots = self.newest.among(&open, session).await?.snapshots;
        let snapshots = TagEdits::load(&open.repository).await?.apply(snapshots);
        let flags = Flags::load(&open.repository).await?;
        let columns = Columns::of(&snapshots, Zone::new(self.utc), session.is_verbose());
        match (snapshots.whole.is_empty(), snapshots.damaged.is_empty()) {
            (false, _) => session.reporter.heading(&columns.heading())?,
            (true, true) => session.reporter.note("note: the repository holds no snapshot yet"),
            (true, false) => {}
        }
        for handle in &snapshots.whole {
            session.reporter.result(&SnapshotLine::new(handle, &flags, &columns))?;
        }
        tell_ahead(&snapshots, session);
        match snapshots.damaged.into_iter().next() {
            Some(unread) => Err(EngineError::from(unread.damage).into()),
            None => Ok(Exit::Done),
        }
    }

    async fn list_entries(&self, path: &SnapshotPath, session: &Session<'_>) -> Result<Exit, Failure> {
        let open = session.open_healthy(StoreUse::Read).await?;
        let snapshot = self.newest.find(&open, &path.snapshot, session).await?;
        let view = open.repository.view().await?;
        let located = path.locate(&view, &snapshot).await?;
        let listed = match !self.recursive && located.is_folder() {
            true => self.list_folder(&view, &snapshot, &located, session).await?,
            false => self.list_all(&view, &snapshot, &located, session).await?,
        };
        if !listed && located.key.as_bytes().is_empty() {
            session.reporter.note("note: the snapshot holds nothing");
        } else if !listed {
            session.reporter.note(format!("note: `{}` is an empty folder", located.key));
        }
        Ok(Exit::Done)
    }

    /// One level, page by page. Whether there was anything.
    async fn list_folder(
        &self,
        view: &View,
        snapshot: &SnapshotHandle,
        folder: &Located,
        session: &Session<'_>,
    ) -> Result<bool, Failure> {
        let zone = self.long.then(|| Zone::new(self.utc));
        let (mut after, mut listed) = (None, false);
        loop {
            let page = view.folder(snapshot, folder.key.as_bytes(), after.as_deref(), PAGE_ITEMS).await?;
            listed |= !page.items.is_empty();
            for item in &page.items {
                match item {
                    FolderItem::Entry(record) => {
                        session.reporter.result(&EntryLine::new(&record.entry, &record.status, zone.as_ref()))?;
                    }
                    FolderItem::Prefix(prefix) => session.reporter.result(&PrefixLine::new(prefix, self.long))?,
                }
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(listed),
            }
        }
    }

    /// Everything at or under a key; of what is no folder only itself, in each version. Whether there was anything.
    async fn list_all(
        &self,
        view: &View,
        snapshot: &SnapshotHandle,
        at: &Located,
        session: &Session<'_>,
    ) -> Result<bool, Failure> {
        let zone = self.long.then(|| Zone::new(self.utc));
        let mut records = view.records(snapshot, at.key.as_bytes());
        let mut listed = false;
        while let Some(record) = records.next().await? {
            let key = &record.entry.key;
            if *key == at.key || (self.recursive && key.is_under(at.key.as_bytes())) {
                listed = true;
                session.reporter.result(&EntryLine::new(&record.entry, &record.status, zone.as_ref()))?;
            } else if !self.recursive {
                break;
            }
        }
        Ok(listed)
    }
}
