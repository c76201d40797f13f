//! A component as a place to restore to.

use std::sync::Arc;

use async_trait::async_trait;
use credenza_connect::{Check, Destination, DestinationInfo, Error, ErrorClass, Payload, Result, Writer};
use credenza_model::{Entry, Key, Version};
use wasmtime::component::ResourceAny;

use crate::guest::bindings::{destination, types};
use crate::guest::convert;
use crate::guest::{BodyHandle, DestinationRole, Instance, Lease, Pool, State, repeatable};

/// A destination that runs in the sandbox.
pub(crate) struct SandboxedDestination {
    pool: Arc<Pool<DestinationRole>>,
}

impl SandboxedDestination {
    pub(crate) fn new(pool: Arc<Pool<DestinationRole>>) -> Self {
        Self { pool }
    }

    /// Begins an entry as the connector is to see it.
    async fn begin(&self, asked: types::Entry, overwrite: bool) -> Result<Option<Box<dyn Writer>>> {
        let call = repeatable(|guest: &mut Instance<DestinationRole>, session| {
            let asked = asked.clone();
            Box::pin(async move {
                let exports = Arc::clone(&guest.exports);
                exports.session().call_create(&mut guest.store, session, &asked, overwrite).await
            })
        });
        let (lease, begun) = self.pool.call_and_keep("create", call, |_: &mut State, begun| Ok(begun)).await?;
        match begun {
            Some(destination::Begun { writer, part_bytes }) => {
                let part_bytes = part_bytes.filter(|bytes| *bytes > 0);
                Ok(Some(Box::new(SandboxedWriter { lease: Some(lease), writer, part_bytes })))
            }
            None => {
                lease.give_back();
                Ok(None)
            }
        }
    }
}

#[async_trait]
impl Destination for SandboxedDestination {
    async fn info(&self) -> Result<DestinationInfo> {
        let call = self.pool.call(
            "info",
            |guest, session| {
                Box::pin(async move {
                    let exports = Arc::clone(&guest.exports);
                    exports.session().call_info(&mut guest.store, session).await
                })
            },
            |state: &mut State, info| {
                Ok(DestinationInfo {
                    identity: state.masker.mask(info.identity),
                    namespace: info.namespace,
                    traits: info.traits,
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

    async fn stat(&self, key: &Key) -> Result<Option<Entry>> {
        let call = repeatable(|guest: &mut Instance<DestinationRole>, session| {
            let key = key.as_bytes().to_vec();
            Box::pin(async move {
                let exports = Arc::clone(&guest.exports);
                exports.session().call_stat(&mut guest.store, session, &key).await
            })
        });
        let take = |_: &mut State, found: Option<types::Entry>| found.map(convert::entry).transpose();
        self.pool.call("stat", call, take).await
    }

    async fn create(&self, entry: &Entry, overwrite: bool) -> Result<Option<Box<dyn Writer>>> {
        let mut asked = convert::wit_entry(entry);
        // The fingerprint of a deletion that is replayed is one of its source, and no condition here.
        if entry.version.as_ref().is_some_and(|version| version.deleted) {
            asked.fingerprint = None;
        }
        self.begin(asked, overwrite).await
    }

    async fn set_metadata(&self, entries: &[Entry]) -> Result<Vec<Result<Vec<String>>>> {
        let asked: Vec<types::Entry> = entries.iter().map(convert::wit_entry).collect();
        let call = repeatable(|guest: &mut Instance<DestinationRole>, session| {
            let asked = asked.clone();
            Box::pin(async move {
                let exports = Arc::clone(&guest.exports);
                exports.session().call_set_metadata(&mut guest.store, session, &asked).await
            })
        });
        let take = |state: &mut State, answers: Vec<Result<Vec<String>, types::Error>>| {
            let answers = convert::one_for_each(answers, entries.len())?;
            Ok(answers.into_iter().map(|answer| answer.map_err(|e| convert::reported(state, e))).collect())
        };
        self.pool.call("set-metadata", call, take).await
    }

    /// As the contract has it: by the creation of an entry that is deleted, on the condition that what was found is still there.
    async fn remove(&self, found: &Entry) -> Result<()> {
        let version = Some(Version { id: String::new(), latest: true, deleted: true });
        let fingerprint = found.fingerprint.clone();
        let gone = Entry { version, fingerprint, ..Entry::new(found.key.clone(), found.kind) };
        let Some(writer) = self.begin(convert::wit_entry(&gone), true).await? else { return Ok(()) };
        writer.abort().await;
        let message = format!("`{}` stays: its connector removes nothing", found.key);
        Err(Error::new(ErrorClass::Unsupported, "destination.remove", message))
    }
}

/// An entry being written; it keeps its instance until it is finished or given up.
struct SandboxedWriter {
    /// None once it is finished.
    lease: Option<Lease<DestinationRole>>,
    writer: ResourceAny,
    part_bytes: Option<u64>,
}

impl SandboxedWriter {
    fn lease(&mut self) -> Result<&mut Lease<DestinationRole>> {
        self.lease.as_mut().ok_or_else(|| {
            Error::new(ErrorClass::Internal, "sandbox.finished", "an entry that is finished takes no more bytes")
        })
    }
}

#[async_trait]
impl Writer for SandboxedWriter {
    fn part_bytes(&self) -> Option<u64> {
        self.part_bytes
    }

    async fn write(&mut self, part: Payload) -> Result<()> {
        let writer = self.writer;
        let call = self.lease()?.run_once("writer.write", |guest, _| {
            let part = part.clone();
            Box::pin(async move {
                let exports = Arc::clone(&guest.exports);
                let body = guest.store.data_mut().push(BodyHandle::memory(part))?;
                exports.writer().call_write(&mut guest.store, writer, body).await
            })
        });
        call.await
    }

    async fn finish(&mut self, last: Payload) -> Result<Vec<String>> {
        let writer = self.writer;
        let call = self.lease()?.run_once("writer.finish", |guest, _| {
            let last = last.clone();
            Box::pin(async move {
                let exports = Arc::clone(&guest.exports);
                let body = guest.store.data_mut().push(BodyHandle::memory(last))?;
                exports.writer().call_finish(&mut guest.store, writer, body).await
            })
        });
        let lost = call.await?;
        if let Some(lease) = self.lease.take() {
            lease.release(writer).await;
        }
        Ok(lost)
    }

    async fn abort(mut self: Box<Self>) {
        let writer = self.writer;
        let Some(mut lease) = self.lease.take() else { return };
        let call = lease.run_once("writer.abort", |guest, _| {
            Box::pin(async move {
                let exports = Arc::clone(&guest.exports);
                exports.writer().call_abort(&mut guest.store, writer).await.map(Ok)
            })
        });
        match call.await {
            Ok(()) => lease.release(writer).await,
            Err(error) => tracing::warn!("an unfinished upload may be left behind: {error}"),
        }
    }
}
