//! The tree as a whole: what goes in comes out, and equal content gives equal nodes.

use std::collections::{BTreeMap, HashMap};

use credenza_model::{
    AttributeValue, Checksum, ChunkRef, Content, Entry, EntryKind, EntryStatus, Key, Record, RepositoryId, Timestamp,
    Version,
};
use proptest::prelude::*;

use super::*;
use crate::{Error, Keyring, Keys, Suite};

fn keys() -> Keys {
    Keyring::public().keys(RepositoryId::new([1; 16]), Suite::Plain)
}

fn build(records: &[Record]) -> (TreeRoot, HashMap<ChunkId, Vec<u8>>) {
    let mut nodes = HashMap::new();
    let mut emit = |id, bytes| {
        nodes.insert(id, bytes);
        Ok::<_, Error>(())
    };
    let mut builder = TreeBuilder::new(&keys());
    records.iter().for_each(|record| builder.push(record, &mut emit).unwrap());
    let root = builder.finish(&mut emit).unwrap();
    (root, nodes)
}

fn read(nodes: &HashMap<ChunkId, Vec<u8>>, id: ChunkId, level: u8) -> Vec<Record> {
    match Node::decode(&nodes[&id], level).unwrap() {
        Node::Leaf(records) => records,
        Node::Inner(children) => children.iter().flat_map(|child| read(nodes, child.id, level - 1)).collect(),
    }
}

fn plain(at: u32) -> Record {
    let mut entry = Entry::new(Key::from(format!("folder/{at:08}").as_str()), EntryKind::File);
    entry.size = Some(u64::from(at));
    entry.fingerprint = Some(format!("etag-{at}"));
    Record {
        entry,
        content: Content::Chunks(vec![ChunkRef { id: ChunkId::new([at as u8; 32]), length: at }]),
        status: EntryStatus::Stable,
    }
}

fn value() -> impl Strategy<Value = AttributeValue> {
    prop_oneof![
        ".*".prop_map(AttributeValue::Text),
        any::<i64>().prop_map(AttributeValue::Integer),
        (any::<i64>(), 0_u32..1_000_000_000)
            .prop_map(|(seconds, nanoseconds)| AttributeValue::Time(Timestamp { seconds, nanoseconds })),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(AttributeValue::Blob),
    ]
}

fn content() -> impl Strategy<Value = Content> {
    let refs = || {
        proptest::collection::vec(
            (any::<[u8; 32]>(), any::<u32>()).prop_map(|(id, length)| ChunkRef { id: ChunkId::new(id), length }),
            0..5,
        )
    };
    prop_oneof![
        Just(Content::None),
        proptest::collection::vec(any::<u8>(), 0..256).prop_map(Content::Inline),
        refs().prop_map(Content::Chunks),
        (1_u8..4, refs()).prop_map(|(height, lists)| Content::Lists { height, lists }),
    ]
}

fn status() -> impl Strategy<Value = EntryStatus> {
    prop_oneof![
        Just(EntryStatus::Stable),
        Just(EntryStatus::Changed),
        Just(EntryStatus::Vanished),
        ".*".prop_map(EntryStatus::Unreadable)
    ]
}

prop_compose! {
    fn record()(
        key in proptest::collection::vec(any::<u8>(), 0..60),
        kind in prop_oneof![Just(EntryKind::File), Just(EntryKind::Directory), Just(EntryKind::Symlink), Just(EntryKind::Other)],
        size: Option<u64>,
        fingerprint in proptest::option::of(".*"),
        locator: Option<Vec<u8>>,
        version in proptest::option::of((".*", any::<bool>(), any::<bool>())),
        link_target: Option<Vec<u8>>,
        checksums in proptest::collection::vec(("[a-z0-9]{1,8}", proptest::collection::vec(any::<u8>(), 0..40)), 0..3),
        attributes in proptest::collection::vec(("[a-z.]{1,12}", value()), 0..4),
        content in content(),
        status in status(),
    ) -> Record {
        let mut entry = Entry::new(Key::new(key), kind);
        entry.size = size;
        entry.fingerprint = fingerprint;
        entry.locator = locator;
        entry.version = version.map(|(id, latest, deleted)| Version { id, latest, deleted });
        entry.link_target = link_target;
        entry.checksums = checksums.into_iter().map(|(algorithm, value)| Checksum { algorithm, value }).collect();
        entry.attributes = attributes;
        Record { entry, content, status }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_record_comes_back_as_it_went_in(records in proptest::collection::vec(record(), 0..40)) {
        let sorted: BTreeMap<Key, Record> = records.into_iter().map(|record| (record.entry.key.clone(), record)).collect();
        let sorted: Vec<Record> = sorted.into_values().collect();
        let (root, nodes) = build(&sorted);
        prop_assert_eq!(root.entries, sorted.len() as u64);
        prop_assert_eq!(read(&nodes, root.id, root.level), sorted);
    }

    #[test]
    fn hostile_nodes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), level in 0_u8..3) {
        let _ = Node::decode(&bytes, level);
        let _ = Node::decode(&[&[1, level, 0, 0][..], &bytes].concat(), level);
        let _ = decode_list(&bytes);
    }
}

#[test]
fn one_changed_record_rewrites_one_node_per_level() {
    let mut records: Vec<Record> = (0..60_000).map(plain).collect();
    let (root, before) = build(&records);
    assert!(root.level >= 1 && before.len() > 20, "{root:?}, {} nodes", before.len());
    records[30_000].entry.size = Some(7);
    let (_, after) = build(&records);
    let fresh = after.keys().filter(|id| !before.contains_key(id)).count();
    assert!(fresh <= usize::from(root.level) + 1, "{fresh} fresh nodes");
    records.remove(10);
    let (_, removed) = build(&records);
    let fresh = removed.keys().filter(|id| !after.contains_key(id)).count();
    assert!(fresh <= 2 * usize::from(root.level) + 3, "{fresh} fresh nodes");
}

#[test]
fn a_tree_of_nothing_is_an_empty_leaf() {
    let (root, nodes) = build(&[]);
    assert_eq!((root.level, root.entries, read(&nodes, root.id, 0)), (0, 0, Vec::new()));
}

#[test]
fn keys_must_increase_but_for_versions_of_one_key() {
    let mut builder = TreeBuilder::new(&keys());
    let mut emit = |_, _| Ok::<_, Error>(());
    builder.push(&plain(5), &mut emit).unwrap();
    assert!(matches!(builder.push(&plain(5), &mut emit), Err(Error::Order { .. })));
    assert!(matches!(builder.push(&plain(4), &mut emit), Err(Error::Order { .. })));
    let version = |id: &str| {
        let mut record = plain(6);
        record.entry.version = Some(Version { id: id.into(), latest: false, deleted: false });
        record
    };
    builder.push(&version("b"), &mut emit).unwrap();
    builder.push(&version("a"), &mut emit).unwrap();
    assert!(builder.push(&version("a"), &mut emit).is_err());
}

fn refs(range: std::ops::Range<u32>) -> Vec<ChunkRef> {
    range.map(|at| ChunkRef { id: ChunkId::new(*blake3::hash(&at.to_le_bytes()).as_bytes()), length: 65_536 }).collect()
}

fn list(refs: &[ChunkRef]) -> (Content, HashMap<ChunkId, Vec<u8>>) {
    let mut blobs = HashMap::new();
    let mut emit = |id, bytes| {
        blobs.insert(id, bytes);
        Ok::<_, Error>(())
    };
    let mut builder = ListBuilder::new(&keys());
    refs.iter().for_each(|chunk| builder.push(*chunk, &mut emit).unwrap());
    let content = builder.finish(&mut emit).unwrap();
    (content, blobs)
}

fn flatten(content: &Content, blobs: &HashMap<ChunkId, Vec<u8>>) -> Vec<ChunkRef> {
    match content {
        Content::Chunks(refs) => refs.clone(),
        Content::Lists { height, lists } => {
            let below: Vec<ChunkRef> = lists.iter().flat_map(|list| decode_list(&blobs[&list.id]).unwrap()).collect();
            if *height == 1 { below } else { flatten(&Content::Lists { height: height - 1, lists: below }, blobs) }
        }
        Content::None | Content::Inline(_) => Vec::new(),
    }
}

#[test]
fn long_contents_become_lists_that_name_every_chunk_in_order() {
    for count in [0, 1, 1024, 1025, 5_000, 200_000] {
        let refs = refs(0..count);
        let (content, blobs) = list(&refs);
        assert_eq!(flatten(&content, &blobs), refs, "{count}");
        assert_eq!(matches!(content, Content::Chunks(_)), blobs.is_empty());
    }
}

#[test]
fn a_shifted_content_shares_its_lists() {
    let (_, before) = list(&refs(0..100_000));
    let (_, after) = list(&[refs(1_000_000..1_000_001), refs(0..100_000)].concat());
    let fresh = after.keys().filter(|id| !before.contains_key(id)).count();
    assert!(before.len() > 50 && fresh <= 3, "{fresh} of {}", after.len());
}
