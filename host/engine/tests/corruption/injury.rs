//! What can happen to an object, every way of it.

use std::collections::BTreeSet;

use bytes::Bytes;
use credenza_format::{CHECKSUM_BYTES, HEADER_BYTES, SEGMENT_SEALED_BYTES, STATEMENT_BYTES};
use credenza_model::StoreKey;

use crate::subject::{Objects, Subject};

/// What happens, as the table calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    Flipped,
    Truncated,
    Lengthened,
    Deleted,
    Exchanged,
    Replaced,
    PutBack,
}

impl Way {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Flipped => "a byte flipped",
            Self::Truncated => "cut off",
            Self::Lengthened => "lengthened",
            Self::Deleted => "deleted",
            Self::Exchanged => "exchanged with another of its kind",
            Self::Replaced => "replaced by one of another kind",
            Self::PutBack => "an older one put back",
        }
    }
}

/// One injury: objects that have other bytes than they should, or none.
#[derive(Debug, Clone)]
pub(crate) struct Injury {
    pub(crate) way: Way,
    /// The object in whose row of the table it stands.
    pub(crate) object: StoreKey,
    changes: Vec<(StoreKey, Option<Bytes>)>,
    pub(crate) text: String,
}

impl Injury {
    fn new(way: Way, object: &StoreKey, bytes: Option<Bytes>, detail: impl std::fmt::Display) -> Self {
        let text = format!("{object} {}: {detail}", way.name());
        Self { way, object: object.clone(), changes: vec![(object.clone(), bytes)], text }
    }

    /// Objects of a pack and its parity that have other bytes, or are gone.
    pub(crate) fn together(
        object: &StoreKey,
        changes: Vec<(StoreKey, Option<Bytes>)>,
        text: impl Into<String>,
    ) -> Self {
        Self { way: Way::Flipped, object: object.clone(), changes, text: format!("{object}: {}", text.into()) }
    }

    /// Nothing happens to this object.
    pub(crate) fn none(key: &StoreKey) -> Self {
        Self { way: Way::Flipped, object: key.clone(), changes: Vec::new(), text: String::new() }
    }

    fn exchange((one, one_bytes): (&StoreKey, &Bytes), (other, other_bytes): (&StoreKey, &Bytes)) -> Self {
        let mut injury = Self::new(Way::Exchanged, one, Some(other_bytes.clone()), other);
        injury.changes.push((other.clone(), Some(one_bytes.clone())));
        injury
    }

    /// The objects that are not as they were.
    pub(crate) fn injured(&self) -> impl Iterator<Item = &StoreKey> {
        self.changes.iter().map(|(key, _)| key)
    }

    pub(crate) fn inflict(&self, objects: &mut Objects) {
        for (key, bytes) in self.changes.clone() {
            match bytes {
                Some(bytes) => drop(objects.insert(key, bytes)),
                None => drop(objects.remove(&key)),
            }
        }
    }
}

/// Every injury of every object.
pub(crate) fn all(subject: &Subject) -> Vec<Injury> {
    let mut injuries: Vec<Injury> = subject.objects.iter().flat_map(|(key, bytes)| alone(key, bytes)).collect();
    for object in &subject.objects {
        injuries.extend(exchanges(subject, object));
    }
    injuries.extend(subject.former.iter().map(|(key, bytes)| Injury::new(Way::PutBack, key, Some(bytes.clone()), "")));
    injuries
}

/// What an object suffers without another.
fn alone(key: &StoreKey, bytes: &Bytes) -> Vec<Injury> {
    let flips = places(key, bytes.len()).into_iter().map(|place| {
        let mut flipped = bytes.to_vec();
        flipped[place] ^= 1;
        Injury::new(Way::Flipped, key, Some(flipped.into()), format!("byte {place} of {}", bytes.len()))
    });
    let cuts: BTreeSet<usize> = [0, 1, HEADER_BYTES, bytes.len() / 2, bytes.len() - 1].into();
    let cuts = cuts.into_iter().filter(|length| *length < bytes.len());
    let cuts =
        cuts.map(|length| Injury::new(Way::Truncated, key, Some(bytes.slice(..length)), format!("to {length} bytes")));
    let longer = Injury::new(Way::Lengthened, key, Some([bytes, &[0_u8][..]].concat().into()), "by one byte");
    flips.chain(cuts).chain([longer, Injury::new(Way::Deleted, key, None, "")]).collect()
}

/// A byte of every part of the layout.
fn places(key: &StoreKey, length: usize) -> BTreeSet<usize> {
    let text = ["config", "key", "removed"].contains(&kind(key).trim_start_matches("copy/"));
    // Title, the line of JSON, the seal, its checksum, the last line end.
    let in_text = [0, 22, 40, length / 4, length / 2, length - 150, length - 73, length - 60, length - 1];
    // Each field of the header.
    let in_header = [0, 8, 10, 11, 12, 13, 14, 16, 32, 48, 52, 56, 88, 120];
    let segment = SEGMENT_SEALED_BYTES as usize;
    let end = length - CHECKSUM_BYTES;
    // The first segment, its tag, the next, the middle, the last tag (or a snapshot's statement, each field), the checksum.
    let mut in_body =
        vec![HEADER_BYTES, HEADER_BYTES + segment - 1, HEADER_BYTES + segment, length / 2, end - 1, end, length - 1];
    if kind(key) == "snapshot" {
        in_body.extend([1, 0, 2, 8, 24, 32, 64, 96].map(|field| end - STATEMENT_BYTES + field));
        in_body.push(end - STATEMENT_BYTES - 1);
    } else {
        // Table and trailer of a pack, the zeros behind a document.
        in_body.extend([end - 17, end - 32, end - 33, end - 60]);
    }
    let all: Vec<usize> = if text { in_text.to_vec() } else { in_header.into_iter().chain(in_body).collect() };
    all.into_iter().filter(|place| *place < length).collect()
}

/// An object exchanged with each other one of its kind, and replaced by one of each other kind.
fn exchanges<'a>(subject: &'a Subject, object: (&'a StoreKey, &'a Bytes)) -> impl Iterator<Item = Injury> + use<'a> {
    let alike = subject.objects.iter().filter(move |(key, _)| *key > object.0 && kind(key) == kind(object.0));
    let mut kinds = BTreeSet::from([kind(object.0)]);
    let others = subject.objects.iter().filter(move |(key, _)| kinds.insert(kind(key)));
    let others = others.filter(move |(_, bytes)| *bytes != object.1);
    let alike = alike.map(move |other| Injury::exchange(object, other));
    alike.chain(others.map(move |(key, bytes)| Injury::new(Way::Replaced, object.0, Some(bytes.clone()), key)))
}

/// The folder of an object, which is its kind; of a copy, with the folder of its document.
pub(crate) fn kind(key: &StoreKey) -> &str {
    let name = key.as_str();
    let document = name.strip_prefix("copy/").unwrap_or(name);
    let end = name.len() - document.len() + document.find('/').unwrap_or(document.len());
    &name[..end]
}
