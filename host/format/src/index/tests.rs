//! Segments read back, hostile ones refused, and the look-up against a plain map.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

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

/// Files without a name in the folder of the system.
struct Files;

impl Scratch for Files {
    fn begin(&self) -> std::io::Result<std::fs::File> {
        let mut name = [0; 16];
        getrandom::fill(&mut name).unwrap();
        let path = std::env::temp_dir().join(ObjectId::new(name).to_string());
        let file = std::fs::OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        std::fs::remove_file(path)?;
        Ok(file)
    }

    fn place(&self) -> String {
        std::env::temp_dir().display().to_string()
    }
}

fn spill(blobs_in_memory: usize) -> Spill {
    Spill { scratch: Arc::new(Files), blobs_in_memory }
}

/// Ids as hashes are, spread evenly.
fn spread(number: u32) -> ChunkId {
    ChunkId::new(*blake3::hash(&number.to_le_bytes()).as_bytes())
}

/// A pack of blobs with these ids, in their order.
fn pack_of(number: u8, ids: impl Iterator<Item = ChunkId>) -> PackRecord {
    let blob =
        |(offset, id)| PackBlob { id, kind: BlobKind::Data, encoding: Encoding::Zstd, offset, stored: 1, plain: 1 };
    PackRecord { blobs: (0..).zip(ids).map(blob).collect(), ..pack(2 * number, &[]) }
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
    fn the_lookup_knows_every_place_of_every_blob(packs in packs(), split: prop::sample::Index, in_memory in 0..100_usize, settles: bool) {
        let mut index = if in_memory == 0 { BlobIndex::new() } else { BlobIndex::spilling(spill(in_memory)) };
        let (first, second) = packs.split_at(split.index(packs.len() + 1));
        index.add(&IndexSegment { packs: first.to_vec(), ..IndexSegment::default() }).unwrap();
        for pack in second.iter().chain(&packs) {
            index.add_pack(pack).unwrap();
        }
        if settles {
            index.settle().unwrap();
        }
        let mut expected: HashMap<ChunkId, Vec<(ObjectId, u32, u32)>> = HashMap::new();
        for pack in &packs {
            for (position, blob) in (0..).zip(&pack.blobs) {
                expected.entry(blob.id).or_default().push((pack.id, position, blob.plain));
            }
        }
        prop_assert_eq!(index.blob_count(), expected.values().map(Vec::len).sum::<usize>() as u64);
        prop_assert_eq!(index.packs().len(), packs.len());
        prop_assert_eq!(index.iter().map(Result::unwrap).count() as u64, index.blob_count());
        for byte in 0..=255 {
            let id = ChunkId::new([byte; 32]);
            let mut places: Vec<_> = index.places(&id).unwrap().iter().map(|place| (index.pack(place.pack).unwrap().id, place.position, place.plain)).collect();
            places.sort_unstable();
            let mut wanted = expected.get(&id).cloned().unwrap_or_default();
            wanted.sort_unstable();
            prop_assert_eq!(index.get(&id).unwrap().is_some(), !wanted.is_empty());
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
fn a_pack_that_is_described_in_more_than_one_way_is_disputed() {
    let known = PackRecord { moved: false, version: None, ..pack(3, &[1, 2]) };
    let same = [
        known.clone(),
        PackRecord { moved: true, ..known.clone() },
        PackRecord { version: Some("one".to_owned()), ..known.clone() },
    ];
    let versioned = PackRecord { version: Some("one".to_owned()), ..known.clone() };
    let others = [
        PackRecord { blobs: pack(3, &[1, 4]).blobs, ..known.clone() },
        PackRecord { blobs: known.blobs[..1].to_vec(), ..known.clone() },
        PackRecord { size: known.size + 1, ..known.clone() },
        PackRecord { sha256: [9; 32], ..known.clone() },
        PackRecord { header: [9; 128], ..known.clone() },
        PackRecord { version: Some("two".to_owned()), ..known.clone() },
    ];
    let cases = same.into_iter().map(|one| (one, false)).chain(others.into_iter().map(|other| (other, true)));
    for (record, is_disputed) in cases {
        let mut index = BlobIndex::new();
        index.add_pack(&versioned).unwrap();
        assert_eq!(index.contradicts(&record), is_disputed, "{record:?}");
        index.add_pack(&record).unwrap();
        assert_eq!(index.disputed().collect::<Vec<_>>(), vec![known.id; usize::from(is_disputed)], "{record:?}");
        assert_eq!(index.packs().len(), 1);
    }
}

#[test]
fn a_blob_is_looked_up_in_the_pack_of_the_best_standing() {
    let mut index = BlobIndex::new();
    let plain = |number| PackRecord { moved: false, ..pack(number, &[7]) };
    let found =
        |index: &BlobIndex| index.get(&ChunkId::new([7; 32])).unwrap().map(|place| index.pack(place.pack).unwrap().id);
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

/// A hundred thousand entries are 1,300 pages: 20 fences, guesses that go wrong by a page, several runs before they are merged.
#[test]
fn what_is_on_disk_is_found_and_nothing_else() {
    let mut index = BlobIndex::spilling(spill(7000));
    for number in 0..50 {
        let ids = (0..2000).map(|blob| spread(u32::from(number) * 2000 + blob));
        index.add_pack(&pack_of(number, ids)).unwrap();
    }
    assert!(index.disk_runs() > 1, "{} runs", index.disk_runs());
    let expect = |index: &BlobIndex| {
        for number in (0..100_000).step_by(77) {
            let places = index.places(&spread(number)).unwrap();
            let found: Vec<(u32, u32)> = places.iter().map(|place| (place.pack.0, place.position)).collect();
            assert_eq!(found, [(number / 2000, number % 2000)]);
        }
        (100_000..101_000).for_each(|number| assert!(index.get(&spread(number)).unwrap().is_none()));
    };
    expect(&index);
    index.settle().unwrap();
    assert_eq!(index.disk_runs(), 1);
    expect(&index);
    assert_eq!((index.iter().count(), index.blob_count()), (100_000, 100_000));
}

#[test]
fn places_in_some_packs_are_had_apart_from_the_others() {
    let packs = HashSet::from([PackOrdinal(1), PackOrdinal(4)]);
    let mut index = BlobIndex::spilling(spill(70));
    for number in 0..5 {
        index.add_pack(&pack_of(number, (0..100).map(|blob| spread(u32::from(number) * 100 + blob)))).unwrap();
    }
    index.add_pack(&pack_of(5, (0..10).map(|blob| spread(500 + blob)))).unwrap();
    let apart = index.apart(&packs).unwrap().unwrap();
    let mut found: Vec<_> = apart.iter().map(Result::unwrap).collect();
    let mut expected: Vec<_> =
        index.iter().map(Result::unwrap).filter(|(_, place)| packs.contains(&place.pack)).collect();
    found.sort_unstable_by_key(|(id, _)| *id);
    expected.sort_unstable_by_key(|(id, _)| *id);
    assert_eq!((found.len(), &found), (200, &expected));
    assert!(BlobIndex::new().apart(&packs).unwrap().is_none());
}

#[test]
fn ids_that_somebody_chose_are_found_however_they_lie() {
    let mut index = BlobIndex::spilling(spill(100));
    // One id many times over many pages, and ids that differ in their last bytes only.
    let one = ChunkId::new([0; 32]);
    let alike = |number: u32| {
        let mut id = [7; 32];
        id[28..].copy_from_slice(&number.to_be_bytes());
        ChunkId::new(id)
    };
    index.add_pack(&pack_of(1, (0..1000).map(|_| one).chain((0..20_000).map(alike)))).unwrap();
    index.settle().unwrap();
    assert_eq!(index.places(&one).unwrap().len(), 1000);
    for number in (0..20_000).step_by(33).chain([0, 19_999]) {
        assert_eq!(index.get(&alike(number)).unwrap().unwrap().position, 1000 + number);
    }
    for absent in [ChunkId::new([1; 32]), alike(20_000), ChunkId::new([0xff; 32])] {
        assert!(index.get(&absent).unwrap().is_none());
    }
}

/// Gives files and keeps a hold of them.
#[derive(Default)]
struct Held(std::sync::Mutex<Vec<std::fs::File>>);

impl Scratch for Held {
    fn begin(&self) -> std::io::Result<std::fs::File> {
        let file = Files.begin()?;
        self.0.lock().unwrap().push(file.try_clone()?);
        Ok(file)
    }

    fn place(&self) -> String {
        Files.place()
    }
}

#[test]
fn what_was_changed_or_cut_off_on_disk_is_an_error_and_nothing_that_is_missing() {
    use std::os::unix::fs::FileExt;
    let held = Arc::new(Held::default());
    let mut index = BlobIndex::spilling(Spill { scratch: held.clone(), blobs_in_memory: 10 });
    index.add_pack(&pack_of(1, (0..100).map(spread))).unwrap();
    assert_eq!(index.disk_runs(), 1);
    let file = held.0.lock().unwrap().pop().unwrap();
    let mut bytes = vec![0; file.metadata().unwrap().len() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    assert!((0..100).map(spread).all(|id| !bytes.windows(32).any(|window| window == id.as_bytes())), "sealed");
    file.write_all_at(&[bytes[100] ^ 1], 100).unwrap();
    let failures = (0..100).filter(|number| index.get(&spread(*number)).is_err()).count();
    assert!((70..=100).contains(&failures), "{failures}");
    assert!(index.iter().any(|known| matches!(known, Err(Error::Scratch { .. }))));
    file.write_all_at(&bytes, 0).unwrap();
    assert!((0..100).all(|number| index.get(&spread(number)).unwrap().is_some()));
    file.set_len(3000).unwrap();
    assert!(matches!(index.get(&spread(0)), Err(Error::Scratch { doing: "reading", .. })));
}

/// No place for a file.
struct Nowhere;

impl Scratch for Nowhere {
    fn begin(&self) -> std::io::Result<std::fs::File> {
        Err(std::io::ErrorKind::StorageFull.into())
    }

    fn place(&self) -> String {
        "/nowhere".to_owned()
    }
}

#[test]
fn an_index_for_which_there_is_no_room_is_refused() {
    let mut index = BlobIndex::spilling(Spill { scratch: Arc::new(Nowhere), blobs_in_memory: 10 });
    index.add_pack(&pack_of(1, (0..10).map(spread))).unwrap();
    let refused = index.add_pack(&pack_of(2, (10..11).map(spread)));
    assert!(matches!(refused, Err(Error::Scratch { doing: "opening", .. })), "{refused:?}");
    assert!(refused.unwrap_err().to_string().ends_with(", in /nowhere"), "it names the folder");
}
