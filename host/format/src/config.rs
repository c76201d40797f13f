//! The config of a repository: what must be known before and after it is unlocked.
//!
//! A text document (`lines`) whose seal is a signature of the repository's own key. Owned here: its codec and its refusal of repositories that need a newer
//! program. Anybody who can write to the store can replace it by that of a repository without encryption: whoever was given a
//! passphrase must refuse to go on without it.

use std::collections::BTreeMap;

use credenza_model::{RepositoryId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::lines::{self, LinesError};
use crate::{CHUNKER_ALGORITHM, ChunkerParams, Hex, Keys, ParityRate, Policy, Suite};

const TITLE: &str = "credenza repository";
const VERSION: u32 = 1;
const SEAL: &str = "signature";
/// Features that a repository may require and this program has.
const FEATURES: [&str; 1] = [PARITY_FEATURE];
/// Packs have parity: who writes, moves or deletes a pack must know of it.
const PARITY_FEATURE: &str = "parity";

/// Why a repository cannot be opened by its config.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Not a config at all, or a damaged one.
    #[error("the config of the repository is damaged: {problem}")]
    Malformed {
        /// Which rule is broken.
        problem: String,
    },
    /// A later program made the repository.
    #[error("the repository has format version {found} and this credenza reads version {VERSION}: use a newer one")]
    Version {
        /// What the config says.
        found: String,
    },
    /// The repository uses something that this program does not have.
    #[error("the repository requires `{feature}`, which this credenza does not know: use a newer one")]
    Feature {
        /// The feature.
        feature: String,
    },
    /// The chunker is not known.
    #[error("the repository cuts content with `{algorithm}`, which this credenza does not know: use a newer one")]
    Chunker {
        /// The algorithm's id.
        algorithm: String,
    },
    /// The signature does not fit.
    #[error("the config of the repository was changed by somebody without its key, or is damaged")]
    Forged,
    /// The keys are a writer's.
    #[error("keys that may add and not read cannot change the config of the repository")]
    NoAccess,
}

/// How content is cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkerConfig {
    /// The algorithm's id: [`CHUNKER_ALGORITHM`].
    pub algorithm: String,
    /// Its sizes.
    #[serde(flatten)]
    pub params: ChunkerParams,
}

impl Default for ChunkerConfig {
    fn default() -> Self {
        Self { algorithm: CHUNKER_ALGORITHM.to_owned(), params: ChunkerParams::default() }
    }
}

/// A repository that takes its snapshots from another, its origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaOf {
    /// The origin.
    pub origin: RepositoryId,
    /// Since when, by the clock of the machine that made it a replica.
    pub since: Timestamp,
    /// When it was promoted, by the clock of the machine that did it: it takes backups since, and nothing from the origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promoted: Option<Timestamp>,
}

/// The settings of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Its id.
    pub repository: RepositoryId,
    /// The suite that new objects are sealed with.
    pub suite: Suite,
    /// Whether a key slot must be opened.
    pub encrypted: bool,
    /// How content is cut.
    pub chunker: ChunkerConfig,
    /// The zstd level of content when the command does not say.
    pub compression_level: i32,
    /// The epoch that new objects are sealed under.
    pub epoch: u32,
    /// When the repository was created.
    pub created: Timestamp,
    /// How often it was written again: of two that are authentic the one with the higher number is the newer.
    #[serde(default)]
    pub revision: u64,
    /// What the store was found to do: `if-absent`, `if-match`, `ranged-get` …
    #[serde(default)]
    pub store_traits: Vec<String>,
    /// What a program must know to open the repository.
    #[serde(default)]
    pub required_features: Vec<String>,
    /// Which snapshots are to be kept, for a prune that is reported nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
    /// For how many days the store is told to let nobody delete a snapshot and what it needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retain_days: Option<u32>,
    /// How much parity each pack has; none where it was not asked for.
    #[serde(default, rename = "parity_percent", skip_serializing_if = "Option::is_none")]
    pub parity: Option<ParityRate>,
    /// Which repository it is a replica of, or was until somebody promoted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replica_of: Option<ReplicaOf>,
    /// Fields of later programs, kept when the config is written again.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, serde_json::Value>,
}

/// A config of which nothing is proven yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnverifiedConfig {
    config: Config,
    sealed: Vec<u8>,
    signature: Hex<[u8; 64]>,
}

impl Config {
    /// What a program must know to open a repository with or without parity.
    #[must_use]
    pub fn features(parity: Option<ParityRate>) -> Vec<String> {
        parity.map(|_| PARITY_FEATURE.to_owned()).into_iter().collect()
    }

    /// The config as it is stored.
    ///
    /// # Errors
    /// [`ConfigError::Malformed`] when it cannot be written as JSON, [`ConfigError::NoAccess`] with keys that may add and not read.
    pub fn encode(&self, keys: &Keys) -> Result<Vec<u8>, ConfigError> {
        let text = lines::unsealed(TITLE, VERSION, self).map_err(|error| malformed(error.to_string()))?;
        let signature = keys.sign_text(text.as_bytes()).map_err(|_| ConfigError::NoAccess)?;
        Ok(lines::sealed(text, SEAL, Hex(signature)))
    }

    /// Reads a config without trusting it.
    ///
    /// # Errors
    /// [`ConfigError`] for everything but the signature, which [`UnverifiedConfig::verify`] checks.
    pub fn decode(bytes: &[u8]) -> Result<UnverifiedConfig, ConfigError> {
        let lines = lines::split(bytes, TITLE, VERSION, SEAL).map_err(|error| match error {
            LinesError::Version(found) => ConfigError::Version { found },
            LinesError::Shape(problem) => malformed(problem),
        })?;
        let config: Self = lines::parse(&lines).map_err(malformed)?;
        if let Some(feature) = config.required_features.iter().find(|feature| !FEATURES.contains(&feature.as_str())) {
            return Err(ConfigError::Feature { feature: feature.clone() });
        }
        if config.chunker.algorithm != CHUNKER_ALGORITHM {
            return Err(ConfigError::Chunker { algorithm: config.chunker.algorithm });
        }
        if config.encrypted != config.suite.encrypts() {
            return Err(malformed("whether it is encrypted contradicts its suite"));
        }
        let requires_parity = config.required_features.iter().any(|feature| feature == PARITY_FEATURE);
        if config.parity.is_some() != requires_parity {
            return Err(malformed("whether it has parity contradicts its required features"));
        }
        let signature = serde_json::from_value(lines.seal.into())
            .map_err(|_| malformed("its seal is not 128 hexadecimal digits"))?;
        Ok(UnverifiedConfig { sealed: lines.sealed.to_vec(), signature, config })
    }
}

impl UnverifiedConfig {
    /// The id of the repository, which unlocking needs. Slots and keys are bound to it: a false one opens nothing.
    #[must_use]
    pub fn repository(&self) -> RepositoryId {
        self.config.repository
    }

    /// Whether a key slot must be opened. A false answer must not make anybody go on without the secret that they were given.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.config.encrypted
    }

    /// The config, once its signature fits.
    ///
    /// # Errors
    /// [`ConfigError::Forged`] when it does not.
    pub fn verify(self, keys: &Keys) -> Result<Config, ConfigError> {
        let authentic = keys.verify_text(&self.sealed, &self.signature.0);
        if authentic && keys.repository() == self.config.repository {
            Ok(self.config)
        } else {
            Err(ConfigError::Forged)
        }
    }
}

fn malformed(problem: impl Into<String>) -> ConfigError {
    ConfigError::Malformed { problem: problem.into() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Keyring;

    fn config(repository: RepositoryId) -> Config {
        Config {
            repository,
            suite: Suite::Aes256Gcm,
            encrypted: true,
            chunker: ChunkerConfig::default(),
            compression_level: 1,
            epoch: 0,
            created: Timestamp { seconds: 1_800_000_000, nanoseconds: 0 },
            revision: 3,
            store_traits: vec!["if-absent".to_owned()],
            required_features: Vec::new(),
            policy: None,
            retain_days: None,
            parity: None,
            replica_of: None,
            unknown: BTreeMap::new(),
        }
    }

    fn keys() -> Keys {
        Keyring::generate().unwrap().keys(RepositoryId::new([1; 16]))
    }

    proptest! {
        #[test]
        fn a_changed_byte_is_found_wherever_it_is(place: prop::sample::Index, change in 1..=255_u8) {
            let keys = keys();
            let mut bytes = config(keys.repository()).encode(&keys).unwrap();
            let place = place.index(bytes.len());
            bytes[place] ^= change;
            prop_assert!(Config::decode(&bytes).is_err(), "byte {place}, without a key");
        }

        #[test]
        fn a_change_under_a_mended_checksum_is_found_with_the_key(place: prop::sample::Index, change in 1..=255_u8) {
            let keys = keys();
            let mut bytes = config(keys.repository()).encode(&keys).unwrap();
            let place = place.index(bytes.len() - lines::CHECKSUM_LINE_BYTES);
            bytes[place] ^= change;
            // The digits of the code mean the same in upper case; every other change shows.
            let digit_case = change == 0x20 && bytes[place].is_ascii_uppercase();
            let opened = Config::decode(&lines::mended(bytes)).and_then(|config| config.verify(&keys));
            prop_assert!(opened.is_err() || digit_case, "byte {place}");
        }
    }

    #[test]
    fn a_config_reads_back_and_tells_its_repository_before_it_is_unlocked() {
        let keys = keys();
        let unverified = Config::decode(&config(keys.repository()).encode(&keys).unwrap()).unwrap();
        assert_eq!(unverified.repository(), keys.repository());
        assert!(unverified.is_encrypted());
        assert_eq!(unverified.verify(&keys), Ok(config(keys.repository())));
    }

    #[test]
    fn a_policy_and_fields_of_later_programs_survive_being_written_anew() {
        let keys = keys();
        let policy = Some(Policy { daily: 7, within_seconds: Some(3600), ..Policy::default() });
        let unknown = BTreeMap::from([("novelty".to_owned(), serde_json::json!([1]))]);
        let config = Config { policy, unknown, ..config(keys.repository()) };
        let read = Config::decode(&config.encode(&keys).unwrap()).unwrap().verify(&keys).unwrap();
        assert_eq!(read, config);
        assert_eq!(Config::decode(&read.encode(&keys).unwrap()).unwrap().verify(&keys), Ok(config));
    }

    #[test]
    fn the_time_of_locks_is_kept_and_takes_no_room_where_there_is_none() {
        let keys = keys();
        let locking = Config { retain_days: Some(30), ..config(keys.repository()) };
        let read = Config::decode(&locking.encode(&keys).unwrap()).unwrap().verify(&keys);
        assert_eq!(read, Ok(locking));
        let plain = String::from_utf8(config(keys.repository()).encode(&keys).unwrap()).unwrap();
        assert!(!plain.contains("retain"));
    }

    #[test]
    fn parity_is_kept_together_with_the_feature_that_it_requires() {
        let keys = keys();
        let parity = ParityRate::of_percent(5);
        let parted = Config { parity, required_features: Config::features(parity), ..config(keys.repository()) };
        let read = Config::decode(&parted.encode(&keys).unwrap()).unwrap().verify(&keys);
        assert_eq!(read, Ok(parted.clone()));
        let halves = [Config { parity: None, ..parted.clone() }, Config { required_features: Vec::new(), ..parted }];
        for half in halves {
            assert!(matches!(Config::decode(&half.encode(&keys).unwrap()), Err(ConfigError::Malformed { .. })));
        }
        let plain = String::from_utf8(config(keys.repository()).encode(&keys).unwrap()).unwrap();
        assert!(!plain.contains("parity"));
    }

    #[test]
    fn a_writer_verifies_it_and_cannot_change_it() {
        let keyring = Keyring::generate().unwrap();
        let keys = keyring.keys(RepositoryId::new([1; 16]));
        let writer = keyring.for_writer(keys.repository()).keys(keys.repository());
        let bytes = config(keys.repository()).encode(&keys).unwrap();
        assert_eq!(Config::decode(&bytes).unwrap().verify(&writer), Ok(config(keys.repository())));
        assert_eq!(config(keys.repository()).encode(&writer), Err(ConfigError::NoAccess));
    }

    #[test]
    fn another_key_refuses_it() {
        let keys = keys();
        let bytes = config(keys.repository()).encode(&keys).unwrap();
        assert_eq!(Config::decode(&bytes).unwrap().verify(&self::keys()), Err(ConfigError::Forged));
    }

    #[test]
    fn what_a_newer_program_made_is_refused_with_its_reason() {
        let keys = keys();
        let newer = Config { required_features: vec!["teleport".to_owned()], ..config(keys.repository()) };
        let refused = Config::decode(&newer.encode(&keys).unwrap());
        assert!(matches!(refused, Err(ConfigError::Feature { feature }) if feature == "teleport"));
        let mut newer = config(keys.repository());
        newer.chunker.algorithm = "other".to_owned();
        assert!(matches!(Config::decode(&newer.encode(&keys).unwrap()), Err(ConfigError::Chunker { .. })));
        let text = String::from_utf8(config(keys.repository()).encode(&keys).unwrap()).unwrap();
        let refused = Config::decode(text.replace("repository 1\n", "repository 2\n").as_bytes());
        assert!(matches!(refused, Err(ConfigError::Version { found }) if found == "2"));
    }
}
