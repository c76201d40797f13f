//! Addresses of what is in a repository, the way to it, and opening it.

use std::sync::Arc;

use credenza_app::{Error as AppError, PlaceLabel};
use credenza_engine::view::View;
use credenza_engine::{Error as EngineError, SnapshotHandle};
use credenza_model::{EntryKind, Key, Record};
use http::StatusCode;

use super::Asked;
use super::frame::Link;
use super::problem::{Problem, engine};
use crate::form::encode;
use crate::repositories::Repository;
use crate::shown;
use crate::site::Site;

/// Digits of an id that are shown where all would be too many; its address has all.
const ID_DIGITS: usize = 8;
/// Folders of a way that are shown; those between the first and the last are left out.
const FOLDERS_MAX: usize = 8;

/// The page of a repository.
pub(super) fn of_repository(name: &str) -> String {
    format!("/r/{name}")
}

/// The page of a folder in a snapshot.
pub(super) fn of_folder(name: &str, snapshot: &str, prefix: &[u8]) -> String {
    match prefix {
        [] => format!("/r/{name}/s/{snapshot}"),
        prefix => format!("/r/{name}/s/{snapshot}?key={}", encode(prefix)),
    }
}

/// What is to be had of an entry: `file`, `download` or `archive`.
pub(super) fn of_entry(name: &str, snapshot: &str, what: &str, key: &[u8]) -> String {
    format!("/r/{name}/s/{snapshot}/{what}?key={}", encode(key))
}

/// The first digits of an id.
pub(super) fn short(id: &str) -> &str {
    id.get(..ID_DIGITS).unwrap_or(id)
}

/// Opens a repository. Where nothing opens it, its own page asks for what does.
pub(super) async fn open(site: &Site, name: &str) -> Result<Arc<Repository>, Problem> {
    site.repositories.open(name).await.map_err(|error| match engine(&error) {
        Some(EngineError::SecretMissing | EngineError::WrongSecret { .. }) => Problem::see(of_repository(name)),
        _ => Problem::of(&error, site.repositories.place(name).ok().map(|place| place.label()).as_ref()),
    })
}

/// A snapshot that an address names, and what finds things in it.
pub(super) struct Place {
    pub(super) view: View,
    pub(super) snapshot: SnapshotHandle,
    pub(super) label: PlaceLabel,
    pub(super) id: String,
}

impl Place {
    pub(super) async fn open(site: &Site, name: &str, id: &str) -> Result<Self, Problem> {
        let repository = open(site, name).await?;
        let label = repository.label();
        let (view, snapshot) = repository.snapshot(id).await.map_err(|error| Problem::of(&error, Some(&label)))?;
        let id = snapshot.snapshot.id.to_string();
        Ok(Self { view, snapshot, label, id })
    }

    pub(super) fn problem(&self, error: EngineError) -> Problem {
        Problem::of(&AppError::from(error), Some(&self.label))
    }

    /// The entry that the address names.
    pub(super) async fn record(&self, asked: &Asked) -> Result<Record, Problem> {
        let key = asked.query.bytes("key").unwrap_or_default();
        self.view.entry(&self.snapshot, &Key::new(key)).await.map_err(|error| self.problem(error))
    }

    /// The entry that the address names, where it has bytes.
    pub(super) async fn file(&self, asked: &Asked) -> Result<Record, Problem> {
        let record = self.record(asked).await?;
        match why_no_content(&record) {
            None => Ok(record),
            Some(why) => {
                Err(Problem::new(StatusCode::NOT_FOUND, format!("`{}` has no content here", record.entry.key))
                    .because(why))
            }
        }
    }
}

/// Why there are no bytes of an entry.
pub(super) fn why_no_content(record: &Record) -> Option<String> {
    if record.entry.kind != EntryKind::File {
        return Some(format!("it is a {}", kind(record.entry.kind)));
    }
    if record.entry.version.as_ref().is_some_and(|version| version.deleted) {
        return Some("it was deleted when the snapshot was made: only older versions have content".to_owned());
    }
    credenza_engine::view::never_read(record)
}

/// What an entry is, in a word for a person.
pub(super) const fn kind(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::File => "file",
        EntryKind::Directory => "folder",
        EntryKind::Symlink => "link",
        EntryKind::Other => "special file",
    }
}

/// The way to a folder of a snapshot, that folder included.
pub(super) fn way(name: &str, place: &Place, prefix: &[u8]) -> Vec<Link> {
    let mut way = vec![
        Link::new(of_repository(name), title(&place.label)),
        Link::new(of_folder(name, &place.id, b""), format!("Snapshot {}", short(&place.id))),
    ];
    let ends: Vec<usize> = prefix.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at + 1).collect();
    let left_out = ends.len().saturating_sub(FOLDERS_MAX);
    let mut begin = 0;
    for (number, end) in ends.iter().enumerate() {
        let (folder, segment) = (prefix.get(..*end).unwrap_or_default(), prefix.get(begin..*end).unwrap_or_default());
        begin = *end;
        match number {
            1 if left_out > 0 => way.push(Link::new(of_folder(name, &place.id, folder), "…")),
            number if number > 1 && number <= left_out => {}
            _ => way.push(Link::new(of_folder(name, &place.id, folder), shown::name(segment))),
        }
    }
    way
}

/// What a repository is called on a page.
pub(super) fn title(label: &PlaceLabel) -> String {
    shown::text(label.name.as_ref().unwrap_or(&label.location))
}

/// The folder that a key lies in: with the slash at its end, or nothing.
pub(super) fn folder_of(key: &[u8]) -> &[u8] {
    let inner = key.strip_suffix(b"/").unwrap_or(key);
    let end = inner.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    key.get(..end).unwrap_or_default()
}
