//! Compare: how an entry of the snapshot stands to what the destination has under its key, without a byte of content from the repository.
//!
//! A destination that can be read is read: what is there is cut at the lengths that the record names, and each piece has the keyed digest of its
//! chunk or has not. Of any other, digests and ETags that both sides state decide, and then the time that a restore has written beside the
//! object. What is there and differs is replaced or left as [`Overwrite`] says. A file that is replaced lends the chunks that it has in their places.
//!
//! Owned here: these verdicts. Refused here: acting on them (`writer`). Called by `writer` and `plan`.
//!
//! Bound: one chunk and a piece of a file for each entry being compared, and one window of references.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::{Bytes, BytesMut};
use credenza_connect::file::IMPLIED;
use credenza_connect::{Body, ByteRange, Error as ConnectError, Result as ConnectResult, ability};
use credenza_format::{BlobKind, Keys};
use credenza_model::{Attribute, ChunkRef, Content, Entry, EntryKind, Key, Record};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;

use super::Overwrite;
use super::entry_writer::EntryWriter;
use super::work::{NotRestored, bare, refused};
use crate::Conflict;
use crate::blobs::{BlobLoader, Fetched};
use crate::contents::ContentChunks;
use crate::stated::{digests_agree, etags_agree};
use crate::window::WINDOW_BYTES;

/// When an object was changed in the folder that it comes from, which a restore writes beside it.
const TOLD_TIME: &str = "tree.modified";
/// Tells names of one file.
pub(super) const HARD_LINK: &str = "posix.hardlink";
/// Says who may do what beside the mode, and is taken away where the snapshot has none.
const ACCESS_LISTS: &str = "xattr.system.posix_acl_";
/// Attributes that only inform, or follow from how a file was written.
const INFORMATIVE: [&str; 7] =
    ["posix.group", HARD_LINK, "posix.kind", "posix.links", "posix.rdev", "posix.sparse", "posix.user"];

/// What is to become of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    New,
    /// It replaces what is there.
    Changed,
    /// Only what is said of it differs.
    Attributes,
    Identical,
    Left(Conflict),
}

/// What is known of two contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alike {
    Equal,
    /// Of one size and one time, and nothing else can be compared.
    Presumed,
    Differs,
    /// What is there was written to meanwhile.
    Torn,
    Unknown,
}

/// Compares entries with what is at one destination.
pub(super) struct Comparer {
    pub(super) entry_writer: EntryWriter,
    pub(super) keys: Keys,
    pub(super) loader: Arc<BlobLoader>,
    pub(super) overwrite: Overwrite,
    /// Whether a name at the destination is one key's alone: folders restored to folders.
    pub(super) has_own_names: bool,
    /// Whether source and destination are buckets, whose fingerprints are ETags.
    pub(super) has_etags: bool,
    /// Entries that were taken for equal by size and time.
    pub(super) presumed: AtomicU64,
    /// Bytes that files lent to those that replaced them.
    pub(super) reused: AtomicU64,
}

impl Comparer {
    /// What is to become of an entry.
    pub(super) async fn judge(&self, record: &Record) -> Result<Verdict, NotRestored> {
        let entry = &record.entry;
        let found = match self.look(entry, &entry.key).await {
            Ok(Some(found)) => found,
            Ok(None) => return self.judge_obstacle(entry).await,
            // Writing opens a folder of the user's own that is closed to looking, and meets what is there.
            Err(NotRestored::Denied(_)) => return Ok(Verdict::New),
            Err(failure) => return Err(failure),
        };
        if self.overwrite == Overwrite::Never {
            let is_folder = (entry.kind, found.kind) == (EntryKind::Directory, EntryKind::Directory);
            return Ok(if is_folder { Verdict::Identical } else { Verdict::Left(Conflict::Kept) });
        }
        if found.kind != entry.kind {
            return Ok(self.replacing(entry, &found, Conflict::Kind));
        }
        let alike = match entry.kind {
            EntryKind::Directory => Alike::Equal,
            EntryKind::File => self.compare(record, &found).await?,
            EntryKind::Symlink if entry.link_target == found.link_target => Alike::Equal,
            EntryKind::Other if is_one_device(entry, &found) => Alike::Equal,
            EntryKind::Symlink | EntryKind::Other => Alike::Differs,
        };
        match alike {
            Alike::Equal => self.judge_attributes(entry, &found).await,
            Alike::Presumed => {
                self.presumed.fetch_add(1, Relaxed);
                self.judge_attributes(entry, &found).await
            }
            Alike::Differs => Ok(self.replacing(entry, &found, Conflict::Content)),
            Alike::Torn => Ok(self.replacing(entry, &found, Conflict::Changing)),
            Alike::Unknown => Ok(self.replacing(entry, &found, Conflict::Uncompared)),
        }
    }

    /// Nothing has the key; where a folder and a file cannot have one name, the other may be in the way.
    async fn judge_obstacle(&self, entry: &Entry) -> Result<Verdict, NotRestored> {
        if !self.has_own_names || entry.key.as_bytes().is_empty() {
            return Ok(Verdict::New);
        }
        let is_folder = entry.kind == EntryKind::Directory;
        let other = if is_folder { Key::new(bare(&entry.key)) } else { Key::new([bare(&entry.key), b"/"].concat()) };
        match self.look(entry, &other).await? {
            None => Ok(Verdict::New),
            Some(_) if self.overwrite == Overwrite::Never => Ok(Verdict::Left(Conflict::Kept)),
            // A folder and all that it holds is never replaced by one file.
            Some(found) if is_folder => Ok(self.replacing(entry, &found, Conflict::Kind)),
            Some(_) => Ok(Verdict::Left(Conflict::Kind)),
        }
    }

    fn replacing(&self, entry: &Entry, found: &Entry, conflict: Conflict) -> Verdict {
        let is_newer = || entry.modified.is_some_and(|time| found.modified.is_none_or(|there| time > there));
        match self.overwrite {
            Overwrite::No => Verdict::Left(conflict),
            Overwrite::Always | Overwrite::IfChanged => Verdict::Changed,
            Overwrite::IfNewer if is_newer() => Verdict::Changed,
            Overwrite::IfNewer => Verdict::Left(Conflict::NotOlder),
            Overwrite::Never => Verdict::Left(Conflict::Kept),
        }
    }

    async fn judge_attributes(&self, entry: &Entry, found: &Entry) -> Result<Verdict, NotRestored> {
        // An object is described when it is written: where what it is to have does not all show, it is written again if it may be. A folder that is
        // there is one, whatever cannot be said of it.
        let is_seen = |(name, value): &Attribute| found.attribute(name) == Some(value);
        let may_replace =
            matches!(self.overwrite, Overwrite::Always | Overwrite::IfChanged) && entry.kind != EntryKind::Directory;
        if may_replace && !self.has_posix_attributes() && !entry.attributes.iter().all(is_seen) {
            return Ok(Verdict::Changed);
        }
        let is_named_twice = entry.kind == EntryKind::File && entry.attribute(HARD_LINK).is_some();
        if is_named_twice && !self.entry_writer.destination.keep(entry).await.map_err(|cause| refused(entry, cause))? {
            // It becomes a name of the other file in its turn, when that is whole; no byte is lost.
            return Ok(Verdict::Changed);
        }
        Ok(if self.describes(entry, found) { Verdict::Identical } else { Verdict::Attributes })
    }

    fn has_posix_attributes(&self) -> bool {
        self.entry_writer.info.has(ability::POSIX_ATTRIBUTES)
    }

    /// Whether what is said of what is there is all that a restore would say. Of objects it is not asked.
    pub(super) fn describes(&self, entry: &Entry, found: &Entry) -> bool {
        if !self.has_posix_attributes() {
            return true;
        }
        let has_time = entry.modified.is_none_or(|time| found.modified == Some(time));
        let is_told = |name: &str| !INFORMATIVE.contains(&name);
        let mut reported = entry.attributes.iter().filter(|(name, _)| is_told(name));
        let is_strange =
            |name: &str| (name.starts_with(ACCESS_LISTS) || name == IMPLIED) && entry.attribute(name).is_none();
        has_time
            && reported.all(|(name, value)| found.attribute(name) == Some(value))
            && !found.attributes.iter().any(|(name, _)| is_strange(name))
    }

    /// What is there under a key.
    pub(super) async fn look(&self, entry: &Entry, key: &Key) -> Result<Option<Entry>, NotRestored> {
        self.entry_writer.look(key).await?.map_err(|cause| refused(entry, cause))
    }

    async fn compare(&self, record: &Record, found: &Entry) -> Result<Alike, NotRestored> {
        let entry = &record.entry;
        if found.size.is_some_and(|size| size != record.content.bytes()) {
            return Ok(Alike::Differs);
        }
        let has_time = entry.modified.is_some() && entry.modified == found.modified;
        if self.overwrite == Overwrite::IfChanged && found.size.is_some() && has_time {
            return Ok(Alike::Presumed);
        }
        match self.read(record, false).await? {
            Alike::Unknown => Ok(self.compare_statements(entry, found)),
            alike => Ok(alike),
        }
    }

    fn compare_statements(&self, entry: &Entry, found: &Entry) -> Alike {
        let etags = entry.fingerprint.as_deref().zip(found.fingerprint.as_deref()).filter(|_| self.has_etags);
        let agree = digests_agree(entry, found).or_else(|| etags.and_then(|(one, other)| etags_agree(one, other)));
        let is_told = || entry.attribute(TOLD_TIME).is_some_and(|time| found.attribute(TOLD_TIME) == Some(time));
        match agree {
            Some(true) => Alike::Equal,
            Some(false) => Alike::Differs,
            None if found.size.is_some() && is_told() => Alike::Presumed,
            None => Alike::Unknown,
        }
    }

    /// Reads what is there and compares it with the digests of the record, up to the first difference. `fresh`: from the medium, as far as it can be.
    pub(super) async fn read(&self, record: &Record, fresh: bool) -> Result<Alike, NotRestored> {
        let opened = self.entry_writer.destination.read(&record.entry.key, None, fresh).await;
        // What may not be read, or is gone again, is nothing that could be called equal.
        let Ok(Some(body)) = opened else { return Ok(Alike::Unknown) };
        let mut pieces = Pieces::new(body);
        if let Content::Inline(bytes) = &record.content {
            let is_equal = pieces.next(bytes.len()).await.map(|found| found.as_deref() == Some(bytes));
            return Ok(pieces.conclude(is_equal).await);
        }
        let mut chunks = ContentChunks::new(Arc::clone(&self.loader), &record.content);
        loop {
            let refs = chunks.next(WINDOW_BYTES).await?;
            if refs.is_empty() {
                return Ok(pieces.conclude(Ok(true)).await);
            }
            for chunk in refs {
                match self.next_chunk(&mut pieces, chunk).await {
                    Ok(Some(_)) => {}
                    Ok(None) => return Ok(Alike::Differs),
                    Err(cause) => return Ok(pieces.conclude(Err(cause)).await),
                }
            }
        }
    }

    /// The next piece, if it is that chunk.
    async fn next_chunk(&self, pieces: &mut Pieces, chunk: ChunkRef) -> ConnectResult<Option<Bytes>> {
        let length = usize::try_from(chunk.length).unwrap_or(usize::MAX);
        let piece = pieces.next(length).await?;
        Ok(piece.filter(|piece| self.keys.blob_id(BlobKind::Data, piece) == chunk.id))
    }

    /// The chunks that the file which is to be replaced has in their places, from `offset` on. Each is verified; whatever goes wrong, a chunk that
    /// is not here is fetched.
    pub(super) async fn reuse(&self, key: &Key, refs: &[ChunkRef], offset: u64) -> Fetched {
        let mut reused = Fetched::new();
        let length = refs.iter().map(|chunk| u64::from(chunk.length)).sum();
        let range = ByteRange { offset, length: Some(length) };
        let opened = self.entry_writer.destination.read(key, Some(range), false).await;
        let Ok(Some(body)) = opened else { return reused };
        let mut pieces = Pieces::new(body);
        for chunk in refs {
            match self.next_chunk(&mut pieces, *chunk).await {
                Ok(Some(bytes)) => {
                    self.reused.fetch_add(bytes.len() as u64, Relaxed);
                    reused.insert(chunk.id, Ok(bytes));
                }
                Ok(None) => {}
                Err(_) => break,
            }
        }
        reused
    }
}

fn is_one_device(one: &Entry, other: &Entry) -> bool {
    ["posix.kind", "posix.rdev"].iter().all(|name| one.attribute(name) == other.attribute(name))
}

/// Bytes as they come, in pieces of given lengths.
struct Pieces {
    stream: BoxStream<'static, ConnectResult<Bytes>>,
    held: Bytes,
}

impl Pieces {
    fn new(body: Body) -> Self {
        Self { stream: body.into_stream(), held: Bytes::new() }
    }

    /// The next bytes, so many; `None` where fewer are left, which are passed over.
    async fn next(&mut self, length: usize) -> ConnectResult<Option<Bytes>> {
        if self.held.len() >= length {
            return Ok(Some(self.held.split_to(length)));
        }
        let mut whole = BytesMut::with_capacity(length);
        loop {
            let wanted = length.saturating_sub(whole.len()).min(self.held.len());
            whole.extend_from_slice(&self.held.split_to(wanted));
            if whole.len() == length {
                return Ok(Some(whole.freeze()));
            }
            match self.stream.next().await.transpose()? {
                Some(piece) => self.held = piece,
                None => return Ok(None),
            }
        }
    }

    /// What is known when all pieces were equal, or one was not, or could not be read: there must be no more, and all of one moment.
    async fn conclude(mut self, so_far: ConnectResult<bool>) -> Alike {
        let torn_or = |cause: &ConnectError| if cause.is_torn() { Alike::Torn } else { Alike::Unknown };
        match so_far {
            Ok(false) => return Alike::Differs,
            Err(cause) => return torn_or(&cause),
            Ok(true) if !self.held.is_empty() => return Alike::Differs,
            Ok(true) => {}
        }
        match self.stream.next().await {
            None => Alike::Equal,
            Some(Ok(_)) => Alike::Differs,
            Some(Err(cause)) => torn_or(&cause),
        }
    }
}
