//! A container to restore to: what is there, what a blob can be, and how one is begun.
//!
//! Owned here: which entries become blobs with which headers. Refused here: sending them (`upload`).

use credenza_sdk::{Check, Destination, DestinationInfo, Entry, EntryKind, Error, ErrorClass, Result, Writer};

use crate::container::Container;
use crate::fault::{self, shown};
use crate::source::entry_of_head;
use crate::upload::{BLOCKS_MAX, Upload};
use crate::wire::{Wire, request};
use crate::{attributes, names};

/// Longest block (<https://learn.microsoft.com/rest/api/storageservices/put-block>).
const BLOCK_BYTES_MAX: u64 = 4000 << 20;
const MEBIBYTE: u64 = 1 << 20;

impl<W: Wire> Destination<W::Body> for Container<W> {
    fn info(&self) -> Result<DestinationInfo> {
        self.create_if_wished()?;
        // Blocks that were sent in vain are removed by the service after a week, and by nobody before.
        let traits = ["atomic-finish", "leaves-parts", "own-times", "removal", "attributes:http", "attributes:azure"];
        Ok(DestinationInfo {
            identity: self.place.identity(),
            namespace: "flat".to_owned(),
            traits: traits.map(str::to_owned).to_vec(),
        })
    }

    fn check(&self) -> Vec<Check> {
        self.check_destination()
    }

    fn stat(&self, key: &[u8]) -> Result<Option<Entry>> {
        let action = format!("looking at {}", shown(key));
        if names::demand(&self.place.prefix.full(key), &action).is_err() {
            return Ok(None);
        }
        match self.ask_for_blob(request("HEAD", self.place.target(key)), &action) {
            Ok(answer) => Ok(Some(entry_of_head(key, &answer))),
            Err(error) if error.class == ErrorClass::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A folder is complete at once: a container has none. So is a deletion, when it was done: Azure lays no markers.
    fn create(&self, entry: Entry, overwrite: bool) -> Result<Option<Box<dyn Writer<W::Body>>>> {
        let action = format!("writing {}", shown(&entry.key));
        let unsupported = |reason: &str, why: &str| {
            Err(Error::new(ErrorClass::Unsupported, reason, format!("{action} failed: {why}")))
        };
        match entry.kind {
            EntryKind::Directory => return Ok(None),
            EntryKind::File => {}
            _ => return unsupported("azure.no-blob", "a container holds blobs only, no links or devices"),
        }
        names::demand(&self.place.prefix.full(&entry.key), &action)?;
        if entry.version.as_ref().is_some_and(|version| version.deleted) {
            return match self.delete_one(&entry.key, entry.fingerprint.as_deref()) {
                // It was removed by the same request, whose answer was lost.
                Err(error)
                    if error.class == ErrorClass::Precondition && Destination::stat(self, &entry.key)?.is_none() =>
                {
                    Ok(None)
                }
                removed => removed.map(|()| None),
            };
        }
        let size = entry.size.unwrap_or(0);
        if size > BLOCK_BYTES_MAX.saturating_mul(BLOCKS_MAX) {
            return unsupported("azure.too-large", "a blob has at most 190.7 TiB");
        }
        if !overwrite && Destination::stat(self, &entry.key)?.is_some() {
            let message = format!("{action} failed: the blob exists, and may not be overwritten");
            return Err(Error::new(ErrorClass::Precondition, fault::EXISTS, message));
        }
        let (headers, _) = attributes::restore(&entry.attributes, &self.place, self.now());
        let smallest = size.div_ceil(BLOCKS_MAX).next_multiple_of(MEBIBYTE);
        let part_bytes = self.place.part_size.max(smallest);
        Ok(Some(Box::new(Upload::new(self, &entry, headers, overwrite, part_bytes))))
    }

    fn set_metadata(&self, entries: Vec<Entry>) -> Result<Vec<Result<Vec<String>>>> {
        Ok(entries.iter().map(|entry| Ok(attributes::restore(&entry.attributes, &self.place, self.now()).1)).collect())
    }
}
