//! An object on its way to a bucket, as a resumable upload: begun with all that it has, sent in parts, there when it is whole
//! (<https://cloud.google.com/storage/docs/performing-resumable-uploads>).
//!
//! Owned here: what may be tried again without counting twice. The service passes over bytes that it has already, and tells of an upload that it has completed
//! that it is complete. Refused here: what an object is written with (`destination`, `store`).

use credenza_sdk::http::Request;
use credenza_sdk::{Entry, Error, ErrorClass, Result, Writer, percent};
use serde_json::{Map, Value};

use crate::attributes;
use crate::bucket::Bucket;
use crate::fault::not_gcs;
use crate::listing::ALL_FIELDS;
use crate::lock::Locks;
use crate::wire::{Endpoint, Wire};

/// The upload is gone.
pub(crate) const NO_UPLOAD: &str = "gcs.no-such-upload";
/// The status of an upload that wants more.
const INCOMPLETE: u16 = 308;

/// An upload that was begun: its id is all that it takes to send bytes to it.
#[derive(Debug, Clone)]
pub(crate) struct Session(String);

/// What the service says of bytes that were sent.
pub(crate) enum Sent {
    /// It wants more: so many bytes have arrived.
    Incomplete(u64),
    /// The object is there, as its document describes it.
    Complete(Value),
}

impl<W: Wire> Bucket<W> {
    /// Begins an upload of an object with these fields.
    ///
    /// # Errors
    /// `precondition` when it exists and may not be overwritten; else the cause.
    pub(crate) fn begin(
        &self,
        key: &[u8],
        fields: &Map<String, Value>,
        generation: Option<&str>,
        action: &str,
    ) -> Result<Session> {
        let body = Value::Object(fields.clone()).to_string();
        let asked = Endpoint::Upload
            .request("POST", self.upload_target("resumable", key, ALL_FIELDS, generation))
            .with_header("content-type", "application/json; charset=UTF-8");
        let answer = self.ask(asked, Some(self.wire.body_of(body.into_bytes())), action)?;
        let id = answer.headers.get("location").and_then(id_in);
        id.ok_or_else(|| not_gcs(action, &self.place.bucket_name(), "no address to send it to"))
    }

    /// The target of the request that begins an upload, under the condition that this generation is there: `0` is none at all.
    pub(crate) fn upload_target(&self, kind: &str, key: &[u8], fields: &str, generation: Option<&str>) -> String {
        let name = self.place.prefix.full(key);
        let mut pairs =
            vec![("uploadType", Some(kind.as_bytes())), ("name", Some(&*name)), ("fields", Some(fields.as_bytes()))];
        pairs.extend(generation.map(|generation| ("ifGenerationMatch", Some(generation.as_bytes()))));
        percent::query(&pairs)
    }

    /// Sends bytes to an upload; `range` says which they are, unless they are all.
    ///
    /// # Errors
    /// The cause, by class.
    pub(crate) fn send(&self, session: &Session, range: Option<String>, body: W::Body, action: &str) -> Result<Sent> {
        let asked = session.request("PUT").with_header("content-type", "application/octet-stream");
        let asked = range.into_iter().fold(asked, |asked, range| asked.with_header("content-range", range));
        let answer = self.wire.send(asked, Some(body))?;
        match answer.status {
            INCOMPLETE => Ok(Sent::Incomplete(answer.headers.get("range").and_then(arrived).unwrap_or(0))),
            _ if answer.is_success() => self.document(&answer, action).map(Sent::Complete),
            404 | 410 => {
                let message = format!("{action} failed: the upload was ended by somebody else, or is too old");
                Err(Error::new(ErrorClass::NotFound, NO_UPLOAD, message))
            }
            _ => Err(self.explain(&answer, action)),
        }
    }

    /// Ends an upload without an object. A failure leaves what the service removes after a week; nothing more can be done.
    pub(crate) fn give_up(&self, session: &Session) {
        let _ = self.wire.send(session.request("DELETE"), None);
    }
}

impl Session {
    fn request(&self, method: &str) -> Request {
        let query = percent::query(&[("uploadType", Some(&b"resumable"[..])), ("upload_id", Some(self.0.as_bytes()))]);
        Endpoint::Upload.request(method, query)
    }
}

/// The upload that an address names. Requests go to the endpoint of the manifest, whatever else stands there.
fn id_in(location: &str) -> Option<Session> {
    let (_, query) = location.split_once('?')?;
    let id = query.split('&').find_map(|pair| pair.strip_prefix("upload_id="))?;
    let id = String::from_utf8(percent::decode_form(id.as_bytes())).ok()?;
    (!id.is_empty()).then_some(Session(id))
}

/// How many bytes have arrived, by `bytes=0-LAST`.
fn arrived(range: &str) -> Option<u64> {
    range.trim().strip_prefix("bytes=0-")?.parse::<u64>().ok()?.checked_add(1)
}

/// An object on its way to a destination.
pub(crate) struct Upload<W: Wire> {
    pub(crate) bucket: Bucket<W>,
    pub(crate) entry: Entry,
    pub(crate) action: String,
    pub(crate) fields: Map<String, Value>,
    pub(crate) overwrite: bool,
    /// What the object is locked with.
    pub(crate) locks: Locks,
    session: Option<Session>,
    /// Bytes that have arrived.
    sent: u64,
    /// The last bytes may have arrived although their answer did not come.
    asked_to_finish: bool,
}

impl<W: Wire> Upload<W> {
    pub(crate) fn new(bucket: &Bucket<W>, entry: &Entry, overwrite: bool, action: String) -> Self {
        let now = bucket.wire.now_seconds();
        let locks = if bucket.place.locks { Locks::of(&entry.attributes, now) } else { Locks::default() };
        let (mut fields, _) = attributes::restore(entry, bucket.place.locks);
        let kept = attributes::text_of(&entry.attributes, attributes::STORAGE_CLASS).unwrap_or_default();
        let class = if bucket.place.storage_class.is_empty() { kept } else { &bucket.place.storage_class };
        if !class.is_empty() {
            fields.insert("storageClass".to_owned(), Value::String(class.to_owned()));
        }
        fields.extend(locks.fields());
        let (bucket, entry) = (bucket.clone(), entry.clone());
        Self { bucket, entry, action, fields, overwrite, locks, session: None, sent: 0, asked_to_finish: false }
    }

    fn session(&mut self) -> Result<Session> {
        if let Some(session) = &self.session {
            return Ok(session.clone());
        }
        let condition = (!self.overwrite).then_some("0");
        let session = self.bucket.begin(&self.entry.key, &self.fields, condition, &self.action)?;
        Ok(self.session.insert(session).clone())
    }

    /// Begins and gives up, to find out whether it may.
    ///
    /// # Errors
    /// The cause, by class.
    pub(crate) fn rehearse(&mut self) -> Result<()> {
        self.session()?;
        self.abort();
        Ok(())
    }

    fn publish(&mut self, last: W::Body) -> Result<Value> {
        let session = self.session()?;
        let length = self.bucket.wire.length(&last).unwrap_or(0);
        let total = self.sent.saturating_add(length);
        if self.asked_to_finish
            && let Sent::Complete(made) = self.bucket.send(
                &session,
                Some(format!("bytes */{total}")),
                self.bucket.wire.body_of(Vec::new()),
                &self.action,
            )?
        {
            return Ok(made);
        }
        self.asked_to_finish = true;
        let range = match (self.sent, length) {
            (0, _) => None,
            (_, 0) => Some(format!("bytes */{total}")),
            (sent, _) => Some(format!("bytes {sent}-{}/{total}", total.saturating_sub(1))),
        };
        match self.bucket.send(&session, range, last, &self.action)? {
            Sent::Complete(made) => Ok(made),
            Sent::Incomplete(arrived) => Err(self.short(arrived, total)),
        }
    }

    /// Fewer bytes have arrived than were sent: they are to be sent once more.
    fn short(&self, arrived: u64, sent: u64) -> Error {
        let message = format!("{} failed: of {sent} bytes {arrived} have arrived", self.action);
        Error::new(ErrorClass::Transient, "gcs.short-upload", message)
    }
}

impl<W: Wire> Writer<W::Body> for Upload<W> {
    fn part_bytes(&self) -> Option<u64> {
        Some(self.bucket.place.part_bytes())
    }

    fn write(&mut self, part: W::Body) -> Result<()> {
        let session = self.session()?;
        let end = self.sent.saturating_add(self.bucket.wire.length(&part).unwrap_or(0));
        let range = format!("bytes {}-{}/*", self.sent, end.saturating_sub(1));
        match self.bucket.send(&session, Some(range), part, &self.action)? {
            Sent::Incomplete(arrived) if arrived == end => {
                self.sent = end;
                Ok(())
            }
            Sent::Incomplete(arrived) => Err(self.short(arrived, end)),
            Sent::Complete(_) => {
                Err(not_gcs(&self.action, &self.bucket.place.bucket_name(), "that it is complete before it was"))
            }
        }
    }

    fn finish(&mut self, last: W::Body) -> Result<Vec<String>> {
        let made = self.publish(last)?;
        self.session = None;
        let key =
            |resource: &Value| crate::json::text(resource, "kmsKeyName").and_then(key_of_version).map(str::to_owned);
        let wanted = attributes::text_of(&self.entry.attributes, attributes::KMS_KEY).and_then(key_of_version);
        let mut lost = self.locks.lacking(&made);
        lost.extend((wanted.is_some() && wanted != key(&made).as_deref()).then(|| attributes::KMS_KEY.to_owned()));
        Ok(lost)
    }

    fn abort(&mut self) {
        if let Some(session) = self.session.take() {
            self.bucket.give_up(&session);
        }
    }
}

/// The key of a version of it: `…/cryptoKeys/K/cryptoKeyVersions/1`.
fn key_of_version(name: &str) -> Option<&str> {
    name.split("/cryptoKeyVersions/").next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_is_known_by_its_id_wherever_it_is_said_to_lie() {
        let id = |location| id_in(location).map(|session| session.0);
        let address =
            "https://elsewhere.example/upload/storage/v1/b/b/o?uploadType=resumable&name=a%20b&upload_id=x%2Fy-_";
        assert_eq!(id(address).as_deref(), Some("x/y-_"));
        for none in ["", "https://h/?upload_id=", "https://h/upload_id=x", "?name=upload_id"] {
            assert_eq!(id(none), None, "{none}");
        }
    }

    #[test]
    fn what_has_arrived_is_told_by_its_last_byte() {
        assert_eq!(["bytes=0-42", "bytes=0-", "0-42", "bytes=1-2"].map(arrived), [Some(43), None, None, None]);
    }
}
