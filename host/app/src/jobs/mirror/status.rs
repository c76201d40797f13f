//! How a mirror stands: which cut each target is, by its marker, and which cuts there are.

use std::collections::BTreeSet;

use credenza_engine::flags::Flags;
use credenza_engine::mirror::{self, Marker};
use credenza_engine::{Error as EngineError, SnapshotName, Snapshots};
use credenza_model::{SnapshotId, Timestamp};

use super::super::recording::Cause;
use super::super::sections::mirror::Mirror;
use super::places::OpenTarget;
use super::{coming, cuts_of, open};
use crate::app::App;
use crate::error::Result;
use crate::open::{DestinationUse, StoreUse};

/// How a target stands.
#[derive(Debug, Clone, serde::Serialize)]
pub struct TargetStatus {
    /// The target, as it is written.
    pub target: String,
    /// What its marker says; none where nothing was mirrored there.
    pub marker: Option<Marker>,
    /// The newest cut.
    pub newest: Option<SnapshotId>,
    /// When that was made.
    pub newest_made: Option<Timestamp>,
    /// Cuts since the one that the target is.
    pub behind: u64,
    /// Seconds since the cut was made that the target is.
    pub age: Option<i64>,
    /// The first suspect snapshot of the source that is to come: until somebody has looked at it, no newer cut comes there.
    pub suspect: Option<SnapshotId>,
    /// Why nothing is known of the target, where that is so.
    pub unknown: Option<String>,
}

/// How a mirror stands.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// In the order of the file.
    pub targets: Vec<TargetStatus>,
    /// Its cuts, oldest first.
    pub cuts: Snapshots,
    /// Those of them that are suspect, and that nobody has acknowledged.
    pub suspect: BTreeSet<SnapshotId>,
}

/// How each target stands, and which cuts there are. A target that does not answer says so.
///
/// # Errors
/// When the repository cannot be read.
pub async fn status(app: &App, mirror: &Mirror, now: Timestamp) -> Result<Standing> {
    let open = open(app, mirror, StoreUse::Read).await?;
    let all = open.repository.snapshots().await?;
    let (cuts, flags) = (cuts_of(&all, mirror), Flags::load(&open.repository).await?);
    // Nothing is up to date with a cut that cannot be read and may be the newest.
    if let Err(unread @ (EngineError::NewestUnreadable { .. } | EngineError::Damage(_))) =
        cuts.find(&SnapshotName("latest".to_owned()))
    {
        return Err(unread.into());
    }
    let newest = cuts.whole.last();
    let mut targets = Vec::new();
    for word in &mirror.to {
        let marked = async {
            let opened = OpenTarget::of(app, mirror, word, DestinationUse::Preview).await?;
            Ok(mirror::marker(&opened.target()).await?)
        };
        let (marker, unknown) = match marked.await {
            Ok(marker) => (marker, None),
            Err(error) => (None, Some(Cause::App(error).to_string())),
        };
        let at = marker.as_ref().and_then(|marker| marker.cut);
        let place = cuts.whole.iter().position(|handle| Some(handle.snapshot.id) == at);
        let made = marker.as_ref().filter(|marker| marker.cut.is_some()).and_then(|marker| marker.cut_made);
        let coming = newest.map(|cut| coming(&all, cut, at, false)).unwrap_or_default();
        targets.push(TargetStatus {
            target: word.clone(),
            newest: newest.map(|handle| handle.snapshot.id),
            newest_made: newest.map(|handle| handle.snapshot.started),
            behind: cuts.whole.len().saturating_sub(place.map_or(0, |place| place + 1)) as u64,
            age: made.map(|made| now.seconds.saturating_sub(made.seconds)),
            suspect: coming.iter().find(|handle| flags.suspicion(handle).is_some()).map(|handle| handle.snapshot.id),
            marker,
            unknown,
        });
    }
    let suspect = flags.suspects(&cuts).map(|(handle, _)| handle.snapshot.id).collect();
    Ok(Standing { targets, cuts, suspect })
}
