//! What a role may ask of an endpoint: a method, optionally only with a certain query parameter.

use std::fmt;
use std::str::FromStr;

/// A permitted kind of request: `GET`, or `POST ?delete`, which is a POST whose query names the parameter `delete`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct Verb {
    method: String,
    parameter: Option<String>,
}

/// A text that is no verb.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}` is not a verb: write a method in capitals such as `GET`, or a method and a required query parameter such as `POST ?delete`", text.escape_debug()
)]
pub struct VerbError {
    /// What was given.
    pub text: String,
}

impl Verb {
    /// Whether a request with this method and this query is of this kind. Without a parameter the verb covers every query.
    #[must_use]
    pub fn covers(&self, method: &str, query: &str) -> bool {
        let named = |wanted: &str| query.split('&').any(|pair| pair.split('=').next() == Some(wanted));
        self.method == method && self.parameter.as_deref().is_none_or(named)
    }
}

impl FromStr for Verb {
    type Err = VerbError;

    fn from_str(text: &str) -> Result<Self, VerbError> {
        let (method, parameter) = match text.split_once(' ') {
            None => (text, None),
            Some((method, rest)) => {
                (method, Some(rest.strip_prefix('?').ok_or_else(|| VerbError { text: text.to_owned() })?))
            }
        };
        let plain = |p: &str| !p.is_empty() && p.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        let capitals = !method.is_empty() && method.bytes().all(|b| b.is_ascii_uppercase());
        if capitals && parameter.is_none_or(plain) {
            Ok(Self { method: method.to_owned(), parameter: parameter.map(str::to_owned) })
        } else {
            Err(VerbError { text: text.to_owned() })
        }
    }
}

impl TryFrom<String> for Verb {
    type Error = VerbError;

    fn try_from(text: String) -> Result<Self, VerbError> {
        text.parse()
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.parameter {
            None => f.write_str(&self.method),
            Some(parameter) => write!(f, "{} ?{parameter}", self.method),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verb_with_a_parameter_covers_only_requests_that_name_it() {
        let verb: Verb = "POST ?delete".parse().unwrap();
        for (method, query, covered) in [
            ("POST", "delete", true),
            ("POST", "delete=", true),
            ("POST", "x=1&delete=2", true),
            ("POST", "deleted", false),
            ("POST", "x=delete", false),
            ("POST", "", false),
            ("GET", "delete", false),
        ] {
            assert_eq!(verb.covers(method, query), covered, "{method} ?{query}");
        }
        assert_eq!(verb.to_string().parse(), Ok(verb));
    }

    #[test]
    fn what_is_no_verb_is_refused() {
        for text in ["", "get", "GET delete", "GET ?", "GET ?a=b", "GE T"] {
            assert!(text.parse::<Verb>().is_err(), "{text}");
        }
    }
}
