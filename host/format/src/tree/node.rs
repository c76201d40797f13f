//! Nodes: leaves of records, inner nodes of children.

use credenza_model::limits::{BLOB_BYTES_MAX, KEY_BYTES_MAX};
use credenza_model::{ChunkId, Key, Record};

use super::{LEVEL_MAX, record};
use crate::wire::{Fields, put_sized};
use crate::{Error, Result};

const VERSION: u8 = 1;
const WHAT: &str = "a tree node";

/// A child of an inner node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    /// The last key below it.
    pub last_key: Key,
    /// The node.
    pub id: ChunkId,
    /// Bytes of the encoded node.
    pub length: u32,
    /// Records below it.
    pub entries: u64,
    /// Bytes of content of all records below it.
    pub bytes: u64,
}

/// A node of a tree, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// Records, in order.
    Leaf(Vec<Record>),
    /// Children, in order.
    Inner(Vec<Child>),
}

impl Node {
    /// Reads a node that stands on `level`.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it stands on another level, its keys are not in order, or bytes are missing.
    pub fn decode(bytes: &[u8], level: u8) -> Result<Self> {
        let mut fields = Fields::new(WHAT, bytes);
        let version = fields.u8()?;
        if version != VERSION {
            return Err(Error::Unknown { what: "version of a tree node", found: u32::from(version) });
        }
        let found = fields.u8()?;
        if found != level || level > LEVEL_MAX {
            return Err(fields.malformed(format!("it says level {found} where level {level} belongs")));
        }
        fields.zeros(2)?;
        if bytes.len() > BLOB_BYTES_MAX as usize {
            return Err(fields.malformed("it is larger than any may be"));
        }
        if level == 0 { decode_leaf(&mut fields).map(Self::Leaf) } else { decode_inner(&mut fields).map(Self::Inner) }
    }
}

pub(crate) fn begin(level: u8) -> Vec<u8> {
    vec![VERSION, level, 0, 0]
}

pub(crate) fn encode_child(out: &mut Vec<u8>, child: &Child) {
    put_sized(out, child.last_key.as_bytes());
    out.extend_from_slice(child.id.as_bytes());
    out.extend_from_slice(&child.length.to_le_bytes());
    out.extend_from_slice(&child.entries.to_le_bytes());
    out.extend_from_slice(&child.bytes.to_le_bytes());
}

/// Whether `record` may follow `previous`: keys increase, and only versions of one key share it.
pub(crate) fn follows(previous: &Record, record: &Record) -> bool {
    let (before, after) = (&previous.entry, &record.entry);
    match (&before.version, &after.version) {
        (Some(old), Some(new)) if before.key == after.key => old.id != new.id,
        _ => before.key < after.key,
    }
}

fn decode_leaf(fields: &mut Fields<'_>) -> Result<Vec<Record>> {
    let mut records: Vec<Record> = Vec::new();
    while !fields.is_empty() {
        let previous = records.last().map(|record| record.entry.key.as_bytes()).unwrap_or_default();
        let next = record::decode(fields, previous)?;
        if records.last().is_some_and(|previous| !follows(previous, &next)) {
            return Err(fields.malformed(format!("`{}` is out of order", next.entry.key)));
        }
        records.push(next);
    }
    Ok(records)
}

fn decode_inner(fields: &mut Fields<'_>) -> Result<Vec<Child>> {
    let mut children: Vec<Child> = Vec::new();
    while !fields.is_empty() {
        let last_key = fields.sized()?;
        if last_key.len() > KEY_BYTES_MAX {
            return Err(fields.malformed("a key is longer than any may be"));
        }
        let child = Child {
            last_key: Key::new(last_key),
            id: ChunkId::new(fields.array()?),
            length: fields.u32()?,
            entries: fields.u64()?,
            bytes: fields.u64()?,
        };
        // Versions of one key may fill several nodes, which then end with the same key.
        if children.last().is_some_and(|previous| previous.last_key > child.last_key) || child.length > BLOB_BYTES_MAX {
            return Err(fields.malformed("its children are out of order or too large"));
        }
        children.push(child);
    }
    if children.is_empty() { Err(fields.malformed("it has no children")) } else { Ok(children) }
}
