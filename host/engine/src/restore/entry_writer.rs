//! Entry writer: writes one entry to the destination, whole or not at all.
//!
//! Owned here: looking, creating, writing in parts, finishing and aborting, and whether the destination can be written at all. Refused here: which
//! entries, in which order (`plan`), what may be replaced (`compare`), counting and reporting (`writer`). Called by `compare` and `writer`.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use credenza_connect::{Destination, DestinationInfo, Error as ConnectError, Payload, Writer, ability};
use credenza_model::{ChunkRef, Content, Entry, EntryKind, EntryStatus, Key, Record};
use futures_util::StreamExt;
use tokio::sync::OnceCell;

use super::work::{ChunkWindows, Item, NotRestored, Written, bare, refused, writing};
use crate::blobs::Fetched;
use crate::liveness::{Absences, Liveness};
use crate::poison::lock_unpoisoned;
use crate::view::never_read;
use crate::{Damage, DamageKind, Error, Event, Listener, Result, Stop};

/// Writes entries to one destination; cheap to clone.
#[derive(Clone)]
pub(super) struct EntryWriter {
    pub(super) destination: Arc<dyn Destination>,
    pub(super) info: Arc<DestinationInfo>,
    /// What exists may be replaced, also what came while the run was under way.
    pub(super) overwrite: bool,
    /// Hears of what is left behind.
    pub(super) events: Arc<dyn Listener>,
    /// What is written is given up when this is asked for.
    pub(super) stop: Stop,
    /// Whether the destination still answers.
    pub(super) liveness: Arc<Liveness>,
    /// Keys that this run has written, where further versions of them follow: those stand upon their own.
    pub(super) written: Option<Arc<Mutex<HashSet<Key>>>>,
    /// Set once the destination was seen to be one that can be written.
    pub(super) is_writable: Arc<OnceCell<()>>,
}

/// The entry as the destination hears of it: a checksum that the content kept contradicts would keep it from being taken.
fn promised(record: &Record) -> Cow<'_, Entry> {
    match record.status {
        EntryStatus::Changed | EntryStatus::Doubtful(_) if !record.entry.checksums.is_empty() => {
            Cow::Owned(Entry { checksums: Vec::new(), ..record.entry.clone() })
        }
        _ => Cow::Borrowed(&record.entry),
    }
}

impl EntryWriter {
    /// Ends the run before anything is fetched for a folder in which nothing can be written. A remote place is asked by the first write.
    ///
    /// # Errors
    /// Why it cannot.
    pub(super) async fn demand_writable(&self) -> Result<()> {
        if !self.info.has(ability::LOCAL) {
            return Ok(());
        }
        let failed = Error::connector(format!("writing in {}", self.info.identity));
        let try_it =
            || async { self.destination.check().await.into_iter().try_for_each(|check| check.outcome.map(drop)) };
        self.is_writable.get_or_try_init(try_it).await.map(drop).map_err(failed)
    }

    /// What is there now under a key.
    pub(super) async fn look(&self, key: &Key) -> Result<Result<Option<Entry>, ConnectError>> {
        let doing = || format!("looking for `{key}` at the destination");
        let stat = || self.destination.stat(key);
        self.stop.unless(self.liveness.call(&mut Absences::default(), doing, stat, || self.probe(key))).await?
    }

    /// Makes an entry without content, in the place of what is there if it is to replace that.
    pub(super) async fn make(&self, entry: &Entry, replaces: bool) -> Result<(), NotRestored> {
        self.demand_writable().await?;
        if replaces && entry.kind == EntryKind::Directory {
            let in_the_way = Entry::new(Key::new(bare(&entry.key)), EntryKind::Other);
            self.destination.remove(&in_the_way).await.map_err(|cause| refused(entry, cause))?;
        }
        match self.create(entry, replaces).await? {
            Some(parts) => parts.end(Ok(())).await.map(drop),
            None => Ok(()),
        }
    }

    /// Asks the destination for something else than to write.
    pub(super) async fn probe(&self, key: &Key) -> Result<(), ConnectError> {
        self.destination.stat(key).await.map(drop)
    }

    /// Whether what failed is to be asked for again, because the destination was away and is back.
    pub(super) async fn was_away(
        &self,
        absences: &mut Absences,
        asked: Duration,
        cause: &ConnectError,
        key: &Key,
    ) -> Result<bool> {
        self.stop.unless(self.liveness.was_away(absences, asked, cause, || writing(key), || self.probe(key))).await?
    }

    fn may_replace(&self, key: &Key, replaces: bool) -> bool {
        replaces
            || self.overwrite
            || self.written.as_ref().is_some_and(|written| lock_unpoisoned(written).contains(key))
    }

    fn note_written(&self, key: &Key) {
        if let Some(written) = &self.written {
            lock_unpoisoned(written).insert(key.clone());
        }
    }

    /// Begins an entry; `None` when it is complete without content. Many a destination asks nobody for that, so that it is no sign of life.
    async fn create<'a>(&'a self, entry: &'a Entry, replaces: bool) -> Result<Option<Parts<'a>>, NotRestored> {
        let key = &entry.key;
        let mut absences = Absences::default();
        let create = || self.destination.create(entry, self.may_replace(key, replaces));
        let created = self.liveness.call(&mut absences, || writing(key), create, || self.probe(key));
        let writer = self.stop.unless(created).await??.map_err(|cause| refused(entry, cause))?;
        Ok(writer.map(|writer| Parts::new(self, entry, writer, absences)))
    }

    /// Writes an entry whose chunks were all fetched.
    pub(super) async fn write_item(&self, item: &Item, fetched: &Fetched) -> Result<Written, NotRestored> {
        let record = &item.record;
        if self.stop.is_requested() {
            return Err(NotRestored::Run(Error::Cancelled));
        }
        match never_read(record) {
            Some(reason) => Err(NotRestored::Unread(reason)),
            None => self.write_whole(item, fetched).await,
        }
    }

    /// All chunks are verified before the entry is even created: a damaged one leaves no trace in the destination.
    async fn write_whole(&self, item: &Item, fetched: &Fetched) -> Result<Written, NotRestored> {
        let Item { record, refs, replaces } = item;
        let pieces = match &record.content {
            Content::Inline(bytes) => vec![Bytes::copy_from_slice(bytes)],
            _ => collect(refs, fetched)?,
        };
        let payload = Payload::new(pieces);
        let bytes = payload.length();
        let entry = promised(record);
        let Some(mut parts) = self.create(&entry, *replaces).await? else {
            self.note_written(&record.entry.key);
            return Ok(Written::whole(bytes));
        };
        let written = parts.write(payload).await;
        let lost = parts.end(written).await?;
        self.note_written(&record.entry.key);
        Ok(Written { bytes, lost })
    }

    /// Writes one long content as its chunks come.
    pub(super) async fn write_stream(
        &self,
        record: &Record,
        replaces: bool,
        mut chunks: ChunkWindows<'_>,
    ) -> Result<Written, NotRestored> {
        let entry = promised(record);
        let Some(mut parts) = self.create(&entry, replaces).await? else { return Ok(Written::whole(0)) };
        let mut bytes = 0;
        let mut next = self.stop.unless(chunks.next()).await;
        let outcome = loop {
            let (refs, fetched) = match next {
                Ok(None) => break Ok(()),
                Ok(Some(Ok(window))) => window,
                Ok(Some(Err(cause))) | Err(cause) => break Err(NotRestored::from(cause)),
            };
            let payload = match collect(&refs, &fetched) {
                Ok(pieces) => Payload::new(pieces),
                Err(failure) => break Err(failure),
            };
            bytes += payload.length();
            let (written, following) =
                futures_util::future::join(parts.write(payload), self.stop.unless(chunks.next())).await;
            if let Err(failure) = written {
                break Err(failure);
            }
            next = following;
        };
        let lost = parts.end(outcome).await?;
        self.note_written(&record.entry.key);
        Ok(Written { bytes, lost })
    }
}

fn collect(refs: &[ChunkRef], fetched: &Fetched) -> Result<Vec<Bytes>, NotRestored> {
    let missing = |id| Damage::of_chunk("index", DamageKind::Missing, id, "the chunk was not found");
    refs.iter()
        .map(|chunk| {
            fetched.get(&chunk.id).cloned().unwrap_or_else(|| Err(missing(chunk.id))).map_err(NotRestored::Damage)
        })
        .collect()
}

/// Cuts what is written into parts of the size that the writer names, the last of which is never empty unless all is. What was given while
/// the destination was away is given again when it is back.
struct Parts<'a> {
    entry_writer: &'a EntryWriter,
    entry: &'a Entry,
    writer: Box<dyn Writer>,
    part_bytes: Option<u64>,
    /// Something of it may be at the destination.
    is_begun: bool,
    /// What comes next, or last.
    held: Payload,
    absences: Absences,
}

impl<'a> Parts<'a> {
    fn new(entry_writer: &'a EntryWriter, entry: &'a Entry, writer: Box<dyn Writer>, absences: Absences) -> Self {
        Self {
            part_bytes: writer.part_bytes(),
            entry_writer,
            entry,
            writer,
            is_begun: false,
            held: Payload::default(),
            absences,
        }
    }

    async fn write(&mut self, data: Payload) -> Result<(), NotRestored> {
        let before = std::mem::replace(&mut self.held, data);
        let Some(part_bytes) = self.part_bytes else { return self.pass(before).await };
        let pieces = [before.pieces(), self.held.pieces()].concat();
        self.held = Payload::new(pieces);
        while self.held.length() > part_bytes {
            let part = self.held.slice(0, part_bytes);
            self.held = self.held.slice(part_bytes, u64::MAX);
            self.pass(part).await?;
        }
        Ok(())
    }

    async fn pass(&mut self, data: Payload) -> Result<(), NotRestored> {
        if data.length() == 0 {
            return self.heed_stop();
        }
        loop {
            self.heed_stop()?;
            let asked = self.entry_writer.liveness.now();
            self.is_begun = true;
            match self.writer.write(data.clone()).await {
                // It may only be held in memory as yet: no sign of life.
                Ok(()) => return Ok(()),
                Err(cause) => self.outlast(asked, cause).await?,
            }
        }
    }

    async fn finish(&mut self) -> Result<Vec<String>, NotRestored> {
        loop {
            self.heed_stop()?;
            let asked = self.entry_writer.liveness.now();
            self.is_begun = true;
            match self.entry_writer.liveness.of(self.writer.finish(self.held.clone()).await) {
                Ok(lost) => return Ok(lost),
                Err(cause) => self.outlast(asked, cause).await?,
            }
        }
    }

    /// Returns when what failed may be given again.
    async fn outlast(&mut self, asked: Duration, cause: ConnectError) -> Result<(), NotRestored> {
        match self.entry_writer.was_away(&mut self.absences, asked, &cause, &self.entry.key).await? {
            true => Ok(()),
            false => Err(refused(self.entry, cause)),
        }
    }

    fn heed_stop(&self) -> Result<(), NotRestored> {
        if self.entry_writer.stop.is_requested() { Err(NotRestored::Run(Error::Cancelled)) } else { Ok(()) }
    }

    /// Publishes what was written, or leaves nothing behind when that failed; where the destination cannot remove what was sent, that is reported. The names of the attributes that turned out to be lost.
    async fn end(mut self, written: Result<(), NotRestored>) -> Result<Vec<String>, NotRestored> {
        let finished = match written {
            Ok(()) => self.finish().await,
            Err(failure) => Err(failure),
        };
        if finished.is_err() {
            self.writer.abort().await;
            if self.is_begun && self.entry_writer.info.has(ability::LEAVES_PARTS) {
                self.entry_writer.events.on(Event::PartsLeft { key: self.entry.key.clone() });
            }
        }
        finished
    }
}

#[cfg(test)]
mod tests {
    use credenza_model::Checksum;

    use super::*;

    #[test]
    fn a_checksum_that_the_content_contradicts_is_promised_to_nobody() {
        let mut entry = Entry::new(Key::from("k"), EntryKind::File);
        entry.checksums = vec![Checksum { algorithm: "md5".to_owned(), value: vec![0; 16] }];
        let of = |status| Record { entry: entry.clone(), content: Content::Inline(b"x".to_vec()), status };
        for (status, promises) in [
            (EntryStatus::Stable, 1),
            (EntryStatus::Undescribed(String::new()), 1),
            (EntryStatus::Changed, 0),
            (EntryStatus::Doubtful(String::new()), 0),
        ] {
            assert_eq!(promised(&of(status.clone())).checksums.len(), promises, "{status:?}");
        }
    }
}
