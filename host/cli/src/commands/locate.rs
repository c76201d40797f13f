//! `locate`: which snapshots hold a key.

use std::ffi::OsString;
use std::fmt::{self, Display};

use clap::Args;
use credenza_app::SnapshotPath;
use credenza_engine::SnapshotHandle;
use credenza_model::{Entry, SnapshotId, Timestamp};
use serde::Serialize;

use super::Session;
use crate::failure::{Exit, Failure};
use crate::report::JsonKey;

/// Find the snapshots that hold a key, oldest first.
#[derive(Debug, Args)]
pub(crate) struct Locate {
    /// An exact key, or a pattern in gitignore syntax: `*.jpg` anywhere, `photos/**/raw` from the top.
    pattern: String,

    /// Only in this snapshot: `latest` or the beginning of its id; may be given several times.
    #[arg(long, value_name = "SNAPSHOT")]
    snapshot: Vec<OsString>,
}

/// One match.
#[derive(Serialize)]
#[serde(tag = "type", rename = "match")]
struct MatchLine<'a> {
    snapshot: SnapshotId,
    #[serde(flatten)]
    key: JsonKey<'a>,
    kind: &'static str,
    size: Option<u64>,
    modified: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
}

impl<'a> MatchLine<'a> {
    fn new(snapshot: &SnapshotHandle, entry: &'a Entry) -> Self {
        Self {
            snapshot: snapshot.snapshot.id,
            key: JsonKey(&entry.key),
            kind: entry.kind.name(),
            size: entry.size,
            modified: entry.modified,
            version: entry.version.as_ref().map(|version| version.id.as_str()),
        }
    }
}

impl Display for MatchLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.size.map_or_else(String::new, |size| size.to_string());
        let whole_seconds = |time: Timestamp| Timestamp { nanoseconds: 0, ..time }.to_string();
        let time = self.modified.map_or_else(String::new, whole_seconds);
        write!(f, "{}  {:<9} {size:>15} {time:<20} {}", self.snapshot, self.kind, self.key.0)
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Summary {
    snapshots: u64,
    matches: u64,
}

impl Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} matches in {} snapshots", self.matches, self.snapshots)
    }
}

impl Locate {
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let open = session.open_for_reading().await?;
        let all = open.repository.snapshots().await?;
        let named = self.snapshot.iter().map(|word| Ok(all.find(&SnapshotPath::parse(word)?.snapshot)?));
        let chosen = match self.snapshot.is_empty() {
            true => all.whole.clone(),
            false => named.collect::<Result<Vec<_>, Failure>>()?,
        };
        let mut locator = open.repository.view().await?.locate(&self.pattern)?;
        let mut summary = Summary { snapshots: chosen.len() as u64, matches: 0 };
        for snapshot in &chosen {
            locator.begin(snapshot);
            while let Some(record) = locator.next().await? {
                summary.matches += 1;
                session.reporter.result(&MatchLine::new(snapshot, &record.entry))?;
            }
        }
        session.reporter.result(&summary)?;
        // An answer from a part of the snapshots is not the answer.
        match all.damaged.into_iter().next().filter(|_| self.snapshot.is_empty()) {
            Some(unread) => Err(credenza_engine::Error::from(unread.damage).into()),
            None if summary.matches == 0 => Err(Failure::new("nothing matches the pattern")),
            None => Ok(Exit::Done),
        }
    }
}
