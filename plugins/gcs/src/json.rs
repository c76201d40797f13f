//! Fields of documents of JSON. Google writes 64-bit numbers as texts; others write them as numbers.

use credenza_sdk::{Timestamp, time};
use serde_json::Value;

/// A text that is not empty.
pub(crate) fn text<'a>(document: &'a Value, field: &str) -> Option<&'a str> {
    document.get(field)?.as_str().filter(|text| !text.is_empty())
}

/// A whole number, in either notation.
pub(crate) fn number(document: &Value, field: &str) -> Option<u64> {
    let value = document.get(field)?;
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// An id that is a number, as a text.
pub(crate) fn id(document: &Value, field: &str) -> Option<String> {
    number(document, field).map(|number| number.to_string())
}

/// A time of RFC 3339.
pub(crate) fn instant(document: &Value, field: &str) -> Option<Timestamp> {
    time::parse_iso(text(document, field)?)
}

/// Whether it is said, and true.
pub(crate) fn is_true(document: &Value, field: &str) -> bool {
    document.get(field).and_then(Value::as_bool).unwrap_or(false)
}

/// The elements of a list; none where there is no list.
pub(crate) fn list<'a>(document: &'a Value, field: &str) -> &'a [Value] {
    document.get(field).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_in_either_notation() {
        let document: Value =
            serde_json::from_str(r#"{"a": "18446744073709551615", "b": 7, "c": "x", "d": -1}"#).unwrap();
        let numbers = ["a", "b", "c", "d", "e"].map(|field| number(&document, field));
        assert_eq!(numbers, [Some(u64::MAX), Some(7), None, None, None]);
        assert_eq!(id(&document, "b").as_deref(), Some("7"));
    }
}
