//! How an object was uploaded in parts, so that it can be uploaded again alike and gets the same ETag: the MD5 of the parts' MD5s and
//! their number (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html>, ETag).

use credenza_sdk::{AttributeValue, Attributes, Entry};

use crate::bucket::{Bucket, shown};
use crate::wire::{Wire, request};
use credenza_sdk::percent;

/// How many parts, and how long all but the last are.
pub(crate) const PARTS_NAME: &str = "s3.parts";
pub(crate) const PART_BYTES_NAME: &str = "s3.part-bytes";

/// Most parts of an upload (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>).
pub(crate) const PARTS_MAX: u64 = 10_000;
/// Longest part that is uploaded for the sake of an ETag, unless the settings want longer ones: a part is held in memory.
const LAYOUT_BYTES_MAX: u64 = 64 << 20;
const MEBIBYTE: u64 = 1 << 20;
/// What clients cut large objects into unless they are reported otherwise, most usual first, in MiB.
const USUAL: [u64; 10] = [8, 16, 5, 64, 10, 15, 32, 128, 20, 50];

impl<W: Wire> Bucket<W> {
    /// The length of the parts of an object that has several, if the server tells that of the first one and all are alike.
    pub(crate) fn part_bytes(&self, entry: &Entry) -> Attributes {
        let Some(reported) = self.first_part(entry) else { return Attributes::new() };
        vec![(PART_BYTES_NAME.to_owned(), AttributeValue::Integer(reported))]
    }

    fn first_part(&self, entry: &Entry) -> Option<i64> {
        let (size, parts) = (entry.size?, integer(entry, PARTS_NAME).filter(|parts| *parts > 1)?);
        let action = format!("looking at the first part of {}", shown(&entry.key));
        let mut pairs = vec![("partNumber", Some(&b"1"[..]))];
        pairs.extend(entry.locator.as_deref().map(|id| ("versionId", Some(id))));
        let asked = request("HEAD", self.place.object(&entry.key) + &percent::query(&pairs));
        // What is not known is not wrong: the copy has another ETag then, and the report of a restore says so.
        let answer = self.ask(asked, None, &action).ok()?;
        let bytes = answer.headers.number("content-length").filter(|bytes| fits(size, parts, *bytes))?;
        i64::try_from(bytes).ok()
    }
}

/// How an object is uploaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) part_bytes: u64,
    /// Uploaded in parts even if there is only one.
    pub(crate) in_parts: bool,
}

/// The layout of a copy of an entry: the original's where that is known or can be guessed, else parts of `usual` bytes, longer ones where
/// there would be too many. `is_whole` says that the original was uploaded whole.
pub(crate) fn of(entry: &Entry, is_whole: bool, usual: u64) -> Layout {
    let size = entry.size.unwrap_or(0);
    let smallest = size.div_ceil(PARTS_MAX).next_multiple_of(MEBIBYTE);
    let enough = usual.max(smallest);
    let original = integer(entry, PARTS_NAME).filter(|parts| (1..=PARTS_MAX).contains(parts));
    let longest = LAYOUT_BYTES_MAX.max(usual);
    let Some(parts) = original else {
        let part_bytes = if is_whole && size <= longest { enough.max(size) } else { enough };
        return Layout { part_bytes, in_parts: false };
    };
    let reported = integer(entry, PART_BYTES_NAME);
    let sizes = reported.into_iter().chain(USUAL.map(|mebibytes| mebibytes * MEBIBYTE)).chain([size.max(1)]);
    match sizes.into_iter().find(|bytes| *bytes <= longest && fits(size, parts, *bytes)) {
        Some(part_bytes) => Layout { part_bytes, in_parts: true },
        None => Layout { part_bytes: enough, in_parts: false },
    }
}

/// Whether an object of that size makes so many parts of that length.
const fn fits(size: u64, parts: u64, part_bytes: u64) -> bool {
    part_bytes > 0 && (size.div_ceil(part_bytes) == parts || (size == 0 && parts == 1))
}

fn integer(entry: &Entry, name: &str) -> Option<u64> {
    entry.attributes.iter().find_map(|(present, value)| match value {
        AttributeValue::Integer(number) if present == name => u64::try_from(*number).ok(),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use credenza_sdk::EntryKind;

    use super::*;

    fn entry(size: u64, numbers: &[(&str, i64)]) -> Entry {
        let attributes = numbers.iter().map(|(n, v)| ((*n).to_owned(), AttributeValue::Integer(*v))).collect();
        Entry { size: Some(size), attributes, ..Entry::new("k", EntryKind::File) }
    }

    #[test]
    fn a_copy_is_cut_like_the_original() {
        let reported = entry(30_000_000, &[(PARTS_NAME, 5), (PART_BYTES_NAME, 7_000_000)]);
        assert_eq!(of(&reported, false, 8 * MEBIBYTE), Layout { part_bytes: 7_000_000, in_parts: true });
        let guessed = entry(30 * MEBIBYTE, &[(PARTS_NAME, 6)]);
        assert_eq!(of(&guessed, false, 8 * MEBIBYTE), Layout { part_bytes: 5 * MEBIBYTE, in_parts: true });
        let single = entry(100, &[(PARTS_NAME, 1)]);
        assert_eq!(of(&single, false, 8 * MEBIBYTE), Layout { part_bytes: 8 * MEBIBYTE, in_parts: true });
    }

    #[test]
    fn what_was_uploaded_whole_is_so_again_and_anything_else_is_cut_as_the_settings_say() {
        let usual = Layout { part_bytes: 8 * MEBIBYTE, in_parts: false };
        assert_eq!(of(&entry(100, &[]), true, 8 * MEBIBYTE), usual);
        assert_eq!(of(&entry(20 * MEBIBYTE, &[]), false, 8 * MEBIBYTE), usual);
        assert_eq!(of(&entry(20 * MEBIBYTE, &[]), true, 8 * MEBIBYTE).part_bytes, 20 * MEBIBYTE);
        assert_eq!(of(&entry(65 * MEBIBYTE, &[]), true, 8 * MEBIBYTE), usual, "too long to be held in memory");
        let wrong = entry(100, &[(PARTS_NAME, 7), (PART_BYTES_NAME, 1000)]);
        assert_eq!(of(&wrong, false, 8 * MEBIBYTE), usual);
    }

    #[test]
    fn the_largest_object_makes_no_more_parts_than_an_upload_may_have() {
        let Layout { part_bytes, .. } = of(&entry(5 << 40, &[]), true, 8 * MEBIBYTE);
        assert!((5_u64 << 40).div_ceil(part_bytes) <= PARTS_MAX);
        assert_eq!(part_bytes, 525 * MEBIBYTE);
        assert_eq!(of(&entry(u64::MAX, &[]), true, 8 * MEBIBYTE).part_bytes % MEBIBYTE, 0);
    }
}
