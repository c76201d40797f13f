//! The keyring that key slots wrap: all secrets of a repository, or what a writer may have of them.
//!
//! Owned here: both kinds, their codec, rotation, and what a writer is given. Refused here: what objects are sealed with (`keys`).

use credenza_model::RepositoryId;
use serde::{Deserialize, Serialize};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{derive, random, sign};
use crate::wire::{Fields, length_u32};
use crate::{Error, ObjectKind, Result, Suite};

const WRITER_CONTEXT: &str = "credenza v1 2026-11-24 writer id";
const EXCHANGE_CONTEXT: &str = "credenza v1 2026-11-24 repository exchange key";

const WHAT: &str = "the keyring";
/// First byte of a keyring with all secrets.
const FULL_VERSION: u8 = 1;
/// First byte of a writer's keyring.
const WRITER_VERSION: u8 = 2;
/// Most epochs of a keyring: one rotation a day for a century would not reach it.
const EPOCHS_MAX: usize = 65_536;

/// What a keyring, and with it a key slot, gives access to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Everything.
    #[default]
    Full,
    /// Adding snapshots, and reading none.
    Writer,
}

/// One generation of the keys that seal objects.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub(super) struct Epoch {
    pub(super) number: u32,
    pub(super) secret: [u8; 32],
}

/// One generation as writers have it: the public key that packs, usage lists and snapshots are sealed to, and the kind keys of what
/// a writer must also read.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub(super) struct WriterEpoch {
    pub(super) number: u32,
    pub(super) recipient: [u8; 32],
    pub(super) index: [u8; 32],
    pub(super) intent: [u8; 32],
    pub(super) condemned: [u8; 32],
}

#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub(super) enum Secrets {
    Full {
        secret: [u8; 32],
        epochs: Vec<Epoch>,
    },
    Writer {
        /// The key of writer ids.
        writer: [u8; 32],
        /// The public key that verifies the repository's signatures.
        signer: [u8; 32],
        epochs: Vec<WriterEpoch>,
    },
}

/// The secrets of a repository, or of one of its writers, as key slots wrap them.
///
/// The repository's own secret is never a writer's. The content secret decides chunk ids and cut points: writers need it to
/// deduplicate, and repositories that are created like one another share it, so that equal content has equal ids in both.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Keyring {
    #[zeroize(skip)]
    pub(crate) suite: Suite,
    pub(super) content: [u8; 32],
    pub(super) secrets: Secrets,
}

impl Keyring {
    /// Random secrets, one epoch, and the preferred suite of this machine.
    ///
    /// # Errors
    /// [`Error::Random`] when the system gives no random bytes.
    pub fn generate() -> Result<Self> {
        let epochs = vec![Epoch { number: 0, secret: random()? }];
        let secrets = Secrets::Full { secret: random()?, epochs };
        Ok(Self { suite: Suite::preferred(), content: random()?, secrets })
    }

    /// Random secrets for another repository that gives equal content the same ids and cut points as this one.
    ///
    /// # Errors
    /// [`Error::Random`] when the system gives no random bytes.
    pub fn generate_like(&self) -> Result<Self> {
        let mut keyring = Self::generate()?;
        keyring.content = self.content;
        Ok(keyring)
    }

    /// The keyring of every repository without encryption: all secrets are zero, so ids and tags find corruption and hide nothing.
    #[must_use]
    pub fn public() -> Self {
        let epochs = vec![Epoch { number: 0, secret: [0; 32] }];
        Self { suite: Suite::Plain, content: [0; 32], secrets: Secrets::Full { secret: [0; 32], epochs } }
    }

    /// What a writer is given of this keyring: enough to add snapshots, not enough to open one.
    #[must_use]
    pub fn for_writer(&self, repository: RepositoryId) -> Self {
        let Secrets::Full { secret, epochs } = &self.secrets else { return self.clone() };
        let epochs = epochs.iter().map(|epoch| WriterEpoch {
            number: epoch.number,
            recipient: PublicKey::from(&exchange_secret(repository, secret, epoch)).to_bytes(),
            index: *kind_key(repository, secret, epoch, ObjectKind::Index),
            intent: *kind_key(repository, secret, epoch, ObjectKind::Intent),
            condemned: *kind_key(repository, secret, epoch, ObjectKind::Condemned),
        });
        let secrets = Secrets::Writer {
            writer: *writer_key(repository, secret),
            signer: sign::public_key(repository, secret),
            epochs: epochs.collect(),
        };
        Self { suite: self.suite, content: self.content, secrets }
    }

    /// What it gives access to.
    #[must_use]
    pub fn access(&self) -> Access {
        match self.secrets {
            Secrets::Full { .. } => Access::Full,
            Secrets::Writer { .. } => Access::Writer,
        }
    }

    /// The epoch that new objects are sealed under: the last.
    #[must_use]
    pub fn current_epoch(&self) -> u32 {
        match &self.secrets {
            Secrets::Full { epochs, .. } => epochs.last().map_or(0, |epoch| epoch.number),
            Secrets::Writer { epochs, .. } => epochs.last().map_or(0, |epoch| epoch.number),
        }
    }

    /// Opens a new epoch, under which everything is sealed from now on; what is sealed already stays readable.
    ///
    /// # Errors
    /// [`Error::Random`] when the system gives no random bytes; [`Error::TooLarge`] when there are too many epochs;
    /// [`Error::WriterKeyring`] for a writer's keyring, whose epochs others open.
    pub fn rotate(&mut self) -> Result<()> {
        let number = self.current_epoch().saturating_add(1);
        let Secrets::Full { epochs, .. } = &mut self.secrets else {
            return Err(Error::WriterKeyring { doing: "open a new key epoch" });
        };
        if epochs.len() >= EPOCHS_MAX {
            return Err(Error::TooLarge { what: WHAT, bytes: EPOCHS_MAX as u64, bytes_max: EPOCHS_MAX as u64 });
        }
        epochs.push(Epoch { number, secret: random()? });
        Ok(())
    }

    /// The bytes that a key slot wraps.
    pub(crate) fn encode(&self) -> Result<Zeroizing<Vec<u8>>> {
        // Room for all of it at once: a buffer that grew would leave copies behind.
        let mut out = Zeroizing::new(Vec::with_capacity(self.encoded_bytes()));
        match &self.secrets {
            Secrets::Full { secret, epochs } => {
                out.extend([FULL_VERSION, self.suite as u8]);
                out.extend(length_u32(WHAT, epochs.len())?.to_le_bytes());
                out.extend([secret, &self.content].into_iter().flatten());
                for epoch in epochs {
                    out.extend(epoch.number.to_le_bytes());
                    out.extend(epoch.secret);
                }
            }
            Secrets::Writer { writer, signer, epochs } => {
                out.extend([WRITER_VERSION, self.suite as u8]);
                out.extend(length_u32(WHAT, epochs.len())?.to_le_bytes());
                out.extend([&self.content, writer, signer].into_iter().flatten());
                for epoch in epochs {
                    out.extend(epoch.number.to_le_bytes());
                    out.extend([epoch.recipient, epoch.index, epoch.intent, epoch.condemned].concat());
                }
            }
        }
        Ok(out)
    }

    fn encoded_bytes(&self) -> usize {
        match &self.secrets {
            Secrets::Full { epochs, .. } => 70 + epochs.len() * 36,
            Secrets::Writer { epochs, .. } => 102 + epochs.len() * 132,
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut fields = Fields::new(WHAT, bytes);
        let version = fields.u8()?;
        let suite = Suite::decode(fields.u8()?)?;
        let count = fields.u32()?;
        if count == 0 || count as usize > EPOCHS_MAX {
            return Err(fields.malformed("its number of epochs is out of range"));
        }
        let keyring = match version {
            FULL_VERSION => Self::decode_full(suite, count, &mut fields)?,
            WRITER_VERSION => Self::decode_writer(suite, count, &mut fields)?,
            other => return Err(Error::Unknown { what: "keyring version", found: u32::from(other) }),
        };
        fields.end()?;
        Ok(keyring)
    }

    fn decode_full(suite: Suite, count: u32, fields: &mut Fields<'_>) -> Result<Self> {
        let (secret, content) = (fields.array()?, fields.array()?);
        let read = |fields: &mut Fields<'_>| Ok(Epoch { number: fields.u32()?, secret: fields.array()? });
        let epochs = decode_epochs(count, fields, read, |epoch| epoch.number)?;
        Ok(Self { suite, content, secrets: Secrets::Full { secret, epochs } })
    }

    fn decode_writer(suite: Suite, count: u32, fields: &mut Fields<'_>) -> Result<Self> {
        let (content, writer, signer) = (fields.array()?, fields.array()?, fields.array()?);
        let read = |fields: &mut Fields<'_>| {
            Ok(WriterEpoch {
                number: fields.u32()?,
                recipient: fields.array()?,
                index: fields.array()?,
                intent: fields.array()?,
                condemned: fields.array()?,
            })
        };
        let epochs = decode_epochs(count, fields, read, |epoch| epoch.number)?;
        Ok(Self { suite, content, secrets: Secrets::Writer { writer, signer, epochs } })
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyring")
            .field("suite", &self.suite)
            .field("access", &self.access())
            .field("epoch", &self.current_epoch())
            .finish_non_exhaustive()
    }
}

fn decode_epochs<E>(
    count: u32,
    fields: &mut Fields<'_>,
    read: impl Fn(&mut Fields<'_>) -> Result<E>,
    number: impl Fn(&E) -> u32,
) -> Result<Vec<E>> {
    let mut epochs: Vec<E> = Vec::new();
    for _ in 0..count {
        let epoch = read(fields)?;
        if epochs.last().is_some_and(|last| number(last) >= number(&epoch)) {
            return Err(fields.malformed("its epochs are not in order"));
        }
        epochs.push(epoch);
    }
    Ok(epochs)
}

/// The key of writer ids.
pub(super) fn writer_key(repository: RepositoryId, secret: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    derive(WRITER_CONTEXT, &[repository.as_bytes(), secret])
}

/// The secret half of the key that writers seal to in an epoch.
pub(super) fn exchange_secret(repository: RepositoryId, secret: &[u8; 32], epoch: &Epoch) -> StaticSecret {
    let number = epoch.number.to_le_bytes();
    StaticSecret::from(*derive(EXCHANGE_CONTEXT, &[repository.as_bytes(), secret, &number, &epoch.secret]))
}

/// The key of one kind of object in an epoch.
pub(super) fn kind_key(
    repository: RepositoryId,
    secret: &[u8; 32],
    epoch: &Epoch,
    kind: ObjectKind,
) -> Zeroizing<[u8; 32]> {
    let number = epoch.number.to_le_bytes();
    derive(kind_context(kind), &[repository.as_bytes(), secret, &number, &epoch.secret])
}

fn kind_context(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::DataPack => "credenza v1 2026-11-24 kind key: data pack",
        ObjectKind::MetaPack => "credenza v1 2026-11-24 kind key: metadata pack",
        ObjectKind::Index => "credenza v1 2026-11-24 kind key: index",
        ObjectKind::Usage => "credenza v1 2026-11-24 kind key: usage",
        ObjectKind::Intent => "credenza v1 2026-11-24 kind key: intent",
        ObjectKind::Snapshot => "credenza v1 2026-11-24 kind key: snapshot",
        ObjectKind::Condemned => "credenza v1 2026-11-24 kind key: condemned",
        ObjectKind::Note => "credenza v1 2026-11-24 kind key: note",
        ObjectKind::Connector => "credenza v1 2026-11-24 kind key: connector",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REPOSITORY: RepositoryId = RepositoryId::new([1; 16]);

    fn both() -> [Keyring; 2] {
        let mut keyring = Keyring::generate().unwrap();
        keyring.rotate().unwrap();
        [keyring.for_writer(REPOSITORY), keyring]
    }

    #[test]
    fn a_keyring_reads_back_what_was_encoded() {
        for keyring in both() {
            let bytes = keyring.encode().unwrap();
            assert_eq!(bytes.len(), keyring.encoded_bytes(), "no copy is left behind");
            assert!(Keyring::decode(&bytes).unwrap() == keyring);
            for length in 0..bytes.len() {
                assert!(Keyring::decode(&bytes[..length]).is_err());
            }
        }
    }

    proptest! {
        #[test]
        fn hostile_bytes_are_refused_or_are_the_one_encoding_of_a_keyring(bytes in proptest::collection::vec(any::<u8>(), 0..400), version in 1..=2_u8) {
            let mut bytes = bytes;
            // Most of what is random ends at the first bytes: these get past them.
            for (byte, value) in bytes.iter_mut().zip([version, 1, 1, 0, 0, 0]) {
                *byte = value;
            }
            if let Ok(keyring) = Keyring::decode(&bytes) {
                prop_assert_eq!(keyring.encode().unwrap().to_vec(), bytes);
            }
        }
    }

    #[test]
    fn a_writer_is_given_none_of_the_secrets_that_open_what_it_adds() {
        let keyring = Keyring::generate().unwrap();
        let Secrets::Full { secret, epochs } = &keyring.secrets else { panic!("a full keyring") };
        let given = keyring.for_writer(REPOSITORY).encode().unwrap();
        let holds = |part: &[u8]| given.windows(part.len()).any(|window| window == part);
        assert!(holds(&keyring.content), "the search finds what is there");
        assert!(!holds(secret) && !holds(&epochs[0].secret));
        assert!(!holds(exchange_secret(REPOSITORY, secret, &epochs[0]).as_bytes()));
        for kind in ObjectKind::ALL {
            assert_eq!(
                holds(&*kind_key(REPOSITORY, secret, &epochs[0], kind)),
                !kind.is_hidden_from_writers(),
                "{kind}"
            );
        }
    }

    #[test]
    fn a_writer_opens_no_epoch_and_makes_no_more_of_itself() {
        let mut writer = Keyring::generate().unwrap().for_writer(REPOSITORY);
        assert_eq!(writer.access(), Access::Writer);
        assert!(matches!(writer.rotate(), Err(Error::WriterKeyring { .. })));
        assert!(writer.for_writer(REPOSITORY) == writer);
    }
}
