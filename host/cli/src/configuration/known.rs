//! What each location was when this machine first used it, so that nobody can put another repository in its place unnoticed, least of all
//! one without encryption.
//!
//! Owned here: the file `known-repositories.toml` beside the configuration, which the program writes and a person may read. Refused here:
//! when a location is remembered, and what happens when it has changed (`commands::session`).

use std::path::{Path, PathBuf};

use toml_edit::{DocumentMut, Item, Table, TableLike};

use super::{ConfigurationError, edit, file};

const NAME: &str = "known-repositories.toml";
const HEAD: &str = "# What each location was when it was first used. Forget one: credenza repository forget LOCATION\n";

/// What tells a repository from every other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KnownRepository {
    /// Its id.
    pub(crate) id: String,
    /// The public key that its secrets lead to.
    pub(crate) owner: String,
    pub(crate) encrypted: bool,
}

/// The locations that are known.
#[derive(Debug)]
pub(crate) struct Known {
    path: PathBuf,
    document: DocumentMut,
}

impl Known {
    /// Reads what is remembered in the folder of the configuration; nothing where there is no file.
    pub(crate) fn read(folder: &Path) -> Result<Self, ConfigurationError> {
        let path = folder.join(NAME);
        let text = file::read(&path)?;
        let document = text.parse::<DocumentMut>().map_err(|error| ConfigurationError::Syntax {
            path: path.clone(),
            line: super::line_of(&text, error.span().map_or(0, |span| span.start)),
            reason: error.message().to_owned(),
        })?;
        Ok(Self { path, document })
    }

    /// What a location was.
    pub(crate) fn get(&self, location: &str) -> Result<Option<KnownRepository>, ConfigurationError> {
        let Some(item) = self.document.get(named(location)) else { return Ok(None) };
        let read = |table: &dyn TableLike| {
            let text = |key: &str| table.get(key).and_then(Item::as_str).map(str::to_owned);
            let encrypted = table.get("encrypted").and_then(Item::as_bool)?;
            Some(KnownRepository { id: text("id")?, owner: text("owner")?, encrypted })
        };
        let shape = || ConfigurationError::Shape {
            path: self.path.clone(),
            key: named(location).to_owned(),
            expected: "a table with id, owner and encrypted",
        };
        item.as_table_like().and_then(read).map(Some).ok_or_else(shape)
    }

    /// Remembers a location, also one that was something else before.
    pub(crate) fn remember(
        folder: &Path,
        location: &str,
        repository: &KnownRepository,
    ) -> Result<(), ConfigurationError> {
        Self::edit(folder, |document| {
            let mut table = Table::new();
            edit::put(&mut table, "id", &repository.id);
            edit::put(&mut table, "owner", &repository.owner);
            table.insert("encrypted", toml_edit::value(repository.encrypted));
            document.insert(named(location), Item::Table(table));
        })
    }

    /// Forgets a location; `false` when it was not known.
    pub(crate) fn forget(folder: &Path, location: &str) -> Result<bool, ConfigurationError> {
        Self::edit(folder, |document| document.remove(named(location)).is_some())
    }

    fn edit<T>(folder: &Path, change: impl FnOnce(&mut DocumentMut) -> T) -> Result<T, ConfigurationError> {
        let _lock = file::lock(folder)?;
        let mut known = Self::read(folder)?;
        let answer = change(&mut known.document);
        let text = known.document.to_string();
        let head = if text.starts_with(HEAD) { "" } else { HEAD };
        file::write(&known.path, &format!("{head}{text}"))?;
        Ok(answer)
    }
}

/// The same location with or without a slash at its end.
fn named(location: &str) -> &str {
    match location.trim_end_matches('/') {
        "" => location,
        trimmed => trimmed,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn repository(id: &str) -> KnownRepository {
        KnownRepository { id: id.to_owned(), owner: "b0".to_owned(), encrypted: true }
    }

    #[test]
    fn what_is_remembered_is_read_back_and_forgotten_alone() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("new");
        for (location, id) in [("s3://host/bucket/", "a1"), ("/mnt/a b", "a2")] {
            Known::remember(&folder, location, &repository(id)).unwrap();
        }
        let get = |location: &str| Known::read(&folder).unwrap().get(location).unwrap();
        assert_eq!(get("s3://host/bucket"), Some(repository("a1")));
        assert_eq!((get("/mnt/a b/"), get("/mnt")), (Some(repository("a2")), None));
        let file = folder.join(NAME);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(Known::forget(&folder, "s3://host/bucket").unwrap());
        assert!(!Known::forget(&folder, "s3://host/bucket").unwrap());
        assert_eq!((get("s3://host/bucket"), get("/mnt/a b")), (None, Some(repository("a2"))));
        assert_eq!(fs::read_to_string(&file).unwrap().matches('#').count(), 1);
    }

    #[test]
    fn a_file_that_says_something_else_is_not_taken_for_no_memory() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(NAME), "[\"/a\"]\nid = 1\n").unwrap();
        assert!(Known::read(folder.path()).unwrap().get("/a").is_err());
        fs::write(folder.path().join(NAME), "no table").unwrap();
        assert!(Known::read(folder.path()).is_err());
    }
}
