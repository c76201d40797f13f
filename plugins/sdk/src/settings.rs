//! Settings as a struct: [`settings!`](crate::settings!) holds its fields against `connector.toml` when the connector is compiled.
//!
//! Owned here: which types of Rust hold which types of a manifest, and the comparison. Refused here: checking what a user wrote and filling in defaults,
//! which the host has done before a connector sees any of it.
//!
//! The comparison reads tables as manifests write them: a heading such as `[settings.bucket]`, and below it a line each for `type`, `default` and
//! `required`.

use crate::{Config, Problem, Value};

/// Declares a struct whose fields are settings and secrets of the `connector.toml` beside `Cargo.toml`, and `of`, which reads it from a [`Config`].
///
/// A field whose name is not in the manifest, or is of another type there, does not compile. Neither does one that a user may leave out, unless it is an
/// `Option`; with a default in the manifest no setting is left out. [`Given`] says whether the user has given a secret.
///
/// ```ignore
/// credenza_sdk::settings! {
///     /// What the user configured.
///     pub struct Place {
///         host: String,
///         versions: bool,
///         /// In bytes.
///         pub part_size: u64,
///         token: credenza_sdk::settings::Given,
///     }
/// }
/// ```
#[macro_export]
macro_rules! settings {
    ($(#[$about:meta])* $see:vis struct $name:ident { $($(#[$of:meta])* $may:vis $field:ident: $kind:ty),+ $(,)? }) => {
        $(#[$about])*
        #[derive(Debug, Clone)]
        $see struct $name { $($(#[$of])* $may $field: $kind,)+ }

        const _: () = {
            use $crate::settings::{FromConfig, declares};
            const MANIFEST: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/connector.toml"));
            $(
                // One constant each: the compiler bounds the steps of each alone.
                const _: () = assert!(
                    declares(MANIFEST, <$kind>::TABLE, stringify!($field), <$kind>::TYPES, <$kind>::MAY_BE_LEFT_OUT),
                    concat!(
                        "connector.toml declares no `", stringify!($field), "` that is a ", stringify!($kind),
                        ": see its name, its type, and whether it has a default or is required"
                    )
                );
            )+
        };

        impl $name {
            /// Reads the settings, which the host has checked and completed.
            #[must_use]
            $see fn of(config: &$crate::Config) -> Self {
                Self { $($field: $crate::settings::FromConfig::find(config, stringify!($field)),)+ }
            }
        }
    };
}

/// What a field of [`settings!`](crate::settings!) can be: the types below, and those that a connector makes for itself, such as an enum of its choices.
pub trait FromConfig: Sized {
    /// The table of the manifest that it is declared in.
    const TABLE: &'static str = "settings";
    /// The types that the manifest may give it; none for what has no type there.
    const TYPES: &'static [&'static str];
    /// Whether there is a value for one that the user left out.
    const MAY_BE_LEFT_OUT: bool = false;

    /// Reads it. What the host promises and has not given reads as empty, zero or false.
    fn find(config: &Config, name: &str) -> Self;
}

impl Config {
    /// The value of a setting.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.settings.iter().find(|setting| setting.name == name).map(|setting| &setting.value)
    }

    /// A configuration of these settings, for tests: `true` and `false` are booleans, whole numbers are integers, and all else is text. A name that
    /// begins with `!` is a secret that the user has given.
    #[must_use]
    pub fn of_texts(pairs: &[(&str, &str)]) -> Self {
        let value = |text: &str| match (text, text.parse()) {
            ("true" | "false", _) => Value::Boolean(text == "true"),
            (_, Ok(number)) => Value::Integer(number),
            _ => Value::Text(text.to_owned()),
        };
        let settings = pairs.iter().filter(|(name, _)| !name.starts_with('!'));
        let secrets = pairs.iter().filter_map(|(name, _)| name.strip_prefix('!'));
        Self {
            settings: settings
                .map(|(name, text)| crate::Setting { name: (*name).to_owned(), value: value(text) })
                .collect(),
            secrets_present: secrets.map(str::to_owned).collect(),
            purpose: "backup".to_owned(),
        }
    }
}

impl FromConfig for String {
    const TYPES: &'static [&'static str] = &["string", "enum", "url"];

    fn find(config: &Config, name: &str) -> Self {
        match config.value(name) {
            Some(Value::Text(text)) => text.clone(),
            _ => Self::new(),
        }
    }
}

impl FromConfig for bool {
    const TYPES: &'static [&'static str] = &["boolean"];

    fn find(config: &Config, name: &str) -> Self {
        matches!(config.value(name), Some(Value::Boolean(true)))
    }
}

/// A number, a duration in milliseconds, or a size in bytes.
impl FromConfig for i64 {
    const TYPES: &'static [&'static str] = &["integer", "duration", "size"];

    fn find(config: &Config, name: &str) -> Self {
        match config.value(name) {
            Some(Value::Integer(number)) => *number,
            _ => 0,
        }
    }
}

/// The same where it is never less than zero.
impl FromConfig for u64 {
    const TYPES: &'static [&'static str] = i64::TYPES;

    fn find(config: &Config, name: &str) -> Self {
        i64::find(config, name).try_into().unwrap_or_default()
    }
}

impl FromConfig for Vec<String> {
    const TYPES: &'static [&'static str] = &["list"];

    fn find(config: &Config, name: &str) -> Self {
        match config.value(name) {
            Some(Value::Texts(texts)) => texts.clone(),
            _ => Self::new(),
        }
    }
}

impl<T: FromConfig> FromConfig for Option<T> {
    const TYPES: &'static [&'static str] = T::TYPES;
    const MAY_BE_LEFT_OUT: bool = true;

    fn find(config: &Config, name: &str) -> Self {
        config.value(name).map(|_| T::find(config, name))
    }
}

/// Whether the user has given a secret. What it is, no connector sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Given(pub bool);

impl FromConfig for Given {
    const TABLE: &'static str = "secrets";
    const TYPES: &'static [&'static str] = &[];
    const MAY_BE_LEFT_OUT: bool = true;

    fn find(config: &Config, name: &str) -> Self {
        Self(config.secrets_present.iter().any(|present| present == name))
    }
}

/// The problems of rules of which some are broken: whether, of which setting, and the sentence that says the rule.
#[must_use]
pub fn broken<'a>(rules: impl IntoIterator<Item = (bool, &'a str, &'a str)>) -> Vec<Problem> {
    let broken = rules.into_iter().filter(|(broken, ..)| *broken);
    broken.map(|(_, setting, rule)| Problem { setting: Some(setting.to_owned()), message: rule.to_owned() }).collect()
}

/// Whether a manifest has such a table, with one of these types, and always a value, unless it may be left out.
#[doc(hidden)]
#[must_use]
pub const fn declares(manifest: &str, table: &str, name: &str, types: &[&str], may_be_left_out: bool) -> bool {
    let mut rest = manifest.as_bytes();
    loop {
        if let Some(body) = after_heading(rest, table.as_bytes(), name.as_bytes()) {
            return is_of(body, types, may_be_left_out);
        }
        match next_line(rest) {
            Some(line) => rest = line,
            None => return false,
        }
    }
}

const fn is_of(body: &[u8], types: &[&str], may_be_left_out: bool) -> bool {
    let (mut is_typed, mut has_value) = (types.is_empty(), may_be_left_out);
    let mut rest = next_line(body);
    while let Some(line) = rest {
        if after(line, b"[").is_some() {
            break;
        }
        if let Some(written) = after(line, b"type = \"") {
            is_typed = is_one_of(written, types);
        }
        if after(line, b"default = ").is_some() || after(line, b"required = true").is_some() {
            has_value = true;
        }
        rest = next_line(line);
    }
    is_typed && has_value
}

const fn is_one_of(written: &[u8], mut types: &[&str]) -> bool {
    while let [one, rest @ ..] = types {
        if let Some(end) = after(written, one.as_bytes())
            && after(end, b"\"").is_some()
        {
            return true;
        }
        types = rest;
    }
    false
}

/// What stands behind `[TABLE.NAME]`.
const fn after_heading<'a>(line: &'a [u8], table: &[u8], name: &[u8]) -> Option<&'a [u8]> {
    // No `?` in what is evaluated by the compiler.
    let Some(line) = after(line, b"[") else { return None };
    let Some(line) = after(line, table) else { return None };
    let Some(line) = after(line, b".") else { return None };
    let Some(line) = after(line, name) else { return None };
    after(line, b"]")
}

const fn after<'a>(mut text: &'a [u8], mut start: &[u8]) -> Option<&'a [u8]> {
    loop {
        match (text, start) {
            (_, []) => return Some(text),
            ([letter, text_rest @ ..], [wanted, start_rest @ ..]) if *letter == *wanted => {
                text = text_rest;
                start = start_rest;
            }
            _ => return None,
        }
    }
}

const fn next_line(mut text: &[u8]) -> Option<&[u8]> {
    while let [letter, rest @ ..] = text {
        if *letter == b'\n' {
            return Some(rest);
        }
        text = rest;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "name = \"x\"\n[settings.host]\ntype = \"string\"\nrequired = true\n\n[settings.depth]\n# How deep.\ntype = \"integer\"\ndefault = \"3\"\n\
        [settings.more]\ntype = \"string\"\nrequired = false\n[secrets.token]\nhelp = \"type = no\"\n[endpoints.host]\n";

    #[test]
    fn a_field_is_held_against_name_type_and_default_of_the_manifest() {
        fn has<T: FromConfig>(name: &str) -> bool {
            declares(MANIFEST, T::TABLE, name, T::TYPES, T::MAY_BE_LEFT_OUT)
        }
        assert!(has::<String>("host") && has::<i64>("depth") && has::<u64>("depth") && has::<Given>("token"));
        assert!(!has::<String>("hots") && !has::<String>("hos") && !has::<String>("host.x"), "another name");
        assert!(!has::<bool>("host") && !has::<String>("depth"), "another type");
        assert!(!has::<String>("more") && has::<Option<String>>("more"), "may be left out");
        assert!(!has::<String>("token") && !has::<Given>("host"), "a secret is none");
        assert!(has::<Option<i64>>("depth"));
    }

    #[test]
    fn settings_are_read_by_name_and_type() {
        let config = Config::of_texts(&[("depth", "3"), ("host", "h"), ("versions", "true"), ("!token", "")]);
        assert_eq!((i64::find(&config, "depth"), u64::find(&config, "depth")), (3, 3));
        assert_eq!((String::find(&config, "host"), String::find(&config, "depth")), ("h".to_owned(), String::new()));
        assert!(bool::find(&config, "versions") && !bool::find(&config, "host"));
        assert_eq!((Given::find(&config, "token"), Given::find(&config, "host")), (Given(true), Given(false)));
        assert_eq!(Option::<String>::find(&config, "more"), None);
        assert_eq!(Option::<i64>::find(&config, "depth"), Some(3));
        assert_eq!(u64::find(&Config::of_texts(&[("depth", "-1")]), "depth"), 0);
    }

    #[test]
    fn rules_that_are_broken_are_told_with_their_setting() {
        let told = broken([(true, "a", "be short"), (false, "b", "be long")]);
        assert_eq!(told.len(), 1);
        assert_eq!((told[0].setting.as_deref(), told[0].message.as_str()), (Some("a"), "be short"));
    }
}
