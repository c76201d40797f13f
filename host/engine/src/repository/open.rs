//! Open: read the config, unlock a key slot, verify the config with the keys. Where one of them is gone or damaged, its copy does, and the
//! damage is reported.

use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use credenza_connect::Store;
use credenza_format::{
    Access, Config, ConfigError, KeySlot, Keyring, Keys, SlotError, UnverifiedConfig, config_key, copy_key, slot_key,
};
use credenza_model::StoreKey;

use super::slots::{Copies, slots_of};
use super::two_copies::fetch_copy;
use super::{ListedSlot, Repository, Secret, fetch};
use crate::cached::{CacheFolder, CachedStore, ObjectCache};
use crate::clock::SystemClock;
use crate::{Damage, DamageKind, Error, Result};

/// Most that is spent on a passphrase before a repository opens, in KiB times passes: some 340 slots as they are made, or four of the costliest that
/// there may be; a minute or two. Whoever can put objects can put slots, and nothing is proven of them before they are tried.
const WORK_MAX: u64 = 64 * 1024 * 1024;

/// A secret, and what may still be spent on it.
struct Trial<'a> {
    secret: &'a Secret,
    work_left: AtomicU64,
}

impl Trial<'_> {
    /// Whether a slot may be tried for what it costs.
    fn affords(&self, slot: &KeySlot) -> bool {
        self.work_left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(slot.work())).is_ok()
    }
}

/// What a key slot, or the lack of one, led to.
struct Unlocked {
    keys: Keys,
    config: Config,
    slot: Option<KeySlot>,
    /// What is wrong with an object whose copy was taken.
    damages: Vec<Damage>,
}

impl Repository {
    /// Opens a repository. With a cache, immutable small objects are kept there and verified each time they are used.
    ///
    /// # Errors
    /// [`Error::NoRepository`], [`Error::WrongSecret`], [`Error::SecretMissing`], [`Error::StaleSlot`], damage of the config, or the
    /// connector's error.
    pub async fn open(store: Arc<dyn Store>, secret: &Secret, cache: Option<&ObjectCache>) -> Result<Self> {
        let bare = Arc::clone(&store);
        let trial = Trial { secret, work_left: AtomicU64::new(WORK_MAX) };
        let (Unlocked { keys, config, slot, damages }, cache_folder) = unlock_by_either(&*bare, &trial, cache).await?;
        let cache = cache_folder.clone();
        let store: Arc<dyn Store> = match cache_folder {
            Some(cache_folder) => Arc::new(CachedStore::new(store, cache_folder)),
            None => store,
        };
        Ok(Self {
            store,
            bare,
            config,
            keys,
            clock: Arc::new(SystemClock),
            slot,
            damages: damages.into(),
            healer: Arc::default(),
            cautious: false,
            glance: None,
            cache,
            unread: None,
            in_charge: false,
            spare: None,
        })
    }

    /// What is wrong with objects whose copies were taken to open the repository: to be reported to whoever opened it.
    #[must_use]
    pub fn opened_despite(&self) -> &[Damage] {
        &self.damages
    }
}

/// Tries the config, and its copy where the config may be what is wrong. A secret that is refused, or is not asked for, is no reason: nobody
/// must get a repository without encryption opened by hiding the config of one that has it.
async fn unlock_by_either(
    store: &dyn Store,
    trial: &Trial<'_>,
    cache: Option<&ObjectCache>,
) -> Result<(Unlocked, Option<CacheFolder>)> {
    let first = read_config(store).await;
    let tried = first.as_ref().ok().cloned();
    let refusal = match unlock_by(first, store, trial, cache).await {
        Err(refusal @ (Error::NoRepository { .. } | Error::Damage(_))) => refusal,
        // Of one object alone that may not be read its copy may be.
        Err(refusal) if refusal.is_denied() => refusal,
        other => return other,
    };
    let copy = read_config_copy(store).await?.filter(|copy| tried.as_ref() != Some(copy));
    let Some(copy) = copy else { return Err(refusal) };
    let Ok((mut unlocked, cache_folder)) = unlock_by(Ok(copy), store, trial, cache).await else { return Err(refusal) };
    unlocked.damages.insert(0, damage_of_config(refusal));
    Ok((unlocked, cache_folder))
}

async fn unlock_by(
    config: Result<UnverifiedConfig>,
    store: &dyn Store,
    trial: &Trial<'_>,
    cache: Option<&ObjectCache>,
) -> Result<(Unlocked, Option<CacheFolder>)> {
    let config = config?;
    let cache_folder = cache.map(|cache| cache.for_repository(config.repository()));
    let unlocked = unlock(store, config, trial, cache_folder.as_ref()).await?;
    Ok((unlocked, cache_folder))
}

/// The config as it is in the store now.
pub(super) async fn read_config(store: &dyn Store) -> Result<UnverifiedConfig> {
    let info = store.info().await.map_err(Error::connector("opening the store"))?;
    let Some(bytes) = fetch(store, &config_key()).await? else {
        return Err(Error::NoRepository { place: info.identity });
    };
    decode_config(&bytes?)
}

/// The copy of the config; `None` where there is none that can be read.
async fn read_config_copy(store: &dyn Store) -> Result<Option<UnverifiedConfig>> {
    let bytes = fetch_copy(store, &copy_key(&config_key())).await?;
    Ok(bytes.and_then(Result::ok).and_then(|bytes| decode_config(&bytes).ok()))
}

fn decode_config(bytes: &[u8]) -> Result<UnverifiedConfig> {
    Config::decode(bytes).map_err(|cause| match cause {
        ConfigError::Malformed { .. } => damaged_config(&cause),
        cause => Error::Unsupported { reason: cause.to_string() },
    })
}

/// Why the copy of the config was taken.
fn damage_of_config(refusal: Error) -> Damage {
    match refusal {
        Error::Damage(damage) if damage.object == config_key().as_str() => damage,
        Error::Damage(damage) => {
            let detail = format!("the repository does not open by it, and does by its copy: {}", damage.detail);
            Damage::new(&config_key(), DamageKind::Invalid, detail)
        }
        Error::Connector { cause, .. } => Damage::new(&config_key(), DamageKind::Unreadable, cause.message),
        _ => Damage::new(&config_key(), DamageKind::Missing, "it is gone, and its copy is there"),
    }
}

async fn unlock(
    store: &dyn Store,
    config: UnverifiedConfig,
    trial: &Trial<'_>,
    cache_folder: Option<&CacheFolder>,
) -> Result<Unlocked> {
    match (config.is_encrypted(), trial.secret.kind()) {
        (false, None) => {
            let keys = Keyring::public().keys(config.repository());
            Ok(Unlocked { config: verify(config, &keys)?, keys, slot: None, damages: Vec::new() })
        }
        // Whoever can write to the store could put the config of a plain repository in the place of an encrypted one's.
        (false, Some(_)) => Err(Error::NotEncrypted),
        (true, None) => Err(Error::SecretMissing),
        (true, Some(kind)) => {
            if let Some(unlocked) = unlock_remembered(store, &config, trial, cache_folder).await? {
                return Ok(unlocked);
            }
            let unlocked = unlock_listed(store, config, trial, kind).await?;
            if let (Some(cache_folder), Some(slot)) = (cache_folder, &unlocked.slot) {
                cache_folder.remember_slot(slot.id()).await;
            }
            Ok(unlocked)
        }
    }
}

/// Tries the slots that are listed, then those of their copies that are others.
async fn unlock_listed(
    store: &dyn Store,
    config: UnverifiedConfig,
    trial: &Trial<'_>,
    kind: credenza_format::SlotKind,
) -> Result<Unlocked> {
    let first = slots_of(store, Copies::First).await?;
    let tried = |copy: &ListedSlot| first.iter().any(|slot| slot.slot.is_ok() && slot.slot == copy.slot);
    let refusal = match unlock_among(first.clone(), config.clone(), trial, kind).await {
        Ok(unlocked) => return Ok(unlocked),
        Err(refusal) => refusal,
    };
    let mut copies = slots_of(store, Copies::Second).await?;
    copies.retain(|copy| copy.slot.is_ok() && !tried(copy));
    if copies.is_empty() {
        return Err(refusal);
    }
    let Ok(mut unlocked) = unlock_among(copies, config, trial, kind).await else { return Err(refusal) };
    unlocked.damages.extend(unlocked.slot.as_ref().map(|slot| damage_of_slot(slot, first)));
    Ok(unlocked)
}

async fn unlock_among(
    listed: Vec<ListedSlot>,
    config: UnverifiedConfig,
    trial: &Trial<'_>,
    kind: credenza_format::SlotKind,
) -> Result<Unlocked> {
    let (mut slots, mut damaged) = (Vec::new(), Vec::new());
    for ListedSlot { slot, .. } in listed {
        match slot {
            Ok(slot) => slots.push(slot),
            Err(damage) => damaged.push(damage),
        }
    }
    if slots.is_empty() {
        return Err(damaged.pop().unwrap_or_else(no_slots).into());
    }
    slots.retain(|slot| slot.kind() == kind);
    let unlocked = unlock_one_of(slots, config, trial, kind).await;
    unlocked.map_err(|refusal| with_damaged(refusal, damaged))
}

/// Why the copy of a slot was taken.
fn damage_of_slot(slot: &KeySlot, first: Vec<ListedSlot>) -> Damage {
    let key = slot_key(slot.id());
    let detail = |text: &str| format!("{text}, and its copy opens the repository");
    match first.into_iter().find(|listed| listed.key == key).map(|listed| listed.slot) {
        Some(Err(damage)) => damage,
        Some(Ok(_)) => Damage::new(&key, DamageKind::Corrupt, detail("it does not open with its secret")),
        None => Damage::new(&key, DamageKind::Missing, detail("it is gone")),
    }
}

/// Tries the slot that opened the repository the last time, which spares a listing; its content is asked of the store, which has none
/// of a slot that was removed. Whatever is wrong with it, the listing decides.
async fn unlock_remembered(
    store: &dyn Store,
    config: &UnverifiedConfig,
    trial: &Trial<'_>,
    cache_folder: Option<&CacheFolder>,
) -> Result<Option<Unlocked>> {
    let Some(cache_folder) = cache_folder else { return Ok(None) };
    let Some(id) = cache_folder.remembered_slot().await else { return Ok(None) };
    let bytes = match fetch(store, &slot_key(id)).await {
        Ok(Some(Ok(bytes))) => bytes,
        Err(cause) if !cause.is_denied() => return Err(cause),
        _ => return Ok(None),
    };
    let slot = KeySlot::decode(&bytes).ok().filter(|slot| slot.id() == id && slot.access() == Access::Full);
    let fitting = slot.filter(|slot| trial.secret.kind() == Some(slot.kind()));
    let Some(slot) = fitting else { return Ok(None) };
    let kind = slot.kind();
    Ok(unlock_one_of(vec![slot], config.clone(), trial, kind).await.ok())
}

/// Tries slots that give full access first, cheap ones before costly ones, and newer ones first: after an interrupted rotation a secret has two
/// slots, of which the newer knows more.
async fn unlock_one_of(
    mut slots: Vec<KeySlot>,
    config: UnverifiedConfig,
    trial: &Trial<'_>,
    kind: credenza_format::SlotKind,
) -> Result<Unlocked> {
    slots.sort_by_key(|slot| (slot.access() == Access::Writer, slot.work(), Reverse(slot.created())));
    let (mut tried, mut left) = (0, 0);
    let mut reason = None;
    for slot in slots {
        if !trial.affords(&slot) {
            left += 1;
            continue;
        }
        tried += 1;
        let name = slot_key(slot.id());
        match try_slot(slot.clone(), &config, trial.secret).await? {
            Ok(keyring) => {
                let keys = keyring.keys(config.repository());
                let config = verify(config.clone(), &keys)?;
                if keys.current_epoch() >= config.epoch {
                    return Ok(Unlocked { keys, config, slot: Some(slot), damages: Vec::new() });
                }
                reason = Some(Error::StaleSlot { slot: slot.id(), label: slot.label().to_owned() });
            }
            Err(SlotError::WrongSecret { .. } | SlotError::WrongKind { .. }) => {}
            Err(cause) => reason = Some(Damage::new(&name, DamageKind::Corrupt, cause.to_string()).into()),
        }
    }
    if left > 0 {
        return Err(Error::TooCostly { tried, left });
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

/// The config of the repository as its keys prove it: for looking at it again.
pub(super) fn decode_verified(name: &StoreKey, bytes: &[u8], keys: &Keys) -> Result<Config, Damage> {
    let verified = Config::decode(bytes).and_then(|config| config.verify(keys));
    verified.map_err(|cause| Damage::new(name, DamageKind::Corrupt, cause.to_string()))
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

#[cfg(test)]
mod tests {
    use credenza_connect::memory::MemoryStore;
    use credenza_connect::{Payload, PutOptions};
    use credenza_format::{KdfParams, NewSlot, SlotKind};
    use credenza_model::Timestamp;
    use zeroize::Zeroizing;

    use super::*;
    use crate::CreateOptions;

    fn passphrase(text: &str) -> Secret {
        Secret::Passphrase(Zeroizing::new(text.as_bytes().to_vec()))
    }

    /// A repository beside whose slot somebody has put two that cost more.
    async fn with_costly_slots() -> MemoryStore {
        let store = MemoryStore::new();
        let options = CreateOptions::new(passphrase("mine"));
        let repository = Repository::create(Arc::new(store.clone()), &options).await.unwrap().repository;
        let keyring = Keyring::generate().unwrap();
        let created = Timestamp { seconds: i64::from(u32::MAX), nanoseconds: 0 };
        let new = NewSlot { keyring: &keyring, access: Access::Full, repository, label: "", created };
        for _ in 0..2 {
            let cost = KdfParams { passes: 4, ..KdfParams::default() };
            let slot = KeySlot::seal_passphrase(&new, b"strange", cost).unwrap();
            let (key, options) = (slot_key(slot.id()), PutOptions::default());
            store.put(&key, Payload::from(slot.encode()), &options).await.unwrap();
        }
        store
    }

    #[tokio::test]
    async fn cheap_slots_are_tried_before_costly_ones_and_not_more_than_is_to_be_spent() {
        let store = with_costly_slots().await;
        let work = |passes| KdfParams { passes, ..KdfParams::default() }.work();
        let unlock = async |text: &str, work_left: u64| {
            let secret = passphrase(text);
            let trial = Trial { secret: &secret, work_left: AtomicU64::new(work_left) };
            let config = read_config(&store).await.unwrap();
            unlock_listed(&store, config, &trial, SlotKind::Passphrase).await.map(drop)
        };
        assert!(unlock("mine", work(3)).await.is_ok(), "what costs more was tried before");
        let refused = unlock("wrong", work(3) + work(4)).await;
        assert!(matches!(refused, Err(Error::TooCostly { tried: 2, left: 1 })), "{refused:?}");
        let refused = unlock("wrong", WORK_MAX).await;
        assert!(matches!(refused, Err(Error::WrongSecret { slots: 3, .. })), "{refused:?}");
    }
}
