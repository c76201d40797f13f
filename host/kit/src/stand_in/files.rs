//! Files and folders by path. A path is bytes with `/` between names; that of a folder ends in `/`.

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

/// A file.
#[derive(Debug, Clone)]
pub(crate) struct File {
    pub(crate) bytes: Bytes,
    /// Of this content; no other ever has it.
    pub(crate) number: i64,
}

impl File {
    pub(crate) fn etag(&self) -> String {
        format!("\"{:x}\"", self.number)
    }

    pub(crate) fn modified(&self) -> String {
        let time = Timestamp::from_second(FIRST_SECONDS.saturating_add(self.number)).unwrap_or(Timestamp::UNIX_EPOCH);
        time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
    }
}

/// All of a server.
#[derive(Debug, Default)]
pub(crate) struct Files {
    nodes: BTreeMap<Vec<u8>, Node>,
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

    /// Whether the folder that a path lies in is there; the root always is.
    pub(crate) fn has_parent(&self, path: &[u8]) -> bool {
        let name = path.strip_suffix(b"/").unwrap_or(path);
        let end = name.iter().rposition(|byte| *byte == b'/');
        end.and_then(|end| name.get(..=end)).is_none_or(|parent| self.nodes.contains_key(parent))
    }

    pub(crate) fn make_folder(&mut self, path: &[u8]) {
        self.nodes.insert(path.to_vec(), Node::Folder);
    }

    /// Puts a file, and answers it.
    pub(crate) fn put(&mut self, path: &[u8], bytes: Bytes) -> File {
        self.writes = self.writes.saturating_add(1);
        let file = File { bytes, number: self.writes };
        self.nodes.insert(path.to_vec(), Node::File(file.clone()));
        file
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
    }
}
