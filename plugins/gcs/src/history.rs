//! Generations of objects: which of them there were at a time, and how a history is reported.
//!
//! The service says of each generation when it became live and when it ceased to be, so that what was there at a time is reported by each one alone. There are
//! no marks of deletion: a history whose newest generation is not live ends with one that is made up here. Memory: the generations of one name, at most
//! [`GENERATIONS_MAX`].

use credenza_sdk::{Entry, EntryKind, Error, ErrorClass, Result, Timestamp, Version, percent, time};

use crate::bucket::{Bucket, shown};
use crate::json;
use crate::listing::{Listed, Question};
use crate::source::{entry_of, pinned};
use crate::wire::{Endpoint, Wire};

/// Most generations of one name: some hundred bytes each.
const GENERATIONS_MAX: usize = 50_000;

/// Whether a generation was live at a time. Clocks of servers are stated in whole seconds, and so is the cut.
pub(crate) fn was_live(listed: &Listed, then: Timestamp) -> bool {
    has_begun(listed, then) && listed.deleted.is_none_or(|deleted| deleted.seconds > then.seconds)
}

fn has_begun(listed: &Listed, then: Timestamp) -> bool {
    listed.created.is_some_and(|created| created.seconds <= then.seconds)
}

/// Turns a listing of generations, oldest first, into histories, newest first.
#[derive(Debug)]
pub(crate) struct Histories {
    /// The bucket is reported as it was then.
    as_of: Option<Timestamp>,
    /// The key that was reported last, and all its generations.
    key: Vec<u8>,
    held: Vec<Listed>,
}

impl Histories {
    pub(crate) fn new(as_of: Option<Timestamp>) -> Self {
        Self { as_of, key: Vec::new(), held: Vec::new() }
    }

    /// Takes one more generation in; the entries of the history that it ends.
    ///
    /// # Errors
    /// `unsupported` where a key has more generations than are held.
    pub(crate) fn take(&mut self, key: Vec<u8>, listed: Listed) -> Result<Vec<Entry>> {
        let ended = if key == self.key { Vec::new() } else { self.end() };
        if self.held.len() >= GENERATIONS_MAX {
            let message = format!(
                "listing failed: {} has more than {GENERATIONS_MAX} generations, which cannot be reported newest first; set versions=false",
                shown(&listed.name)
            );
            return Err(Error::new(ErrorClass::Unsupported, "gcs.long-history", message));
        }
        self.key = key;
        self.held.push(listed);
        Ok(ended)
    }

    /// The entries of the history that is held.
    pub(crate) fn end(&mut self) -> Vec<Entry> {
        let (key, mut held) = (std::mem::take(&mut self.key), std::mem::take(&mut self.held));
        let as_of = self.as_of;
        held.retain(|listed| as_of.is_none_or(|then| has_begun(listed, then)));
        held.sort_by_key(|listed| listed.generation.parse::<u64>().unwrap_or(0));
        let is_live = |listed: &Listed| as_of.map_or(listed.deleted.is_none(), |then| was_live(listed, then));
        let deletion = held.last().filter(|newest| !is_live(newest)).map(|newest| deletion_of(&key, newest));
        let generations = held.into_iter().rev().map(|listed| {
            let version = Version { id: listed.generation.clone(), latest: is_live(&listed), deleted: false };
            Entry { version: Some(version), ..pinned(entry_of(key.clone(), listed)) }
        });
        deletion.into_iter().chain(generations).collect()
    }
}

/// The mark that a key ends with which is gone: what a bucket elsewhere keeps of a deletion.
fn deletion_of(key: &[u8], newest: &Listed) -> Entry {
    let id = format!("{}-deleted", newest.generation);
    Entry {
        modified: newest.deleted,
        fingerprint: Some(id.clone()),
        version: Some(Version { id, latest: true, deleted: true }),
        ..Entry::new(key.to_vec(), EntryKind::File)
    }
}

impl<W: Wire> Bucket<W> {
    /// The bucket's own clock, if it keeps every generation. Whoever may not look at the bucket finds no history.
    ///
    /// # Errors
    /// When the bucket cannot be reached or the settings are wrong.
    pub(crate) fn history(&self) -> Result<Option<Timestamp>> {
        let action = "asking for the versioning";
        let asked = Endpoint::Bucket.request("GET", percent::query(&[("fields", Some(b"versioning"))]));
        let answer = match self.ask(asked, None, action) {
            Ok(answer) => answer,
            Err(error) => {
                let error = self.missing(error);
                return match error.class {
                    ErrorClass::Configuration | ErrorClass::Transient => Err(error),
                    _ => Ok(None),
                };
            }
        };
        let now = answer.headers.get("date").and_then(time::parse_http);
        let document = self.document(&answer, action)?;
        let is_kept = document.get("versioning").is_some_and(|versioning| json::is_true(versioning, "enabled"));
        Ok(now.filter(|_| is_kept))
    }

    /// The generation of a key that was live then.
    ///
    /// # Errors
    /// `not-found` when there was none.
    pub(crate) fn live_then(&self, key: &[u8], then: Timestamp) -> Result<Listed> {
        let full = self.place.prefix.full(key);
        let question = Question { versions: true, prefix: full.clone(), ..Question::default() };
        let mut token = None;
        loop {
            let page = self.page(&question, token.as_deref())?;
            // Longer names with this beginning follow it. A page without any may come before them.
            let has_passed = page.objects.last().is_some_and(|last| last.name > full);
            let mut own = page.objects.into_iter().filter(|listed| listed.name == full);
            if let Some(found) = own.find(|listed| was_live(listed, then)) {
                return Ok(found);
            }
            if page.next.is_none() || has_passed {
                let message = format!("reading {} failed: it was not there at {}", shown(key), time::format_iso(then));
                return Err(Error::new(ErrorClass::NotFound, "gcs.not-then", message));
            }
            token = page.next;
        }
    }

    /// The error of a bucket that is to be read as it was, and keeps no generations.
    pub(crate) fn no_history(&self) -> Error {
        let message = format!(
            "{} cannot be read as it was at a time: its versioning is not switched on, or may not be asked for (storage.buckets.get); leave as_of out",
            self.place.bucket_name()
        );
        Error::new(ErrorClass::Configuration, "gcs.no-history", message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: i64) -> Timestamp {
        Timestamp { seconds, nanoseconds: 500_000_000 }
    }

    fn listed(key: &str, generation: i64, deleted: Option<i64>) -> Listed {
        Listed {
            name: key.into(),
            generation: generation.to_string(),
            size: 1,
            created: Some(at(generation)),
            deleted: deleted.map(at),
            resource: serde_json::Value::Null,
        }
    }

    /// Ids of what is reported, and whether it is the latest.
    fn reported(as_of: Option<i64>, listing: &[Listed]) -> Vec<(String, bool)> {
        let mut histories = Histories::new(as_of.map(at));
        let mut entries = Vec::new();
        for listed in listing {
            entries.extend(histories.take(listed.name.clone(), listed.clone()).unwrap());
        }
        entries.extend(histories.end());
        let version = |entry: Entry| entry.version.map(|version| (version.id, version.latest)).unwrap();
        entries.into_iter().map(version).collect()
    }

    #[test]
    fn a_generation_was_there_from_its_creation_to_its_end() {
        let replaced = listed("a", 5, Some(9));
        for (then, was) in [(4, false), (5, true), (8, true), (9, false)] {
            assert_eq!(was_live(&replaced, at(then)), was, "{then}");
        }
        assert!(was_live(&listed("a", 9, None), at(9)));
    }

    #[test]
    fn a_history_is_told_newest_first_and_a_deletion_before_it() {
        let listing = [listed("a", 1, Some(5)), listed("a", 5, None), listed("b", 2, Some(7)), listed("c", 3, None)];
        let pairs = |pairs: &[(&str, bool)]| -> Vec<_> {
            pairs.iter().map(|(id, latest)| ((*id).to_owned(), *latest)).collect()
        };
        let now = pairs(&[("5", true), ("1", false), ("2-deleted", true), ("2", false), ("3", true)]);
        assert_eq!(reported(None, &listing), now);
        assert_eq!(reported(Some(4), &listing), pairs(&[("1", true), ("2", true), ("3", true)]));
        assert_eq!(reported(Some(0), &listing), []);
    }

    #[test]
    fn a_history_that_cannot_be_held_is_an_error() {
        let mut histories = Histories::new(None);
        let mut take = |generation| histories.take(b"a".to_vec(), listed("a", generation, Some(generation)));
        (0..GENERATIONS_MAX as i64).for_each(|generation| drop(take(generation).unwrap()));
        assert_eq!(take(-1).unwrap_err().class, ErrorClass::Unsupported);
    }
}
