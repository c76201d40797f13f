//! Splits `scheme://a/b/c` into settings, by the `location` list of a manifest.

use std::collections::BTreeMap;

use super::SettingsError;
use crate::manifest::Manifest;

impl Manifest {
    /// The settings that a location stands for, such as host, bucket and prefix of `s3://host:9000/bucket/a/b`.
    ///
    /// # Errors
    /// [`SettingsError::Location`] when the scheme is not the connector's or a part is missing.
    pub fn settings_from_location(&self, location: &str) -> Result<BTreeMap<String, String>, SettingsError> {
        let invalid = |cause: String| SettingsError::Location {
            location: location.to_owned(),
            cause,
            form: format!("{}://{}", self.schemes.first().map_or("", String::as_str), self.location_form()),
        };
        let (scheme, mut rest) =
            location.split_once("://").ok_or_else(|| invalid("it has no `scheme://`".to_owned()))?;
        if !self.schemes.iter().any(|s| s == scheme) {
            return Err(invalid(format!("connector {} does not serve `{scheme}`", self.name)));
        }
        if rest.contains('@') && rest.split('/').next().is_some_and(|part| part.contains('@')) {
            return Err(invalid("credentials do not belong into a location; use the settings for them".to_owned()));
        }
        let mut settings = BTreeMap::new();
        for part in &self.location {
            let name = part.trim_end_matches(['?', '*']);
            if part.ends_with('*') {
                settings.insert(name.to_owned(), std::mem::take(&mut rest).trim_end_matches('/').to_owned());
                continue;
            }
            let (value, after) = rest.split_once('/').unwrap_or((rest, ""));
            if part.ends_with('?') && !looks_like_a_host(value) {
                continue;
            }
            if value.is_empty() {
                return Err(invalid(format!("the {name} is missing")));
            }
            settings.insert(name.to_owned(), value.to_owned());
            rest = after;
        }
        if rest.is_empty() { Ok(settings) } else { Err(invalid(format!("`{rest}` is too much"))) }
    }

    fn location_form(&self) -> String {
        let mut form = String::new();
        for part in &self.location {
            if let Some(name) = part.strip_suffix('?') {
                form.push_str(&format!("[{name}[:port]/]"));
                continue;
            }
            let slash = if form.is_empty() || form.ends_with("/]") { "" } else { "/" };
            form.push_str(&match part.strip_suffix('*') {
                Some(name) => format!("[{slash}{name}]"),
                None => format!("{slash}{part}"),
            });
        }
        form
    }
}

/// A host has a dot, a port or is `localhost`; anything else is the name of a bucket or the like.
fn looks_like_a_host(part: &str) -> bool {
    part.contains('.') || part.contains(':') || part == "localhost"
}

#[cfg(test)]
mod tests {
    use super::super::resolve::tests::S3;
    use super::*;

    fn split(location: &str) -> Result<Vec<(String, String)>, SettingsError> {
        Manifest::parse(S3).unwrap().settings_from_location(location).map(|map| map.into_iter().collect())
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    }

    #[test]
    fn a_first_part_that_looks_like_a_host_is_one() {
        let aws = pairs(&[("bucket", "photos"), ("prefix", "a/b")]);
        assert_eq!(split("s3://photos/a/b/").unwrap(), aws);
        for host in ["localhost", "localhost:9000", "minio:9000", "s3.example.com", "[::1]:9000"] {
            let expected = pairs(&[("bucket", "photos"), ("host", host), ("prefix", "")]);
            assert_eq!(split(&format!("s3://{host}/photos")).unwrap(), expected);
        }
    }

    #[test]
    fn the_form_of_a_location_has_a_slash_between_its_parts() {
        for (parts, form) in [
            (r#"["host?", "bucket", "prefix*"]"#, "[host[:port]/]bucket[/prefix]"),
            (r#"["host", "bucket", "region", "prefix*"]"#, "host/bucket/region[/prefix]"),
            (r#"["host?", "prefix*"]"#, "[host[:port]/][prefix]"),
            (r#"["prefix*"]"#, "[prefix]"),
        ] {
            let manifest = S3.replace(r#"["host?", "bucket", "prefix*"]"#, parts);
            assert_eq!(Manifest::parse(&manifest).unwrap().location_form(), form);
        }
    }

    #[test]
    fn a_location_that_names_no_bucket_is_refused_with_the_form_that_works() {
        for location in
            ["s3://", "s3://s3.example.com", "s3://host:1//x", "gs://b", "photos", "s3://key:secret@host:1/b"]
        {
            let error = split(location).unwrap_err().to_string();
            assert!(error.contains("s3://[host[:port]/]bucket[/prefix]"), "{error}");
        }
    }
}
