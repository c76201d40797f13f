//! The records of the connector's kit and the words of the host, both ways.

use std::time::Duration;

use credenza_connect as connect;
use credenza_model as model;
use credenza_sandbox::{Settings, Value};
use credenza_sdk as sdk;

/// The settings as the library gets them.
pub(crate) fn config(settings: &Settings) -> sdk::Config {
    let value = |value: &Value| match value.clone() {
        Value::Text(text) => sdk::Value::Text(text),
        Value::Integer(number) => sdk::Value::Integer(number),
        Value::Boolean(flag) => sdk::Value::Boolean(flag),
        Value::Texts(texts) => sdk::Value::Texts(texts),
    };
    let values = settings.values.iter();
    sdk::Config {
        settings: values.map(|(name, v)| sdk::Setting { name: name.clone(), value: value(v) }).collect(),
        secrets_present: settings.secrets.keys().cloned().collect(),
        purpose: "backup".to_owned(),
    }
}

/// What a scan found.
pub(crate) fn found(found: sdk::Found) -> connect::Found {
    match found {
        sdk::Found::Entry(found) => connect::Found::Entry(entry(found)),
        sdk::Found::Skipped((key, error)) => {
            connect::Found::Skipped(model::SkippedEntry { key: model::Key::new(key), reason: error.message })
        }
    }
}

/// An entry that the library describes.
pub(crate) fn entry(entry: sdk::Entry) -> model::Entry {
    model::Entry {
        key: model::Key::new(entry.key),
        kind: match entry.kind {
            sdk::EntryKind::File => model::EntryKind::File,
            sdk::EntryKind::Directory => model::EntryKind::Directory,
            sdk::EntryKind::Symlink => model::EntryKind::Symlink,
            sdk::EntryKind::Other => model::EntryKind::Other,
        },
        size: entry.size,
        modified: entry.modified.map(time),
        fingerprint: entry.fingerprint,
        locator: entry.locator,
        version: entry.version.map(|v| model::Version { id: v.id, latest: v.latest, deleted: v.deleted }),
        link_target: entry.link_target,
        checksums: entry
            .checksums
            .into_iter()
            .map(|c| model::Checksum { algorithm: c.algorithm, value: c.value })
            .collect(),
        attributes: attributes(entry.attributes),
    }
}

/// Attributes sorted by name.
pub(crate) fn attributes(given: sdk::Attributes) -> Vec<model::Attribute> {
    let value = |value| match value {
        sdk::AttributeValue::Text(text) => model::AttributeValue::Text(text),
        sdk::AttributeValue::Integer(number) => model::AttributeValue::Integer(number),
        sdk::AttributeValue::Time(given) => model::AttributeValue::Time(time(given)),
        sdk::AttributeValue::Blob(bytes) => model::AttributeValue::Blob(bytes),
    };
    let mut sorted: Vec<model::Attribute> = given.into_iter().map(|(name, given)| (name, value(given))).collect();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    sorted
}

/// An entry for the library.
pub(crate) fn sdk_entry(entry: &model::Entry) -> sdk::Entry {
    let entry = entry.clone();
    let value = |value| match value {
        model::AttributeValue::Text(text) => sdk::AttributeValue::Text(text),
        model::AttributeValue::Integer(number) => sdk::AttributeValue::Integer(number),
        model::AttributeValue::Time(given) => sdk::AttributeValue::Time(sdk_time(given)),
        model::AttributeValue::Blob(bytes) => sdk::AttributeValue::Blob(bytes),
    };
    sdk::Entry {
        key: entry.key.as_bytes().to_vec(),
        kind: match entry.kind {
            model::EntryKind::File => sdk::EntryKind::File,
            model::EntryKind::Directory => sdk::EntryKind::Directory,
            model::EntryKind::Symlink => sdk::EntryKind::Symlink,
            model::EntryKind::Other => sdk::EntryKind::Other,
        },
        size: entry.size,
        modified: entry.modified.map(sdk_time),
        fingerprint: entry.fingerprint,
        locator: entry.locator,
        version: entry.version.map(|v| sdk::Version { id: v.id, latest: v.latest, deleted: v.deleted }),
        link_target: entry.link_target,
        checksums: entry
            .checksums
            .into_iter()
            .map(|c| sdk::Checksum { algorithm: c.algorithm, value: c.value })
            .collect(),
        attributes: entry.attributes.into_iter().map(|(name, given)| (name, value(given))).collect(),
    }
}

pub(crate) const fn time(time: sdk::Timestamp) -> model::Timestamp {
    model::Timestamp { seconds: time.seconds, nanoseconds: time.nanoseconds }
}

pub(crate) const fn sdk_time(time: model::Timestamp) -> sdk::Timestamp {
    sdk::Timestamp { seconds: time.seconds, nanoseconds: time.nanoseconds }
}

/// The classes of the contract, name for name.
const CLASSES: [(sdk::ErrorClass, connect::ErrorClass); 9] = [
    (sdk::ErrorClass::NotFound, connect::ErrorClass::NotFound),
    (sdk::ErrorClass::Precondition, connect::ErrorClass::Precondition),
    (sdk::ErrorClass::Transient, connect::ErrorClass::Transient),
    (sdk::ErrorClass::Configuration, connect::ErrorClass::Configuration),
    (sdk::ErrorClass::Denied, connect::ErrorClass::Denied),
    (sdk::ErrorClass::Unsupported, connect::ErrorClass::Unsupported),
    (sdk::ErrorClass::Corrupt, connect::ErrorClass::Corrupt),
    (sdk::ErrorClass::Exhausted, connect::ErrorClass::Exhausted),
    (sdk::ErrorClass::Internal, connect::ErrorClass::Internal),
];

/// An error of the library.
pub(crate) fn error(error: sdk::Error) -> connect::Error {
    let class = CLASSES.iter().find(|(own, _)| *own == error.class);
    connect::Error {
        class: class.map_or(connect::ErrorClass::Internal, |(_, class)| *class),
        reason: error.reason,
        message: error.message,
        retry_after: error.retry_after_ms.map(Duration::from_millis),
    }
}

/// An error of a body.
pub(crate) fn sdk_error(error: connect::Error) -> sdk::Error {
    let class = CLASSES.iter().find(|(_, own)| *own == error.class);
    let class = class.map_or(sdk::ErrorClass::Internal, |(class, _)| *class);
    sdk::Error::new(class, error.reason, error.message)
}
