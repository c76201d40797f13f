//! `mount`: snapshots as a file system.

use std::collections::BTreeSet;
use std::fmt::{self, Display};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use clap::Args;
use credenza_app::Location;
use credenza_engine::SnapshotName;
use credenza_serve::mount::Trouble;
use credenza_serve::{Mount as Mounted, MountOptions, Shelf, Shown};
use serde::Serialize;

use super::Session;
use super::newest::{Newest, choose};
use crate::failure::{Exit, Failure};
use crate::globals::path_parser;
use crate::report::Reporter;
use credenza_app::shell::shell_word;

/// Most kinds of trouble that are told; what a reader meets again and again is told once.
const TROUBLES_MAX: usize = 100;

/// Mount snapshots on a folder, to look into them with any program; nothing can be changed there.
///
/// Without a snapshot the folder shows all of them, by time, host, source, id and tag, with `latest`, and those that are made meanwhile. It ends when
/// it is unmounted, and when the program is interrupted. Keys that can be no names of files are shown as `%~…`, as a restore to a folder writes them.
#[derive(Debug, Args)]
pub(crate) struct Mount {
    /// The folder to mount on. What is in it is hidden meanwhile.
    #[arg(value_name = "FOLDER", value_parser = path_parser())]
    folder: PathBuf,

    /// Only this snapshot: `latest` or the first digits of its id.
    #[arg(value_name = "SNAPSHOT", value_parser = snapshot_name)]
    snapshot: Option<SnapshotName>,

    #[command(flatten)]
    newest: Newest,

    /// Only the newest snapshot, and a newer one when there is one.
    #[arg(long, conflicts_with = "snapshot")]
    latest: bool,

    /// Let other users look too, as far as the modes of files let them. Users other than root need `user_allow_other` in /etc/fuse.conf for it.
    #[arg(long)]
    allow_other: bool,

    /// Let programs be run from it.
    #[arg(long)]
    exec: bool,
}

fn snapshot_name(text: &str) -> Result<SnapshotName, String> {
    let name = SnapshotName(text.to_owned());
    if name.is_valid() { Ok(name) } else { Err("neither `latest` nor the first digits of an id".to_owned()) }
}

/// Where snapshots are mounted.
#[derive(Serialize)]
#[serde(tag = "type", rename = "mounted")]
struct MountedLine {
    folder: String,
    #[serde(skip)]
    all: bool,
}

impl Display for MountedLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let below = if self.all { "/latest/" } else { "" };
        let (folder, look) = (shell_word(&self.folder), shell_word(&format!("{}{below}", self.folder)));
        write!(f, "mounted; look: ls {look}   end: Ctrl-C, or from elsewhere: umount {folder}")
    }
}

impl Mount {
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        // To be asked to end is how this ends.
        let _heeding = session.stop.heeding();
        let open = session.open_for_reading().await?;
        let repository = match &open.place.location {
            Location::Folder(path) => Some(path.clone()),
            Location::Remote { .. } | Location::Named(_) => None,
        };
        let shown = match (&self.snapshot, self.latest) {
            (Some(name), _) => Shown::One(Box::new(choose(&self.newest.among(&open, session).await?, name, session)?)),
            (None, true) => Shown::Newest,
            (None, false) => Shown::All,
        };
        let all = matches!(shown, Shown::All);
        let shelf = Shelf::open(open.repository.clone(), self.newest.filter(session)?, shown).await?;
        let options = MountOptions {
            path: self.folder,
            repository,
            others: self.allow_other,
            programs: self.exec,
            trouble: trouble(session.reporter),
        };
        let mounted = Mounted::start(shelf, options)?;
        let folder = mounted.path().to_string_lossy().into_owned();
        session.reporter.at_once(&MountedLine { folder, all })?;
        mounted.run(&session.stop).await?;
        Ok(Exit::Done)
    }
}

/// Tells each trouble once.
fn trouble(reporter: &Arc<Reporter>) -> Trouble {
    let (reporter, told) = (Arc::clone(reporter), Mutex::new(BTreeSet::new()));
    Arc::new(move |cause| {
        let failure = Failure::of(cause);
        let text = match failure.why {
            Some(why) => format!("{}: {why}", failure.what),
            None => failure.what,
        };
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() < TROUBLES_MAX && told.insert(text.clone()) {
            reporter.warning(format!("a reader was refused: {text}"));
        }
    })
}
