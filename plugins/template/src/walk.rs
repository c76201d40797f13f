//! A listing in the order of keys, folder by folder.

use std::rc::Rc;

use credenza_sdk::wire::Wire;
use credenza_sdk::{Batch, ErrorClass, Found, Result, Scanner};

use crate::dav::{Dav, Member, is_path};

/// Most folders that are listed for one batch.
const LISTINGS_MAX: usize = 64;

/// What a walk covers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extent {
    /// Keys that begin with these bytes.
    pub prefix: Vec<u8>,
    /// Only keys behind this one.
    pub after: Option<Vec<u8>>,
    /// Only what lies directly below the prefix.
    pub one_level: bool,
}

impl Extent {
    fn wants(&self, key: &[u8]) -> bool {
        key.starts_with(&self.prefix) && self.after.as_deref().is_none_or(|after| key > after)
    }

    /// Whether anything below a folder is wanted.
    fn enters(&self, folder: &[u8]) -> bool {
        let is_passed = self.after.as_deref().is_some_and(|after| folder <= after && !after.starts_with(folder));
        folder.starts_with(&self.prefix) && !self.one_level && !is_passed
    }
}

/// A walk that has begun.
#[derive(Debug)]
pub struct Walk<W> {
    dav: Rc<Dav<W>>,
    extent: Extent,
    /// Still to be reported and entered, the next one last.
    waiting: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    Tell(Vec<u8>, Member),
    Enter(Vec<u8>),
}

impl<W: Wire> Walk<W> {
    /// Begins at the folder that the prefix lies in.
    pub fn new(dav: Rc<Dav<W>>, extent: Extent) -> Self {
        let end = extent.prefix.iter().rposition(|byte| *byte == b'/').map_or(0, |place| place + 1);
        let folder = extent.prefix.get(..end).unwrap_or_default().to_vec();
        let mut waiting = Vec::new();
        if folder.is_empty() || is_path(&folder) {
            waiting.push(Step::Enter(folder));
        }
        Self { dav, extent, waiting }
    }

    /// At most `max` entries, and whether there may be more.
    ///
    /// # Errors
    /// A folder that cannot be listed for a reason that passes, or at all.
    pub fn next(&mut self, max: usize) -> Result<Batch> {
        let (mut found, mut listed) = (Vec::new(), 0);
        while found.len() < max && listed < LISTINGS_MAX {
            match self.waiting.pop() {
                None => break,
                Some(Step::Tell(key, member)) => found.push(Found::Entry(member.into_entry(key))),
                Some(Step::Enter(folder)) => {
                    listed += 1;
                    match self.dav.list(&folder) {
                        Ok(Some((itself, members))) => self.enter(&folder, itself, members, &mut found),
                        Ok(None) if folder.is_empty() => return Err(self.dav.missing()),
                        // It went meanwhile, or nothing begins with the prefix.
                        Ok(None) => {}
                        Err(error) if error.class == ErrorClass::Denied && !folder.is_empty() => {
                            found.push(Found::Skipped((folder, error)));
                        }
                        // What was found is reported first; then it is tried again.
                        Err(_) if !found.is_empty() => {
                            self.waiting.push(Step::Enter(folder));
                            break;
                        }
                        Err(error) => {
                            self.waiting.push(Step::Enter(folder));
                            return Err(error);
                        }
                    }
                }
            }
        }
        Ok(Batch { found, more: !self.waiting.is_empty() })
    }

    fn enter(&mut self, folder: &[u8], itself: Member, members: Vec<Member>, found: &mut Vec<Found>) {
        // The walk begins at this folder, so that no other listing tells it.
        if folder == self.extent.prefix && !folder.is_empty() && self.extent.wants(folder) {
            found.push(Found::Entry(itself.into_entry(folder.to_vec())));
        }
        for member in members.into_iter().rev() {
            let key = [folder, &member.name].concat();
            if member.is_folder() && self.extent.enters(&key) {
                self.waiting.push(Step::Enter(key.clone()));
            }
            if self.extent.wants(&key) {
                self.waiting.push(Step::Tell(key, member));
            }
        }
    }
}

impl<W: Wire> Scanner for Walk<W> {
    fn next(&mut self, max: u32) -> Result<Batch> {
        Self::next(self, usize::try_from(max).unwrap_or(usize::MAX))
    }
}
