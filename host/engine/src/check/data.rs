//! Data: every byte of every pack, in pieces, against its header, its tags, its ids and its digest.
//!
//! What a pack holds is known from the index, which is sorted by blobs: whoever wants to know it of some packs goes through all of it. So that an index on
//! disk is not read once for each [`DESCRIBED_BLOBS`], the places in many packs are written to a file of their own, which is gone through for each of
//! the groups in them. With as many blobs in such a file as make both equal ([`blobs_apart`]), n blobs are read 2·√(n / [`DESCRIBED_BLOBS`]) times and some: 124 times of 10⁹
//! where they were 3,815. The file takes 52 bytes for each of its blobs: 850 MB of 10⁹.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use credenza_connect::ByteRange;
use credenza_connect::wrap::{Spent, Tally};
use credenza_format::{
    BlobIndex, BlobPlace, CHECKSUM_BYTES, HEADER_BYTES, Header, Inflater, Inspector, Keys, Opener, PackBlob,
    PackOrdinal, PackRecord, PackTail, SEGMENT_SEALED_BYTES, open_blob, read_footer,
};
use credenza_model::limits::BLOB_BYTES_MAX;
use credenza_model::{ChunkId, ObjectId};
use futures_util::{StreamExt, TryStreamExt};

use super::Users;
use crate::blobs::read_part;
use crate::findings::Findings;
use crate::liveness::Liveness;
use crate::repository::Repository;
use crate::{Damage, DamageKind, Error, Result};

/// Sealed bytes of a pack read in one request.
pub(super) const PIECE_BYTES: u64 = 128 * SEGMENT_SEALED_BYTES;
/// Packs read at once.
pub(crate) const PACKS_IN_FLIGHT: usize = 2;
/// Blobs of the packs that are described together, some 22 MB.
pub(super) const DESCRIBED_BLOBS: u64 = 1 << 18;
/// Plaintext gathered before its blobs are verified.
const VERIFY_BYTES: usize = 1024 * 1024;

/// Requests that it takes to read so many bytes.
pub(super) const fn pieces(size: u64) -> u64 {
    size.saturating_sub(HEADER_BYTES as u64).div_ceil(PIECE_BYTES).saturating_add((size <= HEADER_BYTES as u64) as u64)
}

/// What was read.
#[derive(Default)]
pub(crate) struct Reading {
    pub(super) bytes: u64,
    /// Packs of which every byte is right, and of their parity.
    pub(crate) whole: Vec<ObjectId>,
    /// Packs that are damaged and whole by their parity.
    pub(super) healed: HashSet<ObjectId>,
    /// A pack was gone when it was to be read. Whether that is damage takes another look.
    pub(super) vanished: bool,
}

/// Reads packs and their parity. What parity makes good is reported by the repository. The damage of one that was moved and is needed no more is none.
/// With a liveness, one that the store fails to give is passed over. What is found is added as it is found: `reading` says what was read before an
/// error, or where this is dropped.
pub(crate) async fn verify(
    (repository, liveness, at_once): (&Repository, Option<&Arc<Liveness>>, usize),
    index: &Arc<BlobIndex>,
    packs: &[PackOrdinal],
    users: &Users,
    (findings, reading): (&mut Findings<'_>, &mut Reading),
) -> Result<()> {
    for many in groups(index, packs, blobs_apart(index.blob_count(), DESCRIBED_BLOBS)) {
        let is_one_group = groups(index, many, DESCRIBED_BLOBS).nth(1).is_none();
        let apart = if is_one_group { None } else { index.apart(&many.iter().copied().collect())? };
        for group in groups(index, many, DESCRIBED_BLOBS) {
            let records = match &apart {
                Some(apart) => described_by(index, apart.iter(), group)?,
                None => described(index, group)?,
            };
            let found = (&mut *findings, &mut *reading);
            verify_group((repository, liveness, at_once), index, records, users, found).await?;
        }
    }
    Ok(())
}

/// Blobs whose places are set apart at once of an index of so many: as many passes are made over the index for them as over them for the groups in them.
pub(crate) fn blobs_apart(of: u64, group: u64) -> u64 {
    group.max(of.saturating_mul(group).isqrt())
}

/// Cuts packs into groups of so many blobs at most, or of one pack.
pub(super) fn groups<'a>(
    index: &BlobIndex,
    packs: &'a [PackOrdinal],
    blobs_max: u64,
) -> impl Iterator<Item = &'a [PackOrdinal]> {
    let blobs = |pack: &PackOrdinal| index.pack(*pack).map_or(0, |pack| u64::from(pack.blob_count));
    let mut sum = 0;
    packs.chunk_by(move |pack, next| {
        sum += blobs(pack);
        let fits = sum + blobs(next) <= blobs_max;
        sum = if fits { sum } else { 0 };
        fits
    })
}

async fn verify_group(
    (repository, liveness, at_once): (&Repository, Option<&Arc<Liveness>>, usize),
    index: &Arc<BlobIndex>,
    packs: Vec<PackRecord>,
    users: &Users,
    (findings, reading): (&mut Findings<'_>, &mut Reading),
) -> Result<()> {
    let checks = packs
        .into_iter()
        .map(|pack| async move { verify_both((repository, liveness), &pack).await.map(|damages| (pack, damages)) });
    let mut checked = futures_util::stream::iter(checks).buffer_unordered(at_once);
    while let Some((pack, (damage, parity))) = checked.try_next().await? {
        reading.bytes += pack.size;
        findings.progress(1, pack.size);
        match damage {
            Some(damage) if damage.kind == DamageKind::Missing => reading.vanished = true,
            Some(_) if users.has_replaced(index, &pack)? => {}
            // Whoever reads by parity tells it.
            Some(damage) => match repository.heal(&(&pack).into(), &damage).await? {
                Some(_) => drop(reading.healed.insert(pack.id)),
                None => findings.add(damage, users.affected(&pack.id)),
            },
            None if parity.is_none() => reading.whole.push(pack.id),
            None => {}
        }
        if let Some(damage) = parity
            && !users.has_replaced(index, &pack)?
        {
            findings.add(damage, None);
        }
    }
    Ok(())
}

/// What is wrong with a pack, and what with its parity. Where that is missing, the listing tells it.
async fn verify_both(
    (repository, liveness): (&Repository, Option<&Arc<Liveness>>),
    pack: &PackRecord,
) -> Result<(Option<Damage>, Option<Damage>)> {
    if let Some(tally) = repository.unread_packs() {
        rehearse(repository, tally, pack);
        return Ok((None, None));
    }
    let damage = verify_pack((repository, liveness), pack).await?;
    let parity = repository.inspect_parity(pack).await?;
    Ok((damage, parity.filter(|damage| damage.kind != DamageKind::Missing)))
}

/// Counts what reading one pack and its parity asks.
fn rehearse(repository: &Repository, tally: &Tally, pack: &PackRecord) {
    let mut offset = 0;
    while offset < pack.size {
        let end = end_of_piece(offset, pack.size);
        tally.add(Spent { get: 1, bytes_down: end - offset, ..Spent::default() });
        offset = end;
    }
    if let Some(bytes_down) = repository.config().parity.and_then(|rate| rate.object_bytes(pack.size).ok()) {
        tally.add(Spent { get: 1, bytes_down, ..Spent::default() });
    }
}

/// Where the piece of a pack ends that begins there.
fn end_of_piece(offset: u64, size: u64) -> u64 {
    size.min(if offset == 0 { HEADER_BYTES as u64 + PIECE_BYTES } else { offset + PIECE_BYTES })
}

/// Reads one pack from its first to its last byte; the first thing that is wrong with it.
async fn verify_pack(
    (repository, liveness): (&Repository, Option<&Arc<Liveness>>),
    pack: &PackRecord,
) -> Result<Option<Damage>> {
    let key = pack.kind.object_kind().store_key(pack.id);
    let mut verifier = match Verifier::new(repository.keys(), pack) {
        Ok(verifier) => verifier,
        Err(detail) => return Ok(Some(Damage::new(&key, DamageKind::Corrupt, detail))),
    };
    let (mut offset, version) = (0, pack.version.as_deref());
    while offset < pack.size {
        let end = end_of_piece(offset, pack.size);
        let range = ByteRange { offset, length: Some(end - offset) };
        let piece = match read_part((&**repository.bare_store(), liveness), &key, range, version).await? {
            Ok(piece) if piece.len() as u64 == end - offset => piece,
            Ok(_) => return Ok(Some(Damage::new(&key, DamageKind::Size, "the pack ends before its recorded end"))),
            Err(damage) => return Ok(Some(damage)),
        };
        let worked = tokio::task::spawn_blocking(move || verifier.take(piece).map(|()| verifier));
        verifier = match worked.await.map_err(Error::worker("verify"))? {
            Ok(verifier) => verifier,
            Err(detail) => return Ok(Some(Damage::new(&key, DamageKind::Corrupt, detail))),
        };
        offset = end;
    }
    Ok(verifier.finish().err().map(|detail| Damage::new(&key, DamageKind::Corrupt, detail)))
}

/// Verifies a pack as it streams by.
struct Verifier {
    keys: Keys,
    pack: PackRecord,
    opener: Opener,
    inflater: Inflater,
    inflated: Vec<u8>,
    /// Header, checksum and digest.
    inspector: Inspector,
    header_seen: bool,
    next_segment: u32,
    segments: u64,
    /// Bytes of segments that are still to come.
    sealed_bytes: u64,
    /// Plaintext from `plain_offset` on that is not yet verified.
    plain: Vec<u8>,
    plain_offset: u64,
    next_blob: usize,
}

impl Verifier {
    fn new(keys: &Keys, pack: &PackRecord) -> Result<Self, String> {
        let header = Header::decode(&pack.header).map_err(|cause| cause.to_string())?;
        let opener =
            Opener::new(keys, &header, (pack.kind.object_kind(), pack.id)).map_err(|cause| cause.to_string())?;
        let sealed_bytes = pack.size.saturating_sub((HEADER_BYTES + CHECKSUM_BYTES) as u64);
        Ok(Self {
            keys: keys.clone(),
            pack: pack.clone(),
            opener,
            inflater: Inflater::new().map_err(|cause| cause.to_string())?,
            inflated: Vec::new(),
            inspector: Inspector::new(pack.size),
            header_seen: false,
            next_segment: 0,
            segments: sealed_bytes.div_ceil(SEGMENT_SEALED_BYTES),
            sealed_bytes,
            plain: Vec::new(),
            plain_offset: 0,
            next_blob: 0,
        })
    }

    fn take(&mut self, piece: Bytes) -> Result<(), String> {
        self.inspector.update(&piece);
        let mut sealed = piece.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&*shared));
        if !self.header_seen {
            self.header_seen = true;
            let header = sealed.split_to(HEADER_BYTES.min(sealed.len()));
            if header[..] != self.pack.header {
                return Err("its header is not the one that was written".to_owned());
            }
        }
        sealed.truncate(usize::try_from(self.sealed_bytes).unwrap_or(usize::MAX));
        self.sealed_bytes -= sealed.len() as u64;
        for segment in sealed.chunks_mut(usize::try_from(SEGMENT_SEALED_BYTES).unwrap_or(usize::MAX)) {
            let last = u64::from(self.next_segment) + 1 == self.segments;
            let plain =
                self.opener.open_segment(self.next_segment, last, segment).map_err(|cause| cause.to_string())?;
            self.plain.extend_from_slice(plain);
            self.next_segment += 1;
            if self.plain.len() >= VERIFY_BYTES {
                self.blobs()?;
            }
        }
        self.blobs()
    }

    /// Verifies the blobs that are complete. Which ones there are is known from the index; that the footer agrees is seen at the end.
    fn blobs(&mut self) -> Result<(), String> {
        let mut done = 0;
        while let Some(blob) = self.pack.blobs.get(self.next_blob) {
            let start = usize::try_from(u64::from(blob.offset).saturating_sub(self.plain_offset)).unwrap_or(usize::MAX);
            let Some(stored) = self.plain.get(start..start.saturating_add(blob.stored as usize)) else { break };
            open_blob(&self.keys, self.pack.id, blob, stored, &mut self.inflater, &mut self.inflated)
                .map_err(|cause| cause.to_string())?;
            done = start + stored.len();
            self.next_blob += 1;
        }
        self.plain.drain(..done);
        self.plain_offset += done as u64;
        if self.next_blob < self.pack.blobs.len() && self.plain.len() > BLOB_BYTES_MAX as usize + VERIFY_BYTES {
            return Err("the index names chunks at places that do not follow each other".to_owned());
        }
        Ok(())
    }

    fn finish(self) -> Result<(), String> {
        let plain_length = self.plain_offset + self.plain.len() as u64;
        // Everything behind the bodies is still there: the table is among it.
        match read_footer(self.pack.kind, self.pack.size, &self.plain).map_err(|cause| cause.to_string())? {
            PackTail::Complete(blobs) if blobs == self.pack.blobs => {}
            PackTail::Complete(_) => return Err("its own table names other chunks than the index".to_owned()),
            PackTail::Needs(_) => return Err(format!("its table does not fit into its {plain_length} bytes")),
        }
        let inspected = self.inspector.finish().map_err(|cause| cause.to_string())?;
        if inspected.sha256.0 != self.pack.sha256 {
            return Err("its SHA-256 is not the one recorded".to_owned());
        }
        Ok(())
    }
}

/// The packs named, each with its blobs in the order of their positions. One pass over the index.
///
/// # Errors
/// When the index cannot be read.
pub(crate) fn described(index: &BlobIndex, packs: &[PackOrdinal]) -> Result<Vec<PackRecord>> {
    described_by(index, index.iter(), packs)
}

/// The same, by some places of the index.
fn described_by(
    index: &BlobIndex,
    places: impl Iterator<Item = Result<(ChunkId, BlobPlace), credenza_format::Error>>,
    packs: &[PackOrdinal],
) -> Result<Vec<PackRecord>> {
    let mut blobs: HashMap<PackOrdinal, Vec<(u32, PackBlob)>> = packs.iter().map(|pack| (*pack, Vec::new())).collect();
    for known in places {
        let (id, place) = known?;
        if let Some(found) = blobs.get_mut(&place.pack) {
            found.push((place.position, place.blob(id)));
        }
    }
    let record = |ordinal: &PackOrdinal| {
        let pack = index.pack(*ordinal)?;
        let mut found = blobs.remove(ordinal)?;
        found.sort_unstable_by_key(|(position, _)| *position);
        let blobs = found.into_iter().map(|(_, blob)| blob).collect();
        Some(PackRecord {
            id: pack.id,
            kind: pack.kind,
            header: pack.header,
            size: pack.size,
            sha256: pack.sha256,
            blobs,
            moved: false,
            version: pack.version.as_deref().map(str::to_owned),
        })
    };
    Ok(packs.iter().filter_map(record).collect())
}

#[cfg(test)]
mod tests {
    use credenza_connect::memory::{MemorySource, MemoryStore};

    use super::*;
    use crate::testing::{noise, repository, secret, snapshot};

    #[test]
    fn passes_over_an_index_grow_with_the_root_of_its_length() {
        assert_eq!(blobs_apart(1000, DESCRIBED_BLOBS), DESCRIBED_BLOBS);
        let blobs = 1_000_000_000_u64;
        let apart = blobs_apart(blobs, DESCRIBED_BLOBS);
        assert_eq!((blobs.div_ceil(apart), apart.div_ceil(DESCRIBED_BLOBS)), (62, 62));
    }

    #[tokio::test]
    async fn packs_are_described_alike_by_the_index_and_by_places_apart() {
        let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
        let source = MemorySource::new();
        source.put("key", noise(1, 300_000));
        snapshot(&repository, &source).await;
        let index = repository.index_for_writing().await.unwrap();
        let packs: Vec<PackOrdinal> = (0..).map(PackOrdinal).take(index.packs().len()).collect();
        let apart = index.apart(&packs.iter().copied().collect()).unwrap().unwrap();
        let described = described(&index, &packs).unwrap();
        assert!(described.iter().map(|pack| pack.blobs.len()).sum::<usize>() > 16, "more than memory holds");
        assert_eq!(described_by(&index, apart.iter(), &packs).unwrap(), described);
    }
}
