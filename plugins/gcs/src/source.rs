//! A bucket to back up: walking it and reading its objects.

use std::collections::VecDeque;

use credenza_sdk::http::Request;
use credenza_sdk::range::Part;
use credenza_sdk::{
    Batch, ByteRange, Check, Content, Document, Entry, EntryKind, Error, ErrorClass, Found, Opened, Result,
    ScanOptions, Scanner, Source, SourceInfo, Timestamp, percent,
};

use crate::attributes;
use crate::bucket::{Bucket, shown};
use crate::fault;
use crate::history::{Histories, was_live};
use crate::listing::{ALL_FIELDS, Listed, Page, Question};
use crate::wire::{Answer, Endpoint, Wire};

impl<W: Wire> Source<W::Body> for Bucket<W> {
    fn info(&self) -> Result<SourceInfo> {
        let mut traits = ["start-after", "complete-scan", "ranged-read", "fingerprints"].map(str::to_owned).to_vec();
        traits.push(if self.place.versions { "versions" } else { "ordered-scan" }.to_owned());
        traits.extend(self.place.as_of().map(|_| "history".to_owned()));
        Ok(SourceInfo { identity: self.place.identity(), namespace: "flat".to_owned(), traits })
    }

    fn now(&self) -> Result<Option<Timestamp>> {
        match (self.history()?, self.place.as_of()) {
            (None, Some(_)) => Err(self.no_history()),
            (Some(_), Some(then)) => Ok(Some(then)),
            (now, None) => Ok(now),
        }
    }

    fn check(&self) -> Vec<Check> {
        self.check_source()
    }

    fn scan(&self, options: ScanOptions) -> Result<Box<dyn Scanner>> {
        Ok(Box::new(self.walk(&options)))
    }

    fn read(&self, entry: Entry, part: Option<ByteRange>, if_match: Option<String>) -> Result<Opened<W::Body>> {
        self.open_object(entry, part, if_match.as_deref())
    }

    fn documents(&self) -> Result<Vec<Document>> {
        self.configuration()
    }
}

impl<W: Wire> Bucket<W> {
    /// A walk over what the options name. No request is sent yet.
    pub(crate) fn walk(&self, options: &ScanOptions) -> Scan<W> {
        let as_of = self.place.as_of().or(options.as_of);
        let all = self.place.versions && !options.one_level;
        let question = Question {
            prefix: self.place.prefix.full(&options.prefix),
            start_after: options.start_after.as_ref().map(|key| self.place.prefix.full(key)),
            one_level: options.one_level,
            versions: all || as_of.is_some(),
            fields: ALL_FIELDS,
            ..Question::default()
        };
        let telling = match (all, as_of) {
            (true, _) => Telling::Histories(Histories::new(as_of)),
            (false, Some(then)) => Telling::Then(then),
            (false, None) => Telling::Live,
        };
        Scan { bucket: self.clone(), question, telling, token: None, found: VecDeque::new(), is_ended: false }
    }

    /// Opens an object, in one request.
    fn open_object(
        &self,
        mut entry: Entry,
        part: Option<ByteRange>,
        generation: Option<&str>,
    ) -> Result<Opened<W::Body>> {
        let action = format!("reading {}", shown(&entry.key));
        let part = Part::of_entry(part, &entry);
        let answer = self.ask(part.ask(self.read_request(&entry, generation)), None, &action)?;
        if is_decoded(&answer) {
            let message = format!("{action} failed: the server hands it out decoded, and not as it is stored");
            return Err(Error::new(ErrorClass::Unsupported, "gcs.decoded", message));
        }
        let size = part.check(&answer.headers, self.wire.length(&answer.body), entry.size)?;
        if generation.is_some() && has_changed(&entry, &answer, size) {
            let message = format!("{action} failed: the object has changed since it was listed");
            return Err(Error::new(ErrorClass::Precondition, fault::PRECONDITION, message));
        }
        entry.size = entry.size.or(size);
        Ok(Opened { entry, content: Content::Ready(answer.body) })
    }

    fn read_request(&self, entry: &Entry, generation: Option<&str>) -> Request {
        let mut pairs = vec![("alt", Some(&b"media"[..]))];
        match (&entry.locator, generation) {
            (Some(locator), _) => pairs.push(("generation", Some(locator))),
            (None, Some(generation)) => pairs.push(("ifGenerationMatch", Some(generation.as_bytes()))),
            (None, None) => {}
        }
        // An object with `contentEncoding: gzip` is decoded for who does not say that he takes it.
        let is_encoded = attributes::text_of(&entry.attributes, "http.content-encoding").is_some();
        Endpoint::Objects
            .request("GET", self.place.object(&entry.key) + &percent::query(&pairs))
            .with_header("accept-encoding", if is_encoded { "gzip" } else { "identity" })
    }
}

/// Whether the service has decoded what it hands out.
fn is_decoded<B>(answer: &Answer<B>) -> bool {
    answer.headers.get("x-guploader-response-body-transformations").is_some_and(|done| done.contains("gunzipped"))
}

/// Whether the answer contradicts what was listed: a server that knows no conditions answers what is there now.
fn has_changed<B>(entry: &Entry, answer: &Answer<B>, size: Option<u64>) -> bool {
    let generation = answer.headers.get("x-goog-generation");
    let is_other = entry.fingerprint.as_deref().zip(generation).is_some_and(|(listed, read)| listed != read);
    let is_resized = entry.size.zip(size).is_some_and(|(listed, read)| listed != read);
    let read = attributes::checksums_of_read(&answer.headers);
    let differs = |sum: &&credenza_sdk::Checksum| {
        read.iter().any(|other| other.algorithm == sum.algorithm && other.value != sum.value)
    };
    is_other || is_resized || entry.checksums.iter().any(|sum| differs(&sum))
}

/// How a scan tells what it lists.
enum Telling {
    /// What is there.
    Live,
    /// What was there then.
    Then(Timestamp),
    /// Every generation.
    Histories(Histories),
}

/// A walk over a bucket. Holds one page of a listing, at most 1,000 objects, and the generations of one name.
pub struct Scan<W> {
    bucket: Bucket<W>,
    question: Question,
    telling: Telling,
    token: Option<String>,
    found: VecDeque<Found>,
    is_ended: bool,
}

impl<W: Wire> Scanner for Scan<W> {
    fn next(&mut self, max: u32) -> Result<Batch> {
        if self.found.is_empty() && !self.is_ended {
            self.question.objects = max;
            self.turn_page()?;
        }
        let count = self.found.len().min(usize::try_from(max).unwrap_or(usize::MAX));
        let found = self.found.drain(..count).collect();
        Ok(Batch { found, more: !self.is_ended || !self.found.is_empty() })
    }
}

impl<W: Wire> Scan<W> {
    fn turn_page(&mut self) -> Result<()> {
        let page =
            self.bucket.page(&self.question, self.token.as_deref()).map_err(|error| self.without_history(error))?;
        let next = page.next.clone();
        self.keep(page)?;
        self.is_ended = next.is_none();
        self.token = next;
        if let (Telling::Histories(histories), true) = (&mut self.telling, self.is_ended) {
            self.found.extend(histories.end().into_iter().map(Found::Entry));
        }
        Ok(())
    }

    /// The listing of generations that the host wished for need not be had; what is there now may be.
    fn without_history(&self, error: Error) -> Error {
        let may_fall_back = matches!(self.telling, Telling::Then(_)) && self.bucket.place.as_of().is_none();
        match error.class {
            ErrorClass::Denied | ErrorClass::Corrupt if may_fall_back => {
                Error { class: ErrorClass::Unsupported, ..error }
            }
            _ => error,
        }
    }

    /// Turns a page into findings, without what was reported although it was not asked for.
    fn keep(&mut self, page: Page) -> Result<()> {
        let Self { bucket, question, telling, found, .. } = self;
        let mut findings = Vec::with_capacity(page.objects.len());
        for listed in page.objects.into_iter().filter(|listed| question.wants(&listed.name)) {
            // The object named like the prefix itself is the mark of a folder, and has no name below it.
            let Some(key) = bucket.place.prefix.key(&listed.name).filter(|key| !key.is_empty()).map(<[u8]>::to_vec)
            else {
                continue;
            };
            match telling {
                Telling::Live => findings.push(entry_of(key, listed)),
                Telling::Then(then) => {
                    findings.extend(was_live(&listed, *then).then(|| pinned(entry_of(key, listed))));
                }
                Telling::Histories(histories) => findings.extend(histories.take(key, listed)?),
            }
        }
        if !page.folders.is_empty() {
            let folders = page.folders.iter().filter(|folder| question.wants(folder));
            let keys = folders.filter_map(|folder| bucket.place.prefix.key(folder));
            findings.extend(keys.map(|key| Entry::new(key.to_vec(), EntryKind::Directory)));
            findings.sort_by(|a, b| a.key.cmp(&b.key));
        }
        found.extend(findings.into_iter().map(Found::Entry));
        Ok(())
    }
}

/// The entry of an object as a document describes it. Its generation changes with its content.
pub(crate) fn entry_of(key: Vec<u8>, listed: Listed) -> Entry {
    Entry {
        size: Some(listed.size),
        modified: listed.created,
        fingerprint: Some(listed.generation),
        checksums: attributes::checksums(&listed.resource),
        attributes: attributes::of(&listed.resource),
        ..Entry::new(key, EntryKind::File)
    }
}

/// The entry of just this generation.
pub(crate) fn pinned(entry: Entry) -> Entry {
    Entry { locator: entry.fingerprint.clone().map(String::into_bytes), ..entry }
}
