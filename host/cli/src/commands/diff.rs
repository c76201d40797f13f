//! `diff`: what differs between two snapshots, or between locations as they are now.

use std::ffi::{OsStr, OsString};
use std::fmt::{self, Display};
use std::os::unix::ffi::OsStrExt;

use clap::Args;
use credenza_app::{Error as AppError, Kind, SnapshotPath, StoreUse};
use credenza_engine::query::{Change, ChangeKind, Difference, LiveDiff, Side};
use credenza_model::{Entry, Key};
use serde::Serialize;

use super::Session;
use super::newest::{Newest, choose};
use crate::failure::{Exit, Failure};
use crate::report::Bytes;
use crate::settings::{SettingWord, parse_settings};

/// Show what differs between two snapshots, or between what lies at or under a key in each; either side may be a location as it is now.
///
/// `+` is new, `-` is gone, `*` has other content, `~` has other times or attributes only. A location is a path that begins with `/`,
/// `.` or `~`, `scheme://…` or `@name`; it is listed, and no content is read.
#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The older side: `latest` or the first digits of a snapshot's id, and behind a colon a path; or a location.
    #[arg(value_name = "SNAPSHOT[:PATH]|LOCATION")]
    before: OsString,

    /// The newer side.
    #[arg(value_name = "SNAPSHOT[:PATH]|LOCATION")]
    after: OsString,

    #[command(flatten)]
    newest: Newest,

    /// A setting of the locations, as key=value; may be given several times. One of the repository stands before the command.
    #[arg(short = 'o', long = "source-option", value_name = "KEY=VALUE")]
    settings: Vec<SettingWord>,
}

/// A side as it was written.
enum Operand<'a> {
    Snapshot(SnapshotPath),
    Location(&'a OsStr),
}

impl<'a> Operand<'a> {
    fn parse(word: &'a OsStr) -> Result<Self, Failure> {
        let bytes = word.as_bytes();
        let is_location =
            matches!(bytes.first(), Some(b'/' | b'.' | b'@' | b'~')) || bytes.windows(3).any(|w| w == b"://");
        Ok(if is_location { Self::Location(word) } else { Self::Snapshot(SnapshotPath::parse(word)?) })
    }
}

/// One difference.
#[derive(Serialize)]
#[serde(tag = "type", rename = "change")]
struct ChangeLine<'a> {
    change: ChangeKind,
    #[serde(flatten)]
    key: &'a Key,
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
            key: &entry.key,
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
        write!(f, "{sign} {}", self.key)?;
        match (self.size_before, self.size_after) {
            (Some(before), Some(after)) if before != after => write!(f, " ({} > {})", Bytes(before), Bytes(after)),
            (Some(size), None) | (None, Some(size)) => write!(f, " ({})", Bytes(size)),
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
    /// Files that were compared by their sizes alone.
    #[serde(skip_serializing_if = "is_zero")]
    by_size: u64,
    /// What could not be listed.
    #[serde(skip_serializing_if = "is_zero")]
    skipped: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
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
        let Self { added, removed, content, metadata, by_size, skipped } = self;
        write!(f, "{added} added, {removed} removed, {content} with other content, {metadata} with other metadata")?;
        if *by_size > 0 {
            write!(f, "\n{by_size} files of equal size have nothing else that could be compared without reading them")?;
        }
        if *skipped > 0 {
            write!(f, "\n{skipped} entries could not be listed")?;
        }
        Ok(())
    }
}

impl Diff {
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        match (Operand::parse(&self.before)?, Operand::parse(&self.after)?) {
            (Operand::Snapshot(before), Operand::Snapshot(after)) => self.snapshots(session, &before, &after).await,
            (before, after) => self.locations(session, [before, after]).await,
        }
    }

    async fn snapshots(
        &self,
        session: &Session<'_>,
        before: &SnapshotPath,
        after: &SnapshotPath,
    ) -> Result<Exit, Failure> {
        let open = session.open_healthy(StoreUse::Read).await?;
        let choice = self.newest.among(&open, session).await?;
        let old = choose(&choice, &before.snapshot, session)?;
        let new = choose(&choice, &after.snapshot, session)?;
        let view = open.repository.view().await?;
        let (from, to) = match (before.locate(&view, &old).await, after.locate(&view, &new).await) {
            // What only one side has is new or gone there.
            (Ok(from), Err(AppError::NotInSnapshot { .. })) => (from.key.clone(), from.key),
            (Err(AppError::NotInSnapshot { .. }), Ok(to)) => (to.key.clone(), to.key),
            (from, to) => (from?.key, to?.key),
        };
        let mut diff = view.diff((&old, from.as_bytes()), (&new, to.as_bytes()));
        let mut summary = Summary::default();
        while let Some(change) = diff.next().await? {
            show(session, &mut summary, &change)?;
        }
        session.reporter.result(&summary)?;
        Ok(Exit::Done)
    }

    async fn locations(&self, session: &Session<'_>, operands: [Operand<'_>; 2]) -> Result<Exit, Failure> {
        let [before, after] = operands;
        let mut diff = LiveDiff::new(self.side(session, before).await?, self.side(session, after).await?);
        let mut summary = Summary::default();
        while let Some(difference) = diff.next().await? {
            match difference {
                Difference::Change(change) => show(session, &mut summary, &change)?,
                Difference::Skipped(skipped) => {
                    summary.skipped += 1;
                    session.reporter.note(format!("{}: {}", skipped.key, skipped.reason));
                }
            }
        }
        summary.by_size = diff.compared_by_size();
        session.reporter.result(&summary)?;
        Ok(if summary.skipped > 0 { Exit::Incomplete } else { Exit::Done })
    }

    async fn side(&self, session: &Session<'_>, operand: Operand<'_>) -> Result<Side, Failure> {
        match operand {
            Operand::Snapshot(path) => {
                let open = session.open_healthy(StoreUse::Read).await?;
                let snapshot = self.newest.find(&open, &path.snapshot, session).await?;
                let view = open.repository.view().await?;
                let located = path.locate(&view, &snapshot).await?;
                Ok(view.side(&snapshot, located.key.as_bytes()))
            }
            Operand::Location(word) => {
                let place = session.lone_place(Kind::Source, word, parse_settings(&self.settings)?)?;
                let source = session.app.source(&place, None).await?.connector;
                Ok(Side::live(&*source).await?)
            }
        }
    }
}

fn show(session: &Session<'_>, summary: &mut Summary, change: &Change) -> Result<(), Failure> {
    summary.count(change.kind);
    if let Some(entry) = change.after.as_ref().or(change.before.as_ref()) {
        session.reporter.result(&ChangeLine::new(change, entry))?;
    }
    Ok(())
}
