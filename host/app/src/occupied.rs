//! What else lies where a repository is to be made.
//!
//! Owned here: looking, and what does not count: what is called like an object of a repository (an earlier attempt may have been cut off),
//! and what file systems keep for themselves. A folder is looked at one level deep, below names of a repository's own folders as a bucket is: by
//! its listing, until something counts. Refused here: whether it may be made all the same (the caller). Called by `repository`.
//!
//! Bound: [`LOOKED_AT_MAX`] names of a folder and of each listing.

use std::path::{Path, PathBuf};

use credenza_connect::{ErrorClass, Pages, Store};
use credenza_format::{config_key, copy_key, is_object_name, top_names};

use crate::error::{Error, Result};
use crate::location::Location;
use crate::place::Place;

/// Most names that are reported.
const NAMES_MAX: usize = 5;
/// Most names of a folder, or of a listing, that are looked at.
const LOOKED_AT_MAX: usize = 10_000;
/// What file systems, and systems that share them, keep at the top of a disk.
const OF_FILE_SYSTEMS: [&str; 12] = [
    "lost+found",
    "System Volume Information",
    "$RECYCLE.BIN",
    "#recycle",
    "#snapshot",
    "@eaDir",
    ".DS_Store",
    ".Spotlight-V100",
    ".fseventsd",
    ".snapshot",
    ".snapshots",
    ".zfs",
];
/// How the names of folders for what was thrown away begin.
const TRASH: &str = ".Trash";

/// Refuses a place that holds other things than a repository. One where a repository is passes: that is reported by whoever makes one.
///
/// # Errors
/// [`Error::Occupied`] names what was found; [`Error::Connector`] when nothing can be listed.
pub(crate) async fn require_vacant(place: &Place, store: &dyn Store) -> Result<()> {
    let others = match &place.location {
        Location::Folder(path) => in_folder(path.clone(), store).await?,
        _ => listed(store, "").await?,
    };
    if others.is_empty() || holds_repository(store).await {
        return Ok(());
    }
    Err(Error::Occupied { place: place.label(), count: others.len(), names: first(others) })
}

async fn holds_repository(store: &dyn Store) -> bool {
    let config = config_key();
    for key in [&config, &copy_key(&config)] {
        if !matches!(store.stat(key).await, Err(error) if error.class == ErrorClass::NotFound) {
            return true;
        }
    }
    false
}

/// What is in a folder and not a repository's.
async fn in_folder(path: PathBuf, store: &dyn Store) -> Result<Vec<String>> {
    // Where this cannot be read, the listing says why.
    let top = tokio::task::spawn_blocking(move || top_of(&path).unwrap_or_default()).await.unwrap_or_default();
    let (own, mut others): (Vec<String>, Vec<String>) = top.into_iter().partition(|name| is_own(name));
    for folder in own.iter().filter_map(|name| name.strip_suffix('/')).filter(|name| !is_of_store(name)) {
        others.extend(listed(store, &format!("{folder}/")).await?);
    }
    Ok(others)
}

/// The names in a folder that count, those of folders with a `/`.
fn top_of(path: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for item in std::fs::read_dir(path)?.take(LOOKED_AT_MAX) {
        let item = item?;
        let name = item.file_name().to_string_lossy().into_owned();
        if !is_of_file_system(&name) {
            let is_folder = item.file_type().is_ok_and(|kind| kind.is_dir());
            names.push(if is_folder { format!("{name}/") } else { name });
        }
    }
    Ok(names)
}

/// Whether a name at the top of a folder can be a repository's.
fn is_own(name: &str) -> bool {
    is_of_store(name) || name == config_key().as_str() || top_names().any(|own| name.strip_suffix('/') == Some(own))
}

/// What the store keeps there beside the objects.
fn is_of_store(name: &str) -> bool {
    name.starts_with('~')
}

fn is_of_file_system(name: &str) -> bool {
    OF_FILE_SYSTEMS.contains(&name) || name.starts_with(TRASH)
}

/// What a listing tells that is no repository's, of the first page that has such; what consoles put for a folder does not count. A page may be short or
/// empty and others follow.
async fn listed(store: &dyn Store, prefix: &str) -> Result<Vec<String>> {
    let failed = |cause| Error::Connector { doing: "looking at what is there", cause };
    let (mut pages, mut looked_at, mut others) = (Pages::new(store, prefix), 0, Vec::new());
    while others.is_empty() && looked_at < LOOKED_AT_MAX {
        let Some(page) = pages.next().await.map_err(failed)? else { break };
        looked_at += page.len();
        others.extend(page.iter().filter(|object| !is_object_name(&object.key)).map(|object| object.key.to_string()));
    }
    let strays = pages.strays().names().filter(|name| !name.is_empty() && !name.ends_with('/'));
    others.extend(strays.map(str::to_owned));
    Ok(others)
}

/// The first of them, in order.
fn first(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names.truncate(NAMES_MAX);
    names
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::fs;
    use std::sync::Arc;

    use credenza_connect::file::FileStore;
    use credenza_connect::memory::MemoryStore;
    use credenza_connect::{Payload, PutOptions};
    use credenza_model::StoreKey;

    use super::*;
    use crate::configuration::{Configuration, Kind, Settings};

    fn place(location: &str) -> Place {
        let word = OsStr::new(location);
        Place::resolve(Kind::Repository, word, Settings::new(), &Configuration::default()).unwrap()
    }

    async fn found(folder: &Path) -> Vec<String> {
        let store = FileStore::create(folder).unwrap();
        match require_vacant(&place(folder.to_str().unwrap()), &store).await {
            Ok(()) => Vec::new(),
            Err(Error::Occupied { count, names, .. }) => {
                assert!(names.len() == count.min(NAMES_MAX));
                names
            }
            Err(other) => panic!("{other}"),
        }
    }

    #[tokio::test]
    async fn a_folder_is_vacant_unless_somebody_has_put_something_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        for ignored in ["lost+found", ".Trash-1000", "~unfinished", "key"] {
            fs::create_dir(path.join(ignored)).unwrap();
        }
        fs::write(path.join("key").join("a7".repeat(16)), "of an attempt that was cut off").unwrap();
        assert_eq!(found(path).await, [""; 0]);
        fs::create_dir(path.join("data")).unwrap();
        fs::write(path.join("data/thesis.tex"), "").unwrap();
        assert_eq!(found(path).await, ["data/thesis.tex"]);
        for number in 0..7 {
            fs::write(path.join(format!("letter{number}")), "").unwrap();
        }
        fs::create_dir(path.join(".config")).unwrap();
        assert_eq!(found(path).await, [".config/", "data/thesis.tex", "letter0", "letter1", "letter2"]);
        fs::write(path.join("config"), "a repository's").unwrap();
        assert_eq!(found(path).await, [""; 0], "that there is a repository says more");
    }

    #[tokio::test]
    async fn a_bucket_is_looked_through_however_short_its_pages_are() {
        let store = Arc::new(MemoryStore::new().with_pages_of(1));
        let place = place("s3://host/bucket");
        let put = async |name: &str| {
            let key = StoreKey::new(name).unwrap();
            store.put(&key, Payload::default(), &PutOptions::default()).await.unwrap();
        };
        put(&format!("key/{}", "a7".repeat(16))).await;
        require_vacant(&place, &*store).await.unwrap();
        put("photos/1.jpg").await;
        let refused = require_vacant(&place, &*store).await.unwrap_err();
        assert!(matches!(refused, Error::Occupied { names, .. } if names == ["photos/1.jpg"]));
    }
}
