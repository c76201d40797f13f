//! Lay: verified bytes become entries of the destination.
//!
//! Owned here: writing, finishing or aborting each entry, and the count of what could not be restored. Called by `plan`.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use credenza_connect::{Destination, DestinationInfo, ErrorClass, Payload, Writer};
use credenza_model::{ChunkRef, Content, Entry, EntryKind, Record};
use futures_util::{Stream, StreamExt, TryStreamExt};

use super::plan::{Item, Window};
use super::{RestoreReport, never_read};
use crate::blobs::Fetched;
use crate::write::locked;
use crate::{Damage, DamageKind, Error, Event, Listener, Result};

/// Entries being written at once.
const WRITES_IN_FLIGHT: usize = 32;
/// Entries whose metadata is set in one call.
const METADATA_BATCH: usize = 512;

pub(crate) struct Layer<'a> {
    destination: Arc<dyn Destination>,
    info: DestinationInfo,
    overwrite: bool,
    listener: &'a dyn Listener,
    report: Mutex<RestoreReport>,
}

/// Why an entry was not restored.
enum Failure {
    Damage(Damage),
    Refused(String),
    Run(Error),
}

impl From<Error> for Failure {
    fn from(cause: Error) -> Self {
        match cause {
            Error::Damage(damage) => Self::Damage(damage),
            cause => Self::Run(cause),
        }
    }
}

impl<'a> Layer<'a> {
    pub(crate) fn new(
        destination: Arc<dyn Destination>,
        info: DestinationInfo,
        overwrite: bool,
        listener: &'a dyn Listener,
    ) -> Self {
        Self { destination, info, overwrite, listener, report: Mutex::default() }
    }

    pub(crate) fn into_report(self) -> RestoreReport {
        self.report.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Makes entries without content, parents before children, and returns those that were made.
    pub(crate) async fn begin(&self, records: Vec<Record>) -> Result<Vec<Entry>> {
        let mut folders = Vec::new();
        let mut others = Vec::new();
        for record in records {
            match self.make(&record.entry).await {
                Ok(()) => self.done(&record.entry, 0),
                Err(failure) => {
                    self.fail(&record.entry, failure)?;
                    continue;
                }
            }
            if record.entry.kind == EntryKind::Directory {
                folders.push(record.entry)
            } else {
                others.push(record.entry)
            }
        }
        self.complete(others).await?;
        Ok(folders)
    }

    async fn make(&self, entry: &Entry) -> Result<(), Failure> {
        match self.destination.create(entry, self.overwrite).await {
            Ok(None) => Ok(()),
            Ok(Some(writer)) => writer.finish().await.map(drop).map_err(|cause| refused(entry, cause)),
            Err(cause) => Err(refused(entry, cause)),
        }
    }

    /// Writes the entries of a window, many at once, then sets their metadata.
    pub(crate) async fn lay(&self, window: Window) -> Result<()> {
        let Window { items, fetched } = window;
        let fetched = &fetched;
        let laid: Vec<Option<Entry>> = futures_util::stream::iter(items)
            .map(|item| self.lay_item(item, fetched))
            .buffered(WRITES_IN_FLIGHT)
            .try_collect()
            .await?;
        self.complete(laid.into_iter().flatten().collect()).await
    }

    async fn lay_item(&self, item: Item, fetched: &Fetched) -> Result<Option<Entry>> {
        let Item { record, refs } = item;
        let outcome = match never_read(&record) {
            Some(reason) => Err(Failure::Damage(Damage {
                object: record.entry.key.to_string(),
                kind: DamageKind::Missing,
                chunk: None,
                detail: reason,
            })),
            None => self.write_whole(&record, &refs, fetched).await,
        };
        match outcome {
            Ok(bytes) => {
                self.done(&record.entry, bytes);
                Ok(Some(record.entry))
            }
            Err(failure) => self.fail(&record.entry, failure).map(|()| None),
        }
    }

    /// All chunks are verified before the entry is even created: a damaged one leaves no trace in the destination.
    async fn write_whole(&self, record: &Record, refs: &[ChunkRef], fetched: &Fetched) -> Result<u64, Failure> {
        let pieces = match &record.content {
            Content::Inline(bytes) => vec![Bytes::copy_from_slice(bytes)],
            _ => collect(refs, fetched)?,
        };
        let payload = Payload::new(pieces);
        let length = payload.length();
        let Some(writer) = self
            .destination
            .create(&record.entry, self.overwrite)
            .await
            .map_err(|cause| refused(&record.entry, cause))?
        else {
            return Ok(length);
        };
        let mut parts = Parts::new(writer, self.info.part_bytes);
        let written = match parts.write(payload).await {
            Ok(()) => parts.finish().await,
            Err(cause) => {
                parts.abort().await;
                Err(cause)
            }
        };
        written.map(|()| length).map_err(|cause| refused(&record.entry, cause))
    }

    /// Writes one large content as its chunks come.
    pub(crate) async fn lay_stream(
        &self,
        record: &Record,
        chunks: Pin<Box<dyn Stream<Item = Result<(Vec<ChunkRef>, Fetched)>> + Send + '_>>,
    ) -> Result<()> {
        match self.write_stream(record, chunks).await {
            Ok(bytes) => {
                self.done(&record.entry, bytes);
                self.complete(vec![record.entry.clone()]).await
            }
            Err(failure) => self.fail(&record.entry, failure),
        }
    }

    async fn write_stream(
        &self,
        record: &Record,
        mut chunks: Pin<Box<dyn Stream<Item = Result<(Vec<ChunkRef>, Fetched)>> + Send + '_>>,
    ) -> Result<u64, Failure> {
        let Some(writer) = self
            .destination
            .create(&record.entry, self.overwrite)
            .await
            .map_err(|cause| refused(&record.entry, cause))?
        else {
            return Ok(0);
        };
        let mut parts = Parts::new(writer, self.info.part_bytes);
        let mut total = 0;
        let outcome = loop {
            let (refs, fetched) = match chunks.next().await {
                None => break Ok(()),
                Some(Ok(window)) => window,
                Some(Err(cause)) => break Err(Failure::from(cause)),
            };
            let payload = match collect(&refs, &fetched) {
                Ok(pieces) => Payload::new(pieces),
                Err(failure) => break Err(failure),
            };
            total += payload.length();
            if let Err(cause) = parts.write(payload).await {
                break Err(refused(&record.entry, cause));
            }
        };
        match outcome {
            Ok(()) => parts.finish().await.map(|()| total).map_err(|cause| refused(&record.entry, cause)),
            Err(failure) => {
                parts.abort().await;
                Err(failure)
            }
        }
    }

    /// Sets metadata of entries nothing more is written to, in the order given.
    pub(crate) async fn complete(&self, entries: Vec<Entry>) -> Result<()> {
        for batch in entries.chunks(METADATA_BATCH) {
            let results = self
                .destination
                .set_metadata(batch)
                .await
                .map_err(Error::connector("setting metadata at the destination"))?;
            for (entry, result) in batch.iter().zip(results) {
                match result {
                    Ok(unrestored) => count(&mut locked(&self.report).unrestored, unrestored),
                    Err(cause) => self.fail(entry, refused(entry, cause))?,
                }
            }
        }
        Ok(())
    }

    fn done(&self, entry: &Entry, bytes: u64) {
        let mut report = locked(&self.report);
        report.entries += 1;
        report.bytes += bytes;
        drop(report);
        self.listener.on(Event::Progress { entries: 1, bytes: entry.size.unwrap_or(bytes) });
    }

    /// Counts and reports an entry that was not restored, unless the whole run must end.
    fn fail(&self, entry: &Entry, failure: Failure) -> Result<()> {
        match failure {
            Failure::Run(cause) => return Err(cause),
            Failure::Damage(damage) => {
                locked(&self.report).damaged += 1;
                self.listener.on(Event::EntryFailed { key: entry.key.clone(), reason: damage.to_string() });
                self.listener.on(Event::Damage(damage));
            }
            Failure::Refused(reason) => {
                locked(&self.report).failed += 1;
                self.listener.on(Event::EntryFailed { key: entry.key.clone(), reason });
            }
        }
        Ok(())
    }
}

fn count(unrestored: &mut BTreeMap<String, u64>, names: Vec<String>) {
    names.into_iter().for_each(|name| *unrestored.entry(name).or_default() += 1);
}

fn collect(refs: &[ChunkRef], fetched: &Fetched) -> Result<Vec<Bytes>, Failure> {
    let missing = |id| Damage::of_chunk("index", DamageKind::Missing, id, "the chunk was not found");
    refs.iter()
        .map(|chunk| fetched.get(&chunk.id).cloned().unwrap_or_else(|| Err(missing(chunk.id))).map_err(Failure::Damage))
        .collect()
}

fn refused(entry: &Entry, cause: credenza_connect::Error) -> Failure {
    match cause.class {
        ErrorClass::Configuration | ErrorClass::Exhausted | ErrorClass::Internal | ErrorClass::Transient => {
            Failure::Run(Error::Connector { doing: format!("writing `{}` to the destination", entry.key), cause })
        }
        ErrorClass::Precondition => Failure::Refused("it exists already; --overwrite replaces it".to_owned()),
        _ => Failure::Refused(cause.message),
    }
}

/// Cuts what is written into parts of the size that the destination names.
struct Parts {
    writer: Box<dyn Writer>,
    part_bytes: Option<u64>,
    held: Vec<Bytes>,
    held_bytes: u64,
}

impl Parts {
    fn new(writer: Box<dyn Writer>, part_bytes: Option<u64>) -> Self {
        Self { writer, part_bytes, held: Vec::new(), held_bytes: 0 }
    }

    async fn write(&mut self, data: Payload) -> credenza_connect::Result<()> {
        let Some(part_bytes) = self.part_bytes else { return self.writer.write(data).await };
        self.held_bytes += data.length();
        self.held.extend(data.pieces().iter().cloned());
        while self.held_bytes >= part_bytes {
            let held = Payload::new(std::mem::take(&mut self.held));
            self.writer.write(held.slice(0, part_bytes)).await?;
            self.held_bytes -= part_bytes;
            self.held = held.slice(part_bytes, u64::MAX).pieces().to_vec();
        }
        Ok(())
    }

    async fn finish(mut self) -> credenza_connect::Result<()> {
        if self.held_bytes > 0
            && let Err(cause) = self.writer.write(Payload::new(std::mem::take(&mut self.held))).await
        {
            self.writer.abort().await;
            return Err(cause);
        }
        self.writer.finish().await.map(drop)
    }

    async fn abort(self) {
        self.writer.abort().await;
    }
}
