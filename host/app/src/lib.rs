//! What every program over the engine needs and no program prints: the configuration, locations and the places they stand for, the
//! connectors that reach them, secrets, and opening repositories.
//!
//! Owned here: which place is meant, how it is reached, what opens it, and whether it is the one that was there before; the rules of
//! removal and pruning; the steps of a check of a place. Errors and notices are values. Refused here: printing, asking, flags, exit codes
//! (`cli`), what a repository is (`engine`), WebAssembly (`sandbox`). Called by every program that works with repositories.
//!
//! [`App`] is the one handle: cheap to clone, shared by any number of tasks, with one WebAssembly engine for all of them.
//!
//! ```no_run
//! use credenza_app::secret::{self, SecretSources};
//! use credenza_app::{App, AppOptions, Kind, OpenOptions, Settings, StoreUse};
//!
//! # async fn list() -> Result<(), Box<dyn std::error::Error>> {
//! let app = App::new(AppOptions::from_environment());
//! let place = app.place(Kind::Repository, "s3://s3.eu-west-1.amazonaws.com/backups".as_ref(), Settings::new())?;
//! let secret = secret::provided(&SecretSources::default(), &place.settings)?;
//! let options = OpenOptions { purpose: StoreUse::Read, secret, accept_plaintext: false };
//! let open = app.open_repository(place, options).await?;
//! for snapshot in open.repository.snapshots().await?.whole {
//!     println!("{}", snapshot.snapshot.id);
//! }
//! # Ok(())
//! # }
//! ```

mod app;
pub mod array;
mod ask;
mod aws;
pub mod bootstrap;
mod changed;
mod check_place;
mod choice;
mod configuration;
mod connectors;
pub mod cost;
mod credentials;
pub mod environment;
mod error;
pub mod estimate;
mod fallback;
mod fields;
pub mod guarantees;
pub mod home;
pub mod jobs;
mod kept;
pub mod live;
mod location;
mod login;
mod mistaken;
mod notice;
mod occupied;
mod open;
pub mod passphrase;
mod path_list;
pub mod patterns;
mod place;
mod profiles;
pub mod protection;
pub mod prune;
mod recognise;
pub mod remove;
mod repository;
pub mod restored;
pub mod search;
pub mod secret;
pub mod shell;
pub mod signing;
#[cfg(test)]
mod simulated;
mod snapshot_path;
pub mod stream;
pub mod sync;
mod tokens;
#[cfg(test)]
mod trouble;
pub mod units;
pub mod users;
mod went_back;

pub use app::{App, AppOptions};
pub use ask::{Ask, Nobody};
pub use changed::FilledIn;
pub use check_place::PlaceCheck;
pub use choice::{Choice, ChoiceError, Chosen, Doubt};
pub use configuration::{
    Configuration, ConfigurationError, HOST_SETTINGS, HostSetting, Kind, Known, KnownRepository, PlaceName, Settings,
    Whereabouts, is_boolean, is_for_repositories, is_path, is_secret, suggestion,
};
pub use connectors::{
    Component, ComponentFault, Connectors, ConnectorsError, Given, Installation, Origin, Pin, Published, Trust,
};
pub use credentials::CredentialError;
pub use credenza_sandbox::{DeviceCode, LoginError, OCI, Recorder, SecretText};
pub use error::{Error, FileFault, Result};
pub use fallback::ReplicaWith;
pub use fields::{Field, Input, Offer};
pub use home::HomeError;
pub use kept::KeepError;
pub use location::{Location, LocationError};
pub use login::{Login, NoLogin};
pub use mistaken::{Meant, MistakenError};
pub use notice::{NoNotices, Notice, Notices};
pub use open::{DestinationUse, Opened, StoreUse};
pub use path_list::{PathList, PathListError};
pub use place::{Place, PlaceError, PlaceLabel, expand, require_boolean};
pub use profiles::NoProfile;
pub use recognise::{Expected, REPOSITORY_ID, Swapped};
pub use repository::{OpenOptions, OpenRepository, usual_options};
pub use snapshot_path::{InvalidSnapshotName, Located, SnapshotPath};
pub use went_back::WentBack;
