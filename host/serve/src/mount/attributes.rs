//! What `stat` and the extended attributes of a mounted file say, from its entry.
//!
//! Owned here: what an entry's attributes mean to the kernel. Called by `filesystem`.

use std::collections::HashSet;
use std::time::{SystemTime, UNIX_EPOCH};

use credenza_model::{AttributeValue, Content, Entry, EntryKind, Record};
use fuser::{FileAttr, FileType, INodeNo};

use crate::entry::{size_of, system_time};

/// Rights of a folder of which nothing is said.
const FOLDER_MODE: u16 = 0o555;
/// Rights of a file of which nothing is said.
const FILE_MODE: u16 = 0o444;
/// Bytes of one of the blocks that `st_blocks` counts.
const BLOCK_BYTES: u64 = 512;
/// Before the names of attributes that are none of a file system's, such as the content type of an object.
const OTHERS: &str = "user.credenza.";

/// Who owns what nothing is said of: who mounts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owner {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// What `stat` says of an entry.
pub(super) fn of_record(ino: INodeNo, record: &Record, owner: Owner) -> FileAttr {
    let entry = &record.entry;
    let kind = kind_of(entry);
    let usual = if kind == FileType::Directory { FOLDER_MODE } else { FILE_MODE };
    let number = |name| match entry.attribute(name) {
        Some(AttributeValue::Integer(number)) => u32::try_from(*number).ok(),
        _ => None,
    };
    let size = size_of(record);
    let attributes = of_nothing(ino, kind, entry.modified.map_or(UNIX_EPOCH, system_time), owner);
    FileAttr {
        size,
        blocks: allocated(record, size).div_ceil(BLOCK_BYTES),
        perm: number("posix.mode").map_or(usual, |mode| u16::try_from(mode & 0o7777).unwrap_or(usual)),
        // Where nobody told how many names there are, there are others all the same.
        nlink: number("posix.links").unwrap_or(if hard_link(entry).is_some() { 2 } else { 1 }),
        uid: number("posix.uid").unwrap_or(owner.uid),
        gid: number("posix.gid").unwrap_or(owner.gid),
        rdev: device(entry).unwrap_or(0),
        ..attributes
    }
}

/// What `stat` says of a folder or link without an entry.
pub(super) fn of_nothing(ino: INodeNo, kind: FileType, time: SystemTime, owner: Owner) -> FileAttr {
    FileAttr {
        ino,
        size: 0,
        blocks: 0,
        atime: time,
        mtime: time,
        ctime: time,
        crtime: time,
        kind,
        perm: FOLDER_MODE,
        nlink: 1,
        uid: owner.uid,
        gid: owner.gid,
        rdev: 0,
        blksize: 128 * 1024,
        flags: 0,
    }
}

/// The kind of file.
pub(super) fn kind_of(entry: &Entry) -> FileType {
    let special = match entry.attribute("posix.kind") {
        Some(AttributeValue::Text(kind)) => kind.as_str(),
        _ => "",
    };
    match (entry.kind, special) {
        (EntryKind::Directory, _) => FileType::Directory,
        (EntryKind::Symlink, _) => FileType::Symlink,
        (EntryKind::Other, "fifo") => FileType::NamedPipe,
        (EntryKind::Other, "char") => FileType::CharDevice,
        (EntryKind::Other, "block") => FileType::BlockDevice,
        (EntryKind::Other, _) => FileType::Socket,
        (EntryKind::File, _) => FileType::RegularFile,
    }
}

/// What names of one file have in common.
pub(super) fn hard_link(entry: &Entry) -> Option<&str> {
    match entry.attribute("posix.hardlink") {
        Some(AttributeValue::Text(file)) => Some(file),
        _ => None,
    }
}

/// Bytes that a file takes: what a sparse one took where it was. Of one that an older version backed up nobody has told that: what repeats within it, as
/// zeros do, is counted once.
fn allocated(record: &Record, size: u64) -> u64 {
    let told = match record.entry.attribute("posix.sparse") {
        None => return size,
        Some(AttributeValue::Integer(bytes)) => u64::try_from(*bytes).ok(),
        Some(_) => None,
    };
    if let Some(bytes) = told.filter(|bytes| bytes.is_multiple_of(BLOCK_BYTES)) {
        // Some file systems tell of no blocks where there are bytes, and `tar` takes a file without any for one hole.
        return bytes.clamp(BLOCK_BYTES, size.max(BLOCK_BYTES));
    }
    let mut seen = HashSet::new();
    let distinct = match &record.content {
        Content::Chunks(refs) => {
            refs.iter().filter(|chunk| seen.insert(chunk.id)).map(|chunk| u64::from(chunk.length)).sum()
        }
        Content::Lists { lists, .. } => {
            lists.iter().filter(|list| seen.insert(list.id)).map(|list| list.bytes).fold(0, u64::saturating_add)
        }
        Content::None | Content::Inline(_) => 0,
    };
    distinct.min(size.saturating_sub(BLOCK_BYTES))
}

/// The number of a device as the kernel packs it (`new_encode_dev`): 12 bits of the major number, 20 of the minor.
fn device(entry: &Entry) -> Option<u32> {
    let Some(AttributeValue::Text(text)) = entry.attribute("posix.rdev") else { return None };
    let (major, minor) = text.split_once(':')?;
    let (major, minor): (u32, u32) = (major.parse().ok()?, minor.parse().ok()?);
    Some((minor & 0xff) | ((major & 0xfff) << 8) | ((minor & 0xfff00) << 12))
}

/// The extended attributes of an entry: a file's own by their names, and what is none of a file system's behind `user.credenza.`.
pub(super) fn extended(entry: &Entry) -> impl Iterator<Item = (String, Vec<u8>)> + '_ {
    entry.attributes.iter().filter_map(|(name, value)| {
        let shown = match name.strip_prefix("xattr.") {
            Some(own) => own.to_owned(),
            None if name.starts_with("posix.") => return None,
            None => format!("{OTHERS}{name}"),
        };
        let value = match value {
            AttributeValue::Text(text) => text.clone().into_bytes(),
            AttributeValue::Integer(number) => number.to_string().into_bytes(),
            AttributeValue::Time(time) => time.to_string().into_bytes(),
            AttributeValue::Blob(bytes) => bytes.clone(),
        };
        Some((shown, value))
    })
}

#[cfg(test)]
mod tests {
    use credenza_model::{ChunkId, ChunkRef, EntryStatus, Key};

    use super::*;

    #[test]
    fn a_sparse_file_takes_what_it_took_where_it_was_and_what_is_known_of_it_at_least() {
        const CHUNK: u32 = 65_536;
        let zeros = ChunkRef { id: ChunkId::new([0; 32]), length: CHUNK };
        let data = ChunkRef { id: ChunkId::new([1; 32]), length: CHUNK };
        let blocks = |sparse: Option<i64>| {
            let mut entry = Entry::new(Key::from("image"), EntryKind::File);
            let attribute = sparse.map(|bytes| ("posix.sparse".to_owned(), AttributeValue::Integer(bytes)));
            entry.attributes.extend(attribute);
            let content = Content::Chunks(vec![zeros, zeros, data, zeros]);
            let record = Record { entry, content, status: EntryStatus::Stable };
            of_record(INodeNo(2), &record, Owner { uid: 0, gid: 0 }).blocks
        };
        assert_eq!(blocks(None), 4 * 128);
        assert_eq!(blocks(Some(0)), 1, "it may have bytes all the same");
        assert_eq!(blocks(Some(73_728)), 144);
        assert_eq!(blocks(Some(1)), 2 * 128, "nobody told how much");
        assert_eq!(blocks(Some(i64::MAX - 511)), 4 * 128, "never more than its size");
    }
}
