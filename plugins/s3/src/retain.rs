//! Object Lock: headers that lock with the PUT, and PutObjectRetention for what exists.
//!
//! Always in the mode that nobody can lift (`COMPLIANCE`): a stolen key must not be able to, and neither must its owner.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use credenza_sdk::http::Request;
use credenza_sdk::{ErrorClass, Result, Timestamp};
use md5::{Digest, Md5};

use crate::bucket::{Bucket, shown};
use crate::wire::{Headers, Wire, request};
use credenza_sdk::xml::Element;
use credenza_sdk::{percent, time};

const MODE: &str = "COMPLIANCE";
/// Longest document that is looked at: a mode and a time.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// The PUT that locks what it writes. S3 insists on a digest beside the signature then; the host knows it.
pub(crate) fn lock(put: Request, until: Timestamp) -> Request {
    put.with_header("x-amz-object-lock-mode", MODE)
        .with_header("x-amz-object-lock-retain-until-date", time::format_iso(until))
        .with_header("x-amz-sdk-checksum-algorithm", "SHA256")
}

/// Until when an object is locked, as the answer to a HEAD says; a lock that can be lifted is none.
pub(crate) fn locked_until(headers: &Headers) -> Option<Timestamp> {
    headers.get("x-amz-object-lock-mode").filter(|mode| *mode == MODE)?;
    time::parse_iso(headers.get("x-amz-object-lock-retain-until-date")?)
}

impl<W: Wire> Bucket<W> {
    /// Extends the lock of an object, or of one version of it.
    ///
    /// # Errors
    /// `not-found` when there is none; else the cause.
    pub(crate) fn extend_lock(&self, key: &str, version: Option<&str>, until: Timestamp) -> Result<()> {
        let action = format!("locking {}", shown(key.as_bytes()));
        if self.place.as_of().is_some() {
            return Err(self.of_the_past(&action));
        }
        let version = version.map(|id| ("versionId", Some(id.as_bytes())));
        let query = percent::query(&[Some(("retention", None)), version].into_iter().flatten().collect::<Vec<_>>());
        let target = self.place.object(key.as_bytes()) + &query;
        let body = document(until).into_bytes();
        let asked = request("PUT", target.clone())
            .with_header("content-md5", BASE64.encode(Md5::digest(&body)))
            .with_header("content-type", "application/xml");
        match self.ask(asked, Some(self.wire.body_of(body)), &action) {
            // Shortening a lock is refused like a lack of rights.
            Err(refused) if refused.class == ErrorClass::Denied && self.lasts(target, until, &action) => Ok(()),
            other => other.map(drop),
        }
    }

    /// Whether an object is locked until then already.
    fn lasts(&self, target: String, until: Timestamp, action: &str) -> bool {
        let answer = self.ask(request("GET", target), None, action);
        let document = answer.and_then(|answer| self.document(&answer, &["Retention"], ANSWER_BYTES_MAX, action));
        document.is_ok_and(|lock| end_of(&lock).is_some_and(|end| end.seconds >= until.seconds))
    }
}

fn document(until: Timestamp) -> String {
    format!(
        "<Retention xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Mode>{MODE}</Mode><RetainUntilDate>{}</RetainUntilDate></Retention>",
        time::format_iso(until)
    )
}

fn end_of(lock: &Element) -> Option<Timestamp> {
    lock.text_of("Mode").filter(|mode| *mode == MODE)?;
    time::parse_iso(lock.text_of("RetainUntilDate")?)
}
