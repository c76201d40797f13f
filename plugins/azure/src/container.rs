//! A container that requests are sent to: asking, explaining failures, and reading pages of its listing.

use credenza_sdk::http::Request;
use credenza_sdk::xml::Element;
use credenza_sdk::{Config, Error, ErrorClass, Result, Timestamp, time};

use crate::fault::{self, Failure, shown};
use crate::listing::{PAGE_BYTES_MAX, Page, PageError, Question};
use crate::place::Place;
use crate::wire::{Answer, Wire, request};

/// A container and the way to it.
#[derive(Debug, Clone)]
pub struct Container<W> {
    pub(crate) place: Place,
    pub(crate) wire: W,
}

/// The status of what was written.
const CREATED: u16 = 201;

impl<W: Wire> Container<W> {
    /// The container that the settings name; no request is sent.
    pub fn new(config: &Config, wire: W) -> Self {
        Self { place: Place::of(config), wire }
    }

    /// Sends a request; `action` names it for a person, as in `reading "a/b"`.
    ///
    /// # Errors
    /// Any status but success, explained.
    pub(crate) fn ask(&self, asked: Request, body: Option<W::Body>, action: &str) -> Result<Answer<W::Body>> {
        // Every request is dated; where the account's key signs, the host does it.
        let dated = asked.with_header("x-ms-date", time::format_http(self.now()));
        let answer = self.wire.send(dated, body)?;
        if answer.is_success() {
            return Ok(answer);
        }
        // A document that breaks off says less; the status remains.
        let (body, _) = self.wire.read_up_to(&answer.body, fault::DOCUMENT_BYTES_MAX).unwrap_or_default();
        let (status, headers) = (answer.status, &answer.headers);
        let (place, login) = (self.place.name(), self.place.login.as_str());
        Err(fault::classify(&Failure { status, headers, body: &body, action, place: &place, login }))
    }

    /// The answer to a request that writes, which is 201 where the service took it
    /// (<https://learn.microsoft.com/rest/api/storageservices/put-blob>): a page of a portal on the way says 200.
    ///
    /// # Errors
    /// As for `ask`; `corrupt` for another success.
    pub(crate) fn ask_to_take(&self, asked: Request, body: W::Body, action: &str) -> Result<Answer<W::Body>> {
        let answer = self.ask(asked, Some(body), action)?;
        if answer.status == CREATED {
            return Ok(answer);
        }
        let found = format!("status {}", answer.status);
        Err(fault::not_azure(action, &self.place.name(), "201, of what it took,", &found))
    }

    /// The answer to a request for a blob, which has its tag: no page of a portal and no document of an error has one.
    ///
    /// # Errors
    /// As for `ask`; `corrupt` for something else than a blob.
    pub(crate) fn ask_for_blob(&self, asked: Request, action: &str) -> Result<Answer<W::Body>> {
        let answer = self.ask(asked, None, action)?;
        if answer.headers.get("etag").is_some() {
            return Ok(answer);
        }
        Err(fault::not_azure(action, &self.place.name(), "a blob", "something without its tag"))
    }

    /// The time, by the host's clock.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp { seconds: self.wire.now_seconds(), nanoseconds: 0 }
    }

    /// The document of a successful answer, whose root has that name.
    ///
    /// # Errors
    /// `corrupt` when it is longer than `bytes_max`, or something else.
    pub(crate) fn document(
        &self,
        answer: &Answer<W::Body>,
        root: &str,
        bytes_max: usize,
        action: &str,
    ) -> Result<Element> {
        let not_azure = |found: &str| fault::not_azure(action, &self.place.name(), root, found);
        let (bytes, whole) = self.wire.read_up_to(&answer.body, bytes_max)?;
        if !whole {
            return Err(not_azure(&format!("more than {bytes_max} bytes")));
        }
        let document = Element::parse(&bytes).ok_or_else(|| not_azure("no XML"))?;
        if document.name == root {
            return Ok(document);
        }
        Err(not_azure(&format!("`{}`", document.name.escape_debug())))
    }

    /// A page of the listing.
    ///
    /// # Errors
    /// `configuration` when the container is not there, `corrupt` when the answer is no page.
    pub(crate) fn page(&self, question: &Question, marker: Option<&str>) -> Result<Page> {
        let action = "listing";
        let answer =
            self.ask(request("GET", question.target(marker)), None, action).map_err(|error| self.missing(error))?;
        let document = self.document(&answer, "EnumerationResults", PAGE_BYTES_MAX, action)?;
        let page = question.read_page(&document).map_err(|broken| {
            let found = match broken {
                PageError::WrongRoot(root) => format!("`{}`", root.escape_debug()),
                PageError::NoEnd => "a page that does not say whether it goes on".to_owned(),
                PageError::NoName => "a blob without a name".to_owned(),
                PageError::Lacks { name, field } => format!("{} without its {field}", shown(&name)),
            };
            fault::not_azure(action, &self.place.name(), "a page", &found)
        })?;
        if page.next.is_some() && page.next.as_deref() == marker {
            let message = format!(
                "listing failed: {} never ends its listing: a page names itself as the next",
                self.place.name()
            );
            return Err(Error::new(ErrorClass::Corrupt, "azure.endless-listing", message));
        }
        Ok(page)
    }

    /// A listing has no blob that could be missing: it is the container.
    fn missing(&self, error: Error) -> Error {
        if error.class != ErrorClass::NotFound {
            return error;
        }
        let message = format!("listing failed: {} does not exist; check its name and the account", self.place.name());
        Error::new(ErrorClass::Configuration, fault::NO_CONTAINER, message)
    }

    /// Makes the container, private, where the settings wish for it and it is not there.
    ///
    /// # Errors
    /// The cause, by class; one that is there is made.
    pub(crate) fn create_if_wished(&self) -> Result<()> {
        if !self.place.create_container {
            return Ok(());
        }
        let asked = request("PUT", "?restype=container");
        match self.ask(asked, Some(self.wire.body_of(Vec::new())), "creating the container") {
            Err(error) if error.reason == fault::CONTAINER_EXISTS => Ok(()),
            // Whoever may not make one may be able to write into it; the first write finds out.
            Err(error) if error.class == ErrorClass::Denied => Ok(()),
            created => created.map(drop),
        }
    }
}
