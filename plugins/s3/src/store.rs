//! A bucket that holds a repository.

use credenza_sdk::http::Request;
use credenza_sdk::{
    ByteRange, Check, Error, ErrorClass, Object, Page, PutOptions, Result, Store, StoreInfo, Stored, Timestamp,
};

use crate::bucket::{Bucket, shown};
use crate::cursor::Place;
use crate::fault;
use crate::history::Cut;
use crate::listing::{Cursor, Listed, PAGE_OBJECTS_MAX, Question};
use crate::retain;
use crate::wire::{Headers, Wire, request};
use credenza_sdk::range::Part;
use credenza_sdk::{etag, percent, time};

/// Largest object of a single PUT (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/upload-objects.html>).
const PUT_BYTES_MAX: u64 = 5 * 1024 * 1024 * 1024;
/// Objects of this kind go to the configured storage class; everything else is read too often for a slow one.
const DATA_HINT: &str = "data";

impl<W: Wire> Store<W::Body> for Bucket<W> {
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
        if self.place.as_of().is_some() {
            return Err(self.of_the_past(&action));
        }
        let answer = self.ask_to_take(self.put_request(key, &options), data, &action)?;
        let headers = &answer.headers;
        Ok(Stored {
            tag: headers.get("etag").and_then(etag::bare),
            version: version(headers),
            // The answer itself is dated by the server's clock (RFC 9110 section 6.6.1).
            modified: headers.get("date").and_then(time::parse_http),
        })
    }

    fn get(&self, key: &str, part: Option<ByteRange>, version: Option<String>) -> Result<W::Body> {
        let action = format!("reading {}", shown(key.as_bytes()));
        let part = Part::of(part);
        if part.is_empty() {
            return Ok(self.wire.body_of(Vec::new()));
        }
        let then = if version.is_none() { self.id_then(key)? } else { None };
        let version = version.or(then);
        let version = version.map(|id| percent::query(&[("versionId", Some(id.as_bytes()))])).unwrap_or_default();
        let asked = part.ask(request("GET", self.place.object(key.as_bytes()) + &version));
        let is_plain = version.is_empty();
        let answer = self.ask(asked, None, &action);
        let answer = answer.map_err(|error| if is_plain { self.if_gone(key.as_bytes(), error) } else { error })?;
        part.check(&answer.headers, self.wire.length(&answer.body), None)?;
        if answer.is_page() {
            return Err(fault::not_s3(&action, &self.place.bucket_name(), "the object", "a page"));
        }
        Ok(answer.body)
    }

    fn stat(&self, key: &str) -> Result<Object> {
        let action = format!("looking at {}", shown(key.as_bytes()));
        let then = self.id_then(key)?.map(|id| percent::query(&[("versionId", Some(id.as_bytes()))]));
        let target = self.place.object(key.as_bytes()) + &then.unwrap_or_default();
        let answer = self.ask(request("HEAD", target), None, &action)?;
        let headers = &answer.headers;
        let size = headers.number("content-length").or_else(|| self.wire.length(&answer.body));
        let size = size.ok_or_else(|| {
            Error::new(
                ErrorClass::Corrupt,
                "s3.no-length",
                format!("{action} failed: the server does not say its size"),
            )
        })?;
        Ok(Object {
            key: key.to_owned(),
            size,
            modified: headers.get("last-modified").and_then(time::parse_http),
            tag: headers.get("etag").and_then(etag::bare),
            version: version(headers),
            retain_until: retain::locked_until(headers),
        })
    }

    /// `corrupt` when the server lists out of order, because then nothing can be reported what is missing.
    fn list(&self, prefix: &str, cursor: Option<&str>, max: u32) -> Result<Page> {
        let place = cursor.map(Place::parse).transpose()?.unwrap_or_default();
        let question = Question {
            prefix: self.place.prefix.full(prefix.as_bytes()),
            versions: self.place.as_of().is_some(),
            page_objects: max.min(PAGE_OBJECTS_MAX),
            ..Question::default()
        };
        let reported = self.page(&question, place.at.as_ref())?;
        let mut cut = self.place.as_of().map(|then| Cut::new(then, false).from(place.decided));
        let is_sorted = reported.objects.is_sorted_by(|a, b| a.key < b.key);
        let listed = match &mut cut {
            Some(cut) => cut.of(reported.objects)?,
            None if reported.next.is_some() && !is_sorted => return Err(self.unordered()),
            None => reported.objects,
        };
        // Some servers begin a page with the key that it is to come behind.
        let behind = match &place.at {
            Some(Cursor::After { key, .. }) if !question.versions => key.as_slice(),
            _ => &[],
        };
        let listed = listed.into_iter().filter(|listed| listed.key.as_slice() > behind);
        let mut objects: Vec<Object> = listed.filter_map(|listed| self.object_of(listed, &question)).collect();
        objects.sort_by(|a, b| a.key.cmp(&b.key));
        objects.dedup_by(|a, b| a.key == b.key);
        let decided = cut.and_then(Cut::decided);
        let next = reported.next.map(|at| Place { at: Some(at), decided }.text());
        Ok(Page { objects, next })
    }

    fn delete(&self, keys: &[String]) -> Result<Vec<Result<()>>> {
        self.delete_all(keys)
    }

    fn retain(&self, key: &str, version: Option<&str>, until: Timestamp) -> Result<()> {
        self.extend_lock(key, version, until)
    }
}

impl<W: Wire> Bucket<W> {
    fn put_request(&self, key: &str, options: &PutOptions) -> Request {
        let mut asked = request("PUT", self.place.object(key.as_bytes()));
        if options.if_absent {
            asked = asked.with_header("if-none-match", "*");
        }
        if let Some(tag) = &options.if_match {
            asked = asked.with_header("if-match", format!("\"{tag}\""));
        }
        if options.hint == DATA_HINT && !self.place.storage_class.is_empty() {
            asked = asked.with_header("x-amz-storage-class", self.place.storage_class.clone());
        }
        if let Some(until) = options.retain_until {
            asked = retain::lock(asked, until);
        }
        asked
    }

    /// The version of an object that was there at the time that the settings name; nothing when they name none.
    fn id_then(&self, key: &str) -> Result<Option<String>> {
        let Some(then) = self.place.as_of() else { return Ok(None) };
        Ok(self.version_then(key.as_bytes(), then)?.version.map(|version| version.id))
    }

    /// The object of a listing, unless it was not asked for or is none of a repository.
    fn object_of(&self, listed: Listed, question: &Question) -> Option<Object> {
        let key = self.place.prefix.key(&listed.key).filter(|_| listed.key.starts_with(&question.prefix))?;
        let key = std::str::from_utf8(key).ok().filter(|key| !key.is_empty())?.to_owned();
        let Listed { modified, etag: tag, version, .. } = listed;
        let version = version.map(|version| version.id);
        Some(Object { key, size: listed.size?, modified, tag, version, retain_until: None })
    }

    fn unordered(&self) -> Error {
        let message = format!(
            "listing failed: {} lists keys out of order, and so cannot hold a repository",
            self.place.bucket_name()
        );
        Error::new(ErrorClass::Corrupt, "s3.unordered-listing", message)
    }
}

fn version(headers: &Headers) -> Option<String> {
    headers.get("x-amz-version-id").filter(|id| *id != "null").map(str::to_owned)
}
