//! What listings and headers say about a blob, as attributes, and the way back. The names are listed in `wit/CONTRACT.md`.

use credenza_sdk::facts::is_fact;
use credenza_sdk::tree::{self, Room};
use credenza_sdk::{AttributeValue, Attributes, Timestamp, percent, time};

use crate::locks::{self, Locks};
use crate::names;
use crate::place::Place;
use crate::wire::Headers;

/// Most user metadata of a blob, names and values.
const METADATA_BYTES_MAX: usize = 8192;

/// Headers of HTTP that a blob keeps: as listings and answers call them, as attributes, and as requests set them.
const CONTENT: [(&str, &str, &str); 5] = [
    ("Content-Type", "http.content-type", "x-ms-blob-content-type"),
    ("Content-Encoding", "http.content-encoding", "x-ms-blob-content-encoding"),
    ("Content-Language", "http.content-language", "x-ms-blob-content-language"),
    ("Content-Disposition", "http.content-disposition", "x-ms-blob-content-disposition"),
    ("Cache-Control", "http.cache-control", "x-ms-blob-cache-control"),
];

/// The tiers of block blobs; those of page blobs are bought sizes.
const TIERS: [&str; 4] = ["Hot", "Cool", "Cold", "Archive"];
const TIER: &str = "azure.access-tier";
const BLOB_TYPE: &str = "azure.blob-type";
const BLOCK_BLOB: &str = "BlockBlob";
pub(crate) const TAG_COUNT: &str = "azure.tag-count";
const TAG: &str = "azure.tag.";
const USER: &str = "user.";
const USER_HEADER: &str = "x-ms-meta-";

/// The attributes in the properties of a listing.
pub(crate) fn of_properties<'a>(property: &impl Fn(&str) -> Option<&'a str>) -> Attributes {
    let mut attributes = Attributes::new();
    let mut text = |name: &str, value: Option<&str>| {
        attributes.extend(value.map(|value| (name.to_owned(), AttributeValue::Text(value.to_owned()))));
    };
    for (name, attribute, _) in CONTENT {
        text(attribute, property(name));
    }
    // One that was not chosen for the blob is the account's, and so will be that of a copy.
    let is_inferred = property("AccessTierInferred").is_some_and(|inferred| inferred.eq_ignore_ascii_case("true"));
    text(TIER, property("AccessTier").filter(|_| !is_inferred));
    text(BLOB_TYPE, property("BlobType").filter(|kind| *kind != BLOCK_BLOB));
    text("azure.encryption-scope", property("EncryptionScope"));
    let count = property("TagCount").and_then(|count| count.parse().ok());
    attributes.extend(count.map(|count| (TAG_COUNT.to_owned(), AttributeValue::Integer(count))));
    attributes
}

/// Completes attributes of a listing with those of an answer, which win. Names of metadata come in lower case there: those of the listing stay, where
/// they differ by case alone, and what the answer does not tell any more goes.
pub(crate) fn complete(attributes: &mut Attributes, headers: &Headers) {
    for (name, attribute, _) in CONTENT {
        if let Some(value) = headers.get(name) {
            set(attributes, attribute.to_owned(), AttributeValue::Text(value.to_owned()));
        }
    }
    if let Some(kind) = headers.get("x-ms-blob-type").filter(|kind| *kind != BLOCK_BLOB) {
        set(attributes, BLOB_TYPE.to_owned(), AttributeValue::Text(kind.to_owned()));
    }
    if let Some(count) = headers.number("x-ms-tag-count").and_then(|count| i64::try_from(count).ok()) {
        set(attributes, TAG_COUNT.to_owned(), AttributeValue::Integer(count));
    }
    locks::complete(attributes, headers);
    let mut reported = Attributes::new();
    for (header, value) in &headers.0 {
        if let Some(name) = header.strip_prefix(USER_HEADER) {
            set_metadata(&mut reported, name, value);
        }
    }
    let is_metadata = |name: &str| name.starts_with(USER) || name.starts_with("tree.");
    for (name, _) in &mut reported {
        if let Some((listed, _)) = attributes.iter().find(|(listed, _)| listed.eq_ignore_ascii_case(name)) {
            name.clone_from(listed);
        }
    }
    attributes.retain(|(name, _)| !is_metadata(name));
    attributes.extend(reported);
}

/// Adds a pair of user metadata.
pub(crate) fn set_metadata(attributes: &mut Attributes, name: &str, value: &str) {
    let own = || (format!("{USER}{name}"), AttributeValue::Text(value.to_owned()));
    let of_a_tree = names::decode(name).and_then(|name| tree::attribute_of(&name, value));
    let (name, value) = of_a_tree.unwrap_or_else(own);
    set(attributes, name, value);
}

/// Adds a tag.
pub(crate) fn set_tag(attributes: &mut Attributes, name: &str, value: &str) {
    set(attributes, format!("{TAG}{name}"), AttributeValue::Text(value.to_owned()));
}

/// Sets an attribute, in place of one of that name.
pub(crate) fn set(attributes: &mut Attributes, name: String, value: AttributeValue) {
    attributes.retain(|(present, _)| *present != name);
    attributes.push((name, value));
}

/// The headers with which a blob is written so that it has these attributes, and the names of those that it will lack. `now` is when that is.
pub(crate) fn restore(attributes: &Attributes, place: &Place, now: Timestamp) -> (Vec<(String, String)>, Vec<String>) {
    let (mut headers, mut tags, mut lost) = (Vec::new(), Vec::new(), Vec::new());
    let mut of_a_tree = Vec::new();
    for (name, value) in attributes {
        if let Some((kept, text)) = tree::metadata_of(name, value) {
            of_a_tree.push((name, format!("{USER_HEADER}{}", names::encode(&kept)), text));
            continue;
        }
        let AttributeValue::Text(text) = value else {
            let is_given = place.locks && locks::NAMES.contains(&name.as_str());
            lost.extend((!is_given && !is_fact(name)).then(|| name.clone()));
            continue;
        };
        match (header_of(name, text, place), name.strip_prefix(TAG)) {
            (Some((header, _)), _) if headers.iter().any(|(present, _)| *present == header) => lost.push(name.clone()),
            (Some(header), _) => {
                // The host's client writes names of headers in lower case.
                let loses_case = name.starts_with(USER) && name.bytes().any(|byte| byte.is_ascii_uppercase());
                lost.extend(loses_case.then(|| name.clone()));
                headers.push(header);
            }
            (None, Some(tag)) => {
                tags.push(format!("{}={}", percent::value(tag.as_bytes()), percent::value(text.as_bytes())));
            }
            _ if is_fact(name) || (name == TIER && !place.access_tier.is_empty()) => {}
            _ if place.locks && locks::NAMES.contains(&name.as_str()) => {}
            _ => lost.push(name.clone()),
        }
    }
    let mut room = Room::beside(METADATA_BYTES_MAX, headers.iter().filter(|(name, _)| name.starts_with(USER_HEADER)));
    for (name, header, text) in of_a_tree {
        if room.take(&header, &text) {
            headers.push((header, text));
        } else {
            lost.push(name.clone());
        }
    }
    if !tags.is_empty() {
        headers.push(("x-ms-tags".to_owned(), tags.join("&")));
    }
    if !place.access_tier.is_empty() {
        headers.push(("x-ms-access-tier".to_owned(), place.access_tier.clone()));
    }
    if place.locks {
        headers.extend(Locks::of(attributes, now).headers());
    }
    (headers, lost)
}

/// The header that gives a blob an attribute, when there is one.
fn header_of(name: &str, text: &str, place: &Place) -> Option<(String, String)> {
    // The service trims values.
    let is_plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~')) && text.trim() == text;
    if let Some((.., header)) = CONTENT.iter().find(|(_, attribute, _)| *attribute == name) {
        return is_plain.then(|| ((*header).to_owned(), text.to_owned()));
    }
    if name == TIER {
        let is_wanted = place.access_tier.is_empty() && TIERS.contains(&text);
        return is_wanted.then(|| ("x-ms-access-tier".to_owned(), text.to_owned()));
    }
    let user = name.strip_prefix(USER).filter(|user| names::is_of_metadata(user) && is_plain)?;
    Some((format!("{USER_HEADER}{}", user.to_ascii_lowercase()), text.to_owned()))
}

/// The time of an answer, by the clock of the service (RFC 9110 section 6.6.1).
pub(crate) fn date(headers: &Headers) -> Option<Timestamp> {
    headers.get("date").and_then(time::parse_http)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::place::tests::config;

    const NOW: Timestamp = Timestamp { seconds: 1_704_067_205, nanoseconds: 0 };

    fn place(settings: &[(&str, &str)]) -> Place {
        Place::of(&config(settings))
    }

    fn headers(pairs: &[(&str, &str)]) -> Headers {
        Headers(pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect())
    }

    fn text(name: &str, value: &str) -> (String, AttributeValue) {
        (name.to_owned(), AttributeValue::Text(value.to_owned()))
    }

    #[test]
    fn what_is_told_comes_back_in_a_write() {
        let attributes = vec![
            text("http.content-type", "text/html; charset=utf-8"),
            text("http.content-disposition", "attachment"),
            text("http.cache-control", "no-store"),
            text("user.colour", "green"),
            text("azure.access-tier", "Cool"),
            text("azure.tag.a b", "c=d"),
        ];
        let (headers, lost) = restore(&attributes, &place(&[]), NOW);
        let expected = [
            ("x-ms-blob-content-type", "text/html; charset=utf-8"),
            ("x-ms-blob-content-disposition", "attachment"),
            ("x-ms-blob-cache-control", "no-store"),
            ("x-ms-meta-colour", "green"),
            ("x-ms-access-tier", "Cool"),
            ("x-ms-tags", "a%20b=c%3Dd"),
        ];
        assert_eq!(headers, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert!(lost.is_empty(), "{lost:?}");
    }

    #[test]
    fn what_azure_cannot_hold_is_named_and_facts_are_not_missed() {
        let attributes = vec![
            ("posix.mode".to_owned(), AttributeValue::Integer(0o644)),
            ("s3.parts".to_owned(), AttributeValue::Integer(2)),
            text("http.expires", "0"),
            text("user.not-a-name", "x"),
            text("user.umlaut", "\u{fc}"),
            text("user.Case", "kept but for its case"),
            text("user.case", "the same name"),
            text("azure.version-id", "v"),
            text("azure.blob-type", "PageBlob"),
            text("azure.access-tier", "P10"),
            text("azure.immutability-mode", "Locked"),
        ];
        let (headers, lost) = restore(&attributes, &place(&[]), NOW);
        assert_eq!(headers, [("x-ms-meta-case".to_owned(), "kept but for its case".to_owned())]);
        let expected = [
            "posix.mode",
            "http.expires",
            "user.not-a-name",
            "user.umlaut",
            "user.Case",
            "user.case",
            "azure.blob-type",
            "azure.access-tier",
            "azure.immutability-mode",
        ];
        assert_eq!(lost, expected);
    }

    #[test]
    fn a_chosen_tier_goes_before_the_one_it_had() {
        let (headers, lost) = restore(&vec![text("azure.access-tier", "Hot")], &place(&[("access_tier", "Cold")]), NOW);
        assert_eq!(headers, [("x-ms-access-tier".to_owned(), "Cold".to_owned())]);
        assert!(lost.is_empty());
    }

    #[test]
    fn an_answer_leaves_the_case_that_the_listing_told_and_wins_otherwise() {
        let mut attributes =
            vec![text("user.Colour", "red"), text("user.Gone", "x"), text("azure.access-tier", "Cool")];
        complete(&mut attributes, &headers(&[("x-ms-meta-colour", "green"), ("x-ms-meta-new", "n")]));
        assert_eq!(
            attributes,
            [text("azure.access-tier", "Cool"), text("user.Colour", "green"), text("user.new", "n")]
        );
    }

    #[test]
    fn what_an_object_was_in_a_folder_comes_back_as_far_as_there_is_room() {
        let mode = ("tree.posix.mode".to_owned(), AttributeValue::Integer(0o644));
        let long = ("tree.xattr.user.long".to_owned(), AttributeValue::Blob(vec![b'x'; 8000]));
        let (written, lost) = restore(&vec![mode.clone(), long], &place(&[]), NOW);
        assert_eq!(lost, ["tree.xattr.user.long"]);
        let mut reported = Attributes::new();
        complete(&mut reported, &Headers(written));
        assert_eq!(reported, [mode]);
    }

    proptest! {
        #[test]
        fn any_header_is_taken_and_any_value_written_is_printable(name in "[a-zA-Z_-]{0,30}", value in any::<String>()) {
            let reported = headers(&[(&format!("x-ms-meta-{name}"), &value), ("x-ms-tag-count", &value), ("content-type", &value)]);
            let mut attributes = Attributes::new();
            complete(&mut attributes, &reported);
            for (_, written) in restore(&attributes, &place(&[]), NOW).0 {
                prop_assert!(written.bytes().all(|byte| matches!(byte, b' '..=b'~')));
            }
        }
    }
}
