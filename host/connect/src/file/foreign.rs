//! Attributes that no file has of its own, such as a content type or the tags of an object, kept as extended attributes: what a
//! bucket's snapshot loses in a folder comes back when the folder is backed up and restored to a bucket.
//!
//! The attribute `http.content-type` becomes `user.credenza.http.content-type`; its value a letter for the type, then the value.

use credenza_model::{AttributeValue, Timestamp};

const PREFIX: &str = "user.credenza.";

/// The key of an object whose file had to have another name; bytes.
pub const KEY: &str = "tree.key";
/// Of a folder that is there only because a key needs it.
pub const IMPLIED: &str = "tree.implied";

/// The extended attribute of such a folder, and its value.
pub(super) const IMPLIED_AS: (&str, &[u8]) = ("user.credenza.tree.implied", b"i1");
/// What files have of their own is never taken from such a name.
const OWN: [&str; 2] = ["posix.", "xattr."];

/// The extended attribute that keeps an attribute; none for what a file has of its own.
pub(super) fn kept_as(name: &str, value: &AttributeValue) -> Option<(String, Vec<u8>)> {
    let value = match value {
        AttributeValue::Text(text) => [b"t", text.as_bytes()].concat(),
        AttributeValue::Integer(number) => format!("i{number}").into_bytes(),
        AttributeValue::Time(time) => format!("d{}.{:09}", time.seconds, time.nanoseconds).into_bytes(),
        AttributeValue::Blob(bytes) => [b"b", &bytes[..]].concat(),
    };
    (!is_own(name)).then(|| (format!("{PREFIX}{name}"), value))
}

/// The attribute that an extended attribute keeps, if it is one of ours.
pub(super) fn kept_in(name: &str, value: &[u8]) -> Option<(String, AttributeValue)> {
    let name = name.strip_prefix(PREFIX).filter(|name| !name.is_empty() && !is_own(name))?;
    let (kind, value) = value.split_first()?;
    let text = || std::str::from_utf8(value).ok();
    let value = match kind {
        b't' => AttributeValue::Text(text()?.to_owned()),
        b'i' => AttributeValue::Integer(text()?.parse().ok()?),
        b'd' => AttributeValue::Time(time(text()?)?),
        b'b' => AttributeValue::Blob(value.to_vec()),
        _ => return None,
    };
    Some((name.to_owned(), value))
}

fn is_own(name: &str) -> bool {
    OWN.iter().any(|own| name.starts_with(own))
}

fn time(text: &str) -> Option<Timestamp> {
    let (seconds, nanoseconds) = text.split_once('.')?;
    let nanoseconds = nanoseconds.parse().ok().filter(|nanoseconds| *nanoseconds < 1_000_000_000)?;
    Some(Timestamp { seconds: seconds.parse().ok()?, nanoseconds })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_kept_comes_back(
            name in "(http|user|s3)\\.[a-z]{1,20}", text in any::<String>(), bytes in any::<Vec<u8>>(), number in any::<i64>(),
            nanoseconds in 0..1_000_000_000_u32,
        ) {
            let time = Timestamp { seconds: number, nanoseconds };
            let values = [AttributeValue::Text(text), AttributeValue::Integer(number), AttributeValue::Time(time), AttributeValue::Blob(bytes)];
            for value in values {
                let (kept, bytes) = kept_as(&name, &value).unwrap();
                prop_assert_eq!(kept_in(&kept, &bytes), Some((name.clone(), value)));
            }
        }

        #[test]
        fn any_bytes_of_others_are_taken_or_left(name in ".{0,40}", bytes in any::<Vec<u8>>()) {
            let _ = kept_in(&format!("{PREFIX}{name}"), &bytes);
        }
    }

    #[test]
    fn a_stranger_cannot_give_a_file_another_mode() {
        assert_eq!(kept_in("user.credenza.posix.mode", b"i511"), None);
        assert_eq!(kept_in("user.colour", b"tred"), None);
        assert_eq!(kept_as("posix.mode", &AttributeValue::Integer(1)), None);
    }
}
