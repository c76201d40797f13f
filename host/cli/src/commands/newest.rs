//! Which snapshot a name means, for the commands that read one.
//!
//! Owned here: what is said where `latest` is not what it would be in a healthy repository. Refused here: what it is (`credenza-engine`).

use clap::Args;
use credenza_engine::{SnapshotHandle, SnapshotName, Snapshots};

use super::Session;
use super::session::OpenRepository;
use crate::failure::Failure;

/// What `latest` means where the newest snapshot cannot be read.
#[derive(Debug, Args)]
pub(crate) struct Newest {
    /// Where the newest snapshot cannot be read, let `latest` be the newest that can; else that is damage (exit code 20).
    #[arg(long)]
    or_older: bool,
}

impl Newest {
    /// The snapshot of that name.
    pub(crate) async fn find(
        &self,
        open: &OpenRepository,
        name: &SnapshotName,
        session: &Session<'_>,
    ) -> Result<SnapshotHandle, Failure> {
        let snapshots = open.repository.snapshots().await?;
        tell_ahead(&snapshots, session);
        self.choose(&snapshots, name, session)
    }

    /// The one of that name among those that were listed.
    pub(crate) fn choose(
        &self,
        snapshots: &Snapshots,
        name: &SnapshotName,
        session: &Session<'_>,
    ) -> Result<SnapshotHandle, Failure> {
        if !self.or_older {
            return Ok(snapshots.find(name)?);
        }
        let found = snapshots.find_readable(name)?;
        if let Some(unread) = snapshots.unread_newest().filter(|_| name.is_latest()) {
            let id = found.snapshot.id;
            session.reporter.note(format!("note: {}; snapshot {id} is the newest that can be read", unread.damage));
        }
        Ok(found)
    }
}

/// Names the snapshots that no `latest` means, because they are dated after now.
pub(super) fn tell_ahead(snapshots: &Snapshots, session: &Session<'_>) {
    for handle in snapshots.whole.iter().filter(|handle| snapshots.ahead.contains(&handle.snapshot.id)) {
        let time = handle.time().unwrap_or_default();
        session.reporter.note(format!(
            "note: snapshot {} is dated {time}, after now: a clock was wrong. It is not `latest`, and `prune` leaves it alone",
            handle.snapshot.id
        ));
    }
}
