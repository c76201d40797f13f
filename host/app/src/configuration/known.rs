//! What each location was when this machine first used it, so that nobody can put another repository in its place unnoticed, least of all
//! one without encryption.
//!
//! Owned here: the file `known-repositories.toml` beside the configuration, which the program writes and a person may read. A location has
//! an entry for each repository that may be there: disks that take turns have several, and so has a location that leaves the server to the
//! settings. Refused here: when a location is remembered, and what happens when it has changed (`recognise`).

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};

use credenza_engine::Repository;
use credenza_model::Timestamp;
use serde::Serialize;
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table};

use super::{ConfigurationError, edit, file};

pub(super) const NAME: &str = "known-repositories.toml";
const HEAD: &str = "# What each location was when it was first used. Forget one: credenza repository forget LOCATION\n";
const SERVER: &str = "server";
const ID: &str = "id";
const OWNER: &str = "owner";
const ENCRYPTED: &str = "encrypted";
/// Of a replica: until when the heads of its origin were seen there.
const HEADS: &str = "heads";

/// What tells a repository from every other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KnownRepository {
    /// Its id.
    pub id: String,
    /// The public key that its secrets lead to.
    pub owner: String,
    /// Whether it is encrypted.
    pub encrypted: bool,
}

impl KnownRepository {
    /// What tells this repository from every other.
    #[must_use]
    pub fn of(repository: &Repository) -> Self {
        let config = repository.config();
        Self {
            id: config.repository.to_string(),
            owner: repository.owner().to_string(),
            encrypted: config.suite.encrypts(),
        }
    }
}

impl Display for KnownRepository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.encrypted { "encrypted" } else { "not encrypted" };
        write!(f, "{} ({kind})", self.id)
    }
}

/// Where a repository is.
#[derive(Debug, Clone, Copy)]
pub struct Whereabouts<'a> {
    /// The location as it is written.
    pub location: &'a str,
    /// The server and the path there that settings and location lead to; nothing of a folder.
    pub server: Option<&'a str>,
}

/// The locations that are known.
#[derive(Debug)]
pub struct Known {
    path: PathBuf,
    document: DocumentMut,
}

impl Known {
    /// Reads what is remembered in the folder of the configuration; nothing where there is no file.
    ///
    /// # Errors
    /// When the file cannot be read or says something else than it should.
    pub fn read(folder: &Path) -> Result<Self, ConfigurationError> {
        let path = folder.join(NAME);
        let document = file::read_document(&path)?;
        Ok(Self { path, document })
    }

    /// What may be at a place; nothing where it is not known. A server is the same however the location that leads to it is written.
    ///
    /// # Errors
    /// When the file cannot be read or says something else than it should.
    pub fn get(&self, place: Whereabouts<'_>) -> Result<Vec<KnownRepository>, ConfigurationError> {
        let mut known = self.of_location(place.location)?;
        if place.server.is_some() {
            for (location, _) in self.document.iter().filter(|(location, _)| *location != named(place.location)) {
                known.extend(self.of_location(location)?);
            }
        }
        let mut here: Vec<KnownRepository> = Vec::new();
        for (_, repository) in known.into_iter().filter(|(server, _)| server.as_deref() == place.server) {
            if !here.contains(&repository) {
                here.push(repository);
            }
        }
        Ok(here)
    }

    /// What was at a location, whatever server it led to.
    ///
    /// # Errors
    /// When the file cannot be read or says something else than it should.
    pub fn at_location(&self, location: &str) -> Result<Vec<KnownRepository>, ConfigurationError> {
        Ok(self.of_location(location)?.into_iter().map(|(_, repository)| repository).collect())
    }

    fn of_location(&self, location: &str) -> Result<Vec<(Option<String>, KnownRepository)>, ConfigurationError> {
        let Some(item) = self.document.get(named(location)) else { return Ok(Vec::new()) };
        let shape = || ConfigurationError::Shape {
            path: self.path.clone(),
            key: named(location).to_owned(),
            expected: "a list of tables with id, owner and encrypted",
        };
        item.as_array_of_tables().and_then(|tables| tables.iter().map(read).collect()).ok_or_else(shape)
    }

    /// Remembers what is at a place: instead of what was there before, or beside it.
    ///
    /// # Errors
    /// When the file cannot be written or says something else than it should.
    pub fn remember(
        folder: &Path,
        place: Whereabouts<'_>,
        repository: &KnownRepository,
        is_beside: bool,
    ) -> Result<(), ConfigurationError> {
        Self::edit(folder, |document| {
            let mut tables = match document.remove(named(place.location)) {
                Some(Item::ArrayOfTables(tables)) => tables,
                _ => ArrayOfTables::new(),
            };
            let is_here = |table: &Table| table.get(SERVER).and_then(Item::as_str) == place.server;
            tables.retain(|table| is_beside || !is_here(table));
            tables.push(written(place.server, repository));
            document.insert(named(place.location), Item::ArrayOfTables(tables));
        })
    }

    /// Until when the heads of its origin were seen in the replica of that id at a location; nothing where none were.
    #[must_use]
    pub fn heads_seen(&self, location: &str, id: &str) -> Option<Timestamp> {
        let tables = self.document.get(named(location))?.as_array_of_tables()?;
        let table = tables.iter().find(|table| table.get(ID).and_then(Item::as_str) == Some(id))?;
        table.get(HEADS).and_then(Item::as_str)?.parse().ok()
    }

    /// Remembers until when they were seen, where the location is known.
    ///
    /// # Errors
    /// When the file cannot be written or says something else than it should.
    pub fn see_heads(folder: &Path, location: &str, id: &str, as_of: Timestamp) -> Result<(), ConfigurationError> {
        Self::edit(folder, |document| {
            let Some(Item::ArrayOfTables(tables)) = document.get_mut(named(location)) else { return };
            let is_it = |table: &&mut Table| table.get(ID).and_then(Item::as_str) == Some(id);
            tables.iter_mut().filter(is_it).for_each(|table| edit::put(table, HEADS, &as_of.to_string()));
        })
    }

    /// Forgets a location, by whichever of its spellings it is known, and what is known of the same servers by others; `false` when it was not known.
    ///
    /// # Errors
    /// When the file cannot be written or says something else than it should.
    pub fn forget(folder: &Path, spellings: &[String]) -> Result<bool, ConfigurationError> {
        Self::edit(folder, |document| {
            let gone: Vec<Item> = spellings.iter().filter_map(|location| document.remove(named(location))).collect();
            let tables = gone.iter().filter_map(Item::as_array_of_tables).flatten();
            let servers: Vec<&str> = tables.filter_map(|table| table.get(SERVER)?.as_str()).collect();
            let is_other = |table: &Table| {
                !table.get(SERVER).and_then(Item::as_str).is_some_and(|server| servers.contains(&server))
            };
            for (_, item) in document.iter_mut() {
                item.as_array_of_tables_mut().into_iter().for_each(|tables| tables.retain(is_other));
            }
            !gone.is_empty()
        })
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

fn read(table: &Table) -> Option<(Option<String>, KnownRepository)> {
    let text = |key: &str| table.get(key).and_then(Item::as_str).map(str::to_owned);
    let encrypted = table.get(ENCRYPTED).and_then(Item::as_bool)?;
    Some((text(SERVER), KnownRepository { id: text(ID)?, owner: text(OWNER)?, encrypted }))
}

fn written(server: Option<&str>, repository: &KnownRepository) -> Table {
    let mut table = Table::new();
    server.into_iter().for_each(|server| edit::put(&mut table, SERVER, server));
    edit::put(&mut table, ID, &repository.id);
    edit::put(&mut table, OWNER, &repository.owner);
    table.insert(ENCRYPTED, toml_edit::value(repository.encrypted));
    table
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

    fn at(location: &str) -> Whereabouts<'_> {
        Whereabouts { location, server: None }
    }

    #[test]
    fn what_is_remembered_is_read_back_and_forgotten_alone() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("new");
        for (location, id) in [("s3://host/bucket/", "a1"), ("/mnt/a b", "a2")] {
            Known::remember(&folder, at(location), &repository(id), false).unwrap();
        }
        let get = |location: &str| Known::read(&folder).unwrap().get(at(location)).unwrap();
        assert_eq!(get("s3://host/bucket"), [repository("a1")]);
        assert_eq!((get("/mnt/a b/"), get("/mnt")), (vec![repository("a2")], vec![]));
        let file = folder.join(NAME);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(Known::forget(&folder, &["s3://host/bucket".to_owned()]).unwrap());
        assert!(!Known::forget(&folder, &["s3://host/bucket".to_owned()]).unwrap());
        assert_eq!((get("s3://host/bucket"), get("/mnt/a b")), (vec![], vec![repository("a2")]));
        assert_eq!(fs::read_to_string(&file).unwrap().matches('#').count(), 1);
    }

    #[test]
    fn a_server_is_known_and_forgotten_by_whatever_location_leads_to_it() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path();
        let on = |location: &'static str, server: &'static str| Whereabouts { location, server: Some(server) };
        Known::remember(folder, on("s3://HOST/bucket", "https://host/bucket"), &repository("a1"), false).unwrap();
        Known::remember(folder, on("s3://other/bucket", "https://other/bucket"), &repository("a2"), false).unwrap();
        let get = |location, server| Known::read(folder).unwrap().get(on(location, server)).unwrap();
        assert_eq!(get("s3://host/bucket", "https://host/bucket"), [repository("a1")]);
        assert_eq!(get("s3://host/bucket", "https://another/bucket"), []);
        Known::remember(folder, on("s3://host/bucket", "https://host/bucket"), &repository("a1"), false).unwrap();
        assert!(Known::forget(folder, &["s3://host/bucket".to_owned()]).unwrap());
        assert_eq!(get("s3://HOST/bucket", "https://host/bucket"), []);
        assert_eq!(get("s3://other/bucket", "https://other/bucket"), [repository("a2")]);
    }

    #[test]
    fn servers_of_one_location_are_told_apart_and_disks_that_take_turns_are_all_known() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path();
        let on = |server: &'static str| Whereabouts { location: "s3://backups", server: Some(server) };
        Known::remember(folder, on("one"), &repository("a1"), false).unwrap();
        Known::remember(folder, on("two"), &repository("a2"), false).unwrap();
        Known::remember(folder, on("two"), &repository("a3"), true).unwrap();
        let get = |server| Known::read(folder).unwrap().get(on(server)).unwrap();
        assert_eq!((get("one"), get("two")), (vec![repository("a1")], vec![repository("a2"), repository("a3")]));
        Known::remember(folder, on("two"), &repository("a4"), false).unwrap();
        assert_eq!((get("one"), get("two")), (vec![repository("a1")], vec![repository("a4")]));
        assert_eq!(Known::read(folder).unwrap().at_location("s3://backups").unwrap().len(), 2);
        assert!(Known::forget(folder, &["s3://backups".to_owned()]).unwrap());
        assert!(get("one").is_empty() && get("two").is_empty());
    }

    #[test]
    fn a_file_that_says_something_else_is_not_taken_for_no_memory() {
        let folder = tempfile::tempdir().unwrap();
        for wrong in ["[\"/a\"]\nid = 1\n", "[[\"/a\"]]\nid = 'x'\n"] {
            fs::write(folder.path().join(NAME), wrong).unwrap();
            assert!(Known::read(folder.path()).unwrap().get(at("/a")).is_err(), "{wrong}");
        }
        fs::write(folder.path().join(NAME), "no table").unwrap();
        assert!(Known::read(folder.path()).is_err());
    }
}
