//! A bucket with any number of keys, which takes no memory for them: key and content follow from the number.
//!
//! Keys are in folders of a thousand; contents are of 300 bytes that do not shrink, too many to lie in the record, so that each key has a chunk of its own.

use async_trait::async_trait;
use bytes::Bytes;
use credenza_connect::random::noise;
use credenza_connect::{
    Batch, Body, ByteRange, Check, Error, ErrorClass, Found, Opened, Result, ScanOptions, Scanner, Source,
    SourceDocument, SourceInfo, ability,
};
use credenza_model::{Attribute, Entry, EntryKind, Key, Timestamp};

/// Bytes of a content.
const CONTENT_BYTES: usize = 300;
/// Keys of a folder.
pub(crate) const FOLDER_KEYS: u64 = 1000;
/// One key in so many is another when the source was changed.
const CHANGED_ONE_IN: u64 = 100;

/// The bucket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keys {
    /// How many there are.
    pub(crate) count: u64,
    /// Whether one in a hundred has another content than at first.
    pub(crate) changed: bool,
}

impl Keys {
    fn entry(self, number: u64) -> Entry {
        let mut entry = Entry::new(key(number), EntryKind::File);
        entry.size = Some(CONTENT_BYTES as u64);
        entry.fingerprint = Some(self.generation(number).to_string());
        entry
    }

    fn generation(self, number: u64) -> u64 {
        u64::from(self.changed && number.is_multiple_of(CHANGED_ONE_IN))
    }

    /// The number of the first key that is so.
    fn first(self, is_so: impl Fn(&Key) -> bool) -> u64 {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            if is_so(&key(middle)) { high = middle } else { low = middle + 1 }
        }
        low
    }
}

/// The name of a key: in the order of the numbers.
pub(crate) fn key(number: u64) -> Key {
    Key::from(format!("{:06}/{:03}", number / FOLDER_KEYS, number % FOLDER_KEYS).as_str())
}

#[async_trait]
impl Source for Keys {
    async fn info(&self) -> Result<SourceInfo> {
        let traits = [
            ability::FINGERPRINTS,
            ability::RANGED_READ,
            ability::COMPLETE_SCAN,
            ability::ORDERED_SCAN,
            ability::START_AFTER,
        ];
        Ok(SourceInfo {
            identity: "numbers:".to_owned(),
            namespace: ability::FLAT.to_owned(),
            traits: traits.into_iter().map(str::to_owned).collect(),
        })
    }

    async fn now(&self) -> Result<Option<Timestamp>> {
        Ok(None)
    }

    async fn check(&self) -> Vec<Check> {
        Vec::new()
    }

    async fn scan(&self, options: &ScanOptions) -> Result<Box<dyn Scanner>> {
        let from_prefix = self.first(|key| key.as_bytes() >= options.prefix.as_slice());
        let after = options.start_after.as_ref();
        let from_after = after.map_or(0, |after| self.first(|key| key.as_bytes() > after.as_slice()));
        let prefix = options.prefix.clone();
        Ok(Box::new(Walk { keys: *self, next: from_prefix.max(from_after), prefix }))
    }

    async fn read(&self, entry: &Entry, range: Option<ByteRange>, _if_match: Option<&str>) -> Result<Opened> {
        let number = self.first(|key| *key >= entry.key);
        let bytes = Bytes::from(noise(number | self.generation(number) << 40, CONTENT_BYTES));
        let range = range.unwrap_or(ByteRange { offset: 0, length: None });
        let start = usize::try_from(range.offset).unwrap_or(CONTENT_BYTES).min(CONTENT_BYTES);
        let length = range.length.and_then(|length| usize::try_from(length).ok()).unwrap_or(CONTENT_BYTES);
        let part = bytes.slice(start..start.saturating_add(length).min(CONTENT_BYTES));
        Ok(Opened { entry: self.entry(number), body: Body::from_bytes(part) })
    }

    async fn describe(&self, entries: &[Entry]) -> Result<Vec<Result<Vec<Attribute>, Error>>> {
        let never = || Error::new(ErrorClass::Unsupported, "numbers.describe", "the listing tells all there is");
        Ok(entries.iter().map(|_| Err(never())).collect())
    }

    async fn documents(&self) -> Result<Vec<SourceDocument>> {
        Ok(Vec::new())
    }
}

struct Walk {
    keys: Keys,
    next: u64,
    prefix: Vec<u8>,
}

#[async_trait]
impl Scanner for Walk {
    async fn next(&mut self, max: usize) -> Result<Batch> {
        let end = self.next.saturating_add(max as u64).min(self.keys.count);
        let entries = (self.next..end).map(|number| self.keys.entry(number));
        let found: Vec<Found> =
            entries.take_while(|entry| entry.key.as_bytes().starts_with(&self.prefix)).map(Found::Entry).collect();
        let more = found.len() as u64 == end - self.next && end < self.keys.count;
        self.next = end;
        Ok(Batch { found, more })
    }
}
