//! Adopt: packs that no index segment describes, by the tables at their own ends.
//!
//! Bound: what reading one of them takes (`repository::tables`); with parity what healing one pack takes (`repository::parity`).

use credenza_connect::StoredObject;
use credenza_format::PackRecord;

use crate::Result;
use crate::repository::{Repository, by_table, digest, version_now};

/// A pack that no segment describes.
pub(super) struct Adopted {
    /// Its description. The digest is [`NOT_READ`](crate::repository::NOT_READ) where it takes reading all of the pack.
    pub(super) pack: PackRecord,
    /// The pack is damaged, and this describes what its parity makes of it.
    pub(super) is_healed: bool,
}

/// The description of a pack, by its parity where it is damaged; `None` when its table cannot be opened.
pub(super) async fn describe(repository: &Repository, object: &StoredObject) -> Result<Option<Adopted>> {
    let version = version_now(repository, &object.key).await?;
    let described = by_table(repository, object, version.clone(), None).await?;
    if repository.config().parity.is_none() {
        return Ok(described.map(|pack| Adopted { pack, is_healed: false }));
    }
    // What is read of it later is healed by its digest.
    if let Some(pack) = &described
        && let Some(sha256) = digest(repository, pack).await?
    {
        return Ok(Some(Adopted { pack: PackRecord { sha256, ..pack.clone() }, is_healed: false }));
    }
    if let Some((bytes, sha256)) = repository.heal_undescribed(object, version.as_deref()).await? {
        let whole = StoredObject { size: bytes.len() as u64, ..object.clone() };
        let healed = by_table(repository, &whole, version, Some(&bytes)).await?;
        return Ok(healed.map(|pack| Adopted { pack: PackRecord { sha256, ..pack }, is_healed: true }));
    }
    Ok(described.map(|pack| Adopted { pack, is_healed: false }))
}
