//! What a role may ask of an endpoint: a method, the endpoint itself or what lies below it, and exactly these query parameters.

use std::fmt;
use std::str::FromStr;

use super::query::{Query, is_unreserved};

/// A permitted kind of request. `METHOD [/*] [?NAME[=VALUE][|NAME…]&…] [[NAME …]] [<DOCUMENT>] [when SETTING[=VALUE]]`:
///
/// - `GET /*`: what lies below the endpoint, without a query; `GET`: the endpoint itself.
/// - `GET ?list-type=2 [prefix delimiter]`: with that parameter, and perhaps those in brackets, which may have a value too; no other.
/// - `GET ?acl|policy`: with one of the two.
/// - `POST ?delete <s3-delete>`: whose body is that kind of document; `PATCH /* <json:a,b>`: an object of JSON with these fields and no others.
/// - `PUT when create_bucket`: where the setting is `true`, or the value that is said.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct Verb {
    method: String,
    is_below: bool,
    /// Of each, one must be there.
    required: Vec<Vec<Parameter>>,
    optional: Vec<Parameter>,
    document: Option<Document>,
    when: Option<When>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Parameter {
    name: String,
    /// Any, when none is said.
    value: Option<String>,
}

/// A kind of body that the host reads before it sends it, because the request does not say elsewhere what it touches.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Document {
    /// Of DeleteObjects: keys below the granted prefix, and no versions.
    S3Delete,
    /// Of RestoreObject: a copy of an archived object for some days, and no query.
    S3Restore,
    /// An object of JSON with some of these fields, and no others.
    Json(Vec<String>),
}

impl Document {
    fn read(word: &str) -> Option<Self> {
        match word.strip_prefix('<')?.strip_suffix('>')? {
            "s3-delete" => Some(Self::S3Delete),
            "s3-restore" => Some(Self::S3Restore),
            other => {
                let fields: Vec<&str> = other.strip_prefix("json:")?.split(',').collect();
                let plain = fields.iter().all(|field| is_name(field));
                plain.then(|| Self::Json(fields.into_iter().map(str::to_owned).collect()))
            }
        }
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::S3Delete => f.write_str("<s3-delete>"),
            Self::S3Restore => f.write_str("<s3-restore>"),
            Self::Json(fields) => write!(f, "<json:{}>", fields.join(",")),
        }
    }
}

/// A setting that must have a value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct When {
    pub(crate) setting: String,
    pub(crate) value: String,
}

/// A text that is no verb.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}` is not a verb: write a method, `/*` for what lies below the endpoint, the query parameters, and in brackets those that may be left out, such as `GET /* ?acl [versionId]`", text.escape_debug()
)]
pub struct VerbError {
    /// What was given.
    pub text: String,
}

impl Verb {
    /// Whether a request is of this kind: with this method, for the endpoint itself or what lies below it, and with this query.
    pub(crate) fn covers(&self, method: &str, is_below: bool, query: &Query<'_>) -> bool {
        let known =
            |(name, value): &(&str, Option<&str>)| self.parameters().any(|parameter| parameter.is(name, *value));
        let met = |choice: &Vec<Parameter>| {
            query.0.iter().filter(|(name, value)| choice.iter().any(|one| one.is(name, *value))).count() == 1
        };
        self.method == method && self.is_below == is_below && query.0.iter().all(known) && self.required.iter().all(met)
    }

    /// Whether such a request changes nothing, by its method (the safe ones of RFC 9110 section 9.2.1, and of WebDAV's those that the IANA's
    /// registry of methods calls safe).
    pub(crate) fn is_safe(&self) -> bool {
        ["GET", "HEAD", "OPTIONS", "PROPFIND", "REPORT", "SEARCH"].contains(&self.method.as_str())
    }

    /// Whether requests of this kind may carry a parameter.
    pub(crate) fn takes(&self, name: &str) -> bool {
        self.parameters().any(|parameter| parameter.name == name)
    }

    fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        self.required.iter().flatten().chain(&self.optional)
    }

    pub(crate) const fn document(&self) -> Option<&Document> {
        self.document.as_ref()
    }

    pub(crate) const fn when(&self) -> Option<&When> {
        self.when.as_ref()
    }

    fn read(text: &str) -> Option<Self> {
        let (text, when) = When::split(text)?;
        let mut words = text.split(' ').peekable();
        let method = words.next().filter(|m| !m.is_empty() && m.bytes().all(|b| b.is_ascii_uppercase()))?;
        let is_below = words.next_if_eq(&"/*").is_some();
        let required = words.next_if(|word| word.starts_with('?')).map_or(Some(Vec::new()), required)?;
        let optional =
            if words.peek().is_some_and(|word| word.starts_with('[')) { optional(&mut words)? } else { Vec::new() };
        let document = words.peek().and_then(|word| Document::read(word));
        words.next_if(|_| document.is_some());
        let verb = Self { method: method.to_owned(), is_below, required, optional, document, when };
        words.next().is_none().then_some(verb)
    }
}

impl Parameter {
    /// `a` or `a=1`.
    fn read(text: &str) -> Option<Self> {
        let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
        let plain = is_name(name) && value.is_none_or(is_name);
        plain.then(|| Self { name: name.to_owned(), value: value.map(str::to_owned) })
    }

    fn is(&self, name: &str, value: Option<&str>) -> bool {
        self.name == name && self.value.as_deref().is_none_or(|wanted| value == Some(wanted))
    }
}

/// `?a=1&b|c`.
fn required(word: &str) -> Option<Vec<Vec<Parameter>>> {
    word.strip_prefix('?')?.split('&').map(|choice| choice.split('|').map(Parameter::read).collect()).collect()
}

/// `[a b=1 c]`, the words up to the one that ends with `]`.
fn optional<'a>(words: &mut impl Iterator<Item = &'a str>) -> Option<Vec<Parameter>> {
    let mut names = Vec::new();
    let mut word = words.next()?.strip_prefix('[')?;
    loop {
        names.push(Parameter::read(word.strip_suffix(']').unwrap_or(word))?);
        if word.ends_with(']') {
            return Some(names);
        }
        word = words.next()?;
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_unreserved)
}

impl When {
    /// A text and the condition at its end, if it has one.
    pub(crate) fn split(text: &str) -> Option<(&str, Option<Self>)> {
        let Some((before, when)) = text.split_once(" when ") else { return Some((text, None)) };
        let (setting, value) = when.split_once('=').unwrap_or((when, "true"));
        let plain = is_name(setting) && is_name(value);
        plain.then(|| (before, Some(Self { setting: setting.to_owned(), value: value.to_owned() })))
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value.as_str() {
            "true" => write!(f, " when {}", self.setting),
            value => write!(f, " when {}={value}", self.setting),
        }
    }
}

impl FromStr for Verb {
    type Err = VerbError;

    fn from_str(text: &str) -> Result<Self, VerbError> {
        Self::read(text).ok_or_else(|| VerbError { text: text.to_owned() })
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
        f.write_str(&self.method)?;
        f.write_str(if self.is_below { " /*" } else { "" })?;
        for (index, choice) in self.required.iter().enumerate() {
            let words: Vec<String> = choice.iter().map(ToString::to_string).collect();
            write!(f, "{}{}", if index == 0 { " ?" } else { "&" }, words.join("|"))?;
        }
        if !self.optional.is_empty() {
            let words: Vec<String> = self.optional.iter().map(ToString::to_string).collect();
            write!(f, " [{}]", words.join(" "))?;
        }
        self.document.iter().try_for_each(|document| write!(f, " {document}"))?;
        self.when.iter().try_for_each(|when| write!(f, "{when}"))
    }
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.value.iter().try_for_each(|value| write!(f, "={value}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(verb: &str, method: &str, is_below: bool, query: &str) -> bool {
        let query = Query::read(Some(query).filter(|query| !query.is_empty())).unwrap();
        verb.parse::<Verb>().unwrap().covers(method, is_below, &query)
    }

    #[test]
    fn a_verb_covers_exactly_its_parameters() {
        for (verb, method, below, query, covered) in [
            ("POST ?delete", "POST", false, "delete", true),
            ("POST ?delete", "POST", false, "delete=", true),
            ("POST ?delete", "POST", false, "x=1&delete", false),
            ("POST ?delete", "POST", false, "deleted", false),
            ("POST ?delete", "POST", false, "", false),
            ("POST ?delete", "GET", false, "delete", false),
            ("POST ?delete", "POST", true, "delete", false),
            ("POST /* ?restore [versionId]", "POST", true, "restore&versionId=1", true),
            ("POST /* ?restore [versionId]", "POST", true, "delete&restore", false),
            ("POST /* ?restore [versionId]", "POST", true, "versionId=1", false),
            ("PUT /*", "PUT", true, "", true),
            ("PUT /*", "PUT", true, "acl", false),
            ("PUT /*", "PUT", false, "", false),
            ("PUT", "PUT", false, "policy", false),
            ("GET ?list-type=2 [prefix]", "GET", false, "list-type=2&prefix=a", true),
            ("GET ?list-type=2 [prefix]", "GET", false, "list-type=3", false),
            ("PUT ?comp=block&blockid", "PUT", false, "comp=block&blockid=1", true),
            ("PUT ?comp=block&blockid", "PUT", false, "comp=lease&blockid=1", false),
            ("PUT /* ?comp=block", "PUT", true, "comp=block", true),
            ("PUT /* ?comp=block", "PUT", true, "comp=metadata", false),
            ("PUT /* ?comp=block", "PUT", true, "comp=bloc%6b", false),
            ("PUT /* ?comp=block", "PUT", true, "comp", false),
            ("PUT /* ?comp=block", "PUT", true, "Comp=metadata&comp=block", false),
            ("PUT /* ?comp=block", "PUT", true, "", false),
            ("PUT /* ?comp=block|comp=blocklist", "PUT", true, "comp=blocklist", true),
            ("PUT /* ?comp=block|comp=blocklist", "PUT", true, "comp=lease", false),
            ("GET ?comp=list [include=metadata]", "GET", false, "comp=list&include=metadata", true),
            ("GET ?comp=list [include=metadata]", "GET", false, "comp=list&include=deleted", false),
            ("GET ?acl|policy", "GET", false, "policy", true),
            ("GET ?acl|policy", "GET", false, "acl&policy", false),
        ] {
            assert_eq!(covers(verb, method, below, query), covered, "{verb}: {method} ?{query}");
        }
    }

    #[test]
    fn a_verb_is_shown_as_it_is_written() {
        for text in [
            "GET",
            "PUT /*",
            "POST ?delete <s3-delete>",
            "PUT /* ?partNumber&uploadId",
            "GET ?list-type=2 [prefix start-after]",
            "GET ?acl|cors [versionId]",
            "GET ?comp=list [include=metadata marker]",
            "PUT when create_bucket",
            "POST /* ?restore [versionId] <s3-restore> when archived=request",
            "PATCH /* ?fields [generation] <json:retention,temporaryHold>",
        ] {
            assert_eq!(text.parse::<Verb>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_verb_is_refused() {
        for text in [
            "",
            "get",
            "GET delete",
            "GET ?",
            "GET ?a&",
            "GET ?a=",
            "GE T",
            "GET /x",
            "GET /* /*",
            "GET [a",
            "GET [a] b",
            "GET [] ",
            "GET  ?a",
            "GET ?a;b",
            "GET <x>",
            "PATCH <json>",
            "PATCH <json:>",
            "PATCH <json:a,>",
            "PATCH <json:a b>",
            "GET when",
            "GET when a b",
            "GET ?a+b",
        ] {
            assert!(text.parse::<Verb>().is_err(), "{text}");
        }
    }
}
