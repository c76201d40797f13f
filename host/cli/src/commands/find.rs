//! `find` and `history`: what many snapshots hold, each path and content once.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt::{self, Display};

use clap::{Args, ValueEnum};
use credenza_app::{SnapshotPath, StoreUse, search};
use credenza_engine::query::{FindQuery, Found};
use credenza_engine::{Error as EngineError, SnapshotHandle, Snapshots};
use credenza_model::{Entry, EntryKind, Key, SnapshotId, Timestamp};
use serde::Serialize;

use super::Session;
use super::newest::{Newest, choose};
use super::sizes::{Moment, parse_moment, parse_size};
use crate::failure::{Exit, Failure};
use crate::report::{self, Bytes, Zone};

/// Snapshots that a line names; more are counted, and --json names all.
const NAMED_MAX: usize = 3;

/// Find files in all snapshots, each path and content once, with the snapshots that hold it, newest first.
///
/// What snapshots have in common is searched once: a hundred snapshots cost one walk, and what differs between them.
#[derive(Debug, Args)]
pub(crate) struct Find {
    /// A part of a name; or with `*`, `?` or `[` a pattern in gitignore syntax, `*.jpg` anywhere, `photos/**/raw` from the top; or with a slash a path, also
    /// where the source was. Everything without any.
    #[arg(value_name = "PATTERN")]
    patterns: Vec<String>,

    /// Take upper and lower case for the same.
    #[arg(short, long)]
    ignore_case: bool,

    /// Only files of this size or more, for example 10MiB.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    larger: Option<u64>,
    /// Only files of this size or less.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    smaller: Option<u64>,

    /// Only what was changed then or later: 2026-01-31, 2026-01-31T12:00:00Z, or an age such as 7d.
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    newer: Option<Moment>,
    /// Only what was changed then or earlier.
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    older: Option<Moment>,

    /// Only this kind; may be given several times.
    #[arg(long, value_enum)]
    kind: Vec<Kind>,

    /// Only in this snapshot: `latest` or the first digits of its id; may be given several times.
    #[arg(long, value_name = "SNAPSHOT")]
    snapshot: Vec<OsString>,

    #[command(flatten)]
    newest: Newest,

    /// Show times in UTC, as --json always does, and not in the zone of this machine.
    #[arg(long)]
    utc: bool,
}

/// Show the versions of one path over the snapshots, newest first.
#[derive(Debug, Args)]
pub(crate) struct History {
    /// A key, or the path where the source was.
    #[arg(value_name = "PATH")]
    of: OsString,

    #[command(flatten)]
    newest: Newest,

    /// Show times in UTC, as --json always does, and not in the zone of this machine.
    #[arg(long)]
    utc: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// A file or an object.
    File,
    /// A folder.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A device, a socket, a pipe.
    Other,
}

impl From<Kind> for EntryKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::File => Self::File,
            Kind::Directory => Self::Directory,
            Kind::Symlink => Self::Symlink,
            Kind::Other => Self::Other,
        }
    }
}

/// One path with one content.
#[derive(Serialize)]
#[serde(tag = "type", rename = "match")]
struct MatchLine<'a> {
    #[serde(flatten)]
    key: &'a Key,
    kind: &'static str,
    size: Option<u64>,
    modified: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    /// Newest first.
    snapshots: &'a [SnapshotId],
    #[serde(skip)]
    zone: &'a Zone,
    #[serde(skip)]
    digits: usize,
}

impl<'a> MatchLine<'a> {
    fn new(entry: &'a Entry, snapshots: &'a [SnapshotId], zone: &'a Zone, digits: usize) -> Self {
        Self {
            key: &entry.key,
            kind: entry.kind.name(),
            size: entry.size,
            modified: entry.modified,
            version: entry.version.as_ref().map(|version| version.id.as_str()),
            snapshots,
            zone,
            digits,
        }
    }
}

impl Display for MatchLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.size.map_or_else(String::new, |size| Bytes(size).to_string());
        let time = self.modified.map_or_else(String::new, |time| self.zone.seconds(time));
        let digits = self.digits;
        let named = self.snapshots.iter().take(NAMED_MAX).map(|id| format!("{:.digits$}", id.to_string()));
        let mut named = named.collect::<Vec<_>>().join(" ");
        if let Some(more) = self.snapshots.len().checked_sub(NAMED_MAX).filter(|more| *more > 0) {
            named.push_str(&format!(" +{more}"));
        }
        // The folder that was backed up.
        let name = report::named(self.key);
        write!(f, "{size:>11}  {time:<23}  {name}  ({named})")
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Summary {
    snapshots: usize,
    matches: u64,
}

impl Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} found in {} snapshots", self.matches, self.snapshots)
    }
}

impl Find {
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let search = Search { newest: &self.newest, only: &self.snapshot, zone: Zone::new(self.utc) };
        let query = |snapshots: &[SnapshotHandle], now: Timestamp| -> Result<FindQuery, Failure> {
            let meant = self.patterns.iter().map(|pattern| search::names(pattern, self.ignore_case, snapshots));
            Ok(FindQuery {
                names: meant.collect::<Result<Vec<_>, EngineError>>()?.concat(),
                kinds: self.kind.iter().map(|kind| EntryKind::from(*kind)).collect(),
                size_min: self.larger,
                size_max: self.smaller,
                modified_since: self.newer.map(|moment| moment.before(now)),
                modified_until: self.older.map(|moment| moment.before(now)),
            })
        };
        search.run(query, session).await
    }
}

impl History {
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let search = Search { newest: &self.newest, only: &[], zone: Zone::new(self.utc) };
        let query = |snapshots: &[SnapshotHandle], _| {
            Ok(FindQuery { names: search::exact(&self.of, snapshots), ..FindQuery::default() })
        };
        search.run(query, session).await
    }
}

/// A search in the snapshots that are meant.
struct Search<'a> {
    newest: &'a Newest,
    /// Names of snapshots; all without any.
    only: &'a [OsString],
    zone: Zone,
}

impl Search<'_> {
    async fn run(
        &self,
        query: impl Fn(&[SnapshotHandle], Timestamp) -> Result<FindQuery, Failure>,
        session: &Session<'_>,
    ) -> Result<Exit, Failure> {
        let open = session.open_healthy(StoreUse::Read).await?;
        let choice = self.newest.among(&open, session).await?;
        let mut chosen: Vec<SnapshotHandle> = match self.only {
            [] => choice.snapshots.whole.clone(),
            only => {
                let named = only.iter().map(|word| choose(&choice, &SnapshotPath::parse(word)?.snapshot, session));
                let named = named.collect::<Result<Vec<_>, Failure>>()?;
                let by_id: HashMap<SnapshotId, SnapshotHandle> =
                    named.into_iter().map(|handle| (handle.snapshot.id, handle)).collect();
                by_id.into_values().collect()
            }
        };
        chosen.sort_by_key(|handle| std::cmp::Reverse((handle.time(), handle.snapshot.sequence, handle.snapshot.id)));
        let Snapshots { damaged, now, .. } = &choice.snapshots;
        let query = query(&chosen, *now)?;
        let digits = choice.snapshots.short_id_digits();
        let mut finder = open.repository.view().await?.find(&chosen, query);
        let mut matches = 0;
        while let Some(Found { record, snapshots }) = finder.next().await? {
            matches += 1;
            session.reporter.result(&MatchLine::new(&record.entry, &snapshots, &self.zone, digits))?;
        }
        let summary = Summary { snapshots: chosen.len(), matches };
        session.reporter.summary(&summary)?;
        // An answer from a part of the snapshots is not the answer.
        match damaged.first().filter(|_| self.only.is_empty()) {
            Some(unread) => Err(EngineError::from(unread.damage.clone()).into()),
            None if matches == 0 => Err(Failure::new(format!("nothing in {} snapshots matches", summary.snapshots))),
            None => Ok(Exit::Done),
        }
    }
}
