//! Rotate: a new epoch of keys, which no slot that stays behind knows.
//!
//! ```text
//! PUT new slots, that of the caller first; PUT config; DELETE old slots         each with its copy
//! ```
//!
//! Cut off anywhere, the secret of the caller opens the repository and reads all of it: the newer of its two slots is tried first and
//! knows all epochs, and the older one fits as long as the config names its epoch. Another run finishes the work.
//!
//! Owned here: that order, and which slots can be renewed. Refused here: sealing old packs again, which is repacking. Called by `cli`.

use credenza_connect::{ErrorClass, Payload, PutOptions, ability};
use credenza_format::{Access, Config, KeySlot, Keyring, PackState, config_key, copy_key, slot_key};
use credenza_model::StoreKey;

use super::open::{read_config, verify};
use super::slots::delete_slots;
use super::{ListedSlot, Repository, Secret, fetch, put_text};
use crate::{Error, Result};

/// Bytes that repacking reads of a pack in one request, about.
const READ_BYTES: u64 = 8 * 1024 * 1024;

/// What a rotation did.
#[derive(Debug, Clone)]
pub struct Rotation {
    /// The epoch that everything is sealed under from now on.
    pub epoch: u32,
    /// The slots that took the place of others.
    pub renewed: Vec<KeySlot>,
    /// Names of the slots that could not be renewed and are gone.
    pub removed: Vec<StoreKey>,
}

/// What collections seal again after a rotation, at most: what no snapshot needs goes without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Resealing {
    /// Packs that are read and written again.
    pub packs: u64,
    /// Bytes of them: so much is read, and as much written.
    pub bytes: u64,
    /// Requests for that, about: a pack is read in pieces and put in one, and its parity is put where it has any.
    pub requests: u64,
}

impl Repository {
    /// What a rotation now would leave to be sealed again.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub async fn resealing(&self) -> Result<Resealing> {
        let index = self.index_for_writing().await?;
        let puts = if self.config.parity.is_some() { 2 } else { 1 };
        let mut all = Resealing::default();
        for pack in index.packs().iter().filter(|pack| !pack.moved && pack.state < PackState::Condemned) {
            all.packs += 1;
            all.bytes = all.bytes.saturating_add(pack.size);
            all.requests = all.requests.saturating_add(pack.size.div_ceil(READ_BYTES) + puts);
        }
        Ok(all)
    }

    /// Opens a new epoch of keys. The slot that `secret` opened and those of recipients are renewed; others cannot be, for lack of
    /// their secrets, and go with `remove_others`. The repository must be opened again afterwards.
    ///
    /// # Errors
    /// [`Error::SlotsNotRenewable`] when there are others and they are to stay, [`Error::ConcurrentChange`] when the config changed
    /// meanwhile; nothing that opened the repository before is gone then.
    pub async fn rotate_keys(self, secret: &Secret, remove_others: bool) -> Result<Rotation> {
        self.require_full_access("new key epoch")?;
        let old = self.key_slots().await?;
        let (mut renewable, mut others) = (Vec::new(), Vec::new());
        for listed in &old {
            let can_be_renewed = is_recipients(listed) || self.is_callers(listed, secret).await?;
            if can_be_renewed { renewable.push(listed) } else { others.push(listed) }
        }
        if !others.is_empty() && !remove_others {
            let slots = others.iter().map(|slot| slot.describe()).collect::<Vec<_>>().join(", ");
            return Err(Error::SlotsNotRenewable { slots });
        }
        let mut keyring = self.keys.keyring().clone();
        keyring.rotate()?;
        let renewed = self.renew(&renewable, &keyring, secret).await?;
        for slot in &renewed {
            self.put_slot(slot).await?;
        }
        let config = Config { epoch: keyring.current_epoch(), ..self.config.clone() };
        self.replace_config(&config, &keyring).await?;
        let gone: Vec<StoreKey> = old.iter().map(|listed| listed.key.clone()).collect();
        delete_slots(&*self.bare, &gone).await?;
        Ok(Rotation { epoch: config.epoch, renewed, removed: others.iter().map(|slot| slot.key.clone()).collect() })
    }

    /// Whether it is the slot that opened the repository, or one of the same secret, which an interrupted run left beside it.
    async fn is_callers(&self, listed: &ListedSlot, secret: &Secret) -> Result<bool> {
        if self.slot.as_ref().is_some_and(|own| listed.key == slot_key(own.id())) {
            return Ok(true);
        }
        let alike = listed.slot.clone().ok().filter(|slot| secret.kind() == Some(slot.kind()));
        let Some(slot) = alike.filter(|slot| slot.access() == Access::Full) else { return Ok(false) };
        let (secret, repository) = (secret.clone(), self.keys.repository());
        let opened = tokio::task::spawn_blocking(move || secret.open(&slot, repository).is_ok()).await;
        opened.map_err(Error::worker("unlock"))
    }

    /// A new slot for each old one, the caller's first; two of the caller or of one recipient, left by an interrupted run, become one.
    async fn renew(&self, old: &[&ListedSlot], keyring: &Keyring, secret: &Secret) -> Result<Vec<KeySlot>> {
        let mut slots: Vec<&KeySlot> = old.iter().filter_map(|listed| listed.slot.as_ref().ok()).collect();
        slots.sort_by_key(|slot| self.slot.as_ref().map(KeySlot::id) != Some(slot.id()));
        let mut renewed: Vec<KeySlot> = Vec::new();
        for slot in slots {
            if renewed.iter().any(|other| is_alike(other, slot)) {
                continue;
            }
            let lock = slot
                .recipient()
                .map(super::SlotLock::Recipient)
                .or_else(|| secret.lock())
                .ok_or(Error::SecretMissing)?;
            renewed.push(self.seal_slot(keyring, slot.access(), &lock, slot.label(), self.after(slot)).await?);
        }
        Ok(renewed)
    }

    /// Writes the config again, unless somebody else has since it was read. A store without compare-and-swap leaves a moment in which
    /// that is not noticed; whoever loses finds it by their slots.
    pub(super) async fn replace_config(&self, config: &Config, keyring: &Keyring) -> Result<()> {
        let key = config_key();
        // Opened by its copy: what is in its place is not to be judged here.
        if let Some(damage) = self.damages.iter().find(|damage| damage.object == key.as_str()) {
            return Err(damage.clone().into());
        }
        let info = self.bare.info().await.map_err(Error::connector("opening the store"))?;
        let stat = self.bare.stat(&key).await.map_err(Error::connector(format!("looking at `{key}`")))?;
        if verify(read_config(&*self.bare).await?, &self.keys)? != self.config {
            return Err(Error::ConcurrentChange { what: "the config" });
        }
        let config = Config { revision: self.config.revision.saturating_add(1), ..config.clone() };
        let bytes = config
            .encode(&keyring.keys(self.keys.repository()))
            .map_err(|cause| Error::Encode { doing: "encoding the config".to_owned(), cause: cause.to_string() })?;
        let if_match = stat.tag.filter(|_| info.has(ability::IF_MATCH));
        let retain_until = self.lock_until().await?;
        let options = PutOptions { if_match, retain_until, hint: "config".to_owned(), ..PutOptions::default() };
        match self.bare.put(&key, Payload::from(bytes.clone()), &options).await {
            Ok(_) => {}
            // An earlier try of ours may have arrived after all.
            Err(cause) if cause.class == ErrorClass::Precondition => match fetch(&*self.bare, &key).await? {
                Some(Ok(found)) if found == bytes => {}
                _ => return Err(Error::ConcurrentChange { what: "the config" }),
            },
            Err(cause) => return Err(Error::connector(format!("writing `{key}`"))(cause)),
        }
        put_text(&*self.bare, &copy_key(&key), bytes, &PutOptions { if_match: None, ..options }).await
    }
}

fn is_recipients(listed: &ListedSlot) -> bool {
    listed.slot.as_ref().is_ok_and(|slot| slot.recipient().is_some())
}

fn is_alike(one: &KeySlot, other: &KeySlot) -> bool {
    (one.recipient(), one.access()) == (other.recipient(), other.access())
}
