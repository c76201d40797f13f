//! `digest`: digests of what a snapshot holds, the same in every repository.

use std::ffi::OsString;
use std::fmt::{self, Display};

use clap::{Args, ValueEnum};
use credenza_app::SnapshotPath;
use credenza_engine::query::{DigestAlgorithm, EntryDigest, SnapshotDigest};
use credenza_format::Hex;
use credenza_model::SnapshotId;
use serde::Serialize;

use super::Session;
use super::newest::Newest;
use crate::failure::{Exit, Failure};
use crate::report::JsonKey;

/// Read and verify a snapshot, or what lies at or under a key, and print a digest of each file and link and one of all.
///
/// The digests depend on keys and contents alone, not on times or attributes, nor on the repository: after a sync, both sides give the same.
#[derive(Debug, Args)]
pub(crate) struct Digest {
    /// `latest` or the beginning of a snapshot's id; behind a colon, a key to digest what lies at or under it.
    #[arg(value_name = "SNAPSHOT[:PREFIX]")]
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
    key: JsonKey<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    digest: Option<Hex<[u8; 32]>>,
}

impl Display for DigestLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.digest {
            Some(digest) => write!(f, "{digest}  {}", self.key.0),
            None => write!(f, "{:<64}  {}", "never read", self.key.0),
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
        let open = session.open_for_reading().await?;
        let snapshot = self.newest.find(&open, &path.snapshot, session).await?;
        let mut digests = open.repository.view().await?.digest(&snapshot, path.prefix(), self.algorithm.into());
        while let Some(EntryDigest { key, version, digest, unread }) = digests.next().await? {
            if !self.total && (digest.is_some() || unread) {
                let (key, version, digest) = (JsonKey(&key), version.as_deref(), digest.map(Hex));
                session.reporter.result(&DigestLine { key, version, digest })?;
            }
        }
        let SnapshotDigest { entries, bytes, unread, digest } = digests.total();
        let (snapshot, algorithm) = (snapshot.snapshot.id, self.algorithm);
        if entries == 0 && !path.prefix().is_empty() {
            let key = path.key.unwrap_or_default().to_string();
            return Err(credenza_engine::Error::NoEntry { snapshot: snapshot.to_string(), key }.into());
        }
        let digest = Hex(digest);
        session.reporter.result(&Summary { snapshot, algorithm, entries, bytes, unread, digest })?;
        Ok(if unread == 0 { Exit::Done } else { Exit::Incomplete })
    }
}
