//! A folder to back up: walking it and reading its files.

use credenza_sdk::range::Part;
use credenza_sdk::{
    Batch, ByteRange, Check, Content, Entry, EntryKind, Error, ErrorClass, Found, Opened, Result, ScanOptions, Scanner,
    Source, SourceInfo, Timestamp, time,
};

use crate::fault::{self, shown};
use crate::folder::{Child, Folder, normalise_etag};
use crate::place::is_path;
use crate::walk::{Route, Step, Walk};
use crate::wire::{Answer, Headers, Wire};

/// Before the fingerprint of a file that has only a time and a size; an ETag does not begin so.
const BY_TIME: char = '=';
/// A file that was changed so short a time ago may be changed again within the second that its time tells.
const RACY_SECONDS: i64 = 2;
/// Requests of one batch at most, so that progress is seen.
const REQUESTS_MAX: u32 = 64;

impl<W: Wire> Source<W::Body> for Folder<W> {
    /// Folders are sorted here, so that the order does not depend on the server.
    fn info(&self) -> Result<SourceInfo> {
        let traits =
            ["ordered-scan", "start-after", "complete-scan", "ranged-read", "fingerprints"].map(str::to_owned).to_vec();
        Ok(SourceInfo { identity: self.place.identity(), namespace: "tree".to_owned(), traits })
    }

    fn check(&self) -> Vec<Check> {
        self.check_source()
    }

    fn scan(&self, options: ScanOptions) -> Result<Box<dyn Scanner>> {
        let route = Route { prefix: options.prefix, after: options.start_after, one_level: options.one_level };
        Ok(Box::new(Scan { walk: Walk::new(self, route), ended: false }))
    }

    /// One request, unless the server is careless about conditions.
    fn read(&self, mut entry: Entry, part: Option<ByteRange>, if_match: Option<String>) -> Result<Opened<W::Body>> {
        let fingerprint = if_match.as_deref();
        let action = format!("reading {}", shown(&entry.key));
        if !is_path(&entry.key) {
            let message = format!("{action} failed: a folder holds no such name");
            return Err(Error::new(ErrorClass::NotFound, fault::NOT_FOUND, message));
        }
        let part = Part::of_entry(part, &entry);
        let etag = fingerprint.filter(|tag| !tag.starts_with(BY_TIME));
        let answer = match self.get(&entry.key, part, etag.filter(|tag| !tag.starts_with("W/")), &action) {
            Err(error) if error.class == ErrorClass::Precondition => {
                let now = self.look(&entry.key)?;
                if now.and_then(|child| child.etag).as_deref() != etag {
                    return Err(changed(&action));
                }
                // It has not changed: the server cannot compare, and what it answers is compared instead.
                self.get(&entry.key, part, None, &action)?
            }
            answer => answer?,
        };
        let size = part.check(&answer.headers, self.wire.length(&answer.body), entry.size)?;
        if fingerprint.is_some() && contradicts(&entry, &answer.headers, size) {
            return Err(changed(&action));
        }
        entry.size = entry.size.or(size);
        Ok(Opened { entry, content: Content::Ready(answer.body) })
    }
}

impl<W: Wire> Folder<W> {
    pub(crate) fn get(&self, key: &[u8], part: Part, etag: Option<&str>, action: &str) -> Result<Answer<W::Body>> {
        let mut asked = part.ask(self.place.request("GET", key));
        if let Some(etag) = etag {
            asked = asked.with_header("if-match", format!("\"{etag}\""));
        }
        self.ask(asked, None, action)
    }
}

/// Whether an answer is of another content than the one that was scanned. A differing ETag alone is none: some servers tell another
/// than they answer.
fn contradicts(entry: &Entry, headers: &Headers, size: Option<u64>) -> bool {
    let modified = headers.get("last-modified").and_then(time::parse_http);
    let etag = headers.get("etag").map(normalise_etag);
    let later = entry.modified.zip(modified).is_some_and(|(scanned, read)| scanned.seconds != read.seconds);
    let resized = entry.size.zip(size).is_some_and(|(scanned, read)| scanned != read);
    let same_tag = etag.is_some() && etag == entry.fingerprint;
    resized || (later && !same_tag)
}

fn changed(action: &str) -> Error {
    let message = format!("{action} failed: the file has changed since it was listed");
    Error::new(ErrorClass::Precondition, fault::PRECONDITION, message)
}

/// A walk over a folder.
pub struct Scan<W> {
    walk: Walk<W>,
    ended: bool,
}

impl<W: Wire> Scanner for Scan<W> {
    /// In the byte order of their keys. After what is `transient` the walk goes on where it was.
    fn next(&mut self, max: u32) -> Result<Batch> {
        let max = usize::try_from(max).unwrap_or(usize::MAX).max(1);
        let (mut found, mut requests) = (Vec::new(), 0);
        while found.len() < max && requests < REQUESTS_MAX && !self.ended {
            requests += u32::from(self.walk.pending().is_some());
            match self.walk.step() {
                Ok(Some(Step::Found { key, child, at })) => found.push(Found::Entry(entry_of(key, child, at))),
                Ok(Some(Step::Failed(key, error))) => found.push(Found::Skipped((key, error))),
                Ok(Some(Step::Asked)) => {}
                Ok(None) => self.ended = true,
                Err(error) if found.is_empty() => return Err(error),
                // It comes again with the next batch.
                Err(_) => break,
            }
        }
        Ok(Batch { found, more: !self.ended })
    }
}

/// The entry of what a folder tells; `at` is when that was.
pub(crate) fn entry_of(key: Vec<u8>, child: Child, at: Option<Timestamp>) -> Entry {
    let kind = if child.is_folder { EntryKind::Directory } else { EntryKind::File };
    let fingerprint = if child.is_folder { None } else { fingerprint(&child, at) };
    let size = child.size.filter(|_| !child.is_folder);
    Entry { size, modified: child.modified, fingerprint, ..Entry::new(key, kind) }
}

/// The ETag, else time and size, unless the file is so young that these may stay while it changes.
fn fingerprint(child: &Child, at: Option<Timestamp>) -> Option<String> {
    if child.etag.is_some() {
        return child.etag.clone();
    }
    let (modified, size) = child.modified.zip(child.size)?;
    let is_racy = at.is_none_or(|at| modified.seconds.saturating_add(RACY_SECONDS) > at.seconds);
    (!is_racy).then(|| format!("{BY_TIME}{}-{size}", modified.seconds))
}
