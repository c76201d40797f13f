//! What the service says about an object, as attributes, and the way back. The names are listed in `wit/CONTRACT.md`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use credenza_sdk::facts::is_fact;
use credenza_sdk::tree::{self, Room};
use credenza_sdk::{AttributeValue, Attributes, Checksum, Entry};
use serde_json::{Map, Value};

use crate::json;
use crate::lock::Locks;
use crate::wire::Headers;

/// Most user metadata of an object, names and values (<https://cloud.google.com/storage/quotas>).
const METADATA_BYTES_MAX: usize = 8 * 1024;

/// Fields of an object and the attributes that they become; all but the last two go back as they came.
const TEXTS: [(&str, &str); 8] = [
    ("contentType", "http.content-type"),
    ("contentEncoding", "http.content-encoding"),
    ("contentLanguage", "http.content-language"),
    ("contentDisposition", "http.content-disposition"),
    ("cacheControl", "http.cache-control"),
    ("customTime", "gcs.custom-time"),
    ("storageClass", STORAGE_CLASS),
    ("kmsKeyName", KMS_KEY),
];
const GIVEN_BACK: usize = 6;
pub(crate) const STORAGE_CLASS: &str = "gcs.storage-class";
/// The bucket decides which key encrypts a copy; `finish` tells when it is another.
pub(crate) const KMS_KEY: &str = "gcs.kms-key";
const METADATA: &str = "metadata";
const USER_NAME: &str = "user.";
/// Digests that the service knows, by field, algorithm and length in bytes.
const DIGESTS: [(&str, &str, usize); 2] = [("md5Hash", "md5", 16), ("crc32c", "crc32c", 4)];

/// What an object has.
pub(crate) fn of(resource: &Value) -> Attributes {
    let text = |field| json::text(resource, field).map(|text| AttributeValue::Text(text.to_owned()));
    let mut attributes: Attributes =
        TEXTS.into_iter().filter_map(|(field, name)| Some((name.to_owned(), text(field)?))).collect();
    attributes.extend(Locks::of_resource(resource).attributes());
    let metadata = resource.get(METADATA).and_then(Value::as_object);
    for (name, value) in metadata.into_iter().flatten() {
        let Some(value) = value.as_str() else { continue };
        let own = || (format!("{USER_NAME}{name}"), AttributeValue::Text(value.to_owned()));
        let (name, value) = tree::attribute_of(name, value).unwrap_or_else(own);
        // Two names may become one: what is kept of a folder is read whatever the case of its name.
        if !attributes.iter().any(|(present, _)| *present == name) {
            attributes.push((name, value));
        }
    }
    attributes
}

/// Digests of the content as it is stored. An object that was composed of others has no MD5.
pub(crate) fn checksums(resource: &Value) -> Vec<Checksum> {
    DIGESTS.into_iter().filter_map(|(field, algorithm, _)| checksum(algorithm, json::text(resource, field)?)).collect()
}

/// The same of an answer with the content: `x-goog-hash: crc32c=AAAAAA==,md5=…`, in one header or several.
pub(crate) fn checksums_of_read(headers: &Headers) -> Vec<Checksum> {
    let values = headers.0.iter().filter(|(name, _)| name.eq_ignore_ascii_case("x-goog-hash")).map(|(_, value)| value);
    let pairs = values.flat_map(|value| value.split(',')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter_map(|(algorithm, value)| checksum(algorithm, value)).collect()
}

fn checksum(algorithm: &str, value: &str) -> Option<Checksum> {
    let (_, algorithm, length) = DIGESTS.into_iter().find(|(_, known, _)| *known == algorithm)?;
    let value = BASE64.decode(value).ok().filter(|value| value.len() == length)?;
    Some(Checksum { algorithm: algorithm.to_owned(), value })
}

/// The text of an attribute.
pub(crate) fn text_of<'a>(attributes: &'a Attributes, name: &str) -> Option<&'a str> {
    attributes.iter().find_map(|(present, value)| match value {
        AttributeValue::Text(text) if present == name => Some(text.as_str()),
        _ => None,
    })
}

/// The fields with which an object is written so that it is like the entry, but for locks and the class of storage; and the names of attributes that it
/// will lack.
pub(crate) fn restore(entry: &Entry, with_locks: bool) -> (Map<String, Value>, Vec<String>) {
    let (mut fields, mut metadata, mut lost) = (Map::new(), Vec::new(), Vec::new());
    for (name, value) in &entry.attributes {
        let field = TEXTS.into_iter().take(GIVEN_BACK).find(|(_, attribute)| attribute == name).map(|(field, _)| field);
        match (field, value, kept_as_metadata(name, value)) {
            (Some(field), AttributeValue::Text(text), _) => {
                fields.insert(field.to_owned(), Value::String(text.clone()));
            }
            (_, _, Some(pair)) => metadata.push((name, pair)),
            _ if is_fact(name) || name == STORAGE_CLASS || name == KMS_KEY => {}
            _ if with_locks && Locks::has(name) => {}
            _ => lost.push(name.clone()),
        }
    }
    // What a person wrote goes before what a folder had.
    metadata.sort_by_key(|(name, _)| !name.starts_with(USER_NAME));
    let mut room = Room::beside(METADATA_BYTES_MAX, std::iter::empty());
    let mut kept = Map::new();
    for (name, (key, value)) in metadata {
        match room.take(&key, &value) {
            true => drop(kept.insert(key, Value::String(value))),
            false => lost.push(name.clone()),
        }
    }
    if !kept.is_empty() {
        fields.insert(METADATA.to_owned(), Value::Object(kept));
    }
    // The service compares them with what arrives.
    for (field, algorithm, length) in DIGESTS {
        let own = entry.checksums.iter().find(|own| own.algorithm == algorithm && own.value.len() == length);
        fields.extend(own.map(|own| (field.to_owned(), Value::String(BASE64.encode(&own.value)))));
    }
    (fields, lost)
}

/// Name and value of the user metadata that keeps an attribute.
fn kept_as_metadata(name: &str, value: &AttributeValue) -> Option<(String, String)> {
    let user = || match (name.strip_prefix(USER_NAME), value) {
        (Some(own), AttributeValue::Text(text)) if !own.is_empty() => Some((own.to_owned(), text.clone())),
        _ => None,
    };
    user().or_else(|| tree::metadata_of(name, value))
}

#[cfg(test)]
mod tests {
    use credenza_sdk::EntryKind;
    use proptest::prelude::*;

    use super::*;

    fn entry(attributes: Attributes) -> Entry {
        Entry { attributes, ..Entry::new("k", EntryKind::File) }
    }

    fn text(name: &str, value: &str) -> (String, AttributeValue) {
        (name.to_owned(), AttributeValue::Text(value.to_owned()))
    }

    #[test]
    fn what_a_listing_tells_comes_back_in_a_write() {
        let resource = serde_json::json!({
            "contentType": "text/html; charset=utf-8", "contentEncoding": "gzip", "contentLanguage": "de",
            "contentDisposition": "attachment; filename=\"ü\"", "cacheControl": "no-store", "customTime": "2024-01-01T00:00:00.123Z",
            "metadata": {"Owner": "Jürgen", "owner": "another", "credenza-posix.mode": "i420"},
        });
        let attributes = of(&resource);
        assert!(
            attributes.contains(&text("user.Owner", "Jürgen")) && attributes.contains(&text("user.owner", "another"))
        );
        assert!(attributes.contains(&("tree.posix.mode".to_owned(), AttributeValue::Integer(420))));
        let (fields, lost) = restore(&entry(attributes), false);
        assert_eq!((Value::Object(fields), lost), (resource, vec![]));
    }

    #[test]
    fn what_cannot_be_held_is_named_and_facts_are_not_missed() {
        let attributes = vec![
            ("posix.mode".to_owned(), AttributeValue::Integer(0o644)),
            text("http.expires", "Thu, 01 Jan 1970 00:00:00 GMT"),
            text("s3.version-id", "v"),
            text("gcs.temporary-hold", "true"),
            text("gcs.storage-class", "NEARLINE"),
            text("user.long", &"x".repeat(9000)),
            text("user.short", "x"),
        ];
        let lost = ["posix.mode", "http.expires", "gcs.temporary-hold", "user.long"];
        let (fields, found) = restore(&entry(attributes.clone()), false);
        assert_eq!(found, lost);
        assert_eq!(Value::Object(fields), serde_json::json!({"metadata": {"short": "x"}}));
        let (_, found) = restore(&entry(attributes), true);
        assert!(!found.contains(&"gcs.temporary-hold".to_owned()));
    }

    #[test]
    fn a_digest_is_one_only_when_it_has_its_length() {
        let resource = serde_json::json!({"md5Hash": "1B2M2Y8AsgTpgAmY7PhCfg==", "crc32c": "AAAAAA=="});
        let reported = checksums(&resource);
        assert_eq!(reported.iter().map(|sum| sum.value.len()).collect::<Vec<_>>(), [16, 4]);
        let header = |value: &str| Headers(vec![("x-goog-hash".to_owned(), value.to_owned())]);
        assert_eq!(checksums_of_read(&header("crc32c=AAAAAA==,md5=1B2M2Y8AsgTpgAmY7PhCfg==")).len(), 2);
        assert!(checksums(&serde_json::json!({"md5Hash": "AAAA", "crc32c": 5})).is_empty());
        assert!(checksums_of_read(&header("sha1=AAAA, md5")).is_empty());
        let (fields, _) = restore(&Entry { checksums: reported, ..entry(vec![]) }, false);
        assert_eq!(Value::Object(fields), resource);
    }

    proptest! {
        #[test]
        fn any_metadata_comes_back(name in "[^\0]{1,40}", value in any::<String>()) {
            let resource = serde_json::json!({"metadata": {name: value}});
            let attributes = of(&resource);
            prop_assume!(attributes.iter().all(|(name, _)| name.starts_with(USER_NAME)));
            let (fields, lost) = restore(&entry(attributes), false);
            prop_assert_eq!((Value::Object(fields), lost), (resource, vec![]));
        }
    }
}
