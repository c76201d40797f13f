//! `mount`: snapshots as a file system.

use std::fmt::{self, Display};
use std::path::PathBuf;

use clap::Args;
use credenza_app::Location;
use credenza_app::StoreUse;
use credenza_app::shell::shell_word;
use credenza_serve::{Mount as Mounted, MountOptions};
use serde::Serialize;

use super::Session;
use super::background::Background;
use super::shown::ShownOptions;
use crate::failure::{Exit, Failure};
use crate::globals::path_parser;

/// Mount snapshots on a folder, to look into them with any program; nothing can be changed there.
///
/// Without a snapshot the folder shows all of them, by time, host, source, id and tag, with `latest`, and those that are made meanwhile. It ends when
/// it is unmounted, and when the program is interrupted. Keys that can be no names of files are shown as `%~…`, as a restore to a folder writes them.
#[derive(Debug, Args)]
pub(crate) struct Mount {
    /// The folder to mount on. What is in it is hidden meanwhile.
    #[arg(value_name = "FOLDER", value_parser = path_parser())]
    folder: PathBuf,

    #[command(flatten)]
    shown: ShownOptions,

    #[command(flatten)]
    background: Background,

    /// Let other users look too, as far as the modes of files let them. Users other than root need `user_allow_other` in /etc/fuse.conf for it.
    #[arg(long)]
    allow_other: bool,

    /// Let programs be run from it.
    #[arg(long)]
    exec: bool,
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
        if self.background.is_asked_for() {
            return Background::start();
        }
        // To be asked to end is how this ends.
        let _heeding = session.stop.heeding();
        let open = session.open_healthy(StoreUse::Write).await?;
        let repository = match &open.place.location {
            Location::Folder(path) => Some(path.clone()),
            Location::Remote { .. } | Location::Named(_) => None,
        };
        let shelved = self.shown.shelf(&open, session).await?;
        let (all, shelf, kept) = (shelved.all, shelved.shelf, shelved.kept);
        let options = MountOptions {
            path: self.folder,
            repository,
            others: self.allow_other,
            programs: self.exec,
            trouble: kept.trouble(session.reporter),
        };
        let mounted = Mounted::start(shelf, options)?;
        let folder = mounted.path().to_string_lossy().into_owned();
        session.reporter.at_once(&MountedLine { folder, all })?;
        self.background.leave(session)?;
        let ended = mounted.run(&session.stop).await;
        kept.end(session).await;
        ended?;
        Ok(Exit::Done)
    }
}
