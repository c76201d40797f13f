//! `digest`: digests of what a snapshot holds, the same in every repository.

use std::ffi::OsString;
use std::fmt::{self, Display};

use clap::{Args, ValueEnum};
use credenza_app::{SnapshotPath, StoreUse};
use credenza_engine::query::{DigestAlgorithm, EntryDigest, SnapshotDigest};
use credenza_format::Hex;
use credenza_model::{Key, SnapshotId};
use serde::Serialize;

use super::Session;
use super::newest::Newest;
use crate::failure::{Exit, Failure};

/// Read and verify a snapshot, or what lies at or under a key, and print a digest of each file and link and one of all.
///
/// The digests depend on keys and contents alone, not on times or attributes, nor on the repository: after a sync, both sides give the same.
#[derive(Debug, Args)]
pub(crate) struct Digest {
    /// `latest` or the first digits of a snapshot's id; behind a colon, a path to digest what lies at or under it.
    #[arg(value_name = "SNAPSHOT[:PATH]")]
    snapshot: OsString,

    #[command(flatten)]
    newest: Newest,

    /// The hash.
    #[arg(long, value_enum, default_value_t)]
    algorithm: Algorithm,

    /// Print the digest of all alone.
    #[arg(long)]
    total: bool,
}

#[derive(Debug, Clone, Copy, Default, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
enum Algorithm {
    /// BLAKE3.
    #[default]
    Blake3,
    /// SHA-256, as `sha256sum` prints.
    Sha256,
}

impl From<Algorithm> for DigestAlgorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Blake3 => Self::Blake3,
            Algorithm::Sha256 => Self::Sha256,
        }
    }
}

/// One entry. What the backup could not read has no digest.
#[derive(Serialize)]
#[serde(tag = "type", rename = "digest")]
struct DigestLine<'a> {
    #[serde(flatten)]
    key: &'a Key,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    digest: Option<Hex<[u8; 32]>>,
}

impl Display for DigestLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.digest {
            Some(digest) => write!(f, "{digest}  {}", self.key),
            None => write!(f, "{:<64}  {}", "never read", self.key),
        }
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Summary {
    snapshot: SnapshotId,
    algorithm: Algorithm,
    entries: u64,
    bytes: u64,
    unread: u64,
    digest: Hex<[u8; 32]>,
}

impl Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  total of {} entries, {} bytes", self.digest, self.entries, self.bytes)?;
        if self.unread > 0 {
            write!(f, "; {} entries could not be read by the backup", self.unread)?;
        }
        Ok(())
    }
}

impl Digest {
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let path = SnapshotPath::parse(&self.snapshot)?;
        let open = session.open_healthy(StoreUse::Read).await?;
        let snapshot = self.newest.find(&open, &path.snapshot, session).await?;
        let view = open.repository.view().await?;
        let located = path.locate(&view, &snapshot).await?;
        let mut digests = view.digest(&snapshot, located.key.as_bytes(), self.algorithm.into());
        while let Some(EntryDigest { key, version, digest, unread }) = digests.next().await? {
            if !self.total && (digest.is_some() || unread) {
                let (key, version, digest) = (&key, version.as_deref(), digest.map(Hex));
                session.reporter.result(&DigestLine { key, version, digest })?;
            }
        }
        let SnapshotDigest { entries, bytes, unread, digest } = digests.total();
        let (snapshot, algorithm) = (snapshot.snapshot.id, self.algorithm);
        let digest = Hex(digest);
        session.reporter.result(&Summary { snapshot, algorithm, entries, bytes, unread, digest })?;
        Ok(if unread == 0 { Exit::Done } else { Exit::Incomplete })
    }
}
