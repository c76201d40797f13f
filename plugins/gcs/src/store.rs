//! A bucket that holds a repository. The tag and the version of an object are both its generation.

use credenza_sdk::range::Part;
use credenza_sdk::{
    ByteRange, Check, Error, ErrorClass, Object, Page, PutOptions, Result, Store, StoreInfo, Stored, Timestamp, percent,
};
use serde_json::{Map, Value};

use crate::bucket::{Bucket, shown};
use crate::fault;
use crate::history::was_live;
use crate::json;
use crate::listing::{FEW_FIELDS, Listed, Question};
use crate::lock;
use crate::upload::{NO_UPLOAD, Sent};
use crate::wire::{Endpoint, Wire};

/// Largest object (<https://cloud.google.com/storage/quotas>).
pub(crate) const OBJECT_BYTES_MAX: u64 = 5 << 40;
/// Objects of this kind go to the configured storage class; everything else is read too often for a slow one.
const DATA_HINT: &str = "data";
/// The generation of an object that is not there.
const NOTHING: &str = "0";

impl<W: Wire> Store<W::Body> for Bucket<W> {
    fn info(&self) -> Result<StoreInfo> {
        let of_writing = ["if-absent", "if-match", "versions", "retention"];
        let of_reading = ["ranged-get", "ordered-list", "list-after-write", "flat-list"];
        Ok(StoreInfo {
            identity: self.place.identity(),
            traits: of_writing.into_iter().chain(of_reading).map(str::to_owned).collect(),
            max_object_bytes: Some(OBJECT_BYTES_MAX),
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
        let condition = if options.if_absent { Some(NOTHING) } else { options.if_match.as_deref() };
        let fields = self.fields(&options);
        let made = if fields.is_empty() {
            let target = self.upload_target("media", key.as_bytes(), FEW_FIELDS, condition);
            let asked =
                Endpoint::Upload.request("POST", target).with_header("content-type", "application/octet-stream");
            let answer = self.ask(asked, Some(data), &action)?;
            self.document(&answer, &action)?
        } else {
            self.put_with(key.as_bytes(), &fields, condition, data, &action)?
        };
        let generation = json::id(&made, "generation");
        Ok(Stored { tag: generation.clone(), version: generation, modified: json::instant(&made, "timeCreated") })
    }

    fn get(&self, key: &str, part: Option<ByteRange>, version: Option<String>) -> Result<W::Body> {
        let action = format!("reading {}", shown(key.as_bytes()));
        let part = Part::of(part);
        if part.is_empty() {
            return Ok(self.wire.body_of(Vec::new()));
        }
        let then = if version.is_none() { self.object_then(key)?.map(|listed| listed.generation) } else { None };
        let generation = version.or(then);
        let mut pairs = vec![("alt", Some(&b"media"[..]))];
        pairs.extend(generation.as_deref().map(|generation| ("generation", Some(generation.as_bytes()))));
        let asked = Endpoint::Objects.request("GET", self.place.object(key.as_bytes()) + &percent::query(&pairs));
        let answer = self.ask(part.ask(asked), None, &action)?;
        part.check(&answer.headers, self.wire.length(&answer.body), None)?;
        let is_object = ["x-goog-generation", "x-goog-hash"].iter().any(|name| answer.headers.get(name).is_some());
        if part.is_whole() && !is_object {
            // No page of a portal on the way has what every object has.
            let found = "something without generation and checksum";
            return Err(fault::not_gcs(&action, &self.place.bucket_name(), found));
        }
        Ok(answer.body)
    }

    fn stat(&self, key: &str) -> Result<Object> {
        let listed = match self.object_then(key)? {
            Some(listed) => listed,
            None => self.look_at(key.as_bytes(), FEW_FIELDS)?,
        };
        Ok(Object { version: Some(listed.generation.clone()), ..object_of(key.to_owned(), listed) })
    }

    fn list(&self, prefix: &str, cursor: Option<&str>, max: u32) -> Result<Page> {
        let question = Question {
            prefix: self.place.prefix.full(prefix.as_bytes()),
            versions: self.place.as_of().is_some(),
            objects: max,
            ..Question::default()
        };
        let page = self.page(&question, cursor)?;
        if !page.objects.is_sorted_by(|a, b| a.name < b.name || (question.versions && a.name == b.name)) {
            return Err(self.unordered());
        }
        let is_there = |listed: &Listed| self.place.as_of().is_none_or(|then| was_live(listed, then));
        let objects = page.objects.into_iter().filter(|listed| question.wants(&listed.name) && is_there(listed));
        Ok(Page { objects: objects.filter_map(|listed| self.stored_object(listed)).collect(), next: page.next })
    }

    fn delete(&self, keys: &[String]) -> Result<Vec<Result<()>>> {
        if self.place.as_of().is_some() {
            return Err(self.of_the_past("deleting"));
        }
        Ok(keys.iter().map(|key| self.delete_object(key.as_bytes(), None)).collect())
    }

    fn retain(&self, key: &str, version: Option<&str>, until: Timestamp) -> Result<()> {
        self.extend_lock(key, version, until)
    }
}

impl<W: Wire> Bucket<W> {
    /// What an object of a repository is written with beside its bytes.
    fn fields(&self, options: &PutOptions) -> Map<String, Value> {
        let mut fields = options.retain_until.map(lock::until).unwrap_or_default();
        if options.hint == DATA_HINT && !self.place.storage_class.is_empty() {
            fields.insert("storageClass".to_owned(), Value::String(self.place.storage_class.clone()));
        }
        fields
    }

    fn put_with(
        &self,
        key: &[u8],
        fields: &Map<String, Value>,
        condition: Option<&str>,
        data: W::Body,
        action: &str,
    ) -> Result<Value> {
        let session = self.begin(key, fields, condition, action)?;
        match self.send(&session, None, data, action) {
            Ok(Sent::Complete(made)) => Ok(made),
            Ok(Sent::Incomplete(arrived)) => {
                self.give_up(&session);
                let message = format!("{action} failed: only {arrived} bytes of it have arrived");
                Err(Error::new(ErrorClass::Transient, "gcs.short-upload", message))
            }
            // It says nothing of the object: the next try begins another
            // (<https://cloud.google.com/storage/docs/performing-resumable-uploads#handling_errors>).
            Err(error) if error.reason == NO_UPLOAD => Err(Error { class: ErrorClass::Transient, ..error }),
            Err(error) => {
                self.give_up(&session);
                Err(error)
            }
        }
    }

    /// An object as its document describes it.
    ///
    /// # Errors
    /// `not-found` when there is none; else the cause.
    pub(crate) fn look_at(&self, key: &[u8], fields: &str) -> Result<Listed> {
        let action = format!("looking at {}", shown(key));
        let target = self.place.object(key) + &percent::query(&[("fields", Some(fields.as_bytes()))]);
        let document = self.ask_for_document(Endpoint::Objects.request("GET", target), &action)?;
        Listed::of(document).map_err(|broken| fault::not_gcs(&action, &self.place.bucket_name(), &broken.to_string()))
    }

    /// Deletes an object, with a generation only that one; where generations are kept, it ceases to be live.
    ///
    /// # Errors
    /// The cause: `precondition` where another generation is there; what is not there counts as deleted.
    pub(crate) fn delete_object(&self, key: &[u8], generation: Option<&str>) -> Result<()> {
        let action = format!("deleting {}", shown(key));
        let condition =
            generation.map(|generation| percent::query(&[("ifGenerationMatch", Some(generation.as_bytes()))]));
        let target = self.place.object(key) + &condition.unwrap_or_default();
        match self.ask(Endpoint::Objects.request("DELETE", target), None, &action) {
            Err(error) if error.class == ErrorClass::NotFound => Ok(()),
            deleted => deleted.map(drop),
        }
    }

    /// An object as it was at the time that the settings name; nothing when they name none.
    fn object_then(&self, key: &str) -> Result<Option<Listed>> {
        self.place.as_of().map(|then| self.live_then(key.as_bytes(), then)).transpose()
    }

    /// The object of a listing, unless it is none of a repository.
    fn stored_object(&self, listed: Listed) -> Option<Object> {
        let key = self.place.prefix.key(&listed.name)?;
        let key = std::str::from_utf8(key).ok().filter(|key| !key.is_empty())?.to_owned();
        Some(object_of(key, listed))
    }

    fn unordered(&self) -> Error {
        let message = format!(
            "listing failed: {} lists names out of order, and so cannot hold a repository",
            self.place.bucket_name()
        );
        Error::new(ErrorClass::Corrupt, "gcs.unordered-listing", message)
    }
}

fn object_of(key: String, listed: Listed) -> Object {
    Object {
        key,
        size: listed.size,
        modified: listed.created,
        retain_until: lock::locked_until(&listed.resource),
        tag: Some(listed.generation),
        version: None,
    }
}
