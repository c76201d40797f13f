//! One range of a pack: read it, open its segments, verify its chunks.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use credenza_connect::{ByteRange, Error as ConnectError, ErrorClass, Store};
use credenza_format::{
    BlobKind, Encoding, Frame, Header, IndexedPack, Inflater, Keys, Opener, PackBlob, SegmentSpan, TAG_BYTES,
    config_key, group_head, open_blob, sealed_span,
};
use credenza_model::limits::SEGMENT_BYTES;
use credenza_model::{ChunkId, StoreKey};

use super::{Fetched, Run};
use crate::liveness::{Absences, Liveness};
use crate::repository::Repository;
use crate::{Damage, DamageKind, Error, Result};

/// Sealed bytes of a range, whole segments.
pub(crate) struct SealedRun {
    pub(crate) span: SegmentSpan,
    pub(crate) bytes: BytesMut,
}

/// Reads a part of a pack. The inner error is the pack's: it is gone or shorter than recorded, or with a liveness, the store fails to give it.
pub(crate) async fn read_part(
    (store, liveness): (&dyn Store, Option<&Arc<Liveness>>),
    key: &StoreKey,
    range: ByteRange,
    version: Option<&str>,
) -> Result<Result<Bytes, Damage>> {
    let bytes_max = range.length.unwrap_or(u64::MAX);
    let read = || async {
        let body = store.get(key, Some(range), version).await;
        match liveness {
            Some(liveness) => liveness.listen(liveness.of(body)?).read_all(bytes_max).await,
            None => body?.read_all(bytes_max).await,
        }
    };
    let doing = || format!("reading `{key}` of the repository");
    let answer = match liveness {
        None => read().await,
        Some(liveness) => {
            let probe = || async { store.stat(&config_key()).await.map(drop) };
            liveness.call(&mut Absences::default(), doing, read, probe).await?
        }
    };
    match answer {
        Ok(bytes) => Ok(Ok(bytes)),
        Err(cause) => damage_of(key, cause, liveness.is_some()).map(Err).map_err(Error::connector(doing())),
    }
}

/// What a failure to read a pack says of the pack, unless it is the run's.
fn damage_of(key: &StoreKey, cause: ConnectError, goes_on: bool) -> Result<Damage, ConnectError> {
    match cause.class {
        ErrorClass::NotFound => Ok(Damage::new(key, DamageKind::Missing, "the pack is not in the store")),
        ErrorClass::Corrupt => Ok(Damage::of_answer(key, cause)),
        ErrorClass::Configuration | ErrorClass::Exhausted | ErrorClass::Internal => Err(cause),
        _ if goes_on => {
            let detail =
                format!("the store fails to give it, and answers otherwise ({}); try again later", cause.message);
            Ok(Damage::new(key, DamageKind::Unreadable, detail))
        }
        _ => Err(cause),
    }
}

/// Reads the segments that hold `length` bytes of plaintext from `offset`. The inner error as of [`read_part`].
pub(crate) async fn read_range(
    (store, liveness): (&dyn Store, Option<&Arc<Liveness>>),
    pack: &IndexedPack,
    offset: u64,
    length: u64,
) -> Result<Result<SealedRun, Damage>> {
    let key = pack.store_key();
    let span = match sealed_span(offset, length, pack.size) {
        Ok(span) => span,
        Err(cause) => {
            return Ok(Err(Damage::new(
                &key,
                DamageKind::Invalid,
                format!("the index names a place outside of the pack: {cause}"),
            )));
        }
    };
    let range =
        ByteRange { offset: span.object_range.start, length: Some(span.object_range.end - span.object_range.start) };
    let wanted = span.object_range.end - span.object_range.start;
    Ok(match read_part((store, liveness), &key, range, pack.version.as_deref()).await? {
        Ok(bytes) if bytes.len() as u64 == wanted => Ok(SealedRun { span, bytes: owned(bytes) }),
        Ok(bytes) => Err(Damage::new(
            &key,
            DamageKind::Size,
            format!("the pack ends after {} of {wanted} bytes of a range", bytes.len()),
        )),
        Err(damage) => Err(damage),
    })
}

fn owned(bytes: Bytes) -> BytesMut {
    bytes.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&*shared))
}

/// Opens the segments of a run and verifies its chunks. Blocks for as long as that takes.
pub(crate) fn open_run(keys: &Keys, pack: &IndexedPack, run: &Run, sealed: SealedRun) -> Fetched {
    let mut fetched = Fetched::with_capacity(run.blobs.len());
    open_each(keys, pack, run, sealed, |id, opened| {
        fetched.insert(id, opened.map(|opened| opened.plain));
    });
    fetched
}

/// A chunk that was verified: as it is stored, and its plaintext.
pub(crate) struct Opened {
    blob: PackBlob,
    stored: Bytes,
    pub(crate) plain: Bytes,
}

impl Opened {
    /// What stands for a chunk that is not read (`rehearsal`).
    pub(crate) const fn forged(blob: PackBlob, stored: Bytes, plain: Bytes) -> Self {
        Self { blob, stored, plain }
    }

    pub(crate) const fn id(&self) -> ChunkId {
        self.blob.id
    }

    pub(crate) const fn kind(&self) -> BlobKind {
        self.blob.kind
    }

    /// Whether it shares its frame with another that was verified.
    fn is_beside(&self, other: &Self) -> bool {
        let group = |blob: &PackBlob| (blob.encoding == Encoding::Group).then_some(blob.offset);
        group(&self.blob).is_some_and(|offset| group(&other.blob) == Some(offset))
    }
}

/// How chunks that were verified go into another pack.
pub(crate) enum Moved<'a> {
    /// One that has its frame for itself, as it is stored.
    Alone(Frame<'a>),
    /// Members of a group, with their plaintexts, and the frame as it is stored if they are all of it.
    Together(BlobKind, Vec<(ChunkId, &'a [u8])>, Option<&'a [u8]>),
}

/// Chunks of one frame that were verified: one, or members of a group.
pub(crate) struct Verified(Vec<Opened>);

impl Verified {
    /// Of chunks in the order of their pack.
    pub(crate) fn split(opened: impl IntoIterator<Item = Opened>) -> impl Iterator<Item = Self> {
        let mut opened = opened.into_iter().peekable();
        std::iter::from_fn(move || {
            let mut frame = vec![opened.next()?];
            while let Some(beside) = opened.next_if(|next| frame.last().is_some_and(|last| next.is_beside(last))) {
                frame.push(beside);
            }
            Some(Self(frame))
        })
    }

    pub(crate) fn chunks(&self) -> &[Opened] {
        &self.0
    }

    pub(crate) fn moved(&self) -> Option<Moved<'_>> {
        let first = self.0.first()?;
        let PackBlob { id, kind, encoding, plain, .. } = first.blob;
        let stored = &*first.stored;
        if encoding != Encoding::Group {
            return Some(Moved::Alone(Frame { id, kind, encoding, plain_length: plain, stored }));
        }
        let members = self.0.iter().map(|opened| (opened.id(), &*opened.plain)).collect();
        let is_whole = stored.starts_with(&group_head(self.0.iter().map(|opened| opened.blob.plain)));
        Some(Moved::Together(kind, members, is_whole.then_some(stored)))
    }
}

/// Shows each chunk of a run, verified, or its damage, in the order of the pack. Blocks for as long as that takes.
pub(crate) fn open_each(
    keys: &Keys,
    pack: &IndexedPack,
    run: &Run,
    sealed: SealedRun,
    mut show: impl FnMut(ChunkId, Result<Opened, Damage>),
) {
    let key = pack.store_key();
    let opened =
        Header::decode(&pack.header).and_then(|header| Opener::new(keys, &header, (pack.kind.object_kind(), pack.id)));
    let opener = match opened {
        Ok(opener) => opener,
        Err(cause) => {
            let damage = Damage::new(&key, DamageKind::Corrupt, format!("its header cannot be opened: {cause}"));
            run.damaged(&damage).for_each(|(id, damage)| show(id, Err(damage)));
            return;
        }
    };
    let plain = open_segments(&opener, sealed);
    let mut inflater = Inflater::new();
    for (id, place) in &run.blobs {
        let blob = place.blob(*id);
        let opened = plain.slice(u64::from(blob.offset), u64::from(blob.stored)).and_then(|stored| {
            let inflater = inflater.as_mut().map_err(|cause| cause.to_string())?;
            let plain = verify_blob(keys, pack, &blob, stored.clone(), inflater).map_err(|cause| cause.to_string())?;
            Ok(Opened { blob, stored, plain })
        });
        show(*id, opened.map_err(|detail| Damage::of_chunk(&key, DamageKind::Corrupt, *id, detail)));
    }
}

/// The plaintext of a blob, whose stored bytes are shared when they are the plaintext already.
fn verify_blob(
    keys: &Keys,
    pack: &IndexedPack,
    blob: &PackBlob,
    stored: Bytes,
    inflater: &mut Inflater,
) -> credenza_format::Result<Bytes> {
    let mut inflated = Vec::new();
    open_blob(keys, pack.id, blob, &stored, inflater, &mut inflated)?;
    Ok(match blob.encoding {
        Encoding::Raw => stored,
        Encoding::Zstd | Encoding::Group => Bytes::from(inflated),
    })
}

/// Opens a run and gives its blobs frame by frame, each verified; what is damaged comes back. Blocks for as long as that takes.
pub(crate) fn copy_run(
    keys: &Keys,
    pack: &IndexedPack,
    run: &Run,
    sealed: SealedRun,
    mut take: impl FnMut(Verified) -> Result<()>,
) -> Result<Vec<Damage>> {
    let (mut damages, mut taken, mut frame) = (Vec::new(), Ok(()), Vec::new());
    open_each(keys, pack, run, sealed, |_, opened| match opened {
        Err(damage) => damages.push(damage),
        Ok(_) if taken.is_err() => {}
        Ok(opened) => {
            let is_next = frame.last().is_some_and(|last: &Opened| !opened.is_beside(last));
            if is_next {
                taken = take(Verified(std::mem::take(&mut frame)));
            }
            frame.push(opened);
        }
    });
    taken?;
    if !frame.is_empty() {
        take(Verified(frame))?;
    }
    Ok(damages)
}

/// What of a run is damaged in the store, out of its pack as parity makes it whole; `None` when nothing is, or that cannot be.
pub(crate) async fn healed(
    repository: &Repository,
    pack: &IndexedPack,
    run: &Run,
    damages: &[Damage],
) -> Result<Option<(Run, SealedRun)>> {
    let (Some(damage), Ok(span)) = (damages.first(), sealed_span(run.offset, run.length, pack.size)) else {
        return Ok(None);
    };
    let Some(whole) = repository.heal(&pack.into(), damage).await? else { return Ok(None) };
    let hurt: HashSet<ChunkId> = damages.iter().filter_map(|damage| damage.chunk).collect();
    let blobs = run.blobs.iter().filter(|(id, _)| hurt.contains(id)).copied().collect();
    // A span lies within the size of its pack, which is below 2³².
    let bytes = whole.get(span.object_range.start as usize..span.object_range.end as usize).unwrap_or_default();
    let sealed = SealedRun { bytes: BytesMut::from(bytes), span };
    Ok(Some((Run { blobs, ..run.clone() }, sealed)))
}

/// Plaintext of consecutive segments, some of which may have failed.
struct OpenedRun {
    plain: Bytes,
    first_offset: u64,
    /// Plaintext ranges that failed authentication, with the reason.
    failed: Vec<(std::ops::Range<u64>, String)>,
}

impl OpenedRun {
    /// A part of the plaintext, not copied.
    fn slice(&self, offset: u64, length: u64) -> Result<Bytes, String> {
        if let Some((range, reason)) =
            self.failed.iter().find(|(range, _)| range.start < offset + length && offset < range.end)
        {
            return Err(format!("bytes {} to {} of its content fail authentication: {reason}", range.start, range.end));
        }
        let within = || {
            let start = usize::try_from(offset.checked_sub(self.first_offset)?).ok()?;
            let end = start.checked_add(usize::try_from(length).ok()?)?;
            (end <= self.plain.len()).then(|| self.plain.slice(start..end))
        };
        within().ok_or_else(|| "its recorded place lies outside of what was read".to_owned())
    }
}

/// Opens each segment where it lies and moves plaintext together over the tags; a segment that fails does not spoil its neighbours.
fn open_segments(opener: &Opener, sealed: SealedRun) -> OpenedRun {
    let SealedRun { span, mut bytes } = sealed;
    let segment_sealed = usize::try_from(credenza_format::SEGMENT_SEALED_BYTES).unwrap_or(usize::MAX);
    let last = span.first_segment + span.segments - 1;
    let mut failed = Vec::new();
    for (index, segment) in (span.first_segment..).zip(bytes.chunks_mut(segment_sealed)) {
        let start = u64::from(index) * SEGMENT_BYTES as u64;
        let plain_length = segment.len().saturating_sub(TAG_BYTES) as u64;
        if let Err(cause) = opener.open_segment(index, span.reaches_end && index == last, segment) {
            failed.push((start..start + plain_length, cause.to_string()));
        }
    }
    let mut plain_length = 0;
    for start in (0..bytes.len()).step_by(segment_sealed) {
        let end = (start + segment_sealed).min(bytes.len()).saturating_sub(TAG_BYTES).max(start);
        bytes.copy_within(start..end, plain_length);
        plain_length += end - start;
    }
    bytes.truncate(plain_length);
    OpenedRun { plain: bytes.freeze(), first_offset: span.plain_offset(), failed }
}
