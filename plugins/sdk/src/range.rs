//! Asking for a part of an object, and noticing a server that answers another part or all of it.

use crate::wire::Headers;
use crate::{ByteRange, Error, ErrorClass, Result};

/// The value of the `Range` header (RFC 9110 section 14.1.2); nothing for the whole object.
#[must_use]
pub fn header(range: &ByteRange) -> Option<String> {
    let ByteRange { offset, length } = *range;
    match length {
        None if offset == 0 => None,
        None => Some(format!("bytes={offset}-")),
        Some(length) => Some(format!("bytes={offset}-{}", offset.saturating_add(length.saturating_sub(1)))),
    }
}

/// The size of the whole object, when the answer to a range says it.
#[must_use]
pub fn total(headers: &Headers) -> Option<u64> {
    headers.get("content-range").and_then(parse).and_then(|stated| stated.total)
}

/// That the answer holds the bytes asked for. `length` is that of the body and `size` that of the object, when they are known.
///
/// # Errors
/// `unsupported` when the server ignored the range or answered another, `corrupt` when it sends more or less than it says. Some servers answer the right bytes with status 200
/// and no `Content-Range`; those are reported by their number.
pub fn check(range: &ByteRange, headers: &Headers, length: Option<u64>, size: Option<u64>) -> Result<()> {
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
