//! What a pack says of itself: the table at its end, and the digest of its bytes. Whoever has a writer's keys may put any index segment, but a pack was
//! sealed by whoever put it, and is never written again.
//!
//! Called by `disputes`, and by `repair` for packs that no segment describes. Bound: the table of one pack (48 bytes a blob), or [`PIECE_BYTES`] of it.

use bytes::Bytes;
use credenza_connect::{ByteRange, ErrorClass, StoredObject};
use credenza_format::{
    HEADER_BYTES, Header, Inspector, ObjectKind, Opener, PackKind, PackRecord, PackTail, read_footer,
};
use credenza_model::StoreKey;

use super::{Repository, VERSIONS};
use crate::{Error, Result};

/// What is read of a pack at once for its digest.
const PIECE_BYTES: u64 = 8 * 1024 * 1024;
/// In place of a digest.
pub(crate) const NOT_READ: [u8; 32] = [0; 32];

/// The description that the table at the end of a pack gives, of the bytes in the store or of those `healed`.
pub(crate) async fn by_table(
    repository: &Repository,
    object: &StoredObject,
    version: Option<String>,
    healed: Option<&Bytes>,
) -> Result<Option<PackRecord>> {
    let Some((kind, id)) = ObjectKind::parse(&object.key) else { return Ok(None) };
    let Some(pack_kind) = PackKind::of(kind) else { return Ok(None) };
    let read = async |offset: u64, length: u64| match healed {
        None => read(repository, &object.key, version.as_deref(), offset, length).await,
        Some(bytes) => Ok(part(bytes, offset, length)),
    };
    let Some(head) = read(0, HEADER_BYTES as u64).await? else { return Ok(None) };
    let opened =
        Header::decode(&head).and_then(|header| Ok((Opener::new(repository.keys(), &header, (kind, id))?, header)));
    let (Ok((opener, header)), Ok(mut span)) = (opened, PackTail::needed(object.size)) else { return Ok(None) };
    loop {
        let range = span.object_range.clone();
        let Some(sealed) = read(range.start, range.end - range.start).await? else { return Ok(None) };
        let mut plain = Vec::from(sealed);
        if opener.open_span(&span, &mut plain).is_err() {
            return Ok(None);
        }
        match read_footer(pack_kind, object.size, &plain) {
            Ok(PackTail::Complete(blobs)) => {
                let (header, size) = (*header.bytes(), object.size);
                return Ok(Some(PackRecord {
                    id,
                    kind: pack_kind,
                    header,
                    size,
                    sha256: NOT_READ,
                    blobs,
                    moved: false,
                    version,
                }));
            }
            Ok(PackTail::Needs(more)) if more.segments > span.segments => span = more,
            _ => return Ok(None),
        }
    }
}

fn part(bytes: &Bytes, offset: u64, length: u64) -> Option<Bytes> {
    let start = usize::try_from(offset).ok()?;
    let end = start.checked_add(usize::try_from(length).ok()?)?;
    (end <= bytes.len()).then(|| bytes.slice(start..end))
}

/// The digest of a pack whose every byte is the one that was written; `None` when it is damaged.
pub(crate) async fn digest(repository: &Repository, pack: &PackRecord) -> Result<Option<[u8; 32]>> {
    let key = pack.kind.object_kind().store_key(pack.id);
    let (mut inspector, mut offset) = (Inspector::new(pack.size), 0);
    while offset < pack.size {
        let length = PIECE_BYTES.min(pack.size - offset);
        let Some(piece) = read(repository, &key, pack.version.as_deref(), offset, length).await? else {
            return Ok(None);
        };
        inspector.update(&piece);
        offset += length;
    }
    Ok(inspector.finish().ok().map(|inspected| inspected.sha256.0))
}

impl Repository {
    /// Whether its packs are read by the names of their versions.
    pub(crate) fn keeps_versions(&self) -> bool {
        self.config().store_traits.iter().any(|name| name == VERSIONS)
    }

    /// What is there now under a name, with its version where those count; `None` where nothing is there that is an object.
    pub(super) async fn stat_now(&self, key: &StoreKey) -> Result<Option<StoredObject>> {
        match self.bare_store().stat(key).await {
            Ok(object) => {
                let version = object.version.filter(|_| self.keeps_versions());
                Ok(Some(StoredObject { version, ..object }))
            }
            Err(cause) if matches!(cause.class, ErrorClass::NotFound | ErrorClass::Corrupt) => Ok(None),
            Err(cause) => Err(Error::connector(format!("looking at `{key}` of the repository"))(cause)),
        }
    }
}

/// The version that stands there now, which the description then names, so that nothing that is put over it later changes what is read.
pub(crate) async fn version_now(repository: &Repository, key: &StoreKey) -> Result<Option<String>> {
    if !repository.keeps_versions() {
        return Ok(None);
    }
    Ok(repository.stat_now(key).await?.and_then(|object| object.version))
}

/// A range of an object, or of one version of it; `None` when it is not all there.
async fn read(
    repository: &Repository,
    key: &StoreKey,
    version: Option<&str>,
    offset: u64,
    length: u64,
) -> Result<Option<Bytes>> {
    let range = Some(ByteRange { offset, length: Some(length) });
    let answer = async { repository.bare_store().get(key, range, version).await?.read_all(length).await }.await;
    match answer {
        Ok(bytes) => Ok(Some(bytes).filter(|bytes| bytes.len() as u64 == length)),
        Err(cause) if matches!(cause.class, ErrorClass::NotFound | ErrorClass::Corrupt) => Ok(None),
        Err(cause) => Err(Error::connector(format!("reading `{key}` of the repository"))(cause)),
    }
}
