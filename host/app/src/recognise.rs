//! Whether what is at a location is the repository that was there before.
//!
//! Owned here: judging it by what this machine remembers and by what the settings say is meant. One without encryption is remembered only
//! when somebody says that it is meant. Refused here: the file of what is remembered (`configuration`). Called by `repository`.

use std::fmt::{self, Display};

use credenza_sandbox::SecretText;

use crate::app::App;
use crate::configuration::{Known, KnownRepository, Whereabouts};
use crate::error::{Error, Result};
use crate::notice::Notice;
use crate::place::{Place, PlaceLabel};
use crate::repository::OpenRepository;

/// The setting that says which repository is meant.
pub const REPOSITORY_ID: &str = "repository_id";

/// Another repository in the place of one that was known: somebody may have put it there to read what is backed up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Swapped {
    /// Where it is.
    pub place: PlaceLabel,
    /// What should be there.
    pub expected: Expected,
    /// What is there.
    pub found: KnownRepository,
}

/// What should be at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// What the setting [`REPOSITORY_ID`] names.
    Pinned {
        /// The id there.
        id: String,
    },
    /// What this machine has known there.
    Known {
        /// All that take turns there.
        repositories: Vec<KnownRepository>,
        /// Whether it is taken beside them where [`REPOSITORY_ID`] names it.
        takes_another: bool,
    },
}

impl Display for Swapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.expected {
            Expected::Pinned { id } => write!(f, "its setting {REPOSITORY_ID} says that it is {id}")?,
            Expected::Known { repositories, .. } => {
                let were: Vec<String> = repositories.iter().map(ToString::to_string).collect();
                write!(f, "this machine knows it as {}", were.join(" or "))?;
            }
        }
        write!(f, ", and it is {} now", self.found)
    }
}

impl std::error::Error for Swapped {}

impl App {
    /// Refuses what is not the repository that the location was before; one that is new here is remembered.
    pub(crate) fn recognised(&self, open: OpenRepository) -> Result<OpenRepository> {
        // What stood in for something else is reported.
        let damages = open.repository.opened_despite();
        if !damages.is_empty() {
            self.notice(Notice::OpenedDespite { place: open.place.label(), damages: damages.to_vec() });
        }
        let found = KnownRepository::of(&open.repository);
        let place = open.place.label();
        if let Some(id) = open.place.settings.get(REPOSITORY_ID).map(SecretText::expose).filter(|id| *id != found.id) {
            let expected = Expected::Pinned { id: id.to_owned() };
            return Err(Error::Swapped(Box::new(Swapped { place, expected, found })));
        }
        let server = open.store.server.as_deref();
        let known = self.known(&open.place, server)?;
        // Whoever says which one is meant has several that take turns there.
        let is_told = open.place.settings.contains_key(REPOSITORY_ID);
        match Recognition::of(&found, &known, is_told) {
            Recognition::Known => {}
            Recognition::Swapped => {
                let takes_another = Recognition::of(&found, &known, true) == Recognition::Another;
                let expected = Expected::Known { repositories: known, takes_another };
                return Err(Error::Swapped(Box::new(Swapped { place, expected, found })));
            }
            Recognition::New => {
                if found.encrypted {
                    self.remember(&open.place, server, &found, false);
                }
            }
            Recognition::Another => self.remember(&open.place, server, &found, true),
        }
        Ok(open)
    }

    /// What may be at the place of a repository: what was there when it was first used here.
    pub(crate) fn known(&self, place: &Place, server: Option<&str>) -> Result<Vec<KnownRepository>> {
        let Some(folder) = self.known_folder() else { return Ok(Vec::new()) };
        let known = Known::read(folder)?;
        let mut found = Vec::new();
        for location in place.spellings() {
            let here = known.get(Whereabouts { location: &location, server })?;
            found.extend(here.into_iter().filter(|here| !found.contains(here)).collect::<Vec<_>>());
        }
        Ok(found)
    }

    /// Remembers what is at a place now, instead of what was there or beside it. Where that cannot be kept the next use knows nothing of it,
    /// which is no reason to stop.
    pub(crate) fn remember(&self, place: &Place, server: Option<&str>, repository: &KnownRepository, is_beside: bool) {
        let keep = |location: &String| {
            let whereabouts = Whereabouts { location, server };
            Known::remember(self.configuration_folder()?, whereabouts, repository, is_beside)
        };
        if let Err(error) = place.spellings().iter().try_for_each(keep) {
            let cause = std::error::Error::source(&error).map_or_else(String::new, |cause| format!(": {cause}"));
            self.notice(Notice::NotRemembered { location: place.text(), why: format!("{error}{cause}") });
        }
    }
}

/// What a repository is to this machine.
#[derive(Debug, PartialEq, Eq)]
enum Recognition {
    Known,
    /// Nothing was known of its place.
    New,
    /// Meant, beside those that are known.
    Another,
    /// Something else in their place.
    Swapped,
}

impl Recognition {
    /// One without encryption is never taken beside others, nor one that has the id of one that is known and not its owner: anybody can make
    /// either.
    fn of(found: &KnownRepository, known: &[KnownRepository], is_told: bool) -> Self {
        let is_other = |known: &KnownRepository| known.encrypted && known.id != found.id;
        match known {
            [] => Self::New,
            known if known.contains(found) => Self::Known,
            known if is_told && found.encrypted && known.iter().all(is_other) => Self::Another,
            _ => Self::Swapped,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_is_told_takes_another_repository_and_no_forgery_of_a_known_one() {
        let repository = |id: &str, owner: &str, encrypted| KnownRepository {
            id: id.to_owned(),
            owner: owner.to_owned(),
            encrypted,
        };
        let known = [repository("a", "me", true)];
        for (found, is_told, outcome) in [
            (repository("a", "me", true), false, Recognition::Known),
            (repository("b", "me too", true), false, Recognition::Swapped),
            (repository("b", "me too", true), true, Recognition::Another),
            (repository("b", "nobody", false), true, Recognition::Swapped),
            (repository("a", "a stranger", true), true, Recognition::Swapped),
            (repository("a", "me", false), true, Recognition::Swapped),
        ] {
            assert_eq!(Recognition::of(&found, &known, is_told), outcome, "{found:?}");
        }
        let open = [repository("a", "nobody", false)];
        assert_eq!(Recognition::of(&repository("b", "me", true), &open, true), Recognition::Swapped);
        assert_eq!(Recognition::of(&repository("b", "me", true), &[], false), Recognition::New);
    }
}
