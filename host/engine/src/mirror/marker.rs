//! The marker: an object at the target that names the cut which the target is, or the one that it is becoming.
//!
//! It is written before anything is changed and again when all is there, so that whoever reads the target knows whether it is one state of its source.
//! Its own time, by the clock of the target, is that at which the mirror was whole: what was changed later was changed by somebody else. Where a target may
//! keep the time that whoever writes gives, times prove nothing: there the marker is given one of long ago, and if it comes back with that, none is believed.
//!
//! Owned here: its name and its fields. Called by `mirror` and, for its name, by whoever makes the cuts.

use credenza_connect::{Destination, DestinationInfo, Error as ConnectError, ErrorClass, Payload, ability};
use credenza_model::{Entry, EntryKind, Key, SnapshotId, Timestamp};
use serde::{Deserialize, Serialize};

use super::Target;
use crate::repository::{Repository, SnapshotHandle};
use crate::{Error, Result};

/// The key of the marker.
pub const MARKER: &str = ".credenza-mirror.json";
/// Cuts that a target may have been on its way to one after the other; of more, the oldest is forgotten, and what it alone has counts as somebody else's.
pub const TOWARDS_MAX: usize = 8;
/// The form that is understood here.
const VERSION: u32 = 1;
/// Far more than one has.
const BYTES_MAX: u64 = 64 * 1024;
/// The time that a marker is given where the target may keep it: long ago, and not so long that a server refuses it (Nextcloud wants more than a day).
const GIVEN: Timestamp = Timestamp { seconds: 1_000_000_000, nanoseconds: 0 };
/// A server may take a time for one of its own zone.
const ZONES_SECONDS: i64 = 2 * 24 * 3600;

/// What a marker says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// The version of this form: 1.
    pub credenza_mirror: u32,
    /// The policy that writes here.
    pub policy: String,
    /// The repository that its cuts are in.
    pub repository: String,
    /// The source, as its cuts name it.
    pub source: String,
    /// The cut that the target is, or was before what is going on began; nothing before the first is whole.
    pub cut: Option<SnapshotId>,
    /// When that cut was made.
    #[serde(default)]
    pub cut_made: Option<Timestamp>,
    /// Objects of that cut that the target has not: they could not be read, or it cannot hold them.
    #[serde(default)]
    pub lacking: u64,
    /// The cuts that it is on its way to, oldest first; none when it is whole.
    #[serde(default)]
    pub towards: Vec<SnapshotId>,
    /// While it is on its way: when it was whole, by its own clock.
    #[serde(default)]
    pub settled: Option<Timestamp>,
    /// It was given a time of long ago, so that its own shows whether the target keeps what it is given.
    #[serde(default)]
    pub dated: bool,
    /// The target has given it back with that time: it keeps what it is given.
    #[serde(skip)]
    pub gives_back: bool,
}

impl Marker {
    /// The one of a policy, for a cut that is still to be mirrored to a target that has these abilities.
    pub(super) fn begin(repository: &Repository, cut: &SnapshotHandle, policy: &str, info: &DestinationInfo) -> Self {
        Self {
            credenza_mirror: VERSION,
            policy: policy.to_owned(),
            repository: repository.config().repository.to_string(),
            source: cut.snapshot.source.identity.clone(),
            cut: None,
            cut_made: Some(cut.snapshot.started),
            lacking: 0,
            towards: Vec::new(),
            settled: None,
            // Of the others it is known whose times they have.
            dated: !info.has(ability::OWN_TIMES) && !info.has(ability::POSIX_ATTRIBUTES),
            gives_back: false,
        }
    }

    /// The one that stands while a target goes from what it was to a cut.
    pub(super) fn going_on(self, known: Option<Self>, cut: SnapshotId) -> Self {
        let known = known.filter(|known| known.is_of(&self));
        let Some(Self { cut: was, cut_made, mut towards, settled, lacking, .. }) = known else {
            return Self { cut_made: None, towards: vec![cut], ..self };
        };
        towards.retain(|id| *id != cut);
        towards.push(cut);
        let surplus = towards.len().saturating_sub(TOWARDS_MAX);
        towards.drain(..surplus);
        Self { cut: was, cut_made, towards, settled, lacking, ..self }
    }

    /// Whether both are of one policy, repository and source.
    pub(super) fn is_of(&self, other: &Self) -> bool {
        (&self.policy, &self.repository, &self.source) == (&other.policy, &other.repository, &other.source)
    }

    /// Whether the target is that cut, whole.
    #[must_use]
    pub fn is_at(&self, cut: SnapshotId) -> bool {
        self.cut == Some(cut) && self.towards.is_empty() && self.lacking == 0
    }
}

/// A marker, and when it was written.
pub(super) struct Read {
    pub(super) marker: Marker,
    written: Option<Timestamp>,
}

impl Read {
    /// The marker with the time at which the target was whole, where the times of what is there are those of its writing.
    pub(super) fn settled_marker(self, has_own_times: bool) -> Marker {
        let is_own = |written: Timestamp| written.seconds > GIVEN.seconds.saturating_add(ZONES_SECONDS);
        let is_own = self.written.map(is_own).filter(|_| self.marker.dated);
        let is_believed = has_own_times || is_own == Some(true);
        let settled = if self.marker.towards.is_empty() { self.written } else { self.marker.settled };
        Marker { settled: settled.filter(|_| is_believed), gives_back: is_own == Some(false), ..self.marker }
    }
}

/// The marker of a target.
pub(super) async fn read(target: &Target) -> Result<Option<Read>> {
    let failed = || Error::connector(format!("reading `{MARKER}` of the target"));
    let Some(found) = target.destination.stat(&Key::from(MARKER)).await.map_err(failed())? else { return Ok(None) };
    let opened = target.listing.read(&found, None, None).await.map_err(failed())?;
    let bytes = opened.body.read_all(BYTES_MAX).await.map_err(failed())?;
    let marker: Marker = serde_json::from_slice(&bytes).map_err(|error| failed()(strange(&error.to_string())))?;
    if marker.credenza_mirror != VERSION {
        return Err(failed()(strange(&format!("its form is {}", marker.credenza_mirror))));
    }
    Ok(Some(Read { marker, written: found.modified }))
}

fn strange(why: &str) -> ConnectError {
    let message = format!(
        "it is no marker of a mirror that this program knows ({why}): move it away, or mirror to another place"
    );
    ConnectError::new(ErrorClass::Corrupt, "mirror.marker", message)
}

/// Writes the marker in the place of the one before.
pub(super) async fn write(target: &Target, marker: &Marker) -> Result<()> {
    let failed = || Error::connector(format!("writing `{MARKER}` at the target"));
    let text = serde_json::to_vec_pretty(marker).map_err(|error| failed()(strange(&error.to_string())))?;
    let modified = marker.dated.then_some(GIVEN);
    let entry = Entry { size: Some(text.len() as u64), modified, ..Entry::new(Key::from(MARKER), EntryKind::File) };
    if let Some(mut writer) = target.destination.create(&entry, true).await.map_err(failed())?
        && let Err(cause) = writer.finish(Payload::new(vec![text.into()])).await
    {
        writer.abort().await;
        return Err(failed()(cause));
    }
    target.destination.sync().await.map_err(failed())
}

/// Whether a key is that of the marker.
pub(super) fn is_marker(key: &Key) -> bool {
    key.as_bytes() == MARKER.as_bytes()
}

/// Whether the target may have nothing at all: then nobody lists it.
pub(super) async fn is_absent(target: &Target, namespace: &str) -> Result<bool> {
    if namespace != ability::TREE {
        return Ok(false);
    }
    let found = Destination::stat(&*target.destination, &Key::default()).await;
    Ok(found.map_err(Error::connector("looking at the target"))?.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The time at which a target was whole, as its marker tells it that has been written at a time.
    fn settled(dated: bool, has_own_times: bool, seconds: i64) -> Option<i64> {
        let marker = Marker {
            credenza_mirror: VERSION,
            policy: "a".to_owned(),
            repository: "r".to_owned(),
            source: "s".to_owned(),
            cut: None,
            cut_made: None,
            lacking: 0,
            towards: Vec::new(),
            settled: None,
            dated,
            gives_back: false,
        };
        let read = Read { marker, written: Some(Timestamp { seconds, nanoseconds: 0 }) };
        read.settled_marker(has_own_times).settled.map(|time| time.seconds)
    }

    #[test]
    fn a_time_is_believed_where_the_target_writes_its_own_alone() {
        const NOW: i64 = 1_800_000_000;
        assert_eq!(settled(false, true, NOW), Some(NOW));
        assert_eq!(settled(true, false, NOW), Some(NOW), "it was given another, and has its own");
        assert_eq!(settled(true, false, GIVEN.seconds), None, "it keeps what it is given");
        assert_eq!(settled(true, false, GIVEN.seconds - 7200), None, "so it does in another zone");
        assert_eq!(settled(false, false, NOW), None, "nobody knows whose time that is");
    }
}
