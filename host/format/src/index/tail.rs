//! The tail of an index segment, which only repositories in stores with versions or locks have.
//!
//! Locks u32 · versions u32, then for each lock, ascending by id: object id 16 · until u64, in seconds since 1970; then for each version,
//! ascending by pack: place of the pack in the segment's table u32 · the store's name for the version, sized UTF-8, 1 to 1,024 bytes.

use credenza_model::{ObjectId, Timestamp};

use super::WHAT;
use crate::wire::{Fields, length_u32, put_sized};
use crate::{Error, PackRecord, Result};

/// Longest name of a version, that of Amazon S3.
const VERSION_BYTES_MAX: usize = 1024;

/// A promise of the store: nobody destroys the object before then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockRecord {
    /// A pack, an index segment or a key slot; the config goes by the id of the repository.
    pub object: ObjectId,
    /// The end of the lock by the store's clock, in whole seconds.
    pub until: Timestamp,
}

/// Whether a segment has anything to say in a tail.
pub(super) fn is_needed(packs: &[PackRecord], locks: &[LockRecord]) -> bool {
    !locks.is_empty() || packs.iter().any(|pack| pack.version.is_some())
}

/// Appends the tail.
pub(super) fn encode(out: &mut Vec<u8>, packs: &[PackRecord], locks: &[LockRecord]) -> Result<()> {
    let versions = || (0_u32..).zip(packs).filter_map(|(place, pack)| Some((place, pack.version.as_deref()?)));
    out.extend(length_u32(WHAT, locks.len())?.to_le_bytes());
    out.extend(length_u32(WHAT, versions().count())?.to_le_bytes());
    let mut locks = locks.to_vec();
    locks.sort_unstable_by_key(|lock| lock.object);
    for lock in locks {
        out.extend(lock.object.as_bytes());
        out.extend(u64::try_from(lock.until.seconds).unwrap_or(0).to_le_bytes());
    }
    for (place, version) in versions() {
        check_version(version)?;
        out.extend(place.to_le_bytes());
        put_sized(out, version.as_bytes());
    }
    Ok(())
}

/// Reads the locks, and the versions into the packs.
pub(super) fn decode(fields: &mut Fields<'_>, packs: &mut [PackRecord]) -> Result<Vec<LockRecord>> {
    let (lock_count, version_count) = (fields.u32()?, fields.u32()?);
    let mut locks: Vec<LockRecord> = Vec::new();
    for _ in 0..lock_count {
        let lock = decode_lock(fields)?;
        if locks.last().is_some_and(|last| last.object >= lock.object) {
            return Err(fields.malformed("its locks are not in the order of ids"));
        }
        locks.push(lock);
    }
    let mut next = 0;
    for _ in 0..version_count {
        let (place, version) = (fields.u32()?, fields.text()?);
        check_version(&version)?;
        let pack = usize::try_from(place).ok().filter(|place| *place >= next).and_then(|place| packs.get_mut(place));
        let pack = pack.ok_or_else(|| fields.malformed("a version is out of order or of no pack"))?;
        pack.version = Some(version);
        next = place as usize + 1;
    }
    Ok(locks)
}

fn decode_lock(fields: &mut Fields<'_>) -> Result<LockRecord> {
    let (object, seconds) = (ObjectId::new(fields.array()?), fields.u64()?);
    let seconds = i64::try_from(seconds).map_err(|_| fields.malformed("a lock ends beyond all time"))?;
    Ok(LockRecord { object, until: Timestamp { seconds, nanoseconds: 0 } })
}

fn check_version(version: &str) -> Result<()> {
    if (1..=VERSION_BYTES_MAX).contains(&version.len()) {
        return Ok(());
    }
    let problem = format!("a version has a name of {} bytes where 1 to {VERSION_BYTES_MAX} may be", version.len());
    Err(Error::Malformed { what: WHAT, problem })
}
