//! What a manifest says to people.

use credenza_connect::conformance::{Told, ensure};
use credenza_sandbox::deceives;

use super::Package;

/// The longest summary, and the longest help, in characters: a line, and what is read in one go.
const SUMMARY_MAX: usize = 80;
const HELP_MAX: usize = 300;

pub(super) fn version(package: &Package) -> Told {
    let version = &package.manifest.version;
    let release = version.split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<&str> = release.split('.').collect();
    let is_number = |part: &&str| part.parse::<u32>().is_ok() && (*part == "0" || !part.starts_with('0'));
    ensure(numbers.len() == 3 && numbers.iter().all(is_number), || {
        format!("`{}` is no version such as 1.2.3", version.escape_debug())
    })
}

/// An expression of SPDX by its form: names, `AND`, `OR`, `WITH` and brackets.
pub(super) fn licence(package: &Package) -> Told {
    let licence = &package.manifest.licence;
    let plain = |c: char| c.is_ascii_alphanumeric() || " -.+()".contains(c);
    let mut words = licence.split([' ', '(', ')']).filter(|word| !word.is_empty());
    let is_operator = |word: &str| ["AND", "OR", "WITH"].contains(&word);
    let alternates = words.by_ref().enumerate().all(|(at, word)| is_operator(word) == (at % 2 == 1));
    let count = licence.split([' ', '(', ')']).filter(|word| !word.is_empty()).count();
    ensure(licence.chars().all(plain) && alternates && count % 2 == 1, || {
        format!("`{}` is no SPDX expression such as `MIT OR Apache-2.0`", licence.escape_debug())
    })
}

pub(super) fn summary(package: &Package) -> Told {
    let summary = &package.manifest.summary;
    let length = summary.chars().count();
    ensure((1..=SUMMARY_MAX).contains(&length), || {
        format!("the summary has {length} characters; say in 1 to {SUMMARY_MAX} what is reached")
    })?;
    ensure(!summary.ends_with('.') && !summary.contains('\n'), || {
        "the summary is a phrase, without a full stop".to_owned()
    })
}

fn is_sentence(name: &str, help: &str) -> Told {
    let length = help.chars().count();
    let framed = help.starts_with(|first: char| first.is_uppercase() || first == '`') && help.ends_with('.');
    ensure((2..=HELP_MAX).contains(&length) && framed && !help.contains('\n'), || {
        format!("the help of `{name}` is no sentence of up to {HELP_MAX} characters with a full stop: `{help}`")
    })
}

pub(super) fn help_of_settings(package: &Package) -> Told {
    package.manifest.settings.iter().try_for_each(|(name, spec)| is_sentence(name, &spec.help))
}

pub(super) fn help_of_secrets(package: &Package) -> Told {
    package.manifest.secrets.iter().try_for_each(|(name, spec)| is_sentence(name, &spec.help))
}

/// All texts that people are shown, with where they stand.
fn texts(package: &Package) -> Vec<(String, &str)> {
    let manifest = &package.manifest;
    let mut texts = vec![("summary".to_owned(), manifest.summary.as_str()), ("licence".to_owned(), &manifest.licence)];
    for (name, spec) in &manifest.settings {
        texts.push((format!("the help of `{name}`"), &spec.help));
        texts.extend(spec.default.iter().map(|text| (format!("the default of `{name}`"), text.as_str())));
        texts.extend(spec.examples.iter().map(|text| (format!("an example of `{name}`"), text.as_str())));
    }
    for (name, spec) in &manifest.secrets {
        texts.push((format!("the help of `{name}`"), &spec.help));
    }
    texts
}

pub(super) fn safe(package: &Package) -> Told {
    texts(package).into_iter().try_for_each(|(place, text)| {
        ensure(!text.chars().any(deceives), || {
            format!("{place} holds characters that are not seen: {}", text.escape_debug())
        })
    })
}

/// What credentials look like: a long word of letters of both cases and digits, or one that their makers mark.
fn looks_secret(word: &str) -> bool {
    const MARKS: [&str; 6] = ["AKIA", "ghp_", "sk-", "glpat-", "xoxb-", "eyJ"];
    let is_mixed = word.len() >= 24
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=_-".contains(&byte))
        && word.bytes().any(|byte| byte.is_ascii_digit())
        && word.bytes().any(|byte| byte.is_ascii_uppercase())
        && word.bytes().any(|byte| byte.is_ascii_lowercase());
    is_mixed || word.len() >= 16 && MARKS.iter().any(|mark| word.starts_with(mark))
}

pub(super) fn no_secrets(package: &Package) -> Told {
    texts(package).into_iter().try_for_each(|(place, text)| {
        let mut words = text.split(|c: char| c.is_whitespace() || "`\"'(),;".contains(c));
        ensure(!words.any(looks_secret), || format!("{place} holds what looks like a credential"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_told_from_a_word() {
        for secret in ["AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY", "ghp_0123456789abcdef"] {
            assert!(looks_secret(secret), "{secret}");
        }
        for word in [
            "s3.eu-central-1.amazonaws.com",
            "AWS_ENDPOINT_URL_S3",
            "2026-11-24T12:00:00Z",
            "remote.php/dav/files/me/photos",
        ] {
            assert!(!looks_secret(word), "{word}");
        }
    }
}
