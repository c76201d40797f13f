//! What an entry of a snapshot becomes in an archive.

use std::collections::HashMap;

use credenza_model::{AttributeValue, Entry, EntryKind, Record};

use super::ArchiveFormat;
use super::names::Names;

/// Groups of hard links that are known; names of further ones become files of their own.
pub(super) const LINKS_MAX: usize = 100_000;

/// Longest path of a member of a zip; keys of 64 KiB are longer when they are escaped.
const ZIP_PATH_BYTES_MAX: usize = u16::MAX as usize;

/// A member of an archive.
pub(super) struct Member<'a> {
    pub(super) entry: &'a Entry,
    /// Where it is: a relative path without `.` and `..`; of a folder with a slash at its end.
    pub(super) path: Vec<u8>,
    pub(super) is_renamed: bool,
    pub(super) kind: MemberKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum MemberKind {
    /// With so many bytes, which follow.
    File(u64),
    Folder,
    /// To these bytes.
    Symlink(Vec<u8>),
    /// Another name of the member of that path.
    HardLink(Vec<u8>),
    Fifo,
    /// By major and minor number.
    Device {
        is_block: bool,
        number: (u32, u32),
    },
}

/// Makes members of entries that come in the order of their keys.
pub(super) struct Members {
    format: ArchiveFormat,
    names: Names,
    /// The member that carries the content of a group of hard links, by the number of its snapshot: each has groups of its own.
    links: HashMap<(usize, String), Vec<u8>>,
}

impl Members {
    pub(super) fn new(format: ArchiveFormat) -> Self {
        Self { format, names: Names::new(format == ArchiveFormat::Zip), links: HashMap::new() }
    }

    /// The member for a record of the snapshot of that number; else what it is that the format cannot hold.
    pub(super) fn of<'a>(&mut self, record: &'a Record, from: usize) -> Result<Member<'a>, &'static str> {
        let entry = &record.entry;
        // As everywhere, an empty object whose key ends with a slash is a folder.
        let is_mark = entry.kind == EntryKind::File && entry.size == Some(0) && entry.key.as_bytes().ends_with(b"/");
        let is_folder = is_mark || entry.kind == EntryKind::Directory;
        let (path, is_renamed) = self.names.path_of(&entry.key, is_folder);
        if self.format == ArchiveFormat::Zip && path.len() > ZIP_PATH_BYTES_MAX {
            return Err("names of more than 65,535 bytes");
        }
        let kind = match entry.kind {
            _ if is_folder => MemberKind::Folder,
            EntryKind::Directory => MemberKind::Folder,
            EntryKind::Symlink => MemberKind::Symlink(entry.link_target.clone().unwrap_or_default()),
            EntryKind::File => self.file(record, from, &path),
            EntryKind::Other => self.special(entry)?,
        };
        Ok(Member { entry, path, is_renamed, kind })
    }

    fn file(&mut self, record: &Record, from: usize, path: &[u8]) -> MemberKind {
        let file = MemberKind::File(record.content.bytes());
        let Some(AttributeValue::Text(group)) = record.entry.attribute("posix.hardlink") else { return file };
        if self.format == ArchiveFormat::Zip {
            return file;
        }
        let group = (from, group.clone());
        match self.links.get(&group) {
            Some(first) => MemberKind::HardLink(first.clone()),
            None => {
                if self.links.len() < LINKS_MAX {
                    self.links.insert(group, path.to_vec());
                }
                file
            }
        }
    }

    fn special(&self, entry: &Entry) -> Result<MemberKind, &'static str> {
        let kind = match entry.attribute("posix.kind") {
            Some(AttributeValue::Text(kind)) => kind.as_str(),
            _ => "",
        };
        match (self.format, kind) {
            (ArchiveFormat::Tar, "fifo") => Ok(MemberKind::Fifo),
            (ArchiveFormat::Tar, "char" | "block") => {
                let number = device_number(entry).ok_or("devices without a number")?;
                Ok(MemberKind::Device { is_block: kind == "block", number })
            }
            _ => Err("sockets, pipes and devices"),
        }
    }
}

impl Member<'_> {
    pub(super) fn has_content(&self) -> bool {
        matches!(self.kind, MemberKind::File(_))
    }

    /// Permission bits, with what is usual where none are known.
    pub(super) fn mode(&self) -> u32 {
        let usual = if self.kind == MemberKind::Folder { 0o755 } else { 0o644 };
        self.number("posix.mode").map_or(usual, |mode| mode & 0o7777)
    }

    /// Owner and group, where they are known.
    pub(super) fn owner(&self) -> Option<(u32, u32)> {
        Some((self.number("posix.uid")?, self.number("posix.gid")?))
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match self.entry.attribute(name) {
            Some(AttributeValue::Text(text)) => Some(text),
            _ => None,
        }
    }

    fn number(&self, name: &str) -> Option<u32> {
        match self.entry.attribute(name) {
            Some(AttributeValue::Integer(number)) => u32::try_from(*number).ok(),
            _ => None,
        }
    }
}

fn device_number(entry: &Entry) -> Option<(u32, u32)> {
    let Some(AttributeValue::Text(number)) = entry.attribute("posix.rdev") else { return None };
    let (major, minor) = number.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
