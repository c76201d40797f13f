//! Parity: a pack that was hurt is made whole in memory, and parity is put beside packs.
//!
//! Owned here: what is read for it, that nothing counts as healed but what has the digest that the index gives, that each healed pack is reported, and
//! that a pack which is beyond its parity is tried once. Refused here: the code (`format`), who reads packs (`blobs`), mending the store (`repair`).
//!
//! Bound: one pack at a time for all clones of a repository, with its parity while it is healed (384 MiB for the largest pack at 50 %, 36 MB for a
//! usual one at 5 %) and what `format` states; the last healed pack is kept.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use bytes::Bytes;
use credenza_connect::{ByteRange, ErrorClass, Payload, PutOptions, Store, StoredObject};
use credenza_format::{
    IndexedPack, Inspector, ObjectKind, PARITY_BYTES_MAX, PackRecord, ParityHead, ParityRate, heal, inspect_parity,
    parity_key, parity_of,
};
use credenza_model::limits::PACK_BYTES_MAX;
use credenza_model::{ObjectId, StoreKey, Timestamp};
use ring::digest;

use super::Repository;
use crate::poison::lock_unpoisoned;
use crate::{Damage, DamageKind, Error, Result};

/// Bytes of an object read in one request.
const PIECE_BYTES: u64 = 8 * 1024 * 1024;
/// The same where a stretch cannot be read, so that a bad sector of a disk costs a segment, or two.
const SPLINTER_BYTES: u64 = 16 * 1024;

/// What is known of packs that were hurt.
#[derive(Default)]
pub(super) struct Healer {
    /// The last pack that was read whole, and whether it was hurt. Who holds it heals.
    last: tokio::sync::Mutex<Option<(ObjectId, Bytes, bool)>>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    untold: HashMap<ObjectId, Damage>,
    /// Packs that are beyond their parity.
    lost: HashSet<ObjectId>,
}

/// What tells the bytes of a pack from all others.
#[derive(Debug, Clone)]
pub(crate) struct PackName {
    id: ObjectId,
    key: StoreKey,
    size: u64,
    sha256: [u8; 32],
    version: Option<String>,
}

impl From<&IndexedPack> for PackName {
    fn from(pack: &IndexedPack) -> Self {
        let version = pack.version.as_deref().map(str::to_owned);
        Self { id: pack.id, key: pack.store_key(), size: pack.size, sha256: pack.sha256, version }
    }
}

impl From<&PackRecord> for PackName {
    fn from(pack: &PackRecord) -> Self {
        let key = pack.kind.object_kind().store_key(pack.id);
        Self { id: pack.id, key, size: pack.size, sha256: pack.sha256, version: pack.version.clone() }
    }
}

impl Repository {
    /// Damage of packs that their parity made good, each once since this was last asked: to be reported to whoever reads. The content is right.
    #[must_use]
    pub fn take_healed(&self) -> Vec<Damage> {
        self.take_healed_packs().into_iter().map(|(_, damage)| damage).collect()
    }

    /// The same with the packs, in the order of their ids.
    pub(crate) fn take_healed_packs(&self) -> Vec<(ObjectId, Damage)> {
        let mut untold: Vec<_> = std::mem::take(&mut self.healer.known().untold).into_iter().collect();
        untold.sort_unstable_by_key(|(pack, _)| *pack);
        untold
    }

    /// All bytes of a damaged pack, as they were written; `None` when it has no parity or is hurt beyond it.
    ///
    /// # Errors
    /// When the store cannot be read at all.
    pub(crate) async fn heal(&self, pack: &PackName, damage: &Damage) -> Result<Option<Bytes>> {
        let Some(rate) = self.config.parity else { return Ok(None) };
        let mut last = self.healer.last.lock().await;
        if let Some((id, bytes, was_hurt)) = &*last
            && *id == pack.id
        {
            self.healer.known().tell(*was_hurt, pack, damage);
            return Ok(Some(bytes.clone()));
        }
        if self.healer.known().lost.contains(&pack.id) {
            return Ok(None);
        }
        // The one before goes first.
        *last = None;
        let found = read_what_is_there(&*self.bare, &pack.key, pack.version.as_deref(), pack.size).await?;
        let parity_bytes = rate.object_bytes(pack.size).unwrap_or_default();
        let parity = read_what_is_there(&*self.bare, &parity_key(pack.id), None, parity_bytes).await?;
        let (owner, size, sha256) = ((self.config.repository, pack.id), pack.size, pack.sha256);
        let work = move || restored(rate, owner, (size, sha256), found, &parity);
        let healed = tokio::task::spawn_blocking(work).await.map_err(Error::worker("heal"))?;
        let mut known = self.healer.known();
        let Some((bytes, was_hurt)) = healed else {
            known.lost.insert(pack.id);
            return Ok(None);
        };
        known.tell(was_hurt, pack, damage);
        drop(known);
        *last = Some((pack.id, bytes.clone(), was_hurt));
        Ok(Some(bytes))
    }

    /// All bytes of a damaged pack that no index segment describes, as its parity says that they were written, and their SHA-256: they agree with the checksum of the
    /// pack, and it is for whoever opens them to see whose they are. `None` when it has no parity or is hurt beyond it.
    ///
    /// # Errors
    /// When the store cannot be read at all.
    pub(crate) async fn heal_undescribed(
        &self,
        pack: &StoredObject,
        version: Option<&str>,
    ) -> Result<Option<(Bytes, [u8; 32])>> {
        let (Some(rate), Some((_, id))) = (self.config.parity, ObjectKind::parse(&pack.key)) else { return Ok(None) };
        let parity = read_what_is_there(&*self.bare, &parity_key(id), None, PARITY_BYTES_MAX).await?;
        // The second head lies where the size of the pack says.
        let size = ParityHead::decode(&parity).map_or(pack.size, |head| head.pack_size());
        if size > PACK_BYTES_MAX {
            return Ok(None);
        }
        let mut found = read_what_is_there(&*self.bare, &pack.key, version, size).await?;
        let owner = (self.config.repository, id);
        let work = move || {
            heal(rate, owner, size, &mut found, &parity).ok()?;
            let mut inspector = Inspector::new(size);
            inspector.update(&found);
            inspector.finish().ok().map(|inspected| (Bytes::from(found), inspected.sha256.0))
        };
        tokio::task::spawn_blocking(work).await.map_err(Error::worker("heal"))
    }

    /// What is wrong with the parity of a pack, read whole.
    ///
    /// # Errors
    /// When the store cannot be read at all.
    pub(crate) async fn inspect_parity(&self, pack: &PackRecord) -> Result<Option<Damage>> {
        let Some(rate) = self.config.parity else { return Ok(None) };
        let key = parity_key(pack.id);
        let bytes = rate.object_bytes(pack.size).unwrap_or_default();
        // One byte more, which would be one too many.
        let found = read_what_is_there(&*self.bare, &key, None, bytes + 1).await?;
        if found.is_empty() {
            return Ok(Some(lacking(&key)));
        }
        let inspected = tokio::task::spawn_blocking(move || inspect_parity(&found)).await;
        let corrupt = |detail: String| Damage::new(&key, DamageKind::Corrupt, detail);
        Ok(match inspected.map_err(Error::worker("verify"))? {
            Err(cause) => Some(corrupt(cause.to_string())),
            Ok(head) if !self.is_parity_of(&head, pack) => {
                Some(corrupt("it is not the parity of this pack".to_owned()))
            }
            Ok(_) => None,
        })
    }

    fn is_parity_of(&self, head: &ParityHead, pack: &PackRecord) -> bool {
        (head.repository(), head.pack(), head.pack_header()) == (self.config.repository, pack.id, &pack.header)
    }

    /// Makes the parity of a pack again, the same as it was, and puts it; false when the pack is not whole.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub(crate) async fn renew_parity(&self, pack: &PackRecord) -> Result<bool> {
        let (Some(rate), name) = (self.config.parity, PackName::from(pack)) else { return Ok(false) };
        let found = read_what_is_there(&*self.bare, &name.key, name.version.as_deref(), name.size).await?;
        if sha256(&found) != name.sha256 {
            return Ok(false);
        }
        let (owner, id) = (self.config.repository, name.id);
        let work = move || parity_of(rate, owner, id, &[Bytes::from(found)]);
        let parity = tokio::task::spawn_blocking(work).await.map_err(Error::worker("parity"))??;
        put_parity(&**self.bare_store(), id, parity, self.lock_until().await?).await.map(|()| true)
    }
}

impl Known {
    /// Notes what is to be reported of a pack. One that was right when it was read again is not damaged.
    fn tell(&mut self, was_hurt: bool, pack: &PackName, damage: &Damage) {
        if was_hurt {
            let detail = format!("{}; what is read of it is whole by its parity", damage.detail);
            self.untold.entry(pack.id).or_insert_with(|| Damage { chunk: None, detail, ..damage.clone() });
        }
    }
}

impl Healer {
    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        // Nothing here is half done when a thread ends early.
        lock_unpoisoned(&self.known)
    }
}

/// Puts the parity of a pack. It follows from the pack, so that whatever stands there already is the same or damaged.
pub(crate) async fn put_parity(
    store: &dyn Store,
    pack: ObjectId,
    parity: Vec<u8>,
    retain_until: Option<Timestamp>,
) -> Result<()> {
    let key = parity_key(pack);
    let options = PutOptions { retain_until, hint: "parity".to_owned(), ..PutOptions::default() };
    let put = store.put(&key, Payload::from(parity), &options).await;
    put.map_err(Error::connector(format!("writing `{key}` to the repository"))).map(drop)
}

/// What `check` says where a pack has lost its parity.
pub(crate) fn lacking(key: &StoreKey) -> Damage {
    Damage::new(key, DamageKind::Missing, "the parity of a pack is not in the store")
}

/// The pack as it was written, and whether anything had to be mended for that: what was read the second time may be right.
fn restored(
    rate: ParityRate,
    owner: (credenza_model::RepositoryId, ObjectId),
    (size, digest): (u64, [u8; 32]),
    mut pack: Vec<u8>,
    parity: &[u8],
) -> Option<(Bytes, bool)> {
    if pack.len() as u64 == size && sha256(&pack) == digest {
        return Some((pack.into(), false));
    }
    heal(rate, owner, size, &mut pack, parity).ok()?;
    (sha256(&pack) == digest).then(|| (pack.into(), true))
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    sha256
}

/// An object, as far as it can be read: zeros where a stretch cannot be, nothing behind its end.
async fn read_what_is_there(store: &dyn Store, key: &StoreKey, version: Option<&str>, size: u64) -> Result<Vec<u8>> {
    let mut found = Vec::new();
    let (mut whole, mut splinters_until) = (0, 0);
    while (found.len() as u64) < size {
        let offset = found.len() as u64;
        let piece = if offset < splinters_until { SPLINTER_BYTES } else { PIECE_BYTES };
        let length = piece.min(size - offset);
        let range = ByteRange { offset, length: Some(length) };
        let answer = async { store.get(key, Some(range), version).await?.read_all(length).await }.await;
        match answer {
            Ok(piece) => {
                found.extend_from_slice(&piece);
                whole = found.len();
                if (piece.len() as u64) < length {
                    break;
                }
            }
            Err(cause) if cause.class == ErrorClass::NotFound => break,
            // The disk has lost some of it, or it lies behind the end.
            Err(cause) if cause.class == ErrorClass::Corrupt && length > SPLINTER_BYTES => {
                splinters_until = offset + length;
            }
            Err(cause) if cause.class == ErrorClass::Corrupt => {
                found.resize(found.len() + usize::try_from(length).unwrap_or_default(), 0);
            }
            Err(cause) => return Err(Error::connector(format!("reading `{key}` of the repository"))(cause)),
        }
    }
    found.truncate(whole);
    Ok(found)
}
