//! How keys that no file system can hold become names, and back.
//!
//! A segment of a key (what stands between two `/`) that a file system can hold is its own name, byte for byte. Any
//! other becomes an **escaped name**: `%~` and the segment's bytes, in which `%`, `~` and NUL, and every byte of the
//! segments `.` and `..`, are written as `%XX` (upper-case hexadecimal).
//!
//! | key | path |
//! |---|---|
//! | `c//d` | `c/%~/d` |
//! | `e/../f` | `e/%~%2E%2E/f` |
//! | `%~x` (a real name that looks escaped) | `%~%25%7Ex` |
//! | a segment longer than 255 bytes | folders `%~…~` in each other, each but the last ending in `~` |
//! | `a/b` where `a` is a file already | `%~a%2F/b` |
//! | `a` where `a` is a folder already | `%~a` |
//!
//! So plain and escaped names never collide, and every path reads back as exactly one key.

/// Longest name of the file systems of Linux.
const NAME_BYTES_MAX: usize = 255;
/// What every escaped name begins with.
const MARK: &[u8] = b"%~";

/// What the name of a file begins with that is being written; it ends in `~`, and so is the name of no key.
const UNFINISHED: &str = "%~part-";

/// A name for a file that is being written, the one of that number of a run.
pub(super) fn unfinished_name(run: &str, number: u64) -> Vec<u8> {
    format!("{UNFINISHED}{run}-{number:x}~").into_bytes()
}

/// Whether a path is of a file that is being written, or that was when its writer ended.
#[must_use]
pub fn is_unfinished(path: &[u8]) -> bool {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    name.starts_with(UNFINISHED.as_bytes()) && name.ends_with(b"~")
}

/// The names, outermost folder first, that stand for one segment.
#[must_use]
pub fn names_of(segment: &[u8]) -> Vec<Vec<u8>> {
    let plain = !matches!(segment, b"" | b"." | b"..")
        && segment.len() <= NAME_BYTES_MAX
        && !segment.contains(&0)
        && !segment.starts_with(MARK);
    if plain { vec![segment.to_vec()] } else { escaped_names_of(segment) }
}

/// The same where names must be UTF-8: of a segment that is not, every byte that is not ASCII is written as `%XX`.
#[must_use]
pub fn text_names_of(segment: &[u8]) -> Vec<Vec<u8>> {
    let names = names_of(segment);
    match names.iter().all(|name| std::str::from_utf8(name).is_ok()) {
        true => names,
        false => escaped_text_names_of(segment),
    }
}

/// The escaped form of a segment in ASCII, whether it needs one or not.
#[must_use]
pub fn escaped_text_names_of(segment: &[u8]) -> Vec<Vec<u8>> {
    escaped(segment, |byte| !byte.is_ascii())
}

/// The escaped form of a segment, whether it needs one or not.
#[must_use]
pub fn escaped_names_of(segment: &[u8]) -> Vec<Vec<u8>> {
    escaped(segment, |_| false)
}

fn escaped(segment: &[u8], is_special: impl Fn(u8) -> bool) -> Vec<Vec<u8>> {
    let dots = matches!(segment, b"." | b"..");
    let mut names = vec![MARK.to_vec()];
    for &byte in segment {
        let special = dots || matches!(byte, b'%' | b'~' | b'/' | 0) || is_special(byte);
        let unit = if special { format!("%{byte:02X}").into_bytes() } else { vec![byte] };
        if let Some(name) = names.last_mut() {
            if name.len() + unit.len() < NAME_BYTES_MAX {
                name.extend(unit);
            } else {
                name.push(b'~');
                names.push([MARK, &unit].concat());
            }
        }
    }
    names
}

/// The bytes that the escaped names of one segment stand for, and whether a further name must follow; `None` when these are none. Those of a folder
/// that stands beside a file of its name end with a slash.
#[must_use]
pub fn segment_of(names: &[Vec<u8>]) -> Option<(Vec<u8>, bool)> {
    let (mut segment, mut is_continued) = (Vec::new(), true);
    for name in names {
        let text = name.strip_prefix(MARK).filter(|_| is_continued)?;
        let (text, goes_on) = text.strip_suffix(b"~").map_or((text, false), |text| (text, true));
        segment.extend(unescape(text)?);
        is_continued = goes_on;
    }
    Some((segment, is_continued))
}

/// The key that a path below a destination stands for; `None` when no key has that path.
#[must_use]
pub fn key_of_path(path: &[u8]) -> Option<Vec<u8>> {
    let mut segments: Vec<Vec<u8>> = Vec::new();
    let mut continued: Option<Vec<u8>> = None;
    for name in path.split(|byte| *byte == b'/') {
        let Some(text) = name.strip_prefix(MARK) else {
            if continued.is_some() {
                return None;
            }
            segments.push(name.to_vec());
            continue;
        };
        let (text, goes_on) = text.strip_suffix(b"~").map_or((text, false), |text| (text, true));
        let mut segment = continued.take().unwrap_or_default();
        segment.extend(unescape(text)?);
        if goes_on {
            continued = Some(segment);
        } else {
            segments.push(segment.strip_suffix(b"/").map_or_else(|| segment.clone(), <[u8]>::to_vec));
        }
    }
    continued.is_none().then(|| segments.join(&b'/'))
}

fn unescape(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = text.iter().copied();
    let mut plain = Vec::new();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits = [bytes.next()?, bytes.next()?];
            plain.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            plain.push(byte);
        }
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path_of(key: &[u8], names: fn(&[u8]) -> Vec<Vec<u8>>) -> Vec<u8> {
        key.split(|byte| *byte == b'/').flat_map(names).collect::<Vec<_>>().join(&b'/')
    }

    #[test]
    fn the_table_is_true() {
        for (key, path) in
            [("c//d", "c/%~/d"), ("e/../f", "e/%~%2E%2E/f"), ("%~x", "%~%25%7Ex"), ("%2F", "%2F"), ("100%", "100%")]
        {
            assert_eq!(path_of(key.as_bytes(), names_of), path.as_bytes());
        }
        assert_eq!(key_of_path(b"%~a%2F/b").unwrap(), b"a/b");
    }

    proptest! {
        #[test]
        fn escaped_names_read_back_as_their_segment(segment in prop::collection::vec(any::<u8>(), 0..1500)) {
            let names = escaped_names_of(&segment);
            prop_assert_eq!(segment_of(&names), Some((segment, false)));
            for count in 1..names.len() {
                prop_assert!(segment_of(&names[..count]).unwrap().1);
            }
        }

        #[test]
        fn every_key_has_a_path_that_reads_back(key in prop::collection::vec(prop_oneof![4 => any::<u8>(), 1 => Just(b'/'), 1 => Just(b'.'), 1 => Just(b'%'), 1 => Just(b'~')], 0..1500)) {
            for names in [names_of as fn(&[u8]) -> Vec<Vec<u8>>, escaped_names_of, text_names_of, escaped_text_names_of] {
                let path = path_of(&key, names);
                prop_assert_eq!(key_of_path(&path).unwrap(), key.clone());
                for name in path.split(|byte| *byte == b'/') {
                    prop_assert!(!name.is_empty() && name.len() <= NAME_BYTES_MAX && name != b"." && name != b".." && !name.contains(&0));
                }
            }
        }
    }
}
