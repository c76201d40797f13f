//! Names of objects in a store.
//!
//! Owned here: the kinds of sealed objects, their numbers in headers and their keys: `data/xx/<id>`, `meta/xx/<id>`, `index/<id>`,
//! `usage/<snapshot id>`, `intent/<id>`, `snapshot/<id>`, `condemned/<id>`, `note/<id>`, `connector/<id>`, and beside them `key/<id>`, `removed/<id>` and `config`, which are text
//! documents and have a second copy each under `copy/` and their name, and `parity/<pack id>`. Ids are 32 hexadecimal digits, `xx` their first two.

use std::fmt;

use credenza_model::{ObjectId, StoreKey};

use crate::{Error, Result};

/// What a sealed object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ObjectKind {
    /// Chunks of content.
    DataPack = 1,
    /// Tree nodes and chunk lists.
    MetaPack = 2,
    /// Where blobs are.
    Index = 3,
    /// Which blobs a snapshot needs; its id is the snapshot's.
    Usage = 4,
    /// Which packs a running backup relies on.
    Intent = 5,
    /// A snapshot.
    Snapshot = 6,
    /// Which packs will be deleted.
    Condemned = 7,
    /// What somebody found out and leaves for others.
    Note = 8,
    /// A connector, kept beside what it read.
    Connector = 9,
}

impl ObjectKind {
    /// Every kind, in the order of its number.
    pub const ALL: [Self; 9] = [
        Self::DataPack,
        Self::MetaPack,
        Self::Index,
        Self::Usage,
        Self::Intent,
        Self::Snapshot,
        Self::Condemned,
        Self::Note,
        Self::Connector,
    ];

    /// The first segment of the kind's keys, without `/`.
    #[must_use]
    pub const fn folder(self) -> &'static str {
        match self {
            Self::DataPack => "data",
            Self::MetaPack => "meta",
            Self::Index => "index",
            Self::Usage => "usage",
            Self::Intent => "intent",
            Self::Snapshot => "snapshot",
            Self::Condemned => "condemned",
            Self::Note => "note",
            Self::Connector => "connector",
        }
    }

    /// The word for a person.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DataPack => "data pack",
            Self::MetaPack => "metadata pack",
            Self::Index => "index segment",
            Self::Usage => "usage list",
            Self::Intent => "intent",
            Self::Snapshot => "snapshot",
            Self::Condemned => "record of condemned packs",
            Self::Note => "note",
            Self::Connector => "escrowed connector",
        }
    }

    /// Where an object of this kind is kept.
    #[must_use]
    pub fn store_key(self, id: ObjectId) -> StoreKey {
        let digits = id.to_string();
        match self {
            Self::DataPack | Self::MetaPack => {
                formed(format!("{}/{}/{digits}", self.folder(), digits.get(..2).unwrap_or_default()))
            }
            _ => formed(format!("{}/{digits}", self.folder())),
        }
    }

    /// Which object a key names: the inverse of [`store_key`](Self::store_key); `None` for foreign names.
    #[must_use]
    pub fn parse(key: &StoreKey) -> Option<(Self, ObjectId)> {
        let (folder, _) = key.as_str().split_once('/')?;
        let (_, digits) = key.as_str().rsplit_once('/')?;
        let kind = Self::ALL.into_iter().find(|kind| kind.folder() == folder)?;
        let id = digits.parse().ok()?;
        (kind.store_key(id) == *key).then_some((kind, id))
    }

    /// Whether writers that may add and not read seal it to the repository's public key, and cannot open it again.
    #[must_use]
    pub const fn is_hidden_from_writers(self) -> bool {
        matches!(self, Self::DataPack | Self::MetaPack | Self::Usage | Self::Snapshot | Self::Note | Self::Connector)
    }

    pub(crate) fn decode(number: u8) -> Result<Self> {
        let known = Self::ALL.into_iter().find(|kind| *kind as u8 == number);
        known.ok_or(Error::Unknown { what: "object kind", found: u32::from(number) })
    }
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where the config is kept.
#[must_use]
pub fn config_key() -> StoreKey {
    formed("config".to_owned())
}

/// Where a key slot is kept.
#[must_use]
pub fn slot_key(id: ObjectId) -> StoreKey {
    formed(format!("key/{id}"))
}

/// Where a record of removal is kept.
#[must_use]
pub fn removal_key(id: ObjectId) -> StoreKey {
    formed(format!("removed/{id}"))
}

/// Where parity is kept.
const PARITY: &str = "parity/";

/// Where the parity of a pack is kept.
#[must_use]
pub fn parity_key(pack: ObjectId) -> StoreKey {
    formed(format!("{PARITY}{pack}"))
}

/// The pack that a name is the parity of; `None` for every other name.
#[must_use]
pub fn parity_pack(key: &StoreKey) -> Option<ObjectId> {
    key.as_str().strip_prefix(PARITY)?.parse().ok()
}

/// Where second copies of text documents are kept.
const COPIES: &str = "copy/";

/// Where the second copy of a text document is kept.
#[must_use]
pub fn copy_key(original: &StoreKey) -> StoreKey {
    formed(format!("{COPIES}{original}"))
}

/// The name of the text document that a name is the second copy of; `None` for every other name.
#[must_use]
pub fn original_key(copy: &StoreKey) -> Option<StoreKey> {
    copy.as_str().strip_prefix(COPIES).and_then(|name| StoreKey::new(name).ok())
}

/// Whether objects of a repository are called so. What is called otherwise lies in the store for other reasons (a console's mark of a folder,
/// notes, what a file manager leaves) and is nobody's business.
#[must_use]
pub fn is_object_name(key: &StoreKey) -> bool {
    let document = original_key(key).unwrap_or_else(|| key.clone());
    document == config_key()
        || document_id(&document).is_some()
        || parity_pack(key).is_some()
        || ObjectKind::parse(key).is_some()
}

/// The first segments of the names of all objects but the config: the folders that a repository has.
pub fn top_names() -> impl Iterator<Item = &'static str> {
    let texts = ["key", "removed", "probe", "copy", "parity"];
    ObjectKind::ALL.into_iter().map(ObjectKind::folder).chain(texts)
}

/// The id in `key/<id>`, `removed/<id>` and `probe/<id>`, the last of which `create` tries a store with.
#[must_use]
pub fn document_id(key: &StoreKey) -> Option<ObjectId> {
    let (folder, digits) = key.as_str().split_once('/')?;
    let id = digits.parse().ok()?;
    matches!(folder, "key" | "removed" | "probe").then_some(id)
}

#[expect(clippy::expect_used, reason = "fixed words and hexadecimal digits keep to the alphabet of store keys")]
fn formed(name: String) -> StoreKey {
    StoreKey::new(name).expect("a name of the format")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_by_its_name_and_number() {
        let id = ObjectId::new([0xa7; 16]);
        for kind in ObjectKind::ALL {
            assert_eq!(ObjectKind::parse(&kind.store_key(id)), Some((kind, id)));
            assert_eq!(ObjectKind::decode(kind as u8), Ok(kind));
        }
        assert!(ObjectKind::decode(0).is_err() && ObjectKind::decode(10).is_err());
    }

    #[test]
    fn a_copy_is_named_after_its_original() {
        let slot = slot_key(ObjectId::new([0xa7; 16]));
        assert_eq!(copy_key(&config_key()).as_str(), "copy/config");
        assert_eq!(original_key(&copy_key(&slot)), Some(slot.clone()));
        assert_eq!(original_key(&slot), None);
    }

    #[test]
    fn every_name_of_an_object_is_one_and_no_other() {
        let id = ObjectId::new([0xa7; 16]);
        let kinds = ObjectKind::ALL.map(|kind| kind.store_key(id));
        let texts = [config_key(), slot_key(id), removal_key(id)];
        assert!(is_object_name(&parity_key(id)) && parity_pack(&parity_key(id)) == Some(id));
        let copies = texts.clone().map(|key| copy_key(&key));
        for key in kinds.into_iter().chain(texts).chain(copies).chain([parity_key(id)]) {
            assert!(is_object_name(&key), "{key}");
            let top = key.as_str().split_once('/').map(|(top, _)| top);
            assert!(top.is_none_or(|top| top_names().any(|name| name == top)), "{key}");
        }
        for name in
            ["snapshot", "snapshot/x", "key/x", "config/x", "notes.txt", "locks/a7", "copy/x", "copy/key/x", "parity/x"]
        {
            assert!(!is_object_name(&StoreKey::new(name).unwrap()), "{name}");
        }
    }

    #[test]
    fn foreign_names_are_no_objects() {
        let digits = "a7".repeat(16);
        for name in
            ["config".into(), format!("data/{digits}"), format!("data/00/{digits}"), format!("index/a7/{digits}")]
        {
            assert_eq!(ObjectKind::parse(&StoreKey::new(name).unwrap()), None);
        }
    }
}
