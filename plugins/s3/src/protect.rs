//! Object Lock and legal hold of a restored object, as the original had them. Refused here: the locks of a repository (`retain`).
//!
//! They are wished for by headers of the write itself, and looked for afterwards: a server without locks ignores the headers, while
//! one that does not know the sub-resource of a lock takes its document for the object and overwrites what was written.

use credenza_sdk::http::Request;
use credenza_sdk::{AttributeValue, Attributes, Timestamp};

use crate::attributes;
use crate::bucket::Bucket;
use crate::wire::{Wire, request};
use credenza_sdk::{percent, time};

const MODE: (&str, &str) = ("x-amz-object-lock-mode", "s3.lock-mode");
const UNTIL: (&str, &str) = ("x-amz-object-lock-retain-until-date", "s3.lock-until");
const HOLD: (&str, &str) = ("x-amz-object-lock-legal-hold", "s3.legal-hold");

/// What the original was protected with and the copy is to be.
#[derive(Debug, Clone, Default)]
pub(crate) struct Locks {
    /// Mode and end of a lock that has not run out.
    retention: Option<(String, Timestamp)>,
    is_held: bool,
}

impl Locks {
    /// Those among the attributes that still hold.
    pub(crate) fn of(attributes: &Attributes, now_seconds: i64) -> Self {
        let value = |wanted: &str| attributes.iter().find(|(name, _)| name == wanted).map(|(_, value)| value);
        let retention = match (value(MODE.1), value(UNTIL.1)) {
            (Some(AttributeValue::Text(mode)), Some(AttributeValue::Time(until))) => Some((mode.clone(), *until)),
            _ => None,
        };
        Self {
            retention: retention.filter(|(_, until)| until.seconds > now_seconds),
            is_held: matches!(value(HOLD.1), Some(AttributeValue::Text(hold)) if hold == "ON"),
        }
    }

    pub(crate) const fn is_none(&self) -> bool {
        self.retention.is_none() && !self.is_held
    }

    /// The write that locks what it writes; S3 insists on a digest beside the signature then.
    pub(crate) fn wish(&self, mut put: Request) -> Request {
        if let Some((mode, until)) = &self.retention {
            put = put.with_header(MODE.0, mode.clone()).with_header(UNTIL.0, time::format_iso(*until));
        }
        if self.is_held {
            put = put.with_header(HOLD.0, "ON");
        }
        put
    }

    /// The names of all of them.
    fn names(&self) -> Vec<String> {
        let retention = self.retention.iter().flat_map(|_| [MODE.1, UNTIL.1]);
        retention.chain(self.is_held.then_some(HOLD.1)).map(str::to_owned).collect()
    }
}

impl<W: Wire> Bucket<W> {
    /// The names of the locks that an object has not got.
    pub(crate) fn unlocked(&self, locks: &Locks, target: &str, version: Option<&str>, action: &str) -> Vec<String> {
        if locks.is_none() {
            return Vec::new();
        }
        let version = version.map(|id| percent::query(&[("versionId", Some(id.as_bytes()))]));
        let answer = self.ask(request("HEAD", format!("{target}{}", version.unwrap_or_default())), None, action);
        // The object is there and right; a lock that is not is reported, and no reason to fail.
        let Ok(answer) = answer else { return locks.names() };
        let mut held = Attributes::new();
        attributes::complete(&mut held, &answer.headers, None);
        let is_held = Locks::of(&held, i64::MIN);
        let is_retained = locks.retention.is_none() || locks.retention == is_held.retention;
        let names = locks.names().into_iter();
        names.filter(|name| if name == HOLD.1 { !is_held.is_held } else { !is_retained }).collect()
    }
}
