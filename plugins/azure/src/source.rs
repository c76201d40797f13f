//! A container to back up: walking it and reading its blobs.

use std::collections::VecDeque;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use credenza_sdk::range::Part;
use credenza_sdk::{
    AttributeValue, Attributes, Batch, ByteRange, Check, Checksum, Content, Document, Entry, EntryKind, Error,
    ErrorClass, Found, Opened, Result, ScanOptions, Scanner, Source, SourceInfo, Version, etag, percent, time,
};

use crate::attributes;
use crate::container::Container;
use crate::fault::{self, DOCUMENT_BYTES_MAX, shown};
use crate::listing::{Edition, Listed, PAGE_BLOBS_MAX, Page, Question};
use crate::versions::Gathering;
use crate::wire::{Answer, Wire, request};

/// The id of what a plain read returns, in an account without versions.
const WITHOUT_VERSIONS: &str = "current";

impl<W: Wire> Source<W::Body> for Container<W> {
    /// It does not claim `ordered-scan`: an account with folders lists in another order, and none says which it is. A listing cannot begin behind
    /// a name, so that a scan is split by prefixes.
    fn info(&self) -> Result<SourceInfo> {
        let mut traits = ["ranged-read", "fingerprints"].map(str::to_owned).to_vec();
        traits.extend(self.place.versions.then(|| "versions".to_owned()));
        Ok(SourceInfo { identity: self.place.identity(), namespace: "flat".to_owned(), traits })
    }

    fn check(&self) -> Vec<Check> {
        self.check_source()
    }

    fn scan(&self, options: ScanOptions) -> Result<Box<dyn Scanner>> {
        if options.start_after.is_some() || options.as_of.is_some() {
            let message =
                "listing failed: Azure cannot begin a listing behind a name, or tell what was there at a time";
            return Err(Error::new(ErrorClass::Unsupported, "azure.listing", message));
        }
        let versions = self.place.versions && !options.one_level;
        let question = Question {
            prefix: self.place.prefix.full(&options.prefix),
            one_level: options.one_level,
            metadata: !options.one_level,
            versions,
            page_blobs: PAGE_BLOBS_MAX,
        };
        // Names are text: below another prefix there is nothing.
        let ended = std::str::from_utf8(&question.prefix).is_err();
        let gathering = versions.then(Gathering::default);
        Ok(Box::new(Scan { container: self.clone(), question, gathering, marker: None, found: VecDeque::new(), ended }))
    }

    fn read(&self, mut entry: Entry, part: Option<ByteRange>, if_match: Option<String>) -> Result<Opened<W::Body>> {
        let action = format!("reading {}", shown(&entry.key));
        let part = Part::of_entry(part, &entry);
        let mut asked = part.ask(request("GET", self.place.target(&entry.key) + &edition_query(&entry, None)));
        if let Some(tag) = &if_match {
            asked = asked.with_header("if-match", etag::quoted(tag));
        }
        let answer = self.ask_for_blob(asked, &action)?;
        let size = part.check(&answer.headers, self.wire.length(&answer.body), entry.size)?;
        let reported = answer.headers.get("etag").and_then(etag::bare);
        if if_match.is_some() && reported.is_some() && reported != if_match {
            let message = format!("{action} failed: the blob has changed since it was listed");
            return Err(Error::new(ErrorClass::Precondition, fault::PRECONDITION, message));
        }
        describe_read(&mut entry, &answer, size);
        Ok(Opened { entry, content: Content::Ready(answer.body) })
    }

    fn describe(&self, entries: Vec<Entry>) -> Result<Vec<Result<Attributes>>> {
        Ok(entries.iter().map(|entry| self.tags(entry)).collect())
    }

    fn documents(&self) -> Result<Vec<Document>> {
        self.container_documents()
    }
}

impl<W: Wire> Container<W> {
    /// The tags of a blob that is said to have some.
    fn tags(&self, entry: &Entry) -> Result<Attributes> {
        let mut tags = Attributes::new();
        let is_some = |(name, value): &(String, AttributeValue)| {
            name == attributes::TAG_COUNT && matches!(value, AttributeValue::Integer(count) if *count > 0)
        };
        if !entry.attributes.iter().any(is_some) {
            return Ok(tags);
        }
        let action = format!("reading the tags of {}", shown(&entry.key));
        let target = self.place.target(&entry.key) + &edition_query(entry, Some(b"tags"));
        let answer = self.ask(request("GET", target), None, &action)?;
        let document = self.document(&answer, "Tags", DOCUMENT_BYTES_MAX, &action)?;
        for tag in document.child("TagSet").into_iter().flat_map(|set| set.all("Tag")) {
            let (name, value) = (tag.text_of("Key").unwrap_or_default(), tag.text_of("Value").unwrap_or_default());
            attributes::set_tag(&mut tags, name, value);
        }
        if tags.is_empty() {
            return Err(fault::not_azure(&action, &self.place.name(), "its tags", "none, where it has some"));
        }
        Ok(tags)
    }
}

/// The query that names a version or a snapshot, as the entry's locator says it, and perhaps what is asked of it.
fn edition_query(entry: &Entry, comp: Option<&[u8]>) -> String {
    let mut pairs: Vec<(&str, Option<&[u8]>)> = comp.map(|comp| ("comp", Some(comp))).into_iter().collect();
    match entry.locator.as_deref().and_then(|locator| locator.split_first()) {
        Some((b'v', id)) => pairs.push(("versionid", Some(id))),
        Some((b's', id)) => pairs.push(("snapshot", Some(id))),
        _ => {}
    }
    percent::query(&pairs)
}

/// Completes an entry with what a read tells.
fn describe_read<B>(entry: &mut Entry, answer: &Answer<B>, size: Option<u64>) {
    entry.size = entry.size.or(size);
    entry.modified = entry.modified.or_else(|| answer.headers.get("last-modified").and_then(time::parse_http));
    entry.fingerprint = entry.fingerprint.take().or_else(|| answer.headers.get("etag").and_then(etag::bare));
    attributes::complete(&mut entry.attributes, &answer.headers);
}

/// The entry that a HEAD of a key describes.
pub(crate) fn entry_of_head<B>(key: &[u8], answer: &Answer<B>) -> Entry {
    let mut entry = Entry::new(key.to_vec(), EntryKind::File);
    describe_read(&mut entry, answer, answer.headers.number("content-length"));
    // Of a blob that was written whole the service has made it: so it is known whether a write whose answer did not come was carried out.
    let md5 = answer.headers.get("content-md5").and_then(|text| BASE64.decode(text).ok());
    let md5 = md5.filter(|digest| digest.len() == MD5_BYTES);
    entry.checksums.extend(md5.map(|value| Checksum { algorithm: "md5".to_owned(), value }));
    entry
}

/// Of an MD5.
const MD5_BYTES: usize = 16;

/// A walk over a container. Holds one page of a listing, at most 1,000 blobs, and the versions of one name.
pub struct Scan<W> {
    container: Container<W>,
    question: Question,
    /// Where versions are listed.
    gathering: Option<Gathering>,
    marker: Option<String>,
    found: VecDeque<Found>,
    ended: bool,
}

impl<W: Wire> Scanner for Scan<W> {
    /// In the order of the service. A call costs a page at most, whether it holds something or not.
    fn next(&mut self, max: u32) -> Result<Batch> {
        if self.found.is_empty() && !self.ended {
            let page = self.container.page(&self.question, self.marker.as_deref())?;
            self.marker = page.next.clone();
            self.ended = self.marker.is_none();
            self.keep(page)?;
        }
        let count = self.found.len().min(usize::try_from(max).unwrap_or(usize::MAX));
        let found = self.found.drain(..count).collect();
        Ok(Batch { found, more: !self.ended || !self.found.is_empty() })
    }
}

impl<W: Wire> Scan<W> {
    /// Turns a page into findings, without what was not asked for.
    fn keep(&mut self, page: Page) -> Result<()> {
        let Self { container, question, gathering, found, ended, .. } = self;
        let blobs = match gathering {
            Some(gathering) => gathering.of(page.blobs, *ended)?,
            None => page.blobs,
        };
        let mut findings: Vec<Entry> = Vec::with_capacity(blobs.len());
        for listed in blobs.into_iter().filter(|listed| listed.name.starts_with(&question.prefix)) {
            // The blob named like the prefix itself is the mark of a folder, and has no name below it.
            let key = container.place.prefix.key(&listed.name).filter(|key| !key.is_empty()).map(<[u8]>::to_vec);
            findings.extend(key.map(|key| entry_of(key, listed, question.versions)));
        }
        if !page.folders.is_empty() {
            let folders = page.folders.iter().filter(|folder| folder.starts_with(&question.prefix));
            let keys = folders.filter_map(|folder| container.place.prefix.key(folder)).filter(|key| !key.is_empty());
            findings.extend(keys.map(|key| Entry::new(key.to_vec(), EntryKind::Directory)));
            findings.sort_by(|a, b| a.key.cmp(&b.key));
        }
        found.extend(findings.into_iter().map(Found::Entry));
        Ok(())
    }
}

fn entry_of(key: Vec<u8>, listed: Listed, versions: bool) -> Entry {
    let fact = |name: &str, id: &str| (name.to_owned(), AttributeValue::Text(id.to_owned()));
    let (id, latest, locator) = match &listed.edition {
        Edition::Blob => (WITHOUT_VERSIONS, true, None),
        Edition::Version { id, current } => (id.as_str(), *current, Some(format!("v{id}"))),
        Edition::Snapshot(id) => (id.as_str(), false, Some(format!("s{id}"))),
    };
    let mut attributes = listed.attributes;
    match &listed.edition {
        Edition::Blob => {}
        Edition::Version { id, .. } => attributes.push(fact("azure.version-id", id)),
        Edition::Snapshot(id) => attributes.push(fact("azure.snapshot", id)),
    }
    Entry {
        size: listed.size,
        modified: listed.modified,
        fingerprint: listed.etag,
        // What is there now may be replaced until it is read, and is read under its tag.
        locator: locator.filter(|_| versions).map(String::into_bytes),
        version: versions.then(|| Version { id: id.to_owned(), latest, deleted: false }),
        checksums: listed.checksums,
        attributes,
        ..Entry::new(key, EntryKind::File)
    }
}
