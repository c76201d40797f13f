//! A bucket to restore to: whole objects in one request, large ones in parts.

use credenza_sdk::http::Request;
use credenza_sdk::{AttributeValue, DestinationInfo, Entry, EntryKind, Error, ErrorClass, Result};

use crate::bucket::{Bucket, shown};
use crate::fault::DOCUMENT_BYTES_MAX;
use crate::listing::normalise_etag;
use crate::source::entry_of_head;
use crate::wire::{Answer, Wire, request};
use crate::xml::escape;
use crate::{attributes, encode};

/// Most parts of an upload (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>).
const PARTS_MAX: u32 = 10_000;

/// Roots of the documents that begin and complete an upload in parts: S3's own first, then what a server built on gofakes3 says.
const BEGUN: [&str; 2] = ["InitiateMultipartUploadResult", "InitiateMultipartUpload"];
const COMPLETED: [&str; 2] = ["CompleteMultipartUploadResult", "CompleteMultipartUpload"];

impl<W: Wire> Bucket<W> {
    /// What the destination says of itself.
    pub(crate) fn destination_info(&self) -> DestinationInfo {
        DestinationInfo {
            identity: self.place.identity(),
            namespace: "flat".to_owned(),
            traits: ["atomic-finish", "raw-names", "own-times", "attributes:http", "attributes:s3"]
                .map(str::to_owned)
                .to_vec(),
            part_bytes: Some(self.place.part_bytes),
            max_parts: Some(PARTS_MAX),
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

    /// Begins an object. A folder is complete at once: a bucket has none.
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
            EntryKind::File if entry.version.as_ref().is_none_or(|version| !version.deleted) => {}
            _ => {
                return unsupported(
                    "s3.no-object",
                    "a bucket holds objects only, no links, devices or delete markers".to_owned(),
                );
            }
        }
        let bytes_max = self.place.part_bytes.saturating_mul(u64::from(PARTS_MAX));
        if entry.size.is_some_and(|size| size > bytes_max) {
            return unsupported(
                "s3.too-many-parts",
                format!("more than {PARTS_MAX} parts of part_size={}; raise part_size", self.place.part_bytes),
            );
        }
        // Some servers ignore `If-None-Match` and would overwrite without a word; the header then only closes the gap between
        // this look and the write on those that heed it.
        if !overwrite && self.look(&entry.key)?.is_some() {
            let message = format!("{action} failed: the object exists, and may not be overwritten");
            return Err(Error::new(ErrorClass::Precondition, "s3.exists", message));
        }
        let headers = self.headers_of(entry);
        Ok(Some(Upload {
            bucket: self.clone(),
            target: self.place.object(&entry.key),
            action,
            headers,
            overwrite,
            held: None,
            parts: None,
        }))
    }

    fn headers_of(&self, entry: &Entry) -> Vec<(String, String)> {
        let (mut headers, _) = attributes::restore(&entry.attributes);
        let kept = entry.attributes.iter().find_map(|(name, value)| match value {
            AttributeValue::Text(class) if name == "s3.storage-class" => Some(class.as_str()),
            _ => None,
        });
        let class =
            if self.place.storage_class.is_empty() { kept.unwrap_or_default() } else { &self.place.storage_class };
        if !class.is_empty() && class != "STANDARD" {
            headers.push(("x-amz-storage-class".to_owned(), class.to_owned()));
        }
        headers
    }
}

/// The names of the attributes that an object cannot have.
pub(crate) fn lost(entry: &Entry) -> Vec<String> {
    attributes::restore(&entry.attributes).1
}

/// An object on its way. The last part is held back, so that an object of one part needs one request and no upload in parts.
pub(crate) struct Upload<W: Wire> {
    bucket: Bucket<W>,
    target: String,
    action: String,
    headers: Vec<(String, String)>,
    overwrite: bool,
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

    /// Publishes the object; returns its ETag.
    ///
    /// # Errors
    /// `precondition` when it exists and may not be overwritten; else the cause.
    pub(crate) fn finish(&mut self) -> Result<Option<String>> {
        let last = self.held.take();
        if self.parts.is_none() {
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

    fn put_whole(&self, body: Option<W::Body>) -> Result<Option<String>> {
        let body = body.unwrap_or_else(|| self.bucket.wire.body_of(Vec::new()));
        let asked = self.conditional(self.with_headers(request("PUT", self.target.clone())));
        let answer = self.bucket.ask(asked, Some(body), &self.action)?;
        Ok(etag(&answer))
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

    fn complete(&mut self) -> Result<Option<String>> {
        let Some(parts) = &self.parts else { return Ok(None) };
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
        Ok(document.text_of("ETag").and_then(normalise_etag))
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

fn etag<B>(answer: &Answer<B>) -> Option<String> {
    answer.headers.get("etag").and_then(normalise_etag)
}
