//! A bucket to back up: walking it and reading its objects.

use std::collections::VecDeque;

use credenza_sdk::http::Request;
use credenza_sdk::{
    self as role, AttributeValue, Attributes, Batch, ByteRange, Check, Document, Entry, EntryKind, Error, ErrorClass,
    Found, Result, ScanOptions, Scanner, Source, SourceInfo, Timestamp, Version,
};

use crate::attributes;
use crate::bucket::{Bucket, shown};
use crate::fault::{self, DOCUMENT_BYTES_MAX};
use crate::history::Cut;
use crate::listing::{Cursor, Listed, PAGE_OBJECTS_MAX, Page, Question, etag_of};
use crate::wire::{Answer, Wire, request};
use credenza_sdk::range::Part;
use credenza_sdk::{etag, percent, time};

/// An object opened for reading.
pub struct Opened<B> {
    /// The entry as scanned, completed with what only a read tells.
    pub entry: Entry,
    /// Its bytes.
    pub body: B,
}

/// The role, over what native callers use by itself: there a walk goes from thread to thread.
impl<W: Wire> Source<W::Body> for Bucket<W> {
    fn info(&self) -> Result<SourceInfo> {
        Ok(self.source_info())
    }

    fn now(&self) -> Result<Option<Timestamp>> {
        Self::now(self)
    }

    fn check(&self) -> Vec<Check> {
        self.check_source()
    }

    fn scan(&self, options: ScanOptions) -> Result<Box<dyn Scanner>> {
        Ok(Box::new(Self::scan(self, &options)))
    }

    fn read(&self, entry: Entry, part: Option<ByteRange>, if_match: Option<String>) -> Result<role::Opened<W::Body>> {
        let opened = Self::read(self, entry, part, if_match.as_deref())?;
        Ok(role::Opened { entry: opened.entry, content: role::Content::Ready(opened.body) })
    }

    fn describe(&self, entries: Vec<Entry>) -> Result<Vec<Result<Attributes>>> {
        Ok(Self::describe(self, &entries))
    }

    fn documents(&self) -> Result<Vec<Document>> {
        Self::documents(self)
    }
}

impl<W: Wire> Bucket<W> {
    /// What the source says of itself. It does not claim `ordered-scan`: most servers list in byte order, some do not, and
    /// none says which it is before it has listed. The host keeps merging while keys increase.
    pub fn source_info(&self) -> SourceInfo {
        let mut traits = ["start-after", "ranged-read", "fingerprints"].map(str::to_owned).to_vec();
        traits.extend(self.place.versions.then(|| "versions".to_owned()));
        traits.extend(self.place.as_of().map(|_| "history".to_owned()));
        SourceInfo { identity: self.place.identity(), namespace: "flat".to_owned(), traits }
    }

    /// The bucket's own clock, if every version is kept; where the settings want it as it was at a time, that.
    ///
    /// # Errors
    /// When the bucket cannot be reached, or has no history and is to be read as it was at a time.
    pub fn now(&self) -> Result<Option<Timestamp>> {
        match (self.history()?, self.place.as_of()) {
            (None, Some(_)) => Err(self.no_history()),
            (Some(_), Some(then)) => Ok(Some(then)),
            (now, None) => Ok(now),
        }
    }

    /// A walk over what the options name. No request is sent yet.
    pub fn scan(&self, options: &ScanOptions) -> Scan<W> {
        let as_of = self.place.as_of().or(options.as_of);
        let all = self.place.versions && !options.one_level;
        let question = Question {
            prefix: self.place.prefix.full(&options.prefix),
            start_after: options.start_after.as_ref().map(|key| self.place.prefix.full(key)),
            one_level: options.one_level,
            versions: all || as_of.is_some(),
            page_objects: PAGE_OBJECTS_MAX,
        };
        let cut = as_of.map(|then| Cut::new(then, all));
        Scan { bucket: self.clone(), question, cut, cursor: None, found: VecDeque::new(), ended: false }
    }

    /// Opens an object, in one request.
    ///
    /// # Errors
    /// The cause, by class.
    pub fn read(
        &self,
        mut entry: Entry,
        part: Option<ByteRange>,
        fingerprint: Option<&str>,
    ) -> Result<Opened<W::Body>> {
        let action = format!("reading {}", shown(&entry.key));
        let part = Part::of_entry(part, &entry);
        let etag = fingerprint.and_then(etag_of).map(str::to_owned);
        let content = self
            .content(&entry, part, etag.as_deref(), &action)
            .map_err(|failure| self.if_archived(&entry, failure))
            .map_err(|failure| if entry.locator.is_none() { self.if_gone(&entry.key, failure) } else { failure })?;
        let answer = &content.answer;
        let size = part.check(&answer.headers, content.length, entry.size)?;
        let is_stated = part.is_whole() && !content.is_decoded;
        let changed = describe_read(&mut entry, answer, size, is_stated);
        if etag.is_some() && changed {
            let message = format!("{action} failed: the object has changed since it was listed");
            return Err(Error::new(ErrorClass::Precondition, "s3.precondition", message));
        }
        Ok(Opened { entry, body: content.answer.body })
    }

    pub(crate) fn read_request(&self, entry: &Entry, part: Part) -> Request {
        let version = entry.locator.as_deref().map(|id| percent::query(&[("versionId", Some(id))]));
        let asked = request("GET", self.place.object(&entry.key) + &version.unwrap_or_default());
        if part.is_whole() { asked.with_header("x-amz-checksum-mode", "ENABLED") } else { part.ask(asked) }
    }

    /// Sends a read under the condition that the object still has the ETag. Some servers compare it without its quotes.
    pub(crate) fn ask_for_unchanged(
        &self,
        asked: Request,
        etag: Option<&str>,
        action: &str,
    ) -> Result<Answer<W::Body>> {
        let Some(etag) = etag else { return self.ask(asked, None, action) };
        let quoted = asked.clone().with_header("if-match", format!("\"{etag}\""));
        match self.ask(quoted, None, action) {
            Err(error) if error.class == ErrorClass::Precondition => {
                self.ask(asked.with_header("if-match", etag), None, action)
            }
            settled => settled,
        }
    }

    /// What neither the listing nor the read tells: tags, of entries that are said to have some; how those in parts were cut; grants, if
    /// they are wanted.
    ///
    /// # Errors
    /// None for the whole call; each entry has its own.
    pub fn describe(&self, entries: &[Entry]) -> Vec<Result<Attributes>> {
        entries.iter().map(|entry| self.describe_one(entry)).collect()
    }

    fn describe_one(&self, entry: &Entry) -> Result<Attributes> {
        let mut reported = self.part_bytes(entry);
        if has_tags(entry) {
            reported.extend(self.tags(entry)?);
        }
        if self.place.options().acl {
            reported.extend(self.acl(entry).or_else(none_if_unknown)?);
        }
        Ok(reported)
    }

    fn tags(&self, entry: &Entry) -> Result<Attributes> {
        let action = format!("reading the tags of {}", shown(&entry.key));
        let mut pairs = vec![("tagging", None)];
        pairs.extend(entry.locator.as_deref().map(|id| ("versionId", Some(id))));
        let asked = request("GET", self.place.object(&entry.key) + &percent::query(&pairs));
        let answer = self.ask(asked, None, &action)?;
        let document = self.document(&answer, &["Tagging"], DOCUMENT_BYTES_MAX, &action)?;
        let untold = || fault::not_s3(&action, &self.place.bucket_name(), "its tags", "none, where it has some");
        let mut tags = Attributes::new();
        for tag in document.child("TagSet").into_iter().flat_map(|set| set.all("Tag")) {
            let name = tag.text_of("Key").ok_or_else(untold)?;
            let value = tag.text_of("Value").unwrap_or_default().to_owned();
            attributes::set(&mut tags, format!("s3.tag.{name}"), AttributeValue::Text(value));
        }
        if tags.is_empty() { Err(untold()) } else { Ok(tags) }
    }
}

/// A server that does not know of grants, or not of those of older versions, answers something else, often the object itself: nobody
/// has any there.
fn none_if_unknown(error: Error) -> Result<Attributes> {
    match error.class {
        ErrorClass::Unsupported | ErrorClass::Corrupt | ErrorClass::NotFound => Ok(Attributes::new()),
        _ => Err(error),
    }
}

fn has_tags(entry: &Entry) -> bool {
    entry
        .attributes
        .iter()
        .any(|(name, value)| name == "s3.tag-count" && matches!(value, AttributeValue::Integer(count) if *count > 0))
}

/// Completes an entry with what the read tells, and says whether the read contradicts it. A differing ETag alone is no
/// contradiction: some servers list another than they answer.
fn describe_read<B>(entry: &mut Entry, answer: &Answer<B>, size: Option<u64>, whole: bool) -> bool {
    let headers = &answer.headers;
    let etag = headers.get("etag").and_then(etag::bare);
    let modified = headers.get("last-modified").and_then(time::parse_http);
    let listed_etag = entry.fingerprint.as_deref().and_then(etag_of);
    let differs = |listed: Option<i64>, read: Option<i64>| listed.zip(read).is_some_and(|(a, b)| a != b);
    let later = differs(entry.modified.map(|t| t.seconds), modified.map(|t| t.seconds));
    let resized = entry.size.zip(size).is_some_and(|(a, b)| a != b);
    let changed = listed_etag.zip(etag.as_deref()).is_some_and(|(a, b)| a != b) && (later || resized);

    attributes::complete(&mut entry.attributes, headers, etag.as_deref());
    if whole {
        entry.checksums = attributes::checksums(headers, etag.as_deref());
    }
    if resized || entry.size.is_none() {
        entry.size = size;
    }
    if changed || entry.modified.is_none() {
        entry.modified = modified;
    }
    if changed || entry.fingerprint.is_none() {
        entry.fingerprint = etag;
    }
    changed
}

/// A walk over a bucket. Holds one page of a listing, at most 1,000 objects.
pub struct Scan<W> {
    bucket: Bucket<W>,
    question: Question,
    /// Leaves what was there at a time.
    cut: Option<Cut>,
    cursor: Option<Cursor>,
    found: VecDeque<Found>,
    ended: bool,
}

impl<W: Wire> Scanner for Scan<W> {
    /// In the order of the server. A call costs a page at most, of as many objects as are asked for, whether it holds something or not.
    /// After an error the walk is worthless.
    fn next(&mut self, max: u32) -> Result<Batch> {
        if self.found.is_empty() && !self.ended {
            self.question.page_objects = max;
            self.turn_page()?;
        }
        let count = self.found.len().min(usize::try_from(max).unwrap_or(usize::MAX));
        let found = self.found.drain(..count).collect();
        Ok(Batch { found, more: !self.ended || !self.found.is_empty() })
    }
}

impl<W: Wire> Scan<W> {
    fn turn_page(&mut self) -> Result<()> {
        let page =
            self.bucket.page(&self.question, self.cursor.as_ref()).map_err(|error| self.without_history(error))?;
        let after = self.question.start_after.as_deref().unwrap_or_default();
        self.question.demand_start(&page).map_err(|early| self.bucket.starts_early(&early, after))?;
        self.cursor = page.next.clone();
        self.ended = self.cursor.is_none();
        self.keep(page)
    }

    /// The listing of versions that the host wished for need not be had; what is there now may be.
    fn without_history(&self, error: Error) -> Error {
        let may_fall_back = self.cut.is_some() && self.bucket.place.as_of().is_none();
        match error.class {
            ErrorClass::Denied | ErrorClass::Corrupt if may_fall_back => {
                Error { class: ErrorClass::Unsupported, ..error }
            }
            _ => error,
        }
    }

    /// Turns a page into findings, without what a server lists although it was not asked for.
    fn keep(&mut self, page: Page) -> Result<()> {
        let Self { bucket, question, cut, found, .. } = self;
        let mut findings: Vec<Entry> = Vec::with_capacity(page.objects.len());
        let objects = match cut {
            Some(cut) => cut.of(page.objects)?,
            None => page.objects,
        };
        for listed in objects.into_iter().filter(|listed| question.wants(&listed.key)) {
            // The object named like the prefix itself is the mark of a folder, and has no name below it.
            let key = bucket.place.prefix.key(&listed.key).filter(|key| !key.is_empty()).map(<[u8]>::to_vec);
            findings.extend(key.map(|key| entry_of(key, listed)));
        }
        if !page.folders.is_empty() {
            let folders =
                page.folders.iter().filter(|folder| question.wants(folder)).filter_map(|f| bucket.place.prefix.key(f));
            findings.extend(folders.map(|key| Entry::new(key.to_vec(), EntryKind::Directory)));
            findings.sort_by(|a, b| a.key.cmp(&b.key));
        }
        found.extend(findings.into_iter().map(Found::Entry));
        Ok(())
    }
}

fn entry_of(key: Vec<u8>, listed: Listed) -> Entry {
    let text = |name: &str, value: Option<String>| value.map(|value| (name.to_owned(), AttributeValue::Text(value)));
    let attributes =
        [text("s3.checksum-algorithm", listed.checksum_algorithm), text("s3.storage-class", listed.storage_class)];
    let id = listed.version.as_ref().map(|version| version.id.clone());
    let version = listed.version.filter(|version| !version.chosen);
    Entry {
        size: listed.size,
        modified: listed.modified,
        fingerprint: fingerprint(listed.etag, id.as_deref()),
        locator: id.map(String::into_bytes),
        version: version.map(|v| Version { id: v.id, latest: v.latest, deleted: v.deleted }),
        attributes: attributes.into_iter().flatten().collect(),
        ..Entry::new(key, EntryKind::File)
    }
}

/// The ETag, and the id of the version when versions are listed: the version `null` may be overwritten.
fn fingerprint(etag: Option<String>, version: Option<&str>) -> Option<String> {
    match (etag, version) {
        (etag, None) => etag,
        (etag, Some(id)) => Some(format!("{} {id}", etag.unwrap_or_default())),
    }
}

/// The entry that a HEAD of a key describes.
pub(crate) fn entry_of_head<B>(key: &[u8], answer: &Answer<B>) -> Entry {
    let mut entry = Entry::new(key.to_vec(), EntryKind::File);
    describe_read(&mut entry, answer, answer.headers.number("content-length"), true);
    entry
}
