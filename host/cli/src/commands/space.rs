//! What takes the space in a snapshot or a folder of it, as `info --space` tells it: the largest of what lies directly there.

use std::fmt::{self, Display};

use credenza_app::{Located, OpenRepository};
use credenza_engine::SnapshotHandle;
use credenza_engine::query::{FolderPart, Space};
use credenza_model::Key;
use indicatif::HumanBytes;
use serde::Serialize;

use super::Session;
use crate::failure::{Exit, Failure};
use crate::report::printable;

/// Parts that are named, as on the page.
const PARTS_MAX: usize = 40;

/// Something directly there, with all that lies in it.
#[derive(Serialize)]
#[serde(tag = "type", rename = "share")]
struct ShareLine<'a> {
    #[serde(flatten)]
    key: &'a Key,
    bytes: u64,
    files: u64,
    /// Of 100.
    #[serde(skip)]
    share: u64,
}

impl Display for ShareLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, bytes, files, share } = self;
        let bytes = HumanBytes(*bytes).to_string();
        write!(f, "{bytes:>11}  {share:>3} %  {}  ({files} files)", printable(&key.to_string()))
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Summary {
    bytes: u64,
    files: u64,
    /// Smaller parts, which are not named.
    others: u64,
    others_bytes: u64,
}

impl Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bytes, files, others, others_bytes } = self;
        write!(f, "{} in {files} files", HumanBytes(*bytes))?;
        match others {
            0 => Ok(()),
            others => write!(f, "; {others} smaller parts have {} together", HumanBytes(*others_bytes)),
        }
    }
}

/// Counts what lies under what was named, and tells it.
pub(super) async fn tell(
    open: &OpenRepository,
    snapshot: &SnapshotHandle,
    located: Option<Located>,
    session: &Session<'_>,
) -> Result<Exit, Failure> {
    let mut prefix = located.map(|located| located.key.as_bytes().to_vec()).unwrap_or_default();
    if !prefix.is_empty() && !prefix.ends_with(b"/") {
        prefix.push(b'/');
    }
    let mut walk = open.repository.view().await?.space(snapshot, &prefix, PARTS_MAX);
    while walk.advance().await? {}
    let Space { parts, others, others_bytes, bytes, files } = walk.finish();
    if files == 0 && parts.is_empty() {
        return Err(Failure::new(format!("nothing lies in `{}` of this snapshot", Key::new(prefix.as_slice()))));
    }
    for FolderPart { key, bytes: own, files } in &parts {
        let share = u64::try_from(u128::from(*own) * 100 / u128::from(bytes.max(1))).unwrap_or(100);
        session.reporter.result(&ShareLine { key, bytes: *own, files: *files, share })?;
    }
    session.reporter.result(&Summary { bytes, files, others, others_bytes })?;
    Ok(Exit::Done)
}
