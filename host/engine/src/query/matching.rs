//! What `find` looks for: names, kinds, sizes and times, and in which part of a tree that can be.
//!
//! Owned here: whether one entry matches. Refused here: reading trees (`find`), and how a person writes a size or a time (`cli`).

use std::borrow::Cow;

use credenza_connect::Patterns;
use credenza_model::{Entry, EntryKind, Key, Timestamp};

use crate::Result;
use crate::walk::may_hold;

/// What an entry must be to be found. What is not set is not asked about.
#[derive(Debug, Clone, Default)]
pub struct FindQuery {
    /// One of these names.
    pub names: Vec<NamePattern>,
    /// One of these kinds.
    pub kinds: Vec<EntryKind>,
    /// At least so many bytes. What has no size is not found then.
    pub size_min: Option<u64>,
    /// At most so many bytes.
    pub size_max: Option<u64>,
    /// Changed then or later. What has no time is not found then.
    pub modified_since: Option<Timestamp>,
    /// Changed then or earlier.
    pub modified_until: Option<Timestamp>,
}

/// How an entry must be named.
#[derive(Debug, Clone)]
pub enum NamePattern {
    /// Exactly that key, with or without a slash at its end.
    Exact(Key),
    /// Bytes that are in its last name; in lower case where `any_case` is set, and then found in any case.
    Part {
        /// The bytes.
        part: Vec<u8>,
        /// Whether upper and lower case are the same.
        any_case: bool,
    },
    /// A pattern in gitignore syntax, matched to each key by itself; in lower case where `any_case` is set.
    Glob {
        /// The pattern.
        pattern: Patterns,
        /// Whether upper and lower case are the same.
        any_case: bool,
        /// What every key that matches begins with, whole segments; empty where any may.
        prefix: Vec<u8>,
    },
}

/// A part of a tree in which something that is looked for can be.
#[derive(Debug, Clone)]
pub(super) enum Reach {
    /// Keys that begin so.
    Under(Vec<u8>),
    /// One key.
    At(Key),
}

impl NamePattern {
    /// Understands a text: with a wildcard (`*`, `?`, `[`) or a slash it is a pattern in gitignore syntax (`*.jpg`, `photos/**/raw`), else a part of a name.
    ///
    /// # Errors
    /// [`Error::Pattern`](crate::Error::Pattern).
    pub fn new(text: &str, any_case: bool) -> Result<Self> {
        let text = if any_case { Cow::Owned(text.to_lowercase()) } else { Cow::Borrowed(text) };
        if !text.contains(['*', '?', '[', '/']) {
            return Ok(Self::Part { part: text.as_bytes().to_vec(), any_case });
        }
        // Keys may be in another case than the pattern, so that they may lie anywhere.
        let prefix = if any_case { Vec::new() } else { literal_prefix(&text) };
        Ok(Self::Glob { pattern: Patterns::new([&*text])?, any_case, prefix })
    }

    fn matches(&self, key: &Key) -> bool {
        let key = key.as_bytes();
        let path = key.strip_suffix(b"/").unwrap_or(key);
        match self {
            Self::Exact(exact) => key == exact.as_bytes() || path == exact.as_bytes(),
            Self::Part { part, any_case } => {
                let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
                contains(&folded(name, *any_case), part)
            }
            Self::Glob { pattern, any_case, .. } => pattern.name(&folded(key, *any_case)),
        }
    }

    fn reaches(&self) -> Vec<Reach> {
        match self {
            Self::Exact(key) => {
                vec![Reach::At(key.clone()), Reach::At(Key::new([key.as_bytes(), b"/"].concat()))]
            }
            Self::Part { .. } => vec![Reach::Under(Vec::new())],
            Self::Glob { prefix, .. } => vec![Reach::Under(prefix.clone())],
        }
    }
}

impl FindQuery {
    pub(super) fn matches(&self, entry: &Entry) -> bool {
        let within = |value: Option<u64>| {
            let Some(value) = value else { return self.size_min.is_none() && self.size_max.is_none() };
            self.size_min.is_none_or(|min| value >= min) && self.size_max.is_none_or(|max| value <= max)
        };
        let then = |time: Option<Timestamp>| {
            let Some(time) = time else { return self.modified_since.is_none() && self.modified_until.is_none() };
            self.modified_since.is_none_or(|since| time >= since)
                && self.modified_until.is_none_or(|until| time <= until)
        };
        (self.kinds.is_empty() || self.kinds.contains(&entry.kind))
            && within(entry.size)
            && then(entry.modified)
            && (self.names.is_empty() || self.names.iter().any(|name| name.matches(&entry.key)))
    }

    /// Where in a tree it can be.
    pub(super) fn reaches(&self) -> Vec<Reach> {
        match self.names.is_empty() {
            true => vec![Reach::Under(Vec::new())],
            false => self.names.iter().flat_map(NamePattern::reaches).collect(),
        }
    }
}

impl Reach {
    /// Whether it can be among the keys behind one, up to another.
    pub(super) fn may_be_in(&self, behind: Option<&Key>, last: &Key) -> bool {
        match self {
            Self::Under(prefix) => may_hold(prefix, behind, last),
            // Versions of one key may lie on both sides of a border.
            Self::At(key) => last >= key && behind.is_none_or(|behind| behind <= key),
        }
    }
}

/// A name in lower case, where case means nothing.
fn folded(name: &[u8], any_case: bool) -> Cow<'_, [u8]> {
    if !any_case {
        return Cow::Borrowed(name);
    }
    Cow::Owned(match std::str::from_utf8(name) {
        Ok(text) => text.to_lowercase().into_bytes(),
        Err(_) => name.to_ascii_lowercase(),
    })
}

fn contains(name: &[u8], part: &[u8]) -> bool {
    part.is_empty() || name.windows(part.len()).any(|window| window == part)
}

/// The folders that a pattern names before its first wildcard. Only one with a slash before its end means a place.
fn literal_prefix(text: &str) -> Vec<u8> {
    if !text.trim_end_matches('/').contains('/') {
        return Vec::new();
    }
    let text = text.strip_prefix('/').unwrap_or(text);
    let literal =
        text.find(['*', '?', '[', '\\', '!', '#', ' ']).map_or(text, |end| text.get(..end).unwrap_or_default());
    literal.rfind('/').and_then(|end| literal.get(..end)).unwrap_or_default().as_bytes().to_vec()
}
