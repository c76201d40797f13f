//! Patterns in gitignore syntax, matched against the bytes of keys.
//!
//! Owned here: which keys a list of patterns means, and which of the patterns have matched any. Refused here: where the patterns come from, files
//! of them too (`app`), and what becomes of what they mean. Called by the walk of a folder, which does not enter what is excluded, and by the engine.

mod class;
mod glob;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use credenza_model::Key;
use regex::bytes::{RegexSet, RegexSetBuilder};

/// The compiled patterns may take so much: some ten thousand of them.
const COMPILED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A pattern that can match nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the pattern `{pattern}` cannot be used: {reason}")]
pub struct InvalidPattern {
    /// The pattern.
    pub pattern: Key,
    /// Why, as the rest of a sentence.
    pub reason: String,
}

/// What a `.gitignore` with these patterns in the root would have git ignore.
///
/// The last pattern that matches an entry decides over it. Nothing below a folder that they mean can be had back with `!`. Cheap to clone;
/// clones note together which patterns have matched.
#[derive(Debug, Clone, Default)]
pub struct Patterns {
    rules: Option<Arc<Rules>>,
    /// Of each rule, whether it has matched.
    hits: Arc<[AtomicBool]>,
}

#[derive(Debug)]
struct Rules {
    rules: Vec<Rule>,
    /// Those for the last segment of a key alone, and for the whole of it.
    of_names: Half,
    of_paths: Half,
}

#[derive(Debug)]
struct Rule {
    text: Key,
    /// What matches is not meant after all.
    is_negated: bool,
    folders_only: bool,
    /// It has a slash before its end, and matches from the root on.
    is_path: bool,
    expression: String,
}

/// Some of the rules, matched all at once.
#[derive(Debug)]
struct Half {
    set: RegexSet,
    /// Which rules, in their order.
    rules: Vec<usize>,
}

impl PartialEq for Patterns {
    fn eq(&self, other: &Self) -> bool {
        self.texts().eq(other.texts())
    }
}

impl Eq for Patterns {}

impl Patterns {
    /// Understands patterns; each is one, so that a `#` or a space at either end belongs to it.
    ///
    /// # Errors
    /// The first pattern that can match nothing, or all when they take too much memory.
    pub fn new<P: AsRef<[u8]>>(patterns: impl IntoIterator<Item = P>) -> Result<Self, InvalidPattern> {
        Self::below(&[], patterns)
    }

    /// The same of a source whose absolute path is any of `roots`, spellings of one: a pattern that begins with it goes on from there, so that
    /// `/home/me/src/target` is `/target` where the source is `/home/me/src`.
    ///
    /// # Errors
    /// As of [`new`](Self::new).
    pub fn below<P: AsRef<[u8]>>(
        roots: &[Vec<u8>],
        patterns: impl IntoIterator<Item = P>,
    ) -> Result<Self, InvalidPattern> {
        let parse = |pattern: P| Rule::parse(pattern.as_ref(), roots);
        let rules = patterns.into_iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        if rules.is_empty() {
            return Ok(Self::default());
        }
        let of_names = Half::new(&rules, |rule| !rule.is_path)?;
        let of_paths = Half::new(&rules, |rule| rule.is_path)?;
        Ok(Self { rules: Some(Arc::new(Rules { rules, of_names, of_paths })), hits: Arc::default() }.fresh())
    }

    /// The same patterns, none of which has matched yet.
    #[must_use]
    pub fn fresh(&self) -> Self {
        let hits = self.texts().map(|_| AtomicBool::new(false)).collect();
        Self { rules: self.rules.clone(), hits }
    }

    /// Whether one pattern can be used.
    ///
    /// # Errors
    /// When it can match nothing.
    pub fn check(pattern: &[u8]) -> Result<(), InvalidPattern> {
        Rule::parse(pattern, &[]).map(drop)
    }

    /// The patterns as they were written.
    pub fn texts(&self) -> impl Iterator<Item = &Key> {
        self.rules.iter().flat_map(|rules| &rules.rules).map(|rule| &rule.text)
    }

    /// Those, as they were written, that have matched none of the keys that were asked about, whatever others say of it.
    pub fn unmatched(&self) -> impl Iterator<Item = &Key> {
        self.texts().zip(self.hits.iter()).filter(|(_, hit)| !hit.load(Relaxed)).map(|(text, _)| text)
    }

    /// Whether they mean this very entry, whatever they say of the folders above it; a key that ends in `/` is a folder's.
    #[must_use]
    pub fn name(&self, key: &[u8]) -> bool {
        let path = key.strip_suffix(b"/").unwrap_or(key);
        match &self.rules {
            Some(rules) if !path.is_empty() => rules.mean(path, path.len() < key.len(), &self.hits),
            _ => false,
        }
    }

    /// Whether they mean the entry or a folder above it.
    #[must_use]
    pub fn cover(&self, key: &[u8]) -> bool {
        // The key itself first, so that a pattern for what lies in a folder that another means has matched, too.
        self.rules.is_some()
            && (self.name(key)
                || memchr::memchr_iter(b'/', key).any(|end| key.get(..=end).is_some_and(|folder| self.name(folder))))
    }
}

impl Rules {
    fn mean(&self, path: &[u8], is_folder: bool, hits: &[AtomicBool]) -> bool {
        let name = memchr::memrchr(b'/', path).and_then(|slash| path.get(slash + 1..)).unwrap_or(path);
        let of_names = self.of_names.last(name, is_folder, &self.rules, hits);
        let last = of_names.max(self.of_paths.last(path, is_folder, &self.rules, hits));
        last.and_then(|last| self.rules.get(last)).is_some_and(|rule| !rule.is_negated)
    }
}

impl Half {
    fn new(all: &[Rule], wanted: impl Fn(&Rule) -> bool) -> Result<Self, InvalidPattern> {
        let (rules, some): (Vec<usize>, Vec<&Rule>) = all.iter().enumerate().filter(|(_, rule)| wanted(rule)).unzip();
        let set = RegexSetBuilder::new(some.iter().map(|rule| &rule.expression))
            .unicode(false)
            .dot_matches_new_line(true)
            .size_limit(COMPILED_BYTES_MAX)
            .build()
            .map_err(|cause| InvalidPattern {
                pattern: some.last().map_or_else(Key::default, |rule| rule.text.clone()),
                reason: format!("with the {} before it: {cause}", some.len().saturating_sub(1)),
            })?;
        Ok(Self { set, rules })
    }

    /// The number of the last rule that matches; all that do are noted.
    fn last(&self, text: &[u8], is_folder: bool, all: &[Rule], hits: &[AtomicBool]) -> Option<usize> {
        let matching = self.set.matches(text);
        let numbers = matching.iter().filter_map(|index| self.rules.get(index).copied());
        let numbers = numbers.filter(|number| all.get(*number).is_some_and(|rule| is_folder || !rule.folders_only));
        numbers.inspect(|number| note(hits.get(*number))).max()
    }
}

/// Writes once only, so that threads do not take the line of memory from one another.
fn note(hit: Option<&AtomicBool>) {
    if let Some(hit) = hit.filter(|hit| !hit.load(Relaxed)) {
        hit.store(true, Relaxed);
    }
}

impl Rule {
    fn parse(text: &[u8], roots: &[Vec<u8>]) -> Result<Self, InvalidPattern> {
        let invalid = |reason: &str| InvalidPattern { pattern: Key::new(text), reason: reason.to_owned() };
        let (is_negated, rest) = match text {
            [b'!', rest @ ..] => (true, rest),
            rest => (false, rest),
        };
        let below = |root: &Vec<u8>| rest.strip_prefix(root.as_slice()).filter(|below| matches!(below, [b'/', _, ..]));
        let rest = roots.iter().find_map(below).unwrap_or(rest);
        let (folders_only, rest) = match rest {
            [rest @ .., b'/'] => (true, rest),
            rest => (false, rest),
        };
        let glob = rest.strip_prefix(b"/").unwrap_or(rest);
        if glob.is_empty() {
            return Err(invalid("it names nothing"));
        }
        if glob.contains(&0) {
            return Err(invalid("it holds a NUL byte, which no name does"));
        }
        let expression = glob::expression(glob).map_err(invalid)?;
        Ok(Self { text: Key::new(text), is_negated, folders_only, is_path: rest.contains(&b'/'), expression })
    }
}
