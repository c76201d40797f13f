//! Files and folders by path, and what has become of them. A path is bytes with `/` between names; that of a folder ends in `/`.
//!
//! Every stand-in keeps its state here: those that know folders call [`Files::make_folder`] and [`Files::members`], those of flat names
//! [`Files::below`] alone. Bound: what was written since the server began, each content and each version of it once.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;

/// The time of the first write, in seconds since 1970; each one is a second later, so that no two are of one time.
const FIRST_SECONDS: i64 = 1_704_067_200;

/// What a path holds.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    Folder,
    File(File),
}

/// What travels beside the bytes of a file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Details {
    /// With its quotes; else one is made of the number.
    pub(crate) etag: Option<String>,
    /// Headers that a read gives back.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) tags: Vec<(String, String)>,
    /// Until when it must not be deleted, as it was written.
    pub(crate) locked_until: Option<String>,
    /// Fields, where the protocol describes an object by a document.
    pub(crate) document: serde_json::Map<String, serde_json::Value>,
}

/// A file.
#[derive(Debug, Clone)]
pub(crate) struct File {
    pub(crate) bytes: Bytes,
    /// Of this content; no other ever has it.
    pub(crate) number: i64,
    pub(crate) details: Details,
}

impl File {
    pub(crate) fn etag(&self) -> String {
        self.details.etag.clone().unwrap_or_else(|| format!("\"{:x}\"", self.number))
    }

    /// As HTTP writes it.
    pub(crate) fn modified(&self) -> String {
        http_time(self.number)
    }

    /// As RFC 3339 writes it.
    pub(crate) fn modified_iso(&self) -> String {
        iso_time(self.number)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.details.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// The time of the write of that number, as HTTP writes it.
fn http_time(number: i64) -> String {
    time(number).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// The same as RFC 3339 writes it.
pub(crate) fn iso_time(number: i64) -> String {
    time(number).strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string()
}

fn time(number: i64) -> Timestamp {
    Timestamp::from_second(FIRST_SECONDS.saturating_add(number)).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// What a path held at one time; without a file it was deleted.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    pub(crate) number: i64,
    pub(crate) file: Option<File>,
}

/// Parts of a file that is not there yet.
#[derive(Debug, Clone, Default)]
pub(crate) struct Staged {
    pub(crate) details: Details,
    pub(crate) parts: BTreeMap<String, Bytes>,
}

/// All of a server.
#[derive(Debug, Default)]
pub(crate) struct Files {
    nodes: BTreeMap<Vec<u8>, Node>,
    /// Oldest first.
    history: BTreeMap<Vec<u8>, Vec<Version>>,
    /// By the name that the protocol has for an upload.
    pub(crate) staged: BTreeMap<Vec<u8>, Staged>,
    writes: i64,
}

impl Files {
    /// What lies at a path; that of a folder may lack its `/`.
    pub(crate) fn find(&self, path: &[u8]) -> Option<(Vec<u8>, &Node)> {
        let as_folder = [path, b"/"].concat();
        let keys = [path.to_vec(), as_folder];
        keys.into_iter().find_map(|key| self.nodes.get(&key).map(|node| (key, node)))
    }

    pub(crate) fn file(&self, path: &[u8]) -> Option<&File> {
        match self.nodes.get(path) {
            Some(Node::File(file)) => Some(file),
            _ => None,
        }
    }

    /// Changes what travels beside a file. It stays the same content.
    pub(crate) fn amend(&mut self, path: &[u8], change: impl Fn(&mut Details)) {
        if let Some(Node::File(file)) = self.nodes.get_mut(path) {
            change(&mut file.details);
            let now = self.history.get_mut(path).and_then(|versions| versions.last_mut());
            if let Some(Version { file: Some(file), .. }) = now {
                change(&mut file.details);
            }
        }
    }

    /// Whether the folder that a path lies in is there; the root always is.
    pub(crate) fn has_parent(&self, path: &[u8]) -> bool {
        let name = path.strip_suffix(b"/").unwrap_or(path);
        let end = name.iter().rposition(|byte| *byte == b'/');
        end.and_then(|end| name.get(..=end)).is_none_or(|parent| self.nodes.contains_key(parent))
    }

    /// Makes a folder, unless something is there.
    pub(crate) fn make_folder(&mut self, path: &[u8]) {
        self.nodes.entry(path.to_vec()).or_insert(Node::Folder);
    }

    /// Puts a file, and answers it.
    pub(crate) fn put(&mut self, path: &[u8], bytes: Bytes) -> File {
        self.put_with(path, bytes, Details::default())
    }

    /// Puts a file with what travels beside it, and answers it.
    pub(crate) fn put_with(&mut self, path: &[u8], bytes: Bytes, details: Details) -> File {
        let file = File { bytes, number: self.count(), details };
        self.remember(path, Version { number: file.number, file: Some(file.clone()) });
        self.nodes.insert(path.to_vec(), Node::File(file.clone()));
        file
    }

    /// The clock of the server, as HTTP writes it: the time of the last write.
    pub(crate) fn now(&self) -> String {
        http_time(self.writes)
    }

    /// A number that was not given before.
    pub(crate) fn count(&mut self) -> i64 {
        self.writes = self.writes.saturating_add(1);
        self.writes
    }

    fn remember(&mut self, path: &[u8], version: Version) {
        self.history.entry(path.to_vec()).or_default().push(version);
    }

    /// Gives a file another path, in the place of what is there. It stays the same content.
    pub(crate) fn relocate(&mut self, from: &[u8], to: &[u8]) {
        if let Some(node) = self.nodes.remove(from) {
            self.nodes.insert(to.to_vec(), node);
        }
    }

    /// Removes what lies at a path and below it.
    pub(crate) fn remove(&mut self, path: &[u8]) {
        self.nodes.retain(|key, _| key != path && !(path.ends_with(b"/") && key.starts_with(path)));
    }

    /// Removes a file and nothing else, and remembers that it was there.
    pub(crate) fn hide(&mut self, path: &[u8]) {
        self.nodes.remove(path);
        let number = self.count();
        self.remember(path, Version { number, file: None });
    }

    /// The paths of all files below a folder, without its own.
    pub(crate) fn names_below(&self, folder: &[u8]) -> Vec<Vec<u8>> {
        let files = self.nodes.iter().filter(|(_, node)| matches!(node, Node::File(_)));
        files.filter_map(|(path, _)| path.strip_prefix(folder).map(<[u8]>::to_vec)).collect()
    }

    /// What lies directly in a folder.
    pub(crate) fn members<'a>(&'a self, folder: &'a [u8]) -> impl Iterator<Item = (&'a [u8], &'a Node)> {
        let below = self.nodes.range(folder.to_vec()..).take_while(move |(path, _)| path.starts_with(folder));
        let is_direct = move |path: &[u8]| {
            let name = path.get(folder.len()..).unwrap_or_default();
            let name = name.strip_suffix(b"/").unwrap_or(name);
            !name.is_empty() && !name.contains(&b'/')
        };
        below.map(|(path, node)| (path.as_slice(), node)).filter(move |(path, _)| is_direct(path))
    }

    /// The files whose path begins so, in the order of their paths.
    pub(crate) fn below<'a>(&'a self, prefix: &'a [u8]) -> impl Iterator<Item = (&'a [u8], &'a File)> {
        let below = self.nodes.range(prefix.to_vec()..).take_while(move |(path, _)| path.starts_with(prefix));
        below.filter_map(|(path, node)| match node {
            Node::File(file) => Some((path.as_slice(), file)),
            Node::Folder => None,
        })
    }

    /// All versions of the files whose path begins so, the newest of each first.
    pub(crate) fn versions<'a>(&'a self, prefix: &'a [u8]) -> impl Iterator<Item = (&'a [u8], &'a Version)> {
        let below = self.history.range(prefix.to_vec()..).take_while(move |(path, _)| path.starts_with(prefix));
        below.flat_map(|(path, versions)| versions.iter().rev().map(move |version| (path.as_slice(), version)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_tells_what_lies_directly_in_it() {
        let mut files = Files::default();
        for folder in [&b"a/"[..], b"a/b/"] {
            files.make_folder(folder);
        }
        for path in [&b"a/b/c"[..], b"a/d", b"a!", b"ab"] {
            files.put(path, Bytes::new());
        }
        let members: Vec<&[u8]> = files.members(b"a/").map(|(path, _)| path).collect();
        assert_eq!(members, [&b"a/b/"[..], b"a/d"]);
        assert!(files.has_parent(b"a/b/c") && files.has_parent(b"x") && !files.has_parent(b"x/y"));
        files.remove(b"a/b/");
        assert!(files.file(b"a/b/c").is_none() && files.file(b"a/d").is_some());
    }

    #[test]
    fn each_content_has_its_own_tag_and_time() {
        let mut files = Files::default();
        let (first, second) = (files.put(b"a", Bytes::new()), files.put(b"a", Bytes::new()));
        assert_ne!(first.etag(), second.etag());
        assert_eq!(second.modified(), "Mon, 01 Jan 2024 00:00:02 GMT");
        assert_eq!(second.modified_iso(), "2024-01-01T00:00:02.000Z");
    }

    #[test]
    fn what_is_replaced_or_deleted_is_remembered() {
        let mut files = Files::default();
        files.put(b"a", "1".into());
        files.put(b"a", "2".into());
        files.hide(b"a");
        let versions: Vec<Option<Bytes>> =
            files.versions(b"").map(|(_, version)| version.file.as_ref().map(|file| file.bytes.clone())).collect();
        assert_eq!(versions, [None, Some("2".into()), Some("1".into())]);
        assert_eq!(files.below(b"").count(), 0);
    }
}
