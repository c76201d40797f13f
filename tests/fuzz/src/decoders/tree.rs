//! Nodes of trees, and lists of chunks.

use credenza_format::fuzzing::{encode_node, keys};
use credenza_format::{Error, Node, TreeBuilder, decode_list, encode_list};
use credenza_model::{
    AttributeValue, Checksum, ChunkId, ChunkRef, Content, Entry, EntryKind, EntryStatus, Key, ListRef, Record,
    Timestamp, Version,
};

use super::comes_back;

/// A record with everything that a record can have.
fn full(number: u32) -> Record {
    let mut entry = Entry::new(Key::from(format!("folder/file-{number:06}").as_str()), EntryKind::File);
    entry.size = Some(u64::from(number) * 1000);
    entry.modified = Some(Timestamp { seconds: -5, nanoseconds: 7 });
    entry.fingerprint = Some("fingerprint".to_owned());
    entry.locator = Some(vec![1, 2]);
    entry.version = Some(Version { id: "v1".to_owned(), latest: true, deleted: false });
    entry.link_target = Some(b"../target".to_vec());
    entry.checksums = vec![Checksum { algorithm: "md5".to_owned(), value: vec![0; 16] }];
    entry.attributes = vec![
        ("blob".to_owned(), AttributeValue::Blob(vec![1])),
        ("integer".to_owned(), AttributeValue::Integer(-1)),
        ("text".to_owned(), AttributeValue::Text("t".to_owned())),
        ("time".to_owned(), AttributeValue::Time(Timestamp { seconds: 1, nanoseconds: 2 })),
    ];
    let chunk = ChunkRef { id: ChunkId::new([number as u8; 32]), length: 10 };
    let content = match number % 4 {
        0 => Content::None,
        1 => Content::Inline(b"inline".to_vec()),
        2 => Content::Chunks(vec![chunk; 2]),
        _ => Content::Lists { height: 1, lists: vec![ListRef { id: chunk.id, bytes: 70_000 }] },
    };
    let status = match number % 3 {
        0 => EntryStatus::Stable,
        1 => EntryStatus::Unreadable("why".to_owned()),
        _ => EntryStatus::Referenced("why".to_owned()),
    };
    Record { entry, content, status }
}

/// Every node of a small tree, and of one with levels, the smallest of each.
pub(crate) fn node_seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for records in [0, 4, 3000] {
        let (mut builder, mut nodes) = (TreeBuilder::new(&keys()), Vec::new());
        let mut emit = |_, bytes| -> Result<(), Error> {
            nodes.push(bytes);
            Ok(())
        };
        (0..records).for_each(|number| builder.push(&full(number), &mut emit).expect("records are in order"));
        builder.finish(&mut emit).expect("the tree is closed");
        nodes.sort_by_key(Vec::len);
        seeds.extend(nodes.into_iter().take(3));
    }
    seeds
}

/// A node of any level.
pub(crate) fn run_node(input: &[u8]) {
    let level = input.get(2).copied().unwrap_or(0);
    comes_back(input, |bytes| Node::decode(bytes, level), |node| encode_node(node, level));
}

pub(crate) fn list_seeds() -> Vec<Vec<u8>> {
    let chunk = |number| ChunkRef { id: ChunkId::new([number; 32]), length: 1000 };
    let list = |number| ListRef { id: ChunkId::new([number; 32]), bytes: 5_000_000_000 };
    let chunks = Content::Chunks(vec![chunk(1), chunk(2)]);
    let lists = Content::Lists { height: 1, lists: vec![list(3), list(4)] };
    [chunks, lists].map(|items| encode_list(&items).expect("a list is encoded")).to_vec()
}

pub(crate) fn run_list(input: &[u8]) {
    super::comes_back_exactly(input, decode_list, encode_list);
}
