//! What every front says of an entry alike: how many bytes it gives, when it was changed, and its bytes, piece by piece.
//!
//! Owned here: the way of bytes from the view to whoever asked by a network. Refused here: names (`tree`), and how a front puts it. Called by the
//! fronts.
//!
//! Bound: [`READS_MAX`] reads of the view at once for all readers of a front, and for each reader two pieces of [`PIECE_BYTES`].

use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use credenza_engine::view::{Reader, never_read};
use credenza_engine::{Error, Result};
use credenza_model::{AttributeValue, Content, Entry, EntryKind, EntryStatus, Record, Timestamp};
use http_body::{Body, Frame, SizeHint};
use tokio::sync::{Semaphore, mpsc};

use crate::tree::SnapshotTree;

/// Reads of the view at once, each of which may load some chunks.
const READS_MAX: usize = 16;
/// Bytes of one piece of an answer.
const PIECE_BYTES: u64 = 256 * 1024;

/// What hears of damage and of other trouble that a reader met.
pub type Trouble = Arc<dyn Fn(&crate::Error) + Send + Sync>;

/// Bytes that reading gives; of what was not read when it was backed up those that it had.
pub(crate) fn size_of(record: &Record) -> u64 {
    match record.entry.kind {
        EntryKind::Symlink => record.entry.link_target.as_ref().map_or(0, |target| target.len() as u64),
        EntryKind::File if never_read(record).is_some() => record.entry.size.unwrap_or(0),
        EntryKind::File => record.content.bytes(),
        EntryKind::Directory | EntryKind::Other => 0,
    }
}

/// A point in time as the system has it; one that it cannot have is the beginning of 1970.
pub(crate) fn system_time(time: Timestamp) -> SystemTime {
    let whole = Duration::from_secs(time.seconds.unsigned_abs());
    let seconds = if time.seconds < 0 { UNIX_EPOCH.checked_sub(whole) } else { UNIX_EPOCH.checked_add(whole) };
    let nanoseconds = Duration::from_nanos(u64::from(time.nanoseconds));
    seconds.and_then(|seconds| seconds.checked_add(nanoseconds)).unwrap_or(UNIX_EPOCH)
}

/// The bytes that reading gives, to be read anywhere: of a link those of where it points.
async fn reader_of(tree: &SnapshotTree, record: &Record) -> Result<Reader> {
    match (record.entry.kind, &record.entry.link_target) {
        (EntryKind::Symlink, Some(target)) => {
            tree.reader(&Record { content: Content::Inline(target.clone()), ..record.clone() }).await
        }
        _ => tree.reader(record).await,
    }
}

/// What reads for all who ask one front.
#[derive(Clone)]
pub(crate) struct Readers {
    turns: Arc<Semaphore>,
    trouble: Trouble,
}

impl Readers {
    pub(crate) fn new(trouble: Trouble) -> Self {
        Self { turns: Arc::new(Semaphore::new(READS_MAX)), trouble }
    }

    /// Tells of an error that a reader met.
    pub(crate) fn tell(&self, cause: &Error) {
        self.told(&crate::Error::from(cause.clone()));
    }

    /// Tells of what it was that a reader did not get.
    pub(crate) fn told(&self, cause: &crate::Error) {
        (self.trouble)(cause);
    }

    /// The bytes of a range, which lies in the content, once the first of them are there.
    ///
    /// # Errors
    /// Damage to the first piece. Where a later one is lost the body breaks off, and nobody takes it for whole.
    pub(crate) async fn body(&self, tree: &SnapshotTree, record: &Record, range: Range<u64>) -> Result<Bytestream> {
        let reader = reader_of(tree, record).await.inspect_err(|cause| self.tell(cause))?;
        let source = Source { readers: self.clone(), reader, end: range.end };
        let length = range.end.saturating_sub(range.start);
        let first = source.piece(range.start).await?;
        let (sender, receiver) = mpsc::channel(1);
        let next = range.start.saturating_add(first.len() as u64);
        if next < range.end && !first.is_empty() {
            tokio::spawn(source.send(next, sender));
        }
        Ok(Bytestream { first: Some(first), receiver, left: length })
    }
}

/// What a body is read from.
struct Source {
    readers: Readers,
    reader: Reader,
    end: u64,
}

impl Source {
    async fn piece(&self, offset: u64) -> Result<Bytes> {
        let _turn = self.readers.turns.acquire().await;
        let read = self.reader.read_at(offset, PIECE_BYTES.min(self.end.saturating_sub(offset))).await;
        read.inspect_err(|cause| self.readers.tell(cause))
    }

    /// Sends what is left, as fast as it is taken, and no further than somebody takes it.
    async fn send(self, mut offset: u64, sender: mpsc::Sender<Bytes>) {
        while offset < self.end {
            // The body that waits for it finds less than it was promised.
            let Ok(piece) = self.piece(offset).await else { return };
            offset = offset.saturating_add(piece.len() as u64);
            if piece.is_empty() || sender.send(piece).await.is_err() {
                return;
            }
        }
    }
}

/// Bytes of a known number on their way.
pub(crate) struct Bytestream {
    first: Option<Bytes>,
    receiver: mpsc::Receiver<Bytes>,
    left: u64,
}

/// Something of a body was lost.
#[derive(Debug, thiserror::Error)]
#[error("{left} bytes that were promised are lost")]
pub(crate) struct Lost {
    left: u64,
}

impl Body for Bytestream {
    type Data = Bytes;
    type Error = Lost;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Lost>>> {
        let next = match self.first.take().filter(|first| !first.is_empty()) {
            Some(first) => Some(first),
            None => std::task::ready!(self.receiver.poll_recv(context)),
        };
        Poll::Ready(match next {
            Some(bytes) => {
                self.left = self.left.saturating_sub(bytes.len() as u64);
                Some(Ok(Frame::data(bytes)))
            }
            None if self.left > 0 => Some(Err(Lost { left: std::mem::take(&mut self.left) })),
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// The ETag: that of the bucket; the MD5 where it is known; else one that is no MD5, and the same for the same bytes.
pub(crate) fn etag_of(record: &Record) -> String {
    let entry = &record.entry;
    let listed =
        entry.fingerprint.as_deref().and_then(|text| text.split(' ').next()).map(|text| text.trim_matches('"'));
    if let Some(listed) = listed.filter(|text| is_etag(text)) {
        return listed.to_owned();
    }
    let md5 = entry.checksums.iter().find(|sum| sum.algorithm == "md5" && record.status == EntryStatus::Stable);
    md5.map_or_else(|| digest_of(record), |sum| hex(&sum.value))
}

/// Whether a text is an ETag as S3 makes them.
fn is_etag(text: &str) -> bool {
    let (digest, parts) = text.split_once('-').unwrap_or((text, "1"));
    digest.len() == 32 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()) && parts.parse::<u32>().is_ok()
}

fn digest_of(record: &Record) -> String {
    let mut hasher = blake3::Hasher::new();
    match &record.content {
        Content::None => {}
        Content::Inline(bytes) => {
            hasher.update(bytes);
        }
        Content::Chunks(chunks) => chunks.iter().for_each(|chunk| {
            hasher.update(chunk.id.as_bytes());
        }),
        Content::Lists { lists, .. } => lists.iter().for_each(|list| {
            hasher.update(list.id.as_bytes());
        }),
    }
    hasher.update(record.entry.link_target.as_deref().unwrap_or_default());
    hasher.finalize().to_hex().to_string()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The text of an attribute.
pub(crate) fn text_of<'a>(entry: &'a Entry, name: &str) -> Option<&'a str> {
    match entry.attribute(name) {
        Some(AttributeValue::Text(text)) => Some(text),
        _ => None,
    }
}

/// Whether a header can hold a text.
pub(crate) fn is_printable(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// A point in time as HTTP writes it; the beginning of 1970 where it cannot.
pub(crate) fn http_date(time: Timestamp) -> String {
    let time = s3s::dto::Timestamp::from(system_time(Timestamp { nanoseconds: 0, ..time }));
    let mut text = Vec::new();
    match time.format(s3s::dto::TimestampFormat::HttpDate, &mut text) {
        Ok(()) => String::from_utf8_lossy(&text).into_owned(),
        Err(_) => "Thu, 01 Jan 1970 00:00:00 GMT".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_1970_and_with_nanoseconds_are_what_they_were() {
        let time = |seconds, nanoseconds| system_time(Timestamp { seconds, nanoseconds });
        assert_eq!(time(-1, 999_999_999), UNIX_EPOCH - Duration::from_nanos(1));
        assert_eq!(time(5, 7), UNIX_EPOCH + Duration::new(5, 7));
        for (seconds, nanoseconds) in [(-7, 3), (0, 0), (1 << 33, 999_999_999)] {
            let time = Timestamp { seconds, nanoseconds };
            assert_eq!(Timestamp::from_system(system_time(time)), time);
        }
    }
}
