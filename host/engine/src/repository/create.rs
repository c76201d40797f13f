//! Create: the first key slot, then the config that makes the store a repository.

use std::sync::Arc;
use std::time::SystemTime;

use credenza_connect::{ErrorClass, Payload, PutOptions, Store};
use credenza_format::{ChunkerConfig, ChunkerParams, Config, Keyring, Keys, config_key, slot_key};
use credenza_model::{RepositoryId, StoreKey, Timestamp};

use super::{Repository, Secret, fetch, random_id};
use crate::{Error, Result};

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
}

/// What `create` found out about the store.
#[derive(Debug, Clone)]
pub struct Created {
    /// The new repository.
    pub repository: RepositoryId,
    /// Abilities of the store that were tried and hold.
    pub traits: Vec<String>,
}

impl Repository {
    /// Creates a repository in an empty store.
    ///
    /// # Errors
    /// [`Error::RepositoryExists`] when there is one; the connector's error when the store cannot be written.
    pub async fn create(store: Arc<dyn Store>, options: &CreateOptions) -> Result<Created> {
        let info = store.info().await.map_err(Error::connector("opening the store"))?;
        let config_key = config_key();
        if fetch(&*store, &config_key).await?.is_some() {
            return Err(Error::RepositoryExists { place: info.identity });
        }
        let repository = RepositoryId::new(random_id()?);
        let created = Timestamp::from_system(SystemTime::now());
        let lock = options.secret.lock();
        let keyring = keyring(options)?;
        let keys = keyring.keys(repository);
        let traits = probe(&*store).await?;
        if let Some(lock) = lock {
            let slot = lock.seal(&keyring, repository, &options.label, created)?;
            put_new(&*store, &slot_key(slot.id()), slot.encode(), &info.identity).await?;
        }
        let config = Config {
            repository,
            suite: keys.suite(),
            encrypted: keys.suite().encrypts(),
            chunker: ChunkerConfig { params: options.chunker, ..ChunkerConfig::default() },
            compression_level: options.compression,
            epoch: keys.current_epoch(),
            created,
            store_traits: traits.clone(),
            required_features: Vec::new(),
            policy: None,
            unknown: std::collections::BTreeMap::new(),
        };
        let encoded = config
            .encode(&keys)
            .map_err(|cause| Error::Encode { doing: "encoding the config".to_owned(), cause: cause.to_string() })?;
        put_new(&*store, &config_key, encoded, &info.identity).await?;
        Ok(Created { repository, traits })
    }
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

async fn put_new(store: &dyn Store, key: &StoreKey, bytes: Vec<u8>, place: &str) -> Result<()> {
    let options = PutOptions { if_absent: true, hint: "config".to_owned(), ..PutOptions::default() };
    match store.put(key, Payload::from(bytes), &options).await {
        Ok(_) => Ok(()),
        Err(cause) if cause.class == ErrorClass::Precondition => {
            Err(Error::RepositoryExists { place: place.to_owned() })
        }
        Err(cause) => Err(Error::connector(format!("writing `{key}`"))(cause)),
    }
}

/// Tries what the store can do instead of believing what it claims: two creates of one name, of which the second must be refused.
async fn probe(store: &dyn Store) -> Result<Vec<String>> {
    let key = probe_key()?;
    let options = PutOptions { if_absent: true, hint: "config".to_owned(), ..PutOptions::default() };
    let put = || store.put(&key, Payload::from(b"credenza".to_vec()), &options);
    put().await.map_err(Error::connector("writing a first object to the store"))?;
    let second = put().await;
    let removed = store.delete(std::slice::from_ref(&key)).await;
    let mut traits = Vec::new();
    if second.is_err_and(|cause| cause.class == ErrorClass::Precondition) {
        traits.push("if-absent".to_owned());
    }
    if removed.is_ok_and(|results| results.iter().all(Result::is_ok)) {
        traits.push("delete".to_owned());
    }
    Ok(traits)
}

fn probe_key() -> Result<StoreKey> {
    let id = credenza_model::ObjectId::new(random_id()?);
    StoreKey::new(format!("probe/{id}"))
        .map_err(|cause| Error::Encode { doing: "naming a first object".into(), cause: cause.to_string() })
}
