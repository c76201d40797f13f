//! Open: read the config, unlock a key slot, verify the config with the keys.

use std::cmp::Reverse;
use std::sync::Arc;

use credenza_connect::Store;
use credenza_format::{Access, Config, ConfigError, KeySlot, Keyring, Keys, SlotError, UnverifiedConfig, config_key};

use super::{ListedSlot, Repository, Secret, fetch, key_slots};
use crate::cached::{CachedStore, ObjectCache, Shelf};
use crate::clock::SystemClock;
use crate::{Damage, DamageKind, Error, Result};

/// What a key slot, or the lack of one, led to.
struct Unlocked {
    keys: Keys,
    config: Config,
    slot: Option<KeySlot>,
}

impl Repository {
    /// Opens a repository. With a cache, immutable small objects are kept there and verified each time they are used.
    ///
    /// # Errors
    /// [`Error::NoRepository`], [`Error::WrongSecret`], [`Error::SecretMissing`], [`Error::StaleSlot`], damage of the config, or the
    /// connector's error.
    pub async fn open(store: Arc<dyn Store>, secret: &Secret, cache: Option<&ObjectCache>) -> Result<Self> {
        let unverified = read_config(&*store).await?;
        let bare = Arc::clone(&store);
        let shelf = cache.map(|cache| cache.for_repository(unverified.repository()));
        let Unlocked { keys, config, slot } = unlock(&*bare, unverified, secret, shelf.as_ref()).await?;
        let store: Arc<dyn Store> = match shelf {
            Some(shelf) => Arc::new(CachedStore::new(store, shelf)),
            None => store,
        };
        Ok(Self { store, bare, config, keys, clock: Arc::new(SystemClock), slot })
    }
}

/// The config as it is in the store now.
pub(super) async fn read_config(store: &dyn Store) -> Result<UnverifiedConfig> {
    let info = store.info().await.map_err(Error::connector("opening the store"))?;
    let key = config_key();
    let Some(bytes) = fetch(store, &key).await? else {
        return Err(Error::NoRepository { place: info.identity });
    };
    Config::decode(&bytes?).map_err(|cause| match cause {
        ConfigError::Malformed { .. } => damaged_config(&cause),
        cause => Error::Unsupported { reason: cause.to_string() },
    })
}

async fn unlock(
    store: &dyn Store,
    config: UnverifiedConfig,
    secret: &Secret,
    shelf: Option<&Shelf>,
) -> Result<Unlocked> {
    match (config.is_encrypted(), secret.kind()) {
        (false, None) => {
            let keys = Keyring::public().keys(config.repository());
            Ok(Unlocked { config: verify(config, &keys)?, keys, slot: None })
        }
        // Whoever can write to the store could put the config of a plain repository in the place of an encrypted one's.
        (false, Some(_)) => Err(Error::NotEncrypted),
        (true, None) => Err(Error::SecretMissing),
        (true, Some(kind)) => {
            if let Some(unlocked) = unlock_remembered(store, &config, secret, shelf).await? {
                return Ok(unlocked);
            }
            let (mut slots, mut damaged) = (Vec::new(), Vec::new());
            for ListedSlot { slot, .. } in key_slots(store).await? {
                match slot {
                    Ok(slot) => slots.push(slot),
                    Err(damage) => damaged.push(damage),
                }
            }
            if slots.is_empty() {
                return Err(damaged.pop().unwrap_or_else(no_slots).into());
            }
            slots.retain(|slot| slot.kind() == kind);
            let unlocked = unlock_one_of(slots, config, secret, kind).await;
            let unlocked = unlocked.map_err(|refusal| with_damaged(refusal, damaged))?;
            if let (Some(shelf), Some(slot)) = (shelf, &unlocked.slot) {
                shelf.remember_slot(slot.id()).await;
            }
            Ok(unlocked)
        }
    }
}

/// Tries the slot that opened the repository the last time, which spares a listing; its content is asked of the store, which has none
/// of a slot that was removed. Whatever is wrong with it, the listing decides.
async fn unlock_remembered(
    store: &dyn Store,
    config: &UnverifiedConfig,
    secret: &Secret,
    shelf: Option<&Shelf>,
) -> Result<Option<Unlocked>> {
    let Some(shelf) = shelf else { return Ok(None) };
    let Some(id) = shelf.remembered_slot().await else { return Ok(None) };
    let Some(Ok(bytes)) = fetch(store, &credenza_format::slot_key(id)).await? else { return Ok(None) };
    let slot = KeySlot::decode(&bytes).ok().filter(|slot| slot.id() == id && slot.access() == Access::Full);
    let fitting = slot.filter(|slot| secret.kind() == Some(slot.kind()));
    let Some(slot) = fitting else { return Ok(None) };
    let kind = slot.kind();
    Ok(unlock_one_of(vec![slot], config.clone(), secret, kind).await.ok())
}

/// Tries slots that give full access first, and newer ones first: after an interrupted rotation a secret has two slots, of which the
/// newer knows more.
async fn unlock_one_of(
    mut slots: Vec<KeySlot>,
    config: UnverifiedConfig,
    secret: &Secret,
    kind: credenza_format::SlotKind,
) -> Result<Unlocked> {
    slots.sort_by_key(|slot| (slot.access() == Access::Writer, Reverse(slot.created())));
    let tried = slots.len();
    let mut reason = None;
    for slot in slots {
        let slot_key = credenza_format::slot_key(slot.id());
        match try_slot(slot.clone(), &config, secret).await? {
            Ok(keyring) => {
                let keys = keyring.keys(config.repository());
                let config = verify(config.clone(), &keys)?;
                if keys.current_epoch() >= config.epoch {
                    return Ok(Unlocked { keys, config, slot: Some(slot) });
                }
                reason = Some(Error::StaleSlot { slot: slot.id(), label: slot.label().to_owned() });
            }
            Err(SlotError::WrongSecret { .. } | SlotError::WrongKind { .. }) => {}
            Err(cause) => reason = Some(Damage::new(&slot_key, DamageKind::Corrupt, cause.to_string()).into()),
        }
    }
    Err(reason.unwrap_or(Error::WrongSecret { secret: kind, slots: tried, damaged: Vec::new() }))
}

/// A secret may be right, and its slot damaged.
fn with_damaged(refusal: Error, damaged: Vec<Damage>) -> Error {
    match refusal {
        Error::WrongSecret { secret, slots, .. } => {
            Error::WrongSecret { secret, slots, damaged: damaged.into_iter().map(|damage| damage.object).collect() }
        }
        other => other,
    }
}

/// Derives on a thread that may block.
async fn try_slot(slot: KeySlot, config: &UnverifiedConfig, secret: &Secret) -> Result<Result<Keyring, SlotError>> {
    let (repository, secret) = (config.repository(), secret.clone());
    let attempt = tokio::task::spawn_blocking(move || secret.open(&slot, repository));
    attempt.await.map_err(Error::worker("unlock"))
}

pub(super) fn verify(config: UnverifiedConfig, keys: &Keys) -> Result<Config> {
    config.verify(keys).map_err(|cause| damaged_config(&cause))
}

fn damaged_config(cause: &ConfigError) -> Error {
    Damage::new(&config_key(), DamageKind::Corrupt, cause.to_string()).into()
}

fn no_slots() -> Damage {
    let detail = "the repository has no key slot left; without one nothing in it can be read";
    Damage::new(&config_key(), DamageKind::Missing, detail)
}
