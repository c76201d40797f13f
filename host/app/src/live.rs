//! A source as it is now, folder by folder, without a snapshot.
//!
//! Owned here: a page of what lies directly in a folder, in the order of keys whatever the order of the listing. Refused here: reading contents, and
//! comparing (`credenza_engine::query`). Bound: one page, and a page of the listing.

use std::collections::BTreeMap;

use credenza_connect::{Batches, Found, ScanOptions, Source, ability};
use credenza_model::{Entry, Key, SkippedEntry};

use crate::error::{Error, Result};

/// Entries asked of the source at once.
const PAGE: usize = 1000;
/// Reports of what could not be listed that are kept.
const SKIPPED_MAX: usize = 20;

/// A page of a folder as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveFolder {
    /// What lies directly in it, in the order of keys; what lies deeper is one entry of its folder.
    pub entries: Vec<Entry>,
    /// What could not be listed, 20 at most.
    pub skipped: Vec<SkippedEntry>,
    /// The key behind which the next page begins; none at the end.
    pub next: Option<Key>,
}

/// A page of what lies directly under a prefix that is empty or ends with a slash: at most `max` entries behind the key `after`.
///
/// # Errors
/// When the source cannot be listed.
pub async fn folder(source: &dyn Source, prefix: &[u8], after: Option<&[u8]>, max: usize) -> Result<LiveFolder> {
    let failed = |doing: &'static str| move |cause| Error::Connector { doing, cause };
    let info = source.info().await.map_err(failed("opening the source"))?;
    let is_ordered = info.has(ability::ORDERED_SCAN);
    let start_after = after.filter(|_| is_ordered && info.has(ability::START_AFTER)).map(<[u8]>::to_vec);
    let options = ScanOptions { prefix: prefix.to_vec(), one_level: true, start_after, ..ScanOptions::default() };
    let mut batches = Batches::new(source.scan(&options).await.map_err(failed("listing the source"))?);
    let after = after.unwrap_or(prefix);
    let (mut found, mut skipped) = (BTreeMap::new(), Vec::new());
    'all: while let Some(batch) = batches.next(PAGE).await.map_err(failed("listing the source"))? {
        for one in batch {
            match one {
                Found::Entry(entry) if entry.is_current() && entry.key.as_bytes() > after => {
                    found.insert(entry.key.clone(), entry);
                    if found.len() > max.saturating_add(1) {
                        found.pop_last();
                    }
                }
                // Of those behind nothing is wanted, where they come behind.
                _ if is_ordered && found.len() > max => break 'all,
                Found::Entry(_) => {}
                Found::Skipped(one) if skipped.len() < SKIPPED_MAX => skipped.push(one),
                Found::Skipped(_) => {}
            }
        }
        if is_ordered && found.len() > max {
            break;
        }
    }
    let is_more = found.len() > max;
    let entries: Vec<Entry> = found.into_values().take(max).collect();
    let next = entries.last().filter(|_| is_more).map(|entry| entry.key.clone());
    Ok(LiveFolder { entries, skipped, next })
}

#[cfg(test)]
mod tests {
    use credenza_connect::memory::MemorySource;

    use super::*;

    #[tokio::test]
    async fn a_folder_is_shown_page_by_page_whatever_the_order_of_the_listing() {
        for source in [MemorySource::new(), MemorySource::unordered()] {
            for key in ["a", "b/c", "b/d", "b/e/f", "b0", "c", "d"] {
                source.put(key, b"x".to_vec());
            }
            let mut after: Option<Vec<u8>> = None;
            let mut all = Vec::new();
            loop {
                let page = folder(&source, b"", after.as_deref(), 2).await.unwrap();
                assert!(page.entries.len() <= 2 && page.skipped.is_empty());
                all.extend(page.entries.iter().map(|entry| entry.key.to_string()));
                match page.next {
                    Some(next) => after = Some(next.as_bytes().to_vec()),
                    None => break,
                }
            }
            assert_eq!(all, ["a", "b/", "b0", "c", "d"]);
            let below = folder(&source, b"b/", None, 10).await.unwrap();
            let keys: Vec<String> = below.entries.iter().map(|entry| entry.key.to_string()).collect();
            assert_eq!(keys, ["b/c", "b/d", "b/e/"]);
        }
    }
}
