//! The config: what makes a store a repository. Clear text, authenticated by the repository's keys.
//!
//! Three lines: magic and version, one JSON object, `mac` with a keyed BLAKE3 over the two before. Owned here: that
//! document. Called by the engine when it creates and opens a repository.

use credenza_model::{RepositoryId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{ChunkerParams, Error, Hex, Keys, Result, Suite};

const FIRST_LINE: &str = "credenza repository 1";
const CHUNKER: &str = "fastcdc-2020-keyed-gear-1";

/// What holds for a repository for its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Its id, bound into every key.
    pub repository: RepositoryId,
    /// How new objects are sealed.
    pub suite: Suite,
    /// How contents are cut.
    pub chunker: ChunkerParams,
    /// zstd level of backups that name none.
    pub compression: i32,
    /// When it was created, by the clock of who did.
    pub created: Timestamp,
    /// Abilities of the store that were tried at `create` and held.
    pub store_traits: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Document {
    repository: RepositoryId,
    suite: Suite,
    chunker: ChunkerDocument,
    compression: i32,
    created: Timestamp,
    store_traits: Vec<String>,
    /// Abilities that a program must have to touch the repository at all.
    required: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct ChunkerDocument {
    algorithm: String,
    #[serde(flatten)]
    params: ChunkerParams,
}

impl Config {
    /// The document, authenticated.
    ///
    /// # Errors
    /// Never for a config of this program; the encoder's word for it otherwise.
    pub fn encode(&self, keys: &Keys) -> Result<Vec<u8>> {
        let document = Document {
            repository: self.repository,
            suite: self.suite,
            chunker: ChunkerDocument { algorithm: CHUNKER.to_owned(), params: self.chunker },
            compression: self.compression,
            created: self.created,
            store_traits: self.store_traits.clone(),
            required: Vec::new(),
        };
        let json = serde_json::to_string(&document).map_err(|cause| malformed(cause.to_string()))?;
        let clear = format!("{FIRST_LINE}\n{json}\n");
        let mac = keys.config_mac(clear.as_bytes()).to_hex();
        Ok(format!("{clear}mac {mac}\n").into_bytes())
    }

    /// Reads a document without believing it yet.
    ///
    /// # Errors
    /// [`Error::Malformed`]; [`Error::Unsupported`] for a later format.
    pub fn decode(bytes: &[u8]) -> Result<UnverifiedConfig> {
        let text = std::str::from_utf8(bytes).map_err(|_| malformed("it is not text"))?;
        let (first, rest) = text.split_once('\n').ok_or_else(|| malformed("its first line is missing"))?;
        if first != FIRST_LINE {
            let later = first.starts_with("credenza repository ");
            return Err(if later {
                Error::Unsupported { what: "a repository of a later format" }
            } else {
                malformed("it is not the config of a credenza repository")
            });
        }
        let (json, last) = rest.split_once('\n').ok_or_else(|| malformed("its second line is missing"))?;
        let mac = last
            .strip_prefix("mac ")
            .and_then(|mac| mac.strip_suffix('\n'))
            .ok_or_else(|| malformed("its last line is missing"))?;
        let mac = blake3::Hash::from_hex(mac).map_err(|_| malformed("its last line holds no digest"))?;
        let document: Document = serde_json::from_str(json).map_err(|cause| malformed(cause.to_string()))?;
        if !document.required.is_empty() || document.chunker.algorithm != CHUNKER {
            return Err(Error::Unsupported { what: "a repository that needs abilities this program does not have" });
        }
        let config = Self {
            repository: document.repository,
            suite: document.suite,
            chunker: document.chunker.params.validated()?,
            compression: document.compression,
            created: document.created,
            store_traits: document.store_traits,
        };
        Ok(UnverifiedConfig {
            config,
            clear: bytes.get(..bytes.len().saturating_sub(last.len())).unwrap_or_default().to_vec(),
            mac,
        })
    }
}

/// A config that was read and not yet authenticated.
#[derive(Debug, Clone)]
pub struct UnverifiedConfig {
    config: Config,
    clear: Vec<u8>,
    mac: blake3::Hash,
}

impl UnverifiedConfig {
    /// Whose config it claims to be.
    #[must_use]
    pub fn repository(&self) -> RepositoryId {
        self.config.repository
    }

    /// How it claims objects are sealed.
    #[must_use]
    pub fn suite(&self) -> Suite {
        self.config.suite
    }

    /// Whether it takes a secret to go on.
    #[must_use]
    pub fn encrypted(&self) -> bool {
        self.config.suite.encrypts()
    }

    /// The config, if these keys made it.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it was changed since.
    pub fn verify(self, keys: &Keys) -> Result<Config> {
        // `blake3::Hash` compares in constant time.
        if keys.config_mac(&self.clear) == self.mac {
            Ok(self.config)
        } else {
            Err(malformed("its authentication does not fit: it was changed"))
        }
    }
}

fn malformed(problem: impl Into<String>) -> Error {
    Error::Malformed { what: "the config of the repository", problem: problem.into() }
}

/// BLAKE3 of a document's body, by which others name it.
#[must_use]
pub fn body_digest(body: &[u8]) -> Hex<[u8; 32]> {
    Hex(*blake3::hash(body).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Keyring;
    use proptest::prelude::*;

    fn config() -> Config {
        Config {
            repository: RepositoryId::new([5; 16]),
            suite: Suite::Aes256Gcm,
            chunker: ChunkerParams::default(),
            compression: 1,
            created: Timestamp::default(),
            store_traits: vec!["if-absent".into()],
        }
    }

    #[test]
    fn a_config_verifies_with_its_keys_only() {
        let keys = Keyring::generate().unwrap().keys(config().repository, Suite::Aes256Gcm);
        let bytes = config().encode(&keys).unwrap();
        assert_eq!(Config::decode(&bytes).unwrap().verify(&keys).unwrap(), config());
        let others = Keyring::generate().unwrap().keys(config().repository, Suite::Aes256Gcm);
        assert!(Config::decode(&bytes).unwrap().verify(&others).is_err());
    }

    proptest! {
        #[test]
        fn no_changed_byte_passes(at in any::<proptest::sample::Index>(), to: u8) {
            let keys = Keyring::public().keys(config().repository, Suite::Aes256Gcm);
            let mut bytes = config().encode(&keys).unwrap();
            let at = at.index(bytes.len());
            prop_assume!(bytes[at] != to);
            bytes[at] = to;
            // Hexadecimal digits of the mac have one form only, so even their case counts.
            let upper_case_mac = bytes[at].is_ascii_uppercase() && at > bytes.len() - 70;
            prop_assert!(upper_case_mac || Config::decode(&bytes).and_then(|config| config.verify(&keys)).is_err());
        }
    }

    #[test]
    fn a_later_format_is_named_as_such() {
        assert!(matches!(Config::decode(b"credenza repository 2\n{}\nmac 0\n"), Err(Error::Unsupported { .. })));
    }
}
