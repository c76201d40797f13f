//! Object Lock and legal hold of a restored object, as the original had them. Refused here: the locks of a repository (`retain`).
//!
//! They are set when the object is whole, by requests of their own: an upload in parts takes them no other way that every server
//! understands.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use credenza_sdk::{AttributeValue, Attributes, Timestamp};
use md5::{Digest, Md5};

use crate::bucket::Bucket;
use crate::destination::Made;
use crate::wire::{Wire, request};
use crate::xml::escape;
use crate::{encode, time};

/// What the original was protected with.
#[derive(Debug, Clone, Default)]
pub(crate) struct Locks {
    mode: Option<String>,
    until: Option<Timestamp>,
    is_held: bool,
}

impl Locks {
    pub(crate) fn of(attributes: &Attributes) -> Self {
        let mut locks = Self::default();
        for (name, value) in attributes {
            match (name.as_str(), value) {
                ("s3.lock-mode", AttributeValue::Text(mode)) => locks.mode = Some(mode.clone()),
                ("s3.lock-until", AttributeValue::Time(until)) => locks.until = Some(*until),
                ("s3.legal-hold", AttributeValue::Text(hold)) => locks.is_held = hold == "ON",
                _ => {}
            }
        }
        locks
    }

    /// The document of a lock that has not run out.
    fn retention(&self, now: Option<Timestamp>) -> Option<String> {
        let (mode, until) = (self.mode.as_deref()?, self.until?);
        now.is_none_or(|now| until.seconds > now.seconds).then(|| {
            let until = time::format_iso(until);
            format!(
                "<Retention {NAMESPACE}><Mode>{}</Mode><RetainUntilDate>{until}</RetainUntilDate></Retention>",
                escape(mode)
            )
        })
    }

    fn hold(&self) -> Option<String> {
        self.is_held.then(|| format!("<LegalHold {NAMESPACE}><Status>ON</Status></LegalHold>"))
    }
}

const NAMESPACE: &str = "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"";

impl<W: Wire> Bucket<W> {
    /// Locks what was made like the original; the names of what could not be set.
    pub(crate) fn lock_as(&self, locks: &Locks, target: &str, made: &Made, action: &str) -> Vec<String> {
        let wanted = [
            ("retention", locks.retention(made.time), &["s3.lock-mode", "s3.lock-until"][..]),
            ("legal-hold", locks.hold(), &["s3.legal-hold"][..]),
        ];
        let mut lost = Vec::new();
        for (parameter, document, names) in wanted {
            let Some(document) = document else { continue };
            let version = made.version.as_deref().map(|id| ("versionId", Some(id.as_bytes())));
            let query = encode::query(&[Some((parameter, None)), version].into_iter().flatten().collect::<Vec<_>>());
            let body = document.into_bytes();
            let asked = request("PUT", format!("{target}{query}"))
                .with_header("content-md5", BASE64.encode(Md5::digest(&body)))
                .with_header("content-type", "application/xml");
            // The object is there and right; a lock that is not is told, and no reason to fail.
            if self.ask(asked, Some(self.wire.body_of(body)), action).is_err() {
                lost.extend(names.iter().map(|name| (*name).to_owned()));
            }
        }
        lost
    }
}
