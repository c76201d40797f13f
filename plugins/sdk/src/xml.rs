//! Reading documents of XML into a small tree: names without their namespace, text with references resolved.
//!
//! Lenient where servers are careless (characters that XML forbids, lone `&`, unknown entities), strict about structure. Bounds:
//! the caller caps the bytes of a document, [`DEPTH_MAX`] its nesting; the tree is at most a few times as large as the document.
//!
//! ```
//! use credenza_sdk::xml::Element;
//!
//! let page = Element::parse(b"<page><object><key>a &amp; b</key></object></page>").unwrap();
//! let keys: Vec<_> = page.all("object").filter_map(|object| object.text_of("key")).collect();
//! assert_eq!(keys, ["a & b"]);
//! ```

use quick_xml::events::attributes::Attribute;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

/// Deepest nesting: the deepest document of a listing has five levels.
const DEPTH_MAX: usize = 16;

/// An element with its text and its children. Text between children is joined.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Element {
    /// Without its namespace.
    pub name: String,
    /// Of the element itself.
    pub text: String,
    /// Names without their namespace, and values with their references resolved. What is broken in them is left out.
    pub attributes: Vec<(String, String)>,
    /// In their order.
    pub children: Vec<Element>,
}

impl Element {
    /// The root element of a document, or nothing when it is not one.
    #[must_use]
    pub fn parse(document: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(document).ok()?;
        let mut reader = Reader::from_str(text);
        reader.config_mut().allow_dangling_amp = true;
        let mut open = vec![Self::default()];
        loop {
            match reader.read_event().ok()? {
                Event::Start(start) if open.len() <= DEPTH_MAX => open.push(Self::begun(&start)),
                Event::Start(_) => return None,
                Event::Empty(start) => open.last_mut()?.children.push(Self::begun(&start)),
                Event::End(_) => {
                    let closed = open.pop()?;
                    open.last_mut()?.children.push(closed);
                }
                Event::Text(text) => open.last_mut()?.text.push_str(&text),
                Event::CData(text) => open.last_mut()?.text.push_str(&text),
                Event::GeneralRef(reference) => append_reference(&mut open.last_mut()?.text, &reference),
                Event::Eof => break,
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
            }
        }
        let [document] = <[Self; 1]>::try_from(open).ok()?;
        document.children.into_iter().next()
    }

    fn begun(start: &BytesStart<'_>) -> Self {
        let attribute = |found: Attribute<'_>| {
            let value = found.normalized_value(XmlVersion::Implicit1_0).ok()?;
            Some((found.key.local_name().into_inner().to_owned(), value.into_owned()))
        };
        let attributes = start.attributes().filter_map(Result::ok).filter_map(attribute).collect();
        Self { name: start.local_name().into_inner().to_owned(), attributes, ..Self::default() }
    }

    /// The value of an attribute.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(present, _)| present == name).map(|(_, value)| value.as_str())
    }

    /// The first child of that name.
    #[must_use]
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The text of the first child of that name.
    #[must_use]
    pub fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str())
    }

    /// Every child of that name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }
}

/// Appends what a reference stands for, as a reader of quick-xml tells it: a character, or one that is unknown as it is written. For documents that are
/// too large for a tree.
pub fn append_reference(text: &mut String, reference: &BytesRef<'_>) {
    match (reference.as_ref(), reference.resolve_char_ref()) {
        (_, Ok(Some(character))) => text.push(character),
        ("lt", _) => text.push('<'),
        ("gt", _) => text.push('>'),
        ("amp", _) => text.push('&'),
        ("quot", _) => text.push('"'),
        ("apos", _) => text.push('\''),
        (unknown, _) => text.extend(["&", unknown, ";"]),
    }
}

/// Text as the content of an element: what XML reserves is escaped, and control characters are written as references.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            c if c.is_control() => escaped.push_str(&format!("&#{};", u32::from(c))),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_lose_their_namespace_and_text_its_references() {
        let document = b"<?xml version='1.0'?><s:A xmlns:s='u'><B>&quot;x&#x41;&#1;&amp;y&quot;</B><C/><B><![CDATA[<>]]></B></s:A>";
        let root = Element::parse(document).unwrap();
        assert_eq!(root.name, "A");
        assert_eq!(root.all("B").map(|b| b.text.as_str()).collect::<Vec<_>>(), ["\"xA\u{1}&y\"", "<>"]);
        assert_eq!(root.text_of("C"), Some(""));
    }

    #[test]
    fn an_attribute_is_found_and_a_broken_one_is_none() {
        let root = Element::parse(b"<A><B x:Encoded='true' y=\"&lt;\"/><B z=1>t</B></A>").unwrap();
        assert_eq!((root.children[0].attribute("Encoded"), root.children[0].attribute("y")), (Some("true"), Some("<")));
        assert_eq!((root.children[1].attribute("z"), root.children[1].text.as_str()), (None, "t"));
    }

    #[test]
    fn what_is_no_document_is_none() {
        for junk in [&b""[..], b"plain", b"<a>", b"<a></b>", b"\xff", b"</a>", "<a>".repeat(100_000).as_bytes()] {
            assert_eq!(Element::parse(junk), None);
        }
    }

    proptest! {
        #[test]
        fn parsing_takes_anything(bytes in any::<Vec<u8>>()) {
            let _ = Element::parse(&bytes);
        }

        #[test]
        fn parsing_takes_anything_that_looks_like_a_document(text in "(<[a-c/]{0,3}>|&[#x0-9a-z]{0,4};?|<!\\[CDATA\\[|]]>|[a-z ])*") {
            let _ = Element::parse(text.as_bytes());
        }

        #[test]
        fn escaped_text_comes_back(text in "[^\0\r]*") {
            let document = format!("<a>{}</a>", escape(&text));
            prop_assert_eq!(Element::parse(document.as_bytes()).unwrap().text, text);
        }
    }
}
