//! The text of a setting and its typed value.

use crate::manifest::{SettingKind, SettingSpec};

/// A typed value, as the connector gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A text, a choice, an address.
    Text(String),
    /// A number, bytes of a size, milliseconds of a duration.
    Integer(i64),
    /// Yes or no.
    Boolean(bool),
    /// A list.
    Texts(Vec<String>),
}

/// A text that is no value of a setting, and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not {allowed}", text.escape_debug())]
pub struct InvalidValue {
    /// What was given.
    pub text: String,
    /// What is allowed.
    pub allowed: String,
}

impl Value {
    /// Reads a text by the rules of a setting.
    ///
    /// # Errors
    /// [`InvalidValue`] says what is allowed.
    pub fn parse(spec: &SettingSpec, text: &str) -> Result<Self, InvalidValue> {
        let invalid = |allowed: String| InvalidValue { text: text.to_owned(), allowed };
        let integer = |number: Option<i64>, allowed: &str| {
            let number = number.ok_or_else(|| invalid(allowed.to_owned()))?;
            let (min, max) = (spec.min.unwrap_or(i64::MIN), spec.max.unwrap_or(i64::MAX));
            if (min..=max).contains(&number) {
                Ok(Self::Integer(number))
            } else {
                Err(invalid(format!("between {min} and {max}")))
            }
        };
        match spec.kind {
            SettingKind::String => Ok(Self::Text(text.to_owned())),
            SettingKind::Integer => integer(text.parse().ok(), "a whole number"),
            SettingKind::Duration => integer(duration_ms(text), "a duration such as 500ms, 30s, 5m, 2h or 1d"),
            SettingKind::Size => integer(size_bytes(text), "a size such as 512, 64KiB or 8MB"),
            SettingKind::Boolean => parse_boolean(text).map(Self::Boolean).ok_or_else(|| invalid(BOOLEANS.to_owned())),
            SettingKind::Enum if spec.values.iter().any(|v| v == text) => Ok(Self::Text(text.to_owned())),
            SettingKind::Enum => Err(invalid(format!("one of {}", spec.values.join(", ")))),
            SettingKind::Url if is_http_url(text) => Ok(Self::Text(text.to_owned())),
            SettingKind::Url => Err(invalid("an address such as https://host/path".to_owned())),
            SettingKind::List => {
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                Ok(Self::Texts(parts.map(str::to_owned).collect()))
            }
        }
    }
}

/// What a setting that is true or false may be.
pub const BOOLEANS: &str = "true or false (or yes, no, on, off, 1, 0)";

/// `true` or `false`, as every setting of that type writes them, in either case.
#[must_use]
pub fn parse_boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

fn is_http_url(text: &str) -> bool {
    let uri = text.parse::<http::Uri>().ok();
    uri.is_some_and(|u| matches!(u.scheme_str(), Some("http" | "https")) && u.host().is_some_and(|h| !h.is_empty()))
}

fn duration_ms(text: &str) -> Option<i64> {
    scaled(text, &[("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)])
}

fn size_bytes(text: &str) -> Option<i64> {
    let binary = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];
    let decimal = [("KB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("TB", 1_000_000_000_000), ("", 1)];
    scaled(text, &[binary.as_slice(), decimal.as_slice()].concat())
}

/// A number of digits and one of the units.
fn scaled(text: &str, units: &[(&str, i64)]) -> Option<i64> {
    let digits_end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(digits_end);
    let scale = units.iter().find(|(name, _)| *name == unit.trim_start()).map(|(_, scale)| *scale)?;
    digits.parse::<i64>().ok()?.checked_mul(scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(kind: &str, text: &str) -> Result<Value, InvalidValue> {
        let spec: SettingSpec =
            toml::from_str(&format!("type = '{kind}'\nvalues = ['a', 'b']\nmax = 1048576")).unwrap();
        Value::parse(&spec, text)
    }

    #[test]
    fn texts_become_typed_values() {
        assert_eq!(parse("size", "64KiB"), Ok(Value::Integer(65536)));
        assert_eq!(parse("size", "512"), Ok(Value::Integer(512)));
        assert_eq!(parse("duration", "5m"), Ok(Value::Integer(300_000)));
        assert_eq!(parse("boolean", "off"), Ok(Value::Boolean(false)));
        assert_eq!(parse("enum", "a"), Ok(Value::Text("a".to_owned())));
        assert_eq!(parse("list", "a, b,"), Ok(Value::Texts(vec!["a".to_owned(), "b".to_owned()])));
        assert!(parse("url", "https://h/p").is_ok());
    }

    #[test]
    fn what_does_not_fit_says_what_does() {
        for (kind, text, allowed) in [
            ("size", "64 sheep", "KiB"),
            ("size", "99999999999999999999", "KiB"),
            ("size", "2MiB", "between"),
            ("duration", "", "30s"),
            ("boolean", "perhaps", BOOLEANS),
            ("enum", "c", "one of a, b"),
            ("integer", "1.5", "whole number"),
            ("url", "ftp://h", "https://"),
        ] {
            let error = parse(kind, text).unwrap_err().to_string();
            assert!(error.contains(allowed), "{error}");
        }
    }
}
