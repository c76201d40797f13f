//! What was there at a time: which version of each key a listing of versions shows then, and whether the bucket can be asked at all.

use credenza_sdk::{Error, ErrorClass, Result, Timestamp};

use crate::bucket::{Bucket, shown};
use crate::fault::DOCUMENT_BYTES_MAX;
use crate::listing::{Listed, PAGE_OBJECTS_MAX, Question};
use crate::wire::{Wire, request};
use credenza_sdk::time;

/// The bucket's own clock, if it keeps every version.
pub(crate) type Clock = Option<Timestamp>;

impl<W: Wire> Bucket<W> {
    /// Whether every version is kept, and what the time is there. Suspended versioning keeps only some.
    ///
    /// # Errors
    /// When the bucket cannot be reached or the settings are wrong; a server that does not know of versions keeps none.
    pub(crate) fn history(&self) -> Result<Clock> {
        let action = "asking for the versioning";
        let answer = match self.ask(request("GET", "?versioning"), None, action) {
            Ok(answer) => answer,
            Err(error) => return none_if_unable(error),
        };
        let now = answer.headers.get("date").and_then(time::parse_http);
        let status = match self.document(&answer, &["VersioningConfiguration"], DOCUMENT_BYTES_MAX, action) {
            Ok(document) => document.text_of("Status").map(str::trim) == Some("Enabled"),
            Err(error) => return none_if_unable(error),
        };
        Ok(now.filter(|_| status))
    }

    /// The version of a key that was there then.
    ///
    /// # Errors
    /// `not-found` when there was none.
    pub(crate) fn version_then(&self, key: &[u8], then: Timestamp) -> Result<Listed> {
        let full = self.place.prefix.full(key);
        let question =
            Question { versions: true, prefix: full.clone(), page_objects: PAGE_OBJECTS_MAX, ..Question::default() };
        let (mut cut, mut cursor) = (Cut::new(then, false), None);
        loop {
            let page = self.page(&question, cursor.as_ref())?;
            // Longer keys with this beginning follow it. A page without any may come before them.
            let passed = page.objects.last().is_some_and(|last| last.key > full);
            let own = page.objects.into_iter().filter(|listed| listed.key == full).collect();
            if let Some(found) = cut.of(own)?.pop() {
                return Ok(found);
            }
            if page.next.is_none() || passed || cut.has_decided(&full) {
                let message = format!("reading {} failed: it was not there at {}", shown(key), time::format_iso(then));
                return Err(Error::new(ErrorClass::NotFound, "s3.not-then", message));
            }
            cursor = page.next;
        }
    }

    /// The error of a bucket that is to be read as it was, and keeps no versions.
    pub(crate) fn no_history(&self) -> Error {
        let message = format!(
            "{} cannot be read as it was at a time: its versioning is not switched on; leave as_of out",
            self.place.bucket_name()
        );
        Error::new(ErrorClass::Configuration, "s3.no-history", message)
    }

    /// The error of a write to a bucket that is read as it was.
    pub(crate) fn of_the_past(&self, action: &str) -> Error {
        let message =
            format!("{action} failed: the bucket is read as it was (as_of), which nobody can change; leave as_of out");
        Error::new(ErrorClass::Denied, "s3.past", message)
    }
}

/// Anything but a wrong setting or a passing trouble only means that there is no history to be had.
fn none_if_unable(error: Error) -> Result<Clock> {
    match error.class {
        ErrorClass::Configuration | ErrorClass::Transient => Err(error),
        _ => Ok(None),
    }
}

/// Leaves of a listing of versions, key by key and newest first, what was there at a time: for each key the version that a plain
/// read would have answered, or with `all` that and those before it.
#[derive(Debug)]
pub(crate) struct Cut {
    then: Timestamp,
    all: bool,
    /// The last key that was seen, and whether it is known what was there.
    last: Option<(Vec<u8>, bool)>,
}

impl Cut {
    pub(crate) fn new(then: Timestamp, all: bool) -> Self {
        Self { then, all, last: None }
    }

    /// Going on behind versions of a key of which it is known already what was there.
    pub(crate) fn from(self, decided: Option<Vec<u8>>) -> Self {
        Self { last: decided.map(|key| (key, true)), ..self }
    }

    /// The last key that was seen, if it is known what was there.
    pub(crate) fn decided(self) -> Option<Vec<u8>> {
        self.last.filter(|(_, decided)| *decided).map(|(key, _)| key)
    }

    /// What was there, of the versions that follow those given before.
    ///
    /// # Errors
    /// When keys do not ascend, because a version that comes later could be the one that was there; when a version has no time.
    pub(crate) fn of(&mut self, versions: Vec<Listed>) -> Result<Vec<Listed>> {
        let mut there = Vec::new();
        for mut listed in versions {
            let decided = match &self.last {
                Some((key, _)) if *key > listed.key => return Err(unordered(&listed.key)),
                Some((key, decided)) if *key == listed.key => *decided,
                _ => false,
            };
            let is_old = is_at_or_before(listed.modified.ok_or_else(|| timeless(&listed.key))?, self.then);
            let was_latest = !decided && is_old;
            self.last = Some((listed.key.clone(), decided || was_latest));
            let Some(version) = &mut listed.version else { continue };
            let is_left = if self.all { is_old } else { was_latest && !version.deleted };
            version.latest = was_latest;
            version.chosen = !self.all;
            if is_left {
                there.push(listed);
            }
        }
        Ok(there)
    }

    fn has_decided(&self, key: &[u8]) -> bool {
        self.last.as_ref().is_some_and(|(last, decided)| last == key && *decided)
    }
}

/// Clocks of servers are stated in whole seconds, and so is the cut.
const fn is_at_or_before(time: Timestamp, then: Timestamp) -> bool {
    time.seconds <= then.seconds
}

fn timeless(key: &[u8]) -> Error {
    let message = format!(
        "listing failed: a version of {} has no time that can be read, so that what was there at a time cannot be reported",
        shown(key)
    );
    Error::new(ErrorClass::Unsupported, "s3.timeless-history", message)
}

fn unordered(key: &[u8]) -> Error {
    let message = format!(
        "listing failed: versions come out of order ({} after a later key), so that what was there at a time cannot be reported",
        shown(key)
    );
    Error::new(ErrorClass::Unsupported, "s3.unordered-history", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listing::ListedVersion;

    const fn at(seconds: i64) -> Timestamp {
        Timestamp { seconds, nanoseconds: 0 }
    }

    fn version(key: &str, seconds: i64, deleted: bool) -> Listed {
        let version = ListedVersion { id: format!("{key}{seconds}"), latest: false, deleted, chosen: false };
        Listed { key: key.into(), modified: Some(at(seconds)), version: Some(version), ..Listed::default() }
    }

    fn ids(there: Vec<Listed>) -> Vec<String> {
        there.into_iter().map(|listed| listed.version.unwrap().id).collect()
    }

    #[test]
    fn the_newest_version_that_is_not_younger_was_there() {
        let listing = || {
            vec![
                version("a", 9, false),
                version("a", 5, false),
                version("a", 1, false),
                version("b", 9, true),
                version("b", 4, false),
                version("c", 5, true),
                version("c", 4, false),
                version("d", 6, false),
            ]
        };
        assert_eq!(ids(Cut::new(at(5), false).of(listing()).unwrap()), ["a5", "b4"]);
        assert_eq!(ids(Cut::new(at(9), false).of(listing()).unwrap()), ["a9", "d6"]);
        assert!(Cut::new(at(0), false).of(listing()).unwrap().is_empty());
    }

    #[test]
    fn all_versions_that_were_there_are_left_with_the_one_that_was_latest() {
        let listing = vec![version("a", 9, false), version("a", 5, true), version("a", 1, false)];
        let left = Cut::new(at(5), true).of(listing).unwrap();
        let latest: Vec<bool> = left.iter().map(|listed| listed.version.as_ref().unwrap().latest).collect();
        assert_eq!((ids(left), latest), (vec!["a5".to_owned(), "a1".to_owned()], vec![true, false]));
    }

    #[test]
    fn a_key_goes_on_over_the_edge_of_a_page() {
        let mut cut = Cut::new(at(5), false);
        assert_eq!(ids(cut.of(vec![version("a", 9, false), version("a", 5, false)]).unwrap()), ["a5"]);
        assert!(cut.of(vec![version("a", 4, false)]).unwrap().is_empty());
        let mut cut = Cut::new(at(5), false);
        assert!(cut.of(vec![version("a", 9, false)]).unwrap().is_empty());
        assert_eq!(ids(cut.of(vec![version("a", 5, false)]).unwrap()), ["a5"]);
    }

    #[test]
    fn a_listing_out_of_order_cannot_be_cut() {
        let mut cut = Cut::new(at(5), false);
        cut.of(vec![version("b", 1, false)]).unwrap();
        assert_eq!(cut.of(vec![version("a", 1, false)]).unwrap_err().class, ErrorClass::Unsupported);
    }
}
