//! Attribute mapping: what an entry of a folder becomes in a bucket, and how it comes back.
//!
//! A bucket has no folders, links, modes or times of its own. An entry of a tree becomes an object there, and what it was is kept in
//! attributes that begin with `tree.`, which the destination keeps as it keeps any:
//!
//! | attribute | value |
//! |---|---|
//! | `tree.kind` | `directory`, `symlink` or `other`; none for a file |
//! | `tree.link-target` | where a link points |
//! | `tree.modified` | when the content was changed last |
//! | `tree.path` | its path, where that is not UTF-8 and so the key had to be another: each byte of it that is in the way as `%XX` |
//! | `tree.posix.*`, `tree.xattr.*` | what the file system knew |
//!
//! Restored to a folder, such an object becomes what it was. Whoever may write to the bucket may write these attributes, so that what
//! gives rights beyond its own content is not taken from there: set-uid, set-gid, devices, and extended attributes of the system but ACLs.
//!
//! The way from a bucket to a folder and back needs three attributes more, which the folder keeps: `tree.key`, the key of a file whose
//! name had to be another; `tree.implied`, of a folder that is there only because a key needs it; and `tree.plain`, of what was an object and
//! whose mode, owner and time nobody chose. An empty object whose key ends with `/` is a folder, as everywhere.
//!
//! Owned here: these names. Refused here: writing (`entry_writer`). Called by `restore::run` and `mirror`.

use credenza_connect::ability;
use credenza_connect::file::escape::key_of_path;
use credenza_connect::file::{IMPLIED, KEY};
use credenza_model::{Attribute, AttributeValue, Entry, EntryKind, Key};

const PREFIX: &str = "tree.";
const KIND: &str = "tree.kind";
const LINK_TARGET: &str = "tree.link-target";
const MODIFIED: &str = "tree.modified";
const PATH: &str = "tree.path";
const PLAIN: &str = "tree.plain";
/// What a bucket can keep of a tree as it is named there.
const OF_A_FILE_SYSTEM: [&str; 2] = ["posix.", "xattr."];
/// Bits of a mode that are taken from a bucket: those that say who may read, write and run.
const PLAIN_MODE: i64 = 0o777;

/// How entries are mapped to a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AttributeMapping {
    /// As they are.
    Kept,
    Flat,
    Tree,
}

impl AttributeMapping {
    /// Between the namespaces of a source and a destination.
    pub(crate) fn between(source: &str, destination: &str) -> Self {
        match (source, destination) {
            (ability::TREE, ability::FLAT) => Self::Flat,
            (ability::FLAT, ability::TREE) => Self::Tree,
            _ => Self::Kept,
        }
    }

    /// The entry as the destination is to have it, and the names of the attributes that it loses; none where the destination needs none.
    pub(crate) fn apply(self, entry: Entry) -> Option<(Entry, Vec<String>)> {
        match self {
            Self::Kept => Some((entry, Vec::new())),
            Self::Flat => into_flat(entry),
            Self::Tree => Some(into_tree(entry)),
        }
    }
}

/// The folder that is backed up is the bucket itself, and folders that keys imply are none of their own.
fn into_flat(mut entry: Entry) -> Option<(Entry, Vec<String>)> {
    if entry.key.as_bytes().is_empty() || entry.attribute(IMPLIED).is_some() {
        return None;
    }
    let is_plain = entry.attribute(PLAIN).is_some();
    if is_plain {
        entry.modified = None;
        entry.attributes.retain(|(name, _)| !name.starts_with("posix."));
    }
    let is_told = entry.kind != EntryKind::File && !is_plain;
    let kind = is_told.then(|| AttributeValue::Text(entry.kind.name().to_owned()));
    let spelled = spell(entry.key.as_bytes());
    let reported = [
        (KIND, kind),
        (LINK_TARGET, entry.link_target.take().map(AttributeValue::Blob)),
        (MODIFIED, entry.modified.map(AttributeValue::Time)),
        (PATH, spelled.is_some().then(|| AttributeValue::Blob(entry.key.as_bytes().to_vec()))),
    ];
    let lost = spelled.iter().map(|key| format!("name (restored as {key})")).collect();
    entry.key = spelled.map_or(entry.key, |key| Key::from(key.as_str()));
    let mut attributes: Vec<Attribute> = Vec::with_capacity(entry.attributes.len() + reported.len());
    for (name, value) in entry.attributes {
        match value {
            AttributeValue::Blob(key) if name == KEY => {
                // One that was moved since is where it is.
                entry.key =
                    if key_of_path(entry.key.as_bytes()).as_ref() == Some(&key) { Key::new(key) } else { entry.key };
            }
            value if OF_A_FILE_SYSTEM.iter().any(|own| name.starts_with(own)) => {
                attributes.push((PREFIX.to_owned() + &name, value))
            }
            // Whoever gave a file such an attribute may not speak for its file system.
            _ if name.starts_with(PREFIX) => {}
            value => attributes.push((name, value)),
        }
    }
    attributes.extend(reported.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    attributes.sort_by(|(a, _), (b, _)| a.cmp(b));
    Some((Entry { kind: EntryKind::File, attributes, ..entry }, lost))
}

/// The key of a path that is no text, in which the bytes that are in the way are written as `%XX`.
fn spell(path: &[u8]) -> Option<String> {
    if std::str::from_utf8(path).is_ok() {
        return None;
    }
    let chunks = path.utf8_chunks();
    let escape = |bytes: &[u8]| bytes.iter().map(|byte| format!("%{byte:02X}")).collect::<String>();
    Some(chunks.map(|chunk| chunk.valid().to_owned() + &escape(chunk.invalid())).collect())
}

fn into_tree(mut entry: Entry) -> (Entry, Vec<String>) {
    let mut lost = Vec::new();
    let was_of_a_tree = entry.attributes.iter().any(|(name, _)| name.starts_with(PREFIX));
    for (name, value) in std::mem::take(&mut entry.attributes) {
        match (name.strip_prefix(PREFIX), value) {
            (None, value) => entry.attributes.push((name, value)),
            // Only a file can keep what was written to it since.
            (Some("kind"), AttributeValue::Text(_)) if entry.size.is_some_and(|bytes| bytes > 0) => {
                lost.push("kind".to_owned());
            }
            (Some("kind"), AttributeValue::Text(kind)) => entry.kind = kind_of(&kind),
            (Some("path"), AttributeValue::Blob(path)) => {
                // One that was moved since is where it is.
                let is_same = spell(&path).is_some_and(|key| key.as_bytes() == entry.key.as_bytes());
                entry.key = if is_same { Key::new(path) } else { entry.key };
            }
            (Some("link-target"), AttributeValue::Blob(target)) => entry.link_target = Some(target),
            (Some("modified"), AttributeValue::Time(time)) => entry.modified = Some(time),
            (Some("posix.mode"), AttributeValue::Integer(mode)) => {
                lost.extend((mode & !PLAIN_MODE != 0).then(|| "posix.mode".to_owned()));
                entry.attributes.push(("posix.mode".to_owned(), AttributeValue::Integer(mode & PLAIN_MODE)));
            }
            (Some("posix.hardlink"), AttributeValue::Text(file)) => {
                // Two objects that were one file may have become two: the same bytes make them one again.
                let bytes = entry.fingerprint.clone().unwrap_or_else(|| entry.key.to_string());
                let file = AttributeValue::Text(format!("{file} of {bytes}"));
                entry.attributes.push(("posix.hardlink".to_owned(), file));
            }
            (Some(own), value) if is_harmless(own) => entry.attributes.push((own.to_owned(), value)),
            (Some(own), _) => lost.push(own.to_owned()),
        }
    }
    if !was_of_a_tree {
        let is_folder = entry.size == Some(0) && entry.key.as_bytes().ends_with(b"/");
        entry.kind = if is_folder { EntryKind::Directory } else { entry.kind };
        entry.attributes.push((PLAIN.to_owned(), AttributeValue::Integer(1)));
    } else if entry.kind != EntryKind::File {
        // The object only stood for it, and what a bucket says of an object means nothing on a folder or a link.
        entry.attributes.retain(|(name, _)| !is_of_an_object(name));
    }
    entry.attributes.sort_by(|(a, _), (b, _)| a.cmp(b));
    (entry, lost)
}

/// Whether a bucket says it of an object by itself, whoever offers the bucket: all but what people have put there, and what a tree says.
fn is_of_an_object(name: &str) -> bool {
    match name.split_once('.') {
        Some(("user" | "posix" | "xattr", _)) | None => false,
        Some((_, of_provider)) => !of_provider.starts_with("tag."),
    }
}

fn kind_of(name: &str) -> EntryKind {
    let kinds = [EntryKind::Directory, EntryKind::Symlink, EntryKind::Other];
    kinds.into_iter().find(|kind| kind.name() == name).unwrap_or(EntryKind::File)
}

fn is_harmless(name: &str) -> bool {
    let is_plain = name.starts_with("posix.") && name != "posix.rdev";
    is_plain || name.starts_with("xattr.user.") || name.starts_with("xattr.system.posix_acl_")
}

#[cfg(test)]
mod tests {
    use credenza_model::Timestamp;
    use proptest::prelude::*;

    use super::*;

    fn entry(key: impl Into<Vec<u8>>, kind: EntryKind, attributes: &[(&str, AttributeValue)]) -> Entry {
        let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let modified = Some(Timestamp { seconds: 5, nanoseconds: 7 });
        Entry { attributes, modified, ..Entry::new(Key::new(key.into()), kind) }
    }

    fn kinds() -> impl Strategy<Value = EntryKind> {
        prop_oneof![Just(EntryKind::File), Just(EntryKind::Directory), Just(EntryKind::Symlink), Just(EntryKind::Other)]
    }

    proptest! {
        #[test]
        fn an_entry_of_a_tree_comes_back_from_a_bucket(
            key in prop::collection::vec(prop_oneof![Just(b'a'), Just(b'%'), any::<u8>()], 1..20), kind in kinds(), mode in 0_i64..0o1000, target in any::<Vec<u8>>(), user in ".{0,9}", seconds in any::<i64>(),
        ) {
            let attributes = [
                ("posix.mode", AttributeValue::Integer(mode)),
                ("posix.user", AttributeValue::Text(user.clone())),
                ("user.colour", AttributeValue::Text(user)),
                ("xattr.user.a", AttributeValue::Blob(target.clone())),
            ];
            let link_target = (kind == EntryKind::Symlink).then_some(target);
            let before = Entry { link_target, modified: Some(Timestamp { seconds, nanoseconds: 0 }), ..entry(key, kind, &attributes) };
            let (there, lost) = into_flat(before.clone()).unwrap();
            prop_assert_eq!((there.kind, &there.link_target), (EntryKind::File, &None));
            prop_assert_eq!(lost.len(), usize::from(before.key != there.key));
            prop_assert!(std::str::from_utf8(there.key.as_bytes()).is_ok());
            prop_assert!(there.attributes.is_sorted_by(|(a, _), (b, _)| a < b));
            // A bucket has times of its own.
            let there = Entry { modified: Some(Timestamp { seconds: 99, nanoseconds: 0 }), ..there };
            prop_assert_eq!(into_tree(there), (before, Vec::new()));
        }
    }

    #[test]
    fn rights_are_not_taken_from_a_bucket() {
        let attributes = [
            ("tree.kind", AttributeValue::Text("other".to_owned())),
            ("tree.posix.kind", AttributeValue::Text("block".to_owned())),
            ("tree.posix.mode", AttributeValue::Integer(0o4755)),
            ("tree.posix.rdev", AttributeValue::Text("8:0".to_owned())),
            ("tree.xattr.security.capability", AttributeValue::Blob(vec![1])),
            ("tree.xattr.user.a", AttributeValue::Blob(vec![2])),
            ("s3.storage-class", AttributeValue::Text("STANDARD".to_owned())),
        ];
        let (back, lost) = into_tree(entry("x", EntryKind::File, &attributes));
        assert_eq!(lost, ["posix.mode", "posix.rdev", "xattr.security.capability"]);
        assert_eq!(back.attribute("posix.mode"), Some(&AttributeValue::Integer(0o755)));
        assert_eq!((back.kind, back.attributes.len()), (EntryKind::Other, 3));
    }

    #[test]
    fn objects_that_were_one_file_become_one_again_only_with_the_same_bytes() {
        let file = |key: &str, etag: &str| {
            let link = ("tree.posix.hardlink", AttributeValue::Text("8.1:5".to_owned()));
            let object = Entry { fingerprint: Some(etag.to_owned()), ..entry(key, EntryKind::File, &[link]) };
            into_tree(object).0.attribute("posix.hardlink").cloned().unwrap()
        };
        assert_eq!(file("a", "1"), file("b", "1"));
        assert_ne!(file("a", "1"), file("b", "2"), "one was overwritten in the bucket");
    }

    #[test]
    fn what_was_written_to_an_object_that_was_a_folder_is_kept() {
        let folder = entry("x/", EntryKind::File, &[("tree.kind", AttributeValue::Text("directory".to_owned()))]);
        let (back, lost) = into_tree(Entry { size: Some(3), ..folder });
        assert_eq!((back.kind, lost), (EntryKind::File, vec!["kind".to_owned()]));
    }

    #[test]
    fn the_names_that_a_folder_had_to_give_become_keys_again_and_what_it_implied_is_left_out() {
        let key = |text: &str| (KEY, AttributeValue::Blob(text.as_bytes().to_vec()));
        let renamed = entry("c/%~/d", EntryKind::File, &[key("c//d")]);
        assert_eq!(into_flat(renamed).unwrap().0.key, "c//d".into());
        let moved = entry("elsewhere", EntryKind::File, &[key("c//d")]);
        let (moved, _) = into_flat(moved).unwrap();
        assert_eq!((moved.key.clone(), moved.attribute(KEY)), ("elsewhere".into(), None));
        let literal = entry("%~x", EntryKind::File, &[]);
        assert_eq!(into_flat(literal).unwrap().0.key, "%~x".into(), "a name that only looks escaped");
        let implied = entry("c/", EntryKind::Directory, &[(IMPLIED, AttributeValue::Integer(1))]);
        assert_eq!(into_flat(implied), None);
        let (file, _) = into_tree(entry("a", EntryKind::File, &[("user.x", AttributeValue::Integer(1))]));
        let mode = ("posix.mode".to_owned(), AttributeValue::Integer(0o600));
        let in_folder = Entry { attributes: [vec![mode], file.attributes].concat(), ..file };
        assert_eq!(into_flat(in_folder).unwrap().0.attributes, [("user.x".to_owned(), AttributeValue::Integer(1))]);
        let mark = Entry { size: Some(0), ..entry("a/", EntryKind::File, &[]) };
        let (folder, _) = into_tree(mark);
        assert_eq!(folder.kind, EntryKind::Directory);
        let (mark, _) = into_flat(folder).unwrap();
        assert_eq!((mark.kind, mark.attributes.len()), (EntryKind::File, 0));
        assert_eq!(into_flat(entry("", EntryKind::Directory, &[])), None);
    }
}
