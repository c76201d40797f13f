//! Bytes in the place of data that a rehearsal does not read: of the right lengths, no two the same, and as hard to compress as what is stored in their
//! place. Called by the loader, `write::copy` and `rehearsal`.

use std::io::Read;

use bytes::Bytes;
use credenza_connect::wrap::{Spent, Tally};
use credenza_format::{BlobPlace, IndexedPack, group_head, sealed_span};
use credenza_model::ChunkId;

use super::{Fetched, Opened, Run};

/// Bytes that no compressor makes smaller (SplitMix64), by a seed.
pub(crate) struct Noise {
    state: u64,
    left: u64,
}

impl Noise {
    /// So many bytes.
    pub(crate) fn new(seed: &[u8], length: u64) -> Self {
        let fold = |state: u64, byte: &u8| (state ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        Self { state: seed.iter().fold(0xcbf2_9ce4_8422_2325, fold), left: length }
    }

    fn next(&mut self) -> [u8; 8] {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).to_le_bytes()
    }
}

impl Read for Noise {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        for piece in buffer.iter_mut().take(length).collect::<Vec<_>>().chunks_mut(8) {
            piece.iter_mut().zip(self.next()).for_each(|(byte, made)| **byte = made);
        }
        self.left -= length as u64;
        Ok(length)
    }
}

/// A plaintext of `plain` bytes that takes some `stored` of them when it is compressed.
fn plaintext(id: &ChunkId, stored: u32, plain: u32) -> Bytes {
    let mut bytes = Vec::with_capacity(plain as usize);
    // It reads from memory and cannot fail.
    let _ = Noise::new(id.as_bytes(), u64::from(stored.min(plain))).read_to_end(&mut bytes);
    bytes.resize(plain as usize, 0);
    Bytes::from(bytes)
}

/// The chunks of a range of a pack that is not read, counted.
pub(super) fn fetched(tally: &Tally, pack: &IndexedPack, run: &Run) -> Fetched {
    opened(tally, pack, run).into_iter().map(|opened| (opened.id(), Ok(opened.plain))).collect()
}

/// The same, as they are stored, too.
pub(crate) fn opened(tally: &Tally, pack: &IndexedPack, run: &Run) -> Vec<Opened> {
    count(tally, pack, (run.offset, run.length));
    made(run)
}

/// Counts the request for so many bytes of a pack's plaintext.
pub(super) fn count(tally: &Tally, pack: &IndexedPack, (offset, length): (u64, u64)) {
    let range = sealed_span(offset, length, pack.size).map(|span| span.object_range);
    let bytes_down = range.map_or(length, |range| range.end - range.start);
    tally.add(Spent { get: 1, bytes_down, ..Spent::default() });
}

/// The chunks of a range without counting it.
pub(super) fn made(run: &Run) -> Vec<Opened> {
    let forge = |(id, place): &(ChunkId, BlobPlace), head: &[u8]| {
        let mut stored = vec![0; place.stored as usize];
        stored.iter_mut().zip(head).for_each(|(byte, head)| *byte = *head);
        let stored = Bytes::from(stored);
        Opened::forged(place.blob(*id), stored, plaintext(id, place.stored, place.plain))
    };
    let frames = run.blobs.chunk_by(|(_, one), (_, next)| one.offset == next.offset);
    // A group counts as whole: its members go over together, as it is.
    let forge = |frame: &[(ChunkId, BlobPlace)]| {
        let head = group_head(frame.iter().map(|(_, place)| place.plain));
        frame.iter().map(|blob| forge(blob, &head)).collect::<Vec<_>>()
    };
    frames.flat_map(forge).collect()
}
