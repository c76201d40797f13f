//! Bodies that the host reads before it sends them: a request whose query names nothing says in its body what it touches.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;

use crate::manifest::Document;

const HEAD: &str = "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">";
const TAIL: &str = "</Delete>";
const RESTORE_HEAD: &str = "<RestoreRequest xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">";
const RESTORE_TAIL: &str = "<GlacierJobParameters><Tier>Bulk</Tier></GlacierJobParameters></RestoreRequest>";
/// Days for which a copy may be asked for have two digits: each day of it costs.
const DAYS_DIGITS_MAX: usize = 2;

/// Whether a body is a document of that kind that stays below a folder (empty, or with `/` at its end).
pub(crate) fn is_within(document: &Document, body: &[u8], below: &str) -> bool {
    match document {
        Document::S3Delete => std::str::from_utf8(body).is_ok_and(|text| deletes_below(text, below)),
        Document::S3Restore => std::str::from_utf8(body).is_ok_and(asks_for_a_copy),
        Document::Json(fields) => has_no_other(fields, body),
    }
}

/// A field that is written with escapes is known by what it means, and one that is not in the list is refused in whatever case it is written.
fn has_no_other(fields: &[String], body: &[u8]) -> bool {
    let object = serde_json::from_slice::<BTreeMap<String, IgnoredAny>>(body);
    object.is_ok_and(|object| object.keys().all(|name| fields.contains(name)))
}

/// One form alone: a copy beside the archived object, by the cheapest way. The document could also run a query and write what it finds into
/// any bucket that the credentials can write (RestoreObject, `OutputLocation`).
fn asks_for_a_copy(text: &str) -> bool {
    let days = text.strip_prefix(RESTORE_HEAD).and_then(|text| text.strip_suffix(RESTORE_TAIL));
    let number = |days: &str| days.strip_prefix("<Days>")?.strip_suffix("</Days>").map(str::to_owned);
    let is_short =
        |days: String| (1..=DAYS_DIGITS_MAX).contains(&days.len()) && days.bytes().all(|digit| digit.is_ascii_digit());
    days.is_some_and(|days| days.is_empty() || number(days).is_some_and(is_short))
}

/// One form alone is taken, `<Object><Key>…</Key></Object>` again and again: no versions, which would be destroyed for good, and none of the
/// freedoms of XML (comments, CDATA, other prefixes) in which two readers could see different keys.
fn deletes_below(text: &str, below: &str) -> bool {
    let Some(mut rest) = text.strip_prefix(HEAD).and_then(|text| text.strip_suffix(TAIL)) else { return false };
    while !rest.is_empty() {
        let object = rest.strip_prefix("<Object><Key>").and_then(|object| object.split_once("</Key></Object>"));
        let Some((key, after)) = object else { return false };
        if !unescaped(key).is_some_and(|key| key.len() > below.len() && key.starts_with(below)) {
            return false;
        }
        rest = after;
    }
    true
}

/// The text of an element, with the escapes of XML 1.0 sections 4.1 and 4.6 resolved.
fn unescaped(text: &str) -> Option<String> {
    let mut parts = text.split('&');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once(';')?;
        plain.push(match name {
            "lt" => '<',
            "gt" => '>',
            "amp" => '&',
            "quot" => '"',
            "apos" => '\'',
            number => number.strip_prefix('#')?.parse().ok().and_then(char::from_u32)?,
        });
        plain.push_str(rest);
    }
    (!text.contains(['<', '>'])).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(objects: &str, below: &str) -> bool {
        is_within(&Document::S3Delete, format!("{HEAD}{objects}{TAIL}").as_bytes(), below)
    }

    #[test]
    fn keys_below_the_folder_may_be_deleted_and_no_others() {
        let object = |key: &str| format!("<Object><Key>{key}</Key></Object>");
        assert!(admits(&[object("photos/a"), object("photos/a&amp;b&#10;")].concat(), "photos/"));
        assert!(admits(&object("a&lt;b/c"), "a<b/"));
        assert!(admits(&object("x"), ""));
        for key in ["photosets/a", "photos", "photos/", "a", "", "&#112;hotos", "<x/>photos/a", "photos/&a;"] {
            assert!(!admits(&[object("photos/a"), object(key)].concat(), "photos/"), "{key}");
        }
    }

    #[test]
    fn a_copy_of_what_is_archived_may_be_asked_for_and_nothing_else() {
        let admits = |inside: &str| {
            is_within(&Document::S3Restore, format!("{RESTORE_HEAD}{inside}</RestoreRequest>").as_bytes(), "")
        };
        let bulk = "<GlacierJobParameters><Tier>Bulk</Tier></GlacierJobParameters>";
        assert!(admits(&format!("<Days>7</Days>{bulk}")) && admits(bulk));
        for inside in [
            format!("<Days>365</Days>{bulk}"),
            format!("<Days></Days>{bulk}"),
            format!("<Days>7</Days><Type>SELECT</Type>{bulk}"),
            format!("<OutputLocation><S3><BucketName>elsewhere</BucketName></S3></OutputLocation>{bulk}"),
            bulk.replace("Bulk", "Expedited"),
            format!("{bulk}{bulk}"),
            String::new(),
        ] {
            assert!(!admits(&inside), "{inside}");
        }
    }

    #[test]
    fn a_document_in_another_form_is_refused() {
        for objects in [
            "<Object><Key>a</Key><VersionId>1</VersionId></Object>",
            "<Object><VersionId>1</VersionId><Key>a</Key></Object>",
            "<!-- --><Object><Key>a</Key></Object>",
            "<Object><Key><![CDATA[a]]></Key></Object>",
            "<s:Object><s:Key>a</s:Key></s:Object>",
            "<Object><Key>a</Key></Object></Delete><Delete>",
            " <Object><Key>a</Key></Object>",
        ] {
            assert!(!admits(objects, ""), "{objects}");
        }
        assert!(!is_within(&Document::S3Delete, b"<Delete><Object><Key>a</Key></Object></Delete>", ""));
        assert!(!is_within(&Document::S3Delete, b"\xff", ""));
    }

    #[test]
    fn an_object_of_json_has_the_fields_that_were_granted_and_no_others() {
        let document = Document::Json(vec!["a".to_owned(), "metadata".to_owned()]);
        let admits = |text: &str| is_within(&document, text.as_bytes(), "");
        assert!(admits("{}") && admits(r#" {"a": 1, "metadata": {"acl": "x"}} "#) && admits(r#"{"\u0061": 1}"#));
        for text in [
            r#"{"acl": []}"#,
            r#"{"a": 1, "acl": []}"#,
            r#"{"a": 1, "\u0061cl": []}"#,
            r#"{"A": 1}"#,
            r#"{"a": 1}{"acl": []}"#,
            r#"{"a": 1,}"#,
            "[]",
            "",
            "\u{feff}{}",
        ] {
            assert!(!admits(text), "{text}");
        }
        assert!(!is_within(&document, b"{\"a\": \"\xff\"}\xff", ""));
    }
}
