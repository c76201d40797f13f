//! A bucket that answers: requests whose failures are errors, documents whose root is what was asked for, pages.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use credenza_sdk::http::Request;
use credenza_sdk::{Config, Error, ErrorClass, Result};

use crate::fault::{self, Failure};
use crate::listing::{Cursor, Listed, PAGE_BYTES_MAX, PAGE_OBJECTS_MAX, Page, PageError, Question};
use crate::place::Place;
use crate::wire::{Answer, Wire, request};
pub(crate) use credenza_sdk::shown;
use credenza_sdk::xml::Element;

/// Keys that a page of versions may lack and that are asked for one by one.
const MISSING_MAX: usize = 1000;
/// Versions that a key may have which is asked for by itself.
const VERSIONS_MAX: usize = 100_000;

/// What the plain listing tells and a page of versions does not.
#[derive(Default)]
struct Untold {
    /// Keys among those of the page, each with whether it is a folder.
    missing: Vec<(Vec<u8>, bool)>,
    /// A key behind all of the page.
    behind: Option<Vec<u8>>,
}

/// The place and the way to it.
#[derive(Debug, Clone)]
pub struct Bucket<W> {
    pub(crate) place: Place,
    pub(crate) wire: W,
    /// The server has refused what came with a checksum, and took the same without.
    pub(crate) refuses_sums: Arc<AtomicBool>,
    /// The server never says how long a body is.
    pub(crate) hides_lengths: Arc<AtomicBool>,
}

impl<W: Wire> Bucket<W> {
    /// The bucket that the settings name; no request is sent.
    pub fn new(config: &Config, wire: W) -> Self {
        Self { place: Place::of(config), wire, refuses_sums: Arc::default(), hides_lengths: Arc::default() }
    }

    /// Sends a request; `action` names it for a person, as in `reading "a/b"`.
    ///
    /// # Errors
    /// Any status but success, explained.
    pub(crate) fn ask(&self, request: Request, body: Option<W::Body>, action: &str) -> Result<Answer<W::Body>> {
        let answer = self.wire.send(request, body)?;
        if answer.is_success() { Ok(answer) } else { Err(self.explain(&answer, action)) }
    }

    /// Sends an object. Whoever has taken one names it, or says no more: a document without a name, whatever its status, is that of somebody on
    /// the way, who has taken nothing.
    ///
    /// # Errors
    /// Any status but success, explained; `corrupt` for a success that is none of S3.
    pub(crate) fn ask_to_take(&self, request: Request, body: W::Body, action: &str) -> Result<Answer<W::Body>> {
        let answer = self.ask(request, Some(body), action)?;
        if answer.headers.get("etag").is_some() {
            return Ok(answer);
        }
        let (said, _) = self.wire.read_up_to(&answer.body, fault::DOCUMENT_BYTES_MAX)?;
        if said.is_empty() {
            return Ok(answer);
        }
        let place = self.place.bucket_name();
        let in_disguise = Element::parse(&said)
            .and_then(|document| fault::in_disguise(&document, &self.failure(&answer, &said, action, &place)));
        Err(in_disguise.unwrap_or_else(|| fault::not_s3(action, &place, "the ETag of what it took", "a document")))
    }

    /// The error in a failed answer.
    pub(crate) fn explain(&self, answer: &Answer<W::Body>, action: &str) -> Error {
        // A document that breaks off says less; the status remains.
        let (body, _) = self.wire.read_up_to(&answer.body, fault::DOCUMENT_BYTES_MAX).unwrap_or_default();
        fault::classify(&self.failure(answer, &body, action, &self.place.bucket_name()))
    }

    /// The document of a successful answer, whose root has one of the names.
    ///
    /// # Errors
    /// When it is longer than `bytes_max`, an error document in spite of its status, or something else altogether.
    pub(crate) fn document(
        &self,
        answer: &Answer<W::Body>,
        roots: &[&str],
        bytes_max: usize,
        action: &str,
    ) -> Result<Element> {
        let place = self.place.bucket_name();
        let expected = roots.first().copied().unwrap_or_default();
        let (bytes, whole) = self.wire.read_up_to(&answer.body, bytes_max)?;
        if !whole {
            return Err(fault::not_s3(action, &place, expected, &format!("more than {bytes_max} bytes")));
        }
        let document = Element::parse(&bytes).ok_or_else(|| fault::not_s3(action, &place, expected, "no XML"))?;
        if let Some(error) = fault::in_disguise(&document, &self.failure(answer, &bytes, action, &place)) {
            return Err(error);
        }
        if roots.contains(&document.name.as_str()) {
            return Ok(document);
        }
        Err(fault::not_s3(action, &place, expected, &format!("`{}`", document.name.escape_debug())))
    }

    /// A page of a listing. One of versions is held against the plain listing of the same keys before it is believed: there are servers that leave some
    /// out, or stop early, and say nothing. What is missing is asked for by itself.
    ///
    /// # Errors
    /// When the bucket cannot be listed, or the answer is no page; when the two listings contradict each other.
    pub(crate) fn page(&self, question: &Question, cursor: Option<&Cursor>) -> Result<Page> {
        let page = self.told_page(question, cursor)?;
        let before = match cursor {
            Some(Cursor::After { key, .. }) => Some(key.as_slice()),
            _ => question.start_after.as_deref(),
        };
        // A page that tells no further key and goes on leaves none out.
        if !question.versions || page.next.is_some() && page.last_key() <= before {
            return Ok(page);
        }
        let Untold { missing, behind } = self.untold(question, before, &page)?;
        let page = self.completed(page, missing)?;
        match behind.filter(|_| page.next.is_none()) {
            None => Ok(page),
            // It may be new: then the listing of versions tells it when it is asked to go on.
            Some(key) => page.continued().ok_or_else(|| self.contradiction(&key)),
        }
    }

    /// What the plain listing tells and a page of versions does not. A plain listing that tells keys from before the place where it is to begin is in another
    /// order or cannot begin there: then it says nothing of what is missing.
    fn untold(&self, question: &Question, before: Option<&[u8]>, page: &Page) -> Result<Untold> {
        let told: BTreeSet<&[u8]> =
            page.objects.iter().map(|listed| &listed.key).chain(&page.folders).map(Vec::as_slice).collect();
        let last = page.last_key().max(before);
        // Two more, because the folder that the place lies in may come first, and one tells that there are others behind.
        let page_objects = u32::try_from(told.len()).unwrap_or(PAGE_OBJECTS_MAX).saturating_add(2);
        let start_after = before.map(<[u8]>::to_vec);
        let plain = Question { versions: false, start_after, page_objects, ..question.clone() };
        let (mut untold, mut cursor) = (Untold::default(), None);
        loop {
            let listed = self.told_page(&plain, cursor.as_ref())?;
            if plain.demand_start(&listed).is_err() {
                return Ok(Untold::default());
            }
            let reaches = listed.last_key() >= last;
            let keys = listed.objects.into_iter().map(|listed| (listed.key, false));
            for (key, is_folder) in keys.chain(listed.folders.into_iter().map(|folder| (folder, true))) {
                if !plain.wants(&key) || told.contains(key.as_slice()) {
                    continue;
                }
                if Some(key.as_slice()) > last {
                    untold.behind.get_or_insert(key);
                } else if untold.missing.len() < MISSING_MAX {
                    untold.missing.push((key, is_folder));
                } else {
                    return Err(self.contradiction(&key));
                }
            }
            let is_known = untold.behind.is_some() || reaches && page.next.is_some();
            match listed.next.filter(|_| !is_known) {
                None => return Ok(untold),
                next => cursor = next,
            }
        }
    }

    /// The page with the versions of what is missing in it.
    fn completed(&self, mut page: Page, missing: Vec<(Vec<u8>, bool)>) -> Result<Page> {
        let is_sorted = page.objects.is_sorted_by_key(|listed| &listed.key);
        for (key, is_folder) in missing {
            if is_folder {
                page.folders.push(key);
                continue;
            }
            let versions = self.versions_of(&key)?;
            // What is in neither listing any more was deleted meanwhile.
            if versions.is_empty() && self.is_listed(&key)? {
                return Err(self.contradiction(&key));
            }
            page.objects.extend(versions);
        }
        if is_sorted {
            // Of one key they stay as they are.
            page.objects.sort_by(|a, b| a.key.cmp(&b.key));
        }
        Ok(page)
    }

    /// All versions of one key, as the server tells them when it is asked for nothing else.
    fn versions_of(&self, full: &[u8]) -> Result<Vec<Listed>> {
        let question =
            Question { versions: true, prefix: full.to_vec(), page_objects: PAGE_OBJECTS_MAX, ..Question::default() };
        let (mut versions, mut cursor) = (Vec::new(), None);
        loop {
            let page = self.told_page(&question, cursor.as_ref())?;
            let passed = page.objects.last().is_some_and(|last| last.key.as_slice() > full);
            versions.extend(page.objects.into_iter().filter(|listed| listed.key == full));
            if versions.len() > VERSIONS_MAX {
                return Err(self.contradiction(full));
            }
            match page.next.filter(|_| !passed) {
                None => return Ok(versions),
                next => cursor = next,
            }
        }
    }

    /// The failure of a read, unless it only says that nothing is there, without a word of S3, of an object that the listing tells: that was
    /// somebody on the way.
    pub(crate) fn if_gone(&self, key: &[u8], failure: Error) -> Error {
        if failure.reason != fault::BARE_NOT_FOUND {
            return failure;
        }
        let place = self.place.bucket_name();
        match self.is_listed(&self.place.prefix.full(key)) {
            Ok(false) => failure,
            Ok(true) => {
                let message = format!(
                    "reading {} failed: {place} says that it is not there, and its listing tells it",
                    shown(key)
                );
                Error::new(ErrorClass::Transient, "s3.not-found-but-listed", message)
            }
            Err(error) => error,
        }
    }

    /// Whether the listing tells a key of the bucket, which is the first of those that begin with it.
    fn is_listed(&self, full: &[u8]) -> Result<bool> {
        let question = Question { prefix: full.to_vec(), page_objects: 1, ..Question::default() };
        let mut cursor = None;
        loop {
            let page = self.told_page(&question, cursor.as_ref())?;
            match (page.objects.first(), page.next) {
                (Some(first), _) => return Ok(first.key == full),
                (None, None) => return Ok(false),
                (None, next) => cursor = next,
            }
        }
    }

    /// The error of a listing that tells a key from before the place where it is to begin.
    pub(crate) fn starts_early(&self, early: &[u8], after: &[u8]) -> Error {
        let (bucket, early, after) = (self.place.bucket_name(), shown(early), shown(after));
        let message = format!("listing failed: {bucket} told {early} when it was to begin after {after}");
        Error::new(ErrorClass::Unsupported, "s3.start-after", message)
    }

    fn contradiction(&self, key: &[u8]) -> Error {
        let message = format!(
            "listing failed: {} leaves {} out of its listing of versions, which its plain listing tells",
            self.place.bucket_name(),
            shown(key)
        );
        Error::new(ErrorClass::Corrupt, "s3.versions-cut-short", message)
    }

    /// A page as the server tells it.
    fn told_page(&self, question: &Question, cursor: Option<&Cursor>) -> Result<Page> {
        let action = "listing";
        let answer =
            self.ask(request("GET", question.target(cursor)), None, action).map_err(|error| self.missing(error))?;
        let document = self.document(&answer, &[question.root()], PAGE_BYTES_MAX, action)?;
        let page = question.read_page(&document).map_err(|broken| {
            let found = match broken {
                PageError::WrongRoot(root) => format!("`{}`", root.escape_debug()),
                PageError::NoEnd => "a page that does not say whether it goes on".to_owned(),
                PageError::NoCursor => "a page that goes on without saying where".to_owned(),
                PageError::Short { counted, reported } => format!("{reported} objects and said that it were {counted}"),
                PageError::NoKey => "an object without a key".to_owned(),
                PageError::Lacks { key, field } => format!("{} without its {field}", shown(&key)),
            };
            fault::not_s3(action, &self.place.bucket_name(), question.root(), &found)
        })?;
        if page.next.is_some() && page.next.as_ref() == cursor {
            let message = format!(
                "listing failed: {} never ends its listing: a page names itself as the next",
                self.place.bucket_name()
            );
            return Err(Error::new(ErrorClass::Corrupt, "s3.endless-listing", message));
        }
        Ok(page)
    }

    /// A listing has no object that could be missing: it is the bucket.
    fn missing(&self, error: Error) -> Error {
        if error.class != ErrorClass::NotFound {
            return error;
        }
        let message =
            format!("listing failed: {} does not exist; check its name and the host", self.place.bucket_name());
        Error::new(ErrorClass::Configuration, fault::NO_BUCKET, message)
    }

    fn failure<'a>(&self, answer: &'a Answer<W::Body>, body: &'a [u8], action: &'a str, place: &'a str) -> Failure<'a> {
        Failure { status: answer.status, headers: &answer.headers, body, action, place }
    }
}
