//! Asking for a part of an object, and noticing a server that answers another part or all of it.
//!
//! ```
//! use credenza_sdk::http::Request;
//! use credenza_sdk::range::Part;
//! use credenza_sdk::wire::Headers;
//! use credenza_sdk::ByteRange;
//!
//! let part = Part::of(Some(ByteRange { offset: 5, length: Some(10) }));
//! let asked = part.ask(Request::new("GET", "files", "/a"));
//! assert_eq!(asked.headers, [("range".to_owned(), "bytes=5-14".to_owned())]);
//! let answered = Headers(vec![("content-range".to_owned(), "bytes 5-14/100".to_owned())]);
//! assert_eq!(part.check(&answered, Some(10), None).unwrap(), Some(100));
//! ```

use crate::http::Request;
use crate::wire::Headers;
use crate::{ByteRange, Entry, Error, ErrorClass, Result};

/// What is asked of an object: all of it, or some bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Part(Option<ByteRange>);

impl Part {
    /// As the host asks for it; everything from the first byte on is all of it.
    #[must_use]
    pub fn of(range: Option<ByteRange>) -> Self {
        Self(range.filter(|range| header(range).is_some()))
    }

    /// The same of an entry that was listed. Of an empty one no bytes can be asked for, and it is read whole.
    #[must_use]
    pub fn of_entry(range: Option<ByteRange>, entry: &Entry) -> Self {
        Self::of(range.filter(|_| entry.size != Some(0)))
    }

    /// Whether it is all of it.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.0.is_none()
    }

    /// Whether no byte is asked for, so that nobody needs to be asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_some_and(|range| range.length == Some(0))
    }

    /// The request with the `Range` header that it takes.
    #[must_use]
    pub fn ask(&self, request: Request) -> Request {
        match self.0.as_ref().and_then(header) {
            Some(range) => request.with_header("range", range),
            None => request,
        }
    }

    /// Holds the answer against what was asked, and tells the size of the whole object, if it says it. `length` is that of the body and `size` that of
    /// the object, when they are known.
    ///
    /// # Errors
    /// `unsupported` when the server ignored the range or answered another, `corrupt` when it sends more or less than it says.
    pub fn check(&self, headers: &Headers, length: Option<u64>, size: Option<u64>) -> Result<Option<u64>> {
        let length = length.or_else(|| headers.number("content-length"));
        match &self.0 {
            Some(range) => check(range, headers, length, size).map(|()| total(headers)),
            None => Ok(length),
        }
    }
}

/// The value of the `Range` header (RFC 9110 section 14.1.2); nothing for the whole object.
fn header(range: &ByteRange) -> Option<String> {
    let ByteRange { offset, length } = *range;
    match length {
        None if offset == 0 => None,
        None => Some(format!("bytes={offset}-")),
        Some(length) => Some(format!("bytes={offset}-{}", offset.saturating_add(length.saturating_sub(1)))),
    }
}

/// The size of the whole object, when the answer to a range says it.
fn total(headers: &Headers) -> Option<u64> {
    headers.get("content-range").and_then(parse).and_then(|stated| stated.total)
}

/// That the answer holds the bytes asked for. Some servers answer the right bytes with status 200 and no `Content-Range`; those are told by their number.
fn check(range: &ByteRange, headers: &Headers, length: Option<u64>, size: Option<u64>) -> Result<()> {
    let stated = headers.get("content-range").map(parse);
    let right = match &stated {
        Some(stated) => stated.as_ref().is_some_and(|stated| stated.answers(range)),
        None => is_right_length(range, length, size),
    };
    if let (true, Some(stated), Some(length)) = (right, stated.flatten(), length)
        && stated.length() != length
    {
        let message = format!("the server names a part of {} bytes and sends {length}", stated.length());
        return Err(Error::new(ErrorClass::Corrupt, "range-length", message));
    }
    if right {
        return Ok(());
    }
    let message =
        "the server ignored the range that was asked for, and answered other bytes; it cannot be read in parts";
    Err(Error::new(ErrorClass::Unsupported, "range-ignored", message))
}

fn is_right_length(range: &ByteRange, length: Option<u64>, size: Option<u64>) -> bool {
    let rest = size.map(|size| size.saturating_sub(range.offset));
    let wanted = match (range.length, rest) {
        (Some(length), Some(rest)) => Some(length.min(rest)),
        (length, rest) => length.or(rest),
    };
    let begins_at_zero = range.offset == 0;
    match (length, wanted) {
        (Some(length), Some(wanted)) => length == wanted || (begins_at_zero && length < wanted),
        (_, wanted) => begins_at_zero && wanted.is_none(),
    }
}

/// `bytes FIRST-LAST/TOTAL` (RFC 9110 section 14.4).
struct Stated {
    first: u64,
    last: u64,
    total: Option<u64>,
}

impl Stated {
    fn length(&self) -> u64 {
        self.last.saturating_sub(self.first).saturating_add(1)
    }

    fn answers(&self, range: &ByteRange) -> bool {
        let end = self.last.saturating_add(1);
        let wanted_end = range.length.map(|length| range.offset.saturating_add(length));
        let ends_right =
            wanted_end == Some(end) || (self.total == Some(end) && wanted_end.is_none_or(|wanted| wanted > end));
        self.first == range.offset && ends_right
    }
}

fn parse(text: &str) -> Option<Stated> {
    let (span, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = span.split_once('-')?;
    Some(Stated { first: first.parse().ok()?, last: last.parse().ok()?, total: total.parse().ok() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn range(offset: u64, length: Option<u64>) -> ByteRange {
        ByteRange { offset, length }
    }

    fn answered(range: &ByteRange, stated: Option<&str>, length: Option<u64>, size: Option<u64>) -> bool {
        let headers = stated.map(|s| ("content-range".to_owned(), s.to_owned()));
        check(range, &Headers(headers.into_iter().collect()), length, size).is_ok()
    }

    #[test]
    fn what_begins_at_the_first_byte_and_has_no_end_is_the_whole() {
        for whole in [None, Some(range(0, None))] {
            assert!(Part::of(whole).is_whole() && !Part::of(whole).is_empty());
            let headers = Headers(vec![("content-length".to_owned(), "7".to_owned())]);
            assert_eq!(Part::of(whole).check(&headers, None, None).unwrap(), Some(7));
        }
        assert!(Part::of(Some(range(3, Some(0)))).is_empty());
        let empty = Entry { size: Some(0), ..Entry::new(*b"a", crate::EntryKind::File) };
        assert!(Part::of_entry(Some(range(0, Some(4))), &empty).is_whole());
        assert_eq!(Part::of(Some(range(5, None))).ask(Request::new("GET", "e", "/a")).headers.len(), 1);
        assert!(Part::of(Some(range(5, None))).check(&Headers(Vec::new()), Some(40), None).is_err());
    }

    #[test]
    fn a_range_is_written_with_its_last_byte() {
        assert_eq!(header(&range(5, Some(10))).as_deref(), Some("bytes=5-14"));
        assert_eq!(header(&range(5, None)).as_deref(), Some("bytes=5-"));
        assert_eq!(header(&range(0, None)), None);
        assert_eq!(header(&range(u64::MAX, Some(2))), Some(format!("bytes={0}-{0}", u64::MAX)));
    }

    #[test]
    fn what_is_stated_must_be_what_was_asked() {
        let asked = range(5, Some(10));
        assert!(answered(&asked, Some("bytes 5-14/100"), None, None));
        assert!(answered(&asked, Some("bytes 5-9/10"), None, None), "the object ends earlier");
        assert!(!answered(&asked, Some("bytes 5-9/100"), None, None), "cut short");
        assert!(!answered(&asked, Some("bytes 0-14/100"), None, None));
        assert!(!answered(&asked, Some("bytes 5-14/100"), Some(7), None), "less than it says");
        assert!(!answered(&asked, Some("nonsense"), Some(10), None));
        assert!(answered(&range(5, None), Some("bytes 5-99/100"), None, None));
    }

    #[test]
    fn without_a_statement_the_length_tells() {
        let asked = range(50, Some(100));
        assert!(answered(&asked, None, Some(50), Some(100)), "the right part, with status 200");
        assert!(!answered(&asked, None, Some(100), Some(100)), "all of it");
        assert!(!answered(&asked, None, None, Some(100)));
        assert!(answered(&range(0, Some(100)), None, Some(40), None), "a whole object that is shorter");
        assert!(!answered(&range(0, Some(10)), None, Some(40), None));
        assert!(!answered(&range(5, None), None, Some(40), None));
    }

    proptest! {
        #[test]
        fn any_statement_is_taken(text in any::<String>(), offset in any::<u64>(), length in any::<Option<u64>>()) {
            let _ = answered(&range(offset, length), Some(&text), None, None);
        }

        #[test]
        fn an_honest_answer_is_right(size in 1_u64..1000, offset in 0_u64..1000, length in 1_u64..2000) {
            prop_assume!(offset < size);
            let end = size.min(offset + length);
            let stated = format!("bytes {offset}-{}/{size}", end - 1);
            prop_assert!(answered(&range(offset, Some(length)), Some(&stated), Some(end - offset), None));
            prop_assert!(answered(&range(offset, Some(length)), None, Some(end - offset), Some(size)));
        }
    }
}
