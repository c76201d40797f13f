//! A bucket to restore to: what is there, what an object of it can be, and how one is begun.
//!
//! Owned here: which entries become objects with which headers. Refused here: sending them (`upload`).

use credenza_sdk::{Check, Destination, DestinationInfo, Entry, EntryKind, Error, ErrorClass, Result, Writer};

use crate::bucket::{Bucket, shown};
use crate::fault::{ALREADY_OWNED, NO_BUCKET};
use crate::listing::etag_of;
use crate::protect::Locks;
use crate::source::entry_of_head;
use crate::sum::Sum;
use crate::upload::{Upload, is_bare_mark};
use crate::wire::{Wire, request};
use crate::{attributes, layout};
use credenza_sdk::xml::escape;

/// Largest object (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/upload-objects.html>), as of the end of 2025.
const OBJECT_BYTES_MAX: u64 = 50 << 40;
const FIRST_REGION: &str = "us-east-1";

impl<W: Wire> Destination<W::Body> for Bucket<W> {
    fn info(&self) -> Result<DestinationInfo> {
        self.destination_info()
    }

    fn check(&self) -> Vec<Check> {
        self.check_destination()
    }

    fn stat(&self, key: &[u8]) -> Result<Option<Entry>> {
        self.look(key)
    }

    fn create(&self, entry: Entry, overwrite: bool) -> Result<Option<Box<dyn Writer<W::Body>>>> {
        let upload = Self::create(self, &entry, overwrite)?;
        Ok(upload.map(|upload| Box::new(upload) as Box<dyn Writer<W::Body>>))
    }

    fn set_metadata(&self, entries: Vec<Entry>) -> Result<Vec<Result<Vec<String>>>> {
        Ok(entries.iter().map(|entry| Ok(self.lost(entry))).collect())
    }
}

impl<W: Wire> Bucket<W> {
    /// What the destination says of itself.
    ///
    /// # Errors
    /// When the bucket cannot be reached, or is to be written as it was at a time.
    pub(crate) fn destination_info(&self) -> Result<DestinationInfo> {
        if self.place.as_of().is_some() {
            return Err(self.of_the_past("restoring"));
        }
        if self.place.create_bucket {
            self.create_if_missing()?;
        }
        let mut traits = ["atomic-finish", "raw-names", "own-times", "removal", "attributes:http", "attributes:s3"]
            .map(str::to_owned)
            .to_vec();
        traits.extend(self.history()?.map(|_| "history".to_owned()));
        Ok(DestinationInfo { identity: self.place.identity(), namespace: "flat".to_owned(), traits })
    }

    fn create_if_missing(&self) -> Result<()> {
        let action = "creating the bucket";
        match self.ask(request("HEAD", String::new()), None, action) {
            Err(error) if error.class == ErrorClass::NotFound || error.reason == NO_BUCKET => {}
            // Whoever may not look may be able to write; the restore finds out.
            _ => return Ok(()),
        }
        let region = &self.place.region;
        // The first region is the one that must not be named (docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html).
        let document = (region != FIRST_REGION).then(|| {
            format!(
                "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><LocationConstraint>{}</LocationConstraint></CreateBucketConfiguration>",
                escape(region)
            )
        });
        let body = self.wire.body_of(document.unwrap_or_default().into_bytes());
        match self.ask(request("PUT", String::new()), Some(body), action) {
            Err(error) if error.reason == ALREADY_OWNED => Ok(()),
            created => created.map(drop),
        }
    }

    /// What is there now.
    ///
    /// # Errors
    /// The cause, by class; nothing there is `Ok(None)`.
    pub(crate) fn look(&self, key: &[u8]) -> Result<Option<Entry>> {
        let action = format!("looking at {}", shown(key));
        match self.ask(request("HEAD", self.place.object(key)), None, &action) {
            Ok(answer) => Ok(Some(entry_of_head(key, &answer))),
            Err(error) if error.class == ErrorClass::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Begins an object. A folder is complete at once: a bucket has none. So is a delete marker, when it is laid.
    ///
    /// # Errors
    /// `precondition` when it exists and may not be overwritten, and `unsupported` for what a bucket cannot hold.
    pub(crate) fn create(&self, entry: &Entry, overwrite: bool) -> Result<Option<Upload<W>>> {
        let action = format!("writing {}", shown(&entry.key));
        let unsupported = |reason: &str, why: String| {
            Err(Error::new(ErrorClass::Unsupported, reason, format!("{action} failed: {why}")))
        };
        match entry.kind {
            EntryKind::Directory => return Ok(None),
            EntryKind::File => {}
            _ => {
                let why = "a bucket holds objects only, no links or devices".to_owned();
                return unsupported("s3.no-object", why);
            }
        }
        if entry.size.is_some_and(|size| size > OBJECT_BYTES_MAX) {
            return unsupported("s3.too-large", format!("S3 takes at most {OBJECT_BYTES_MAX} bytes"));
        }
        // Some servers ignore `If-None-Match` and would overwrite without a word; the header then only closes the gap between
        // this look and the write on those that heed it.
        let there = if overwrite { None } else { self.look(&entry.key)? };
        let is_bare_mark = there.as_ref().is_some_and(is_bare_mark);
        if there.is_some() && !is_bare_mark {
            let message = format!("{action} failed: the object exists, and may not be overwritten");
            return Err(Error::new(ErrorClass::Precondition, "s3.exists", message));
        }
        let target = self.place.object(&entry.key);
        if entry.version.as_ref().is_some_and(|version| version.deleted) {
            return self.remove(entry, &action).map(|()| None);
        }
        let etag = entry.fingerprint.as_deref().and_then(comparable_etag);
        Ok(Some(Upload {
            bucket: self.clone(),
            target,
            action,
            headers: self.headers_of(entry),
            overwrite: overwrite || is_bare_mark,
            layout: layout::of(entry, etag.is_some_and(|etag| !etag.contains('-')), self.place.part_size),
            etag: etag.map(str::to_owned),
            sum: Sum::of(entry),
            without_sum: false,
            encryption: attributes::text_of(entry, "s3.sse").map(str::to_owned),
            locks: self.place.options().locks.then(|| Locks::of(&entry.attributes, self.wire.now_seconds())),
            parts: None,
            asked_to_complete: false,
        }))
    }

    /// Removes an object, or lays a delete marker over it: with an ETag only over the object that has it, where the server knows such a condition.
    fn remove(&self, entry: &Entry, action: &str) -> Result<()> {
        let plain = || request("DELETE", self.place.object(&entry.key));
        let always = || self.ask(plain(), None, action).map(drop);
        let Some(etag) = entry.fingerprint.as_deref().and_then(etag_of) else { return always() };
        let asked = plain().with_header("if-match", format!("\"{etag}\""));
        match self.ask(asked, None, action) {
            Ok(_) => Ok(()),
            Err(error) if error.class == ErrorClass::NotFound => Ok(()),
            Err(error) if error.class == ErrorClass::Unsupported => always(),
            Err(error) if error.class == ErrorClass::Precondition => match self.look(&entry.key)? {
                // It was removed by the same request, whose answer was lost.
                None => Ok(()),
                // A server that does not know a tag again which it has told itself.
                Some(there) if there.fingerprint.as_deref().and_then(etag_of) == Some(etag) => always(),
                Some(_) => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    fn headers_of(&self, entry: &Entry) -> Vec<(String, String)> {
        let (mut headers, _) = attributes::restore(&entry.attributes, self.place.options());
        let kept = attributes::text_of(entry, "s3.storage-class");
        let class =
            if self.place.storage_class.is_empty() { kept.unwrap_or_default() } else { &self.place.storage_class };
        if !class.is_empty() && class != "STANDARD" {
            headers.push(("x-amz-storage-class".to_owned(), class.to_owned()));
        }
        headers
    }

    /// The names of the attributes that an object cannot have.
    pub(crate) fn lost(&self, entry: &Entry) -> Vec<String> {
        let mut lost = attributes::restore(&entry.attributes, self.place.options()).1;
        // It comes back with what lies in it; an empty one does not.
        lost.extend((entry.kind == EntryKind::Directory).then(|| "kind.directory".to_owned()));
        lost
    }
}

/// The ETag of an entry of a bucket, if it is one that the same bytes get again: an MD5, or that of parts.
fn comparable_etag(fingerprint: &str) -> Option<&str> {
    let etag = etag_of(fingerprint)?;
    let (digest, parts) = etag.split_once('-').unwrap_or((etag, "1"));
    let is_digest = digest.len() == 32 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_digest && parts.bytes().all(|byte| byte.is_ascii_digit())).then_some(etag)
}
