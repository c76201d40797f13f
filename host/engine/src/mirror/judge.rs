//! Judge: what is to become of one key, by what the target's listing says of it and what the cuts hold.
//!
//! What is there is **ours** where it is as the cut has it that the target was when it was whole, or as one has it that the target was on its way to. All else
//! is somebody else's. Known by kind and size, by digests and ETags where both sides state them, and by time: a bucket says when an object was written, and
//! one that was written after the mirror was whole is not ours; a folder keeps the time that a restore gave to a file, and so do some servers.
//!
//! Pure; called by `join`, which asks older cuts before it believes that something is somebody else's.

use credenza_model::{Entry, EntryKind, EntryStatus, Record, Timestamp};

use crate::stated::{digests_agree, etags_agree};

/// What is known of a target as a whole.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ground {
    /// When it was whole, by its own clock; nothing where the times of what is there may be those that somebody gave.
    pub(super) settled: Option<Timestamp>,
    /// It keeps the times that entries are given, and what they are beside their content.
    pub(super) keeps_times: bool,
    /// It keeps the times that entries are given, as far as is known, and nothing else of them.
    pub(super) gives_back: bool,
    /// Source and target are buckets, whose fingerprints are ETags.
    pub(super) has_etags: bool,
    /// It lacked something of its cut when it was whole otherwise, so that an object may be as a cut before has it.
    pub(super) is_lacking: bool,
}

/// What is to become of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is not there.
    New,
    /// It is not there, and was.
    Missing,
    /// It is there as it is to be.
    Same,
    /// It is there as an older cut has it.
    Changed,
    /// Somebody else has put or changed it.
    Foreign,
    /// The source no longer has it.
    Gone,
    /// It is there, and nobody here has put it there.
    Extra,
}

impl Ground {
    /// What is to become of a key: what is there, what is to be, and what the cuts before say, the one first that the target was.
    pub(super) fn judge(
        &self,
        found: Option<&Entry>,
        wanted: Option<&Record>,
        (base, towards): (Option<&Record>, &[Option<Record>]),
    ) -> Verdict {
        let Some(found) = found else {
            let was_there = base.is_some_and(|base| base.entry.kind == EntryKind::File);
            return if was_there { Verdict::Missing } else { Verdict::New };
        };
        let Some(wanted) = wanted else {
            return if self.is_ours(found, base, towards) { Verdict::Gone } else { Verdict::Extra };
        };
        if let Some(base) = base
            && self.is_untouched(base, found)
        {
            return if self.are_alike(base, wanted) { Verdict::Same } else { Verdict::Changed };
        }
        if let Some(other) = towards.iter().flatten().find(|other| self.is_as_written(other, found)) {
            return if self.are_alike(other, wanted) { Verdict::Same } else { Verdict::Changed };
        }
        match () {
            () if self.is_surely(wanted, found) => Verdict::Same,
            () if self.may_be_older(base, found) => Verdict::Changed,
            () => Verdict::Foreign,
        }
    }

    fn is_ours(&self, found: &Entry, base: Option<&Record>, towards: &[Option<Record>]) -> bool {
        base.is_some_and(|base| self.is_untouched(base, found))
            || towards.iter().flatten().any(|other| self.is_as_written(other, found))
            || self.may_be_older(base, found)
    }

    /// Whether what is there may be as an older cut has it, since the target lacked what the cut has that it was. That the cut has it not says nothing of the
    /// kind: it may never have been ours.
    fn may_be_older(&self, base: Option<&Record>, found: &Entry) -> bool {
        base.is_some() && self.is_lacking && self.is_settled(found)
    }

    /// Whether a version of a key that is there may be one that the cut has; of deletions there is one kind.
    pub(super) fn are_one_version(&self, record: &Record, found: &Entry) -> bool {
        let is_deletion = |entry: &Entry| entry.version.as_ref().is_some_and(|version| version.deleted);
        match (is_deletion(&record.entry), is_deletion(found)) {
            (true, true) => true,
            (false, false) => self.may_be(record, found),
            _ => false,
        }
    }

    /// Whether what is there may be what a record says, by what both state.
    fn may_be(&self, record: &Record, found: &Entry) -> bool {
        let entry = &record.entry;
        match entry.kind {
            kind if kind != found.kind => false,
            EntryKind::File => {
                let has_size = found.size.is_none_or(|size| size == record.content.bytes());
                has_size && self.stated_alike(record, found) != Some(false)
            }
            EntryKind::Symlink => entry.link_target == found.link_target,
            EntryKind::Directory | EntryKind::Other => true,
        }
    }

    /// Whether it is that, whoever has written it.
    pub(super) fn is_surely(&self, record: &Record, found: &Entry) -> bool {
        let is_stated = || self.stated_alike(record, found) == Some(true);
        let is_content = record.entry.kind == EntryKind::File;
        self.may_be(record, found) && (!is_content || is_stated() || (self.keeps_times && has_time(record, found)))
    }

    /// Whether what both state of their contents agrees; nothing where they state nothing of the kind. What a source says of an entry is not said of its content
    /// where that was of no one moment, or contradicts it.
    fn stated_alike(&self, record: &Record, found: &Entry) -> Option<bool> {
        let entry = &record.entry;
        if matches!(record.status, EntryStatus::Changed | EntryStatus::Doubtful(_)) {
            return None;
        }
        let etags = entry.fingerprint.as_deref().zip(found.fingerprint.as_deref()).filter(|_| self.has_etags);
        let both = [digests_agree(entry, found), etags.and_then(|(one, other)| etags_agree(one, other))];
        both.iter().copied().flatten().reduce(|one, other| one && other)
    }

    /// Whether it is as it was when the target was whole.
    fn is_untouched(&self, base: &Record, found: &Entry) -> bool {
        self.may_be(base, found) && (self.is_surely(base, found) || has_time(base, found) || self.is_settled(found))
    }

    /// Whether it is as the mirror left it that had put there what a record says or something newer: nobody has written it since, or it has the size and the time
    /// that it was given.
    pub(super) fn is_as_left(&self, record: &Record, found: &Entry) -> bool {
        self.is_settled(found) || (self.may_be(record, found) && has_time(record, found))
    }

    /// Whether it is as a run wrote it that did not come to its end.
    fn is_as_written(&self, record: &Record, found: &Entry) -> bool {
        let shows_writer = self.keeps_times || self.gives_back;
        self.may_be(record, found) && (!shows_writer || self.is_surely(record, found) || has_time(record, found))
    }

    /// Whether it was there before the target was whole. Where files keep the times that they are given, their times say nothing of that.
    pub(super) fn is_settled(&self, found: &Entry) -> bool {
        let settled = self.settled.filter(|_| !self.keeps_times);
        // Some say their times in seconds, and some not in each answer.
        settled.zip(found.modified).is_some_and(|(settled, modified)| modified.seconds <= settled.seconds)
    }

    /// Whether two cuts hold the same under a key, as far as this target is concerned.
    fn are_alike(&self, one: &Record, other: &Record) -> bool {
        let (a, b) = (&one.entry, &other.entry);
        let has_time = !self.keeps_times || a.kind != EntryKind::File || a.modified == b.modified;
        has_time
            && (a.kind, &a.link_target, &a.attributes) == (b.kind, &b.link_target, &b.attributes)
            && one.content == other.content
    }
}

/// Whether what is there has the time of the record. A server may keep no fractions.
fn has_time(record: &Record, found: &Entry) -> bool {
    let both = record.entry.modified.zip(found.modified);
    both.is_some_and(|(a, b)| a == b || (b.nanoseconds == 0 && a.seconds == b.seconds))
}

#[cfg(test)]
mod tests {
    use credenza_model::{Content, Key};

    use super::*;

    fn at(seconds: i64) -> Option<Timestamp> {
        Some(Timestamp { seconds, nanoseconds: 0 })
    }

    fn found(content: &str, etag: &str, seconds: i64) -> Entry {
        Entry {
            size: Some(content.len() as u64),
            fingerprint: Some(etag.to_owned()),
            modified: at(seconds),
            ..Entry::new(Key::from("k"), EntryKind::File)
        }
    }

    fn record(content: &str, etag: &str, seconds: i64) -> Record {
        let content = content.as_bytes().to_vec();
        let entry = Entry { size: Some(content.len() as u64), ..found("", etag, seconds) };
        Record { entry, content: Content::Inline(content), status: EntryStatus::Stable }
    }

    const ONE: &str = "11111111111111111111111111111111";
    const TWO: &str = "22222222222222222222222222222222";
    /// Uploads in parts prove nothing by their ETags.
    const PARTS: &str = "33333333333333333333333333333333-2";
    const OTHER_PARTS: &str = "44444444444444444444444444444444-2";
    /// When the target was whole.
    const WHOLE: i64 = 100;

    fn bucket() -> Ground {
        Ground { settled: at(WHOLE), keeps_times: false, gives_back: false, has_etags: true, is_lacking: false }
    }

    fn folder() -> Ground {
        Ground { settled: at(WHOLE), keeps_times: true, gives_back: false, has_etags: false, is_lacking: false }
    }

    #[test]
    fn what_is_there_as_it_was_left_is_ours_and_goes_with_the_cuts() {
        let (a, b) = (record("one", ONE, 5), record("two", TWO, 6));
        let there = found("one", ONE, 90);
        for ground in [bucket(), folder()] {
            let there = if ground.keeps_times { found("one", "", 5) } else { there.clone() };
            let judge = |wanted| ground.judge(Some(&there), wanted, (Some(&a), &[]));
            assert_eq!(judge(Some(&a)), Verdict::Same);
            assert_eq!(judge(Some(&b)), Verdict::Changed);
            assert_eq!(judge(None), Verdict::Gone);
            assert_eq!(ground.judge(None, Some(&b), (None, &[])), Verdict::New);
            assert_eq!(ground.judge(None, Some(&b), (Some(&a), &[])), Verdict::Missing);
        }
    }

    #[test]
    fn what_somebody_else_wrote_is_foreign_whatever_shows_it() {
        let (a, b) = (record("one", ONE, 5), record("two", TWO, 6));
        // Another size; another ETag of the same size; the same size and an ETag that proves nothing, but written later.
        let strangers = [
            found("longer", PARTS, 150),
            found("longer", PARTS, WHOLE),
            found("eno", TWO, 150),
            found("one", OTHER_PARTS, 150),
        ];
        for there in strangers {
            let known = record("one", if there.fingerprint.as_deref() == Some(OTHER_PARTS) { PARTS } else { ONE }, 5);
            assert_eq!(
                bucket().judge(Some(&there), Some(&record("new", PARTS, 7)), (Some(&known), &[])),
                Verdict::Foreign
            );
            assert_eq!(bucket().judge(Some(&there), None, (Some(&known), &[])), Verdict::Extra);
        }
        assert_eq!(folder().judge(Some(&found("eno", "", 50)), Some(&b), (Some(&a), &[])), Verdict::Foreign);
        assert_eq!(folder().judge(Some(&found("longer", "", 5)), Some(&b), (Some(&a), &[])), Verdict::Foreign);
        // What is nobody's and the same as what is to be is taken over.
        assert_eq!(bucket().judge(Some(&found("two", TWO, 150)), Some(&b), (None, &[])), Verdict::Same);
    }

    #[test]
    fn where_a_server_keeps_the_times_that_it_is_given_an_old_one_proves_nothing() {
        let server = Ground { settled: None, gives_back: true, has_etags: false, is_lacking: true, ..bucket() };
        let (a, b) = (record("one", ONE, 5), record("two", TWO, 6));
        for there in [found("eno", "", 4), found("longer", "", 5)] {
            assert_eq!(server.judge(Some(&there), Some(&b), (Some(&a), &[])), Verdict::Foreign);
            assert_eq!(server.judge(Some(&there), None, (Some(&a), &[])), Verdict::Extra);
            assert!(!server.is_as_left(&a, &there));
        }
        // What the mirror has put there has the time that it was given.
        let own = found("one", "", 5);
        assert_eq!(server.judge(Some(&own), Some(&a), (Some(&a), &[])), Verdict::Same);
        assert_eq!(server.judge(Some(&own), Some(&b), (Some(&a), &[])), Verdict::Changed);
        assert_eq!(server.judge(Some(&own), None, (Some(&a), &[])), Verdict::Gone);
        assert!(server.is_as_left(&a, &own));
        // So has what a run wrote that was broken off.
        let towards = [Some(b.clone())];
        let judge = |there: &Entry| server.judge(Some(there), None, (None, &towards));
        assert_eq!(judge(&found("two", "", 6)), Verdict::Gone);
        assert_eq!(judge(&found("owt", "", 4)), Verdict::Extra);
    }

    #[test]
    fn what_a_source_said_of_an_entry_that_changed_while_it_was_read_says_nothing_of_the_target() {
        let changed = Record { status: EntryStatus::Changed, ..record("one", ONE, 5) };
        let there = found("one", TWO, 90);
        assert_eq!(bucket().judge(Some(&there), Some(&changed), (Some(&changed), &[])), Verdict::Same);
        let wanted = record("two", PARTS, 6);
        assert_eq!(bucket().judge(Some(&there), Some(&wanted), (Some(&changed), &[])), Verdict::Changed);
        assert_eq!(bucket().judge(Some(&found("one", TWO, 150)), None, (Some(&changed), &[])), Verdict::Extra);
    }

    #[test]
    fn what_a_run_wrote_that_was_broken_off_is_ours() {
        let (a, x, b) = (record("one", ONE, 5), record("two", TWO, 6), record("six", PARTS, 7));
        let towards = [Some(x.clone())];
        let judge = |there: &Entry, wanted| bucket().judge(Some(there), wanted, (Some(&a), &towards));
        assert_eq!(judge(&found("two", TWO, 150), Some(&x)), Verdict::Same);
        assert_eq!(judge(&found("two", TWO, 150), Some(&b)), Verdict::Changed);
        assert_eq!(judge(&found("one", ONE, 90), Some(&x)), Verdict::Changed);
        assert_eq!(judge(&found("two", TWO, 150), None), Verdict::Gone);
        assert_eq!(judge(&found("strange", PARTS, 150), Some(&x)), Verdict::Foreign);
    }

    #[test]
    fn before_the_first_mirror_nothing_is_ours_but_what_is_as_it_is_to_be() {
        let ground = Ground { settled: None, ..bucket() };
        let b = record("two", TWO, 6);
        assert_eq!(ground.judge(Some(&found("two", TWO, 1)), Some(&b), (None, &[])), Verdict::Same);
        assert_eq!(ground.judge(Some(&found("two", PARTS, 1)), Some(&b), (None, &[])), Verdict::Foreign);
        assert_eq!(ground.judge(Some(&found("two", PARTS, 1)), None, (None, &[])), Verdict::Extra);
    }

    #[test]
    fn what_no_cut_at_hand_has_is_not_ours_whenever_it_was_written() {
        let (a, b) = (record("one", ONE, 5), record("two", PARTS, 6));
        for seconds in [90, 150] {
            let there = found("mine", OTHER_PARTS, seconds);
            assert_eq!(bucket().judge(Some(&there), Some(&b), (None, &[])), Verdict::Foreign);
            assert_eq!(bucket().judge(Some(&there), None, (None, &[])), Verdict::Extra);
        }
        // What the target lacked of its cut may be there as a cut before has it.
        let lacking = Ground { is_lacking: true, ..bucket() };
        for (seconds, replaced, left) in
            [(90, Verdict::Changed, Verdict::Gone), (150, Verdict::Foreign, Verdict::Extra)]
        {
            let there = found("older", OTHER_PARTS, seconds);
            assert_eq!(lacking.judge(Some(&there), Some(&b), (Some(&a), &[])), replaced);
            assert_eq!(lacking.judge(Some(&there), None, (Some(&a), &[])), left);
        }
    }
}
