//! An entry of a snapshot or of a live location, as a line of a list and in full.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use base64::prelude::{BASE64_STANDARD, Engine};
use credenza_model::{AttributeValue, Checksum, Entry, EntryStatus, Key, Timestamp};
use serde::Serialize;

use super::printable;

/// A line of `ls SNAPSHOT` and `browse`.
#[derive(Serialize)]
#[serde(tag = "type", rename = "entry")]
pub(crate) struct EntryLine<'a> {
    #[serde(flatten)]
    key: &'a Key,
    kind: &'static str,
    size: Option<u64>,
    modified: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link_target: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<VersionOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(flatten)]
    details: Option<Details<'a>>,
}

/// What a long line shows beside.
#[derive(Serialize)]
struct Details<'a> {
    fingerprint: Option<&'a str>,
    checksums: BTreeMap<&'a str, String>,
    attributes: BTreeMap<&'a str, serde_json::Value>,
}

impl<'a> Details<'a> {
    fn of(entry: &'a Entry) -> Self {
        Self {
            fingerprint: entry.fingerprint.as_deref(),
            checksums: entry.checksums.iter().map(|sum| (sum.algorithm.as_str(), digits(sum))).collect(),
            attributes: entry.attributes.iter().map(|(name, value)| (name.as_str(), json(value))).collect(),
        }
    }
}

#[derive(Serialize)]
struct VersionOut<'a> {
    id: &'a str,
    latest: bool,
    deleted: bool,
}

impl<'a> EntryLine<'a> {
    /// `long` shows kind, size and time in the text form, and all attributes in the other.
    pub(crate) fn new(entry: &'a Entry, status: &'a EntryStatus, long: bool) -> Self {
        let version = entry.version.as_ref();
        let (status, reason) = describe(status);
        Self {
            key: &entry.key,
            kind: entry.kind.name(),
            size: entry.size,
            modified: entry.modified,
            link_target: entry.link_target.as_ref().map(|target| Key::new(target.as_slice()).to_string()),
            version: version.map(|v| VersionOut { id: &v.id, latest: v.latest, deleted: v.deleted }),
            status,
            reason,
            details: long.then(|| Details::of(entry)),
        }
    }
}

fn describe(status: &EntryStatus) -> (Option<&'static str>, Option<&str>) {
    match status {
        EntryStatus::Stable => (None, None),
        EntryStatus::Changed => (Some("changed"), None),
        EntryStatus::Vanished => (Some("vanished"), None),
        EntryStatus::Unreadable(reason) => (Some("unreadable"), Some(reason)),
        EntryStatus::Referenced(reason) => (Some("referenced"), Some(reason)),
        EntryStatus::Undescribed(reason) => (Some("undescribed"), Some(reason)),
        EntryStatus::Doubtful(reason) => (Some("doubtful"), Some(reason)),
    }
}

impl Display for EntryLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.details.is_some() {
            let size = self.size.map_or_else(String::new, |size| size.to_string());
            let time = self.modified.map_or_else(String::new, |time| whole_seconds(time).to_string());
            write!(f, "{:<9} {size:>15} {time:<20} ", self.kind)?;
        }
        write!(f, "{}", self.key)?;
        if self.details.is_some()
            && let Some(target) = &self.link_target
        {
            write!(f, " -> {target}")?;
        }
        if self.details.is_some()
            && let Some(version) = &self.version
        {
            write!(f, " ({version})")?;
        }
        self.status.map_or(Ok(()), |status| write!(f, " ({status})"))
    }
}

impl Display for VersionOut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.deleted { "delete marker" } else { "version" };
        write!(f, "{kind} {}{}", printable(self.id), if self.latest { ", the latest" } else { "" })
    }
}

fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp { nanoseconds: 0, ..time }
}

/// Everything that is known of an entry.
#[derive(Serialize)]
#[serde(transparent)]
pub(crate) struct EntryDetails<'a>(EntryLine<'a>);

impl<'a> EntryDetails<'a> {
    pub(crate) fn new(entry: &'a Entry, status: &'a EntryStatus) -> Self {
        Self(EntryLine::new(entry, status, true))
    }
}

fn digits(sum: &Checksum) -> String {
    sum.value.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn json(value: &AttributeValue) -> serde_json::Value {
    match value {
        AttributeValue::Text(text) => text.as_str().into(),
        AttributeValue::Integer(number) => (*number).into(),
        AttributeValue::Time(time) => time.to_string().into(),
        AttributeValue::Blob(bytes) => serde_json::json!({ "base64": BASE64_STANDARD.encode(bytes) }),
    }
}

impl Display for EntryDetails<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = &self.0;
        write!(f, "key          {}\nkind         {}", line.key, line.kind)?;
        let facts = [
            ("size", line.size.map(|size| size.to_string())),
            ("modified", line.modified.map(|time| time.to_string())),
            ("link target", line.link_target.clone()),
            ("version", line.version.as_ref().map(|version| version.id.to_owned())),
            ("status", line.status.map(str::to_owned)),
            ("reason", line.reason.map(str::to_owned)),
            ("fingerprint", line.details.as_ref().and_then(|details| details.fingerprint).map(str::to_owned)),
        ];
        for (name, fact) in facts {
            if let Some(fact) = fact {
                write!(f, "\n{name:<12} {}", printable(&fact))?;
            }
        }
        let Some(details) = &line.details else { return Ok(()) };
        details.checksums.iter().try_for_each(|(name, sum)| write!(f, "\n{:<12} {sum}", printable(name)))?;
        let mut attributes = details.attributes.iter();
        attributes.try_for_each(|(name, value)| write!(f, "\n{} {}", printable(name), printable(&value.to_string())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use credenza_model::EntryKind;

    #[test]
    fn a_long_line_tells_which_version_it_is() {
        let version = |latest, deleted| Some(credenza_model::Version { id: "v7".to_owned(), latest, deleted });
        let mut entry = Entry::new(Key::from("a"), EntryKind::File);
        entry.version = version(true, false);
        let text = |entry: &Entry, long| EntryLine::new(entry, &EntryStatus::Stable, long).to_string();
        assert!(text(&entry, true).ends_with(" a (version v7, the latest)"), "{}", text(&entry, true));
        entry.version = version(false, true);
        assert!(text(&entry, true).ends_with(" a (delete marker v7)"));
        assert_eq!(text(&entry, false), "a");
    }

    #[test]
    fn an_entry_is_one_object_with_its_type_first() {
        let mut entry = Entry::new(Key::from("a/b"), EntryKind::File);
        entry.size = Some(7);
        let line = serde_json::to_string(&EntryLine::new(&entry, &EntryStatus::Stable, false)).unwrap();
        assert_eq!(line, r#"{"type":"entry","key":"a/b","kind":"file","size":7,"modified":null}"#);
        entry.attributes = vec![("user.x".into(), AttributeValue::Blob(vec![255]))];
        let full = serde_json::to_string(&EntryDetails::new(&entry, &EntryStatus::Stable)).unwrap();
        assert!(full.starts_with(r#"{"type":"entry","key":"a/b""#), "{full}");
        assert!(full.contains(r#""attributes":{"user.x":{"base64":"/w=="}}"#), "{full}");
    }
}
