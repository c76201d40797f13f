//! The bytes of an object as they are stored, also from servers that hand out decoded what is stored with an encoding.
//!
//! Google's and Cloudflare's stores, and caches before others, decode an object with `Content-Encoding: gzip` for who does not say that he
//! takes it; caches may also encode what is stored plain for who does. So plain bytes are asked for first, and where what comes is not as long as
//! what was listed, the object is asked for once more with its encoding.

use std::sync::atomic::Ordering;

use credenza_sdk::range::Part;
use credenza_sdk::{Entry, Error, ErrorClass, Result};

use crate::attributes;
use crate::bucket::Bucket;
use crate::listing::etag_of;
use crate::wire::{Answer, Wire};
use credenza_sdk::etag;

/// An answer with the content of an object, or a part of it.
pub(crate) struct Content<B> {
    pub(crate) answer: Answer<B>,
    /// Of the answer, when it is known.
    pub(crate) length: Option<u64>,
    /// The bytes are not those that are stored: what is stated of these does not hold for them.
    pub(crate) is_decoded: bool,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    Encoded,
}

impl Form {
    const fn word(self) -> &'static str {
        match self {
            Self::Plain => "identity",
            Self::Encoded => "gzip",
        }
    }
}

impl<W: Wire> Bucket<W> {
    /// Asks for the content of an object, which must have the ETag still.
    ///
    /// # Errors
    /// `precondition` when it has not, or when the server decodes it whatever is asked for: without a condition the decoded bytes are taken.
    pub(crate) fn content(
        &self,
        entry: &Entry,
        part: Part,
        etag: Option<&str>,
        action: &str,
    ) -> Result<Content<W::Body>> {
        let in_form = |form: Form| {
            let asked = self.read_request(entry, part).with_header("accept-encoding", form.word());
            self.ask_for_unchanged(asked, etag, action).map(|answer| self.content_of(answer))
        };
        if !part.is_whole() {
            let is_encoded = attributes::text_of(entry, "http.content-encoding").is_some();
            return in_form(if is_encoded { Form::Encoded } else { Form::Plain });
        }
        let plain = in_form(Form::Plain)?;
        if !self.may_be_decoded(entry, &plain) {
            return Ok(plain);
        }
        let encoded = in_form(Form::Encoded)?;
        if encoded.length == entry.size {
            return Ok(encoded);
        }
        self.hides_lengths.fetch_or(plain.length.is_none() && encoded.length.is_none(), Ordering::Relaxed);
        match plain.length {
            // Nothing contradicts what was listed; the checksum will tell.
            None => Ok(plain),
            Some(_) if etag.is_some() => Err(decoded(action)),
            Some(_) => Ok(Content { is_decoded: true, ..plain }),
        }
    }

    fn content_of(&self, answer: Answer<W::Body>) -> Content<W::Body> {
        let length = self.wire.length(&answer.body).or_else(|| answer.headers.number("content-length"));
        Content { answer, length, is_decoded: false }
    }

    /// Whether it is the object that was listed, in a length that is unknown or another. One that was replaced is none.
    fn may_be_decoded(&self, entry: &Entry, content: &Content<W::Body>) -> bool {
        let listed = entry.fingerprint.as_deref().and_then(etag_of);
        let reported = content.answer.headers.get("etag").and_then(etag::bare);
        let is_same = listed.zip(reported.as_deref()).is_none_or(|(listed, reported)| listed == reported);
        let is_unknown = content.length.is_none() && !self.hides_lengths.load(Ordering::Relaxed);
        is_same
            && entry.size.is_some()
            && (is_unknown || content.length.is_some_and(|length| entry.size != Some(length)))
    }
}

fn decoded(action: &str) -> Error {
    let message = format!("{action} failed: the server hands it out decoded, and not as it is stored");
    Error::new(ErrorClass::Precondition, "s3.decoded", message)
}
