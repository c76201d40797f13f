//! What can go wrong between a program and the engine.
//!
//! Owned here: one type over the errors of all crates, with fields that a program can judge by. Refused here: hints, flags, exit codes (the
//! program). An error says what failed; its source, where it has one, says why.

use std::io;

use credenza_connect::Error as ConnectError;
use credenza_engine::Error as EngineError;
use credenza_engine::retention::Excess;
use credenza_format::InvalidSigningKey;
use credenza_model::{Key, SnapshotId};
use credenza_sandbox::{ConfigureError, LoadError, RuntimeError};

use crate::bootstrap::BootstrapError;
use crate::choice::ChoiceError;
use crate::configuration::{ConfigurationError, KnownRepository};
use crate::connectors::{ConnectorsError, Origin};
use crate::cost::prices::PricesError;
use crate::credentials::CredentialError;
use crate::home::HomeError;
use crate::jobs::guard::AcknowledgeError;
use crate::jobs::mirror::circles::Circle;
use crate::kept::KeepError;
use crate::location::LocationError;
use crate::login::NoLogin;
use crate::mistaken::MistakenError;
use crate::passphrase::PassphraseError;
use crate::patterns::PatternsError;
use crate::place::{PlaceError, PlaceLabel};
use crate::profiles::NoProfile;
use crate::recognise::Swapped;
use crate::remove::RemovalError;
use crate::secret::SecretError;
use crate::signing::SigningError;
use crate::snapshot_path::InvalidSnapshotName;

/// The result of what this crate does.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Something failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The engine says it, of no place in particular.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The engine says it of the repository at a place.
    #[error("{source}")]
    Repository {
        /// Where it is.
        place: PlaceLabel,
        /// What it says.
        source: Box<EngineError>,
    },
    /// There is no repository.
    #[error("there is no repository in {place}")]
    NoRepository {
        /// Where it should be.
        place: PlaceLabel,
        /// What was there, if this machine knew one: its disk may not be mounted.
        known: Option<KnownRepository>,
    },
    /// Other things are where a repository is to be made.
    #[error("{place} holds other things: {}", listed(names, *count))]
    Occupied {
        /// Where.
        place: PlaceLabel,
        /// How many there are, as far as was looked.
        count: usize,
        /// The first of them.
        names: Vec<String>,
    },
    /// Another repository is where one was known.
    #[error("what is at {} is not the repository that was there before", .0.place)]
    Swapped(#[source] Box<Swapped>),
    /// Snapshots would go to the repository that they come from.
    #[error("{place} is the repository that the snapshots come from")]
    SameRepository {
        /// Where it is.
        place: PlaceLabel,
    },
    /// Nobody meant to write to a repository that everybody can read.
    #[error("the repository in {place} is not encrypted, and this machine does not know it")]
    NotEncrypted {
        /// Where it is.
        place: PlaceLabel,
    },
    /// A word that is not taken for a folder.
    #[error(transparent)]
    Mistaken(#[from] MistakenError),
    /// The configuration.
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    /// A place that cannot be meant.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// A profile of AWS's files that is not there.
    #[error(transparent)]
    Profile(#[from] NoProfile),
    /// A setting that is not kept.
    #[error(transparent)]
    Keep(#[from] KeepError),
    /// A login.
    #[error(transparent)]
    Login(#[from] NoLogin),
    /// A text that is no location.
    #[error(transparent)]
    Location(#[from] LocationError),
    /// A `~` that stands for nothing.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// A word that names no snapshot.
    #[error(transparent)]
    SnapshotName(#[from] InvalidSnapshotName),
    /// A name that means no snapshot for sure.
    #[error(transparent)]
    Choice(#[from] ChoiceError),
    /// A path that a snapshot does not hold.
    #[error("snapshot {snapshot} holds nothing at or under `{path}`")]
    NotInSnapshot {
        /// The snapshot.
        snapshot: SnapshotId,
        /// The path, as it was typed.
        path: Key,
        /// The key that is most like it, in the same folder.
        near: Option<Key>,
    },
    /// A setting that a folder does not have.
    #[error("the folder {place} has no setting `{}`", setting.escape_debug())]
    FolderSetting {
        /// The folder.
        place: PlaceLabel,
        /// The setting.
        setting: String,
    },
    /// A call of a connector, a built-in one too.
    #[error("{doing} failed")]
    Connector {
        /// What was being done.
        doing: &'static str,
        /// What the connector says.
        #[source]
        cause: ConnectError,
    },
    /// The components at hand.
    #[error(transparent)]
    Connectors(#[from] ConnectorsError),
    /// The WebAssembly engine does not start.
    #[error("connectors cannot be run here")]
    Sandbox(#[from] RuntimeError),
    /// A component that the sandbox refuses.
    #[error("the connector for `{scheme}://` ({origin}) cannot be used")]
    Load {
        /// What it was to serve.
        scheme: String,
        /// Where it is from.
        origin: Origin,
        /// Why.
        source: LoadError,
    },
    /// Settings that a connector refuses.
    #[error(transparent)]
    Configure(#[from] ConfigureError),
    /// A secret that cannot be read, or is none.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A secret of a connector that cannot be read.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// A passphrase that cannot be read, or is too weak.
    #[error(transparent)]
    Passphrase(#[from] PassphraseError),
    /// The answer of whoever was asked for the passphrase.
    #[error("the passphrase could not be read")]
    Ask {
        /// Why.
        source: io::Error,
    },
    /// A signing key.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// The setting `trusted_signers`.
    #[error("the setting `trusted_signers` is wrong")]
    TrustedSigners(#[from] InvalidSigningKey),
    /// Patterns of what to leave out.
    #[error(transparent)]
    Patterns(#[from] PatternsError),
    /// Neither the caller nor the repository says which snapshots to keep.
    #[error("nothing says which snapshots to keep")]
    NoPolicy,
    /// A copy is to keep the same as a repository that has no policy.
    #[error("{repository} has no policy of its own that its copy could keep the same by")]
    NoPolicyAt {
        /// The repository, as it is written.
        repository: String,
    },
    /// The table of prices.
    #[error(transparent)]
    Prices(#[from] PricesError),
    /// A budget of money cannot be kept at a place whose prices nobody knows.
    #[error("a budget of money cannot be kept: no price is known for {place}")]
    NoPrice {
        /// The place.
        place: PlaceLabel,
    },
    /// More would be removed than somebody usually means.
    #[error("this plan removes more than is usual")]
    ExcessivePlan(#[from] Excess),
    /// A machine that cannot be set up.
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
    /// Suspect snapshots that cannot be cleared as was asked.
    #[error(transparent)]
    Acknowledge(#[from] AcknowledgeError),
    /// A mirror that would never come to rest.
    #[error(transparent)]
    Circle(#[from] Circle),
    /// Snapshots were to go and did not, or without a record.
    #[error(transparent)]
    Removal(#[from] RemovalError),
}

impl Error {
    /// What the engine says, where it is that which failed.
    #[must_use]
    pub fn engine(&self) -> Option<&EngineError> {
        match self {
            Self::Engine(error) => Some(error),
            Self::Repository { source, .. } => Some(source),
            _ => None,
        }
    }
}

fn listed(names: &[String], count: usize) -> String {
    let shown: Vec<String> = names.iter().map(|name| name.escape_debug().to_string()).collect();
    match count.saturating_sub(names.len()) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Why the content of a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileFault {
    /// The system says it.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is larger than any such file: probably the name of the wrong one.
    #[error("it has more than {bytes_max} bytes")]
    TooLarge {
        /// The most that is read.
        bytes_max: u64,
    },
}
