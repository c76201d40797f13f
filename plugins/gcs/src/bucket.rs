//! A bucket that answers: requests whose failures are errors, documents that are documents, pages of a listing.

use credenza_sdk::http::Request;
use credenza_sdk::{Config, Connector, Error, ErrorClass, Problem, Result};
use serde_json::Value;

use crate::fault::{self, Failure};
use crate::listing::{PAGE_BYTES_MAX, Page, Question};
use crate::place::{self, Place};
use crate::wire::{Answer, Endpoint, Host, Wire};
pub(crate) use credenza_sdk::shown;

/// Longest document of one object or bucket: metadata of 8 KiB with each byte escaped, a policy of 1,500 members.
pub(crate) const DOCUMENT_BYTES_MAX: usize = 1024 * 1024;

/// A session: the place and the way to it.
#[derive(Debug, Clone)]
pub struct Bucket<W> {
    pub(crate) place: Place,
    pub(crate) wire: W,
}

impl Connector for Bucket<Host> {
    fn open(config: &Config) -> Result<Self> {
        Ok(Self::new(config, Host))
    }

    fn validate(config: &Config) -> Vec<Problem> {
        place::problems(config)
    }
}

impl<W: Wire> Bucket<W> {
    /// The bucket that the settings name; no request is sent.
    pub fn new(config: &Config, wire: W) -> Self {
        Self { place: Place::of(config), wire }
    }

    /// Sends a request; `action` names it for a person, as in `reading "a/b"`.
    ///
    /// # Errors
    /// Any status but success, explained.
    pub(crate) fn ask(&self, request: Request, body: Option<W::Body>, action: &str) -> Result<Answer<W::Body>> {
        let answer = self.wire.send(request, body)?;
        if answer.is_success() { Ok(answer) } else { Err(self.explain(&answer, action)) }
    }

    /// The error in a failed answer.
    pub(crate) fn explain(&self, answer: &Answer<W::Body>, action: &str) -> Error {
        // A document that breaks off says less; the status remains.
        let (body, _) = self.wire.read_up_to(&answer.body, fault::ERROR_BYTES_MAX).unwrap_or_default();
        let place = self.place.bucket_name();
        fault::classify(&Failure {
            status: answer.status,
            headers: &answer.headers,
            body: &body,
            action,
            place: &place,
        })
    }

    /// The document of a successful answer.
    ///
    /// # Errors
    /// `corrupt` when it is longer than [`DOCUMENT_BYTES_MAX`], or no document.
    pub(crate) fn document(&self, answer: &Answer<W::Body>, action: &str) -> Result<Value> {
        let (bytes, is_whole) = self.wire.read_up_to(&answer.body, DOCUMENT_BYTES_MAX)?;
        let document = serde_json::from_slice(&bytes).ok().filter(|document: &Value| is_whole && document.is_object());
        let not_gcs = |found: &str| fault::not_gcs(action, &self.place.bucket_name(), found);
        let document: Value = document.ok_or_else(|| not_gcs("something that is no document of JSON"))?;
        if document.get("error").is_some() {
            return Err(not_gcs("an error that is said to be a success"));
        }
        Ok(document)
    }

    /// Sends a request and reads the document of its answer.
    ///
    /// # Errors
    /// As [`Self::ask`] and [`Self::document`].
    pub(crate) fn ask_for_document(&self, request: Request, action: &str) -> Result<Value> {
        let answer = self.ask(request, None, action)?;
        self.document(&answer, action)
    }

    /// A page of a listing; the first one, or the one that a token names.
    ///
    /// # Errors
    /// When the bucket cannot be listed, or the answer is no page.
    pub(crate) fn page(&self, question: &Question, token: Option<&str>) -> Result<Page> {
        let action = "listing";
        let mut objects = question.page_objects();
        let document = loop {
            let asked = Endpoint::Objects.request("GET", question.target(token, objects));
            let answer = self.ask(asked, None, action).map_err(|error| self.missing(error))?;
            let (bytes, is_whole) = self.wire.read_up_to(&answer.body, PAGE_BYTES_MAX)?;
            match is_whole {
                true => break serde_json::from_slice(&bytes).unwrap_or(Value::Null),
                // Objects may have metadata of such length that fewer of them make a page.
                false if objects > 1 => objects = objects.div_ceil(10),
                false => return Err(fault::not_gcs(action, &self.place.bucket_name(), "a page without an end")),
            }
        };
        let page = question
            .read_page(document)
            .map_err(|broken| fault::not_gcs(action, &self.place.bucket_name(), &broken.to_string()))?;
        if page.next.is_some() && page.next.as_deref() == token {
            let message = format!(
                "listing failed: {} never ends its listing: a page names itself as the next",
                self.place.bucket_name()
            );
            return Err(Error::new(ErrorClass::Corrupt, "gcs.endless-listing", message));
        }
        Ok(page)
    }

    /// A listing has no object that could be missing: it is the bucket.
    pub(crate) fn missing(&self, error: Error) -> Error {
        if error.class != ErrorClass::NotFound {
            return error;
        }
        let message = format!("listing failed: {} does not exist; check its name", self.place.bucket_name());
        Error::new(ErrorClass::Configuration, fault::NO_BUCKET, message)
    }

    /// The error of a write to a bucket that is read as it was.
    pub(crate) fn of_the_past(&self, action: &str) -> Error {
        let message =
            format!("{action} failed: the bucket is read as it was (as_of), which nobody can change; leave as_of out");
        Error::new(ErrorClass::Denied, "gcs.past", message)
    }
}
