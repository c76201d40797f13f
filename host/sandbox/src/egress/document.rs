//! Bodies that the host reads before it sends them: a request whose query names nothing says in its body what it touches.

use crate::manifest::Document;

const HEAD: &str = "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">";
const TAIL: &str = "</Delete>";

/// Whether a body is a document of that kind that stays below a folder (empty, or with `/` at its end).
pub(crate) fn is_within(document: Document, body: &[u8], below: &str) -> bool {
    match document {
        Document::S3Delete => std::str::from_utf8(body).is_ok_and(|text| deletes_below(text, below)),
    }
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
        is_within(Document::S3Delete, format!("{HEAD}{objects}{TAIL}").as_bytes(), below)
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
        assert!(!is_within(Document::S3Delete, b"<Delete><Object><Key>a</Key></Object></Delete>", ""));
        assert!(!is_within(Document::S3Delete, b"\xff", ""));
    }
}
