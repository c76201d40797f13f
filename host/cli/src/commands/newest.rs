//! Which snapshot a name means, for the commands that read one.
//!
//! Owned here: what is said where `latest` is not what it would be in a healthy repository. Refused here: what it is (`credenza-engine`).

use clap::Args;
use credenza_app::OpenRepository;
use credenza_engine::{Error as EngineError, SnapshotHandle, SnapshotName, Snapshots};
use credenza_model::Timestamp;

use super::Session;
use crate::failure::Failure;

/// What `latest` means where the newest snapshot cannot be read, or nobody can tell which it is.
#[derive(Debug, Args)]
pub(crate) struct Newest {
    /// Where the newest snapshot cannot be read, or its date lies after now, let `latest` be the newest of the others.
    ///
    /// Without it a newest snapshot that cannot be read is damage (exit code 20), and `latest` is refused where it hangs on a date after now
    /// which snapshot is the newest: then a clock is wrong, that of this machine or that of the store when the snapshot was made.
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
        self.choose(&snapshots, name, session)
    }

    /// The one of that name among those that were listed.
    pub(crate) fn choose(
        &self,
        snapshots: &Snapshots,
        name: &SnapshotName,
        session: &Session<'_>,
    ) -> Result<SnapshotHandle, Failure> {
        match snapshots.find(name) {
            Err(doubt @ (EngineError::NewestUnreadable { .. } | EngineError::NewestAhead { .. })) if self.or_older => {
                let older = snapshots.find_or_older(name)?;
                let id = older.snapshot.id;
                session.reporter.note(format!("note: {doubt}; snapshot {id} is taken instead"));
                Ok(older)
            }
            found => {
                let found = found?;
                if name.is_latest() && snapshots.is_ahead(&found) {
                    tell_ahead(snapshots, session);
                }
                Ok(found)
            }
        }
    }
}

/// Says which snapshots are dated after now.
pub(super) fn tell_ahead(snapshots: &Snapshots, session: &Session<'_>) {
    let Some(last) = snapshots.whole.iter().rfind(|handle| snapshots.is_ahead(handle)) else { return };
    let to_the_second = |time: Timestamp| Timestamp { nanoseconds: 0, ..time };
    let (time, now) = (to_the_second(last.time().unwrap_or_default()), to_the_second(snapshots.now));
    let id = last.snapshot.id;
    let which = match snapshots.ahead.len() {
        1 => format!("snapshot {id} is dated {time}"),
        count => format!("{count} snapshots are dated after now, the last of them, {id}, {time}"),
    };
    session.reporter.note(format!(
        "note: {which}, and by the clock of this machine it is {now}: either this clock is behind, or that of the store was ahead then. `prune` leaves alone what is dated after now"
    ));
}
