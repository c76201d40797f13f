//! Words that would become the name of a folder, although something else is meant: `s3`, `s3:http://…`, `S3://…`, a name without its `@`.
//!
//! Owned here: which words these are. What begins like a path (`/`, `./`, `../`, `~`, `file:///`) or exists is always a folder, so that `./s3` is the way
//! out. Refused here: what a location is (`location`), and what its scheme leads to (`connectors`). Called where a place is resolved or stored.

use std::ffi::OsStr;
use std::path::Path;

use crate::configuration::{Configuration, ConfigurationError, Kind};
use crate::connectors::Connectors;
use crate::location::{FILE, Location, LocationError, is_scheme};

/// What a word most likely means that names no folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meant {
    /// The scheme of a connector, without a place there.
    Scheme(String),
    /// A name in the configuration.
    Name {
        /// Of what.
        kind: Kind,
        /// Without its `@`.
        name: String,
    },
    /// A location that is written so.
    Location {
        /// As it is written.
        location: String,
        /// Whether it is to be reached without TLS, which a setting says.
        without_tls: bool,
    },
}

/// A word that is not taken for a folder.
#[derive(Debug, thiserror::Error)]
pub enum MistakenError {
    /// It names no folder and would make one, although something else is meant.
    #[error("there is no folder `{}`", word.escape_debug())]
    Word {
        /// As it was written.
        word: String,
        /// What it most likely means.
        meant: Meant,
    },
    /// It is a location that cannot be used.
    #[error(transparent)]
    Location(#[from] LocationError),
    /// The names in the configuration cannot be read.
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
}

/// Refuses a word that would become the name of a folder that is not there, where something else is meant.
///
/// # Errors
/// [`MistakenError::Word`] says what; [`LocationError::Credentials`] where it holds some.
pub(crate) fn require_folder(
    kind: Kind,
    word: &OsStr,
    configuration: &Configuration,
    connectors: &Connectors,
) -> Result<(), MistakenError> {
    let Some(text) = word.to_str().filter(|text| !is_certain(text)) else { return Ok(()) };
    let Some(meant) = meant(kind, text, configuration, || connectors.schemes())? else { return Ok(()) };
    if let Meant::Location { location, .. } = &meant
        && let Err(error @ LocationError::Credentials { .. }) = Location::parse(location.as_ref())
    {
        return Err(error.into());
    }
    Err(MistakenError::Word { word: text.to_owned(), meant })
}

/// Whether a word cannot be mistaken: it is a name or a location, or somebody has written a path, or it is there.
fn is_certain(text: &str) -> bool {
    let is_path =
        ["/", "./", "../", "~", "file:///"].iter().any(|start| text.starts_with(start)) || matches!(text, "." | "..");
    is_path || !matches!(Location::parse(text.as_ref()), Ok(Location::Folder(_))) || is_there(Path::new(text))
}

fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

fn meant(
    kind: Kind,
    text: &str,
    configuration: &Configuration,
    schemes: impl FnOnce() -> Vec<String>,
) -> Result<Option<Meant>, ConfigurationError> {
    if configuration.names(kind)?.iter().any(|name| name == text) {
        return Ok(Some(Meant::Name { kind, name: text.to_owned() }));
    }
    let (before, rest) = text.split_once(':').map_or((text, None), |(before, rest)| (before, Some(rest)));
    let scheme = before.to_ascii_lowercase();
    if !is_scheme(&scheme) {
        return Ok(None);
    }
    let is_served = |schemes: Vec<String>| schemes.contains(&scheme);
    Ok(match rest {
        Some(rest) if rest.starts_with("//") => Some(as_location(&scheme, rest)),
        Some(rest) if scheme == FILE => rest.starts_with('/').then(|| as_location(&scheme, &format!("//{rest}"))),
        _ if !is_served(schemes()) => None,
        Some(rest) if !rest.trim_matches('/').is_empty() => Some(as_location(&scheme, rest)),
        _ => Some(Meant::Scheme(scheme)),
    })
}

/// `s3:http://host/bucket`, as others write it, and `s3:host/bucket` are `s3://host/bucket`.
fn as_location(scheme: &str, rest: &str) -> Meant {
    if scheme == FILE {
        return Meant::Location { location: format!("{FILE}:{rest}"), without_tls: false };
    }
    let plain = rest.strip_prefix("http://");
    let below = plain.or_else(|| rest.strip_prefix("https://")).unwrap_or(rest).trim_start_matches('/');
    Meant::Location { location: format!("{scheme}://{below}"), without_tls: plain.is_some() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration() -> Configuration {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.toml"), "[repository.disk]\nlocation = '/d'\n").unwrap();
        Configuration::read(folder.path()).unwrap()
    }

    fn found(kind: Kind, text: &str) -> Option<Meant> {
        if is_certain(text) {
            return None;
        }
        meant(kind, text, &configuration(), || vec!["s3".to_owned()]).unwrap()
    }

    #[test]
    fn what_is_no_folder_is_told_by_what_it_means() {
        let location = |location: &str, without_tls| Meant::Location { location: location.to_owned(), without_tls };
        for (text, expected) in [
            ("s3", Meant::Scheme("s3".to_owned())),
            ("S3", Meant::Scheme("s3".to_owned())),
            ("s3:", Meant::Scheme("s3".to_owned())),
            ("s3:http://h:9000/b/p", location("s3://h:9000/b/p", true)),
            ("s3:https://h/b", location("s3://h/b", false)),
            ("s3:h/b", location("s3://h/b", false)),
            ("s3:/b", location("s3://b", false)),
            ("S3://h/b", location("s3://h/b", false)),
            ("Gopher://h", location("gopher://h", false)),
            ("file:/x", location("file:///x", false)),
            ("FILE:///x", location("file:///x", false)),
        ] {
            assert_eq!(found(Kind::Repository, text), Some(expected), "{text}");
        }
        let name = Meant::Name { kind: Kind::Repository, name: "disk".to_owned() };
        assert_eq!(found(Kind::Repository, "disk"), Some(name));
        assert_eq!(found(Kind::Source, "disk"), None, "of a source there is no such name");
    }

    #[test]
    fn what_is_written_as_a_path_or_exists_is_a_folder() {
        let there = tempfile::tempdir().unwrap();
        let there = there.path().to_str().unwrap();
        for text in [
            "./s3",
            "../s3",
            "/s3",
            "~/s3",
            ".",
            "..",
            "src",
            "backups",
            "a:b",
            "a b",
            "s3x",
            "s3/x",
            "gopher:x",
            "file:///s3",
            there,
        ] {
            assert_eq!(found(Kind::Repository, text), None, "{text}");
        }
    }

    #[test]
    fn credentials_are_refused_without_being_repeated() {
        for text in ["S3://AKIA:hunter2@host/bucket", "S3://hunter2@host/bucket"] {
            let connectors = Connectors::new(None, None);
            let refused = require_folder(Kind::Source, OsStr::new(text), &Configuration::default(), &connectors);
            let refused = refused.unwrap_err();
            assert!(matches!(refused, MistakenError::Location(LocationError::Credentials { .. })), "{refused}");
        }
    }
}
