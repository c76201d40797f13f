//! Putting one sealed object under a name of its own.
//!
//! Called by everything that adds to a repository. Bound: the object, and what stands under its name if something does.

use credenza_connect::{ErrorClass, Payload, PutOptions, Store, Stored};
use credenza_format::SealedObject;
use credenza_model::{StoreKey, Timestamp};

use crate::{Damage, DamageKind, Error, Result};

/// Sends one sealed object, locked until then if a time is given. A precondition that fails on our own random name means that an earlier try of ours arrived after all.
pub(crate) async fn put(store: &dyn Store, object: SealedObject, retain_until: Option<Timestamp>) -> Result<Stored> {
    let hint = object.key().as_str().split('/').next().unwrap_or_default().to_owned();
    let options = PutOptions { if_absent: true, retain_until, hint, ..PutOptions::default() };
    let (key, length, sha256) = (object.key().clone(), object.length(), *object.sha256());
    let payload = Payload::new(object.into_pieces()).with_sha256(sha256);
    match store.put(&key, payload, &options).await {
        Ok(stored) => Ok(stored),
        Err(cause) if cause.class == ErrorClass::Precondition => {
            confirm_earlier_try(store, &key, length, &sha256).await.map(|()| Stored::default())
        }
        Err(cause) => Err(Error::connector(format!("writing `{key}` to the repository"))(cause)),
    }
}

async fn confirm_earlier_try(store: &dyn Store, key: &StoreKey, length: u64, sha256: &[u8; 32]) -> Result<()> {
    let doing = || Error::connector(format!("verifying `{key}`, which was sent twice"));
    let found = store.get(key, None, None).await.map_err(doing())?.read_all(length).await.map_err(doing())?;
    if Payload::from(found).sha256() == *sha256 {
        return Ok(());
    }
    Err(name_taken(key))
}

/// That another run's object stands under a name.
pub(super) fn name_taken(key: &StoreKey) -> Error {
    let detail = "another object than ours stands under a name that we drew at random; something else writes into this repository";
    Damage::new(key, DamageKind::Corrupt, detail).into()
}
