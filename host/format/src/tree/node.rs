//! Nodes of the tree as bytes.
//!
//! Head, 8 bytes: form u8 (1 leaf, 2 inner, 3 chunk list) · version u8 = 1 · level u8 · zero u8 · count u32. Then `count` items, each behind
//! its key, which shares a front part with the key before it: shared varint · rest varint-sized · and then the fields of a record
//! (varint-sized, see `record`), or of a child: id 32 · length u32 · entries u64 · bytes u64.

use credenza_model::limits::{BLOB_BYTES_MAX, KEY_BYTES_MAX, NODE_KEYS_BYTES_MAX};
use credenza_model::{ChunkId, Key, Record};

use super::record::{RECORD_BYTES_MAX, decode_record};
use crate::wire::{Fields, put_sized, put_varint};
use crate::{Error, Result};

/// Highest level of a node: inner nodes have two children or more but for the last of a level, so no map reaches it.
pub const LEVEL_MAX: u8 = 48;

pub(super) const HEAD_BYTES: usize = 8;
pub(super) const LEAF: u8 = 1;
pub(super) const INNER: u8 = 2;
pub(super) const LIST: u8 = 3;
const VERSION: u8 = 1;
const WHAT: &str = "a tree node";
const CHILD_BYTES: usize = 32 + 4 + 8 + 8;
/// Most bytes that a child takes beside its key.
pub(super) const CHILD_ITEM_BYTES_MAX: usize = CHILD_BYTES + 2 * 10;

/// A subtree, as the node above it keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    /// The last key in it.
    pub last_key: Key,
    /// Its node.
    pub id: ChunkId,
    /// Bytes of its encoded node.
    pub length: u32,
    /// Entries in it.
    pub entries: u64,
    /// Bytes of their contents.
    pub bytes: u64,
}

/// A decoded node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// Records, in order; level 0. Only the leaf of an empty tree has none.
    Leaf(Vec<Record>),
    /// Subtrees, in order; at least one.
    Inner(Vec<Child>),
}

impl Node {
    /// Decodes a node that stands at `expected_level`, 0 for leaves.
    ///
    /// Memory: a few times the node, whose size is bounded by [`BLOB_BYTES_MAX`], and its keys, [`NODE_KEYS_BYTES_MAX`].
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::Order`], [`Error::Record`] or [`Error::Unknown`] when any field breaks the rules.
    pub fn decode(bytes: &[u8], expected_level: u8) -> Result<Self> {
        let mut fields = Fields::new(WHAT, bytes);
        let (form, level, count) = decode_head(&mut fields)?;
        if level != expected_level || level > LEVEL_MAX {
            return Err(fields.malformed(format!("it is of level {level}, where level {expected_level} belongs")));
        }
        let node = match (form, level) {
            (LEAF, 0) => Self::Leaf(decode_leaf(&mut fields, count)?),
            (INNER, 1..) => Self::Inner(decode_inner(&mut fields, count)?),
            _ => return Err(fields.malformed(format!("it has form {form} at level {level}"))),
        };
        fields.end()?;
        Ok(node)
    }

    /// Decodes a node that may stand at any level.
    ///
    /// # Errors
    /// As [`Node::decode`].
    pub fn decode_any(bytes: &[u8]) -> Result<Self> {
        let (_, level, _) = decode_head(&mut Fields::new(WHAT, bytes))?;
        Self::decode(bytes, level)
    }
}

pub(super) fn put_head(out: &mut Vec<u8>, form: u8, level: u8, count: u32) {
    out.extend([form, VERSION, level, 0]);
    out.extend(count.to_le_bytes());
}

pub(super) fn decode_head(fields: &mut Fields<'_>) -> Result<(u8, u8, u32)> {
    let (form, version, level) = (fields.u8()?, fields.u8()?, fields.u8()?);
    if version != VERSION {
        return Err(Error::Unknown { what: "node version", found: u32::from(version) });
    }
    fields.zeros(1)?;
    Ok((form, level, fields.u32()?))
}

/// A node with these items.
#[cfg(feature = "fuzzing")]
pub(crate) fn encode(node: &Node, level: u8) -> Result<Vec<u8>> {
    let (mut out, mut previous) = (Vec::new(), Key::default());
    match node {
        Node::Leaf(records) => {
            put_head(&mut out, LEAF, level, records.len() as u32);
            for record in records {
                put_key(&mut out, previous.as_bytes(), record.entry.key.as_bytes());
                put_sized(&mut out, &super::record::encode_record(record)?);
                previous.clone_from(&record.entry.key);
            }
        }
        Node::Inner(children) => {
            put_head(&mut out, INNER, level, children.len() as u32);
            for child in children {
                put_key(&mut out, previous.as_bytes(), child.last_key.as_bytes());
                put_child(&mut out, child);
                previous.clone_from(&child.last_key);
            }
        }
    }
    Ok(out)
}

/// Appends a key that shares its front with the key before it.
pub(super) fn put_key(out: &mut Vec<u8>, previous: &[u8], key: &[u8]) {
    let shared = previous.iter().zip(key).take_while(|(a, b)| a == b).count();
    put_varint(out, shared as u64);
    put_sized(out, key.get(shared..).unwrap_or_default());
}

pub(super) fn put_child(out: &mut Vec<u8>, child: &Child) {
    out.extend(child.id.as_bytes());
    out.extend(child.length.to_le_bytes());
    out.extend(child.entries.to_le_bytes());
    out.extend(child.bytes.to_le_bytes());
}

/// Requires that `record` may follow `previous`.
pub(super) fn check_order(previous: &Record, record: &Record) -> Result<()> {
    let ids = (previous.entry.version.as_ref().map(|v| &v.id), record.entry.version.as_ref().map(|v| &v.id));
    let in_order = match previous.entry.key.cmp(&record.entry.key) {
        std::cmp::Ordering::Less => true,
        std::cmp::Ordering::Equal => matches!(ids, (Some(a), Some(b)) if a != b),
        std::cmp::Ordering::Greater => false,
    };
    if in_order { Ok(()) } else { Err(out_of_order(&previous.entry.key, &record.entry.key)) }
}

fn decode_leaf(fields: &mut Fields<'_>, count: u32) -> Result<Vec<Record>> {
    let (mut records, mut keys) = (Vec::<Record>::new(), KeyReader::default());
    for _ in 0..count {
        let key = keys.read(fields, records.last().map(|last| &last.entry.key))?;
        let body = fields.sized()?;
        if body.len() > RECORD_BYTES_MAX {
            return Err(fields.malformed("a record is too large"));
        }
        let record = decode_record(key, body)?;
        if let Some(previous) = records.last() {
            check_order(previous, &record)?;
        }
        records.push(record);
    }
    Ok(records)
}

fn decode_inner(fields: &mut Fields<'_>, count: u32) -> Result<Vec<Child>> {
    if count == 0 {
        return Err(fields.malformed("it has no children"));
    }
    let mut children: Vec<Child> = Vec::with_capacity((count as usize).min(fields.remaining() / CHILD_BYTES));
    let mut keys = KeyReader::default();
    for _ in 0..count {
        let previous = children.last().map(|last| &last.last_key);
        let last_key = keys.read(fields, previous)?;
        if let Some(previous) = previous.filter(|previous| **previous > last_key) {
            return Err(out_of_order(previous, &last_key));
        }
        let (id, length) = (ChunkId::new(fields.array()?), fields.u32()?);
        if length == 0 || length > BLOB_BYTES_MAX {
            return Err(fields.malformed(format!("a child of {length} bytes cannot be")));
        }
        children.push(Child { last_key, id, length, entries: fields.u64()?, bytes: fields.u64()? });
    }
    Ok(children)
}

/// Reads the keys of a node, and counts what they take: a few bytes may stand for a long key, thousands of times.
#[derive(Default)]
struct KeyReader {
    bytes: usize,
}

impl KeyReader {
    fn read(&mut self, fields: &mut Fields<'_>, previous: Option<&Key>) -> Result<Key> {
        let previous = previous.map_or(&[][..], Key::as_bytes);
        let shared = usize::try_from(fields.varint()?).ok().and_then(|length| previous.get(..length));
        let shared = shared.ok_or_else(|| fields.malformed("a key shares more than the key before it has"))?;
        let rest = fields.sized()?;
        let length = shared.len() + rest.len();
        if length > KEY_BYTES_MAX {
            return Err(fields.malformed("a key is too long"));
        }
        self.bytes += length;
        if self.bytes > NODE_KEYS_BYTES_MAX {
            return Err(fields.malformed("its keys are too long together"));
        }
        Ok(Key::new([shared, rest].concat()))
    }
}

fn out_of_order(previous: &Key, key: &Key) -> Error {
    Error::Order { previous: previous.clone(), key: key.clone() }
}
