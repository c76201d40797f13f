//! The options that every command understands, and how a path on the command line is read. Called by `arguments` and `commands`.

use std::ffi::OsString;
use std::num::NonZeroU64;
use std::path::PathBuf;

use clap::Args;
use clap::builder::{PathBufValueParser, TypedValueParser};
use credenza_app::home;
use credenza_connect::{Rate, Rates};

use credenza_app::units::parse_rate;

/// Options that every command understands, before or behind it.
#[derive(Debug, Clone, Args)]
pub(crate) struct Globals {
    /// Print results as JSON, one object a line.
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Say nothing but results and errors.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,

    /// Say more; twice for what connectors log.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,

    /// Draw no progress bar.
    #[arg(long, global = true)]
    pub(crate) no_progress: bool,

    /// Send no more bytes a second to remote places and to the repository, such as 5MiB.
    #[arg(long, global = true, value_name = "RATE", value_parser = parse_rate)]
    pub(crate) limit_upload: Option<NonZeroU64>,

    /// Receive no more bytes a second from remote places and from the repository, such as 5MiB.
    #[arg(long, global = true, value_name = "RATE", value_parser = parse_rate)]
    pub(crate) limit_download: Option<NonZeroU64>,

    /// Use this component for the locations whose scheme it serves.
    #[arg(long, global = true, value_name = "PATH", value_parser = path_parser())]
    pub(crate) connector: Option<PathBuf>,

    /// Let the component of --connector run although it is not installed, so that nobody has agreed to what it may do.
    #[arg(long, global = true, requires = "connector")]
    pub(crate) allow_unpinned: bool,

    /// Read the passphrase of the repository from this file.
    #[arg(long, global = true, value_name = "FILE", value_parser = path_parser())]
    pub(crate) passphrase_file: Option<PathBuf>,

    /// Run this shell command and take what it prints as the passphrase.
    #[arg(long, global = true, value_name = "COMMAND", conflicts_with = "passphrase_file")]
    pub(crate) passphrase_cmd: Option<OsString>,

    /// Open the repository with this key file.
    #[arg(long, global = true, value_name = "FILE", conflicts_with_all = ["passphrase_file", "passphrase_cmd"], value_parser = path_parser())]
    pub(crate) key_file: Option<PathBuf>,

    /// Open the repository with the recipient's secret key in this file.
    #[arg(long, global = true, value_name = "FILE", conflicts_with_all = ["passphrase_file", "passphrase_cmd", "key_file"], value_parser = path_parser())]
    pub(crate) identity: Option<PathBuf>,
    /// Sign what is committed to the repository with the key in this file (see `key signer`).
    #[arg(long, global = true, value_name = "FILE", value_parser = path_parser())]
    pub(crate) signing_key: Option<PathBuf>,
}

impl Globals {
    /// What may pass a second; one bound for all places of a run.
    pub(crate) fn rates(&self) -> Rates {
        let rate = |limit: Option<NonZeroU64>| limit.map_or_else(Rate::default, Rate::of);
        Rates { upload: rate(self.limit_upload), download: rate(self.limit_download) }
    }
}

/// Understands a path of the command line: a shell leaves `--option=~/x` alone.
pub(crate) fn path_parser() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| home::expand(&path))
}
