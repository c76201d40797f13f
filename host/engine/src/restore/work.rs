//! What the stages of a restore hand to each other: entries with their chunks, and what came of them.
//!
//! Owned here: these shapes. Called by every stage; it calls none.

use std::pin::Pin;

use credenza_connect::{Error as ConnectError, ErrorClass};
use credenza_model::{ChunkRef, Entry, Key, Record};
use futures_util::Stream;

use crate::blobs::Fetched;
use crate::{Conflict, Damage, Error, Result};

/// One entry with the chunks of it that are in a window.
pub(super) struct Item {
    pub(super) record: Record,
    pub(super) refs: Vec<ChunkRef>,
    /// Whether something is there that it replaces.
    pub(super) replaces: bool,
}

/// Entries whose chunks were fetched together.
pub(super) struct Window {
    pub(super) items: Vec<Item>,
    pub(super) fetched: Fetched,
}

/// Chunks of one long content with the references to them, window by window.
pub(super) type ChunkWindows<'a> = Pin<Box<dyn Stream<Item = Result<(Vec<ChunkRef>, Fetched)>> + Send + 'a>>;

/// Why an entry was not restored.
pub(super) enum NotRestored {
    Damage(Damage),
    /// There is nothing to restore, because nothing was read.
    Unread(String),
    /// Something is there.
    Exists,
    /// What is there stays.
    Left(Conflict),
    Refused(String),
    /// Who restores may not write it.
    Denied(ConnectError),
    /// It may be taken later.
    Failing(ConnectError),
    Run(Error),
}

impl From<Error> for NotRestored {
    fn from(cause: Error) -> Self {
        match cause {
            Error::Damage(damage) => Self::Damage(damage),
            cause => Self::Run(cause),
        }
    }
}

/// What was written of an entry.
pub(super) struct Written {
    pub(super) bytes: u64,
    /// Attributes that turned out to be lost while it was written.
    pub(super) lost: Vec<String>,
}

impl Written {
    pub(super) const fn whole(bytes: u64) -> Self {
        Self { bytes, lost: Vec::new() }
    }
}

/// A folder on the way to a part that cannot be made what it was.
pub(super) struct Lost {
    pub(super) key: Key,
    pub(super) failure: NotRestored,
}

pub(super) fn writing(key: &Key) -> String {
    format!("writing `{key}` to the destination")
}

/// What a failed call of the destination means for its entry; that the destination answers is known by then.
pub(super) fn refused(entry: &Entry, cause: ConnectError) -> NotRestored {
    match cause.class {
        ErrorClass::Configuration | ErrorClass::Exhausted | ErrorClass::Internal => {
            NotRestored::Run(Error::Connector { doing: writing(&entry.key), cause })
        }
        ErrorClass::Precondition => NotRestored::Exists,
        ErrorClass::Transient => NotRestored::Failing(cause),
        ErrorClass::Denied => NotRestored::Denied(cause),
        _ => NotRestored::Refused(cause.message),
    }
}

/// The key of a folder with its `/`, and of anything else without.
pub(super) fn bare(key: &Key) -> &[u8] {
    key.as_bytes().strip_suffix(b"/").unwrap_or(key.as_bytes())
}
