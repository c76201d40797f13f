//! Snapshots as a file system of the kernel.
//!
//! Read only, without devices, set-user-id and, unless asked for, programs. The kernel keeps what it has read without a limit of time, because a
//! snapshot never changes. It ends when it is unmounted, when it is asked to, and with the process.
//!
//! Owned here: mounting and unmounting. What is answered is in `filesystem` and `files`. Called by `cli`.

mod attributes;
mod files;
mod filesystem;
mod folders;
mod nodes;
mod point;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use credenza_engine::Stop;
use fuser::{Config, MountOption, Session, SessionACL};

use crate::entry::Trouble;
use crate::shelf::Shelf;
use crate::{Error, Result};

use self::attributes::Owner;
use self::files::Files;
use self::filesystem::Filesystem;

/// Questions of the kernel that are answered at once; each may load a chunk.
pub const READS_MAX: usize = 64;

/// How snapshots are mounted.
pub struct MountOptions {
    /// The folder.
    pub path: PathBuf,
    /// The folder that the repository lies in, if it lies in one: nothing is mounted there.
    pub repository: Option<PathBuf>,
    /// Other users may look, as far as the modes of files let them; else only who mounts, whatever the modes say.
    pub others: bool,
    /// Programs may be run from it.
    pub programs: bool,
    /// Hears of damage.
    pub trouble: Trouble,
}

/// Mounted snapshots.
pub struct Mount {
    session: Session<Filesystem>,
    path: PathBuf,
}

impl Mount {
    /// Mounts. A mount that a program which is gone has left there is taken away first.
    ///
    /// # Errors
    /// [`Error`], where nothing can be mounted.
    pub fn start(shelf: Shelf, options: MountOptions) -> Result<Self> {
        let path = point::prepare(&options.path, options.repository.as_deref())?;
        let owner = Owner { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() };
        let files = Files { shelf, nodes: nodes::Nodes::default(), owner, trouble: options.trouble };
        let filesystem = Filesystem::new(Arc::new(files), tokio::runtime::Handle::current());
        let config = config(options.others, options.programs);
        let session =
            Session::new(filesystem, &path, &config).map_err(|source| Error::Refused { path: path.clone(), source })?;
        Ok(Self { session, path })
    }

    /// The folder, as the kernel names it.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Answers until it is unmounted or asked to stop; then it is unmounted. Files that are open meanwhile cannot be read any more.
    ///
    /// # Errors
    /// [`Error::BrokenOff`].
    pub async fn run(self, stop: &Stop) -> Result<()> {
        let Self { session, path } = self;
        let broken_off = |source| Error::BrokenOff { path: path.clone(), source };
        let (ended, mut end) = tokio::sync::oneshot::channel();
        // A thread of its own: the runtime would wait for one of its threads that waits for the kernel.
        std::thread::spawn(move || ended.send(session.run()));
        tokio::select! {
            answer = &mut end => return answer.unwrap_or(Ok(())).map_err(broken_off),
            () = stop.requested() => {}
        }
        point::detach(&path).map_err(broken_off)
    }
}

fn config(others: bool, programs: bool) -> Config {
    let mut options = vec![
        MountOption::FSName(point::NAME.to_owned()),
        MountOption::Subtype(point::NAME.to_owned()),
        MountOption::RO,
        MountOption::NoSuid,
        MountOption::NoDev,
        MountOption::NoAtime,
        if programs { MountOption::Exec } else { MountOption::NoExec },
    ];
    let mut config = Config::default();
    if others {
        // Whoever has the key may read all of it; others may read what they could where it was.
        options.push(MountOption::DefaultPermissions);
        config.acl = SessionACL::All;
    }
    config.mount_options = options;
    config
}
