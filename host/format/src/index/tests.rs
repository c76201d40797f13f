//! Segments read back, hostile ones refused, and the look-up against a plain map.

use std::collections::HashMap;

use credenza_model::{ChunkId, ObjectId, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::{BlobKind, Encoding, Error, PackBlob, PackKind, PackRecord};

/// A pack whose blobs have the given one-byte ids.
fn pack(number: u8, ids: &[u8]) -> PackRecord {
    let kind = if number.is_multiple_of(2) { PackKind::Data } else { PackKind::Meta };
    let blob_kind = if number.is_multiple_of(2) { BlobKind::Data } else { BlobKind::List };
    let blobs = (0..).zip(ids).map(|(position, id)| PackBlob {
        id: ChunkId::new([*id; 32]),
        kind: blob_kind,
        encoding: Encoding::Zstd,
        offset: position * 7,
        stored: 7,
        plain: 9 + position,
    });
    PackRecord {
        id: ObjectId::new([number; 16]),
        kind,
        header: [3; 128],
        size: 1000,
        sha256: [4; 32],
        blobs: blobs.collect(),
        moved: number.is_multiple_of(3),
        version: number.is_multiple_of(4).then(|| format!("v{number}")),
    }
}

fn packs() -> impl Strategy<Value = Vec<PackRecord>> {
    proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..30), 0..12)
        .prop_map(|ids| (0..).zip(ids).map(|(number, ids)| pack(number, &ids)).collect())
}

fn locks() -> impl Strategy<Value = Vec<LockRecord>> {
    let lock = |(id, seconds)| LockRecord { object: ObjectId::new(id), until: at(seconds) };
    proptest::collection::btree_map(any::<[u8; 16]>(), 0..i64::MAX, 0..5)
        .prop_map(move |locks| locks.into_iter().map(lock).collect())
}

fn at(seconds: i64) -> Timestamp {
    Timestamp { seconds, nanoseconds: 0 }
}

proptest! {
    #[test]
    fn a_segment_reads_back_what_was_encoded(packs in packs(), supersedes in proptest::collection::vec(any::<[u8; 16]>(), 0..4), locks in locks()) {
        let segment = IndexSegment { packs, supersedes: supersedes.into_iter().map(ObjectId::new).collect(), locks };
        prop_assert_eq!(IndexSegment::decode(&segment.encode().unwrap()).unwrap(), segment);
    }

    #[test]
    fn the_lookup_knows_every_place_of_every_blob(packs in packs(), split: prop::sample::Index) {
        let mut index = BlobIndex::new();
        let (first, second) = packs.split_at(split.index(packs.len() + 1));
        index.add(&IndexSegment { packs: first.to_vec(), ..IndexSegment::default() }).unwrap();
        for pack in second.iter().chain(&packs) {
            index.add_pack(pack).unwrap();
        }
        let mut expected: HashMap<ChunkId, Vec<(ObjectId, u32, u32)>> = HashMap::new();
        for pack in &packs {
            for (position, blob) in (0..).zip(&pack.blobs) {
                expected.entry(blob.id).or_default().push((pack.id, position, blob.plain));
            }
        }
        prop_assert_eq!(index.blob_count(), expected.values().map(Vec::len).sum::<usize>());
        prop_assert_eq!(index.packs().len(), packs.len());
        for byte in 0..=255 {
            let id = ChunkId::new([byte; 32]);
            let mut places: Vec<_> = index.places(&id).map(|place| (index.pack(place.pack).unwrap().id, place.position, place.plain)).collect();
            places.sort_unstable();
            let mut wanted = expected.get(&id).cloned().unwrap_or_default();
            wanted.sort_unstable();
            prop_assert_eq!(index.get(&id).is_some(), !wanted.is_empty());
            prop_assert_eq!(places, wanted);
        }
    }

    #[test]
    fn an_injured_segment_never_panics(packs in packs(), locks in locks(), place: prop::sample::Index, change in 1..=255_u8) {
        let mut body = IndexSegment { packs, locks, ..IndexSegment::default() }.encode().unwrap();
        let place = place.index(body.len());
        body[place] ^= change;
        let _ = IndexSegment::decode(&body);
        prop_assert!(IndexSegment::decode(&body[..place]).is_err());
    }
}

#[test]
fn many_small_packs_make_few_runs() {
    let mut index = BlobIndex::new();
    for number in 0..=255 {
        index.add_pack(&pack(number, &[number; 5])).unwrap();
    }
    assert!(index.run_count() <= 12, "{} runs", index.run_count());
}

#[test]
fn a_blob_without_its_pack_and_blobs_out_of_order_are_refused() {
    let segment = IndexSegment { packs: vec![pack(2, &[1, 2])], ..IndexSegment::default() };
    let body = segment.encode().unwrap();
    let blobs = body.len() - 2 * 52;
    let mut foreign = body.clone();
    foreign[blobs + 32] = 1;
    assert!(IndexSegment::decode(&foreign).is_err());
    let mut unsorted = body.clone();
    unsorted[blobs] = 3;
    assert!(IndexSegment::decode(&unsorted).is_err());
    let mut twice = body;
    twice[blobs + 36] = 1;
    assert!(IndexSegment::decode(&twice).is_err());
}

#[test]
fn a_blob_is_looked_up_in_the_pack_of_the_best_standing() {
    let mut index = BlobIndex::new();
    let plain = |number| PackRecord { moved: false, ..pack(number, &[7]) };
    let found = |index: &BlobIndex| index.get(&ChunkId::new([7; 32])).map(|place| index.pack(place.pack).unwrap().id);
    let id = |number| Some(ObjectId::new([number; 16]));
    index.add(&IndexSegment { packs: vec![plain(2), plain(4), plain(8)], ..IndexSegment::default() }).unwrap();
    assert_eq!(found(&index), id(2));
    index.add_pack(&PackRecord { moved: true, ..plain(2) }).unwrap();
    assert_eq!(found(&index), id(4), "it was said to be moved by a later segment");
    index.demote(&id(4).unwrap(), PackState::Condemned);
    index.demote(&id(8).unwrap(), PackState::Gone);
    assert_eq!(found(&index), id(2));
    index.demote(&id(2).unwrap(), PackState::Gone);
    assert_eq!(found(&index), id(4), "what is condemned can be read");
    index.demote(&id(4).unwrap(), PackState::Gone);
    assert_eq!(found(&index), None);
}

#[test]
fn a_segment_without_versions_and_locks_has_no_tail() {
    let plain = |version| IndexSegment { packs: vec![PackRecord { version, ..pack(2, &[1]) }], ..Default::default() };
    let body = plain(None).encode().unwrap();
    assert_eq!((body.len(), &body[2..4]), (16 + 192 + 52, &[0, 0][..]));
    let with_version = plain(Some("v".to_owned())).encode().unwrap();
    assert_eq!(with_version.len(), body.len() + 8 + 4 + 2);
    let mut unknown = body.clone();
    unknown[2] = 2;
    assert!(matches!(IndexSegment::decode(&unknown), Err(Error::Unknown { .. })));
    assert!(IndexSegment::decode(&[&body[..], &[0]].concat()).is_err(), "nothing may follow");
}

#[test]
fn versions_that_no_store_gives_are_refused() {
    for version in [String::new(), "v".repeat(1025)] {
        let packs = vec![PackRecord { version: Some(version), ..pack(2, &[1]) }];
        assert!(IndexSegment { packs, ..IndexSegment::default() }.encode().is_err());
    }
}

#[test]
fn the_latest_end_of_a_lock_and_a_version_from_any_segment_count() {
    let mut index = BlobIndex::new();
    let object = ObjectId::new([2; 16]);
    for (seconds, version) in [(5, None), (9, Some("v")), (7, Some("w"))] {
        let packs = vec![PackRecord { version: version.map(str::to_owned), ..pack(2, &[1]) }];
        let locks = vec![LockRecord { object, until: at(seconds) }];
        index.add(&IndexSegment { packs, locks, ..IndexSegment::default() }).unwrap();
    }
    assert_eq!(index.locked_until(&object), Some(at(9)));
    assert_eq!(index.packs()[0].version.as_deref(), Some("v"));
    assert_eq!(index.locked_until(&ObjectId::new([3; 16])), None);
}
