//! `restore`: a snapshot, or a part of one, to a folder or any other destination.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::{self, Display};

use clap::Args;
use credenza_app::{Kind, SnapshotPath, StoreUse};
use credenza_engine::restore::{self, RestoreOptions};
use credenza_model::SnapshotId;
use indicatif::HumanBytes;
use serde::Serialize;

use super::Session;
use super::newest::Newest;
use crate::failure::{Exit, Failure};
use crate::report::printable;
use crate::settings::parse_settings;

/// Restore a snapshot or a part of it; every byte is verified before it is written.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// `latest` or the beginning of a snapshot's id; behind a colon, a key to restore what lies at or under it.
    #[arg(value_name = "SNAPSHOT[:PREFIX]")]
    snapshot: OsString,

    #[command(flatten)]
    newest: Newest,

    /// A folder, a location such as s3://host/bucket, or @name of a destination.
    #[arg(long, value_name = "DESTINATION")]
    to: OsString,

    /// Replace what exists.
    #[arg(long)]
    overwrite: bool,

    /// Restore every version and delete marker of each key, oldest first, to a destination that keeps versions.
    #[arg(long)]
    versions: bool,

    /// Do not wait until what was restored is on the disk for good, so that a power failure soon after may take it.
    #[arg(long)]
    no_sync: bool,

    /// Exit 0 although attributes were lost that the destination cannot hold; they are listed all the same.
    #[arg(long)]
    accept_loss: bool,

    /// A setting of the destination, as key=value; may be given several times. One of the repository stands before the command.
    #[arg(short = 'o', long = "destination-option", value_name = "KEY=VALUE")]
    settings: Vec<OsString>,
}

/// What a restore did.
#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Summary {
    snapshot: SnapshotId,
    destination: String,
    entries: u64,
    bytes: u64,
    damaged: u64,
    /// Packs that were damaged and read by their parity.
    packs_healed: u64,
    /// The snapshot has no content of these.
    unread: u64,
    failed: u64,
    /// Older versions and delete markers that were not asked for.
    versions_left: u64,
    /// Attributes that could not be restored, with the number of entries that lost each.
    unrestored: BTreeMap<String, u64>,
    requests: Requests,
}

#[derive(Serialize)]
struct Requests {
    store: u64,
    destination: u64,
}

impl Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "restored {} entries, {}, to {}",
            self.entries,
            HumanBytes(self.bytes),
            printable(&self.destination)
        )?;
        if self.requests.store + self.requests.destination > 0 {
            write!(f, ", {} + {} requests (repository + destination)", self.requests.store, self.requests.destination)?;
        }
        if self.damaged > 0 {
            write!(f, "\n{} entries were not restored: their content is lost", self.damaged)?;
        }
        if self.packs_healed > 0 {
            write!(
                f,
                "\n{} packs are damaged and were read by their parity: what was restored is right",
                self.packs_healed
            )?;
        }
        if self.unread > 0 {
            write!(f, "\n{} entries have no content in the snapshot", self.unread)?;
        }
        if self.failed > 0 {
            write!(f, "\n{} entries were refused by the destination, or could not be read", self.failed)?;
        }
        if self.versions_left > 0 {
            write!(f, "\n{} older versions were left out; --versions restores them", self.versions_left)?;
        }
        let attributes = self.unrestored.iter();
        attributes
            .into_iter()
            .try_for_each(|(name, count)| write!(f, "\nnot restored: {} of {count} entries", printable(name)))
    }
}

impl Restore {
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let path = SnapshotPath::parse(&self.snapshot)?;
        let (repository, place) = session.places(Kind::Destination, &self.to, parse_settings(&self.settings)?)?;
        let open = session.open_repository(repository, StoreUse::Read).await?;
        let snapshot = self.newest.find(&open, &path.snapshot, session).await?;
        let destination = session.app.destination(&place, self.versions).await?;
        let options = RestoreOptions {
            prefix: path.prefix().to_vec(),
            overwrite: self.overwrite,
            versions: self.versions,
            no_sync: self.no_sync,
        };
        let report =
            restore::run(&open.repository, &snapshot, destination.connector.clone(), &options, &session.run_context())
                .await?;
        session.reporter.healed(&report.healed, &open.place.text());
        let lost = !report.unrestored.is_empty() && !self.accept_loss;
        let exit = exit_of(report.damaged, report.unread + report.failed, lost);
        session.reporter.done(&Summary {
            snapshot: snapshot.snapshot.id,
            destination: place.text(),
            entries: report.entries,
            bytes: report.bytes,
            damaged: report.damaged,
            packs_healed: report.healed.len() as u64,
            unread: report.unread,
            failed: report.failed,
            versions_left: report.versions_left,
            unrestored: report.unrestored,
            requests: Requests { store: open.store.requests(), destination: destination.requests() },
        });
        Ok(exit)
    }
}

/// Lost content outweighs what was never read, a refusal and lost attributes.
const fn exit_of(damaged: u64, missing: u64, lost: bool) -> Exit {
    match (damaged, missing, lost) {
        (0, 0, false) => Exit::Done,
        (0, ..) => Exit::Incomplete,
        _ => Exit::DamageFound,
    }
}
