//! A walk over folders, deepest first, in the byte order of keys: one PROPFIND of depth 1 for each folder.
//!
//! Memory: what is left of one folder for each level of the current path.

use std::vec::IntoIter;

use credenza_sdk::{Error, ErrorClass, Result, Timestamp};

use crate::fault::{self, shown};
use crate::folder::{Child, Folder};
use crate::place::{is_path, parent};
use crate::wire::Wire;

/// Where to walk.
#[derive(Debug, Clone, Default)]
pub(crate) struct Route {
    /// Everything whose key begins so.
    pub(crate) prefix: Vec<u8>,
    /// Only keys behind this one.
    pub(crate) after: Option<Vec<u8>>,
    /// Nothing that lies in folders below the prefix.
    pub(crate) one_level: bool,
}

/// What a walk comes upon.
pub(crate) enum Step {
    /// A file, or a folder whose content follows.
    Found { key: Vec<u8>, child: Child, at: Option<Timestamp> },
    /// A folder that cannot be listed.
    Failed(Vec<u8>, Error),
    /// A folder was asked for, and nothing is to be reported it.
    Asked,
}

/// A walk in progress.
pub(crate) struct Walk<W> {
    folder: Folder<W>,
    route: Route,
    levels: Vec<Level>,
    /// The folder to list next.
    pending: Option<Vec<u8>>,
    begun: bool,
}

struct Level {
    key: Vec<u8>,
    children: IntoIter<Child>,
    at: Option<Timestamp>,
}

impl<W: Wire> Walk<W> {
    pub(crate) fn new(folder: &Folder<W>, route: Route) -> Self {
        let start = parent_of_prefix(&route.prefix).to_vec();
        // No folder has such a name, and some servers would take it for another.
        let can_be = start.is_empty() || start.strip_suffix(b"/").is_some_and(is_path);
        Self { folder: folder.clone(), route, levels: Vec::new(), pending: can_be.then_some(start), begun: false }
    }

    /// The folder that is listed next, if there is one.
    pub(crate) fn pending(&self) -> Option<&[u8]> {
        self.pending.as_deref()
    }

    /// Leaves out what lies in the folder that was found last.
    pub(crate) fn pass_over(&mut self) {
        self.pending = None;
    }

    /// The next step, which costs at most one request; none is the end.
    ///
    /// # Errors
    /// What may pass, or concerns everything: the same step may be asked for again.
    pub(crate) fn step(&mut self) -> Result<Option<Step>> {
        match self.pending.clone() {
            Some(key) => self.enter(key).map(Some),
            None => Ok(self.next_child()),
        }
    }

    fn enter(&mut self, key: Vec<u8>) -> Result<Step> {
        let listed = match self.folder.list(&key) {
            Ok(listed) => listed,
            Err(error) if !self.is_local(&error) => return Err(error),
            Err(error) => {
                self.pending = None;
                return Ok(Step::Failed(key, error));
            }
        };
        let is_start = !std::mem::replace(&mut self.begun, true);
        self.pending = None;
        let Some(listing) = listed else {
            return match is_start {
                true if key.is_empty() => {
                    self.begun = false;
                    self.pending = Some(key);
                    Err(self.no_folder())
                }
                true => Ok(Step::Asked),
                false => Ok(Step::Failed(key.clone(), gone(&key))),
            };
        };
        self.levels.push(Level { key: key.clone(), children: listing.children.into_iter(), at: listing.at });
        let is_told = is_start && key.starts_with(&self.route.prefix) && self.is_behind(&key);
        Ok(if is_told { Step::Found { key, child: listing.own, at: listing.at } } else { Step::Asked })
    }

    fn next_child(&mut self) -> Option<Step> {
        loop {
            let level = self.levels.last_mut()?;
            let Some(child) = level.children.next() else {
                self.levels.pop();
                continue;
            };
            let (key, at) = ([level.key.as_slice(), &child.key_name()].concat(), level.at);
            if !key.starts_with(&self.route.prefix) {
                continue;
            }
            let leads_there = self.route.after.as_ref().is_some_and(|after| after.starts_with(&key));
            let is_behind = self.is_behind(&key);
            if child.is_folder && !self.route.one_level && (is_behind || leads_there) {
                self.pending = Some(key.clone());
            }
            if is_behind {
                return Some(Step::Found { key, child, at });
            }
            if self.pending.is_some() {
                return Some(Step::Asked);
            }
        }
    }

    fn is_behind(&self, key: &[u8]) -> bool {
        self.route.after.as_deref().is_none_or(|after| key > after)
    }

    /// Whether a failure concerns one folder, so that the walk goes on beside it.
    fn is_local(&self, error: &Error) -> bool {
        use ErrorClass::{Corrupt, Denied, Exhausted, Unsupported};
        self.begun && matches!(error.class, Denied | Corrupt | Exhausted | Unsupported)
    }

    fn no_folder(&self) -> Error {
        let message = format!(
            "listing failed: {} is not there, or no folder; check host and path, or make the folder",
            self.folder.place.name()
        );
        Error::new(ErrorClass::Configuration, fault::NO_FOLDER, message)
    }
}

/// The folder that everything with a prefix lies in, or is.
fn parent_of_prefix(prefix: &[u8]) -> &[u8] {
    if prefix.ends_with(b"/") { prefix } else { parent(prefix) }
}

fn gone(key: &[u8]) -> Error {
    let message = format!(
        "listing the folder {} failed: the server tells it in the folder above, and does not find it",
        shown(key)
    );
    Error::new(ErrorClass::NotFound, fault::NOT_FOUND, message)
}
