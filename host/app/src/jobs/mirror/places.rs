//! The places of a mirror: its source, and each target as something to write and to list, with what was spent on them.
//!
//! Owned here: how they are opened. Refused here: what is done there (`engine::mirror`). Called by the runs of mirrors.

use std::ffi::OsStr;
use std::sync::Arc;

use credenza_connect::{Destination, Source};
use credenza_engine::mirror::Target;
use credenza_sandbox::SecretText;

use super::super::sections::mirror::Mirror;
use crate::app::App;
use crate::configuration::{Kind, Settings};
use crate::cost::Bill;
use crate::error::{Error, Result};
use crate::location::Location;
use crate::open::{DestinationUse, Opened};
use crate::place::Place;

/// The setting of a connector by which versions are listed.
const VERSIONS: &str = "versions";

/// A target that is open.
pub(super) struct OpenTarget {
    destination: Opened<dyn Destination>,
    listing: Opened<dyn Source>,
}

impl OpenTarget {
    /// Opens one of a mirror's.
    ///
    /// # Errors
    /// When it cannot be reached, or its settings are refused.
    pub(super) async fn of(app: &App, mirror: &Mirror, word: &str, purpose: DestinationUse) -> Result<Self> {
        let place = place(app, mirror, (Kind::Destination, word))?;
        let listing = app.source(&place, None).await?;
        Ok(Self { destination: app.destination(&place, purpose).await?, listing })
    }

    /// What the engine makes what a cut holds.
    pub(super) fn target(&self) -> Target {
        Target { destination: Arc::clone(&self.destination.connector), listing: Arc::clone(&self.listing.connector) }
    }

    /// A bill with what was spent here, too.
    pub(super) fn billed(&self, bill: Bill) -> Bill {
        self.listing.billed(self.destination.billed(bill))
    }
}

/// A place of a mirror; where its versions count, with the setting that has them listed.
///
/// # Errors
/// When it is none, or a folder whose versions are to count.
pub(super) fn place(app: &App, mirror: &Mirror, (kind, word): (Kind, &str)) -> Result<Place> {
    let mut settings = Settings::new();
    if mirror.versions {
        settings.insert(VERSIONS.to_owned(), SecretText::new("true"));
    }
    let place = app.place(kind, OsStr::new(word), settings)?;
    match &place.location {
        Location::Folder(_) if mirror.versions => {
            Err(Error::FolderSetting { place: place.label(), setting: VERSIONS.to_owned() })
        }
        _ => Ok(place),
    }
}
