//! `diff`: what differs between two snapshots.

use std::ffi::OsString;
use std::fmt::{self, Display};

use clap::Args;
use credenza_engine::look::{Change, ChangeKind};
use credenza_model::{Entry, Key};
use serde::Serialize;

use super::Session;
use crate::failure::{Exit, Failure};
use crate::report::JsonKey;
use crate::snapshot_path::SnapshotPath;

/// Show what differs between two snapshots, or between what lies at or under a key in each.
///
/// `+` is new, `-` is gone, `*` has other content, `~` has other times or attributes only.
#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The older side: `latest` or the beginning of a snapshot's id, and behind a colon a key.
    #[arg(value_name = "SNAPSHOT[:KEY]")]
    before: OsString,

    /// The newer side.
    #[arg(value_name = "SNAPSHOT[:KEY]")]
    after: OsString,
}

/// One difference.
#[derive(Serialize)]
#[serde(tag = "type", rename = "change")]
struct ChangeLine<'a> {
    change: ChangeKind,
    #[serde(flatten)]
    key: JsonKey<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    size_before: Option<u64>,
    size_after: Option<u64>,
}

impl<'a> ChangeLine<'a> {
    fn new(change: &'a Change, entry: &'a Entry) -> Self {
        let size = |entry: &Option<Entry>| entry.as_ref().and_then(|entry| entry.size);
        Self {
            change: change.kind,
            key: JsonKey(&entry.key),
            version: entry.version.as_ref().map(|version| version.id.as_str()),
            size_before: size(&change.before),
            size_after: size(&change.after),
        }
    }
}

impl Display for ChangeLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.change {
            ChangeKind::Added => '+',
            ChangeKind::Removed => '-',
            ChangeKind::Content => '*',
            ChangeKind::Metadata => '~',
        };
        let key: &Key = self.key.0;
        write!(f, "{sign} {key}")?;
        match (self.size_before, self.size_after) {
            (Some(before), Some(after)) if before != after => write!(f, " ({before} > {after} bytes)"),
            (Some(size), None) | (None, Some(size)) => write!(f, " ({size} bytes)"),
            _ => Ok(()),
        }
    }
}

#[derive(Default, Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Summary {
    added: u64,
    removed: u64,
    content: u64,
    metadata: u64,
}

impl Summary {
    fn count(&mut self, kind: ChangeKind) {
        *match kind {
            ChangeKind::Added => &mut self.added,
            ChangeKind::Removed => &mut self.removed,
            ChangeKind::Content => &mut self.content,
            ChangeKind::Metadata => &mut self.metadata,
        } += 1;
    }
}

impl Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { added, removed, content, metadata } = self;
        write!(f, "{added} added, {removed} removed, {content} with other content, {metadata} with other metadata")
    }
}

impl Diff {
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let (before, after) = (SnapshotPath::parse(&self.before)?, SnapshotPath::parse(&self.after)?);
        let open = session.open_for_reading().await?;
        let snapshots = open.repository.snapshots().await?;
        let (old, new) = (snapshots.find(&before.snapshot)?, snapshots.find(&after.snapshot)?);
        let mut diff = open.repository.diff((&old, before.prefix()), (&new, after.prefix())).await?;
        let mut summary = Summary::default();
        while let Some(change) = diff.next().await? {
            summary.count(change.kind);
            if let Some(entry) = change.after.as_ref().or(change.before.as_ref()) {
                session.reporter.result(&ChangeLine::new(&change, entry))?;
            }
        }
        session.reporter.result(&summary)?;
        Ok(Exit::Done)
    }
}
