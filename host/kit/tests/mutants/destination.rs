//! A good destination with one flaw.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use credenza_connect::conformance::DestinationBed;
use credenza_connect::memory::MemoryDestination;
use credenza_connect::{Check, Destination, DestinationInfo, Payload, Result, Writer};
use credenza_model::{Entry, EntryKind, Key};

/// What is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DestinationFlaw {
    OverwritesAnyway,
    PublishesEarly,
    LeavesWhatIsGivenUp,
    LosesTimes,
    LosesTheLastPart,
    SwapsParts,
    FoldsCase,
    LosesAttributes,
    TellsSizesOfBefore,
    AnswersForOne,
    LosesModes,
    KeepsTheLatestVersion,
    PassesOverDeletions,
}

impl DestinationFlaw {
    /// What it is planted in.
    fn sound(self) -> MemoryDestination {
        match self {
            Self::KeepsTheLatestVersion | Self::PassesOverDeletions => MemoryDestination::with_history(),
            _ => MemoryDestination::new(),
        }
    }
}

pub(crate) struct DestinationBedOf {
    pub(crate) flaw: DestinationFlaw,
    pub(crate) made: Mutex<MemoryDestination>,
}

#[async_trait]
impl DestinationBed for DestinationBedOf {
    async fn fresh(&self) -> Result<Arc<dyn Destination>> {
        let inner = self.flaw.sound();
        *self.made.lock().unwrap() = inner.clone();
        Ok(Arc::new(FlawedDestination { inner, flaw: self.flaw }))
    }

    async fn bytes(&self, key: &Key) -> Result<Option<Bytes>> {
        let key = FlawedDestination { inner: MemoryDestination::new(), flaw: self.flaw }.name(key);
        Ok(self.made.lock().unwrap().restored().get(&key).map(|restored| restored.bytes.clone()))
    }

    async fn versions(&self, key: &Key) -> Result<Option<Vec<Bytes>>> {
        let published = self.made.lock().unwrap().published();
        let is_deletion = |entry: &Entry| entry.version.as_ref().is_some_and(|version| version.deleted);
        let of_key = published.into_iter().filter(|(entry, _)| entry.key == *key && !is_deletion(entry));
        let mut all: Vec<Bytes> = of_key.map(|(_, bytes)| bytes).collect();
        if self.flaw == DestinationFlaw::KeepsTheLatestVersion {
            all.drain(..all.len().saturating_sub(1));
        }
        Ok(Some(all))
    }

    async fn held(&self) -> Result<Option<Vec<Key>>> {
        Ok(Some(self.made.lock().unwrap().restored().into_keys().collect()))
    }
}

#[derive(Clone)]
struct FlawedDestination {
    inner: MemoryDestination,
    flaw: DestinationFlaw,
}

impl FlawedDestination {
    fn name(&self, key: &Key) -> Key {
        match self.flaw {
            DestinationFlaw::FoldsCase => Key::new(key.as_bytes().to_ascii_lowercase()),
            _ => key.clone(),
        }
    }
}

#[async_trait]
impl Destination for FlawedDestination {
    async fn info(&self) -> Result<DestinationInfo> {
        self.inner.info().await
    }

    async fn check(&self) -> Vec<Check> {
        self.inner.check().await
    }

    async fn stat(&self, key: &Key) -> Result<Option<Entry>> {
        let found = self.inner.stat(&self.name(key)).await?;
        Ok(found.map(|found| Entry {
            key: key.clone(),
            size: if self.flaw == DestinationFlaw::TellsSizesOfBefore { Some(5) } else { found.size },
            ..found
        }))
    }

    async fn create(&self, entry: &Entry, overwrite: bool) -> Result<Option<Box<dyn Writer>>> {
        let overwrite =
            overwrite || matches!(self.flaw, DestinationFlaw::OverwritesAnyway | DestinationFlaw::FoldsCase);
        let mut entry = Entry { key: self.name(&entry.key), ..entry.clone() };
        let is_deletion = entry.version.as_ref().is_some_and(|version| version.deleted);
        match self.flaw {
            DestinationFlaw::LosesAttributes => entry.attributes.clear(),
            DestinationFlaw::LosesModes => entry.attributes.retain(|(name, _)| name != "posix.mode"),
            DestinationFlaw::PassesOverDeletions if is_deletion => return Ok(None),
            _ => {}
        }
        let writer = self.inner.create(&entry, overwrite).await?;
        let of = self.clone();
        let flawed = |inner| Box::new(FlawedWriter { inner, of, entry, sent: Vec::new() }) as Box<dyn Writer>;
        Ok(writer.map(flawed))
    }

    async fn set_metadata(&self, entries: &[Entry]) -> Result<Vec<Result<Vec<String>>>> {
        let mut entries: Vec<Entry> =
            entries.iter().map(|entry| Entry { key: self.name(&entry.key), ..entry.clone() }).collect();
        for entry in &mut entries {
            match self.flaw {
                DestinationFlaw::LosesTimes => entry.modified = None,
                DestinationFlaw::LosesAttributes => entry.attributes.clear(),
                DestinationFlaw::LosesModes => entry.attributes.retain(|(name, _)| name != "posix.mode"),
                _ => {}
            }
        }
        let mut answers = self.inner.set_metadata(&entries).await?;
        if self.flaw == DestinationFlaw::AnswersForOne {
            answers.truncate(1);
        }
        Ok(answers)
    }
}

struct FlawedWriter {
    inner: Box<dyn Writer>,
    of: FlawedDestination,
    entry: Entry,
    sent: Vec<Payload>,
}

impl FlawedWriter {
    /// Puts what there is so far where everybody sees it.
    async fn publish(&mut self, part: Payload) -> Result<()> {
        self.sent.push(part);
        let so_far = self.sent.iter().flat_map(|part| part.pieces().to_vec()).collect();
        let entry = Entry { kind: EntryKind::File, ..self.entry.clone() };
        if let Some(mut writer) = self.of.inner.create(&entry, true).await? {
            writer.finish(Payload::new(so_far)).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Writer for FlawedWriter {
    fn part_bytes(&self) -> Option<u64> {
        self.inner.part_bytes()
    }

    async fn write(&mut self, part: Payload) -> Result<()> {
        match self.of.flaw {
            DestinationFlaw::PublishesEarly | DestinationFlaw::LeavesWhatIsGivenUp => {
                self.publish(part.clone()).await?;
                self.inner.write(part).await
            }
            DestinationFlaw::SwapsParts => {
                self.sent.push(part);
                Ok(())
            }
            _ => self.inner.write(part).await,
        }
    }

    async fn finish(&mut self, last: Payload) -> Result<Vec<String>> {
        match self.of.flaw {
            DestinationFlaw::LosesTheLastPart if last.length() == 100 => self.inner.finish(Payload::default()).await,
            DestinationFlaw::SwapsParts => {
                for part in std::mem::take(&mut self.sent).into_iter().rev() {
                    self.inner.write(part).await?;
                }
                self.inner.finish(last).await
            }
            DestinationFlaw::PublishesEarly | DestinationFlaw::LeavesWhatIsGivenUp if !self.sent.is_empty() => {
                self.publish(last).await?;
                Ok(Vec::new())
            }
            _ => self.inner.finish(last).await,
        }
    }

    async fn abort(self: Box<Self>) {
        self.inner.abort().await;
    }
}
