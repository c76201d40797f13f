//! What a browser sends with a request: the query of an address, and the fields of a form. Values are bytes, for keys are.

use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};
use zeroize::Zeroizing;

use crate::reply::Broken;
use crate::session::Session;

/// How long a browser may take to send a form.
const FORM_MAX: Duration = Duration::from_secs(15);
/// Most bytes of one of who has not entered; the key of a link is the longest thing in it.
const ENTRY_BYTES_MAX: usize = 16 * 1024;
/// Most bytes of one: a page of names that are picked, or one of the longest.
pub(crate) const FORM_BYTES_MAX: usize = 256 * 1024;
/// The field that proves that a form is from a page of the same session.
pub(crate) const TOKEN: &str = "token";
/// What stands for itself in a value of a query.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// Fields by name, in their order; several may have one name.
#[derive(Default)]
pub(crate) struct Fields(Vec<(String, Zeroizing<Vec<u8>>)>);

impl Fields {
    pub(crate) fn parse(text: &[u8]) -> Self {
        let pairs = text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
        let fields = pairs.map(|pair| {
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let mut half = || decode(halves.next().unwrap_or_default());
            let name = String::from_utf8_lossy(&half()).into_owned();
            (name, half())
        });
        Self(fields.collect())
    }

    /// All of them.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// The bytes of a field, of several of that name the last; none where there is no such field.
    pub(crate) fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.all(name).last()
    }

    /// The bytes of every field of a name.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.pairs().filter(move |(known, _)| *known == name).map(|(_, value)| value)
    }

    /// The text of a field; empty where there is none.
    pub(crate) fn text(&self, name: &str) -> String {
        String::from_utf8_lossy(self.bytes(name).unwrap_or_default()).into_owned()
    }
}

/// The bytes that stand so in a query.
pub(crate) fn decode(text: &[u8]) -> Zeroizing<Vec<u8>> {
    let spaced: Zeroizing<Vec<u8>> =
        Zeroizing::new(text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect());
    Zeroizing::new(percent_decode(&spaced).collect())
}

/// A value as it stands in a query.
pub(crate) fn encode(value: &[u8]) -> String {
    percent_encode(value, PLAIN).to_string()
}

/// Reads a form. Where the browser has a session, the form must be from one of its pages.
pub(crate) async fn read<B>(body: B, session: Option<&Session>) -> Result<Fields, Refused>
where
    B: http_body::Body,
    B::Error: Into<Broken>,
{
    let bytes_max = if session.is_some() { FORM_BYTES_MAX } else { ENTRY_BYTES_MAX };
    let body = Limited::new(body, bytes_max).collect();
    let body = tokio::time::timeout(FORM_MAX, body).await.map_err(|_| Refused::Body)?.map_err(|_| Refused::Body)?;
    let fields = Fields::parse(&body.to_bytes());
    let is_own = session.is_none_or(|session| session.is_token(&fields.text(TOKEN)));
    if is_own { Ok(fields) } else { Err(Refused::Token) }
}

/// Why a form is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It is longer than any, came too slowly, or ended before its end.
    Body,
    /// It is not from a page of the session.
    Token,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_come_back_as_they_were_sent() {
        let all: Vec<u8> = (0..=255).collect();
        for key in [&b".."[..], b"a/", b"a+b c&d=e", b"\xff\x00", &all] {
            let fields = Fields::parse(format!("key={}&after=x", encode(key)).as_bytes());
            assert_eq!(fields.bytes("key"), Some(key));
            assert_eq!(fields.text("after"), "x");
        }
        assert_eq!(Fields::parse(b"").bytes("key"), None);
        assert_eq!(Fields::parse(b"key").bytes("key"), Some(&b""[..]));
    }
}
