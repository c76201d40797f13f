//! A request and its answer, whole, as stand-ins and the hostile peer see them.
//!
//! Owned here: taking a target apart, and headers as text. Refused here: what a request means (`stand_in`), and how an answer reaches the
//! connector (`peer`).

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};

/// A request that has arrived.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    /// As it was written.
    pub(crate) target: String,
    /// Decoded, without its first `/`.
    pub(crate) path: Vec<u8>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    parameters: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Asked {
    pub(crate) fn new(method: Method, uri: &Uri, headers: HeaderMap, body: Bytes) -> Self {
        let path = uri.path();
        let pairs = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let parameters = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        Self {
            method,
            target: uri.path_and_query().map_or("/", |target| target.as_str()).to_owned(),
            path: decode(path.strip_prefix('/').unwrap_or(path).as_bytes()),
            headers,
            body,
            parameters: parameters.map(|(name, value)| (decode(name.as_bytes()), decode(value.as_bytes()))).collect(),
        }
    }

    /// A header, if it is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The value of a parameter of the query, empty where it has none.
    pub(crate) fn parameter(&self, name: &str) -> Option<&[u8]> {
        let found = self.parameters.iter().find(|(known, _)| known == name.as_bytes());
        found.map(|(_, value)| value.as_slice())
    }

    /// A parameter that is text.
    pub(crate) fn word(&self, name: &str) -> Option<&str> {
        self.parameter(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    pub(crate) fn has(&self, parameter: &str) -> bool {
        self.parameter(parameter).is_some()
    }

    /// Headers whose name is in the list or begins with one of its words that end in `*`, as text.
    pub(crate) fn headers_like(&self, names: &[&str]) -> Vec<(String, String)> {
        let is_wanted = |name: &str| {
            names.iter().any(|wanted| match wanted.strip_suffix('*') {
                Some(beginning) => name.starts_with(beginning),
                None => name == *wanted,
            })
        };
        let named = self.headers.iter().filter(|(name, _)| is_wanted(name.as_str()));
        named.filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned()))).collect()
    }
}

/// An answer, before it is sent.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// One without a body.
    pub(crate) fn plain(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: Bytes::new() }
    }

    pub(crate) fn document(status: StatusCode, kind: &'static str, text: impl Into<Bytes>) -> Self {
        let mut answer = Self { body: text.into(), ..Self::plain(status) };
        answer.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        answer
    }

    /// With a header; one that no header can be is left out.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) {
            self.headers.insert(name, value);
        }
        self
    }

    /// Whether it is a document of the protocol, and no content.
    pub(crate) fn is_document(&self) -> bool {
        let kind = self.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        !self.body.is_empty() && ["application/xml", "application/json", "text/html"].contains(&kind)
    }
}

/// Percent-encodes all but what stands for itself in every part of a URL, and `/`.
pub(crate) fn encode(path: &[u8]) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    path.iter().map(|byte| if plain(*byte) { char::from(*byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// Undoes percent-encoding; what is none stays.
pub(crate) fn decode(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, tail)) = rest.split_first() {
        let code = tail.split_at_checked(2).filter(|_| first == b'%').and_then(|(code, after)| {
            let code = std::str::from_utf8(code).ok()?;
            Some((u8::from_str_radix(code, 16).ok()?, after))
        });
        let (byte, after) = code.unwrap_or((first, tail));
        bytes.push(byte);
        rest = after;
    }
    bytes
}

/// Text for a document in XML or HTML.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The texts of all elements of that name, which have neither attributes nor children.
pub(crate) fn texts(document: &str, name: &str) -> Vec<String> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let pieces = document.split(open.as_str()).skip(1);
    pieces.filter_map(|piece| piece.split(close.as_str()).next()).map(unescape).collect()
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        let Some((name, tail)) = after.split_once(';') else {
            plain.push('&');
            rest = after;
            continue;
        };
        plain.extend(character(name));
        rest = tail;
    }
    plain + rest
}

fn character(reference: &str) -> Option<char> {
    match reference {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        number => {
            let number = number.strip_prefix('#')?;
            let code = match number.strip_prefix('x') {
                Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_taken_apart_and_its_path_keeps_every_byte() {
        let uri = "/kit//a%2Fb%20c?list-type=2&prefix=%C3%A9&acl".parse().unwrap();
        let asked = Asked::new(Method::GET, &uri, HeaderMap::new(), Bytes::new());
        assert_eq!(asked.path, b"kit//a/b c");
        assert_eq!((asked.word("list-type"), asked.word("prefix")), (Some("2"), Some("\u{e9}")));
        assert!(asked.has("acl") && !asked.has("tagging"));
    }

    #[test]
    fn elements_are_found_and_their_references_resolved() {
        let document = format!("<a><Key>{}</Key><Key>&#x41;&#66;</Key></a>", escape("<&>"));
        assert_eq!(texts(&document, "Key"), ["<&>", "AB"]);
    }
}
