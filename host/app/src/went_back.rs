//! Going back: what this machine remembers of the replicas that it carries to. A replica whose heads are older than those that were seen there was put back itself.
//!
//! Owned here: that comparison, and remembering, beside what the location was (`configuration::known`). Refused here: heads and what an origin has lost
//! (`credenza_engine::replica`). Called around a carry, by whoever carries. A location that this machine does not know yet, as one without encryption, has no memory.

use std::fmt::{self, Display};

use credenza_engine::replica::{self, KeptHeads, Role};
use credenza_model::Timestamp;

use crate::app::App;
use crate::configuration::Known;
use crate::error::Result;
use crate::notice::Notice;
use crate::place::PlaceLabel;
use crate::repository::OpenRepository;

/// A replica that knows less of its origin than it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WentBack {
    /// The replica.
    pub place: PlaceLabel,
    /// How new its origin was when this machine looked last, by the clock of the origin's store.
    pub seen: Timestamp,
    /// How new it is by the replica now; nothing where it keeps nothing of an origin any more.
    pub found: Option<Timestamp>,
}

impl Display for WentBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, seen, found } = self;
        write!(f, "replica {place} was put back: it knew its origin as it was on {seen}, and now ")?;
        match found {
            Some(found) => write!(f, "only as it was on {found}"),
            None => f.write_str("nothing of an origin"),
        }
    }
}

impl App {
    /// Whether a replica knows less of its origin than when this machine last carried to it. Costs two listings where something is remembered.
    ///
    /// # Errors
    /// When its notes cannot be read.
    pub async fn replica_went_back(&self, open: &OpenRepository) -> Result<Option<WentBack>> {
        let id = open.repository.config().repository.to_string();
        let Some(known) = self.known_folder().map(Known::read).transpose()? else { return Ok(None) };
        let seen = open.place.spellings().iter().filter_map(|location| known.heads_seen(location, &id)).max();
        let Some(seen) = seen else { return Ok(None) };
        if matches!(replica::state(&open.repository), Some(Role::Promoted { .. })) {
            return Ok(None);
        }
        let found = replica::kept(&open.repository, &[]).await?.map(|kept| kept.as_of);
        let is_older = found.is_none_or(|found| found < seen);
        Ok(is_older.then(|| WentBack { place: open.place.label(), seen, found }))
    }

    /// Remembers the heads that a replica keeps now. Where that cannot be done the next carry knows nothing of it, which is no reason to stop.
    pub fn remember_heads(&self, open: &OpenRepository, heads: &KeptHeads) {
        let id = open.repository.config().repository.to_string();
        let remember = |location: &String| {
            let folder = self.configuration_folder()?;
            match Known::read(folder)?.heads_seen(location, &id) {
                Some(seen) if seen == heads.as_of => Ok(()),
                _ => Known::see_heads(folder, location, &id, heads.as_of),
            }
        };
        if let Err(error) = open.place.spellings().iter().try_for_each(remember) {
            self.notice(Notice::NotRemembered { location: open.place.text(), why: error.to_string() });
        }
    }
}
