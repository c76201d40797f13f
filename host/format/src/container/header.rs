//! The clear header of an object: 128 bytes that say which key opens it, and belong to what is authenticated.

use credenza_model::{ObjectId, RepositoryId};
use zeroize::Zeroizing;

use super::geometry::{HEADER_BYTES, STATEMENT_BYTES};
use crate::keys::{self, NoKey};
use crate::wire::Fields;
use crate::{Error, Keys, ObjectKind, Result, Suite};

/// The part of the header that the object's key follows from: all before the commitment.
const IDENTITY_BYTES: usize = 88;
const MAGIC: &[u8; 8] = b"CREDENZA";
const VERSION: u16 = 1;
const SEGMENT_BYTES_LOG2: u8 = 16;
const _: () = assert!(1 << SEGMENT_BYTES_LOG2 == credenza_model::limits::SEGMENT_BYTES);

/// How the key of an object is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keying {
    /// From the epoch's key and the salt.
    Derived = 0,
    /// By X25519 from the repository's public key; the salt is the ephemeral public key. For writers that may add and not read.
    Recipient = 1,
}

impl Keying {
    /// How new objects of a kind get their key.
    fn of(keys: &Keys, kind: ObjectKind) -> Self {
        if keys.can_open(kind) { Self::Derived } else { Self::Recipient }
    }
}

/// Only snapshots state something in the clear.
fn statement_bytes(kind: ObjectKind) -> u32 {
    if kind == ObjectKind::Snapshot { STATEMENT_BYTES as u32 } else { 0 }
}

/// The decoded header of an object. Nothing of it is proven before an [`Opener`](crate::Opener) has accepted it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    bytes: [u8; HEADER_BYTES],
    suite: Suite,
    kind: ObjectKind,
    keying: Keying,
    repository: RepositoryId,
    object: ObjectId,
    epoch: u32,
    salt: [u8; 32],
    commitment: [u8; 32],
}

impl Header {
    /// Decodes the first 128 bytes of an object; more are ignored.
    ///
    /// # Errors
    /// [`Error::NotAnObject`] when they are no header, [`Error::Unknown`] for a version, suite, kind or keying of later programs,
    /// [`Error::Malformed`] when reserved bytes are set.
    pub fn decode(object: &[u8]) -> Result<Self> {
        let (bytes, _) = object.split_first_chunk::<HEADER_BYTES>().ok_or(Error::NotAnObject)?;
        let mut fields = Fields::new("the header of an object", bytes);
        if fields.array()? != *MAGIC {
            return Err(Error::NotAnObject);
        }
        let version = fields.u16()?;
        if version != VERSION {
            return Err(Error::Unknown { what: "object version", found: u32::from(version) });
        }
        let suite = Suite::decode(fields.u8()?)?;
        let kind = ObjectKind::decode(fields.u8()?)?;
        let segment = fields.u8()?;
        if segment != SEGMENT_BYTES_LOG2 {
            return Err(Error::Unknown { what: "segment size, as a power of two,", found: u32::from(segment) });
        }
        let keying = match fields.u8()? {
            0 => Keying::Derived,
            1 => Keying::Recipient,
            other => return Err(Error::Unknown { what: "keying", found: u32::from(other) }),
        };
        fields.zeros(2)?;
        let repository = RepositoryId::new(fields.array()?);
        let object = ObjectId::new(fields.array()?);
        let epoch = fields.u32()?;
        let statement = fields.u32()?;
        if statement != statement_bytes(kind) {
            return Err(fields.malformed("its statement has another length than objects of its kind have"));
        }
        let salt = fields.array()?;
        let commitment = fields.array()?;
        fields.zeros(8)?;
        Ok(Self { bytes: *bytes, suite, kind, keying, repository, object, epoch, salt, commitment })
    }

    /// A header for a new object under the current epoch, and the key that follows from it. `random` is the salt, or the secret of
    /// which the salt is the public key.
    pub(super) fn create(
        keys: &Keys,
        kind: ObjectKind,
        object: ObjectId,
        random: [u8; 32],
    ) -> Result<(Self, Zeroizing<[u8; 32]>)> {
        let (epoch, keying) = (keys.current_epoch(), Keying::of(keys, kind));
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend([keys.suite() as u8, kind as u8, SEGMENT_BYTES_LOG2, keying as u8, 0, 0]);
        bytes.extend(keys.repository().as_bytes());
        bytes.extend(object.as_bytes());
        bytes.extend(epoch.to_le_bytes());
        bytes.extend(statement_bytes(kind).to_le_bytes());
        let key = match keying {
            Keying::Derived => {
                bytes.extend(random);
                keys.object_key(kind, epoch, &bytes)
            }
            Keying::Recipient => {
                bytes.extend(keys::exchange_public_key(&random));
                keys.sealing_key(&random, &bytes)
            }
        };
        let key = key.map_err(|why| no_key(why, kind, object, epoch))?;
        bytes.extend(keys::commitment(&key).as_bytes());
        bytes.extend([0; 8]);
        Ok((Self::decode(&bytes)?, key))
    }

    /// The key that the header leads to, when its commitment agrees.
    pub(super) fn object_key(&self, keys: &Keys) -> Result<Zeroizing<[u8; 32]>> {
        let (kind, object, epoch) = (self.kind, self.object, self.epoch);
        let identity = self.bytes.get(..IDENTITY_BYTES).unwrap_or_default();
        let key = match self.keying {
            Keying::Derived => keys.object_key(kind, epoch, identity),
            Keying::Recipient if kind.is_hidden_from_writers() => keys.opening_key(epoch, &self.salt, identity),
            Keying::Recipient => return Err(Error::ForeignKey { object }),
        };
        let key = key.map_err(|why| no_key(why, kind, object, epoch))?;
        // `blake3::Hash` compares in constant time.
        if keys::commitment(&key) == blake3::Hash::from_bytes(self.commitment) {
            Ok(key)
        } else {
            Err(Error::ForeignKey { object })
        }
    }

    /// What binds every segment to this header.
    pub(super) fn hash(&self) -> [u8; 32] {
        *blake3::hash(&self.bytes).as_bytes()
    }

    /// The header as it is stored.
    #[must_use]
    pub fn bytes(&self) -> &[u8; HEADER_BYTES] {
        &self.bytes
    }

    /// What the object says that it is.
    #[must_use]
    pub fn kind(&self) -> ObjectKind {
        self.kind
    }

    /// Length of the clear statement between its last segment and its checksum: 0 where it has none.
    #[must_use]
    pub fn statement_bytes(&self) -> u32 {
        statement_bytes(self.kind)
    }

    /// The suite of its segments.
    #[must_use]
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// How its key is found.
    #[must_use]
    pub fn keying(&self) -> Keying {
        self.keying
    }

    /// The repository that it says it belongs to.
    #[must_use]
    pub fn repository(&self) -> RepositoryId {
        self.repository
    }

    /// The id that it says it has.
    #[must_use]
    pub fn object(&self) -> ObjectId {
        self.object
    }

    /// The epoch that it was sealed under.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.epoch
    }
}

fn no_key(why: NoKey, kind: ObjectKind, object: ObjectId, epoch: u32) -> Error {
    match why {
        NoKey::Epoch => Error::MissingEpoch { object, epoch },
        NoKey::Access => Error::NoAccess { kind, object },
        NoKey::Exchange => Error::ForeignKey { object },
    }
}
