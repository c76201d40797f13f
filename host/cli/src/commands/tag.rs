//! `tag`: tags of snapshots that are there already.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::{self, Display};

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};
use credenza_app::{Choice, SnapshotPath};
use credenza_engine::tags::{self, Change, Tagged};
use credenza_engine::{SnapshotFilter, SnapshotHandle};
use credenza_model::SnapshotId;
use serde::Serialize;

use super::Session;
use super::newest::choose_surely;
use crate::failure::{Exit, Failure};
use crate::report::printable;

/// Change the tags of snapshots.
///
/// A snapshot itself never changes: a later tag lies beside it in the repository. `ls`, `info`, every --tag and `prune --keep-tag` go by the tags that
/// a snapshot has now, and `sync` carries them. Where two machines change the same tag at once, the later change counts.
#[derive(Debug, Subcommand)]
pub(crate) enum TagCommand {
    /// Give a tag to snapshots.
    Add(Words),
    /// Take a tag from snapshots.
    Remove(Words),
}

/// What both take.
#[derive(Debug, Args)]
pub(crate) struct Words {
    /// The tag, of at most 1,024 bytes.
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    tag: String,

    /// Snapshots: ids, their first digits, or `latest`, which is refused where it could be of several sources.
    #[arg(required = true, value_name = "SNAPSHOT")]
    snapshots: Vec<OsString>,
}

/// The tags of one snapshot.
#[derive(Serialize)]
#[serde(tag = "type", rename = "tagged")]
struct TaggedLine {
    id: SnapshotId,
    tags: Vec<String>,
    changed: bool,
    #[serde(skip)]
    digits: usize,
}

impl Display for TaggedLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, digits, .. } = self;
        let had = if self.changed { "" } else { ", as before" };
        match self.tags.as_slice() {
            [] => write!(f, "snapshot {:.digits$} has no tag{had}", id.to_string()),
            tags => write!(f, "snapshot {:.digits$} has the tags {}{had}", id.to_string(), printable(&tags.join(", "))),
        }
    }
}

impl TagCommand {
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let (words, is_added) = match self {
            Self::Add(words) => (words, true),
            Self::Remove(words) => (words, false),
        };
        let paths = words.snapshots.iter().map(|word| SnapshotPath::parse(word)).collect::<Result<Vec<_>, _>>()?;
        if let Some(path) = paths.iter().find(|path| path.key.is_some()) {
            let snapshot = &path.snapshot.0;
            return Err(Failure::usage("tags are of whole snapshots").hint(format!("write {snapshot} without a path")));
        }
        let open = session.open_for_writing().await?;
        let choice = Choice::among(&open.repository, &SnapshotFilter::default(), false).await?;
        let mut meant: BTreeMap<SnapshotId, SnapshotHandle> = BTreeMap::new();
        for path in &paths {
            let handle = choose_surely(&choice, &path.snapshot, session)?;
            meant.insert(handle.snapshot.id, handle);
        }
        let tag = vec![words.tag];
        let change = match is_added {
            true => Change { add: tag, ..Change::default() },
            false => Change { remove: tag, ..Change::default() },
        };
        let meant: Vec<SnapshotHandle> = meant.into_values().collect();
        let digits = choice.snapshots.short_id_digits();
        for Tagged { snapshot, tags, is_changed } in tags::edit(&open.repository, &meant, &change).await? {
            session.reporter.done(&TaggedLine { id: snapshot, tags, changed: is_changed, digits });
        }
        Ok(Exit::Done)
    }
}
