//! Trees built and read back, their history forgotten, and hostile nodes refused.

use std::collections::{BTreeMap, HashMap};

use credenza_model::{
    AttributeValue, Checksum, ChunkId, ChunkRef, Content, Entry, EntryKind, EntryStatus, Key, ListRef, Record,
    RepositoryId, Timestamp, Version,
};
use proptest::prelude::*;

use super::*;
use crate::{BlobKind, Error, Keyring, Keys};

type Blobs = HashMap<ChunkId, Vec<u8>>;

fn keys() -> Keys {
    Keyring::public().keys(RepositoryId::new([1; 16]))
}

fn build<'a>(keys: &Keys, records: impl IntoIterator<Item = &'a Record>) -> (TreeRoot, Blobs) {
    let (mut builder, mut blobs) = (TreeBuilder::new(keys), Blobs::new());
    let mut emit = |id, bytes| -> Result<(), Error> {
        blobs.insert(id, bytes);
        Ok(())
    };
    records.into_iter().for_each(|record| builder.push(record, &mut emit).unwrap());
    let root = builder.finish(&mut emit).unwrap();
    (root, blobs)
}

fn walk(keys: &Keys, blobs: &Blobs, id: ChunkId, level: u8, out: &mut Vec<Record>) {
    let bytes = &blobs[&id];
    assert_eq!(keys.blob_id(BlobKind::Node, bytes), id);
    match Node::decode(bytes, level).unwrap() {
        Node::Leaf(records) => out.extend(records),
        Node::Inner(children) => {
            for child in children {
                let before = out.len();
                walk(keys, blobs, child.id, level - 1, out);
                assert_eq!((out.len() - before) as u64, child.entries);
                assert_eq!(out.last().unwrap().entry.key, child.last_key);
                assert_eq!(blobs[&child.id].len(), child.length as usize);
            }
        }
    }
}

fn read(keys: &Keys, root: &TreeRoot, blobs: &Blobs) -> Vec<Record> {
    let mut out = Vec::new();
    walk(keys, blobs, root.id, root.level, &mut out);
    out
}

fn simple(number: u32, size: u64) -> Record {
    let mut entry =
        Entry::new(Key::from(format!("folder/{:05}/file-{number:07}", number / 100).as_str()), EntryKind::File);
    entry.size = Some(size);
    entry.fingerprint = Some(format!("{:032x}", u128::from(number) * 0x9e37_79b9_7f4a_7c15));
    Record { entry, content: Content::Inline(vec![number as u8; 40]), status: EntryStatus::Stable }
}

fn refs() -> impl Strategy<Value = Vec<ChunkRef>> {
    proptest::collection::vec((any::<[u8; 32]>(), 1..1_000_000_u32), 1..5)
        .prop_map(|refs| refs.into_iter().map(|(id, length)| ChunkRef { id: ChunkId::new(id), length }).collect())
}

fn lists() -> impl Strategy<Value = Vec<ListRef>> {
    proptest::collection::vec((any::<[u8; 32]>(), 1..u64::MAX / 8), 1..5)
        .prop_map(|lists| lists.into_iter().map(|(id, bytes)| ListRef { id: ChunkId::new(id), bytes }).collect())
}

fn time() -> impl Strategy<Value = Timestamp> {
    (any::<i64>(), 0..1_000_000_000_u32).prop_map(|(seconds, nanoseconds)| Timestamp { seconds, nanoseconds })
}

fn content() -> impl Strategy<Value = Content> {
    prop_oneof![
        Just(Content::None),
        proptest::collection::vec(any::<u8>(), 0..=256).prop_map(Content::Inline),
        refs().prop_map(Content::Chunks),
        (1..4_u8, lists()).prop_map(|(height, lists)| Content::Lists { height, lists }),
    ]
}

fn status() -> impl Strategy<Value = EntryStatus> {
    prop_oneof![
        Just(EntryStatus::Stable),
        Just(EntryStatus::Changed),
        Just(EntryStatus::Vanished),
        ".*".prop_map(EntryStatus::Unreadable),
        ".*".prop_map(EntryStatus::Referenced),
        ".*".prop_map(EntryStatus::Undescribed),
        ".*".prop_map(EntryStatus::Doubtful)
    ]
}

fn value() -> impl Strategy<Value = AttributeValue> {
    prop_oneof![
        ".*".prop_map(AttributeValue::Text),
        any::<i64>().prop_map(AttributeValue::Integer),
        time().prop_map(AttributeValue::Time),
        proptest::collection::vec(any::<u8>(), 0..20).prop_map(AttributeValue::Blob),
    ]
}

prop_compose! {
    fn entry()(
        kind in prop_oneof![Just(EntryKind::File), Just(EntryKind::Directory), Just(EntryKind::Symlink), Just(EntryKind::Other)],
        size: Option<u64>,
        modified in proptest::option::of(time()),
        fingerprint: Option<String>,
        locator: Option<Vec<u8>>,
        version: Option<(String, bool, bool)>,
        link_target: Option<Vec<u8>>,
        checksums in proptest::collection::vec(("[a-z]{1,6}", any::<Vec<u8>>()), 0..3),
        attributes in proptest::collection::btree_map(".*", value(), 0..4),
    ) -> Entry {
        Entry {
            key: Key::default(),
            kind,
            size,
            modified,
            fingerprint,
            locator,
            version: version.map(|(id, latest, deleted)| Version { id, latest, deleted }),
            link_target,
            checksums: checksums.into_iter().map(|(algorithm, value)| Checksum { algorithm, value }).collect(),
            attributes: attributes.into_iter().collect(),
        }
    }
}

fn records() -> impl Strategy<Value = Vec<Record>> {
    let map = proptest::collection::btree_map(any::<Vec<u8>>(), (entry(), content(), status()), 0..12);
    map.prop_map(|map: BTreeMap<_, _>| {
        let record = |(key, (mut entry, content, status)): (Vec<u8>, (Entry, Content, EntryStatus))| {
            entry.key = Key::new(key);
            Record { entry, content, status }
        };
        map.into_iter().map(record).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_tree_reads_back_every_record_with_all_its_fields(records in records()) {
        let keys = keys();
        let (root, blobs) = build(&keys, &records);
        prop_assert_eq!(root.entries, records.len() as u64);
        prop_assert_eq!(read(&keys, &root, &blobs), records);
    }

    #[test]
    fn hostile_nodes_are_refused_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300), level in 0..3_u8) {
        let _ = Node::decode(&bytes, level);
        let _ = decode_list(&bytes);
    }

    #[test]
    fn an_injured_node_is_refused_or_still_in_order(records in records(), place: prop::sample::Index, change in 1..=255_u8) {
        let keys = keys();
        let (root, blobs) = build(&keys, &records);
        let mut bytes = blobs[&root.id].clone();
        let place = place.index(bytes.len());
        prop_assert!(Node::decode(&bytes[..place], root.level).is_err());
        bytes[place] ^= change;
        if let Ok(Node::Leaf(records)) = Node::decode(&bytes, 0) {
            prop_assert!(records.is_sorted_by(|a, b| a.entry.key < b.entry.key || a.entry.version.is_some()));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn the_same_records_give_the_same_tree_and_a_change_rewrites_little(gaps in 1..97_u32, victim in 0..25_000_usize, size: u64) {
        let keys = keys();
        let records: Vec<Record> = (0..25_000).map(|index| simple(index * gaps, 5)).collect();
        let (root, blobs) = build(&keys, &records);
        prop_assert!(root.level >= 1);
        prop_assert_eq!(build(&keys, &records).0, root);

        let mut changed = records.clone();
        changed[victim].entry.size = Some(size);
        changed.remove((victim + 10_000) % 25_000);
        let (changed_root, changed_blobs) = build(&keys, &changed);
        prop_assert_eq!(read(&keys, &changed_root, &changed_blobs), changed);
        let rewritten = changed_blobs.keys().filter(|id| !blobs.contains_key(id)).count();
        // Two places were touched, each in one leaf, or in three when a border moves, under nodes of which there are few.
        prop_assert!(rewritten <= 2 * 3 + usize::from(root.level) * 2, "{} of {} nodes", rewritten, changed_blobs.len());
    }
}

#[test]
fn nodes_have_the_size_aimed_for_on_average() {
    let keys = keys();
    let records: Vec<Record> = (0..100_000).map(|number| simple(number, 5)).collect();
    let (_, blobs) = build(&keys, &records);
    let bytes: usize = blobs.values().map(Vec::len).sum();
    let average = bytes / blobs.len();
    assert!((40_000..100_000).contains(&average), "{average} bytes in {} nodes", blobs.len());
}

#[test]
fn the_empty_tree_is_an_empty_leaf() {
    let keys = keys();
    let (root, blobs) = build(&keys, &[]);
    assert_eq!((root.level, root.entries, blobs.len()), (0, 0, 1));
    assert_eq!(read(&keys, &root, &blobs), []);
}

#[test]
fn long_keys_still_make_a_tree() {
    let keys = keys();
    let records: Vec<Record> = (0..100_u8)
        .map(|number| {
            let mut record = simple(0, 0);
            record.entry.key = Key::new([vec![number], vec![number ^ 0x55; 65_000]].concat());
            record
        })
        .collect();
    let (root, blobs) = build(&keys, &records);
    assert_eq!(read(&keys, &root, &blobs), records);
    assert!(root.level <= 7, "{}", root.level);
}

#[test]
fn equal_keys_need_versions_that_differ() {
    let keys = keys();
    let versioned = |id: &str| {
        let mut record = simple(1, 1);
        record.entry.version = Some(Version { id: id.to_owned(), latest: false, deleted: false });
        record
    };
    let mut emit = |_, _| -> Result<(), Error> { Ok(()) };
    let mut builder = TreeBuilder::new(&keys);
    builder.push(&versioned("b"), &mut emit).unwrap();
    builder.push(&versioned("a"), &mut emit).unwrap();
    for wrong in [versioned("a"), simple(1, 1), simple(0, 1)] {
        assert!(matches!(builder.push(&wrong, &mut emit), Err(Error::Order { .. })), "{wrong:?}");
    }
    builder.push(&versioned("c"), &mut emit).unwrap();
    assert_eq!(builder.finish(&mut emit).unwrap().entries, 3, "what was refused changed nothing");
}

#[test]
fn thousands_of_versions_of_one_key_make_no_crumbs() {
    let keys = keys();
    for number in 0..20 {
        let records: Vec<Record> = (0..5000)
            .map(|version| {
                let mut record = simple(number, 1);
                record.entry.version = Some(Version { id: format!("{version:032x}"), latest: false, deleted: false });
                record
            })
            .collect();
        let (root, blobs) = build(&keys, &records);
        assert!(blobs.len() < 60, "{} nodes", blobs.len());
        assert_eq!(read(&keys, &root, &blobs).len(), records.len());
    }
}

#[test]
fn records_that_break_the_model_are_not_written() {
    let keys = keys();
    let chunk = ChunkRef { id: ChunkId::new([1; 32]), length: 1 };
    let with = |change: &dyn Fn(&mut Record)| {
        let mut record = simple(1, 1);
        change(&mut record);
        let pushed = TreeBuilder::new(&keys).push(&record, &mut |_, _| -> Result<(), Error> { Ok(()) });
        assert!(matches!(pushed, Err(Error::Record { .. })), "{pushed:?}");
    };
    with(&|record| record.entry.key = Key::new(vec![0; 64 * 1024 + 1]));
    with(&|record| record.content = Content::Inline(vec![0; 257]));
    with(&|record| record.content = Content::Chunks(Vec::new()));
    with(&|record| record.content = Content::Chunks(vec![chunk; 1025]));
    with(&|record| record.content = Content::Chunks(vec![ChunkRef { length: 0, ..chunk }]));
    let list = ListRef { id: ChunkId::new([1; 32]), bytes: 1 };
    with(&|record| record.content = Content::Lists { height: 0, lists: vec![list] });
    with(&|record| record.content = Content::Lists { height: 1, lists: vec![ListRef { bytes: 0, ..list }] });
    with(&|record| record.content = Content::Lists { height: 1, lists: vec![ListRef { bytes: u64::MAX, ..list }; 2] });
    with(&|record| record.entry.attributes = vec![("a".into(), AttributeValue::Integer(1)); 2]);
    with(&|record| record.entry.locator = Some(vec![0; RECORD_BYTES_MAX]));
}

#[test]
fn a_field_of_later_programs_is_refused_unless_it_may_be_passed_over() {
    let with_field = |tag: u8| {
        let mut bytes = Vec::new();
        node::put_head(&mut bytes, node::LEAF, 0, 1);
        node::put_key(&mut bytes, b"", b"key");
        crate::wire::put_sized(&mut bytes, &[1, 1, 0, tag, 2, 7, 7]);
        Node::decode(&bytes, 0)
    };
    assert_eq!(with_field(99), Err(Error::Unknown { what: "record field", found: 99 }));
    assert!(with_field(0x80 | 20).is_ok());
}

fn list(keys: &Keys, chunks: impl IntoIterator<Item = ChunkRef>) -> (Content, Blobs) {
    let (mut builder, mut blobs) = (ListBuilder::new(keys), Blobs::new());
    let mut emit = |id, bytes| -> Result<(), Error> {
        blobs.insert(id, bytes);
        Ok(())
    };
    chunks.into_iter().for_each(|chunk| builder.push(chunk, &mut emit).unwrap());
    let content = builder.finish(&mut emit).unwrap();
    (content, blobs)
}

fn expand(content: &Content, blobs: &Blobs) -> Vec<ChunkRef> {
    match content {
        Content::Chunks(refs) => refs.clone(),
        Content::Lists { height, lists } => lists
            .iter()
            .flat_map(|list| {
                let below = decode_list(&blobs[&list.id]).unwrap();
                assert!(!matches!(&below, Content::Lists { height: lower, .. } if lower + 1 != *height));
                let refs = expand(&below, blobs);
                assert_eq!(refs.iter().map(|chunk| u64::from(chunk.length)).sum::<u64>(), list.bytes);
                refs
            })
            .collect(),
        Content::None | Content::Inline(_) => Vec::new(),
    }
}

fn chunks(count: u64) -> Vec<ChunkRef> {
    (0..count).map(|n| ChunkRef { id: ChunkId::new(*blake3::hash(&n.to_le_bytes()).as_bytes()), length: 7 }).collect()
}

#[test]
fn contents_of_any_length_read_back_their_chunks() {
    let keys = keys();
    for count in [0, 1, 1024, 1025, 5000, 100_000] {
        let (content, blobs) = list(&keys, chunks(count));
        assert_eq!(expand(&content, &blobs), chunks(count), "{count}");
        assert_eq!(matches!(&content, Content::Lists { lists, .. } if lists.len() <= 1024), count > 1024);
    }
    assert_eq!(list(&keys, []).0, Content::Inline(Vec::new()));
}

#[test]
fn a_shifted_content_shares_its_lists() {
    let keys = keys();
    let (_, before) = list(&keys, chunks(50_000));
    let inserted = ChunkRef { id: ChunkId::new([9; 32]), length: 1 };
    let (_, after) = list(&keys, std::iter::once(inserted).chain(chunks(50_000)));
    let fresh = after.keys().filter(|id| !before.contains_key(id)).count();
    assert!(fresh <= 3, "{fresh} of {} lists are new", after.len());
}

#[test]
fn a_content_that_repeats_one_chunk_makes_short_work_of_its_lists() {
    let keys = keys();
    for id in [[0; 32], [1; 32]] {
        let same = ChunkRef { id: ChunkId::new(id), length: 7 };
        let (content, blobs) = list(&keys, std::iter::repeat_n(same, 200_000));
        assert_eq!(expand(&content, &blobs), vec![same; 200_000]);
        assert!(blobs.len() <= 8, "{} lists", blobs.len());
    }
}

/// The key of an entry among many with a long name in common.
fn deep(number: u32) -> Key {
    Key::from(format!("{}{number:08}", "d/".repeat(30_000)).as_str())
}

#[test]
fn a_node_of_keys_that_share_their_fronts_is_bounded_by_what_they_take_when_read() {
    let children = |count: u32| {
        let mut bytes = Vec::new();
        node::put_head(&mut bytes, node::INNER, 1, count);
        let mut previous = Key::default();
        for number in 0..count {
            let key = deep(number);
            node::put_key(&mut bytes, previous.as_bytes(), key.as_bytes());
            node::put_child(
                &mut bytes,
                &Child { last_key: key.clone(), id: ChunkId::new([1; 32]), length: 1, entries: 1, bytes: 1 },
            );
            previous = key;
        }
        bytes
    };
    assert!(Node::decode(&children(200), 1).is_ok());
    assert!(matches!(Node::decode(&children(2000), 1), Err(Error::Malformed { .. })), "120 MB of keys in 190 KB");
}

#[test]
fn a_tree_of_keys_that_share_their_fronts_is_cut_so_that_it_can_be_read() {
    let keys = keys();
    let records: Vec<Record> = (0..600)
        .map(|number| Record {
            entry: Entry::new(deep(number), EntryKind::Directory),
            content: Content::None,
            status: EntryStatus::Stable,
        })
        .collect();
    let (root, blobs) = build(&keys, &records);
    assert_eq!(read(&keys, &root, &blobs), records);
}

/// Joins trees of consecutive records cut at these places; the root, and how many nodes were read.
fn joined(keys: &Keys, records: &[Record], cuts: &[usize]) -> (TreeRoot, Blobs, usize) {
    let mut blobs = Blobs::new();
    let mut from = 0;
    let mut roots = Vec::new();
    for end in cuts.iter().copied().chain([records.len()]) {
        let (root, nodes) = build(keys, &records[from..end]);
        roots.push(root);
        blobs.extend(nodes);
        from = end;
    }
    let (mut reads, mut built) = (0, Blobs::new());
    let mut load = |id: ChunkId| -> Result<Vec<u8>, Error> {
        reads += 1;
        Ok(blobs[&id].clone())
    };
    let mut emit = |id, bytes| -> Result<(), Error> {
        built.insert(id, bytes);
        Ok(())
    };
    let root = join_trees(keys, &roots, &mut load, &mut emit).unwrap();
    blobs.extend(built);
    (root, blobs, reads)
}

/// A record whose key is long, so that inner nodes are many, and perhaps one of several versions of its key.
fn wide(number: u32, versions: u32, key_bytes: usize) -> Record {
    let mut record = simple(number / versions, 1);
    let name = [format!("{:08}", number / versions).as_bytes(), &vec![b'k'; key_bytes]].concat();
    record.entry.key = Key::new(name);
    if versions > 1 {
        record.entry.version = Some(Version { id: format!("v{number}"), latest: false, deleted: false });
    }
    record
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn trees_joined_are_the_tree_of_all_records(
        count in 1..9_000_u32, versions in 1..4_u32, key_bytes in 0..900_usize,
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..9),
    ) {
        let keys = keys();
        let records: Vec<Record> = (0..count).map(|number| wide(number, versions, key_bytes)).collect();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.index(records.len() + 1)).collect();
        cuts.sort_unstable();
        let (expected, nodes) = build(&keys, &records);
        let (root, blobs, _) = joined(&keys, &records, &cuts);
        prop_assert_eq!(root, expected);
        prop_assert!(nodes.keys().all(|id| blobs.contains_key(id)), "each node is there");
    }
}

#[test]
fn a_million_keys_in_eight_parts_are_joined_by_few_reads() {
    let keys = keys();
    let records: Vec<Record> = (0..1_000_000).map(|number| simple(number, 1)).collect();
    let cuts: Vec<usize> = (1..8).map(|part| part * 125_000 + 17 * part).collect();
    let (root, _, reads) = joined(&keys, &records, &cuts);
    assert_eq!(root, build(&keys, &records).0);
    assert!(reads <= 200, "{reads} nodes were read");
}

#[test]
fn trees_out_of_order_are_not_joined() {
    let keys = keys();
    let (first, mut blobs) = build(&keys, &[simple(1, 1)]);
    let (second, more) = build(&keys, &[simple(2, 1)]);
    blobs.extend(more);
    for trees in [[second, first], [first, first]] {
        let mut load = |id: ChunkId| -> Result<Vec<u8>, Error> { Ok(blobs[&id].clone()) };
        let refused = join_trees(&keys, &trees, &mut load, &mut |_, _| Ok(()));
        assert!(matches!(refused, Err(Error::Order { .. })));
    }
}
