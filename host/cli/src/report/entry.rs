//! An entry of a snapshot or of a live location, as a line of a list and in full.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use base64::prelude::{BASE64_STANDARD, Engine};
use credenza_model::{AttributeValue, Checksum, Entry, EntryKind, EntryStatus, Key, Timestamp};
use serde::Serialize;

use super::{Bytes, Zone, printable};

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
    /// Set for a long line.
    #[serde(skip)]
    columns: Option<Columns>,
}

/// A folder of a bucket in `ls SNAPSHOT`: what keys have in common.
#[derive(Serialize)]
#[serde(tag = "type", rename = "prefix")]
pub(crate) struct PrefixLine<'a> {
    #[serde(flatten)]
    key: &'a Key,
    #[serde(skip)]
    long: bool,
}

impl<'a> PrefixLine<'a> {
    pub(crate) const fn new(prefix: &'a Key, long: bool) -> Self {
        Self { key: prefix, long }
    }
}

impl Display for PrefixLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.long {
            write_columns(f, "", "", "", "")?;
        }
        write!(f, "{}", self.key)
    }
}

/// What stands before the name in a long line.
struct Columns {
    mode: String,
    owner: String,
    time: String,
}

impl Columns {
    fn of(entry: &Entry, zone: &Zone) -> Self {
        let text = |name: &str, number: &str| match (entry.attribute(name), entry.attribute(number)) {
            (Some(AttributeValue::Text(name)), _) => printable(name),
            (_, Some(AttributeValue::Integer(number))) => number.to_string(),
            _ => String::new(),
        };
        let (user, group) = (text("posix.user", "posix.uid"), text("posix.group", "posix.gid"));
        let owner = if user.is_empty() && group.is_empty() { String::new() } else { format!("{user} {group}") };
        Self { mode: mode(entry), owner, time: entry.modified.map_or_else(String::new, |time| zone.seconds(time)) }
    }
}

/// Kind and permissions as `ls` of the system writes them; the kind alone where no permissions are known.
fn mode(entry: &Entry) -> String {
    let special = match entry.attribute("posix.kind") {
        Some(AttributeValue::Text(kind)) => kind.as_str(),
        _ => "",
    };
    let kind = match (entry.kind, special) {
        (EntryKind::File, _) => '-',
        (EntryKind::Directory, _) => 'd',
        (EntryKind::Symlink, _) => 'l',
        (EntryKind::Other, "fifo") => 'p',
        (EntryKind::Other, "socket") => 's',
        (EntryKind::Other, "char") => 'c',
        (EntryKind::Other, "block") => 'b',
        (EntryKind::Other, _) => '?',
    };
    let Some(AttributeValue::Integer(mode)) = entry.attribute("posix.mode") else { return kind.to_string() };
    let mut shown = String::from(kind);
    for (shift, special, letters) in [(6, 0o4000, ('s', 'S')), (3, 0o2000, ('s', 'S')), (0, 0o1000, ('t', 'T'))] {
        let bits = mode >> shift;
        shown.push(if bits & 4 == 0 { '-' } else { 'r' });
        shown.push(if bits & 2 == 0 { '-' } else { 'w' });
        shown.push(match (bits & 1 != 0, mode & special != 0) {
            (true, true) => letters.0,
            (false, true) => letters.1,
            (true, false) => 'x',
            (false, false) => '-',
        });
    }
    shown
}

fn write_columns(f: &mut fmt::Formatter<'_>, mode: &str, owner: &str, size: &str, time: &str) -> fmt::Result {
    write!(f, "{mode:<10} {owner:<13} {size:>11} {time:<23} ")
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
    /// With a zone it is a long line: mode, owner, size and time in the text form, and all attributes in the other.
    pub(crate) fn new(entry: &'a Entry, status: &'a EntryStatus, long: Option<&Zone>) -> Self {
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
            details: long.map(|_| Details::of(entry)),
            columns: long.map(|zone| Columns::of(entry, zone)),
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
        if let Some(Columns { mode, owner, time }) = &self.columns {
            let size = self.size.map_or_else(String::new, |size| Bytes(size).to_string());
            write_columns(f, mode, owner, &size, time)?;
        }
        // The folder that was backed up.
        let name = super::named(self.key);
        f.write_str(&name)?;
        if self.columns.is_some()
            && let Some(target) = &self.link_target
        {
            write!(f, " -> {target}")?;
        }
        if self.columns.is_some()
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

/// Everything that is known of an entry.
#[derive(Serialize)]
#[serde(transparent)]
pub(crate) struct EntryDetails<'a>(EntryLine<'a>);

impl<'a> EntryDetails<'a> {
    pub(crate) fn new(entry: &'a Entry, status: &'a EntryStatus) -> Self {
        Self(EntryLine::new(entry, status, Some(&Zone::new(true))))
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

    #[test]
    fn a_long_line_tells_which_version_it_is() {
        let version = |latest, deleted| Some(credenza_model::Version { id: "v7".to_owned(), latest, deleted });
        let mut entry = Entry::new(Key::from("a"), EntryKind::File);
        entry.version = version(true, false);
        let utc = Zone::new(true);
        let text = |entry: &Entry, long| EntryLine::new(entry, &EntryStatus::Stable, long).to_string();
        assert!(text(&entry, Some(&utc)).ends_with(" a (version v7, the latest)"), "{}", text(&entry, Some(&utc)));
        entry.version = version(false, true);
        assert!(text(&entry, Some(&utc)).ends_with(" a (delete marker v7)"));
        assert_eq!(text(&entry, None), "a");
    }

    #[test]
    fn a_long_line_tells_mode_owner_size_and_time_as_people_know_them() {
        let mut entry = Entry::new(Key::from("bin/tool"), EntryKind::File);
        entry.size = Some(1536);
        entry.modified = Some(Timestamp { seconds: 0, nanoseconds: 7 });
        let text = |entry: &Entry| EntryLine::new(entry, &EntryStatus::Stable, Some(&Zone::new(true))).to_string();
        assert_eq!(text(&entry), "-                           1.50 KiB 1970-01-01 00:00:00 UTC bin/tool");
        entry.attributes = vec![
            ("posix.gid".to_owned(), AttributeValue::Integer(20)),
            ("posix.mode".to_owned(), AttributeValue::Integer(0o4750)),
            ("posix.user".to_owned(), AttributeValue::Text("me".to_owned())),
        ];
        assert_eq!(text(&entry), "-rwsr-x--- me 20            1.50 KiB 1970-01-01 00:00:00 UTC bin/tool");
        let modes = [
            (EntryKind::Directory, 0o1777, "drwxrwxrwt"),
            (EntryKind::Symlink, 0o777, "lrwxrwxrwx"),
            (EntryKind::File, 0o2640, "-rw-r-S---"),
        ];
        for (kind, bits, shown) in modes {
            entry.kind = kind;
            entry.attributes = vec![("posix.mode".to_owned(), AttributeValue::Integer(bits))];
            assert_eq!(mode(&entry), shown);
        }
    }

    #[test]
    fn an_entry_is_one_object_with_its_type_first() {
        let mut entry = Entry::new(Key::from("a/b"), EntryKind::File);
        entry.size = Some(7);
        let line = serde_json::to_string(&EntryLine::new(&entry, &EntryStatus::Stable, None)).unwrap();
        assert_eq!(line, r#"{"type":"entry","key":"a/b","kind":"file","size":7,"modified":null}"#);
        entry.attributes = vec![("user.x".into(), AttributeValue::Blob(vec![255]))];
        let full = serde_json::to_string(&EntryDetails::new(&entry, &EntryStatus::Stable)).unwrap();
        assert!(full.starts_with(r#"{"type":"entry","key":"a/b""#), "{full}");
        assert!(full.contains(r#""attributes":{"user.x":{"base64":"/w=="}}"#), "{full}");
    }
}
