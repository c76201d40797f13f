//! What is on record of a repository's drills, of the machines that back up into it, and of its origin where it is a replica: of each, what was said last.
//!
//! A *drill* is a restore for trial ([`drill`](crate::drill)). A machine's *configuration* is what it takes to set up another in its place
//! ([`keep_configuration`]); it names commands, so whoever sets up a machine by it looks at it first.
//!
//! Owned here: these notes, and which of them count (`FORMAT.md`, "Note"). Refused here: what is in a configuration (`app`). Called by whoever
//! shows, restores or promises by them, and by `gc`, which deletes what is superseded.
//!
//! Bound: one drill, one configuration for each machine, 1 MiB at most, and the heads of each origin and signer; a note while it is read.

use std::collections::BTreeMap;
use std::time::Duration;

use credenza_format::{Drill, Fact, MachineConfiguration, ObjectKind, PublicKey, Replica};
use credenza_model::{ObjectId, RepositoryId, StoreKey, Timestamp};

use crate::notes::{self, put_note};
use crate::repository::Repository;
use crate::{AHEAD_SECONDS, Damage, Result};

/// Superseded notes that are left alone.
const SUPERSEDED_MAX: usize = 16;

/// What counts.
#[derive(Debug, Default)]
pub(crate) struct Latest {
    drill: Option<(Drill, ObjectId)>,
    /// By host.
    machines: BTreeMap<String, (MachineConfiguration, ObjectId)>,
    /// Heads of origins, by origin and who vouches for them: who is believed is for `replica` to say.
    heads: BTreeMap<(RepositoryId, Option<PublicKey>), (Replica, ObjectId)>,
    /// Notes that say what counts no more.
    superseded: Vec<ObjectId>,
    /// Notes that cannot be read: what they say is unknown.
    unreadable: Vec<Damage>,
}

impl Latest {
    /// Reads the notes: two listings, and one request for each note that the cache does not have.
    ///
    /// # Errors
    /// When the store cannot be read, or with the keys of a writer.
    pub(crate) async fn load(repository: &Repository) -> Result<Self> {
        let mut latest = Self::default();
        let now = repository.clock().now().wall;
        notes::read(repository, repository.store(), |id, fact| latest.take(id, fact, now)).await?;
        Ok(latest)
    }

    /// Takes a note; whether others may be gone because of it.
    pub(crate) fn take(&mut self, id: ObjectId, fact: Result<Fact, Damage>, now: Timestamp) -> bool {
        let gone = match fact {
            // It would be the last one until that time: what is done meanwhile counts.
            Ok(Fact::Drill(drill)) if !is_recent(&drill, Duration::MAX, now) => return false,
            Ok(Fact::Drill(drill)) => {
                let (new, old) = later(self.drill.take(), (drill, id), |drill| drill.at);
                self.drill = Some(new);
                old
            }
            Ok(Fact::Configuration(machine)) => {
                let host = machine.host.clone();
                let (new, old) = later(self.machines.remove(&host), (machine, id), |machine| machine.at);
                self.machines.insert(host, new);
                old
            }
            Ok(Fact::Replica(replica)) => {
                let vouched = (replica.origin, replica.signer);
                let (new, old) = later(self.heads.remove(&vouched), (replica, id), |replica| replica.as_of);
                self.heads.insert(vouched, new);
                old
            }
            Ok(_) => return false,
            Err(damage) => {
                self.unreadable.push(damage);
                return false;
            }
        };
        self.superseded.extend(gone);
        true
    }

    /// The last drill.
    pub(crate) fn into_drill(self) -> Option<Drill> {
        self.drill.map(|(drill, _)| drill)
    }

    /// The objects that may be deleted, since others count.
    pub(crate) fn superseded(&self) -> Vec<StoreKey> {
        match self.superseded.len() {
            0..=SUPERSEDED_MAX => Vec::new(),
            _ => self.superseded.iter().map(|note| ObjectKind::Note.store_key(*note)).collect(),
        }
    }
}

/// Of two notes the one that counts, and the other; of one moment, by their ids, so that all readers agree.
pub(crate) fn later<T>(
    known: Option<(T, ObjectId)>,
    heard: (T, ObjectId),
    at: impl Fn(&T) -> Timestamp,
) -> ((T, ObjectId), Option<ObjectId>) {
    match known {
        None => (heard, None),
        Some(known) if (at(&known.0), known.1) > (at(&heard.0), heard.1) => {
            let old = heard.1;
            (known, Some(old))
        }
        Some(known) => (heard, Some(known.1)),
    }
}

/// The last drill of a repository, whatever came of it; nothing where none is on record. A time to come is not believed.
///
/// # Errors
/// When the store cannot be read, or with the keys of a writer.
pub async fn last_drill(repository: &Repository) -> Result<Option<Drill>> {
    Ok(Latest::load(repository).await?.into_drill())
}

/// Whether a drill is of so recent a time before now. A time to come is not believed, beyond what the clocks of machines may differ by.
#[must_use]
pub fn is_recent(drill: &Drill, age: Duration, now: Timestamp) -> bool {
    let age = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
    (-AHEAD_SECONDS..age).contains(&now.seconds.saturating_sub(drill.at.seconds))
}

/// Puts a drill on record.
///
/// # Errors
/// When the store cannot be written.
pub(crate) async fn record_drill(repository: &Repository, drill: Drill) -> Result<()> {
    let retain_until = repository.lock_until().await?;
    put_note(repository, "drill", Fact::Drill(drill), retain_until).await.map(drop)
}

/// The configurations of the machines that back up into a repository, by host, and what could not be read of them.
///
/// # Errors
/// When the store cannot be read, or with the keys of a writer.
pub async fn configurations(repository: &Repository) -> Result<(Vec<MachineConfiguration>, Vec<Damage>)> {
    let Latest { machines, unreadable, .. } = Latest::load(repository).await?;
    Ok((machines.into_values().map(|(machine, _)| machine).collect(), unreadable))
}

/// Keeps the configuration of a machine in a repository, from now on instead of what was there of it. The caller leaves out what is secret.
///
/// # Errors
/// When the store cannot be written, and where the files are longer than a note takes.
pub async fn keep_configuration(repository: &Repository, machine: MachineConfiguration) -> Result<()> {
    repository.require_reading("keeping the configuration of a machine")?;
    let retain_until = repository.lock_until().await?;
    put_note(repository, "configuration", Fact::Configuration(machine), retain_until).await.map(drop)
}
