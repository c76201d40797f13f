//! A bucket to restore to: whole objects in one request, large ones in parts.

use credenza_sdk::http::Request;
use credenza_sdk::{DestinationInfo, Entry, EntryKind, Error, ErrorClass, Result};

use crate::bucket::{Bucket, shown};
use crate::fault::DOCUMENT_BYTES_MAX;
use crate::layout::{self, Layout};
use crate::listing::normalise_etag;
use crate::protect::Locks;
use crate::source::{entry_of_head, etag_of};
use crate::wire::{Headers, Wire, request};
use crate::xml::escape;
use crate::{attributes, encode};

/// Largest object (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/upload-objects.html>), as of the end of 2025.
const OBJECT_BYTES_MAX: u64 = 50 << 40;

const SHA256: &str = "sha256";

/// Roots of the documents that begin and complete an upload in parts: S3's own first, then what a server built on gofakes3 says.
const BEGUN: [&str; 2] = ["InitiateMultipartUploadResult", "InitiateMultipartUpload"];
const COMPLETED: [&str; 2] = ["CompleteMultipartUploadResult", "CompleteMultipartUpload"];

impl<W: Wire> Bucket<W> {
    /// What the destination says of itself.
    ///
    /// # Errors
    /// When the bucket cannot be reached, or is to be written as it was at a time.
    pub(crate) fn destination_info(&self) -> Result<DestinationInfo> {
        if self.place.as_of.is_some() {
            return Err(self.of_the_past("restoring"));
        }
        let mut traits =
            ["atomic-finish", "raw-names", "own-times", "attributes:http", "attributes:s3"].map(str::to_owned).to_vec();
        traits.extend(self.history()?.map(|_| "history".to_owned()));
        Ok(DestinationInfo { identity: self.place.identity(), namespace: "flat".to_owned(), traits })
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
        if !overwrite && self.look(&entry.key)?.is_some() {
            let message = format!("{action} failed: the object exists, and may not be overwritten");
            return Err(Error::new(ErrorClass::Precondition, "s3.exists", message));
        }
        let target = self.place.object(&entry.key);
        if entry.version.as_ref().is_some_and(|version| version.deleted) {
            return self.ask(request("DELETE", target), None, &action).map(|_| None);
        }
        let etag = entry.fingerprint.as_deref().and_then(comparable_etag);
        Ok(Some(Upload {
            bucket: self.clone(),
            target,
            action,
            headers: self.headers_of(entry),
            overwrite,
            layout: layout::of(entry, etag.is_some_and(|etag| !etag.contains('-')), self.place.part_bytes),
            etag: etag.map(str::to_owned),
            checksum: attributes::checksum_of(entry).map(str::to_owned),
            encryption: attributes::text_of(entry, "s3.sse").map(str::to_owned),
            locks: self.place.wishes.locks.then(|| Locks::of(&entry.attributes, self.wire.now_seconds())),
            held: None,
            parts: None,
        }))
    }

    fn headers_of(&self, entry: &Entry) -> Vec<(String, String)> {
        let (mut headers, _) = attributes::restore(&entry.attributes, self.place.wishes);
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
        let mut lost = attributes::restore(&entry.attributes, self.place.wishes).1;
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

/// An object on its way. The last part is held back, so that an object of one part needs one request and no upload in parts.
pub(crate) struct Upload<W: Wire> {
    bucket: Bucket<W>,
    target: String,
    action: String,
    headers: Vec<(String, String)>,
    overwrite: bool,
    layout: Layout,
    /// That of the original.
    etag: Option<String>,
    /// The algorithm of the checksum that the original was stored with.
    checksum: Option<String>,
    /// How the server encrypted the original; the bucket decides how it does the copy.
    encryption: Option<String>,
    /// What the object is locked with; an upload in parts is not.
    locks: Option<Locks>,
    held: Option<W::Body>,
    parts: Option<Parts>,
}

/// An upload in parts: its id, and the ETags of the parts as the server wrote them.
struct Parts {
    id: String,
    etags: Vec<String>,
}

impl<W: Wire> Upload<W> {
    /// The next part.
    ///
    /// # Errors
    /// When the part before it cannot be sent.
    pub(crate) fn write(&mut self, part: W::Body) -> Result<()> {
        match self.held.replace(part) {
            Some(before) => self.send_part(before),
            None => Ok(()),
        }
    }

    /// The length of all parts but the last.
    pub(crate) const fn part_bytes(&self) -> u64 {
        self.layout.part_bytes
    }

    /// Publishes the object; names what it has not got of the original: the ETag, a lock.
    ///
    /// # Errors
    /// `precondition` when it exists and may not be overwritten; else the cause.
    pub(crate) fn finish(&mut self) -> Result<Vec<String>> {
        let made = self.publish()?;
        let differs = self.etag.is_some() && made.etag.is_some() && self.etag != made.etag;
        let mut lost: Vec<String> = differs.then(|| "s3.etag".to_owned()).into_iter().collect();
        lost.extend((!self.has_its_checksum(made.in_parts)).then(|| "s3.checksum-algorithm".to_owned()));
        let is_weaker = self.encryption.is_some() && self.encryption != made.encryption;
        lost.extend(is_weaker.then(|| "s3.sse".to_owned()));
        if let Some(locks) = self.locks.take() {
            lost.extend(self.bucket.unlocked(&locks, &self.target, &made, &self.action));
        }
        Ok(lost)
    }

    /// The host computes no other checksum than SHA-256, and of whole uploads only.
    fn has_its_checksum(&self, in_parts: bool) -> bool {
        self.checksum.as_deref().is_none_or(|algorithm| algorithm == SHA256 && !in_parts)
    }

    fn publish(&mut self) -> Result<Made> {
        let last = self.held.take();
        let in_parts = self.parts.is_some() || (self.layout.in_parts && last.is_some());
        if !in_parts {
            return self.put_whole(last);
        }
        if let Some(last) = last {
            self.send_part(last)?;
        }
        self.complete()
    }

    /// Ends an upload in parts without an object. A failure leaves parts that the bucket's lifecycle removes; nothing more can be done.
    pub(crate) fn abort(&mut self) {
        self.held = None;
        if let Some(Parts { id, .. }) = self.parts.take() {
            let _ = self.bucket.ask(request("DELETE", self.target.clone() + &upload_query(&id)), None, &self.action);
        }
    }

    /// Begins and ends an upload in parts, to find out whether it may.
    ///
    /// # Errors
    /// The cause, by class.
    pub(crate) fn rehearse(&mut self) -> Result<()> {
        self.parts = Some(Parts { id: self.begin()?, etags: Vec::new() });
        self.abort();
        Ok(())
    }

    fn put_whole(&self, body: Option<W::Body>) -> Result<Made> {
        let body = body.unwrap_or_else(|| self.bucket.wire.body_of(Vec::new()));
        let mut asked = self.conditional(self.with_headers(request("PUT", self.target.clone())));
        let locks = self.locks.as_ref().filter(|locks| !locks.is_none());
        if locks.is_some() || self.checksum.as_deref() == Some(SHA256) {
            asked = asked.with_header("x-amz-sdk-checksum-algorithm", "SHA256");
        }
        if let Some(locks) = locks {
            asked = locks.wish(asked);
        }
        let answer = self.bucket.ask(asked, Some(body), &self.action)?;
        Ok(Made::of(&answer.headers))
    }

    fn send_part(&mut self, part: W::Body) -> Result<()> {
        if self.parts.is_none() {
            self.parts = Some(Parts { id: self.begin()?, etags: Vec::new() });
        }
        let Some(parts) = &mut self.parts else { return Ok(()) };
        let number = parts.etags.len().saturating_add(1).to_string();
        let query = encode::query(&[("partNumber", Some(number.as_bytes())), ("uploadId", Some(parts.id.as_bytes()))]);
        let answer = self.bucket.ask(request("PUT", self.target.clone() + &query), Some(part), &self.action)?;
        let etag = answer.headers.get("etag").map(str::to_owned);
        let nameless = || {
            Error::new(
                ErrorClass::Corrupt,
                "s3.no-etag",
                format!("{} failed: the server does not name part {number}", self.action),
            )
        };
        parts.etags.push(etag.ok_or_else(nameless)?);
        Ok(())
    }

    fn begin(&self) -> Result<String> {
        let asked = self.with_headers(request("POST", self.target.clone() + "?uploads"));
        let answer = self.bucket.ask(asked, None, &self.action)?;
        let document = self.bucket.document(&answer, &BEGUN, DOCUMENT_BYTES_MAX, &self.action)?;
        let id = document.text_of("UploadId").map(str::trim).filter(|id| !id.is_empty());
        id.map(str::to_owned).ok_or_else(|| {
            Error::new(
                ErrorClass::Corrupt,
                "s3.no-upload-id",
                format!("{} failed: the server does not name the upload", self.action),
            )
        })
    }

    fn complete(&mut self) -> Result<Made> {
        let Some(parts) = &self.parts else { return Ok(Made::default()) };
        let part = |(etag, number): (&String, u32)| {
            format!("<Part><PartNumber>{number}</PartNumber><ETag>{}</ETag></Part>", escape(etag))
        };
        let listed: String = parts.etags.iter().zip(1..).map(part).collect();
        let document = format!(
            "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{listed}</CompleteMultipartUpload>"
        );
        let asked = self.conditional(request("POST", self.target.clone() + &upload_query(&parts.id)));
        let body = self.bucket.wire.body_of(document.into_bytes());
        let answer = self.bucket.ask(asked.with_header("content-type", "application/xml"), Some(body), &self.action)?;
        // The status is sent before the work is done, so that only the document tells whether it succeeded.
        let document = self.bucket.document(&answer, &COMPLETED, DOCUMENT_BYTES_MAX, &self.action)?;
        self.parts = None;
        let etag = document.text_of("ETag").and_then(normalise_etag);
        Ok(Made { etag, in_parts: true, ..Made::of(&answer.headers) })
    }

    fn with_headers(&self, asked: Request) -> Request {
        self.headers.iter().fold(asked, |asked, (name, value)| asked.with_header(name, value.clone()))
    }

    fn conditional(&self, asked: Request) -> Request {
        if self.overwrite { asked } else { asked.with_header("if-none-match", "*") }
    }
}

fn upload_query(id: &str) -> String {
    encode::query(&[("uploadId", Some(id.as_bytes()))])
}

/// What a server says of an object that it has taken.
#[derive(Debug, Default)]
pub(crate) struct Made {
    etag: Option<String>,
    encryption: Option<String>,
    in_parts: bool,
    pub(crate) version: Option<String>,
}

impl Made {
    fn of(headers: &Headers) -> Self {
        Self {
            etag: headers.get("etag").and_then(normalise_etag),
            encryption: headers.get("x-amz-server-side-encryption").map(str::to_owned),
            in_parts: false,
            version: headers.get("x-amz-version-id").filter(|id| *id != "null").map(str::to_owned),
        }
    }
}
