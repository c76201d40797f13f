//! Packs built and read back, from their index record and from their bytes alone.

use credenza_model::RepositoryId;
use proptest::prelude::*;

use super::*;
use crate::group::{group_head, lay_out};
use crate::{Compressor, Header, Keyring, Opener, plain_length, sealed_span};

fn keys() -> Keys {
    Keyring::generate().unwrap().keys(RepositoryId::new([1; 16]))
}

fn build(keys: &Keys, kind: PackKind, plains: &[Vec<u8>]) -> SealedPack {
    let mut builder = PackBuilder::new(keys, kind).unwrap();
    let mut compressor = Compressor::new(1).unwrap();
    for (index, plain) in plains.iter().enumerate() {
        let blob_kind = if kind == PackKind::Data { BlobKind::Data } else { BlobKind::Node };
        let id = keys.blob_id(blob_kind, plain);
        let (encoding, stored) = compressor.compress(plain).unwrap();
        let frame = Frame { id, kind: blob_kind, encoding, plain_length: plain.len() as u32, stored };
        assert_eq!(builder.push(frame).unwrap() as usize, index);
    }
    assert_eq!(builder.blob_count(), plains.len());
    builder.finish().unwrap()
}

pub(crate) fn push_group(builder: &mut PackBuilder, members: &[(ChunkId, &[u8])]) {
    let mut content = Vec::new();
    lay_out(members, &mut content).unwrap();
    // As any writer may compress it, and whether that pays or not.
    let frame = zstd::bulk::compress(&content, 1).unwrap();
    let stored = [(content.len() as u32).to_le_bytes().as_slice(), &frame].concat();
    let members: Vec<_> = members.iter().map(|(id, plain)| (*id, plain.len() as u32)).collect();
    assert!(stored.starts_with(&group_head(members.iter().map(|(_, length)| *length))));
    assert!(!stored.starts_with(&group_head(members.iter().skip(1).map(|(_, length)| *length))));
    builder.push_group(GroupFrame { kind: BlobKind::Data, members: &members, stored: &stored }).unwrap();
}

fn open(keys: &Keys, pack: &PackRecord, object: &[u8], span: &crate::SegmentSpan) -> Vec<u8> {
    let opener = Opener::new(keys, &Header::decode(&pack.header).unwrap(), (pack.kind.object_kind(), pack.id)).unwrap();
    let mut sealed = object[span.object_range.start as usize..span.object_range.end as usize].to_vec();
    opener.open_span(span, &mut sealed).unwrap();
    sealed
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_pack_tells_its_blobs_from_its_bytes_alone(plains in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40_000), 0..20)) {
        let keys = keys();
        let SealedPack { object, pack } = build(&keys, PackKind::Data, &plains);
        let bytes = object.pieces().concat();
        let tail = open(&keys, &pack, &bytes, &PackTail::needed(pack.size).unwrap());
        prop_assert_eq!(read_footer(PackKind::Data, pack.size, &tail).unwrap(), PackTail::Complete(pack.blobs.clone()));

        let (mut inflater, mut out) = (Inflater::new().unwrap(), Vec::new());
        for (blob, plain) in pack.blobs.iter().zip(&plains).filter(|(blob, _)| blob.stored > 0) {
            let span = sealed_span(blob.offset.into(), blob.stored.into(), pack.size).unwrap();
            let opened = open(&keys, &pack, &bytes, &span);
            let at = blob.offset as usize - span.plain_offset() as usize;
            let stored = &opened[at..at + blob.stored as usize];
            prop_assert_eq!(open_blob(&keys, pack.id, blob, stored, &mut inflater, &mut out).unwrap(), plain);
        }
    }

    #[test]
    fn members_of_a_group_share_a_place_and_are_told_apart_by_their_ids(plains in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 1..20)) {
        let keys = keys();
        let members: Vec<(ChunkId, &[u8])> =
            plains.iter().map(|plain| (keys.blob_id(BlobKind::Data, plain), plain.as_slice())).collect();
        let mut builder = PackBuilder::new(&keys, PackKind::Data).unwrap();
        push_group(&mut builder, &members);
        push_group(&mut builder, &members[..1]);
        let SealedPack { object, pack } = builder.finish().unwrap();
        let bytes = object.pieces().concat();
        let tail = open(&keys, &pack, &bytes, &PackTail::needed(pack.size).unwrap());
        prop_assert_eq!(read_footer(PackKind::Data, pack.size, &tail).unwrap(), PackTail::Complete(pack.blobs.clone()));
        let (mut inflater, mut out) = (Inflater::new().unwrap(), Vec::new());
        for (blob, (id, plain)) in pack.blobs.iter().zip(&members) {
            let span = sealed_span(blob.offset.into(), blob.stored.into(), pack.size).unwrap();
            let opened = open(&keys, &pack, &bytes, &span);
            let at = blob.offset as usize - span.plain_offset() as usize;
            let stored = &opened[at..at + blob.stored as usize];
            prop_assert_eq!(open_blob(&keys, pack.id, blob, stored, &mut inflater, &mut out).unwrap(), *plain);
            let longer = PackBlob { plain: blob.plain + 1, ..*blob };
            prop_assert!(open_blob(&keys, pack.id, &longer, stored, &mut inflater, &mut out).is_err());
            let stranger = PackBlob { id: ChunkId::new([0; 32]), ..*blob };
            prop_assert!(open_blob(&keys, pack.id, &stranger, stored, &mut inflater, &mut out).is_err());
            prop_assert_eq!(*id, blob.id);
        }
    }

    #[test]
    fn hostile_groups_are_refused_within_bounds(mut stored in proptest::collection::vec(any::<u8>(), 0..300), count in 0..9_u32) {
        let content = [count.to_le_bytes().as_slice(), &stored].concat();
        let frame = zstd::bulk::compress(&content, 1).unwrap();
        let (mut inflater, mut out) = (Inflater::new().unwrap(), Vec::new());
        let blob = PackBlob { id: ChunkId::new([1; 32]), kind: BlobKind::Data, encoding: Encoding::Group, offset: 0, stored: 0, plain: 5 };
        prop_assert!(open_blob(&keys(), ObjectId::new([0; 16]), &blob, &stored, &mut inflater, &mut out).is_err());
        stored = [(content.len() as u32).to_le_bytes().as_slice(), &frame].concat();
        prop_assert!(open_blob(&keys(), ObjectId::new([0; 16]), &blob, &stored, &mut inflater, &mut out).is_err());
    }

    #[test]
    fn hostile_tails_are_refused(tail in proptest::collection::vec(any::<u8>(), 0..300), object_size in 145_u64..100_000) {
        let _ = read_footer(PackKind::Data, object_size, &tail);
    }

    #[test]
    fn an_injured_table_is_refused_or_keeps_the_layout(place in 0..(3 * 48 + 16_usize), change in 1..=255_u8) {
        let keys = keys();
        let SealedPack { object, pack } = build(&keys, PackKind::Data, &[vec![1; 10], vec![2; 2000], vec![3; 30]]);
        let mut tail = open(&keys, &pack, &object.pieces().concat(), &PackTail::needed(pack.size).unwrap());
        let place = tail.len() - 1 - place;
        tail[place] ^= change;
        if let Ok(PackTail::Complete(blobs)) = read_footer(PackKind::Data, pack.size, &tail) {
            let same_places = blobs.iter().zip(&pack.blobs).all(|(a, b)| (a.offset, a.stored) == (b.offset, b.stored));
            prop_assert!(same_places || blobs.is_empty());
        }
    }
}

#[test]
fn the_table_of_tiny_blobs_counts_before_the_pack_is_closed() {
    let keys = keys();
    let plains: Vec<[u8; 4]> = (0..4000_u32).map(u32::to_le_bytes).collect();
    let members: Vec<(ChunkId, &[u8])> =
        plains.iter().map(|plain| (keys.blob_id(BlobKind::Data, plain), plain.as_slice())).collect();
    let mut builder = PackBuilder::new(&keys, PackKind::Data).unwrap();
    push_group(&mut builder, &members);
    let (bodies, table) = (builder.stored_bytes(), builder.table_bytes());
    assert_eq!(table, 4000 * 48 + 16);
    let sealed = builder.finish().unwrap().object.length();
    assert!((bodies + table..(bodies + table) * 9 / 8).contains(&sealed), "{bodies} and {table} make {sealed}");
}

#[test]
fn a_group_that_pays_takes_fewer_bytes_than_its_members_by_themselves_and_noise_makes_none() {
    let (keys, mut compressor) = (keys(), Compressor::new(1).unwrap());
    let plains: Vec<Vec<u8>> =
        (0..20).map(|number| format!("{number}: the same words in each of them\n").repeat(8).into_bytes()).collect();
    let alone: usize = plains.iter().map(|plain| compressor.compress(plain).unwrap().1.len()).sum();
    let members: Vec<(ChunkId, &[u8])> =
        plains.iter().map(|plain| (keys.blob_id(BlobKind::Data, plain), plain.as_slice())).collect();
    let together = compressor.compress_group(&members).unwrap().unwrap().len();
    assert!(together < alone / 2 + 20 * 36, "{together} of {alone}");
    let mut noise = vec![0; 100_000];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    let (one, other) = noise.split_at(30_000);
    assert_eq!(compressor.compress_group(&[(keys.content_id(one), one), (keys.content_id(other), other)]), Ok(None));
    let kept = Compressor::new(0).unwrap().compress_group(&members).map(|group| group.is_some());
    assert_eq!(kept, Ok(false), "without compression there are no groups");
}

#[test]
fn a_group_has_the_place_that_all_of_it_takes() {
    let keys = keys();
    let mut builder = PackBuilder::new(&keys, PackKind::Data).unwrap();
    let members: Vec<(ChunkId, u32)> = (0..4_u8).map(|number| (ChunkId::new([number; 32]), 9)).collect();
    let stored = vec![0; 8 * 1024 * 1024];
    let frame = GroupFrame { kind: BlobKind::Data, members: &members, stored: &stored };
    assert!(matches!(builder.push_group(GroupFrame { kind: BlobKind::Node, ..frame }), Err(Error::Malformed { .. })));
    while builder.push_group(frame).is_ok() {}
    assert_eq!(builder.push_group(frame), Err(Error::PackFull));
    assert!(builder.blob_count() >= 29 * 4 && builder.blob_count().is_multiple_of(4));
}

#[test]
fn a_long_table_asks_for_a_second_read() {
    let keys = keys();
    let plains: Vec<Vec<u8>> = (0..6000_u32).map(|index| index.to_le_bytes().to_vec()).collect();
    let SealedPack { object, pack } = build(&keys, PackKind::Meta, &plains);
    let bytes = object.pieces().concat();
    let tail = open(&keys, &pack, &bytes, &PackTail::needed(pack.size).unwrap());
    let PackTail::Needs(span) = read_footer(PackKind::Meta, pack.size, &tail).unwrap() else { panic!("it fits") };
    let tail = open(&keys, &pack, &bytes, &span);
    assert_eq!(read_footer(PackKind::Meta, pack.size, &tail).unwrap(), PackTail::Complete(pack.blobs));
}

#[test]
fn sizes_hide_lengths() {
    let keys = keys();
    let sizes: std::collections::BTreeSet<u64> =
        (100_000..100_500).map(|length| build(&keys, PackKind::Data, &[vec![0x5a; length]]).pack.size).collect();
    assert!(sizes.len() <= 2, "{sizes:?}");
    let size = *sizes.first().unwrap();
    assert_eq!(keys.suite().padded(plain_length(size).unwrap()), plain_length(size).unwrap());
}

#[test]
fn a_blob_that_is_not_what_its_id_names_is_an_error_that_names_both() {
    let keys = keys();
    let plain = b"text".to_vec();
    let pack = build(&keys, PackKind::Data, &[plain]).pack;
    let blob = pack.blobs[0];
    let (mut inflater, mut out) = (Inflater::new().unwrap(), Vec::new());
    let opened = open_blob(&keys, pack.id, &blob, b"tent", &mut inflater, &mut out);
    let Err(Error::Blob { pack: named, blob: named_blob, cause }) = opened else { panic!("{opened:?}") };
    assert_eq!((named, named_blob, *cause), (pack.id, blob.id, Error::WrongBlob { blob: blob.id }));
}

#[test]
fn a_blob_of_the_other_kind_and_one_without_room_are_refused() {
    let keys = keys();
    let mut builder = PackBuilder::new(&keys, PackKind::Data).unwrap();
    let stored = vec![0; 8 * 1024 * 1024];
    let frame = Frame {
        id: ChunkId::new([0; 32]),
        kind: BlobKind::Data,
        encoding: Encoding::Raw,
        plain_length: stored.len() as u32,
        stored: &stored,
    };
    assert!(matches!(builder.push(Frame { kind: BlobKind::List, ..frame }), Err(Error::Malformed { .. })));
    assert!(matches!(builder.push(Frame { plain_length: 7, ..frame }), Err(Error::Malformed { .. })));
    while builder.push(frame).is_ok() {}
    assert_eq!(builder.push(frame), Err(Error::PackFull));
    let count = builder.blob_count();
    let pack = builder.finish().unwrap().pack;
    assert!(count >= 29 && pack.size <= credenza_model::limits::PACK_BYTES_MAX, "{count} blobs, {} bytes", pack.size);
}
