//! Why snapshots cannot be shown.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The result of showing snapshots.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Snapshots cannot be shown there.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The place is no folder that can be read.
    #[error("{} is no folder that something can be mounted on", path.display())]
    NoFolder {
        /// The place.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something is mounted there.
    #[error("something is mounted on {} already ({what})", path.display())]
    Occupied {
        /// The place.
        path: PathBuf,
        /// The kind of file system.
        what: String,
    },
    /// The repository lies there: reading it would wait for what it reads.
    #[error("{} and the repository in {} lie in one another", path.display(), repository.display())]
    OverRepository {
        /// The place.
        path: PathBuf,
        /// The folder of the repository.
        repository: PathBuf,
    },
    /// The kernel has no device for file systems of programs.
    #[error("/dev/fuse is not there, without which no program can mount")]
    NoDevice,
    /// A user needs a program that mounts, and it is not there.
    #[error("fusermount3 is not there, by which users mount")]
    NoHelper,
    /// The kernel refuses.
    #[error("nothing can be mounted on {}", path.display())]
    Refused {
        /// The place.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The session with the kernel broke off.
    #[error("the mount on {} broke off", path.display())]
    BrokenOff {
        /// The place.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Nothing listens there.
    #[error(transparent)]
    Listen(#[from] credenza_listen::Error),
    /// Other machines could reach it, over a network that is not encrypted.
    #[error("{address} is not an address of this machine alone")]
    NotLoopback {
        /// The address.
        address: SocketAddr,
    },
    /// The system gives no random bytes, of which keys are made.
    #[error("the system gives no random bytes: {reason}")]
    Random {
        /// Why.
        reason: String,
    },
    /// A snapshot has no content of something, so that an archive with it is not whole.
    #[error("an archive broke off at {key}: {reason}")]
    Lacks {
        /// The key.
        key: String,
        /// Why.
        reason: String,
    },
    /// The repository cannot be read.
    #[error(transparent)]
    Engine(#[from] credenza_engine::Error),
}
