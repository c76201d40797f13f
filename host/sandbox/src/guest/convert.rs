//! The records of the contract and the words of the host, both ways; what is out of bounds is an error, not a guess.

use std::time::Duration;

use credenza_connect as connect;
use credenza_connect::{Check, ErrorClass};
use credenza_model as model;
use credenza_model::limits::KEY_BYTES_MAX;

use super::State;
use super::bindings::{source, types};

/// Longest message of a connector that a person sees.
const MESSAGE_BYTES_MAX: usize = 2048;
/// Longest reason; reasons are words such as `s3.slow-down`.
const REASON_BYTES_MAX: usize = 64;
/// Longest wish of a remote to be left alone that is believed.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// A connector's error, cleaned. A refusal of the policy is final, whatever the connector made of it: a fault of the
/// connector, except for a header, whose value may be that of the entry it writes, and for what a dry run does not do. So is what the host says of a server that never answered.
pub(crate) fn reported(state: &mut State, error: types::Error) -> connect::Error {
    if let Some((reason, message)) = state.refusal.take() {
        let class = match reason {
            "egress.header" => ErrorClass::Denied,
            "egress.preview" => ErrorClass::Unsupported,
            _ => ErrorClass::Internal,
        };
        return connect::Error::new(class, reason, format!("connector {}: {message}", state.connector));
    }
    if let Some(error) = state.never_answered.take() {
        return error;
    }
    let mut message = state.masker.clean(error.message, MESSAGE_BYTES_MAX);
    if let Some(skew) = state.clock_skew.take() {
        message = format!("{message} ({skew})");
    }
    connect::Error {
        class: class(error.class),
        reason: state.masker.clean(error.reason, REASON_BYTES_MAX),
        message,
        retry_after: error.retry_after_ms.map(|ms| Duration::from_millis(ms).min(RETRY_AFTER_MAX)),
    }
}

const fn class(class: types::ErrorClass) -> ErrorClass {
    match class {
        types::ErrorClass::NotFound => ErrorClass::NotFound,
        types::ErrorClass::Precondition => ErrorClass::Precondition,
        types::ErrorClass::Transient => ErrorClass::Transient,
        types::ErrorClass::Configuration => ErrorClass::Configuration,
        types::ErrorClass::Denied => ErrorClass::Denied,
        types::ErrorClass::Unsupported => ErrorClass::Unsupported,
        types::ErrorClass::Corrupt => ErrorClass::Corrupt,
        types::ErrorClass::Exhausted => ErrorClass::Exhausted,
        types::ErrorClass::Internal => ErrorClass::Internal,
    }
}

/// The lines of a self-test.
pub(crate) fn checks(state: &mut State, checks: Vec<types::Check>) -> Vec<Check> {
    let one = |check: types::Check| Check {
        name: state.masker.clean(check.name, MESSAGE_BYTES_MAX),
        outcome: match check.outcome {
            Ok(text) => Ok(state.masker.clean(text, MESSAGE_BYTES_MAX)),
            Err(error) => Err(reported(state, error)),
        },
    };
    checks.into_iter().map(one).collect()
}

/// Most documents of a source, and the longest one.
const DOCUMENTS_MAX: usize = 64;
const DOCUMENT_BYTES_MAX: usize = 64 * 1024;

/// What is configured for a source, without known secrets.
pub(crate) fn documents(
    state: &mut State,
    documents: Vec<source::Document>,
) -> wasmtime::Result<Vec<connect::SourceDocument>> {
    if documents.len() > DOCUMENTS_MAX {
        wasmtime::bail!("told {} documents of its source, at most {DOCUMENTS_MAX} are taken", documents.len());
    }
    let one = |document: source::Document| {
        let name = state.masker.clean(document.name, REASON_BYTES_MAX);
        let content = match document.content {
            Ok(text) if text.len() > DOCUMENT_BYTES_MAX => Err(too_long(&name, text.len())),
            Ok(text) => Ok(state.masker.mask(text)),
            Err(error) => Err(reported(state, error)),
        };
        connect::SourceDocument { name, content }
    };
    Ok(documents.into_iter().map(one).collect())
}

fn too_long(name: &str, bytes: usize) -> connect::Error {
    let message =
        format!("the document `{name}` has {bytes} bytes; a snapshot keeps documents of at most {DOCUMENT_BYTES_MAX}");
    connect::Error::new(ErrorClass::Unsupported, "document.too-long", message)
}

/// A self-test that could not run.
pub(crate) fn failed_check(error: connect::Error) -> Vec<Check> {
    vec![Check { name: "run the connector".to_owned(), outcome: Err(error) }]
}

/// An entry that a connector describes.
pub(crate) fn entry(entry: types::Entry) -> wasmtime::Result<model::Entry> {
    if entry.key.len() > KEY_BYTES_MAX {
        wasmtime::bail!("answered a key of {} bytes, at most {KEY_BYTES_MAX} are allowed", entry.key.len());
    }
    let attributes = attributes(entry.attributes)?;
    Ok(model::Entry {
        key: model::Key::new(entry.key),
        kind: match entry.kind {
            types::EntryKind::File => model::EntryKind::File,
            types::EntryKind::Directory => model::EntryKind::Directory,
            types::EntryKind::Symlink => model::EntryKind::Symlink,
            types::EntryKind::Other => model::EntryKind::Other,
        },
        size: entry.size,
        modified: entry.modified.map(timestamp).transpose()?,
        fingerprint: entry.fingerprint,
        locator: entry.locator,
        version: entry.version.map(|v| model::Version { id: v.id, latest: v.latest, deleted: v.deleted }),
        link_target: entry.link_target,
        checksums: entry
            .checksums
            .into_iter()
            .map(|c| model::Checksum { algorithm: c.algorithm, value: c.value })
            .collect(),
        attributes,
    })
}

/// Attributes sorted by name; the same name twice is an error.
pub(crate) fn attributes(given: types::Attributes) -> wasmtime::Result<Vec<model::Attribute>> {
    let one = |(name, value)| {
        Ok((
            name,
            match value {
                types::AttributeValue::Text(text) => model::AttributeValue::Text(text),
                types::AttributeValue::Integer(number) => model::AttributeValue::Integer(number),
                types::AttributeValue::Time(time) => model::AttributeValue::Time(timestamp(time)?),
                types::AttributeValue::Blob(bytes) => model::AttributeValue::Blob(bytes),
            },
        ))
    };
    let mut sorted = given.into_iter().map(one).collect::<wasmtime::Result<Vec<model::Attribute>>>()?;
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    let twice = sorted.iter().zip(sorted.iter().skip(1)).find(|(a, b)| a.0 == b.0);
    if let Some(((name, _), _)) = twice {
        wasmtime::bail!("answered the attribute `{}` twice for one entry", name.escape_debug());
    }
    Ok(sorted)
}

/// A point in time, checked.
pub(crate) fn timestamp(time: types::Timestamp) -> wasmtime::Result<model::Timestamp> {
    if time.nanoseconds >= 1_000_000_000 {
        wasmtime::bail!("answered a time with {} nanoseconds, which must be below 1000000000", time.nanoseconds);
    }
    Ok(model::Timestamp { seconds: time.seconds, nanoseconds: time.nanoseconds })
}

/// A point in time for a connector.
pub(crate) const fn wit_timestamp(time: model::Timestamp) -> types::Timestamp {
    types::Timestamp { seconds: time.seconds, nanoseconds: time.nanoseconds }
}

/// A range for a connector.
pub(crate) fn wit_range(range: connect::ByteRange) -> types::ByteRange {
    types::ByteRange { offset: range.offset, length: range.length }
}

/// An entry for a connector.
pub(crate) fn wit_entry(entry: &model::Entry) -> types::Entry {
    types::Entry {
        key: entry.key.as_bytes().to_vec(),
        kind: match entry.kind {
            model::EntryKind::File => types::EntryKind::File,
            model::EntryKind::Directory => types::EntryKind::Directory,
            model::EntryKind::Symlink => types::EntryKind::Symlink,
            model::EntryKind::Other => types::EntryKind::Other,
        },
        size: entry.size,
        modified: entry.modified.map(wit_timestamp),
        fingerprint: entry.fingerprint.clone(),
        locator: entry.locator.clone(),
        version: entry.version.clone().map(|v| types::Version { id: v.id, latest: v.latest, deleted: v.deleted }),
        link_target: entry.link_target.clone(),
        checksums: entry
            .checksums
            .iter()
            .map(|c| types::Checksum { algorithm: c.algorithm.clone(), value: c.value.clone() })
            .collect(),
        attributes: entry.attributes.iter().map(wit_attribute).collect(),
    }
}

fn wit_attribute((name, value): &model::Attribute) -> (String, types::AttributeValue) {
    let value = match value {
        model::AttributeValue::Text(text) => types::AttributeValue::Text(text.clone()),
        model::AttributeValue::Integer(number) => types::AttributeValue::Integer(*number),
        model::AttributeValue::Time(time) => types::AttributeValue::Time(wit_timestamp(*time)),
        model::AttributeValue::Blob(bytes) => types::AttributeValue::Blob(bytes.clone()),
    };
    (name.clone(), value)
}

/// One answer for each question, or an error that says so.
pub(crate) fn one_for_each<T>(answers: Vec<T>, questions: usize) -> wasmtime::Result<Vec<T>> {
    if answers.len() != questions {
        wasmtime::bail!("answered {} results for {questions} entries", answers.len());
    }
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn time() -> impl Strategy<Value = model::Timestamp> {
        (any::<i64>(), 0..1_000_000_000_u32)
            .prop_map(|(seconds, nanoseconds)| model::Timestamp { seconds, nanoseconds })
    }

    fn value() -> impl Strategy<Value = model::AttributeValue> {
        prop_oneof![
            any::<String>().prop_map(model::AttributeValue::Text),
            any::<i64>().prop_map(model::AttributeValue::Integer),
            time().prop_map(model::AttributeValue::Time),
            any::<Vec<u8>>().prop_map(model::AttributeValue::Blob),
        ]
    }

    proptest! {
        #[test]
        fn an_entry_survives_the_way_to_a_connector_and_back(
            key in any::<Vec<u8>>(),
            size in any::<Option<u64>>(),
            modified in proptest::option::of(time()),
            fingerprint in any::<Option<String>>(),
            locator in any::<Option<Vec<u8>>>(),
            version in any::<Option<(String, bool, bool)>>(),
            attributes in proptest::collection::btree_map(any::<String>(), value(), 0..4),
        ) {
            let mut given = model::Entry::new(model::Key::new(key), model::EntryKind::Symlink);
            given.size = size;
            given.modified = modified;
            given.fingerprint = fingerprint;
            given.locator = locator.clone();
            given.link_target = locator;
            given.version = version.map(|(id, latest, deleted)| model::Version { id, latest, deleted });
            given.attributes = attributes.into_iter().collect();
            prop_assert_eq!(entry(wit_entry(&given)).unwrap(), given);
        }
    }

    #[test]
    fn an_attribute_twice_a_wrong_time_and_a_huge_key_are_refused() {
        let twice = vec![
            ("b".to_owned(), types::AttributeValue::Integer(1)),
            ("a".to_owned(), types::AttributeValue::Integer(1)),
            ("b".to_owned(), types::AttributeValue::Integer(2)),
        ];
        assert!(attributes(twice).is_err());
        assert!(timestamp(types::Timestamp { seconds: 0, nanoseconds: 1_000_000_000 }).is_err());
        let mut huge = wit_entry(&model::Entry::new(model::Key::default(), model::EntryKind::File));
        huge.key = vec![0; KEY_BYTES_MAX + 1];
        assert!(entry(huge).is_err());
    }
}
