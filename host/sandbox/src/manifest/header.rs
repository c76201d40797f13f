//! The headers that a role may send to an endpoint, beside those of HTTP itself.

use std::fmt;
use std::str::FromStr;

use super::allow::When;

/// Headers whose value says where the server shall read or write beside the request's own path. No family covers them, and where one is granted
/// the host checks and writes the address.
const REACHING: [&str; 5] =
    ["destination", "x-amz-copy-source", "x-goog-copy-source", "x-ms-copy-source", "x-ms-rename-source"];

/// A permitted header: `x-amz-storage-class`, a family of them (`x-amz-meta-*`), or one under a condition (`x-amz-acl when acl`).
///
/// `destination <address>` and `x-amz-copy-source <path>` are headers that say where the server reads or writes: the connector gives a target as for a
/// request, relative to the endpoint; the host checks it as one, and sends the whole address or the whole path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct HeaderRule {
    /// In lower case.
    name: String,
    /// What begins with the name.
    is_family: bool,
    reach: Option<Reach>,
    when: Option<When>,
}

/// What the host makes of a target that a header holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Reach {
    /// `https://host/path`.
    Address,
    /// `/path`.
    Path,
}

impl Reach {
    const fn word(self) -> &'static str {
        match self {
            Self::Address => "<address>",
            Self::Path => "<path>",
        }
    }
}

/// A text that names no header that can be granted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a header that can be granted: write its name in lower case, such as `x-amz-storage-class` or `x-amz-meta-*`; one that says where a server reads or writes needs a form, such as `destination <address>` or `x-amz-copy-source <path>`", text.escape_debug())]
pub struct HeaderRuleError {
    /// What was given.
    pub text: String,
}

impl HeaderRule {
    /// Whether a header, in lower case, is permitted.
    pub(crate) fn covers(&self, name: &str) -> bool {
        if self.is_family { name.starts_with(&self.name) && !is_reaching(name) } else { name == self.name }
    }

    pub(crate) const fn reach(&self) -> Option<Reach> {
        self.reach
    }

    pub(crate) const fn when(&self) -> Option<&When> {
        self.when.as_ref()
    }

    fn read(text: &str) -> Option<Self> {
        let (text, when) = When::split(text)?;
        let (text, reach) = match text.split_once(' ') {
            None => (text, None),
            Some((name, "<address>")) => (name, Some(Reach::Address)),
            Some((name, "<path>")) => (name, Some(Reach::Path)),
            Some(_) => return None,
        };
        let (name, is_family) = text.strip_suffix("-*").map_or((text, false), |_| (text.trim_end_matches('*'), true));
        let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        // A family of one letter would be all of them.
        let long = name.len() >= if is_family { 4 } else { 1 };
        let is_stated = if is_family { reach.is_none() } else { reach.is_some() == REACHING.contains(&name) };
        (plain && long && is_stated).then(|| Self { name: name.to_owned(), is_family, reach, when })
    }
}

/// Whether a header, in lower case, says where the server reads or writes, or goes with one that does.
fn is_reaching(name: &str) -> bool {
    REACHING
        .iter()
        .any(|reaching| name.strip_prefix(reaching).is_some_and(|rest| rest.is_empty() || rest.starts_with('-')))
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
        self.reach.iter().try_for_each(|reach| write!(f, " {}", reach.word()))?;
        self.when.iter().try_for_each(|when| write!(f, "{when}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(rule: &str, name: &str) -> bool {
        rule.parse::<HeaderRule>().unwrap().covers(name)
    }

    #[test]
    fn a_family_begins_with_its_name_and_a_single_header_is_one() {
        assert!(covers("x-amz-meta-*", "x-amz-meta-a"));
        assert!(!covers("x-amz-meta-*", "x-amz-acl"));
        assert!(covers("x-amz-acl when acl", "x-amz-acl"));
        assert!(!covers("x-amz-acl", "x-amz-acl-x"));
    }

    #[test]
    fn a_rule_is_shown_as_it_is_written() {
        for text in
            ["x-amz-acl", "x-amz-meta-* when acl", "destination <address>", "x-amz-copy-source <path> when copy"]
        {
            assert_eq!(text.parse::<HeaderRule>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_family_never_covers_what_reads_or_writes_elsewhere() {
        for (family, name) in [
            ("x-ms-*", "x-ms-copy-source"),
            ("x-ms-*", "x-ms-copy-source-authorization"),
            ("x-ms-*", "x-ms-rename-source"),
            ("x-amz-*", "x-amz-copy-source-range"),
            ("x-goog-*", "x-goog-copy-source"),
            ("x-goog-copy-*", "x-goog-copy-source"),
        ] {
            assert!(!covers(family, name), "{family}: {name}");
        }
        assert!(covers("x-ms-*", "x-ms-copy-status") && covers("x-ms-copy-source <address>", "x-ms-copy-source"));
    }

    #[test]
    fn everything_at_once_cannot_be_granted() {
        for text in [
            "",
            "*",
            "-*",
            "x-*",
            "X-Amz-Acl",
            "x amz",
            "x-amz-acl:",
            "x-amz-*-b",
            "x-amz-copy-source",
            "destination",
            "x-amz-acl <address>",
            "x-ms-* <address>",
            "destination <x>",
        ] {
            assert!(text.parse::<HeaderRule>().is_err(), "{text}");
        }
    }
}
