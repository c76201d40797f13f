//! What an object was in a folder, kept as its user metadata: the host's attributes `tree.*`.
//!
//! `tree.posix.mode` becomes user metadata of the name `credenza-posix.mode`, whatever the remote puts before names (S3: `x-amz-meta-`). Its value is a letter for the type, then the value: a text or a
//! number percent-encoded, bytes as Base64. In the name everything but lower-case letters, digits, `.`, `-` and `_` is percent-encoded,
//! because no server keeps the case.

use crate::{AttributeValue, Timestamp};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::percent;

const ATTRIBUTE: &str = "tree.";
const METADATA: &str = "credenza-";
/// The name, without its prefix, and value of the user metadata that keeps an attribute, if it is one of those.
#[must_use]
pub fn metadata_of(name: &str, value: &AttributeValue) -> Option<(String, String)> {
    let name = name.strip_prefix(ATTRIBUTE)?;
    let value = match value {
        AttributeValue::Text(text) => format!("t{}", percent::value(text.as_bytes())),
        AttributeValue::Integer(number) => format!("i{number}"),
        AttributeValue::Time(time) => format!("d{}.{:09}", time.seconds, time.nanoseconds),
        AttributeValue::Blob(bytes) => format!("b{}", BASE64.encode(bytes)),
    };
    Some((format!("{METADATA}{}", encode_name(name)), value))
}

/// The attribute that user metadata keeps, if it is of ours and whole.
#[must_use]
pub fn attribute_of(name: &str, value: &str) -> Option<(String, AttributeValue)> {
    let name = String::from_utf8(percent::decode_form(name.strip_prefix(METADATA)?.as_bytes())).ok()?;
    let text = |encoded: &str| String::from_utf8(percent::decode_form(encoded.as_bytes())).ok();
    let (kind, value) = value.split_at_checked(1)?;
    let value = match kind {
        "t" => AttributeValue::Text(text(value)?),
        "i" => AttributeValue::Integer(value.parse().ok()?),
        "d" => AttributeValue::Time(time(value)?),
        "b" => AttributeValue::Blob(BASE64.decode(value).ok()?),
        _ => return None,
    };
    (!name.is_empty()).then(|| (format!("{ATTRIBUTE}{name}"), value))
}

/// How many bytes of user metadata an object may still have, names and values.
#[derive(Debug, Clone, Copy)]
pub struct Room(usize);

impl Room {
    /// What `bytes_max` leaves beside these names and values.
    #[must_use]
    pub fn beside<'a>(bytes_max: usize, taken: impl Iterator<Item = &'a (String, String)>) -> Self {
        Self(bytes_max.saturating_sub(taken.map(|(name, value)| name.len() + value.len()).sum()))
    }

    /// Takes a name and its value in, if there is room.
    pub fn take(&mut self, name: &str, value: &str) -> bool {
        let left = self.0.checked_sub(name.len() + value.len());
        self.0 = left.unwrap_or(self.0);
        left.is_some()
    }
}

fn encode_name(name: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
    name.bytes()
        .map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02x}") })
        .collect()
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
        fn what_is_kept_comes_back_whatever_a_server_does_to_the_case_of_its_name(
            name in ".{1,20}", text in any::<String>(), bytes in any::<Vec<u8>>(), seconds in any::<i64>(), nanoseconds in 0..1_000_000_000_u32,
        ) {
            let time = Timestamp { seconds, nanoseconds };
            let values = [AttributeValue::Text(text), AttributeValue::Integer(seconds), AttributeValue::Time(time), AttributeValue::Blob(bytes)];
            for value in values {
                let name = format!("tree.{name}");
                let (kept, reported) = metadata_of(&name, &value).unwrap();
                prop_assert!(reported.bytes().all(|byte| byte.is_ascii_graphic()));
                prop_assert!(kept.bytes().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase()));
                let (back, value_back) = attribute_of(&kept, &reported).unwrap();
                prop_assert_eq!((back, format!("{value_back:?}")), (name, format!("{value:?}")));
            }
        }

        #[test]
        fn any_metadata_of_others_is_taken_or_left(name in ".{0,30}", value in any::<String>()) {
            let _ = attribute_of(&format!("{METADATA}{name}"), &value);
        }
    }
}
