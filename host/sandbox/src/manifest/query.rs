//! The query of a request, as its bytes are signed and sent: names without any encoding, each once.
//!
//! Servers read a query in many ways: they decode names, take the first of two equal ones or the last, split at `;`, turn `+` into a space.
//! What could be read in two ways is refused, so that the check sees what the server sees.

/// The parameters of a query, in its order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Query<'a>(pub(crate) Vec<(&'a str, Option<&'a str>)>);

impl<'a> Query<'a> {
    /// Reads what stands behind the `?`; nothing where there is no `?`.
    ///
    /// # Errors
    /// What is ambiguous in it, as the end of a sentence.
    pub(crate) fn read(query: Option<&'a str>) -> Result<Self, &'static str> {
        let Some(query) = query else { return Ok(Self::default()) };
        let mut parameters: Vec<(&str, Option<&str>)> = Vec::new();
        for pair in query.split('&') {
            let (name, value) = match pair.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (pair, None),
            };
            if name.is_empty() || !name.bytes().all(is_unreserved) {
                return Err("whose query has a parameter with an empty or encoded name");
            }
            if !is_unambiguous(value.unwrap_or_default()) {
                return Err(
                    "whose query has a value that servers read in different ways; encode all but letters, digits and `-._~`",
                );
            }
            if parameters.iter().any(|(earlier, _)| *earlier == name) {
                return Err("whose query repeats a parameter");
            }
            parameters.push((name, value));
        }
        Ok(Self(parameters))
    }

    /// The value of a parameter, empty where it has none.
    pub(crate) fn value(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(present, _)| *present == name).map(|(_, value)| value.unwrap_or_default())
    }
}

/// RFC 3986 section 2.3: never encoded, and never a separator.
pub(crate) const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn is_unambiguous(value: &str) -> bool {
    let plain = |byte: u8| is_unreserved(byte) || matches!(byte, b'/' | b':' | b',' | b'@' | b'*' | b'!' | b'$' | b'=');
    let mut escapes = value.split('%');
    let before = escapes.next().unwrap_or_default();
    before.bytes().all(plain)
        && escapes.all(|escape| {
            let (digits, rest) = escape.as_bytes().split_at(escape.len().min(2));
            digits.len() == 2 && digits.iter().all(u8::is_ascii_hexdigit) && rest.iter().copied().all(plain)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_that_can_be_read_in_two_ways_is_refused() {
        for query in [
            "",
            "&",
            "a&",
            "=1",
            "a&a",
            "a=1&b&a=2",
            "%64elete",
            "del%65te",
            "a+b",
            "a;b",
            "a=1;delete",
            "a=b+c",
            "a=%",
            "a=%2",
            "a=%zz",
            "a b",
            "delete%00",
            "a[]=1",
        ] {
            assert!(Query::read(Some(query)).is_err(), "{query}");
        }
    }

    #[test]
    fn names_and_values_are_those_of_the_bytes() {
        let query = Query::read(Some("list-type=2&prefix=a%2Fb&delete&x=")).unwrap();
        assert_eq!(query.0, [("list-type", Some("2")), ("prefix", Some("a%2Fb")), ("delete", None), ("x", Some(""))]);
        assert_eq!((query.value("delete"), query.value("prefix"), query.value("a")), (Some(""), Some("a%2Fb"), None));
        assert_eq!(Query::read(None), Ok(Query::default()));
    }
}
