//! What a user agrees to when a connector is installed: everything of its manifest that says what it reaches, sends and takes.
//!
//! Owned here: which parts of a manifest are a matter of consent, their stable form, and their plain words. Refused here: asking, and what was
//! agreed to before (`app`). Called by `app` and the command line.
//!
//! Each part is one line, and a connector may do nothing that no line says. So one grant is wider than another when it has a line that the other
//! has not. What this file does not know of a manifest is a line too: only what is known to grant nothing is left out.

use std::collections::BTreeSet;

use toml::{Table, Value};

use super::{Manifest, ManifestError, manifest_text};

/// Most lines that anybody could agree to with open eyes, and the most characters of one.
const LINES_MAX: usize = 1000;
const LINE_CHARACTERS_MAX: usize = 1000;

/// Fields that grant nothing: names, texts for a person, limits that only narrow.
const HARMLESS: [&str; 6] = ["name", "version", "summary", "licence", "api", "limits"];
/// The same of a setting and of a secret.
const HARMLESS_OF_SETTINGS: [&str; 8] = ["type", "help", "required", "values", "min", "max", "examples", "advanced"];

/// What a line is about, in the order in which a person should read them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GrantTopic {
    /// Credentials: which, to where, how they are sent.
    Credentials,
    /// What is taken from the machine when nothing else says it.
    Machine,
    /// Servers and paths.
    Reach,
    /// What is asked of them.
    Requests,
    /// Values that lead elsewhere when the user gives none.
    Defaults,
    /// What it is used for.
    Use,
}

impl GrantTopic {
    /// Words to stand above its lines.
    #[must_use]
    pub const fn heading(self) -> &'static str {
        match self {
            Self::Credentials => "sends, but never sees",
            Self::Machine => "takes from this machine, when you give none",
            Self::Reach => "reaches",
            Self::Requests => "asks there, and nothing else",
            Self::Defaults => "where it leads when you say nothing",
            Self::Use => "is used as",
        }
    }
}

/// One thing that is granted. Both texts are one line of printable ASCII.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrantLine {
    /// What it is about.
    pub topic: GrantTopic,
    /// The form that is kept and compared: `endpoints.bucket.allow.source = "GET /*"`.
    pub kept: String,
    /// The same for a person.
    pub words: String,
}

/// All that a connector is granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    lines: BTreeSet<GrantLine>,
}

impl Grant {
    /// Reads the grant that a component asks for; nothing is compiled.
    ///
    /// # Errors
    /// [`ManifestError`] where it has no manifest that can be used, or asks for more than a person could read.
    pub fn of_component(component: &[u8]) -> Result<Self, ManifestError> {
        let text = manifest_text(component)?;
        Manifest::parse(text)?;
        Self::parse(text)
    }

    fn parse(text: &str) -> Result<Self, ManifestError> {
        let manifest: Table =
            toml::from_str(text).map_err(|e| ManifestError::Syntax { cause: e.to_string().trim_end().to_owned() })?;
        let mut reader = Reader { leading: leading(&manifest), lines: BTreeSet::new() };
        manifest.iter().for_each(|(field, value)| reader.field(field, value));
        let lines = reader.lines;
        let too_long = lines.iter().any(|line| line.kept.len().max(line.words.len()) > LINE_CHARACTERS_MAX);
        if too_long || lines.len() > LINES_MAX {
            let rule = format!(
                "asks for more than {LINES_MAX} things, or for one of more than {LINE_CHARACTERS_MAX} characters: nobody could agree to that"
            );
            return Err(ManifestError::Field { field: "endpoints".to_owned(), rule });
        }
        Ok(Self { lines })
    }

    /// Its lines in the order in which a person should read them.
    pub fn lines(&self) -> impl Iterator<Item = &GrantLine> {
        self.lines.iter()
    }

    /// The form that is kept, line by line.
    #[must_use]
    pub fn kept(&self) -> Vec<String> {
        self.lines.iter().map(|line| line.kept.clone()).collect()
    }

    /// What it has that another, of which the kept form is given, has not: nothing, where it is the same or narrower.
    #[must_use]
    pub fn beyond(&self, other: &[String]) -> Vec<&GrantLine> {
        self.lines.iter().filter(|line| !other.contains(&line.kept)).collect()
    }

    /// BLAKE3 of the kept form, which names it.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        Self::hash_of(&self.kept())
    }

    /// BLAKE3 of a kept form, in whatever order its lines are.
    #[must_use]
    pub fn hash_of(kept: &[String]) -> [u8; 32] {
        let sorted: BTreeSet<&String> = kept.iter().collect();
        let mut hasher = blake3::Hasher::new_derive_key("credenza v1 2026-11-29 grant of a connector");
        for line in sorted {
            hasher.update(line.as_bytes()).update(b"\n");
        }
        *hasher.finalize().as_bytes()
    }
}

/// Settings that decide where requests go and which are sent: those that endpoints name, and those that these follow from.
fn leading(manifest: &Table) -> BTreeSet<String> {
    let mut leading = BTreeSet::new();
    let mut texts: Vec<String> = manifest.get("endpoints").map(inline).into_iter().collect();
    let settings = manifest.get("settings").and_then(Value::as_table);
    while let Some(text) = texts.pop() {
        for word in text.split(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')) {
            let Some(spec) = settings.and_then(|settings| settings.get(word)) else { continue };
            if leading.insert(word.to_owned()) {
                texts.extend(["default", "derive"].iter().filter_map(|field| spec.get(field)).map(inline));
            }
        }
    }
    leading
}

struct Reader {
    leading: BTreeSet<String>,
    lines: BTreeSet<GrantLine>,
}

impl Reader {
    fn field(&mut self, field: &str, value: &Value) {
        match (field, value) {
            _ if HARMLESS.contains(&field) => {}
            ("endpoints", Value::Table(endpoints)) => {
                endpoints.iter().for_each(|(label, endpoint)| self.endpoint(label, endpoint));
            }
            ("secrets", Value::Table(secrets)) => secrets.iter().for_each(|(name, spec)| self.secret(name, spec)),
            ("settings", Value::Table(settings)) => settings.iter().for_each(|(name, spec)| self.setting(name, spec)),
            ("presets", Value::Table(presets)) => presets.iter().for_each(|(name, values)| self.preset(name, values)),
            ("roles", Value::Array(roles)) => {
                self.each(GrantTopic::Use, "roles", roles, |role| format!("a {}", bare(role)));
            }
            ("schemes", Value::Array(schemes)) => {
                self.each(GrantTopic::Use, "schemes", schemes, |scheme| format!("what serves {}://", bare(scheme)));
            }
            ("location", _) => {
                self.add(GrantTopic::Use, field, value, format!("reader of locations as {}", inline(value)));
            }
            ("wasi", _) => {
                let words =
                    "a component with WASI that reaches nothing: the clock, random bytes, and printing to the log";
                self.add(GrantTopic::Use, field, value, words.to_owned());
            }
            _ => self.add(GrantTopic::Credentials, field, value, format!("{} = {}", plain(field), inline(value))),
        }
    }

    /// Whatever an endpoint says beside what is allowed there counts as one, because some of it narrows the rest.
    fn endpoint(&mut self, label: &str, endpoint: &Value) {
        let path = format!("endpoints.{}", plain(label));
        let label = format!("`{}`", plain(label));
        let Value::Table(endpoint) = endpoint else {
            return self.add(GrantTopic::Reach, &path, endpoint, inline(endpoint));
        };
        let mut reach = endpoint.clone();
        let [auth, allow, headers, variants] =
            ["auth", "allow", "headers", "variants"].map(|field| reach.remove(field));
        let words = format!("{label}: {}", address(&reach));
        self.add(GrantTopic::Reach, &path, &Value::Table(reach), words);
        if let Some(auth) = auth {
            self.add(GrantTopic::Credentials, &format!("{path}.auth"), &auth, format!("to {label}: {}", sent(&auth)));
        }
        for variant in variants.iter().filter_map(Value::as_array).flatten() {
            let words = match variant {
                Value::Table(variant) => format!("{label}: {}", address(variant)),
                _ => inline(variant),
            };
            self.add(GrantTopic::Reach, &format!("{path}.variants"), variant, words);
        }
        for (field, what, granted) in [("allow", "", allow), ("headers", "the header ", headers)] {
            for (role, list) in granted.iter().filter_map(Value::as_table).flatten() {
                let path = format!("{path}.{field}.{}", plain(role));
                let words = |one: &Value| format!("{label} as {}: {what}{}", plain(role), bare(one));
                match list {
                    Value::Array(list) => self.each(GrantTopic::Requests, &path, list, words),
                    other => self.add(GrantTopic::Requests, &path, other, words(other)),
                }
            }
        }
    }

    fn secret(&mut self, name: &str, spec: &Value) {
        for (field, value) in spec.as_table().into_iter().flatten().filter(|(field, _)| field.as_str() != "help") {
            let path = format!("secrets.{}.{}", plain(name), plain(field));
            match (field.as_str(), value) {
                ("env", Value::Array(variables)) => {
                    let words = |variable: &Value| format!("{} from the variable {}", plain(name), bare(variable));
                    self.each(GrantTopic::Machine, &path, variables, words);
                }
                _ => {
                    let words = format!("{}, {} = {}", plain(name), plain(field), inline(value));
                    self.add(GrantTopic::Machine, &path, value, words);
                }
            }
        }
    }

    fn setting(&mut self, name: &str, spec: &Value) {
        let fields = spec.as_table().into_iter().flatten();
        for (field, value) in fields.filter(|(field, _)| !HARMLESS_OF_SETTINGS.contains(&field.as_str())) {
            let path = format!("settings.{}.{}", plain(name), plain(field));
            let (topic, words) = match field.as_str() {
                "ambient" => {
                    let what = match value.as_str() {
                        Some("aws-region") => "the region of AWS's tools".to_owned(),
                        Some("aws-endpoint") => "the server of AWS's tools".to_owned(),
                        _ => inline(value),
                    };
                    (GrantTopic::Machine, format!("{}: {what}", plain(name)))
                }
                "default" | "derive" if !self.leading.contains(name) => continue,
                "default" => (GrantTopic::Defaults, format!("{} = {}", plain(name), bare(value))),
                _ => (GrantTopic::Defaults, format!("{}, {} = {}", plain(name), plain(field), inline(value))),
            };
            self.add(topic, &path, value, words);
        }
    }

    fn preset(&mut self, preset: &str, values: &Value) {
        for (name, value) in values.as_table().into_iter().flatten() {
            if self.leading.contains(name) {
                let path = format!("presets.{}.{}", plain(preset), plain(name));
                let words = format!("with preset={}: {} = {}", plain(preset), plain(name), bare(value));
                self.add(GrantTopic::Defaults, &path, value, words);
            }
        }
    }

    fn each(&mut self, topic: GrantTopic, path: &str, values: &[Value], words: impl Fn(&Value) -> String) {
        values.iter().for_each(|value| self.add(topic, path, value, words(value)));
    }

    fn add(&mut self, topic: GrantTopic, path: &str, value: &Value, words: String) {
        let kept = format!("{} = {}", plain(path), inline(value));
        self.lines.insert(GrantLine { topic, kept, words });
    }
}

/// `{scheme}://{host}/{bucket}, only below {prefix}`.
fn address(reach: &Table) -> String {
    let text = |field: &str| reach.get(field).map(bare).unwrap_or_default();
    let mut words = format!("{}{}", text("url"), text("path"));
    for (field, value) in reach {
        match field.as_str() {
            "url" | "path" => {}
            "below" => words.push_str(&format!(", only below {}", bare(value))),
            "when" => words.push_str(&format!(", when {}", inline(value))),
            _ => words.push_str(&format!(", {} = {}", plain(field), inline(value))),
        }
    }
    words
}

/// How requests are authenticated, and with what.
fn sent(auth: &Value) -> String {
    let Value::Table(auth) = auth else { return inline(auth) };
    let mut auth = auth.clone();
    let scheme = auth.remove("scheme").as_ref().map_or_else(String::new, bare);
    let profile = auth.contains_key("profile");
    let rest: Vec<String> = auth.iter().map(|(field, value)| format!("{} {}", plain(field), bare(value))).collect();
    let machine = match profile {
        true => {
            "; when none are given, the AWS credentials of this machine: profile, single sign-on, role of the instance"
        }
        false => "",
    };
    match rest.is_empty() {
        true => format!("{scheme}{machine}"),
        false => format!("{scheme} with {}{machine}", rest.join(", ")),
    }
}

/// A value on one line.
fn inline(value: &Value) -> String {
    let list = |items: Vec<String>| items.join(", ");
    match value {
        Value::String(text) => format!("\"{}\"", plain(text)),
        Value::Array(items) => format!("[{}]", list(items.iter().map(inline).collect())),
        Value::Table(table) => {
            let mut fields: Vec<String> =
                table.iter().map(|(key, value)| format!("{} = {}", plain(key), inline(value))).collect();
            // Whatever order the file has.
            fields.sort();
            format!("{{{}}}", list(fields))
        }
        other => plain(&other.to_string()),
    }
}

/// The same without the quotes around a text.
fn bare(value: &Value) -> String {
    value.as_str().map_or_else(|| inline(value), plain)
}

/// Printable ASCII alone: no letter looks like another, no line ends early, and `"` ends no text.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    for character in text.chars() {
        match character {
            '"' | '\\' => plain.extend(['\\', character]),
            ' '..='~' => plain.push(character),
            other => plain.extend(other.escape_unicode()),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = r#"
name = "shop"
version = "1"
api = "0.1"
roles = ["source"]
schemes = ["shop"]
location = ["host?"]
[settings.host]
type = "string"
default = "api.{region}.example.com"
[settings.region]
type = "string"
default = "eu"
[settings.colour]
type = "string"
default = "blue"
[secrets.token]
env = ["SHOP_TOKEN"]
[endpoints.api]
url = "https://{host}"
path = "/v1"
below = "mine"
auth = { scheme = "bearer", token = "token" }
[endpoints.api.allow]
source = ["GET /*"]
[presets.us]
region = "us"
colour = "red"
"#;

    fn grant(text: &str) -> Grant {
        Grant::parse(text).unwrap()
    }

    fn added(change: impl Fn(&str) -> String) -> Vec<String> {
        let before = grant(MANIFEST).kept();
        let changed = change(MANIFEST);
        assert_ne!(changed, MANIFEST);
        grant(&changed).beyond(&before).into_iter().map(|line| line.kept.clone()).collect()
    }

    #[test]
    fn a_grant_tells_credentials_first_and_each_thing_on_a_line() {
        let grant = grant(MANIFEST);
        let words: Vec<&str> = grant.lines().map(|line| line.words.as_str()).collect();
        let expected = [
            "to `api`: bearer with token token",
            "token from the variable SHOP_TOKEN",
            "`api`: https://{host}/v1, only below mine",
            "`api` as source: GET /*",
            "with preset=us: region = us",
            "host = api.{region}.example.com",
            "region = eu",
            "reader of locations as [\"host?\"]",
            "a source",
            "what serves shop://",
        ];
        assert_eq!(words, expected);
    }

    #[test]
    fn whatever_widens_a_grant_is_a_line_that_was_not_there() {
        for (from, to) in [
            ("\"GET /*\"", "\"GET /*\", \"DELETE /*\""),
            ("below = \"mine\"\n", ""),
            ("SHOP_TOKEN", "AWS_SECRET_ACCESS_KEY"),
            ("https://{host}", "http://{host}"),
            ("default = \"eu\"", "default = \"evil\""),
            ("region = \"us\"", "region = \"evil\""),
            ("roles = [\"source\"]", "roles = [\"source\", \"store\"]"),
            ("[\"shop\"]", "[\"shop\", \"s3\"]"),
            ("bearer\", token", "header\", name = \"x\", value"),
            ("api = \"0.1\"", "wasi = \"inert\""),
            ("api = \"0.1\"", "something = \"of a later version\""),
            ("[secrets.token]", "[secrets.token]\ncommand = \"x\""),
        ] {
            assert_eq!(added(|text| text.replace(from, to)).len(), 1, "{to}");
        }
    }

    #[test]
    fn what_narrows_a_grant_or_says_it_in_other_words_is_none() {
        for (from, to) in [
            ("version = \"1\"", "version = \"2\"\nsummary = \"x\""),
            ("env = [\"SHOP_TOKEN\"]", "help = \"x\""),
            ("[\"GET /*\"]", "[]"),
            ("default = \"blue\"", "default = \"green\""),
            ("colour = \"red\"", "colour = \"grey\""),
        ] {
            assert_eq!(added(|text| text.replace(from, to)), [""; 0], "{to}");
        }
        assert_eq!(
            grant(MANIFEST).hash(),
            Grant::hash_of(&grant(MANIFEST).kept().into_iter().rev().collect::<Vec<_>>())
        );
    }

    #[test]
    fn no_text_of_a_manifest_leaves_its_line_or_looks_like_another() {
        let forged = MANIFEST
            .replace("endpoints.api", "endpoints.\"a\\nreaches\\u202e\"")
            .replace("GET /*", "GET ?p\u{430}th")
            .replace("bearer\"", "bearer\\u001b[2J\"");
        for line in grant(&forged).lines() {
            for text in [&line.kept, &line.words] {
                assert!(text.chars().all(|c| matches!(c, ' '..='~')), "{text:?}");
            }
        }
    }

    #[test]
    fn a_grant_that_nobody_can_read_is_refused() {
        let long = MANIFEST.replace("GET /*", &format!("GET /*{}", "x".repeat(LINE_CHARACTERS_MAX)));
        assert!(matches!(Grant::parse(&long), Err(ManifestError::Field { .. })));
    }
}
