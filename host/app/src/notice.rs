//! What a person should know while places are opened, and what is no error.
//!
//! Owned here: which notices there are. Refused here: their words, and whether one is shown again that was shown before (the program).

use std::path::PathBuf;

use credenza_engine::Damage;
use credenza_model::Timestamp;
use serde::{Serialize, Serializer};

use crate::configuration::KnownRepository;
use crate::place::PlaceLabel;

/// Something worth knowing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "notice", rename_all = "snake_case")]
pub enum Notice {
    /// A component serves a location for this run although nobody has agreed to what it may do.
    ForeignConnector {
        /// As its manifest says; a stranger's text.
        name: String,
        /// As its manifest says; a stranger's text.
        version: String,
        /// Its file.
        path: PathBuf,
        /// SHA-256 of the file, in hexadecimal.
        sha256: String,
    },
    /// Components are compiled at every start, because the folder for compiled ones cannot be used.
    NoCompiledCache {
        /// A sentence.
        why: String,
    },
    /// Requests go through a proxy.
    Proxy {
        /// Host and port that they are for.
        server: String,
        /// The proxy, without its credentials.
        proxy: String,
    },
    /// Requests go to a server that the surroundings name, because no setting names one.
    AmbientServer {
        /// Host and port, and the path there.
        server: String,
        /// Who names it: a variable, or a profile.
        named_by: String,
    },
    /// A file of AWS's tools cannot be read, so that nothing is taken from it.
    AwsFileUnreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Something is waited for: another try of what failed, or an answer that does not come. Each cause comes once, and then less and less often.
    Waiting {
        /// Short machine-readable cause, such as `connect`.
        reason: String,
        /// A sentence: what happened, to what.
        cause: String,
        /// Tries that were made; none when the answer to the first is waited for.
        tries: u32,
        /// Milliseconds until the next try, if there is one to come.
        next_in_ms: Option<u64>,
    },
    /// Other users can read the configuration, and with it the secrets in it.
    ConfigurationReadable {
        /// Its file.
        path: PathBuf,
    },
    /// No connector is at hand to say whether a setting is one of its own; it is kept.
    UnjudgedSetting {
        /// The setting.
        setting: String,
    },
    /// What is at a location cannot be remembered, so that another repository in its place would go unnoticed.
    NotRemembered {
        /// The location.
        location: String,
        /// Why.
        why: String,
    },
    /// A repository is made where this machine knows another, which it will know no more.
    KnownBefore {
        /// Where.
        place: PlaceLabel,
        /// What was there.
        known: KnownRepository,
    },
    /// A replica cannot be opened or has failed, and is asked no more.
    ReplicaPassedOver {
        /// What it is called.
        replica: String,
        /// Why.
        why: String,
    },
    /// A repository is gone, and a replica of it was opened in its place.
    ReplicaInstead {
        /// Where the repository should be.
        place: PlaceLabel,
        /// What the replica is called.
        replica: String,
        /// What is wrong with the repository.
        why: String,
        /// When the newest snapshot of the replica was made, if it has any.
        newest: Option<Timestamp>,
        /// How old that is now, in seconds.
        behind_seconds: Option<i64>,
    },
    /// A repository was opened although something of it is damaged, because something else stood in.
    OpenedDespite {
        /// Where it is.
        place: PlaceLabel,
        /// What is damaged.
        #[serde(serialize_with = "as_texts")]
        damages: Vec<Damage>,
    },
}

/// Hears notices. Called from any task; it must not wait.
pub trait Notices: Send + Sync {
    /// One notice. The same may come again, each time that a place is opened.
    fn notice(&self, notice: Notice);
}

/// Hears nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoNotices;

impl Notices for NoNotices {
    fn notice(&self, _: Notice) {}
}

fn as_texts<S: Serializer>(damages: &[Damage], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(damages.iter().map(ToString::to_string))
}
