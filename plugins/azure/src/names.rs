//! Which keys a blob can have, and which names user metadata can have.
//!
//! The rules of the service: <https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata>.

use credenza_sdk::{Error, ErrorClass, Result};

/// Longest name of a blob, in characters.
const CHARACTERS_MAX: usize = 1024;
/// Begins the encoded names of what SDK's `tree` keeps.
const OF_A_TREE: &str = "credenza_2d";

/// That a blob can have that name, and that the service takes it for no other: it resolves `.` and `..`, drops a dot at the end of a segment, and takes
/// `\\` for `/`, however they are written.
///
/// # Errors
/// `unsupported`, with the rule that it breaks.
pub(crate) fn demand(blob: &[u8], action: &str) -> Result<()> {
    let is_control = |character: char| character.is_control();
    let broken = match std::str::from_utf8(blob) {
        Err(_) => Some(("azure.name-encoding", "the name of a blob is text, and this one is none (UTF-8)")),
        Ok(name) if name.split('/').any(|segment| segment.ends_with('.')) => Some((
            "azure.dot-segment",
            "Azure drops a dot at the end of a name or of a folder, and would write another blob",
        )),
        Ok(name) if name.contains('\\') => {
            Some(("azure.backslash", "Azure takes a backslash for `/`, and would write another blob"))
        }
        Ok(name) if name.contains(is_control) => {
            Some(("azure.control-characters", "Azure takes no control characters in a name"))
        }
        Ok(name) if name.chars().count() > CHARACTERS_MAX => {
            Some(("azure.name-too-long", "its name is longer than Azure takes (1,024 characters)"))
        }
        Ok(_) => None,
    };
    match broken {
        Some((reason, why)) => Err(Error::new(ErrorClass::Unsupported, reason, format!("{action} failed: {why}"))),
        None => Ok(()),
    }
}

/// Whether user metadata can have that name: one of C#, in ASCII.
pub(crate) fn is_of_metadata(name: &str) -> bool {
    let is_start = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    name.bytes().next().is_some_and(is_start) && name.bytes().all(|byte| is_start(byte) || byte.is_ascii_digit())
}

/// A name of SDK's `tree` as one that metadata can have: everything but lower-case letters and digits is `_XX`.
pub(crate) fn encode(name: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.bytes()
        .map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("_{byte:02x}") })
        .collect()
}

/// The name that was encoded, if it is one of SDK's `tree`.
pub(crate) fn decode(name: &str) -> Option<String> {
    if !name.starts_with(OF_A_TREE) {
        return None;
    }
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some(character) = rest.chars().next() {
        if character == '_' {
            bytes.push(u8::from_str_radix(rest.get(1..3)?, 16).ok()?);
            rest = rest.get(3..)?;
        } else {
            bytes.push(u8::try_from(character).ok()?);
            rest = rest.get(1..)?;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_cannot_be_a_blob_is_refused_with_its_rule() {
        for (name, reason) in [
            (&b"a/../b"[..], "azure.dot-segment"),
            (b".", "azure.dot-segment"),
            (b"a./b", "azure.dot-segment"),
            (b"a\\b", "azure.backslash"),
            (b"a\x01", "azure.control-characters"),
            ("a\u{81}".as_bytes(), "azure.control-characters"),
            (b"\xff", "azure.name-encoding"),
            (&[b'x'; 1025], "azure.name-too-long"),
        ] {
            assert_eq!(demand(name, "writing").unwrap_err().reason, reason);
        }
        for name in ["a", "a//b", "/a", "a/", "a..b", "a/.b", &"\u{e4}".repeat(1024)] {
            assert!(demand(name.as_bytes(), "writing").is_ok(), "{name}");
        }
    }

    #[test]
    fn a_name_of_metadata_is_one_of_a_language() {
        for (name, is_one) in
            [("a", true), ("_A1", true), ("1a", false), ("a-b", false), ("", false), ("\u{e4}", false)]
        {
            assert_eq!(is_of_metadata(name), is_one, "{name}");
        }
    }

    proptest! {
        #[test]
        fn an_encoded_name_can_be_one_of_metadata_and_comes_back(rest in "[a-z0-9.%_-]{0,30}") {
            let name = format!("credenza-{rest}");
            let encoded = encode(&name);
            prop_assert!(is_of_metadata(&encoded));
            prop_assert_eq!(decode(&encoded), Some(name));
        }

        #[test]
        fn any_name_of_others_is_taken_or_left(name in any::<String>()) {
            let _ = decode(&format!("{OF_A_TREE}{name}"));
        }
    }
}
