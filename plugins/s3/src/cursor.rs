//! Where the listing of a repository goes on, as the text that the host keeps: all that it takes, so that any instance goes on from it.

use credenza_sdk::{Error, ErrorClass, Result};

use crate::listing::Cursor;
use credenza_sdk::percent;

/// A place in a listing; the default is its beginning.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// Where the next page begins.
    pub(crate) at: Option<Cursor>,
    /// The key of which it is known already what was there at the time that the settings name.
    pub(crate) decided: Option<Vec<u8>>,
}

impl Place {
    /// Fields by a letter: `t` a token, `k` a key, `v` a version of it, `d` the key that is decided.
    pub(crate) fn text(&self) -> String {
        let mut fields = Vec::new();
        let mut field = |name: char, bytes: &[u8]| fields.push(format!("{name}={}", percent::value(bytes)));
        match &self.at {
            Some(Cursor::Token(token)) => field('t', token.as_bytes()),
            Some(Cursor::After { key, version }) => {
                field('k', key);
                if let Some(version) = version {
                    field('v', version.as_bytes());
                }
            }
            None => {}
        }
        if let Some(decided) = &self.decided {
            field('d', decided);
        }
        fields.join("&")
    }

    /// The place that a text names.
    ///
    /// # Errors
    /// `internal` for a text that no listing of this connector gave.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let field = |name: &str| {
            let mut fields = text.split('&').filter_map(|field| field.split_once('='));
            fields.find(|(found, _)| *found == name).map(|(_, value)| percent::decode_form(value.as_bytes()))
        };
        let words = |name: &str| field(name).and_then(|bytes| String::from_utf8(bytes).ok());
        let key = || field("k").map(|key| Cursor::After { key, version: words("v") });
        let at = words("t").map(Cursor::Token).or_else(key).ok_or_else(|| {
            Error::new(
                ErrorClass::Internal,
                "s3.cursor",
                "listing failed: the host goes on from a place that was never reported",
            )
        })?;
        Ok(Self { at: Some(at), decided: field("d") })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cursors() -> impl Strategy<Value = Cursor> {
        let after =
            (any::<Vec<u8>>(), any::<Option<String>>()).prop_map(|(key, version)| Cursor::After { key, version });
        prop_oneof![any::<String>().prop_map(Cursor::Token), after]
    }

    proptest! {
        #[test]
        fn a_place_comes_back(at in cursors(), decided in any::<Option<Vec<u8>>>()) {
            let place = Place { at: Some(at), decided };
            prop_assert_eq!(Place::parse(&place.text()).unwrap(), place);
        }

        #[test]
        fn any_text_is_taken(text in any::<String>()) {
            let _ = Place::parse(&text);
        }
    }

    #[test]
    fn the_longest_key_of_a_bucket_leaves_room() {
        let key = vec![0xff; 1024];
        let at = Some(Cursor::After { key: key.clone(), version: Some("v".repeat(1024)) });
        assert!(Place { at, decided: Some(key) }.text().len() <= 8192);
    }
}
