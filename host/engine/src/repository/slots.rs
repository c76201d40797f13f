//! The key slots of a repository: listed without any secret; added, removed and changed by whoever has opened it.
//!
//! Owned here: which slot may go, and the order in which a changed one replaces the other. Refused here: a new epoch (`rotate`), what
//! is in a slot (`credenza-format`). Called by `cli` and `open`.
//!
//! Bound: all slots at once, a few KiB each.

use credenza_connect::{ErrorClass, Pages, PutOptions, Store, StoredObject};
use credenza_format::{Access, KeySlot, Keyring, NewSlot, SlotKind, copy_key, is_object_name, original_key, slot_key};
use credenza_model::{ObjectId, StoreKey, Timestamp};
use futures_util::{StreamExt, TryStreamExt};

use super::two_copies::{TwoCopies, put_two_copies, read_folder};
use super::{Repository, SlotLock, fetch_up_to};
use crate::{Damage, DamageKind, Error, Result};

/// Most requests for the names of slots before a repository is unlocked, and most slots that are read and tried. Whoever can put objects can put
/// any number of slots there, and nothing is proven yet.
const SLOTS_PAGES_MAX: u64 = 256;
const SLOTS_READ_MAX: usize = 256;
/// Most names of slots of which both copies are read.
const SLOTS_LISTED_MAX: usize = 4000;
/// Most bytes of all that are read.
const SLOTS_BYTES_MAX: u64 = 64 * 1024 * 1024;
const SLOTS_IN_FLIGHT: usize = 8;

/// Where key slots are.
const SLOTS: &str = "key/";

/// What stands under one name of a key slot.
#[derive(Debug, Clone)]
pub struct ListedSlot {
    /// Its name in the store.
    pub key: StoreKey,
    /// The slot, of which nothing is proven before it is opened, or what is wrong with it.
    pub slot: Result<KeySlot, Damage>,
}

impl ListedSlot {
    /// The id in its name.
    #[must_use]
    pub fn id(&self) -> &str {
        self.key.as_str().strip_prefix(SLOTS).unwrap_or_default()
    }

    pub(super) fn gives_full_access(&self) -> bool {
        self.slot.as_ref().is_ok_and(|slot| slot.access() == Access::Full)
    }

    /// For a message: the beginning of the id, and the label where it can be read.
    pub(super) fn describe(&self) -> String {
        let id = self.id().get(..8).unwrap_or_default();
        match &self.slot {
            Ok(slot) => format!("{id} (`{}`, {})", slot.label().escape_debug(), slot.kind()),
            Err(_) => format!("{id} (damaged)"),
        }
    }
}

impl Repository {
    /// The key slot that opened this repository; none in plain text.
    #[must_use]
    pub fn slot(&self) -> Option<&KeySlot> {
        self.slot.as_ref()
    }

    /// All key slots, by name, each verified with the keys of the repository: one that somebody else put there is listed as damaged.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn key_slots(&self) -> Result<Vec<ListedSlot>> {
        list_slots(&*self.bare, |key, name, bytes| self.verified_slot(key, name, bytes)).await
    }

    /// Whether a passphrase opens it, whatever opened it here: whether a key slot is for one. A damaged slot is for none.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn has_passphrase(&self) -> Result<bool> {
        let slots = self.key_slots().await?;
        let is_for_one = |slot: &KeySlot| slot.kind() == SlotKind::Passphrase;
        Ok(slots.iter().any(|listed| listed.slot.as_ref().is_ok_and(is_for_one)))
    }

    /// A slot that was made with the keys of the repository.
    pub(super) fn verified_slot(&self, key: &StoreKey, name: &StoreKey, bytes: &[u8]) -> Result<KeySlot, Damage> {
        let slot = decode_slot(key, name, bytes)?;
        if slot.repository() != self.keys.repository() {
            let detail = format!("it belongs to repository {}", slot.repository());
            return Err(Damage::new(name, DamageKind::Foreign, detail));
        }
        let verified = slot.verify(&self.keys);
        verified.map_err(|cause| Damage::new(name, DamageKind::Corrupt, cause.to_string())).map(|()| slot)
    }

    /// Adds a key slot for another secret, or for a writer that may add and not read.
    ///
    /// # Errors
    /// [`Error::NoAccess`] with a writer's keys, [`Error::NoKeys`] in plain text, [`Error::Slot`] for a lock that cannot be used.
    pub async fn add_slot(&self, lock: &SlotLock, access: Access, label: &str) -> Result<KeySlot> {
        self.require_full_access("key slot")?;
        let slot = self.seal_slot(self.keys.keyring(), access, lock, label, self.clock().now().wall).await?;
        self.put_slot(&slot).await?;
        Ok(slot)
    }

    /// Removes the one key slot whose id begins with `id`. Who copied the keyring before keeps it until the keys are rotated.
    ///
    /// # Errors
    /// [`Error::NoSlot`] when none or several match, [`Error::LastSlot`] when nothing else would give full access.
    pub async fn remove_slot(&self, id: &str) -> Result<StoreKey> {
        self.require_full_access("key slot")?;
        let slots = self.key_slots().await?;
        let found = find_slot(&slots, id)?;
        let others = slots.iter().filter(|slot| slot.key != found.key && slot.gives_full_access()).count();
        if others == 0 {
            return Err(Error::LastSlot { slot: found.describe() });
        }
        delete_slots(&*self.bare, std::slice::from_ref(&found.key)).await?;
        Ok(found.key.clone())
    }

    /// Puts a new passphrase in the place of the one that opened the repository: one small put and one delete. Cut off between the
    /// two, both open.
    ///
    /// # Errors
    /// [`Error::NotByPassphrase`] when something else opened it.
    pub async fn change_passphrase(&self, passphrase: &SlotLock) -> Result<KeySlot> {
        let old =
            self.slot.as_ref().filter(|slot| slot.kind() == SlotKind::Passphrase).ok_or(Error::NotByPassphrase)?;
        let slot = self.seal_slot(self.keys.keyring(), old.access(), passphrase, old.label(), self.after(old)).await?;
        self.put_slot(&slot).await?;
        delete_slots(&*self.bare, &[slot_key(old.id())]).await?;
        Ok(slot)
    }

    /// Wraps a keyring on a thread that may block.
    pub(super) async fn seal_slot(
        &self,
        keyring: &Keyring,
        access: Access,
        lock: &SlotLock,
        label: &str,
        created: Timestamp,
    ) -> Result<KeySlot> {
        let (repository, keyring, lock, label) =
            (self.keys.repository(), keyring.clone(), lock.clone(), label.to_owned());
        let seal = move || lock.seal(&NewSlot { keyring: &keyring, access, repository, label: &label, created });
        let sealed = tokio::task::spawn_blocking(seal).await;
        Ok(sealed.map_err(Error::worker("seal"))??)
    }

    pub(super) async fn put_slot(&self, slot: &KeySlot) -> Result<()> {
        let (key, bytes) = (slot_key(slot.id()), slot.encode());
        let retain_until = self.lock_until().await?;
        let options = PutOptions { retain_until, hint: "key".to_owned(), ..PutOptions::default() };
        put_two_copies(&*self.bare, &key, bytes, &options).await
    }

    pub(super) fn require_full_access(&self, what: &'static str) -> Result<()> {
        match self.slot.is_some() {
            false => Err(Error::NoKeys),
            true if self.keys.keyring().access() == Access::Writer => Err(Error::NoAccess { what }),
            true => Ok(()),
        }
    }
}

/// All key slots of a repository, by name; no secret is needed, and nothing is proven. Where a slot is gone or damaged its copy is
/// listed.
///
/// # Errors
/// When the store cannot be read; a damaged slot is listed as such.
pub async fn key_slots(store: &dyn Store) -> Result<Vec<ListedSlot>> {
    list_slots(store, decode_slot).await
}

/// Both copies of every key slot, none of which is proven by more than what `decode` asks for.
pub(super) async fn twofold_slots(
    store: &dyn Store,
    decode: impl Fn(&StoreKey, &StoreKey, &[u8]) -> Result<KeySlot, Damage>,
) -> Result<Vec<TwoCopies<KeySlot>>> {
    read_folder(store, (SLOTS, SLOTS_LISTED_MAX), decode).await
}

async fn list_slots(
    store: &dyn Store,
    decode: impl Fn(&StoreKey, &StoreKey, &[u8]) -> Result<KeySlot, Damage>,
) -> Result<Vec<ListedSlot>> {
    let found = twofold_slots(store, decode).await?.into_iter();
    let listed = found.map(|found| (found.key.clone(), found.into_best()));
    Ok(listed.filter_map(|(key, slot)| slot.map(|slot| ListedSlot { key, slot })).collect())
}

/// A slot as it says of itself.
fn decode_slot(key: &StoreKey, name: &StoreKey, bytes: &[u8]) -> Result<KeySlot, Damage> {
    let slot = KeySlot::decode(bytes).map_err(|cause| Damage::new(name, DamageKind::Corrupt, cause.to_string()))?;
    match slot_key(slot.id()) == *key {
        true => Ok(slot),
        false => Err(Damage::new(name, DamageKind::Invalid, format!("it says that it is key slot {}", slot.id()))),
    }
}

/// One of the two copies of all key slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Copies {
    First,
    Second,
}

/// One copy of every key slot, under the name of the slot.
pub(super) async fn slots_of(store: &dyn Store, copies: Copies) -> Result<Vec<ListedSlot>> {
    let folder = match copies {
        Copies::First => SLOTS.to_owned(),
        Copies::Second => format!("copy/{SLOTS}"),
    };
    let (listed, unread) = oldest(store, &folder, copies).await?;
    let read = futures_util::stream::iter(listed.into_iter().map(|object| read_slot(store, object)));
    let slots: Vec<Option<ListedSlot>> = read.buffered(SLOTS_IN_FLIGHT).try_collect().await?;
    let flood = (unread > 0).then(|| too_many(unread));
    Ok(slots.into_iter().flatten().chain(flood).collect())
}

/// The slots of a folder that were put first, as many as are read, and how many were left out of those that were listed. Whoever may not list the second
/// copies sees none. Bound: the slots of a page beside those that are read.
async fn oldest(store: &dyn Store, folder: &str, copies: Copies) -> Result<(Vec<StoredObject>, usize)> {
    let mut pages = Pages::new(store, folder).within(SLOTS_PAGES_MAX);
    let (mut kept, mut unread) = (Vec::new(), 0);
    loop {
        match pages.next().await {
            Ok(Some(page)) => kept.extend(page.into_iter().filter(|object| is_object_name(&object.key))),
            // At least one more, where it was given up.
            Ok(None) => return Ok((kept, unread + usize::from(!pages.is_at_end()))),
            Err(cause) if copies == Copies::Second && cause.class == ErrorClass::Denied => return Ok((Vec::new(), 0)),
            Err(cause) => return Err(Error::connector(format!("listing `{folder}` of the repository"))(cause)),
        }
        unread += keep_oldest(&mut kept);
    }
}

/// Of too many slots those that were put first: what is put later cannot keep them from being read. How many are left out.
fn keep_oldest(listed: &mut Vec<StoredObject>) -> usize {
    listed.sort_by(|one, other| (one.modified, &one.key).cmp(&(other.modified, &other.key)));
    let mut room = SLOTS_BYTES_MAX;
    let fits = |object: &&StoredObject| {
        room.checked_sub(object.size).is_some_and(|left| {
            room = left;
            true
        })
    };
    let kept = listed.iter().take(SLOTS_READ_MAX).take_while(fits).count();
    let unread = listed.len() - kept;
    listed.truncate(kept);
    unread
}

fn too_many(unread: usize) -> ListedSlot {
    let key = slot_key(ObjectId::new([0; 16]));
    let detail = format!("there are {unread} or more beside those that were put first, and none of them was read");
    let damage = Damage { object: SLOTS.to_owned(), ..Damage::new(&key, DamageKind::Invalid, detail) };
    ListedSlot { key, slot: Err(damage) }
}

/// One slot; `None` when it was removed since it was listed.
async fn read_slot(store: &dyn Store, listed: StoredObject) -> Result<Option<ListedSlot>> {
    let name = listed.key;
    let key = original_key(&name).unwrap_or_else(|| name.clone());
    let slot = match fetch_up_to(store, &name, listed.size).await {
        Ok(Some(bytes)) => bytes.and_then(|bytes| decode_slot(&key, &name, &bytes)),
        Ok(None) => return Ok(None),
        // Another may be read, or its copy.
        Err(Error::Connector { cause, .. }) if cause.class == ErrorClass::Denied => {
            Err(Damage::new(&name, DamageKind::Unreadable, cause.message))
        }
        Err(cause) => return Err(cause),
    };
    Ok(Some(ListedSlot { key, slot }))
}

fn find_slot<'a>(slots: &'a [ListedSlot], id: &str) -> Result<&'a ListedSlot> {
    let mut matches = slots.iter().filter(|slot| slot.id().starts_with(id));
    let name = id.escape_debug();
    match (matches.next().filter(|_| !id.is_empty()), matches.count()) {
        (Some(slot), 0) => Ok(slot),
        (None, _) => Err(Error::NoSlot { reason: format!("no key slot's id begins with `{name}`") }),
        (Some(_), others) => Err(Error::NoSlot {
            reason: format!("`{name}` begins the ids of {} key slots; name more digits", others + 1),
        }),
    }
}

/// A slot that stays although it was to go is a failure: its secret would still open the repository.
pub(super) async fn delete_slots(store: &dyn Store, keys: &[StoreKey]) -> Result<()> {
    for key in keys {
        // A copy without its slot would be one that was lost.
        for name in [&copy_key(key), key] {
            let doing = || Error::connector(format!("removing `{name}`, which therefore still opens the repository,"));
            for result in store.delete(std::slice::from_ref(name)).await.map_err(doing())? {
                result.map_err(doing())?;
            }
        }
    }
    Ok(())
}

impl Repository {
    /// Now, but after a slot that is replaced: the newer of two is tried first, whatever the clocks say.
    pub(super) fn after(&self, old: &KeySlot) -> Timestamp {
        let next = Timestamp { seconds: old.created().seconds.saturating_add(1), ..old.created() };
        self.clock().now().wall.max(next)
    }
}
