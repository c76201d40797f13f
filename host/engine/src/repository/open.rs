//! Open: read the config, unlock a key slot, verify the config with the keys.

use std::sync::Arc;

use credenza_connect::Store;
use credenza_format::{Config, ConfigError, KeySlot, Keyring, SlotError, UnverifiedConfig, config_key};

use super::{Repository, Secret, fetch, list};
use crate::cached::{CachedStore, ObjectCache};
use crate::clock::SystemClock;
use crate::{Damage, DamageKind, Error, Result};

impl Repository {
    /// Opens a repository. With a cache, immutable small objects are kept there and verified each time they are used.
    ///
    /// # Errors
    /// [`Error::NoRepository`], [`Error::WrongSecret`], [`Error::SecretMissing`], damage of the config, or the connector's error.
    pub async fn open(store: Arc<dyn Store>, secret: &Secret, cache: Option<&ObjectCache>) -> Result<Self> {
        let info = store.info().await.map_err(Error::connector("opening the store"))?;
        let key = config_key();
        let Some(bytes) = fetch(&*store, &key).await? else {
            return Err(Error::NoRepository { place: info.identity });
        };
        let unverified = Config::decode(&bytes?).map_err(|cause| match cause {
            ConfigError::Malformed { .. } | ConfigError::Forged => {
                Damage::new(&key, DamageKind::Corrupt, cause.to_string()).into()
            }
            cause => Error::Unsupported { reason: cause.to_string() },
        })?;
        let bare = Arc::clone(&store);
        let store: Arc<dyn Store> = match cache {
            Some(cache) => Arc::new(CachedStore::new(store, cache.for_repository(unverified.repository()))),
            None => store,
        };
        let keyring = unlock(&*store, &unverified, secret).await?;
        let keys = keyring.keys(unverified.repository());
        let config =
            unverified.verify(&keys).map_err(|cause| Damage::new(&key, DamageKind::Corrupt, cause.to_string()))?;
        Ok(Self { store, bare, config, keys, clock: Arc::new(SystemClock) })
    }
}

async fn unlock(store: &dyn Store, config: &UnverifiedConfig, secret: &Secret) -> Result<Keyring> {
    if !config.is_encrypted() {
        // Whoever can write to the store could put the config of a plain repository in the place of an encrypted one's.
        return if matches!(secret, Secret::None) { Ok(Keyring::public()) } else { Err(Error::NotEncrypted) };
    }
    if matches!(secret, Secret::None) {
        return Err(Error::SecretMissing);
    }
    let mut slots = 0;
    let mut damage = None;
    for object in list(store, "key/").await? {
        let Some(bytes) = fetch(store, &object.key).await? else { continue };
        let slot = bytes.and_then(|bytes| {
            KeySlot::decode(&bytes).map_err(|cause| Damage::new(&object.key, DamageKind::Corrupt, cause.to_string()))
        });
        let slot = match slot {
            Ok(slot) => slot,
            Err(found) => {
                damage = Some(found);
                continue;
            }
        };
        slots += 1;
        match try_slot(slot, config, secret).await? {
            Ok(keyring) => return Ok(keyring),
            Err(SlotError::WrongSecret { .. } | SlotError::WrongKind { .. }) => {}
            Err(cause) => damage = Some(Damage::new(&object.key, DamageKind::Corrupt, cause.to_string())),
        }
    }
    match damage {
        Some(damage) if slots == 0 => Err(damage.into()),
        _ if slots == 0 => Err(Damage::new(
            &config_key(),
            DamageKind::Missing,
            "the repository has no key slot left; without one nothing in it can be read",
        )
        .into()),
        _ => Err(Error::WrongSecret { slots }),
    }
}

/// Derives on a thread that may block: a passphrase costs some 0.1 s of CPU and 64 MiB on purpose.
async fn try_slot(slot: KeySlot, config: &UnverifiedConfig, secret: &Secret) -> Result<Result<Keyring, SlotError>> {
    let (repository, secret) = (config.repository(), secret.clone());
    let attempt = tokio::task::spawn_blocking(move || match &secret {
        Secret::None => Err(SlotError::WrongKind { slot: slot.id(), kind: slot.kind() }),
        Secret::Passphrase(passphrase) => slot.open_passphrase(repository, passphrase),
        Secret::KeyFile(secret) => slot.open_key_file(repository, secret),
    });
    attempt.await.map_err(Error::worker("unlock"))
}
