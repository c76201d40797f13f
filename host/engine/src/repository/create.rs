//! Create: the first key slot, then the config that makes the store a repository.

use std::sync::Arc;

use credenza_connect::{ErrorClass, Pages, Payload, PutOptions, Store};
use credenza_format::{
    Access, ChunkerConfig, ChunkerParams, Config, Hex, Keyring, Keys, NewSlot, ObjectKind, ParityRate, config_key,
    copy_key, slot_key,
};
use credenza_model::{RepositoryId, StoreKey, Timestamp};

use super::locks::{LockRule, store_time};
use super::probe::{RETENTION, probe};
use super::two_copies::{fetch_copy, put_text};
use super::{Repository, Secret, fetch, random_id};
use crate::clock::{Clock, SystemClock};
use crate::{Error, Result};

/// Objects that a page is asked for: one that is a repository's says enough.
const LOOKED_AT: usize = 16;

/// How a repository is created.
pub struct CreateOptions {
    /// What will open it; [`Secret::None`] makes it plain text.
    pub secret: Secret,
    /// The repository whose ids it is to share, by [`Repository::content_keys`].
    pub like: Option<Keys>,
    /// The name of the first key slot.
    pub label: String,
    /// How contents are cut.
    pub chunker: ChunkerParams,
    /// zstd level of backups that name none.
    pub compression: i32,
    /// For how many days nobody is to be able to delete a snapshot and what it needs, by locks of the store.
    pub retain_days: Option<u32>,
    /// How much parity each pack is to have.
    pub parity: Option<ParityRate>,
}

impl CreateOptions {
    /// The usual: contents are cut as most are and compressed fast, and the repository has no name for its first key slot, no locks, no parity, and ids of its own.
    #[must_use]
    pub fn new(secret: Secret) -> Self {
        let (label, chunker) = (String::new(), ChunkerParams::default());
        Self { secret, like: None, label, chunker, compression: 1, retain_days: None, parity: None }
    }
}

/// What `create` found out about the store.
#[derive(Debug, Clone)]
pub struct Created {
    /// The new repository.
    pub repository: RepositoryId,
    /// The public key that stands for its secrets.
    pub owner: Hex<[u8; 32]>,
    /// Abilities of the store that were tried and hold.
    pub traits: Vec<String>,
    /// What else cannot be relied on there: a sentence each.
    pub caveats: Vec<String>,
}

impl Repository {
    /// Creates a repository in an empty store.
    ///
    /// # Errors
    /// [`Error::RepositoryExists`] when there is one, [`Error::Remains`] when there was one, [`Error::NoLock`] when the store cannot lock and is to; the connector's error when it cannot
    /// be written.
    pub async fn create(store: Arc<dyn Store>, options: &CreateOptions) -> Result<Created> {
        let info = store.info().await.map_err(Error::connector("opening the store"))?;
        let config_key = config_key();
        if fetch(&*store, &config_key).await?.is_some() || fetch_copy(&*store, &copy_key(&config_key)).await?.is_some()
        {
            return Err(Error::RepositoryExists { place: info.identity });
        }
        if let Some(example) = remains(&*store).await? {
            return Err(Error::Remains { place: info.identity, example });
        }
        let repository = RepositoryId::new(random_id()?);
        let created = SystemClock.now().wall;
        let lock = options.secret.lock();
        let keyring = keyring(options)?;
        let keys = keyring.keys(repository);
        let traits = probe(&*store).await?;
        let retain_until = lock_until(&*store, options.retain_days, &traits).await?;
        if let Some(lock) = lock {
            let label = &options.label;
            let slot = lock.seal(&NewSlot { keyring: &keyring, access: Access::Full, repository, label, created })?;
            put_new(&*store, &slot_key(slot.id()), slot.encode(), retain_until, &info.identity).await?;
        }
        let config = Config {
            repository,
            suite: keys.suite(),
            encrypted: keys.suite().encrypts(),
            chunker: ChunkerConfig { params: options.chunker, ..ChunkerConfig::default() },
            compression_level: options.compression,
            epoch: keys.current_epoch(),
            created,
            revision: 0,
            store_traits: traits.clone(),
            required_features: Config::features(options.parity),
            policy: None,
            retain_days: options.retain_days,
            parity: options.parity,
            replica_of: None,
            unknown: std::collections::BTreeMap::new(),
        };
        let encoded = config
            .encode(&keys)
            .map_err(|cause| Error::Encode { doing: "encoding the config".to_owned(), cause: cause.to_string() })?;
        put_new(&*store, &config_key, encoded, retain_until, &info.identity).await?;
        let caveats = store.info().await.map_err(Error::connector("looking at the store"))?.caveats;
        Ok(Created { repository, owner: keys.owner(), traits, caveats })
    }
}

/// An object of snapshots and their contents, none of which is there before a config is. What an attempt to create left is none.
async fn remains(store: &dyn Store) -> Result<Option<StoreKey>> {
    for kind in [ObjectKind::Snapshot, ObjectKind::Index, ObjectKind::MetaPack, ObjectKind::DataPack] {
        let folder = format!("{}/", kind.folder());
        let mut pages = Pages::new(store, &folder).of(LOOKED_AT);
        loop {
            match pages.next().await {
                Ok(Some(page)) => {
                    if let Some(found) = page.into_iter().find(|object| ObjectKind::parse(&object.key).is_some()) {
                        return Ok(Some(found.key));
                    }
                }
                Ok(None) => break,
                // Whoever may only add finds nothing out.
                Err(cause) if cause.class == ErrorClass::Denied => break,
                Err(cause) => return Err(Error::connector(format!("listing `{folder}`"))(cause)),
            }
        }
    }
    Ok(None)
}

fn keyring(options: &CreateOptions) -> Result<Keyring> {
    let plain = matches!(options.secret, Secret::None);
    match &options.like {
        // Ids of a repository in plain text are no secret, so an encrypted one that shared them would tell what is in it.
        Some(other) if other.suite().encrypts() == plain => Err(Error::NotAlike),
        _ if plain => Ok(Keyring::public()),
        Some(other) => Ok(other.generate_like()?),
        None => Ok(Keyring::generate()?),
    }
}

/// Until when the first objects are locked, where the store was found to lock.
async fn lock_until(store: &dyn Store, days: Option<u32>, traits: &[String]) -> Result<Option<Timestamp>> {
    let Some(days) = days else { return Ok(None) };
    let reason = |reason: &str| Error::NoLock { reason: reason.to_owned() };
    if !traits.iter().any(|name| name == RETENTION) {
        return Err(reason("it was tried, and no lock was there; a bucket must have been made with Object Lock"));
    }
    let now = store_time(store).await?.ok_or_else(|| reason("it does not tell its time"))?;
    Ok(Some(LockRule::of_days(days).granted(now)))
}

/// Puts a text document that must not be there, then its copy.
async fn put_new(
    store: &dyn Store,
    key: &StoreKey,
    bytes: Vec<u8>,
    retain_until: Option<Timestamp>,
    place: &str,
) -> Result<()> {
    let options = PutOptions { if_absent: true, retain_until, hint: "config".to_owned(), ..PutOptions::default() };
    match store.put(key, Payload::from(bytes.clone()), &options).await {
        Ok(_) => {}
        // An earlier try of the same may have arrived.
        Err(cause) if cause.class == ErrorClass::Precondition => match fetch(store, key).await? {
            Some(Ok(found)) if found == bytes => {}
            _ => return Err(Error::RepositoryExists { place: place.to_owned() }),
        },
        Err(cause) => return Err(Error::connector(format!("writing `{key}`"))(cause)),
    }
    put_text(store, &copy_key(key), bytes, &PutOptions { if_absent: false, ..options }).await
}
