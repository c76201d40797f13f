//! A record as bytes: fields with tags in ascending order.
//!
//! Each field: tag u8 · length varint · payload. A tag that is not known is refused, unless its highest bit says that it may be
//! passed over: so later programs can add what earlier ones may miss, and only that.

use credenza_model::limits::{BLOB_BYTES_MAX, INLINE_BYTES_MAX, KEY_BYTES_MAX, LIST_REFS_MAX};
use credenza_model::{
    AttributeValue, Checksum, ChunkId, ChunkRef, Content, Entry, EntryKind, EntryStatus, Key, ListRef, Record,
    Timestamp, Version,
};

use crate::wire::{Fields, put_sized, put_varint};
use crate::{Error, Result};

/// Largest encoded record without its key: all extended attributes of a file take less.
pub const RECORD_BYTES_MAX: usize = 4 * 1024 * 1024;

const WHAT: &str = "a record";
const SKIPPABLE: u8 = 0x80;
/// Bytes of a chunk reference.
pub(super) const REF_BYTES: usize = 36;
/// Bytes of a list's reference.
pub(super) const LIST_REF_BYTES: usize = 40;

mod tag {
    pub(super) const KIND: u8 = 1;
    pub(super) const SIZE: u8 = 2;
    pub(super) const MODIFIED: u8 = 3;
    pub(super) const FINGERPRINT: u8 = 4;
    pub(super) const LOCATOR: u8 = 5;
    pub(super) const VERSION: u8 = 6;
    pub(super) const LINK_TARGET: u8 = 7;
    pub(super) const CHECKSUMS: u8 = 8;
    pub(super) const ATTRIBUTES: u8 = 9;
    pub(super) const INLINE: u8 = 10;
    pub(super) const CHUNKS: u8 = 11;
    pub(super) const LISTS: u8 = 12;
    pub(super) const STATUS: u8 = 13;
}

/// All of a record but its key.
///
/// # Errors
/// When the record breaks a rule of the model, or takes more than [`RECORD_BYTES_MAX`].
pub fn encode_record(record: &Record) -> Result<Vec<u8>> {
    check(record)?;
    let mut out = Vec::with_capacity(128);
    put_entry(&mut out, &record.entry);
    match &record.content {
        Content::None => {}
        Content::Inline(bytes) => put_field(&mut out, tag::INLINE, |field| field.extend(bytes)),
        Content::Chunks(refs) => put_field(&mut out, tag::CHUNKS, |field| put_refs(field, refs)),
        Content::Lists { height, lists } => put_field(&mut out, tag::LISTS, |field| {
            field.push(*height);
            put_lists(field, lists);
        }),
    }
    let (status, reason) = match &record.status {
        EntryStatus::Stable => (0, ""),
        EntryStatus::Changed => (1, ""),
        EntryStatus::Vanished => (2, ""),
        EntryStatus::Unreadable(reason) => (3, reason.as_str()),
        EntryStatus::Referenced(reason) => (4, reason.as_str()),
        EntryStatus::Undescribed(reason) => (5, reason.as_str()),
        EntryStatus::Doubtful(reason) => (6, reason.as_str()),
    };
    if status != 0 {
        put_field(&mut out, tag::STATUS, |field| {
            field.push(status);
            field.extend(reason.as_bytes());
        });
    }
    if out.len() > RECORD_BYTES_MAX {
        let problem = format!("it takes {} bytes and may take {RECORD_BYTES_MAX}", out.len());
        return Err(Error::Record { key: record.entry.key.clone(), problem });
    }
    Ok(out)
}

fn put_entry(out: &mut Vec<u8>, entry: &Entry) {
    put_field(out, tag::KIND, |field| field.push(kind_number(entry.kind)));
    if let Some(size) = entry.size {
        put_field(out, tag::SIZE, |field| put_varint(field, size));
    }
    if let Some(modified) = entry.modified {
        put_field(out, tag::MODIFIED, |field| put_time(field, modified));
    }
    if let Some(fingerprint) = &entry.fingerprint {
        put_field(out, tag::FINGERPRINT, |field| field.extend(fingerprint.as_bytes()));
    }
    if let Some(locator) = &entry.locator {
        put_field(out, tag::LOCATOR, |field| field.extend(locator));
    }
    if let Some(version) = &entry.version {
        put_field(out, tag::VERSION, |field| {
            field.push(u8::from(version.latest) | u8::from(version.deleted) << 1);
            field.extend(version.id.as_bytes());
        });
    }
    if let Some(target) = &entry.link_target {
        put_field(out, tag::LINK_TARGET, |field| field.extend(target));
    }
    if !entry.checksums.is_empty() {
        put_field(out, tag::CHECKSUMS, |field| {
            for checksum in &entry.checksums {
                put_sized(field, checksum.algorithm.as_bytes());
                put_sized(field, &checksum.value);
            }
        });
    }
    if !entry.attributes.is_empty() {
        put_field(out, tag::ATTRIBUTES, |field| {
            for (name, value) in &entry.attributes {
                put_sized(field, name.as_bytes());
                put_value(field, value);
            }
        });
    }
}

/// The record of a key from its encoded fields.
///
/// # Errors
/// When the fields are malformed, unknown, or break a rule of the model.
pub fn decode_record(key: Key, bytes: &[u8]) -> Result<Record> {
    let mut fields = Fields::new(WHAT, bytes);
    let mut record =
        Record { entry: Entry::new(key, EntryKind::Other), content: Content::None, status: EntryStatus::Stable };
    let mut previous = 0;
    while !fields.is_empty() {
        let tag = fields.u8()?;
        if tag <= previous || (previous == 0 && tag != tag::KIND) {
            return Err(fields.malformed("its fields are not in order, or the kind is missing"));
        }
        previous = tag;
        decode_field(&mut record, tag, Fields::new(WHAT, fields.sized()?))?;
    }
    if previous == 0 {
        return Err(fields.malformed("the kind is missing"));
    }
    check(&record)?;
    Ok(record)
}

fn decode_field(record: &mut Record, tag: u8, mut field: Fields<'_>) -> Result<()> {
    let entry = &mut record.entry;
    match tag {
        tag::KIND => entry.kind = decode_kind(field.u8()?)?,
        tag::SIZE => entry.size = Some(field.varint()?),
        tag::MODIFIED => entry.modified = Some(decode_time(&mut field)?),
        tag::FINGERPRINT => entry.fingerprint = Some(rest_text(&mut field)?),
        tag::LOCATOR => entry.locator = Some(field.rest().to_vec()),
        tag::VERSION => entry.version = Some(decode_version(&mut field)?),
        tag::LINK_TARGET => entry.link_target = Some(field.rest().to_vec()),
        tag::CHECKSUMS => {
            while !field.is_empty() {
                entry.checksums.push(Checksum { algorithm: field.text()?, value: field.sized()?.to_vec() });
            }
        }
        tag::ATTRIBUTES => {
            while !field.is_empty() {
                entry.attributes.push((field.text()?, decode_value(&mut field)?));
            }
        }
        tag::INLINE => record.content = Content::Inline(field.rest().to_vec()),
        tag::CHUNKS => set_content(record, Content::Chunks(decode_refs(&mut field)?))?,
        tag::LISTS => {
            let height = field.u8()?;
            set_content(record, Content::Lists { height, lists: decode_lists(&mut field)? })?;
        }
        tag::STATUS => record.status = decode_status(&mut field)?,
        unknown if unknown & SKIPPABLE != 0 => {
            field.rest();
        }
        unknown => return Err(Error::Unknown { what: "record field", found: u32::from(unknown) }),
    }
    field.end()
}

fn set_content(record: &mut Record, content: Content) -> Result<()> {
    if record.content != Content::None {
        return Err(Error::Malformed { what: WHAT, problem: "it has two contents".to_owned() });
    }
    record.content = content;
    Ok(())
}

/// The rules of the model, for records to be written and records that were read alike.
fn check(record: &Record) -> Result<()> {
    let Entry { key, checksums, attributes, modified, .. } = &record.entry;
    let refs = match &record.content {
        Content::Chunks(refs) => Some(refs.len()),
        Content::Lists { lists, .. } => Some(lists.len()),
        Content::None | Content::Inline(_) => None,
    };
    let problem = if key.as_bytes().len() > KEY_BYTES_MAX {
        format!("its key takes {} bytes and may take {KEY_BYTES_MAX}", key.as_bytes().len())
    } else if matches!(&record.content, Content::Inline(bytes) if bytes.len() > INLINE_BYTES_MAX) {
        format!("its content is inline and longer than {INLINE_BYTES_MAX} bytes")
    } else if refs.is_some_and(|count| count == 0 || count > LIST_REFS_MAX) {
        format!("it refers to no chunk or to more than {LIST_REFS_MAX}")
    } else if let Some(problem) = impossible_item(&record.content) {
        problem
    } else if !attributes.is_sorted_by(|(a, _), (b, _)| a < b) {
        "its attributes are not sorted by name, or a name is there twice".to_owned()
    } else if checksums.iter().any(|checksum| checksum.algorithm.is_empty()) {
        "a checksum has no algorithm".to_owned()
    } else if modified.is_some_and(|time| time.nanoseconds > 999_999_999) || attributes.iter().any(has_bad_time) {
        "a time has a second or more of nanoseconds".to_owned()
    } else {
        return Ok(());
    };
    Err(Error::Record { key: key.clone(), problem })
}

fn has_bad_time((_, value): &(String, AttributeValue)) -> bool {
    matches!(value, AttributeValue::Time(time) if time.nanoseconds > 999_999_999)
}

fn put_field(out: &mut Vec<u8>, tag: u8, write: impl FnOnce(&mut Vec<u8>)) {
    let mut payload = Vec::new();
    write(&mut payload);
    out.push(tag);
    put_sized(out, &payload);
}

pub(super) fn put_refs(out: &mut Vec<u8>, refs: &[ChunkRef]) {
    for chunk in refs {
        out.extend(chunk.id.as_bytes());
        out.extend(chunk.length.to_le_bytes());
    }
}

pub(super) fn decode_refs(field: &mut Fields<'_>) -> Result<Vec<ChunkRef>> {
    let mut refs = Vec::with_capacity(field.remaining() / REF_BYTES);
    while !field.is_empty() {
        refs.push(ChunkRef { id: ChunkId::new(field.array()?), length: field.u32()? });
    }
    Ok(refs)
}

pub(super) fn put_lists(out: &mut Vec<u8>, lists: &[ListRef]) {
    for list in lists {
        out.extend(list.id.as_bytes());
        out.extend(list.bytes.to_le_bytes());
    }
}

pub(super) fn decode_lists(field: &mut Fields<'_>) -> Result<Vec<ListRef>> {
    let mut lists = Vec::with_capacity(field.remaining() / LIST_REF_BYTES);
    while !field.is_empty() {
        lists.push(ListRef { id: ChunkId::new(field.array()?), bytes: field.u64()? });
    }
    Ok(lists)
}

fn kind_number(kind: EntryKind) -> u8 {
    match kind {
        EntryKind::File => 0,
        EntryKind::Directory => 1,
        EntryKind::Symlink => 2,
        EntryKind::Other => 3,
    }
}

fn decode_kind(number: u8) -> Result<EntryKind> {
    match number {
        0 => Ok(EntryKind::File),
        1 => Ok(EntryKind::Directory),
        2 => Ok(EntryKind::Symlink),
        3 => Ok(EntryKind::Other),
        other => Err(Error::Unknown { what: "entry kind", found: u32::from(other) }),
    }
}

fn decode_status(field: &mut Fields<'_>) -> Result<EntryStatus> {
    match field.u8()? {
        1 => Ok(EntryStatus::Changed),
        2 => Ok(EntryStatus::Vanished),
        3 => Ok(EntryStatus::Unreadable(rest_text(field)?)),
        4 => Ok(EntryStatus::Referenced(rest_text(field)?)),
        5 => Ok(EntryStatus::Undescribed(rest_text(field)?)),
        6 => Ok(EntryStatus::Doubtful(rest_text(field)?)),
        other => Err(Error::Unknown { what: "entry status", found: u32::from(other) }),
    }
}

fn decode_version(field: &mut Fields<'_>) -> Result<Version> {
    let flags = field.u8()?;
    if flags > 3 {
        return Err(Error::Unknown { what: "version flags", found: u32::from(flags) });
    }
    Ok(Version { latest: flags & 1 != 0, deleted: flags & 2 != 0, id: rest_text(field)? })
}

fn put_value(out: &mut Vec<u8>, value: &AttributeValue) {
    match value {
        AttributeValue::Text(text) => {
            out.push(0);
            put_sized(out, text.as_bytes());
        }
        AttributeValue::Integer(number) => {
            out.push(1);
            put_varint(out, zigzag(*number));
        }
        AttributeValue::Time(time) => {
            out.push(2);
            put_time(out, *time);
        }
        AttributeValue::Blob(bytes) => {
            out.push(3);
            put_sized(out, bytes);
        }
    }
}

fn decode_value(field: &mut Fields<'_>) -> Result<AttributeValue> {
    match field.u8()? {
        0 => field.text().map(AttributeValue::Text),
        1 => field.varint().map(unzigzag).map(AttributeValue::Integer),
        2 => decode_time(field).map(AttributeValue::Time),
        3 => field.sized().map(|bytes| AttributeValue::Blob(bytes.to_vec())),
        other => Err(Error::Unknown { what: "attribute type", found: u32::from(other) }),
    }
}

fn put_time(out: &mut Vec<u8>, time: Timestamp) {
    put_varint(out, zigzag(time.seconds));
    put_varint(out, u64::from(time.nanoseconds));
}

fn decode_time(field: &mut Fields<'_>) -> Result<Timestamp> {
    let seconds = unzigzag(field.varint()?);
    let nanoseconds = u32::try_from(field.varint()?).map_err(|_| field.malformed("nanoseconds are out of range"))?;
    Ok(Timestamp { seconds, nanoseconds })
}

/// Signed integers as unsigned ones in which small amounts stay small: 0, -1, 1, -2 …
fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63).cast_unsigned()
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

fn rest_text(field: &mut Fields<'_>) -> Result<String> {
    let bytes = field.rest();
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| field.malformed("a text is not UTF-8"))
}

/// What no chunk and no list can be, if a content names such a one.
pub(super) fn impossible_item(items: &Content) -> Option<String> {
    match items {
        Content::None | Content::Inline(_) => None,
        Content::Chunks(refs) => refs
            .iter()
            .find(|chunk| chunk.length == 0 || chunk.length > BLOB_BYTES_MAX)
            .map(|chunk| format!("it names a chunk of {} bytes", chunk.length)),
        Content::Lists { height: 0, .. } => Some("its lists have no height".to_owned()),
        Content::Lists { lists, .. } => {
            let below = lists.iter().try_fold(0_u64, |sum, list| sum.checked_add(list.bytes));
            if below.is_none() || lists.iter().any(|list| list.bytes == 0) {
                return Some("it names lists of no or of impossibly many bytes".to_owned());
            }
            None
        }
    }
}
