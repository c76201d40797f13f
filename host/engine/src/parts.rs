//! Parts: which keys of a snapshot are meant, and where in the order of keys they lie.
//!
//! Owned here: what a part covers, that none is meant twice, and the spans of keys that a walk reads for them and no more. Refused here: finding keys
//! by patterns (`query`), reading (`walk`). Called by `restore`, `archive`, and by whoever says what to restore.
//!
//! Bound: the parts that were given.

use credenza_model::Key;

/// The byte behind the slash: no key below a folder has it in the slash's place.
const BEHIND_SLASH: u8 = b'/' + 1;

/// A part of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// Exactly this key, with all its versions, and nothing below it.
    Key(Key),
    /// This key and what lies below it, as [`Key::is_under`] says; the empty one is everything.
    Under(Key),
}

impl Part {
    /// The key, or what the keys lie under.
    #[must_use]
    pub const fn key(&self) -> &Key {
        match self {
            Self::Key(key) | Self::Under(key) => key,
        }
    }

    /// Whether a key belongs to it.
    #[must_use]
    pub fn covers(&self, key: &Key) -> bool {
        match self {
            Self::Key(own) => own == key,
            Self::Under(prefix) => key.is_under(prefix.as_bytes()),
        }
    }

    /// Whether every key of another part belongs to it.
    #[must_use]
    pub fn covers_part(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Key(_), Self::Under(_)) => false,
            _ => self.covers(other.key()),
        }
    }

    fn spans(&self, part: usize) -> Vec<Span> {
        let alone = |key: &Key| Span { start: key.as_bytes().to_vec(), end: Some(behind(key)), part };
        match self {
            Self::Key(key) => vec![alone(key)],
            Self::Under(prefix) if prefix.as_bytes().is_empty() || prefix.as_bytes().ends_with(b"/") => {
                vec![Span::beginning_with(prefix.as_bytes(), part)]
            }
            Self::Under(prefix) => {
                let below = [prefix.as_bytes(), b"/"].concat();
                vec![alone(prefix), Span::beginning_with(&below, part)]
            }
        }
    }
}

/// Some parts of a snapshot, none of which lies in another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts(Vec<Part>);

/// Everything.
impl Default for Parts {
    fn default() -> Self {
        Self::under(Key::default())
    }
}

/// These parts; nothing without any.
impl FromIterator<Part> for Parts {
    fn from_iter<I: IntoIterator<Item = Part>>(parts: I) -> Self {
        let mut sorted: Vec<Part> = parts.into_iter().collect();
        // Whatever covers a part is shorter, or is the same key with what lies below it.
        sorted.sort_by_key(|part| (part.key().as_bytes().len(), matches!(part, Part::Key(_))));
        let mut own: Vec<Part> = Vec::with_capacity(sorted.len());
        let mut above = std::collections::HashSet::new();
        for part in sorted {
            if !above.contains(&part) && !enclosing(part.key()).any(|wider| above.contains(&wider)) {
                above.insert(part.clone());
                own.push(part);
            }
        }
        own.sort();
        Self(own)
    }
}

/// The parts that cover everything at or under a key: itself, and each beginning of it that ends with a slash or before one.
fn enclosing(key: &Key) -> impl Iterator<Item = Part> {
    let bytes = key.as_bytes();
    let slashes = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'/').flat_map(|(at, _)| [at, at + 1]);
    let ends = std::iter::once(0).chain(slashes).chain([bytes.len()]);
    ends.filter_map(|end| bytes.get(..end)).map(|prefix| Part::Under(Key::new(prefix)))
}

impl Parts {
    /// One part: a key and what lies below it.
    #[must_use]
    pub fn under(prefix: Key) -> Self {
        Self(vec![Part::Under(prefix)])
    }

    /// The parts, in the order of their keys.
    #[must_use]
    pub fn as_slice(&self) -> &[Part] {
        &self.0
    }

    /// Whether they are the whole snapshot.
    #[must_use]
    pub fn is_all(&self) -> bool {
        matches!(self.0.as_slice(), [Part::Under(prefix)] if prefix.as_bytes().is_empty())
    }

    /// Whether something may lie below one of them.
    pub(crate) fn has_folders(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Under(_)))
    }

    /// Where their keys lie.
    pub(crate) fn spans(&self) -> Spans {
        let mut spans: Vec<Span> = self.0.iter().enumerate().flat_map(|(at, part)| part.spans(at)).collect();
        spans.sort_by(|a, b| a.start.cmp(&b.start));
        Spans(spans)
    }
}

/// Keys from `start` to before `end`; without an end to the last.
#[derive(Debug, Clone)]
struct Span {
    start: Vec<u8>,
    end: Option<Vec<u8>>,
    part: usize,
}

impl Span {
    /// All that begin with these bytes.
    fn beginning_with(prefix: &[u8], part: usize) -> Self {
        let mut end = prefix.to_vec();
        if let Some(last) = end.last_mut().filter(|last| **last == b'/') {
            *last = BEHIND_SLASH;
            return Self { start: prefix.to_vec(), end: Some(end), part };
        }
        while end.last() == Some(&u8::MAX) {
            end.pop();
        }
        let end = match end.last_mut() {
            Some(last) => {
                *last += 1;
                Some(end)
            }
            None => None,
        };
        Self { start: prefix.to_vec(), end, part }
    }

    fn ends_behind(&self, key: &[u8]) -> bool {
        self.end.as_deref().is_none_or(|end| key < end)
    }
}

/// The least key behind one.
fn behind(key: &Key) -> Vec<u8> {
    [key.as_bytes(), &[0]].concat()
}

/// Spans of keys that do not meet, in order.
#[derive(Debug, Clone)]
pub(crate) struct Spans(Vec<Span>);

impl Spans {
    /// Of the keys that begin with these bytes, whatever a folder is.
    pub(crate) fn beginning_with(prefix: &[u8]) -> Self {
        Self(vec![Span::beginning_with(prefix, 0)])
    }

    /// Of the keys behind one and up to and with another; without them from the first, and to the last.
    pub(crate) fn between(after: Option<&Key>, until: Option<&Key>) -> Self {
        Self(vec![Span { start: after.map(behind).unwrap_or_default(), end: until.map(behind), part: 0 }])
    }

    /// Where each begins, and before which key it ends; without an end with the last.
    pub(crate) fn ends(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.0.iter().map(|span| (span.start.as_slice(), span.end.as_deref()))
    }

    /// What of them lies behind one key, and up to and with another.
    pub(crate) fn within(&self, after: Option<&Key>, until: Option<&Key>) -> Self {
        let (from, to) = (after.map(behind).unwrap_or_default(), until.map(behind));
        let clipped = self.0.iter().map(|span| Span {
            start: span.start.clone().max(from.clone()),
            end: span.end.clone().into_iter().chain(to.clone()).min(),
            part: span.part,
        });
        Self(clipped.filter(|span| span.ends_behind(&span.start)).collect())
    }

    /// Whether no key can lie in them.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of the part that a key belongs to.
    pub(crate) fn part_of(&self, key: &Key) -> Option<usize> {
        self.last_from(key.as_bytes()).filter(|span| span.ends_behind(key.as_bytes())).map(|span| span.part)
    }

    /// Whether a child that follows one ending at `previous_last` and itself ends at `last` can hold keys of them.
    pub(crate) fn may_hold(&self, previous_last: Option<&Key>, last: &Key) -> bool {
        let begins_in_time = |span: &Span| previous_last.is_none_or(|key| span.ends_behind(key.as_bytes()));
        self.last_from(last.as_bytes()).is_some_and(begins_in_time)
    }

    /// The last that begins at or before a key: none before it ends later.
    fn last_from(&self, key: &[u8]) -> Option<&Span> {
        let behind = self.0.partition_point(|span| span.start.as_slice() <= key);
        behind.checked_sub(1).and_then(|at| self.0.get(at))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(text: &str) -> Part {
        Part::Key(Key::from(text))
    }

    fn under(text: &str) -> Part {
        Part::Under(Key::from(text))
    }

    #[test]
    fn what_lies_in_another_part_is_meant_once() {
        for (given, left) in [
            (vec![key("a/"), under("a/"), under("a/b"), key("a/b/c"), key("a")], vec![key("a"), under("a/")]),
            (vec![under("a"), under("a/"), key("a"), key("ab")], vec![key("ab"), under("a")]),
            (vec![key("x"), under("")], vec![under("")]),
            (vec![key("x"), key("x")], vec![key("x")]),
        ] {
            assert_eq!(Parts::from_iter(given).as_slice(), left);
        }
        assert!(Parts::default().is_all() && !Parts::from_iter([]).is_all());
    }

    #[test]
    fn a_key_is_of_its_part_and_an_object_is_apart_from_the_folder_of_its_name() {
        let parts = Parts::from_iter([key("a"), under("b"), under("..")]);
        let spans = parts.spans();
        let is_meant = |key: &str| spans.part_of(&Key::from(key)).is_some();
        for (key, meant) in [("a", true), ("a/", false), ("a/x", false), ("a\0", false), ("b", true), ("b/x", true)] {
            assert_eq!(is_meant(key), meant, "{key:?}");
        }
        assert!(!is_meant("b!") && !is_meant("bb") && is_meant("../x") && !is_meant("...") && !is_meant(""));
    }

    fn few() -> impl Strategy<Value = Key> {
        proptest::collection::vec(prop_oneof![Just(b'a'), Just(b'/'), Just(b'!'), Just(0), Just(0xff)], 0..5)
            .prop_map(Key::new)
    }

    proptest! {
        #[test]
        fn spans_hold_what_parts_cover(
            parts in proptest::collection::vec((few(), any::<bool>()), 1..5), before in few(), last in few()
        ) {
            let parts: Vec<Part> =
                parts.into_iter().map(|(key, alone)| if alone { Part::Key(key) } else { Part::Under(key) }).collect();
            let own: Parts = parts.iter().cloned().collect();
            let spans = own.spans();
            let is_covered = |key: &Key| parts.iter().any(|part| part.covers(key));
            prop_assert_eq!(spans.part_of(&last).is_some(), is_covered(&last));
            prop_assert!(!is_covered(&last) || spans.may_hold(Some(&before.clone().min(last.clone())), &last));
            prop_assert!(spans.may_hold(None, &last) || !is_covered(&last));
            let at = spans.part_of(&last);
            prop_assert!(at.is_none_or(|at| own.as_slice()[at].covers(&last)));
        }

        #[test]
        fn spans_within_a_range_hold_what_is_in_both(
            parts in proptest::collection::vec(few(), 1..5), after in proptest::option::of(few()), until in proptest::option::of(few()),
            key in few()
        ) {
            let spans = parts.into_iter().map(Part::Under).collect::<Parts>().spans();
            let clipped = spans.within(after.as_ref(), until.as_ref());
            let is_in_range = after.is_none_or(|after| key > after) && until.is_none_or(|until| key <= until);
            prop_assert_eq!(clipped.part_of(&key), spans.part_of(&key).filter(|_| is_in_range));
            prop_assert!(clipped.part_of(&key).is_none() || clipped.may_hold(None, &key) && !clipped.is_empty());
        }
    }
}
