//! The headers that a role may send to an endpoint, beside those of HTTP itself.

use std::fmt;
use std::str::FromStr;

use super::allow::When;

/// A permitted header: `x-amz-storage-class`, a family of them (`x-amz-meta-*`), or one under a condition (`x-amz-acl when acl`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct HeaderRule {
    /// In lower case.
    name: String,
    /// What begins with the name.
    is_family: bool,
    when: Option<When>,
}

/// A text that names no header that can be granted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a header that can be granted: write its name in lower case, such as `x-amz-storage-class` or `x-amz-meta-*`", text.escape_debug())]
pub struct HeaderRuleError {
    /// What was given.
    pub text: String,
}

impl HeaderRule {
    /// Whether a header, in lower case, is permitted.
    pub(crate) fn covers(&self, name: &str) -> bool {
        if self.is_family { name.starts_with(&self.name) } else { name == self.name }
    }

    pub(crate) const fn when(&self) -> Option<&When> {
        self.when.as_ref()
    }

    fn read(text: &str) -> Option<Self> {
        let (text, when) = When::split(text)?;
        let (name, is_family) = text.strip_suffix("-*").map_or((text, false), |_| (text.trim_end_matches('*'), true));
        let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        // A family of one letter would be all of them.
        let long = name.len() >= if is_family { 4 } else { 1 };
        (plain && long).then(|| Self { name: name.to_owned(), is_family, when })
    }
}

impl FromStr for HeaderRule {
    type Err = HeaderRuleError;

    fn from_str(text: &str) -> Result<Self, HeaderRuleError> {
        Self::read(text).ok_or_else(|| HeaderRuleError { text: text.to_owned() })
    }
}

impl TryFrom<String> for HeaderRule {
    type Error = HeaderRuleError;

    fn try_from(text: String) -> Result<Self, HeaderRuleError> {
        text.parse()
    }
}

impl fmt::Display for HeaderRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.name, if self.is_family { "*" } else { "" })?;
        self.when.iter().try_for_each(|when| write!(f, "{when}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_begins_with_its_name_and_a_single_header_is_one() {
        let covers = |rule: &str, name: &str| rule.parse::<HeaderRule>().unwrap().covers(name);
        assert!(covers("x-amz-meta-*", "x-amz-meta-a"));
        assert!(!covers("x-amz-meta-*", "x-amz-acl"));
        assert!(covers("x-amz-acl when acl", "x-amz-acl"));
        assert!(!covers("x-amz-acl", "x-amz-acl-x"));
        assert_eq!("x-amz-meta-* when acl".parse::<HeaderRule>().unwrap().to_string(), "x-amz-meta-* when acl");
    }

    #[test]
    fn everything_at_once_cannot_be_granted() {
        for text in ["", "*", "-*", "x-*", "X-Amz-Acl", "x amz", "x-amz-acl:", "x-amz-*-b"] {
            assert!(text.parse::<HeaderRule>().is_err(), "{text}");
        }
    }
}
