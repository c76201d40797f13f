//! One record in a leaf: a prefix-compressed key and tagged fields.
//!
//! Fields: tag u8, varint length, payload, in ascending order of tags. A reader refuses tags it does not know, unless bit
//! 7 marks them as safe to skip. Attributes and checksums repeat their tag.

use credenza_model::limits::{INLINE_BYTES_MAX, KEY_BYTES_MAX, LIST_REFS_MAX};
use credenza_model::{
    AttributeValue, Checksum, Content, Entry, EntryKind, EntryStatus, Key, Record, Timestamp, Version,
};

use super::list::{decode_refs, encode_refs};
use crate::wire::{Fields, put_sized, put_varint};
use crate::{Error, Result};

const KIND: u8 = 1;
const SIZE: u8 = 2;
const MODIFIED: u8 = 3;
const FINGERPRINT: u8 = 4;
const LOCATOR: u8 = 5;
const VERSION: u8 = 6;
const LINK_TARGET: u8 = 7;
const CHECKSUM: u8 = 8;
const ATTRIBUTE: u8 = 9;
const CONTENT_INLINE: u8 = 10;
const CONTENT_CHUNKS: u8 = 11;
const CONTENT_LISTS: u8 = 12;
const STATUS: u8 = 13;
const SKIPPABLE: u8 = 0x80;

/// Appends a record after one with the key `previous`.
pub(crate) fn encode(out: &mut Vec<u8>, previous: &[u8], record: &Record) -> Result<()> {
    let entry = &record.entry;
    let key = entry.key.as_bytes();
    let refuse = |problem: &str| Error::Record { key: entry.key.clone(), problem: problem.to_owned() };
    if key.len() > KEY_BYTES_MAX {
        return Err(refuse("its key is longer than any may be"));
    }
    let shared = previous.iter().zip(key).take_while(|(a, b)| a == b).count();
    put_varint(out, shared as u64);
    put_sized(out, key.get(shared..).unwrap_or_default());
    let mut fields = Vec::with_capacity(128);
    encode_entry(&mut fields, entry);
    match &record.content {
        Content::None => {}
        Content::Inline(bytes) if bytes.len() <= INLINE_BYTES_MAX => put_field(&mut fields, CONTENT_INLINE, bytes),
        Content::Inline(_) => return Err(refuse("its inline content is too long")),
        Content::Chunks(refs) if refs.len() <= LIST_REFS_MAX => {
            put_field(&mut fields, CONTENT_CHUNKS, &encode_refs(refs))
        }
        Content::Lists { height, lists } if lists.len() <= LIST_REFS_MAX && *height > 0 => {
            let mut payload = vec![*height];
            payload.extend(encode_refs(lists));
            put_field(&mut fields, CONTENT_LISTS, &payload);
        }
        Content::Chunks(_) | Content::Lists { .. } => return Err(refuse("its list of chunks is too long")),
    }
    encode_status(&mut fields, &record.status);
    put_sized(out, &fields);
    Ok(())
}

fn put_field(out: &mut Vec<u8>, tag: u8, payload: &[u8]) {
    out.push(tag);
    put_sized(out, payload);
}

fn encode_entry(out: &mut Vec<u8>, entry: &Entry) {
    put_field(out, KIND, &[entry.kind as u8]);
    if let Some(size) = entry.size {
        put_field(out, SIZE, &size.to_le_bytes());
    }
    if let Some(modified) = entry.modified {
        put_field(out, MODIFIED, &encode_time(modified));
    }
    if let Some(fingerprint) = &entry.fingerprint {
        put_field(out, FINGERPRINT, fingerprint.as_bytes());
    }
    if let Some(locator) = &entry.locator {
        put_field(out, LOCATOR, locator);
    }
    if let Some(version) = &entry.version {
        let mut payload = vec![u8::from(version.latest) | u8::from(version.deleted) << 1];
        payload.extend_from_slice(version.id.as_bytes());
        put_field(out, VERSION, &payload);
    }
    if let Some(target) = &entry.link_target {
        put_field(out, LINK_TARGET, target);
    }
    for checksum in &entry.checksums {
        let mut payload = Vec::new();
        put_sized(&mut payload, checksum.algorithm.as_bytes());
        payload.extend_from_slice(&checksum.value);
        put_field(out, CHECKSUM, &payload);
    }
    for (name, value) in &entry.attributes {
        let mut payload = Vec::new();
        put_sized(&mut payload, name.as_bytes());
        encode_value(&mut payload, value);
        put_field(out, ATTRIBUTE, &payload);
    }
}

fn encode_value(out: &mut Vec<u8>, value: &AttributeValue) {
    match value {
        AttributeValue::Text(text) => {
            out.push(0);
            out.extend_from_slice(text.as_bytes());
        }
        AttributeValue::Integer(number) => {
            out.push(1);
            out.extend_from_slice(&number.to_le_bytes());
        }
        AttributeValue::Time(time) => {
            out.push(2);
            out.extend_from_slice(&encode_time(*time));
        }
        AttributeValue::Blob(bytes) => {
            out.push(3);
            out.extend_from_slice(bytes);
        }
    }
}

fn encode_time(time: Timestamp) -> Vec<u8> {
    [&time.seconds.to_le_bytes()[..], &time.nanoseconds.to_le_bytes()[..]].concat()
}

fn encode_status(out: &mut Vec<u8>, status: &EntryStatus) {
    match status {
        EntryStatus::Stable => {}
        EntryStatus::Changed => put_field(out, STATUS, &[1]),
        EntryStatus::Vanished => put_field(out, STATUS, &[2]),
        EntryStatus::Unreadable(reason) => put_field(out, STATUS, &[&[3], reason.as_bytes()].concat()),
    }
}

/// Reads a record after one with the key `previous`.
pub(crate) fn decode(fields: &mut Fields<'_>, previous: &[u8]) -> Result<Record> {
    let shared = usize::try_from(fields.varint()?).unwrap_or(usize::MAX);
    let suffix = fields.sized()?;
    let prefix = previous.get(..shared).ok_or_else(|| fields.malformed("a key shares more than there is"))?;
    if shared + suffix.len() > KEY_BYTES_MAX {
        return Err(fields.malformed("a key is longer than any may be"));
    }
    let key = Key::new([prefix, suffix].concat());
    let mut record =
        Record { entry: Entry::new(key, EntryKind::Other), content: Content::None, status: EntryStatus::Stable };
    let mut tagged = Fields::new("a record", fields.sized()?);
    let mut last_tag = 0;
    while !tagged.is_empty() {
        let tag = tagged.u8()?;
        let payload = tagged.sized()?;
        let repeats = tag == last_tag && matches!(tag, CHECKSUM | ATTRIBUTE);
        if tag < last_tag || (tag == last_tag && !repeats) {
            return Err(tagged.malformed("its fields are not in order"));
        }
        last_tag = tag;
        decode_field(&mut record, tag, payload)?;
    }
    if last_tag == 0 {
        return Err(tagged.malformed("it says nothing"));
    }
    Ok(record)
}

fn decode_field(record: &mut Record, tag: u8, payload: &[u8]) -> Result<()> {
    let mut fields = Fields::new("a field of a record", payload);
    let entry = &mut record.entry;
    match tag {
        KIND => entry.kind = decode_kind(&mut fields)?,
        SIZE => entry.size = Some(fields.u64()?),
        MODIFIED => entry.modified = Some(decode_time(&mut fields)?),
        FINGERPRINT => entry.fingerprint = Some(rest_text(&mut fields)?),
        LOCATOR => entry.locator = Some(fields.rest().to_vec()),
        VERSION => {
            let flags = fields.u8()?;
            if flags > 3 {
                return Err(fields.malformed("unknown flags of a version"));
            }
            entry.version =
                Some(Version { latest: flags & 1 != 0, deleted: flags & 2 != 0, id: rest_text(&mut fields)? });
        }
        LINK_TARGET => entry.link_target = Some(fields.rest().to_vec()),
        CHECKSUM => entry.checksums.push(Checksum { algorithm: fields.text()?, value: fields.rest().to_vec() }),
        ATTRIBUTE => {
            let name = fields.text()?;
            let value = decode_value(&mut fields)?;
            entry.attributes.push((name, value));
        }
        CONTENT_INLINE if payload.len() <= INLINE_BYTES_MAX => {
            set_content(record, Content::Inline(fields.rest().to_vec()))?
        }
        CONTENT_CHUNKS => set_content(record, Content::Chunks(decode_refs(fields.rest())?))?,
        CONTENT_LISTS => {
            let height = fields.u8()?;
            if height == 0 || height > super::LEVEL_MAX {
                return Err(fields.malformed("a tree of lists has an impossible height"));
            }
            set_content(record, Content::Lists { height, lists: decode_refs(fields.rest())? })?;
        }
        STATUS => record.status = decode_status(&mut fields)?,
        other if other & SKIPPABLE != 0 => drop(fields.rest()),
        other => return Err(Error::Unknown { what: "field of a record", found: u32::from(other) }),
    }
    fields.end()
}

fn set_content(record: &mut Record, content: Content) -> Result<()> {
    if record.content != Content::None {
        return Err(Error::Malformed { what: "a record", problem: "it has two contents".to_owned() });
    }
    record.content = content;
    Ok(())
}

fn decode_kind(fields: &mut Fields<'_>) -> Result<EntryKind> {
    let kinds = [EntryKind::File, EntryKind::Directory, EntryKind::Symlink, EntryKind::Other];
    let number = fields.u8()?;
    kinds
        .into_iter()
        .find(|kind| *kind as u8 == number)
        .ok_or(Error::Unknown { what: "kind of entry", found: u32::from(number) })
}

fn decode_time(fields: &mut Fields<'_>) -> Result<Timestamp> {
    let time = Timestamp { seconds: i64::from_le_bytes(fields.array()?), nanoseconds: fields.u32()? };
    if time.nanoseconds < 1_000_000_000 { Ok(time) } else { Err(fields.malformed("a second has too many nanoseconds")) }
}

fn rest_text(fields: &mut Fields<'_>) -> Result<String> {
    String::from_utf8(fields.rest().to_vec()).map_err(|_| fields.malformed("a text is not UTF-8"))
}

fn decode_value(fields: &mut Fields<'_>) -> Result<AttributeValue> {
    match fields.u8()? {
        0 => rest_text(fields).map(AttributeValue::Text),
        1 => Ok(AttributeValue::Integer(i64::from_le_bytes(fields.array()?))),
        2 => decode_time(fields).map(AttributeValue::Time),
        3 => Ok(AttributeValue::Blob(fields.rest().to_vec())),
        other => Err(Error::Unknown { what: "type of an attribute", found: u32::from(other) }),
    }
}

fn decode_status(fields: &mut Fields<'_>) -> Result<EntryStatus> {
    match fields.u8()? {
        1 => Ok(EntryStatus::Changed),
        2 => Ok(EntryStatus::Vanished),
        3 => rest_text(fields).map(EntryStatus::Unreadable),
        other => Err(Error::Unknown { what: "status of an entry", found: u32::from(other) }),
    }
}
