//! A container that holds a repository.

use credenza_sdk::http::Request;
use credenza_sdk::range::Part;
use credenza_sdk::{
    ByteRange, Check, Error, ErrorClass, Object, Page, PutOptions, Result, Store, StoreInfo, Stored, Timestamp, etag,
    percent, time,
};

use crate::container::Container;
use crate::fault::{self, shown};
use crate::listing::{PAGE_BLOBS_MAX, Question};
use crate::wire::{Headers, Wire, request};
use crate::{attributes, locks};

/// Largest blob of a single request
/// (<https://learn.microsoft.com/rest/api/storageservices/understanding-block-blobs--append-blobs--and-page-blobs>).
const PUT_BYTES_MAX: u64 = 5000 << 20;
/// The status of what is deleted.
const ACCEPTED: u16 = 202;
/// Objects of this kind go to the configured tier; everything else is read too often for a slow one.
const DATA_HINT: &str = "data";

impl<W: Wire> Store<W::Body> for Container<W> {
    /// The host probes before it relies on it.
    fn info(&self) -> Result<StoreInfo> {
        let of_writing = ["if-absent", "if-match", "versions", "retention"];
        let of_reading = ["ranged-get", "ordered-list", "list-after-write", "flat-list"];
        Ok(StoreInfo {
            identity: self.place.identity(),
            traits: of_writing.into_iter().chain(of_reading).map(str::to_owned).collect(),
            max_object_bytes: Some(PUT_BYTES_MAX),
        })
    }

    fn check(&self) -> Vec<Check> {
        self.check_store()
    }

    fn put(&self, key: &str, data: W::Body, options: PutOptions) -> Result<Stored> {
        let action = format!("writing {}", shown(key.as_bytes()));
        let answer = self.ask_to_take(self.put_request(key, &options), data, &action)?;
        let headers = &answer.headers;
        Ok(Stored {
            tag: headers.get("etag").and_then(etag::bare),
            version: version(headers),
            modified: headers.get("last-modified").and_then(time::parse_http).or_else(|| attributes::date(headers)),
        })
    }

    fn get(&self, key: &str, part: Option<ByteRange>, version: Option<String>) -> Result<W::Body> {
        let action = format!("reading {}", shown(key.as_bytes()));
        let part = Part::of(part);
        if part.is_empty() {
            return Ok(self.wire.body_of(Vec::new()));
        }
        let asked = request("GET", self.place.target(key.as_bytes()) + &version_query(version.as_deref()));
        let answer = self.ask_for_blob(part.ask(asked), &action)?;
        part.check(&answer.headers, self.wire.length(&answer.body), None)?;
        Ok(answer.body)
    }

    fn stat(&self, key: &str) -> Result<Object> {
        let action = format!("looking at {}", shown(key.as_bytes()));
        let answer = self.ask_for_blob(request("HEAD", self.place.target(key.as_bytes())), &action)?;
        let headers = &answer.headers;
        let size = headers.number("content-length").or_else(|| self.wire.length(&answer.body)).ok_or_else(|| {
            let message = format!("{action} failed: the service does not say its size");
            Error::new(ErrorClass::Corrupt, "azure.no-length", message)
        })?;
        Ok(Object {
            key: key.to_owned(),
            size,
            modified: headers.get("last-modified").and_then(time::parse_http),
            tag: headers.get("etag").and_then(etag::bare),
            version: version(headers),
            retain_until: locks::locked_until(headers),
        })
    }

    fn list(&self, prefix: &str, cursor: Option<&str>, max: u32) -> Result<Page> {
        let place = cursor.map(|cursor| Place::parse(cursor).ok_or_else(not_ours)).transpose()?;
        let question = Question {
            prefix: self.place.prefix.full(prefix.as_bytes()),
            page_blobs: max.min(PAGE_BLOBS_MAX),
            ..Question::default()
        };
        let reported = self.page(&question, place.as_ref().map(|place| place.marker))?;
        let mut last = place.map(|place| place.behind.to_owned()).unwrap_or_default();
        let mut objects = Vec::with_capacity(reported.blobs.len());
        for listed in reported.blobs.into_iter().filter(|listed| listed.name.starts_with(&question.prefix)) {
            let Some(key) = self.place.prefix.key(&listed.name).and_then(|key| std::str::from_utf8(key).ok()) else {
                continue;
            };
            if key.is_empty() {
                continue;
            }
            if key.as_bytes() <= last.as_bytes() {
                return Err(self.unordered(key, &last));
            }
            key.clone_into(&mut last);
            let (modified, tag) = (listed.modified, listed.etag);
            let size = listed.size.unwrap_or_default();
            objects.push(Object { key: key.to_owned(), size, modified, tag, version: None, retain_until: None });
        }
        let next = reported.next.map(|marker| Place { behind: &last, marker: &marker }.text());
        Ok(Page { objects, next })
    }

    fn delete(&self, keys: &[String]) -> Result<Vec<Result<()>>> {
        Ok(keys.iter().map(|key| self.delete_one(key.as_bytes(), None)).collect())
    }

    fn retain(&self, key: &str, version: Option<&str>, until: Timestamp) -> Result<()> {
        let action = format!("locking {}", shown(key.as_bytes()));
        let mut pairs = vec![("comp", Some(&b"immutabilityPolicies"[..]))];
        pairs.extend(version.map(|id| ("versionid", Some(id.as_bytes()))));
        let asked = request("PUT", self.place.target(key.as_bytes()) + &percent::query(&pairs));
        match self.ask(locks::lock(asked, until), Some(self.wire.body_of(Vec::new())), &action) {
            // Shortening a lock is refused.
            Err(refused) if refused.class != ErrorClass::NotFound && self.lasts(key, version, until, &action) => Ok(()),
            other => other.map(drop),
        }
    }
}

impl<W: Wire> Container<W> {
    fn put_request(&self, key: &str, options: &PutOptions) -> Request {
        let mut asked = request("PUT", self.place.target(key.as_bytes())).with_header("x-ms-blob-type", "BlockBlob");
        if options.if_absent {
            asked = asked.with_header("if-none-match", "*");
        }
        if let Some(tag) = &options.if_match {
            asked = asked.with_header("if-match", etag::quoted(tag));
        }
        if options.hint == DATA_HINT && !self.place.access_tier.is_empty() {
            asked = asked.with_header("x-ms-access-tier", self.place.access_tier.clone());
        }
        if let Some(until) = options.retain_until {
            asked = locks::lock(asked, until);
        }
        asked
    }

    /// Deletes one; the batches of the service carry a signature for each, which only the host could make.
    ///
    /// With a tag, only the blob that has it.
    ///
    /// # Errors
    /// The cause, by class: `precondition` where another is there; what is not there counts as deleted.
    pub(crate) fn delete_one(&self, key: &[u8], tag: Option<&str>) -> Result<()> {
        let action = format!("deleting {}", shown(key));
        let mut asked = request("DELETE", self.place.target(key));
        if let Some(tag) = tag {
            asked = asked.with_header("if-match", etag::quoted(tag));
        }
        match self.ask(asked, None, &action) {
            Err(error) if error.class == ErrorClass::NotFound => Ok(()),
            // <https://learn.microsoft.com/rest/api/storageservices/delete-blob>
            Ok(answer) if answer.status != ACCEPTED => {
                let found = format!("status {}", answer.status);
                Err(fault::not_azure(&action, &self.place.name(), "202, of what it deletes,", &found))
            }
            deleted => deleted.map(drop),
        }
    }

    /// Whether a blob is locked until then already.
    fn lasts(&self, key: &str, version: Option<&str>, until: Timestamp, action: &str) -> bool {
        let target = self.place.target(key.as_bytes()) + &version_query(version);
        let answer = self.ask(request("HEAD", target), None, action);
        answer.is_ok_and(|found| locks::locked_until(&found.headers).is_some_and(|end| end.seconds >= until.seconds))
    }

    fn unordered(&self, key: &str, last: &str) -> Error {
        let message = format!(
            "listing failed: {} tells `{key}` behind `{last}`, and so cannot hold a repository; use an account without a hierarchical namespace",
            self.place.name()
        );
        Error::new(ErrorClass::Corrupt, "azure.unordered-listing", message)
    }
}

/// Where a page of a listing begins: the marker of the service, and the last key before it, so that pages out of order are noticed.
#[derive(Debug, PartialEq, Eq)]
struct Place<'a> {
    behind: &'a str,
    marker: &'a str,
}

impl<'a> Place<'a> {
    fn parse(cursor: &'a str) -> Option<Self> {
        let (length, rest) = cursor.split_once(':')?;
        let (behind, marker) = rest.split_at_checked(length.parse().ok()?)?;
        (!marker.is_empty()).then_some(Self { behind, marker })
    }

    fn text(&self) -> String {
        format!("{}:{}{}", self.behind.len(), self.behind, self.marker)
    }
}

fn not_ours() -> Error {
    Error::new(
        ErrorClass::Internal,
        "azure.cursor",
        "listing failed: a page was asked for by a cursor of another connector",
    )
}

fn version_query(version: Option<&str>) -> String {
    percent::query(&version.map(|id| ("versionid", Some(id.as_bytes()))).into_iter().collect::<Vec<_>>())
}

fn version(headers: &Headers) -> Option<String> {
    headers.get("x-ms-version-id").map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_place_is_written_and_read(behind in any::<String>(), marker in ".{1,50}") {
            let place = Place { behind: &behind, marker: &marker };
            let text = place.text();
            prop_assert_eq!(Place::parse(&text), Some(Place { behind: &behind, marker: &marker }));
        }

        #[test]
        fn any_cursor_is_taken(cursor in any::<String>(), length in any::<u16>()) {
            let _ = (Place::parse(&cursor), Place::parse(&format!("{length}:{cursor}")));
        }
    }
}
