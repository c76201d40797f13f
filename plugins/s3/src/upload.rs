//! An object on its way to a bucket: whole in one request, or in parts.
//!
//! Owned here: what may be tried again without counting twice, and what the object turned out to lack. Refused here: which headers it is
//! written with (`destination`). Memory: the ETags of at most 10,000 parts.

use std::sync::atomic::Ordering;

use credenza_sdk::http::Request;
use credenza_sdk::{AttributeValue, Entry, Error, ErrorClass, Result, Writer};
use md5::{Digest as _, Md5};

use crate::attributes;
use crate::bucket::Bucket;
use crate::fault::{DOCUMENT_BYTES_MAX, NOT_IMPLEMENTED, NOT_TAKEN};
use crate::layout::Layout;
use crate::protect::Locks;
use crate::source::entry_of_head;
use crate::sum::{self, Sum};
use crate::wire::{Headers, Wire, request};
use credenza_sdk::etag;
use credenza_sdk::percent;
use credenza_sdk::xml::escape;

/// Roots of the documents that begin and complete an upload in parts: S3's own first, then what a server built on gofakes3 says.
const BEGUN: [&str; 2] = ["InitiateMultipartUploadResult", "InitiateMultipartUpload"];
const COMPLETED: [&str; 2] = ["CompleteMultipartUploadResult", "CompleteMultipartUpload"];

/// An object on its way. What fits one part needs one request and no upload in parts.
pub(crate) struct Upload<W: Wire> {
    pub(crate) bucket: Bucket<W>,
    pub(crate) target: String,
    pub(crate) action: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) overwrite: bool,
    pub(crate) layout: Layout,
    /// That of the original.
    pub(crate) etag: Option<String>,
    /// The checksum that the original was stored with.
    pub(crate) sum: Option<Sum>,
    /// It was refused with its checksum.
    pub(crate) without_sum: bool,
    /// How the server encrypted the original; the bucket decides how it does the copy.
    pub(crate) encryption: Option<String>,
    /// What the object is locked with.
    pub(crate) locks: Option<Locks>,
    pub(crate) parts: Option<Parts>,
    /// A completion whose answer did not come may have been carried out.
    pub(crate) asked_to_complete: bool,
}

/// An upload in parts.
pub(crate) struct Parts {
    id: String,
    /// Of the parts that were sent, as the server wrote them.
    etags: Vec<String>,
    /// Their checksums, where they were asked for and the server states them.
    sums: Vec<Option<String>>,
    /// The last one is among them.
    all_sent: bool,
}

impl Parts {
    const fn new(id: String) -> Self {
        Self { id, etags: Vec::new(), sums: Vec::new(), all_sent: false }
    }

    /// The ETag of the whole, where those of the parts are MD5s (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html>, ETag).
    fn etag(&self) -> Option<String> {
        let digests: Option<Vec<Vec<u8>>> =
            self.etags.iter().map(|etag| attributes::md5_of(&etag::bare(etag)?)).collect();
        let digest = Md5::digest(digests?.concat());
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Some(format!("{hex}-{}", self.etags.len()))
    }
}

impl<W: Wire> Writer<W::Body> for Upload<W> {
    fn part_bytes(&self) -> Option<u64> {
        Some(self.layout.part_bytes)
    }

    fn write(&mut self, part: W::Body) -> Result<()> {
        if self.parts.is_none() {
            self.parts = Some(Parts::new(self.begin()?));
        }
        self.send_part(part)
    }

    /// Names what the object has not got of the original: the ETag, a lock, what a folder forgets.
    fn finish(&mut self, last: W::Body) -> Result<Vec<String>> {
        let made = self.publish(last)?;
        let differs = self.etag.is_some() && self.etag != made.etag;
        let mut lost: Vec<String> = differs.then(|| "s3.etag".to_owned()).into_iter().collect();
        lost.extend(self.lacks_sum(&made).then(|| sum::ATTRIBUTE.to_owned()));
        let is_weaker = self.encryption.is_some() && self.encryption != made.encryption;
        lost.extend(is_weaker.then(|| "s3.sse".to_owned()));
        if let Some(locks) = self.locks.take() {
            lost.extend(self.bucket.unlocked(&locks, &self.target, made.version.as_deref(), &self.action));
        }
        lost.extend(self.forgotten_by_a_folder());
        Ok(lost)
    }

    /// A failure leaves parts that the bucket's lifecycle removes; nothing more can be done.
    fn abort(&mut self) {
        if let Some(Parts { id, .. }) = self.parts.take() {
            let _ = self.bucket.ask(request("DELETE", self.target.clone() + &upload_query(&id)), None, &self.action);
        }
    }
}

impl<W: Wire> Upload<W> {
    /// A server that keeps keys as paths makes a folder of a key that ends with `/`, and may keep no attributes of it.
    fn forgotten_by_a_folder(&self) -> Vec<String> {
        if !self.target.ends_with('/') || self.headers.is_empty() {
            return Vec::new();
        }
        let Ok(found) = self.bucket.ask(request("HEAD", self.target.clone()), None, &self.action) else {
            return Vec::new();
        };
        let (mut wished, mut kept) = (Vec::new(), Vec::new());
        attributes::complete(&mut wished, &Headers(self.headers.clone()), None);
        attributes::complete(&mut kept, &found.headers, None);
        let is_lost = |attribute: &(String, AttributeValue)| !kept.contains(attribute);
        wished.into_iter().filter(is_lost).map(|(name, _)| name).collect()
    }

    /// Whether the object has no checksum of the kind that the original had.
    fn lacks_sum(&self, made: &Made) -> bool {
        let Some(sum) = &self.sum else { return false };
        if !made.in_parts {
            return !made.has_sum;
        }
        let differs = sum.tells_parts() && self.etag.is_some() && self.etag != made.etag;
        let value = made.sum.clone().or_else(|| self.stored_sum(sum));
        differs || !value.is_some_and(|value| sum.is_like(&value))
    }

    /// What the server says of the object that it has put together.
    fn stored_sum(&self, sum: &Sum) -> Option<String> {
        let asked = request("HEAD", self.target.clone()).with_header("x-amz-checksum-mode", "ENABLED");
        sum.value_in(&self.bucket.ask(asked, None, &self.action).ok()?.headers)
    }

    /// The checksum to write it with: its own, or one that a lock demands.
    fn sum_to_send(&self) -> Option<Sum> {
        self.own_sum().or_else(|| self.wished_locks().map(|_| Sum::of_locked()))
    }

    fn own_sum(&self) -> Option<Sum> {
        let is_unwanted = self.without_sum || self.bucket.refuses_sums.load(Ordering::Relaxed);
        self.sum.clone().filter(|sum| sum.is_known() && !is_unwanted)
    }

    /// A server that does not know an algorithm may refuse what comes with it: that is then to be written without, at the next try.
    fn unless_without_sum(&mut self, error: Error) -> Error {
        let is_refusal = matches!(error.reason.as_str(), NOT_IMPLEMENTED | NOT_TAKEN);
        if !is_refusal || self.own_sum().is_none() || self.wished_locks().is_some() {
            return error;
        }
        self.without_sum = true;
        Error { class: ErrorClass::Transient, ..error }
    }

    /// It was taken, perhaps only without its checksum: so will others be.
    fn note_taken(&self) {
        self.bucket.refuses_sums.fetch_or(self.without_sum, Ordering::Relaxed);
    }

    fn wished_locks(&self) -> Option<&Locks> {
        self.locks.as_ref().filter(|locks| !locks.is_none())
    }

    fn publish(&mut self, last: W::Body) -> Result<Made> {
        let is_empty = self.bucket.wire.length(&last) == Some(0);
        if self.parts.is_none() && (is_empty || !self.layout.in_parts) {
            return self.put_whole(last);
        }
        if !is_empty && !self.parts.as_ref().is_some_and(|parts| parts.all_sent) {
            self.write(last)?;
        }
        self.complete()
    }

    /// Begins and ends an upload in parts, to find out whether it may.
    ///
    /// # Errors
    /// The cause, by class.
    pub(crate) fn rehearse(&mut self) -> Result<()> {
        self.parts = Some(Parts::new(self.begin()?));
        self.abort();
        Ok(())
    }

    fn put_whole(&mut self, body: W::Body) -> Result<Made> {
        let mut asked = self.conditional(self.with_headers(request("PUT", self.target.clone())));
        if let Some(sum) = self.sum_to_send() {
            asked = sum.ask_for(asked);
        }
        if let Some(locks) = self.wished_locks() {
            asked = locks.wish(asked);
        }
        let has_sum = self.own_sum().is_some();
        match self.bucket.ask_to_take(asked, body, &self.action) {
            Ok(answer) => {
                self.note_taken();
                Ok(Made { has_sum, ..Made::of(&answer.headers) })
            }
            Err(error) if error.class == ErrorClass::Precondition => Err(self.unless_nothing_is_there(error)),
            Err(error) => Err(self.unless_without_sum(error)),
        }
    }

    /// A server that keeps keys as paths may say that `a` exists where only `a/b` does, or make a mark of the folder `a/` by itself: the object
    /// is then to be written without the condition, at the next try.
    fn unless_nothing_is_there(&mut self, error: Error) -> Error {
        let is_nothing = match self.bucket.ask(request("HEAD", self.target.clone()), None, &self.action) {
            Ok(found) => is_bare_mark(&entry_of_head(self.target.as_bytes(), &found)),
            Err(error) => error.class == ErrorClass::NotFound,
        };
        if self.overwrite || !is_nothing {
            return error;
        }
        self.overwrite = true;
        Error { class: ErrorClass::Transient, ..error }
    }

    fn send_part(&mut self, part: W::Body) -> Result<()> {
        let sum = self.sum_to_send();
        let Some(parts) = &mut self.parts else { return Ok(()) };
        let number = parts.etags.len().saturating_add(1).to_string();
        let query = percent::query(&[("partNumber", Some(number.as_bytes())), ("uploadId", Some(parts.id.as_bytes()))]);
        let asked = request("PUT", self.target.clone() + &query);
        let asked = sum.as_ref().map_or(asked.clone(), |sum| sum.ask_for(asked));
        let answer = self.bucket.ask(asked, Some(part), &self.action)?;
        let etag = answer.headers.get("etag").map(str::to_owned);
        let nameless = || {
            Error::new(
                ErrorClass::Corrupt,
                "s3.no-etag",
                format!("{} failed: the server does not name part {number}", self.action),
            )
        };
        parts.etags.push(etag.ok_or_else(nameless)?);
        parts.sums.push(sum.and_then(|sum| sum.value_in(&answer.headers)));
        Ok(())
    }

    fn begin(&mut self) -> Result<String> {
        let mut asked = self.with_headers(request("POST", self.target.clone() + "?uploads"));
        if let Some(sum) = self.sum_to_send() {
            asked = sum.announce(asked);
        }
        if let Some(locks) = self.wished_locks() {
            asked = locks.wish(asked);
        }
        let answer = self.bucket.ask(asked, None, &self.action).map_err(|error| self.unless_without_sum(error))?;
        self.note_taken();
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
        let element = self.sum_to_send().map(|sum| sum.element()).unwrap_or_default();
        let Some(parts) = &mut self.parts else { return Ok(Made::default()) };
        parts.all_sent = true;
        let part = |((etag, sum), number): ((&String, &Option<String>), u32)| {
            let sum = sum.as_ref().map(|sum| format!("<{element}>{}</{element}>", escape(sum))).unwrap_or_default();
            format!("<Part><PartNumber>{number}</PartNumber><ETag>{}</ETag>{sum}</Part>", escape(etag))
        };
        let listed: String = parts.etags.iter().zip(&parts.sums).zip(1..).map(part).collect();
        let document = format!(
            "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{listed}</CompleteMultipartUpload>"
        );
        let target = self.target.clone() + &upload_query(&parts.id);
        let asked = self.conditional(request("POST", target));
        let body = self.bucket.wire.body_of(document.into_bytes());
        let made = match self.send_completion(asked.with_header("content-type", "application/xml"), body) {
            Err(error) if matches!(error.class, ErrorClass::NotFound | ErrorClass::Precondition) => {
                self.completed_before().ok_or(error)
            }
            made => made,
        };
        match &made {
            Ok(_) => self.parts = None,
            Err(error) => self.asked_to_complete |= error.class == ErrorClass::Transient,
        }
        made
    }

    fn send_completion(&self, asked: Request, document: W::Body) -> Result<Made> {
        let answer = self.bucket.ask(asked, Some(document), &self.action)?;
        // The status is sent before the work is done, so that only the document tells whether it succeeded.
        let document = self.bucket.document(&answer, &COMPLETED, DOCUMENT_BYTES_MAX, &self.action)?;
        let etag = document.text_of("ETag").and_then(etag::bare);
        let sum = self.sum.as_ref().and_then(|sum| document.text_of(&sum.element())).map(|sum| sum.trim().to_owned());
        Ok(Made { etag, in_parts: true, sum, ..Made::of(&answer.headers) })
    }

    /// The object that these parts became at an earlier try, whose answer was lost.
    fn completed_before(&self) -> Option<Made> {
        let etag = self.parts.as_ref().filter(|_| self.asked_to_complete)?.etag()?;
        let found = self.bucket.ask(request("HEAD", self.target.clone()), None, &self.action).ok()?;
        let made = Made { in_parts: true, ..Made::of(&found.headers) };
        (made.etag.as_ref() == Some(&etag)).then_some(made)
    }

    fn with_headers(&self, asked: Request) -> Request {
        self.headers.iter().fold(asked, |asked, (name, value)| asked.with_header(name, value.clone()))
    }

    fn conditional(&self, asked: Request) -> Request {
        if self.overwrite { asked } else { asked.with_header("if-none-match", "*") }
    }
}

fn upload_query(id: &str) -> String {
    percent::query(&[("uploadId", Some(id.as_bytes()))])
}

/// Whether an object is the mark of a folder and nothing more: a server that keeps keys as paths makes such marks by itself, and nothing is
/// lost with one.
pub(crate) fn is_bare_mark(there: &Entry) -> bool {
    let is_of_a_user = |name: &str| ["user.", "tree.", "s3.tag"].iter().any(|own| name.starts_with(own));
    there.key.ends_with(b"/")
        && there.size.unwrap_or(0) == 0
        && !there.attributes.iter().any(|(name, _)| is_of_a_user(name))
}

/// What a server says of an object that it has taken.
#[derive(Debug, Default)]
pub(crate) struct Made {
    etag: Option<String>,
    encryption: Option<String>,
    in_parts: bool,
    /// What was sent whole came with its own checksum.
    has_sum: bool,
    /// The checksum that the completion of an upload in parts states.
    sum: Option<String>,
    pub(crate) version: Option<String>,
}

impl Made {
    fn of(headers: &Headers) -> Self {
        Self {
            etag: headers.get("etag").and_then(etag::bare),
            encryption: headers.get("x-amz-server-side-encryption").map(str::to_owned),
            in_parts: false,
            has_sum: false,
            sum: None,
            version: headers.get("x-amz-version-id").filter(|id| *id != "null").map(str::to_owned),
        }
    }
}
