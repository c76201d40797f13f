//! History: how the versions of a key at the target stand to those of the cut, so that a run writes those that are lacking, in their order, and none twice.
//!
//! What the source made last of what the target has is looked for; what the source made since is to be written. Where a run was broken off between two versions,
//! that is the same question again.
//!
//! Pure; called by `join`.

use credenza_model::{Entry, Record};

use super::judge::{Ground, Verdict};

/// How far the target is in the history of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reached {
    /// So many versions, from the oldest on, are not to be written.
    pub(super) passed: usize,
    /// The target ends with just those, one after the other.
    is_exact: bool,
    /// Versions of the cut.
    of: usize,
}

impl Reached {
    /// How far it is; both sides begin with what is newest.
    pub(super) fn find(ground: &Ground, wanted: &[Record], found: &[Entry]) -> Self {
        let of = wanted.len();
        let common = |newest: &[Record]| {
            newest.iter().zip(found).take_while(|(record, entry)| ground.are_one_version(record, entry)).count()
        };
        // Of `wanted`, what is left when so many of the newest are still to be written.
        let reached = (0..of).filter_map(|left| wanted.get(left..).map(|newest| (of - left, common(newest))));
        let (mut best, mut length) = (0, 0);
        for (passed, common) in reached {
            if common == passed {
                return Self { passed, is_exact: true, of };
            }
            if common > length {
                (best, length) = (passed, common);
            }
        }
        Self { passed: best, is_exact: false, of }
    }

    /// Versions that are lacking.
    pub(super) const fn left(self) -> usize {
        self.of - self.passed
    }

    /// The same, where the newest is to be written in any case.
    pub(super) fn but_newest(self) -> Self {
        Self { passed: self.passed.min(self.of.saturating_sub(1)), ..self }
    }

    /// The verdict that was made on what is there last, with what was there before: what the cut had first is the mirror's, where one was at work there, and
    /// what the cut has since is lacking. Nothing is lost where that is wrong: all versions stay.
    pub(super) const fn reconsidered(self, verdict: Verdict, is_mirror: bool) -> Verdict {
        match verdict {
            Verdict::Foreign if self.is_exact => Verdict::Changed,
            Verdict::Extra if self.is_exact && is_mirror => Verdict::Gone,
            Verdict::Same if self.is_exact && self.left() > 0 => Verdict::Changed,
            _ => verdict,
        }
    }
}

#[cfg(test)]
mod tests {
    use credenza_model::{Content, EntryKind, EntryStatus, Key, Version};

    use super::*;

    /// `-` is a delete marker; the oldest comes first here.
    fn wanted(history: &str) -> Vec<Record> {
        let record = |letter: char| Record {
            entry: entry(letter),
            content: Content::Inline(vec![b'x'; size(letter)]),
            status: EntryStatus::Stable,
        };
        history.chars().rev().map(record).collect()
    }

    fn found(history: &str) -> Vec<Entry> {
        history.chars().rev().map(entry).collect()
    }

    const fn size(letter: char) -> usize {
        letter as usize
    }

    fn entry(letter: char) -> Entry {
        let version = Some(Version { id: String::new(), latest: false, deleted: letter == '-' });
        Entry { version, size: Some(size(letter) as u64), ..Entry::new(Key::from("k"), EntryKind::File) }
    }

    #[test]
    fn what_the_target_lacks_of_a_history_is_found_whatever_either_side_has_forgotten() {
        let ground =
            Ground { settled: None, keeps_times: false, gives_back: false, has_etags: true, is_lacking: false };
        for (there, cut, passed, is_exact) in [
            ("", "abc", 0, false),
            ("a", "abc", 1, true),
            ("ab", "abc", 2, true),
            ("abc", "abc", 3, true),
            ("ab", "ab-", 2, true),
            ("ab-", "ab-c", 3, true),
            // The same again is another version.
            ("a", "aa", 1, true),
            ("a", "aba", 1, true),
            // The source has forgotten what is oldest.
            ("abcd", "cde", 2, true),
            // The target has.
            ("c", "abcd", 3, false),
            // It was rolled back, or a stranger was here.
            ("aba", "abc", 1, true),
            ("ab", "a", 0, false),
            ("az", "ab", 0, false),
            ("", "", 0, false),
        ] {
            let reached = Reached::find(&ground, &wanted(cut), &found(there));
            assert_eq!((reached.passed, reached.is_exact), (passed, is_exact), "{there} of {cut}");
        }
    }
}
