//! A component as a place to keep a repository.

use std::sync::Arc;

use async_trait::async_trait;
use credenza_connect::{
    Body, ByteRange, Check, Error, ErrorClass, Page, Payload, PutOptions, Result, Store, StoreInfo, Stored,
    StoredObject, Strays,
};
use credenza_model::{StoreKey, Timestamp};

use crate::guest::bindings::{store, types};
use crate::guest::convert;
use crate::guest::{BodyHandle, Instance, Pool, State, StoreRole, repeatable};

/// A store that runs in the sandbox.
pub(crate) struct SandboxedStore {
    pool: Arc<Pool<StoreRole>>,
}

impl SandboxedStore {
    pub(crate) fn new(pool: Arc<Pool<StoreRole>>) -> Self {
        Self { pool }
    }
}

#[async_trait]
impl Store for SandboxedStore {
    async fn info(&self) -> Result<StoreInfo> {
        let call = self.pool.call(
            "info",
            |guest, session| {
                Box::pin(async move {
                    let exports = Arc::clone(&guest.exports);
                    exports.session().call_info(&mut guest.store, session).await
                })
            },
            |state: &mut State, info| {
                let identity = state.masker.mask(info.identity);
                Ok(StoreInfo {
                    identity,
                    traits: info.traits,
                    object_bytes_max: info.max_object_bytes,
                    caveats: Vec::new(),
                })
            },
        );
        call.await
    }

    async fn check(&self) -> Vec<Check> {
        let call = self.pool.call(
            "check",
            |guest, session| {
                Box::pin(async move {
                    let exports = Arc::clone(&guest.exports);
                    exports.session().call_check(&mut guest.store, session).await.map(Ok)
                })
            },
            |state: &mut State, checks| Ok(convert::checks(state, checks)),
        );
        call.await.unwrap_or_else(convert::failed_check)
    }

    async fn put(&self, key: &StoreKey, data: Payload, options: &PutOptions) -> Result<Stored> {
        let options = store::PutOptions {
            if_absent: options.if_absent,
            if_match: options.if_match.clone(),
            retain_until: options.retain_until.map(convert::wit_timestamp),
            hint: options.hint.clone(),
        };
        let call = repeatable(|guest: &mut Instance<StoreRole>, session| {
            let (data, options, key) = (data.clone(), options.clone(), key.clone());
            Box::pin(async move {
                let exports = Arc::clone(&guest.exports);
                let body = guest.store.data_mut().push(BodyHandle::memory(data))?;
                exports.session().call_put(&mut guest.store, session, key.as_str(), body, &options).await
            })
        });
        let take = |_: &mut State, stored: store::Stored| {
            let modified = stored.modified.map(convert::timestamp).transpose()?;
            Ok(Stored { tag: stored.tag, version: stored.version, modified })
        };
        self.pool.call("put", call, take).await
    }

    async fn get(&self, key: &StoreKey, range: Option<ByteRange>, version: Option<&str>) -> Result<Body> {
        let version = version.map(str::to_owned);
        let call = repeatable(|guest: &mut Instance<StoreRole>, session| {
            let (key, version) = (key.clone(), version.clone());
            Box::pin(async move {
                let exports = Arc::clone(&guest.exports);
                let range = range.map(convert::wit_range);
                exports.session().call_get(&mut guest.store, session, key.as_str(), range, version.as_deref()).await
            })
        });
        let body =
            self.pool.call("get", call, |state: &mut State, body| Ok(state.table.delete(body)?)).await?.into_body();
        let wanted = range.and_then(|range| range.length);
        match (body.length, wanted) {
            (Some(length), Some(wanted)) if length > wanted => Err(Error::new(
                ErrorClass::Corrupt,
                "guest.size",
                format!("reading {key}: the answer holds {length} bytes where at most {wanted} were asked for"),
            )),
            _ => Ok(body),
        }
    }

    async fn stat(&self, key: &StoreKey) -> Result<StoredObject> {
        let call = repeatable(|guest: &mut Instance<StoreRole>, session| {
            let key = key.clone();
            Box::pin(async move {
                let exports = Arc::clone(&guest.exports);
                exports.session().call_stat(&mut guest.store, session, key.as_str()).await
            })
        });
        let found = self.pool.call("stat", call, |_: &mut State, found| object(found)).await?;
        if found.key != *key {
            let message = format!("asked for {key}, the connector described {}", found.key);
            return Err(Error::new(ErrorClass::Corrupt, "guest.other-key", message));
        }
        Ok(found)
    }

    async fn list(&self, prefix: &str, cursor: Option<&str>, max: usize) -> Result<Page> {
        let count = u32::try_from(max).unwrap_or(u32::MAX);
        let call = repeatable(|guest: &mut Instance<StoreRole>, session| {
            let (prefix, cursor) = (prefix.to_owned(), cursor.map(str::to_owned));
            Box::pin(async move {
                let exports = Arc::clone(&guest.exports);
                exports.session().call_list(&mut guest.store, session, &prefix, cursor.as_deref(), count).await
            })
        });
        // A name that no object of a repository can have, such as a console's mark of a folder, is nobody's here.
        let take = |state: &mut State, page: store::Page| {
            let is_key = |found: &store::Object| StoreKey::new(found.key.as_str()).is_ok();
            let (own, others): (Vec<_>, Vec<_>) = page.objects.into_iter().partition(is_key);
            let mut strays = Strays::default();
            others.into_iter().for_each(|found| strays.add(state.masker.mask(found.key).as_bytes()));
            Ok((own, page.next, strays))
        };
        let (own, next, strays) = self.pool.call("list", call, take).await?;
        let objects: wasmtime::Result<Vec<StoredObject>> = own.into_iter().map(object).collect();
        let objects = objects.map_err(|cause| {
            let message = format!("the listing of `{prefix}` cannot be trusted: {cause}");
            Error::new(ErrorClass::Corrupt, "store.listing", message)
        })?;
        Ok(Page { objects, next, strays })
    }

    async fn delete(&self, keys: &[StoreKey]) -> Result<Vec<Result<()>>> {
        let names: Vec<String> = keys.iter().map(|key| key.as_str().to_owned()).collect();
        let call = repeatable(|guest: &mut Instance<StoreRole>, session| {
            let names = names.clone();
            Box::pin(async move {
                let exports = Arc::clone(&guest.exports);
                exports.session().call_delete(&mut guest.store, session, &names).await
            })
        });
        let take = |state: &mut State, answers: Vec<Result<(), types::Error>>| {
            let answers = convert::one_for_each(answers, keys.len())?;
            Ok(answers.into_iter().map(|answer| answer.map_err(|e| convert::reported(state, e))).collect())
        };
        self.pool.call("delete", call, take).await
    }

    async fn retain(&self, key: &StoreKey, version: Option<&str>, until: Timestamp) -> Result<()> {
        let version = version.map(str::to_owned);
        let call = repeatable(|guest: &mut Instance<StoreRole>, session| {
            let (key, version) = (key.clone(), version.clone());
            Box::pin(async move {
                let exports = Arc::clone(&guest.exports);
                let until = convert::wit_timestamp(until);
                exports.session().call_retain(&mut guest.store, session, key.as_str(), version.as_deref(), until).await
            })
        });
        self.pool.call("retain", call, |_: &mut State, ()| Ok(())).await
    }
}

fn object(found: store::Object) -> wasmtime::Result<StoredObject> {
    Ok(StoredObject {
        key: StoreKey::new(found.key)?,
        size: found.size,
        modified: found.modified.map(convert::timestamp).transpose()?,
        tag: found.tag,
        version: found.version,
        retain_until: found.retain_until.map(convert::timestamp).transpose()?,
    })
}
