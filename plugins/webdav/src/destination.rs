//! A folder to restore to: what is there, what a server can hold, and how a file is begun.
//!
//! Owned here: folders, what may be replaced, and which attributes are lost. Refused here: sending files (`upload`).

use credenza_sdk::facts::is_fact;
use credenza_sdk::{Check, Destination, DestinationInfo, Entry, EntryKind, Error, ErrorClass, Result, Writer};

use crate::fault::{self, shown};
use crate::folder::Folder;
use crate::place::{is_path, parent};
use crate::source::entry_of;
use crate::upload::Upload;
use crate::wire::Wire;

impl<W: Wire> Destination<W::Body> for Folder<W> {
    fn info(&self) -> Result<DestinationInfo> {
        Ok(DestinationInfo {
            identity: self.place.identity(),
            namespace: "tree".to_owned(),
            traits: ["atomic-finish", "removal"].map(str::to_owned).to_vec(),
        })
    }

    fn check(&self) -> Vec<Check> {
        self.check_destination()
    }

    fn stat(&self, key: &[u8]) -> Result<Option<Entry>> {
        let bare = key.strip_suffix(b"/").unwrap_or(key);
        if !bare.is_empty() && !is_path(bare) {
            return Ok(None);
        }
        Ok(self.look(key)?.map(|child| {
            let slash: &[u8] = if child.is_folder && !bare.is_empty() { b"/" } else { b"" };
            entry_of([bare, slash].concat(), child, None)
        }))
    }

    /// A folder is complete at once, and so is a deletion, when it was done.
    fn create(&self, entry: Entry, overwrite: bool) -> Result<Option<Box<dyn Writer<W::Body>>>> {
        let key = entry.key.as_slice();
        let action = format!("writing {}", shown(key));
        let unsupported = |reason: &str, why: String| {
            Err(Error::new(ErrorClass::Unsupported, reason, format!("{action} failed: {why}")))
        };
        let bare = if entry.kind == EntryKind::Directory { key.strip_suffix(b"/").unwrap_or(key) } else { key };
        let is_gone = entry.version.as_ref().is_some_and(|version| version.deleted);
        let is_root = entry.kind == EntryKind::Directory && bare.is_empty() && !is_gone;
        if !is_root && !is_path(bare) {
            return unsupported("webdav.name", "a name on a WebDAV server is not empty, `.` or `..`".to_owned());
        }
        // Some servers keep such a name as another one (rclone), and tell that later.
        if bare.iter().any(u8::is_ascii_control) {
            return unsupported("webdav.control-characters", "its name has control characters".to_owned());
        }
        if is_gone {
            return self.remove_entry(&entry, bare).map(|()| None);
        }
        match entry.kind {
            EntryKind::File => {}
            EntryKind::Directory if is_root => return self.demand_folder(b"").map(|()| None),
            EntryKind::Directory => return self.demand_folder(&[bare, b"/"].concat()).map(|()| None),
            _ => {
                let why = "a WebDAV server holds files and folders only, no links or devices".to_owned();
                return unsupported("webdav.no-file", why);
            }
        }
        let largest = self.place.largest_file;
        if let Some(size) = entry.size.filter(|size| *size > largest) {
            let why = format!(
                "it has {size} bytes, and is held in memory on its way, of which {largest} are allowed; set largest_file={size}"
            );
            return unsupported("webdav.largest-file", why);
        }
        self.demand_folder(parent(key))?;
        // A MOVE that may overwrite would delete a whole folder, and not every server heeds one that may not.
        match self.look(key)? {
            Some(there) if there.is_folder => {
                return unsupported("webdav.folder-there", "a folder has its name".to_owned());
            }
            Some(_) if !overwrite => {
                let message = format!("{action} failed: the file exists, and may not be overwritten");
                return Err(Error::new(ErrorClass::Precondition, fault::PRECONDITION, message));
            }
            _ => {}
        }
        Ok(Some(Box::new(Upload::new(self, &entry, overwrite, action))))
    }

    fn set_metadata(&self, entries: Vec<Entry>) -> Result<Vec<Result<Vec<String>>>> {
        Ok(entries.iter().map(|entry| self.lost(entry)).collect())
    }
}

impl<W: Wire> Folder<W> {
    /// Removes what has a key; what is not there is removed. A DELETE takes a folder with all that lies in it (RFC 4918 section 9.6.1), so that it is looked
    /// at before: a file is removed where one is, and a folder where nothing lies in it.
    fn remove_entry(&self, entry: &Entry, bare: &[u8]) -> Result<()> {
        let kept = |reason: &str, why: &str| {
            let message = format!("removing {} failed: {why}", shown(&entry.key));
            Err(Error::new(ErrorClass::Denied, reason, message))
        };
        match self.look(bare)? {
            None => Ok(()),
            Some(there) if !there.is_folder && entry.kind != EntryKind::Directory => self.remove(bare),
            Some(there) if there.is_folder && entry.kind == EntryKind::Directory => {
                let key = [bare, b"/"].concat();
                match self.list(&key)? {
                    None => Ok(()),
                    Some(listing) if listing.children.is_empty() => self.remove(&key),
                    Some(_) => kept("webdav.not-empty", "something lies in the folder"),
                }
            }
            Some(there) if there.is_folder => kept("webdav.folder-there", "a folder has its name"),
            Some(_) => kept("webdav.file-there", "a file has its name"),
        }
    }

    /// Makes a folder unless it is there.
    fn demand_folder(&self, key: &[u8]) -> Result<()> {
        match self.look(key)? {
            Some(there) if there.is_folder => Ok(()),
            Some(_) => {
                let message = format!("making the folder {} failed: a file has its name", shown(key));
                Err(Error::new(ErrorClass::Unsupported, "webdav.file-there", message))
            }
            None if key.is_empty() => self.make_folder(key),
            None => {
                self.demand_folder(parent(key))?;
                self.make_folder(key)
            }
        }
    }

    /// The names of what an entry has lost: all its attributes, and its time unless the server has taken it.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub(crate) fn lost(&self, entry: &Entry) -> Result<Vec<String>> {
        let names = entry.attributes.iter().map(|(name, _)| name);
        let mut lost: Vec<String> = names.filter(|name| !is_fact(name)).cloned().collect();
        if let Some(modified) = entry.modified {
            // Times of WebDAV have no fractions.
            let is_kept =
                modified.nanoseconds == 0 && self.look(&entry.key)?.and_then(|there| there.modified) == Some(modified);
            lost.extend((!is_kept).then(|| "modified".to_owned()));
        }
        Ok(lost)
    }
}
